//! Files taken and refused; what all tests of recovery share.

mod anchors;
mod power_cuts;
mod protocol;

use std::string::{String, ToString};
use std::vec::Vec;

use deltagate_flash::sim::SimFlash;
use deltagate_flash::{BootLog, BootRecord};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use wire_manifest::{Anchor, RELEASE_OVERHEAD_BYTES_MAX, Release, Text};
use wire_smp::{Command, ErrorCode, Header, LINE_BYTES_MAX, MessageReader, Request, Response, line, packet};

use super::*;
use crate::{Recovery, run};
use core::cell::RefCell;
use deltagate_flash::{Layout, Provision, Region, Slot, SlotRegion};

const SECTOR: usize = 4096;
const LAYOUT: Layout = Layout::packed(4096, 5 * 4096).with_anchors();
const VENDOR: [u8; 16] = [1; 16];
const CLASS: [u8; 16] = [2; 16];
/// Whole sectors and something, one sector of it blank by itself.
const IMAGE_BYTES: usize = 3 * SECTOR + 100;

fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn image() -> Vec<u8> {
    let mut image: Vec<u8> = (0..IMAGE_BYTES).map(|at| (at * 7 + at / 256) as u8).collect();
    image[SECTOR..2 * SECTOR].fill(0xFF);
    image
}

/// A file as the publisher's tool makes it.
struct File {
    key: SigningKey,
    vendor: [u8; 16],
    class: [u8; 16],
    sequence: u32,
    predecessor_min: u64,
    description: &'static str,
    image: Vec<u8>,
    digest: Option<[u8; 32]>,
}

impl File {
    fn right() -> Self {
        Self {
            key: publisher(),
            vendor: VENDOR,
            class: CLASS,
            sequence: 5,
            predecessor_min: 0,
            description: "a text that no device needs",
            image: image(),
            digest: None,
        }
    }

    /// No sector of its image is blank.
    fn solid() -> Self {
        Self {
            image: std::vec![0x5A; IMAGE_BYTES],
            ..Self::right()
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.with_image(Some(&self.image))
    }

    fn with_image(&self, image: Option<&[u8]>) -> Vec<u8> {
        let release = Release {
            sequence_number: self.sequence.into(),
            vendor_id: self.vendor,
            class_id: self.class,
            image_digest: self.digest.unwrap_or_else(|| Sha256::digest(&self.image).into()),
            image_size: self.image.len() as u32,
            predecessor_min: self.predecessor_min,
            text: Some(Text {
                version: Some("5.0.0"),
                description: Some(self.description),
            }),
            image,
        };
        let anchor = Anchor {
            key: self.key.verifying_key().to_bytes(),
        };
        let mut buffer = std::vec![0; RELEASE_OVERHEAD_BYTES_MAX + self.image.len()];
        let sign = |bytes: &[u8]| self.key.sign(bytes).to_bytes();
        release
            .encode(&mut buffer, anchor.key_id(), sign)
            .unwrap()
            .to_vec()
    }
}

/// Provisioned, image 5 was confirmed and is gone.
fn device() -> SimFlash {
    let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
    let anchors = [publisher().verifying_key().to_bytes()];
    let provision = Provision::new(VENDOR, CLASS, &anchors).unwrap();
    provision.write(Region::new(&flash, LAYOUT.provision)).unwrap();
    let mut log = BootLog::open(Region::new(&flash, LAYOUT.boot_log)).unwrap();
    log.append(BootRecord::Confirmed { sequence: 5 }).unwrap();
    let mut flash = flash.into_inner();
    // What lies in the slots is not blank: what order sectors are erased in shows.
    for slot in Slot::BOTH {
        let slot = LAYOUT.slot(slot);
        flash.bytes_mut()[slot.offset as usize..][..slot.bytes as usize].fill(0x33);
    }
    flash.restart();
    flash
}

/// A client, and the line to a device that was just switched on.
struct Client<'f, F: NorFlash> {
    server: RecoveryServer<'f, F>,
    reader: MessageReader<1024>,
    sequence: u8,
    sent_bytes: usize,
}

use embedded_storage::nor_flash::NorFlash;

impl<'f, F: NorFlash> Client<'f, F> {
    fn new(flash: &'f RefCell<F>) -> Self {
        Self::of_device(flash, Recovery::NoImage)
    }

    fn of_device(flash: &'f RefCell<F>, reason: Recovery) -> Self {
        Self::of(flash, Slots::Two, reason)
    }

    fn of(flash: &'f RefCell<F>, slots: Slots, reason: Recovery) -> Self {
        Self {
            server: RecoveryServer::new(flash, &LAYOUT, slots, reason),
            reader: MessageReader::new(),
            sequence: 0,
            sent_bytes: 0,
        }
    }

    /// Sends a message and gives the body of the answer.
    fn ask(&mut self, request: &Request<'_>) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut buffer = [0; PACKET_BYTES_MAX];
        let packet = packet(&mut buffer, |room| request.encode(self.sequence, room)).unwrap();
        let mut line_buffer = [0; LINE_BYTES_MAX];
        let mut number = 0;
        while let Some(line) = line(packet, number, &mut line_buffer) {
            line.iter().for_each(|&byte| {
                self.server.handle_byte(byte);
            });
            number += 1;
        }
        let mut answers = Vec::new();
        while let Some(line) = self.server.poll_transmit() {
            let messages = line
                .iter()
                .filter_map(|&byte| self.reader.push(byte).map(<[u8]>::to_vec));
            answers.extend(messages);
        }
        assert_eq!(answers.len(), 1, "one answer to {request:?}");
        let (header, body) = Header::parse(&answers[0]).unwrap();
        assert_eq!(header.sequence, self.sequence);
        assert_eq!(Some(header.operation), request.command().0.response());
        body.to_vec()
    }

    fn piece(&mut self, piece: wire_smp::Upload<'_>) -> Result<u32, (ErrorCode, String)> {
        self.sent_bytes += piece.data.len();
        let body = self.ask(&Request::Upload(piece));
        match Response::parse(Command::IMAGE_UPLOAD, &body) {
            Some(Response::Upload { offset }) => Ok(offset),
            Some(Response::Refused { code, reason }) => Err((code, reason.to_string())),
            other => panic!("{other:?}"),
        }
    }

    /// As mcumgr's clients do: pieces of `piece_bytes` until `stop` of the file is there, wherever the device says to go on.
    fn upload_until(
        &mut self,
        file: &[u8],
        piece_bytes: usize,
        stop: usize,
    ) -> Result<usize, (ErrorCode, String)> {
        let sha = Sha256::digest(file);
        let mut at = 0;
        for _ in 0..100_000 {
            let is_first = at == 0;
            at = self.piece(wire_smp::Upload {
                offset: at as u32,
                data: &file[at..(at + piece_bytes).min(file.len())],
                length: is_first.then_some(file.len() as u32),
                sha: is_first.then_some(&sha),
            })? as usize;
            if at >= stop {
                return Ok(at);
            }
        }
        panic!("no end of it");
    }

    fn upload(&mut self, file: &[u8], piece_bytes: usize) -> Result<usize, (ErrorCode, String)> {
        self.upload_until(file, piece_bytes, file.len())
    }
}

fn made(message: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 200];
    let packet = packet(&mut buffer, |room| {
        room[..message.len()].copy_from_slice(message);
        Ok(message.len())
    });
    packet.unwrap().to_vec()
}

fn boots<F: NorFlash>(flash: &RefCell<F>) -> Result<(Slot, u32), Recovery> {
    run(flash, &LAYOUT, None, &mut |_| {}).map(|boot| (boot.image.slot, boot.image.sequence))
}

#[test]
fn a_signed_file_in_pieces_of_any_length_is_taken_and_boots() {
    let file = File::right().bytes();
    for piece_bytes in [1, 32, 200, 900] {
        let flash = RefCell::new(device());
        assert_eq!(boots(&flash), Err(Recovery::NoImage));
        let mut client = Client::new(&flash);
        assert_eq!(client.upload(&file, piece_bytes), Ok(file.len()));
        assert_eq!(boots(&flash), Ok((Slot::A, 5)));
    }
}

/// Image 5 runs in `slot`, and crashed.
fn crashed_device(slot: Slot) -> SimFlash {
    let flash = RefCell::new(device());
    let mut image = image();
    image.resize(image.len().next_multiple_of(4), 0xFF);
    let region = SlotRegion::new(Region::new(&flash, LAYOUT.slot(slot)));
    Region::new(&flash, LAYOUT.slot(slot))
        .erase(0, LAYOUT.slot_a.bytes)
        .unwrap();
    region
        .program_image(deltagate_flash::ImageOffset(0), &image)
        .unwrap();
    let file = File::right().bytes();
    let mut reader = wire_manifest::ReleaseReader::new();
    reader.push(&file).unwrap();
    region.write_envelope(reader.release().unwrap().0).unwrap();
    BootLog::open(Region::new(&flash, LAYOUT.boot_log))
        .unwrap()
        .settle()
        .unwrap();
    flash.into_inner()
}

/// Whether the boot after silence is of `slot`, and on trial.
fn boots_from<F: NorFlash>(flash: &RefCell<F>) -> (Slot, u32, bool) {
    let boot = run(flash, &LAYOUT, None, &mut |_| {}).unwrap();
    (boot.image.slot, boot.image.sequence, boot.info.on_trial)
}

fn newer() -> File {
    File {
        sequence: 6,
        ..File::solid()
    }
}

#[test]
fn beside_an_image_that_crashed_a_newer_one_is_put_on_trial() {
    for slot in Slot::BOTH {
        let flash = RefCell::new(crashed_device(slot));
        let before = flash.borrow().bytes().to_vec();
        let mut client = Client::of_device(&flash, Recovery::Crashed(slot));
        for (file, words) in [
            (File::solid(), "the image is not newer than the confirmed one"),
            (
                File {
                    sequence: 4,
                    ..File::solid()
                },
                "the image is not newer than the confirmed one",
            ),
            (
                File {
                    sequence: 9,
                    predecessor_min: 6,
                    ..File::solid()
                },
                "the image has to follow a newer one than the confirmed one",
            ),
        ] {
            let refused = client.upload(&file.bytes(), 500).unwrap_err();
            assert_eq!(refused, (ErrorCode::AccessDenied, words.to_string()));
        }
        assert_eq!(flash.borrow().bytes(), &before[..], "nothing changed before that");
        let file = newer().bytes();
        assert_eq!(client.upload(&file, 500), Ok(file.len()));
        let running = LAYOUT.slot(slot);
        let running = running.offset as usize..(running.offset + running.bytes) as usize;
        assert_eq!(flash.borrow().bytes()[running.clone()], before[running]);
        for _ in 0..deltagate_flash::TRIAL_BOOTS_MAX {
            assert_eq!(boots_from(&flash), (slot.other(), 6, true));
        }
        assert_eq!(boots_from(&flash), (slot, 5, false), "it did not prove itself");
    }
}

/// The way out: 5 was confirmed and is gone, so there is nothing that 9 would follow.
#[test]
fn where_nothing_starts_an_image_is_taken_whatever_it_may_follow() {
    let last = File {
        sequence: 9,
        predecessor_min: 6,
        ..File::right()
    };
    let flash = RefCell::new(device());
    Client::new(&flash).upload(&last.bytes(), 500).unwrap();
    assert_eq!(boots_from(&flash), (Slot::A, 9, true));
}

#[test]
fn each_sector_is_erased_once_and_none_more_than_the_image_needs() {
    let flash = RefCell::new(device());
    let before = flash.borrow().wear().to_vec();
    Client::new(&flash).upload(&File::right().bytes(), 300).unwrap();
    let wear = flash.borrow().wear().to_vec();
    let slot_a = LAYOUT.slot_a.offset as usize / SECTOR;
    let written = slot_a..slot_a + 1 + IMAGE_BYTES.div_ceil(SECTOR);
    for (sector, (after, before)) in wear.iter().zip(&before).enumerate() {
        assert_eq!(
            after - before,
            u32::from(written.contains(&sector)),
            "sector {sector}"
        );
    }
}

#[test]
fn a_client_that_begins_again_goes_on_where_the_device_is() {
    let file = File::right().bytes();
    let flash = RefCell::new(device());
    let mut client = Client::new(&flash);
    let reached = client.upload_until(&file, 500, 6_000).unwrap();
    assert_eq!(
        client.upload_until(&file, 500, reached),
        Ok(reached),
        "without a byte sent twice"
    );
    client.upload(&file, 500).unwrap();
    assert_eq!(
        client.upload_until(&file, 500, file.len()),
        Ok(file.len()),
        "it is there already"
    );
    assert_eq!(boots(&flash), Ok((Slot::A, 5)));
}

#[test]
fn a_piece_that_is_not_due_changes_nothing() {
    let file = File::right().bytes();
    let flash = RefCell::new(device());
    let mut client = Client::new(&flash);
    let piece = |offset: usize| wire_smp::Upload {
        offset: offset as u32,
        data: &file[offset..offset + 100],
        ..wire_smp::Upload::default()
    };
    assert_eq!(
        client.piece(piece(4_000)),
        Ok(0),
        "after a restart nothing is known"
    );
    let reached = client.upload_until(&file, 500, 6_000).unwrap();
    for offset in [reached - 500, reached + 500] {
        assert_eq!(client.piece(piece(offset)), Ok(reached as u32));
    }
    let operations = flash.borrow().operations();
    assert_eq!(client.piece(piece(reached)), Ok(reached as u32 + 100));
    assert!(flash.borrow().operations() <= operations + 1);
}

/// Identity is the envelope, which covers text and image: whatever clients call their files.
#[test]
fn only_the_same_release_is_gone_on_with() {
    let other_text = File {
        description: "another text",
        ..File::solid()
    };
    let mut other_image = File::solid();
    other_image.image[0] ^= 1;
    for (file, is_other) in [(File::solid(), false), (other_text, true), (other_image, true)] {
        let flash = RefCell::new(device());
        let begun = Client::new(&flash).upload_until(&File::solid().bytes(), 500, IMAGE_BYTES);
        assert!(begun.is_ok());
        let mut client = Client::new(&flash);
        client.upload(&file.bytes(), 500).unwrap();
        assert_eq!(client.sent_bytes >= IMAGE_BYTES, is_other);
        assert_eq!(boots(&flash), Ok((Slot::A, 5)));
    }
}

/// The usual reason for recovery: a bit fell over in what ran here.
#[test]
fn the_image_that_was_damaged_is_taken_anew() {
    let file = File::solid();
    let flash = RefCell::new(device());
    Client::new(&flash).upload(&file.bytes(), 500).unwrap();
    flash.borrow_mut().bytes_mut()[LAYOUT.slot_a.offset as usize + SECTOR + 9] ^= 1;
    assert_eq!(boots(&flash), Err(Recovery::NoImage));
    let mut client = Client::new(&flash);
    // It looks like an upload cut short near its end; the digest says that it is not, and the next try begins anew.
    assert_eq!(
        client.upload(&file.bytes(), 500).unwrap_err().0,
        ErrorCode::Corrupt
    );
    assert_eq!(client.upload(&file.bytes(), 500), Ok(file.bytes().len()));
    assert_eq!(boots(&flash), Ok((Slot::B, 5)));
}

#[test]
fn what_is_not_for_this_device_is_refused_before_a_byte_of_flash_changes() {
    let stranger = File {
        key: SigningKey::from_bytes(&[8; 32]),
        ..File::right()
    };
    let vendor = File {
        vendor: CLASS,
        ..File::right()
    };
    let class = File {
        class: VENDOR,
        ..File::right()
    };
    let older = File {
        sequence: 4,
        ..File::right()
    };
    let mut large = File::right();
    large.image = std::vec![0; LAYOUT.image_capacity_bytes() as usize + 1];
    let mut forged = File::right().bytes();
    forged[60] ^= 1;
    let longer = [&File::right().bytes()[..], b"trailing"].concat();
    let detached = File::right().with_image(None);
    for (file, code, words) in [
        (
            stranger.bytes(),
            ErrorCode::AccessDenied,
            "no signature is by a trusted key",
        ),
        (
            vendor.bytes(),
            ErrorCode::AccessDenied,
            "the image is for another vendor",
        ),
        (
            class.bytes(),
            ErrorCode::AccessDenied,
            "the image is for another class",
        ),
        (
            older.bytes(),
            ErrorCode::AccessDenied,
            "the image is not newer than the confirmed one",
        ),
        (
            large.bytes(),
            ErrorCode::NoMemory,
            "the signed size does not fit the slot",
        ),
        (
            detached,
            ErrorCode::Invalid,
            "the file has neither an image nor a newer set of keys for this device",
        ),
        (longer, ErrorCode::Invalid, "the file is no signed image"),
        (image(), ErrorCode::Invalid, "the file is no signed image"),
    ] {
        let flash = RefCell::new(device());
        let before = flash.borrow().bytes().to_vec();
        let refused = Client::new(&flash).upload(&file, 400).unwrap_err();
        assert_eq!(refused, (code, words.to_string()));
        assert_eq!(flash.borrow().bytes(), before, "{words}");
    }
    let flash = RefCell::new(device());
    let refused = Client::new(&flash).upload(&forged, 400).unwrap_err();
    assert_eq!(refused.0, ErrorCode::AccessDenied);
    assert_eq!(flash.borrow().operations(), 0);
}

#[test]
fn newer_than_confirmed_is_taken_and_has_to_prove_itself() {
    let newer = File {
        sequence: 6,
        ..File::right()
    };
    let flash = RefCell::new(device());
    Client::new(&flash).upload(&newer.bytes(), 500).unwrap();
    let boot = run(&flash, &LAYOUT, None, &mut |_| {}).unwrap();
    assert!(boot.info.on_trial);
    assert_eq!(boot.info.sequence, 6);
}

#[test]
fn an_image_that_is_not_the_signed_one_does_not_stay() {
    let file = File {
        digest: Some([0xEE; 32]),
        ..File::right()
    };
    let flash = RefCell::new(device());
    let refused = Client::new(&flash).upload(&file.bytes(), 500).unwrap_err();
    assert_eq!(
        refused,
        (ErrorCode::Corrupt, "the image is not the signed one".to_string())
    );
    assert_eq!(boots(&flash), Err(Recovery::NoImage));
    let slot = SlotRegion::new(Region::new(&flash, LAYOUT.slot_a));
    assert!(
        slot.envelope(&mut [0; deltagate_flash::ENVELOPE_BYTES_MAX])
            .is_err()
    );
}

#[test]
fn a_device_that_cannot_check_takes_nothing_and_says_why() {
    let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
    let mut client = Client::new(&flash);
    let refused = client.upload(&File::right().bytes(), 500).unwrap_err();
    assert_eq!(
        refused,
        (ErrorCode::BadState, "the device is not provisioned".to_string())
    );
    assert_eq!(flash.borrow().operations(), 0);
}

/// A part of which a sector in slot A takes no more.
struct Worn(SimFlash);
impl embedded_storage::nor_flash::ErrorType for Worn {
    type Error = deltagate_flash::sim::SimFlashError;
}
impl embedded_storage::nor_flash::ReadNorFlash for Worn {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.0.bytes().len()
    }
}
impl NorFlash for Worn {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0.erase(from, to)
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        match offset == LAYOUT.slot_a.offset + 2 * SECTOR as u32 {
            true => Err(deltagate_flash::sim::SimFlashError::BitNotErased),
            false => self.0.write(offset, bytes),
        }
    }
}

/// The second try lands in slot B.
#[test]
fn a_worn_out_slot_is_left_for_the_other() {
    let flash = RefCell::new(Worn(device()));
    let mut client = Client::new(&flash);
    let file = File::right().bytes();
    let refused = client.upload(&file, 500).unwrap_err();
    assert_eq!(
        refused,
        (ErrorCode::Unknown, "the flash reported an error".to_string())
    );
    assert_eq!(client.upload(&file, 500), Ok(file.len()));
    assert_eq!(boots(&flash), Ok((Slot::B, 5)));
}

/// What lies where others have slot B is not the bootloader's.
#[test]
fn the_only_slot_is_written_over_and_nothing_else_is() {
    let beside = |flash: &SimFlash| flash.bytes()[LAYOUT.slot_b.offset as usize..].to_vec();
    for reason in [Recovery::Crashed(Slot::A), Recovery::Unproven] {
        for file in [File::solid(), newer()] {
            let flash = RefCell::new(crashed_device(Slot::A));
            let before = beside(&flash.borrow());
            let mut client = Client::of(&flash, Slots::One, reason);
            assert_eq!(client.upload(&file.bytes(), 500), Ok(file.bytes().len()));
            assert_eq!(boots(&flash), Ok((Slot::A, file.sequence)));
            assert!(beside(&flash.borrow()) == before);
        }
        let worn = RefCell::new(Worn(crashed_device(Slot::A)));
        let before = beside(&worn.borrow().0);
        let mut client = Client::of(&worn, Slots::One, reason);
        for _ in 0..2 {
            let refused = client.upload(&newer().bytes(), 500).unwrap_err();
            assert_eq!(refused.0, ErrorCode::Unknown);
        }
        assert!(beside(&worn.borrow().0) == before);
    }
}
