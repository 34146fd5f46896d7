//! Whole boots on a simulated flash, with real signatures, and with the power going away at every operation.

use deltagate_flash::sim::{PowerCut, SimFlash, explore_power_cuts};
use deltagate_flash::{BOOT_INFO_BYTES, ENVELOPE_BYTES_MAX, ImageOffset, SlotRegion, TRUST_ANCHORS_MAX};
use deltagate_flash::{FailedTrials, TRIAL_BOOTS_MAX, Trial};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use wire_manifest::{Anchor, Release, VerifyError};

use super::*;

const LAYOUT: Layout = Layout::packed(4096, 4 * 4096);
const VENDOR: [u8; 16] = [1; 16];
const CLASS: [u8; 16] = [2; 16];

fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn image(sequence: u32) -> Vec<u8> {
    (0..600 + sequence * 4)
        .map(|i| (i * 7 + sequence) as u8)
        .collect()
}

/// What is signed, so that a test can change one thing.
struct Signed<'a> {
    key: SigningKey,
    vendor: [u8; 16],
    class: [u8; 16],
    size: usize,
    image: &'a [u8],
}

impl<'a> Signed<'a> {
    fn right(image: &'a [u8]) -> Self {
        Self {
            key: publisher(),
            vendor: VENDOR,
            class: CLASS,
            size: image.len(),
            image,
        }
    }

    fn envelope(&self, sequence: u32) -> Vec<u8> {
        let anchor = Anchor {
            key: self.key.verifying_key().to_bytes(),
        };
        let release = Release {
            sequence_number: sequence.into(),
            vendor_id: self.vendor,
            class_id: self.class,
            image_digest: Sha256::digest(self.image).into(),
            image_size: self.size as u32,
            predecessor_min: 0,
            text: None,
            image: None,
        };
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let sign = |bytes: &[u8]| self.key.sign(bytes).to_bytes();
        release
            .encode(&mut buffer, anchor.key_id(), sign)
            .unwrap()
            .to_vec()
    }
}

struct Device(RefCell<SimFlash>);

impl Device {
    /// Provisioned, nothing else.
    fn new() -> Self {
        let device = Self(RefCell::new(SimFlash::new(LAYOUT.end_bytes())));
        let anchors = [publisher().verifying_key().to_bytes()];
        let provision = Provision::new(VENDOR, CLASS, &anchors).unwrap();
        provision.write(Region::new(&device.0, LAYOUT.provision)).unwrap();
        device
    }

    /// Runs image 1 in slot A.
    fn shipped() -> Self {
        let device = Self::new()
            .with(Slot::A, 1)
            .logged(&[BootRecord::Confirmed { sequence: 1 }]);
        let mut log = BootLog::open(Region::new(&device.0, LAYOUT.boot_log)).unwrap();
        log.settle().unwrap();
        device
    }

    /// Runs image 1, image 2 is about to be tried.
    fn updated() -> Self {
        Self::shipped().with(Slot::B, 2).logged(&[BootRecord::Trial {
            sequence: 2,
            slot: Slot::B,
        }])
    }

    fn with(self, slot: Slot, sequence: u32) -> Self {
        let image = image(sequence);
        self.with_signed(slot, sequence, &Signed::right(&image))
    }

    fn with_signed(self, slot: Slot, sequence: u32, signed: &Signed<'_>) -> Self {
        let region = Region::new(&self.0, LAYOUT.slot(slot));
        region.erase(0, region.bytes()).unwrap();
        SlotRegion::new(region)
            .program_image(ImageOffset(0), signed.image)
            .unwrap();
        SlotRegion::new(region)
            .write_envelope(&signed.envelope(sequence))
            .unwrap();
        self
    }

    fn logged(self, records: &[BootRecord]) -> Self {
        let mut log = BootLog::open(Region::new(&self.0, LAYOUT.boot_log)).unwrap();
        records.iter().for_each(|&record| log.append(record).unwrap());
        self
    }

    fn boot(&self) -> Result<Boot, Recovery> {
        self.boot_after(None)
    }

    fn boot_after(&self, left_behind: Option<RevertReason>) -> Result<Boot, Recovery> {
        run(&self.0, &LAYOUT, left_behind, &mut |_| {})
    }

    fn boot_and_tell(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let _ = run(&self.0, &LAYOUT, None, &mut |event| lines.push(event.to_string()));
        lines
    }

    fn state(&self) -> BootLogState {
        BootLog::open(Region::new(&self.0, LAYOUT.boot_log))
            .unwrap()
            .state()
    }

    fn fault(&self, slot: Slot) -> SlotFault {
        let provision = Provision::read(Region::new(&self.0, LAYOUT.provision)).unwrap();
        verify_slot(&self.0, &LAYOUT, slot, &provision).unwrap_err()
    }
}

fn sequence(outcome: Result<Boot, Recovery>) -> u32 {
    outcome.unwrap().image.sequence
}

#[test]
fn a_shipped_device_boots_its_confirmed_image_and_writes_nothing() {
    let device = Device::shipped();
    let before = device.0.borrow().bytes().to_vec();
    let boot = device.boot().unwrap();
    assert_eq!(
        boot.info,
        BootInfo {
            slot: Slot::A,
            on_trial: false,
            attempt: 0,
            sequence: 1
        }
    );
    assert_eq!(boot.image.image_bytes as usize, image(1).len());
    assert!(device.0.borrow().bytes() == before);
    assert_eq!(boot.info.encode().len(), BOOT_INFO_BYTES);
}

#[test]
fn an_image_that_crashed_boots_after_a_technician_had_a_chance() {
    for left_behind in [RevertReason::Watchdog, RevertReason::Fault] {
        let device = Device::shipped();
        let before = device.0.borrow().bytes().to_vec();
        let crashed = Err(Recovery::Crashed(Slot::A));
        assert_eq!(device.boot_after(Some(left_behind)), crashed);
        // It restarted when nobody came.
        assert_eq!(sequence(device.boot()), 1);
        assert_eq!(device.0.borrow().bytes(), &before[..], "nothing is written");
    }
    let device = Device::updated();
    for _ in 0..TRIAL_BOOTS_MAX {
        assert_eq!(sequence(device.boot_after(Some(RevertReason::Fault))), 2);
    }
    let after = device.boot_after(Some(RevertReason::Fault));
    assert_eq!(sequence(after), 1, "the crash was the trial's");
}

#[test]
fn an_update_is_tried_thrice_and_then_given_up_for_good() {
    let device = Device::updated();
    for attempt in 1..=TRIAL_BOOTS_MAX {
        let info = device.boot().unwrap().info;
        assert_eq!(
            info,
            BootInfo {
                slot: Slot::B,
                on_trial: true,
                attempt,
                sequence: 2
            }
        );
    }
    assert_eq!(sequence(device.boot_after(Some(RevertReason::Watchdog))), 1);
    let reverted = Some(Reverted {
        sequence: 2,
        reason: RevertReason::Watchdog,
    });
    assert_eq!(
        device.state(),
        BootLogState {
            confirmed: Some(1),
            reverted,
            failed: Some(FailedTrials { newest: 2, count: 1 }),
            ..BootLogState::default()
        }
    );
    for _ in 0..100 {
        assert_eq!(sequence(device.boot()), 1);
    }
}

#[test]
fn a_confirmed_update_stays_and_the_old_image_never_comes_back() {
    let device = Device::updated();
    assert_eq!(sequence(device.boot()), 2);
    let device = device.logged(&[BootRecord::Confirmed { sequence: 2 }]);
    assert!(!device.boot().unwrap().info.on_trial);
    device.0.borrow_mut().bytes_mut()[LAYOUT.slot_b.offset as usize + 4096 + 5] ^= 1;
    assert_eq!(device.boot(), Err(Recovery::OnlyOlder));
}

#[test]
fn a_damaged_confirmed_image_is_replaced_by_a_newer_one_even_if_it_was_reverted() {
    let reverted = BootRecord::Reverted {
        sequence: 2,
        reason: RevertReason::NoContact,
    };
    let device = Device::updated().logged(&[reverted]);
    assert_eq!(sequence(device.boot()), 1);
    device.0.borrow_mut().bytes_mut()[LAYOUT.slot_a.offset as usize + 4096] ^= 1;
    let info = device.boot().unwrap().info;
    assert_eq!(
        info,
        BootInfo {
            slot: Slot::B,
            on_trial: true,
            attempt: 0,
            sequence: 2
        }
    );
}

#[test]
fn an_unprovisioned_device_and_an_empty_one_wait_for_a_technician() {
    let blank = Device(RefCell::new(SimFlash::new(LAYOUT.end_bytes())));
    assert_eq!(blank.boot(), Err(Recovery::NotProvisioned));
    assert_eq!(Device::new().boot(), Err(Recovery::NoImage));
}

#[test]
fn everything_that_is_not_for_this_device_is_named() {
    let image = image(2);
    let with = |signed: Signed<'_>| Device::shipped().with_signed(Slot::B, 2, &signed).fault(Slot::B);
    let right = || Signed::right(&image);
    let stranger = SigningKey::from_bytes(&[8; 32]);
    assert_eq!(
        with(Signed {
            key: stranger,
            ..right()
        }),
        SlotFault::Manifest(VerifyError::UnknownKey)
    );
    assert_eq!(
        with(Signed {
            vendor: CLASS,
            ..right()
        }),
        SlotFault::Vendor
    );
    assert_eq!(
        with(Signed {
            class: VENDOR,
            ..right()
        }),
        SlotFault::Class
    );
    assert_eq!(
        with(Signed {
            size: 3 * 4096 + 1,
            ..right()
        }),
        SlotFault::Size
    );
    assert_eq!(
        with(Signed {
            size: image.len() - 1,
            ..right()
        }),
        SlotFault::Digest
    );
    assert_eq!(
        Device::shipped().fault(Slot::B),
        SlotFault::Header(deltagate_flash::SlotHeaderFault::Blank)
    );
}

#[test]
fn any_of_the_provisioned_keys_is_enough() {
    let device = Device::new();
    let successor = SigningKey::from_bytes(&[9; 32]);
    let anchors = [
        publisher().verifying_key().to_bytes(),
        successor.verifying_key().to_bytes(),
    ];
    assert!(anchors.len() <= TRUST_ANCHORS_MAX);
    let provision = Provision::new(VENDOR, CLASS, &anchors).unwrap();
    provision.write(Region::new(&device.0, LAYOUT.provision)).unwrap();
    let image = image(1);
    let signed = Signed {
        key: successor,
        ..Signed::right(&image)
    };
    assert_eq!(sequence(device.with_signed(Slot::A, 1, &signed).boot()), 1);
}

#[test]
fn an_image_changed_after_signing_is_reverted_at_its_trial() {
    for at in [0, 299, image(2).len() - 1] {
        let device = Device::updated();
        device.0.borrow_mut().bytes_mut()[LAYOUT.slot_b.offset as usize + 4096 + at] ^= 0x80;
        assert_eq!(sequence(device.boot()), 1);
        let reason = RevertReason::BootVerification;
        assert_eq!(device.state().reverted, Some(Reverted { sequence: 2, reason }));
    }
}

#[test]
fn the_log_reads_like_a_story() {
    assert_eq!(
        Device::updated().boot_and_tell(),
        [
            "confirmed sequence 1, sequence 2 on trial in slot B",
            "slot B sequence 2 verified, 608 bytes",
            "starting slot B sequence 2, on trial, attempt 1",
        ]
    );
    assert_eq!(
        Device::new().boot_and_tell(),
        [
            "nothing confirmed yet",
            "slot A rejected: the slot is blank",
            "slot B rejected: the slot is blank",
            "RECOVERY: no slot holds a valid image",
        ]
    );
}

/// One boot of a device whose image on trial never confirms, cut at every operation and byte, then cut again.
#[test]
fn a_boot_cut_anywhere_is_followed_by_one_that_works() {
    let every_byte: Vec<u32> = (0..=64).collect();
    for boots_before in 0..=TRIAL_BOOTS_MAX {
        let device = Device::updated();
        for _ in 0..boots_before {
            device.boot().unwrap();
        }
        let flash = device.0.into_inner();
        let operations = explore_power_cuts(
            &flash,
            &every_byte,
            |flash| {
                let _ = run(&RefCell::new(flash), &LAYOUT, None, &mut |_| {});
            },
            |flash, cut| {
                let again = Device(RefCell::new(flash.clone()));
                let booted = sequence(again.boot());
                assert!(booted == 1 || booted == 2, "{cut:?}");
                assert_eq!(again.state().confirmed, Some(1), "{cut:?}");
            },
        );
        assert_eq!(
            operations, 3,
            "one record and its mark say it all, an attempt or a revert; and the mark of the cell before"
        );
    }
}

/// Power that goes away in every other boot, at its one operation: torn records count for nothing, whole ones do.
#[test]
fn attempts_are_bounded_whatever_the_power_does() {
    for torn_at in [0, 1, 30, 63, 64] {
        let device = Device::updated();
        let mut trials = 0;
        for number in 0..20 {
            device.0.borrow_mut().restart();
            if number % 2 == 0 {
                device.0.borrow_mut().cut_power_at(PowerCut {
                    operation: 0,
                    torn_at,
                });
            }
            let booted = device.boot();
            let alive = device.0.borrow().is_powered();
            trials += u8::from(alive && booted.unwrap().info.on_trial);
        }
        device.0.borrow_mut().restart();
        assert!((1..=TRIAL_BOOTS_MAX).contains(&trials), "{trials} trials");
        assert_eq!(sequence(device.boot()), 1);
        assert!(device.state().reverted.is_some());
    }
}

/// The story: a confirmation torn in its last bits counted at one boot, so that the agent erased the old image, and did not at
/// the next; or the other way round, after the image had been reverted.
#[test]
fn a_torn_confirmation_is_decided_once() {
    let mut decided = [0, 0];
    for seed in 0..48 {
        let device = Device::updated();
        device.boot().unwrap();
        let mut flash = device.0.into_inner();
        flash.seed(seed);
        explore_power_cuts(
            &flash,
            &[0, 60, 63],
            |flash| {
                let cell = RefCell::new(flash);
                let region = Region::new(&cell, LAYOUT.boot_log);
                let _ = BootLog::open(region)
                    .unwrap()
                    .append(BootRecord::Confirmed { sequence: 2 });
            },
            |flash, cut| {
                let device = Device(RefCell::new(flash.clone()));
                let first = device.boot().unwrap().info;
                let confirmed = if first.on_trial { 1 } else { 2 };
                decided[usize::from(first.on_trial)] += 1;
                for _ in 0..8 {
                    assert_eq!(device.state().confirmed, Some(confirmed), "{cut:?}, seed {seed}");
                    let booted = sequence(device.boot());
                    assert!(booted >= confirmed, "{cut:?}, seed {seed}");
                }
            },
        );
    }
    assert!(decided[0] > 0 && decided[1] > 0, "both happened: {decided:?}");
}

/// The boot log full to the last cell, so that the attempt's record is also a compaction.
#[test]
fn a_cut_while_the_boot_log_is_compacted_loses_no_decision() {
    let device = Device::shipped().with(Slot::B, 2);
    // The trial goes into the last cell but one, and the last is left out.
    let filler = [BootRecord::Attempt { sequence: 99 }; 53];
    let device = device.logged(&filler).logged(&[BootRecord::Trial {
        sequence: 2,
        slot: Slot::B,
    }]);
    let flash = device.0.into_inner();
    let before = Device(RefCell::new(flash.clone())).state();
    assert_eq!(
        before.trial,
        Some(Trial {
            sequence: 2,
            slot: Slot::B
        })
    );
    let operations = explore_power_cuts(
        &flash,
        &[0, 1, 20, 63, 64, 2000, 4096],
        |flash| {
            let _ = run(&RefCell::new(flash), &LAYOUT, None, &mut |_| {});
        },
        |flash, cut| {
            let after = Device(RefCell::new(flash.clone())).state();
            let attempted = before.after(BootRecord::Attempt { sequence: 2 });
            assert!(after == before || after == attempted, "{cut:?} left {after:?}");
        },
    );
    assert!(operations > 3, "a compaction took place");
}

/// The publisher signed two images with one number, and the gateway exchanges them between arming and boot: both are
/// signed and newer, and they share the attempts of that number.
#[test]
fn two_images_of_one_sequence_number_share_their_trial() {
    let device = Device::updated();
    assert_eq!(sequence(device.boot()), 2);
    let other = image(77);
    let device = device.with_signed(Slot::B, 2, &Signed::right(&other));
    for attempt in 2..=TRIAL_BOOTS_MAX {
        assert_eq!(device.boot().unwrap().info.attempt, attempt);
    }
    assert_eq!(sequence(device.boot()), 1);
    assert!(device.state().reverted.is_some());
}

/// One damaged cell, the header of the log's sector, makes the older sector the log again.
#[test]
fn a_damaged_boot_log_does_not_bring_an_older_image_back() {
    let device = Device::shipped();
    let device = device.logged(&[BootRecord::Attempt { sequence: 99 }; 62]);
    let device = device
        .with(Slot::B, 2)
        .logged(&[BootRecord::Confirmed { sequence: 2 }]);
    let at = LAYOUT.boot_log.offset as usize;
    for damaged in [&[at][..], &[at + 4096], &[at, at + 4096]] {
        let damaged_part = Device(RefCell::new(device.0.borrow().clone()));
        for &cell in damaged {
            damaged_part.0.borrow_mut().bytes_mut()[cell] ^= 1;
        }
        let booted = damaged_part.boot().unwrap();
        assert_eq!((booted.info.sequence, booted.info.on_trial), (2, false));
    }
}

/// A flash that can be read and no longer written: the image on trial is not started uncounted, the confirmed one runs.
/// The worse sort says that all went well.
#[test]
fn a_worn_out_boot_log_still_boots_the_confirmed_image() {
    struct WornOut(SimFlash, Result<(), deltagate_flash::sim::SimFlashError>);
    impl embedded_storage::nor_flash::ErrorType for WornOut {
        type Error = deltagate_flash::sim::SimFlashError;
    }
    impl embedded_storage::nor_flash::ReadNorFlash for WornOut {
        const READ_SIZE: usize = 1;
        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
            self.0.read(offset, bytes)
        }
        fn capacity(&self) -> usize {
            self.0.bytes().len()
        }
    }
    impl NorFlash for WornOut {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = 4096;
        fn erase(&mut self, _: u32, _: u32) -> Result<(), Self::Error> {
            self.1
        }
        fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Self::Error> {
            self.1
        }
    }
    for says in [Err(deltagate_flash::sim::SimFlashError::BitNotErased), Ok(())] {
        let flash = RefCell::new(WornOut(Device::updated().0.into_inner(), says));
        assert_eq!(sequence(run(&flash, &LAYOUT, None, &mut |_| {})), 1);
    }
}
