//! The check-in: what a device says of itself and what the gateway answers, as CBOR.
//!
//! A device POSTs a [`CheckIn`] to `/c` and reads an [`Answer`] from the 2.04 that comes back. Both are CBOR maps
//! with small integer keys (Content-Format 60), so that a check-in fits one frame of nearly any link.
//!
//! Reading is strict where laxness would hide an error, and lenient only where tomorrow needs it:
//! - definite lengths only, no duplicate keys, no bytes behind the map, every length and range checked;
//! - an integer key this version does not know is skipped with its value ([`ENTRIES_MAX`] entries in all), so that
//!   an old gateway understands a new device; a key of any other type is refused;
//! - [`Outcome::Other`] keeps an outcome code of a later version, and such an outcome withholds the image.
//!
//! What this crate leaves out: CoAP, what a gateway decides, and the manifest (here it is only bytes).
//!
//! ```
//! use wire_checkin::{Answer, CHECK_IN_BYTES_MAX, CheckIn, DeviceId, DigestPrefix, Format, Formats};
//!
//! let check_in = CheckIn {
//!     device_id: DeviceId::new(&[0x52, 0x54, 0x00, 0x12, 0x34, 0x56]).unwrap(),
//!     vendor_id: [0xaa; 16],
//!     class_id: [0xbb; 16],
//!     running_digest: DigestPrefix::of(&[0x11; 32]),
//!     sequence_number: 7,
//!     slot_capacity_bytes: 520_192,
//!     staging_bytes: None,
//!     erase_sector_bytes: 4_096,
//!     block_szx_max: 5,
//!     round_trip_ms: 0,
//!     decoder_memory_bytes: 16_384,
//!     formats: Formats::of(&[Format::Full, Format::Patch]),
//!     last_update: None,
//!     on_trial: false,
//!     deferral: None,
//!     in_place_reach_bytes: None,
//!     anchors: None,
//!     anchors_waiting: None,
//!     freshness: None,
//! };
//! let mut buffer = [0; CHECK_IN_BYTES_MAX];
//! let body = check_in.encode(&mut buffer).unwrap();
//! assert_eq!(CheckIn::decode(body), Ok(check_in));
//! # let _ = Answer::decode(&[0xa1, 0x01, 0x18, 0x3c]).unwrap();
//! ```
//!
//! # CDDL
//!
//! The text is also in `docs/checkin.cddl`.
//!
//! ```cddl
#![doc = include_str!("../../../docs/checkin.cddl")]
//! ```
//!
//! Modules: `check_in` and `answer` (the two bodies), `deferral`, `device_id`, `format`, `freshness`, `outcome` (their parts), `reader`
//! and `writer` (on top of `wire-cbor`), `error`.
#![no_std]

#[cfg(test)]
extern crate std;

mod answer;
mod check_in;
mod deferral;
mod device_id;
mod digest_prefix;
mod error;
mod format;
mod freshness;
mod outcome;
mod reader;
mod writer;

pub use answer::{
    ANSWER_BYTES_MAX, Answer, ENVELOPE_BYTES_MAX, JOB_PATH_BYTES_MAX, Job, JobPath, STATEMENT_BYTES_MAX,
};
pub use check_in::{CHECK_IN_BYTES_MAX, CheckIn};
pub use deferral::{Deferral, DeferralReason, DeferralStage, Severity};
pub use device_id::{DEVICE_ID_BYTES_MAX, DeviceId, NotADeviceId};
pub use digest_prefix::DigestPrefix;
pub use error::{DecodeError, EncodeError};
pub use format::{Format, Formats};
pub use freshness::Freshness;
pub use outcome::{LastUpdate, Outcome};
pub use reader::ENTRIES_MAX;
