//! Strict CBOR (RFC 8949), read and written in place: what manifest and check-in are made of.
//!
//! [`Reader`] takes definite lengths only, and of the simple values false, true, null and undefined; it copies nothing, knows
//! no recursion and cannot panic. [`Writer`] writes the shortest heads, which is what deterministic encoding
//! (RFC 8949 §4.2.1) asks of a writer; the order of a map's keys is its caller's.
//!
//! It is a crate of its own because a bootloader has to be small: heads are read in one place, and errors say nothing but
//! whose fault they are. What an item means, how many there may be and whether a key may stand twice is for
//! `wire-manifest` and `wire-checkin` to say. Left out: floating point, indefinite lengths, other simple values.
//!
//! ```
//! use wire_cbor::{Reader, Writer};
//!
//! let mut buffer = [0; 16];
//! let mut writer = Writer::new(&mut buffer);
//! writer.map(1).uint(4).bytes(b"kid");
//! let written = writer.finish().unwrap();
//!
//! let mut reader = Reader::new(written);
//! assert_eq!((reader.map(), reader.int(), reader.bytes()), (Ok(1), Ok(4), Ok(&b"kid"[..])));
//! assert!(reader.is_at_end());
//! ```
//!
//! Modules: `reader`, `writer`.
#![no_std]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

mod reader;
mod writer;

pub use reader::{Fault, Kind, Reader};
pub use writer::Writer;

/// What the three upper bits of an item's first byte say (RFC 8949 §3.1).
mod major {
    pub(crate) const UNSIGNED: u8 = 0;
    pub(crate) const NEGATIVE: u8 = 1;
    pub(crate) const BYTES: u8 = 2;
    pub(crate) const TEXT: u8 = 3;
    pub(crate) const ARRAY: u8 = 4;
    pub(crate) const MAP: u8 = 5;
    pub(crate) const TAG: u8 = 6;
}

/// The simple values we know (RFC 8949 §3.3), as first bytes.
mod simple {
    pub(crate) const FALSE: u8 = 0xF4;
    pub(crate) const TRUE: u8 = 0xF5;
    pub(crate) const NULL: u8 = 0xF6;
    pub(crate) const UNDEFINED: u8 = 0xF7;
}
