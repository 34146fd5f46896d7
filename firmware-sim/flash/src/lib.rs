//! What lies where in a device's NOR flash, and how it survives a power cut at any byte.
//!
//! - [`Layout`] names the partitions, [`Region`] is a bounds-checked view of one of them.
//! - [`RecordLog`] is an append-only log of small records over two banks of sectors; [`BootLog`] is the one from which the
//!   bootloader decides, folded into a [`BootLogState`].
//! - [`SlotRegion`] is a firmware slot: a header sector with the signed envelope, the image, a free tail.
//! - [`Hashing`] is a SHA-256 over any part of a region, in bounded steps.
//! - [`Provision`] is what the factory wrote: who the device is and whose signatures it believes.
//! - [`Credentials`] are what it was given to prove that, and [`SequenceLog`] counts what it sends with them.
//! - [`Settings`] are the application's, safe from an image that fails its trial.
//! - [`say`] puts lines for people in pieces, without formatting.
//! - [`BootInfo`] is what the bootloader tells the image it starts, in RAM.
//! - `sim` (feature `sim`) is a flash in host memory that enforces NOR physics and loses power on demand.
//!
//! Left out: wear levelling beyond the two banks of a log, bad blocks (NAND), and any knowledge of what an
//! envelope or an image contains.
//!
//! What a part must do: program whole units and erase whole sectors, leave other units alone when the power goes away in
//! between, and read back what it can. A unit torn by a power cut may read as anything, and differently each time; a driver for
//! a part whose ECC notices that gives the bytes all the same, or any others, and no error. [`TornAsZeros`] makes one of a
//! driver that returns an error.
//!
//! All integers are little-endian. Every structure carries a CRC-32 (ISO-HDLC), which finds what a power cut tore;
//! it protects against accidents only, signatures against people.
//!
//! ```
//! use core::cell::RefCell;
//! use deltagate_flash::{BootLog, BootRecord, Layout, Region, sim::SimFlash};
//!
//! let layout = Layout::EMULATED;
//! let flash = RefCell::new(SimFlash::new(0x12_0000));
//! let region = Region::new(&flash, layout.boot_log);
//! BootLog::open(region).unwrap().append(BootRecord::Confirmed { sequence: 7 }).unwrap();
//! assert_eq!(BootLog::open(region).unwrap().state().confirmed, Some(7));
//! ```

#![no_std]

#[cfg(any(test, feature = "sim"))]
extern crate std;

mod boot_info;
mod boot_log;
mod credentials;
mod hashing;
mod layout;
mod own_key;
mod provision;
mod record_log;
mod region;
pub mod say;
mod sequence_log;
mod settings;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod slot;
mod torn;

pub use boot_info::{BOOT_INFO_BYTES, BootInfo};
pub use boot_log::{
    BootLog, BootLogState, BootRecord, FAILED_TRIALS_MAX, FailedTrials, RevertReason, Reverted,
    TRIAL_BOOTS_MAX, Trial,
};
pub use credentials::{
    CREDENTIALS_BYTES_MAX, Credentials, Name, Stored, credentials_behind, credentials_bytes,
};
pub use hashing::{Hash, Hashing};
pub use layout::{
    ImageOffset, Layout, Partition, Slot, SlotOffset, anchors_bytes, log_bank_bytes, slot_header_bytes,
};
pub use own_key::{OWN_KEY_BYTES, OwnKey, StoredKey, keyed_credentials_behind, keyed_credentials_bytes};
pub use provision::{PROVISION_BYTES, Provision, ProvisionFault, TRUST_ANCHORS_MAX, TRUST_BYTES};
pub use record_log::{
    AppendError, Live, RECORD_BYTES, RECORD_LIVE_MAX, RECORD_PAYLOAD_BYTES_MAX, Record, RecordLog, Records,
};
pub use region::{FlashError, Region};
pub use sequence_log::{Renewed, SEQUENCE_CHUNK, SequenceLog};
pub use settings::{SETTING_BYTES_MAX, SETTINGS_MAX, Setting, Settings};
pub use slot::{ENVELOPE_BYTES_MAX, SlotHeaderFault, SlotRegion};
pub use torn::TornAsZeros;

/// CRC-32/ISO-HDLC without a table: a kilobyte of flash is worth more here than the microseconds.
const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);

/// Puts `part` into `bytes` from `at` on. It fits, as the caller knows; not every optimiser does, and would link a panic for a copy
/// by index.
#[inline]
fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    for (place, &byte) in bytes.iter_mut().skip(at).zip(part) {
        *place = byte;
    }
}

/// The little-endian word at `at`; the caller has already checked that it lies inside.
#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |&word| u32::from_le_bytes(word))
}
