//! Sets that come in, with real signatures, and with the power going away at every operation, and again while that is mended.

use std::rc::Rc;

use deltagate_flash::sim::{Explorer, Forks, Limits, Probe, SimFlash, Tears, explore_power_cuts};
use deltagate_flash::{BootLog, BootRecord, ImageOffset};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use wire_manifest::{KeyId, Release, SetKey, cosign, write_set};

use super::*;
use crate::{Boot, Recovery, run};

const LAYOUT: Layout = Layout::packed(4096, 4 * 4096).with_anchors();
const VENDOR: [u8; 16] = [1; 16];
const CLASS: [u8; 16] = [2; 16];
const BOTH: Roles = Roles::RELEASE.and(Roles::RECOVERY);

/// The factory's are 1 and 2.
fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn signed(envelope: &[u8], by: &[u8]) -> Vec<u8> {
    let mut signed = envelope.to_vec();
    for seed in by {
        let mut out = [0; 1024];
        let sign = |bytes: &[u8]| key(*seed).sign(bytes).to_bytes();
        signed = cosign(&signed, &mut out, KeyId::of(&public(*seed)), sign)
            .unwrap()
            .to_vec();
    }
    signed
}

fn set(number: u16, least: (u8, u8), of: &[(Roles, u8)], by: &[u8]) -> Vec<u8> {
    bounded_set(number, u32::MAX, least, of, by)
}

fn bounded_set(number: u16, sequence_max: u32, least: (u8, u8), of: &[(Roles, u8)], by: &[u8]) -> Vec<u8> {
    let mut keys: Vec<SetKey> = of
        .iter()
        .map(|(roles, seed)| SetKey::new(*roles, &public(*seed)))
        .collect();
    let mut out = [0; ENVELOPE_BYTES_MAX];
    signed(
        write_set(&mut out, number, None, sequence_max, least, &mut keys).unwrap(),
        by,
    )
}

fn factory() -> Provision {
    Provision::new(VENDOR, CLASS, &[public(1), public(2)]).unwrap()
}

struct Device<F>(RefCell<F>);

impl Device<SimFlash> {
    /// Runs image 1, which key 1 signed.
    fn shipped() -> Self {
        let device = Self(RefCell::new(SimFlash::new(LAYOUT.end_bytes())));
        factory().write(Region::new(&device.0, LAYOUT.provision)).unwrap();
        device
            .with(Slot::A, 1, &[1])
            .logged(BootRecord::Confirmed { sequence: 1 })
    }
}

impl<F: NorFlash> Device<F> {
    fn with(self, slot: Slot, sequence: u32, by: &[u8]) -> Self {
        let image: Vec<u8> = (0..600).map(|at| (at * 7 + sequence) as u8).collect();
        let release = Release {
            sequence_number: sequence.into(),
            vendor_id: VENDOR,
            class_id: CLASS,
            image_digest: Sha256::digest(&image).into(),
            image_size: 600,
            predecessor_min: 0,
            text: None,
            image: None,
        };
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let first = by[0];
        let sign = |bytes: &[u8]| key(first).sign(bytes).to_bytes();
        let envelope = release
            .encode(&mut buffer, KeyId::of(&public(first)), sign)
            .unwrap();
        let envelope = signed(envelope, &by[1..]);
        let region = Region::new(&self.0, LAYOUT.slot(slot));
        region.erase(0, region.bytes()).unwrap();
        SlotRegion::new(region)
            .program_image(ImageOffset(0), &image)
            .unwrap();
        SlotRegion::new(region).write_envelope(&envelope).unwrap();
        self
    }

    fn logged(self, record: BootRecord) -> Self {
        let log = || BootLog::open(Region::new(&self.0, LAYOUT.boot_log)).unwrap();
        log().append(record).unwrap();
        log().settle().unwrap();
        self
    }

    fn on_trial(self, sequence: u32, by: &[u8]) -> Self {
        self.on_trial_in(Slot::B, sequence, by)
    }

    fn on_trial_in(self, slot: Slot, sequence: u32, by: &[u8]) -> Self {
        self.with(slot, sequence, by)
            .logged(BootRecord::Trial { sequence, slot })
    }

    fn place(&self, nth: u32) -> SlotRegion<'_, F> {
        let bytes = SlotRegion::<F>::HEADER_BYTES;
        let region = Region::new(&self.0, LAYOUT.anchors.unwrap());
        SlotRegion::new(region.sub(nth * bytes, bytes).unwrap())
    }

    /// What an agent does.
    fn receives(&self, envelope: &[u8]) {
        self.place(CAME_IN).erase_header().unwrap();
        self.place(CAME_IN).write_envelope(envelope).unwrap();
    }

    fn copies(&self) -> [Option<Vec<u8>>; 2] {
        [0, 1].map(|nth| {
            let mut buffer = [0; ENVELOPE_BYTES_MAX];
            self.place(nth).envelope(&mut buffer).ok().map(<[u8]>::to_vec)
        })
    }

    fn boot(&self) -> Result<Boot, Recovery> {
        run(&self.0, &LAYOUT, None, &mut |_| {})
    }

    fn number(&self) -> u16 {
        self.boot().unwrap().provision.number
    }
}

/// Sequence number of what starts, and under which set.
fn started(boot: Result<Boot, Recovery>) -> (u32, u16) {
    let boot = boot.unwrap();
    (boot.image.sequence, boot.provision.number)
}

#[test]
fn without_a_set_the_factorys_keys_are_in_force() {
    let device = Device::shipped();
    let before = device.0.borrow().bytes().to_vec();
    let boot = device.boot().unwrap();
    assert_eq!(boot.provision, factory());
    assert!(device.0.borrow().bytes() == before, "nothing is written");
}

#[test]
fn a_newer_set_is_taken_and_both_copies_have_it() {
    let device = Device::shipped();
    let first = set(
        1,
        (1, 1),
        &[(Roles::RELEASE, 1), (Roles::RELEASE, 7), (Roles::RECOVERY, 2)],
        &[2],
    );
    device.receives(&first);
    let provision = device.boot().unwrap().provision;
    assert_eq!((provision.number, provision.trust_anchors().len()), (1, 2));
    assert_eq!(provision.recovery_keys(&mut [[0; 32]; 4]), [public(2)]);
    assert_eq!(device.copies(), [Some(first.clone()), Some(first)]);
    assert_eq!(
        device.place(CAME_IN).envelope(&mut [0; 512]),
        Err(SlotHeaderFault::Blank)
    );
    let before = device.0.borrow().bytes().to_vec();
    assert_eq!(device.number(), 1);
    assert!(
        device.0.borrow().bytes() == before,
        "and nothing is written again"
    );
    // One that missed nine of them.
    device.receives(&set(
        10,
        (1, 1),
        &[(Roles::RELEASE, 1), (Roles::RECOVERY, 2)],
        &[2],
    ));
    assert_eq!(device.number(), 10);
}

#[test]
fn what_is_not_to_be_taken_changes_nothing() {
    let device = Device::shipped();
    device.receives(&set(
        5,
        (1, 1),
        &[(Roles::RELEASE, 1), (Roles::RECOVERY, 2)],
        &[2],
    ));
    assert_eq!(device.number(), 5);
    let copies = device.copies();
    let of = [(Roles::RELEASE, 1), (Roles::RECOVERY, 2)];
    for refused in [
        set(5, (1, 1), &[(BOTH, 1), (BOTH, 2)], &[2]),
        set(4, (1, 1), &of, &[2]),
        set(6, (1, 1), &[(BOTH, 1), (BOTH, 2)], &[1]),
        set(6, (1, 1), &[(Roles::RELEASE, 1), (BOTH, 9)], &[9]),
        set(6, (1, 1), &of, &[]),
        set(6, (1, 2), &[(BOTH, 1), (BOTH, 2)], &[1, 2]),
        b"no envelope".to_vec(),
    ] {
        device.receives(&refused);
        assert_eq!(device.number(), 5);
        assert_eq!(device.copies(), copies);
    }
}

#[test]
fn what_a_revoked_key_signed_starts_only_if_it_was_confirmed() {
    let revoked = set(
        1,
        (1, 1),
        &[(Roles::RELEASE, 7), (Roles::RETIRED, 1), (Roles::RECOVERY, 2)],
        &[2],
    );
    let device = Device::shipped().on_trial(2, &[1]);
    device.receives(&revoked);
    assert_eq!(started(device.boot()), (1, 1), "the trial is over");
    assert!(!device.boot().unwrap().info.on_trial);
    // The new key's images do.
    let device = device.on_trial(3, &[7]);
    assert_eq!(started(device.boot()), (3, 1));
    // With the confirmed image gone, what the revoked key signed does not stand in for it.
    let device = Device::shipped();
    device.receives(&revoked);
    assert_eq!(device.number(), 1);
    let device = device.with(Slot::B, 2, &[1]);
    SlotRegion::new(Region::new(&device.0, LAYOUT.slot_a))
        .erase_header()
        .unwrap();
    assert_eq!(device.boot(), Err(Recovery::NoImage));
}

#[test]
fn a_set_that_would_leave_no_image_waits_until_one_has_come() {
    let device = Device::shipped();
    device.receives(&set(
        1,
        (1, 1),
        &[(Roles::RELEASE, 7), (Roles::RECOVERY, 2)],
        &[2],
    ));
    assert_eq!(started(device.boot()), (1, 0));
    // A newer image by keys of both sets.
    let device = device.on_trial(2, &[1, 7]);
    assert_eq!(started(device.boot()), (2, 0));
    let device = device.logged(BootRecord::Confirmed { sequence: 2 });
    assert_eq!(started(device.boot()), (2, 1));
}

#[test]
fn a_release_needs_as_many_keys_as_the_set_says() {
    let device = Device::shipped();
    let of = [
        (Roles::RELEASE, 1),
        (Roles::RELEASE, 7),
        (Roles::RELEASE, 8),
        (Roles::RECOVERY, 2),
    ];
    let device = device
        .on_trial(2, &[1, 8])
        .logged(BootRecord::Confirmed { sequence: 2 });
    device.receives(&set(1, (2, 1), &of, &[2]));
    assert_eq!(started(device.boot()), (2, 1));
    let device = device.on_trial_in(Slot::A, 3, &[7]);
    assert_eq!(started(device.boot()), (2, 1));
    let device = device.on_trial_in(Slot::A, 4, &[7, 8]);
    assert_eq!(started(device.boot()), (4, 1));
}

#[test]
fn nothing_above_the_highest_number_starts_but_what_was_confirmed() {
    let of = [(Roles::RELEASE, 1), (Roles::RECOVERY, 2)];
    let device = Device::shipped();
    device.receives(&bounded_set(1, 10, (1, 1), &of, &[2]));
    let device = device.on_trial(11, &[1]);
    assert_eq!(started(device.boot()), (1, 1));
    let device = device.on_trial(10, &[1]);
    assert_eq!(started(device.boot()), (10, 1));
    let device = device.logged(BootRecord::Confirmed { sequence: 10 });
    // The bound goes below what runs, and above it again: who used the numbers up is not followed by a visit to each device.
    device.receives(&bounded_set(2, 5, (1, 1), &of, &[2]));
    assert_eq!(started(device.boot()), (10, 2));
    device.receives(&bounded_set(3, 20, (1, 1), &of, &[2]));
    let device = device.on_trial_in(Slot::A, 11, &[1]);
    assert_eq!(started(device.boot()), (11, 3));
}

#[test]
fn one_damaged_copy_is_mended_and_takes_nothing_back() {
    for damaged in [0, 1] {
        let device = Device::shipped();
        for number in [1, 2] {
            device.receives(&set(
                number,
                (1, 1),
                &[(Roles::RELEASE, 1), (Roles::RECOVERY, 2)],
                &[2],
            ));
            assert_eq!(device.number(), number);
        }
        let sound = device.copies();
        device.place(damaged).erase_header().unwrap();
        device.place(damaged).write_envelope(b"anything").unwrap();
        assert_eq!(device.number(), 2);
        assert_eq!(device.copies(), sound);
    }
}

#[test]
fn with_both_copies_lost_only_the_confirmed_image_starts() {
    let device = Device::shipped();
    device.receives(&set(
        1,
        (1, 1),
        &[(Roles::RELEASE, 7), (Roles::RETIRED, 1), (Roles::RECOVERY, 2)],
        &[2],
    ));
    assert_eq!(device.number(), 1);
    for nth in [0, 1] {
        device.place(nth).erase_header().unwrap();
        device.place(nth).write_envelope(b"anything").unwrap();
    }
    let device = device.on_trial(2, &[1]);
    let boot = device.boot().unwrap();
    assert_eq!((boot.image.sequence, boot.info.on_trial), (1, false));
    // It has its set back as soon as it comes again.
    device.receives(&set(
        1,
        (1, 1),
        &[(Roles::RELEASE, 7), (Roles::RETIRED, 1), (Roles::RECOVERY, 2)],
        &[2],
    ));
    assert_eq!(started(device.boot()), (1, 1));
}

#[test]
fn with_both_copies_lost_and_no_confirmed_image_nothing_starts() {
    let device = Device::shipped();
    for nth in [0, 1] {
        device.place(nth).write_envelope(b"anything").unwrap();
    }
    SlotRegion::new(Region::new(&device.0, LAYOUT.slot_a))
        .erase_header()
        .unwrap();
    let device = device.with(Slot::B, 2, &[1]);
    assert_eq!(device.boot(), Err(Recovery::NoImage));
}

/// Which set was in force at a boot that went to its end: it never goes back.
type Seen = u16;

fn explore(seed: u64, initial: &[u16]) {
    const NEXT: u16 = 9;
    let of = [(Roles::RELEASE, 7), (Roles::RETIRED, 1), (Roles::RECOVERY, 2)];
    let device = Device::shipped();
    for &number in initial {
        device.receives(&set(number, (1, 1), &[(BOTH, 1), (BOTH, 2)], &[1]));
        assert_eq!(device.number(), number);
    }
    let (old, next) = (device.number(), set(NEXT, (1, 1), &of, &[2]));
    let limits = Limits {
        depth: 2,
        tears: Tears::Few,
        states_max: None,
        deeper_max: None,
        seed,
    };
    let settled = |device: &Device<Probe<Seen, 4, 4096>>, forks: &Rc<RefCell<Forks<Seen, 4, 4096>>>| {
        let mut provision = factory();
        let is_damaged = settle(&device.0, &LAYOUT, &mut provision, Some(1));
        let seen = forks.borrow().world;
        assert!(
            !is_damaged && provision.number >= seen,
            "{} after {seen}",
            provision.number
        );
        assert!(provision.number == old || provision.number == NEXT);
        let expected = if provision.number == NEXT { 1 } else { 2 };
        assert_eq!(provision.trust_anchors().len(), expected, "no mixture");
        forks.borrow_mut().world = provision.number;
    };
    let mut initial = device.0.into_inner();
    initial.seed(seed);
    let explorer = Explorer::new(limits, old);
    let (explored, _) = explorer.explore(initial, |probe, forks, depth| {
        let device = Device(RefCell::new(probe));
        if depth > 0 {
            settled(&device, forks);
        }
        // The gateway gives it again to a device that does not have it.
        if forks.borrow().world != NEXT {
            device.receives(&next);
        }
        settled(&device, forks);
        forks.borrow_mut().enabled = false;
        settled(&device, forks);
        assert_eq!(forks.borrow().world, NEXT);
        assert_eq!(device.copies(), [Some(next.clone()), Some(next.clone())]);
        device.0.into_inner().flash
    });
    assert!(
        explored.operations >= 6 && explored.cuts > explored.operations,
        "{explored:?}"
    );
    println!("seed {seed}, from {old}: {explored:?}");
}

#[test]
fn after_every_two_power_cuts_the_old_set_is_in_force_or_the_new_one() {
    for seed in 0..3 {
        explore(seed, &[]);
        explore(seed, &[3]);
    }
}

#[test]
fn a_cut_while_a_damaged_copy_is_mended_does_not_cost_the_other() {
    for damaged in [0, 1] {
        let device = Device::shipped();
        for number in [1, 2] {
            device.receives(&set(
                number,
                (1, 1),
                &[(Roles::RELEASE, 1), (Roles::RECOVERY, 2)],
                &[2],
            ));
            assert_eq!(device.number(), number);
        }
        device.place(damaged).erase_header().unwrap();
        let number = |flash: &mut SimFlash| {
            let mut provision = factory();
            settle(&RefCell::new(flash), &LAYOUT, &mut provision, Some(1));
            provision.number
        };
        let operations = explore_power_cuts(
            &device.0.into_inner(),
            &[0, 1, 20, 200, 2_000, 4_096],
            |flash| {
                number(flash);
            },
            |flash, cut| assert_eq!(number(flash), 2, "{cut:?}"),
        );
        assert!(operations > 2);
    }
}
