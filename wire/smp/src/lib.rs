//! SMP, the Simple Management Protocol of mcumgr, over a serial line: the part that a bootloader in recovery speaks.
//!
//! Three layers, each of which knows only the one below as bytes:
//!
//! ```text
//! line     06 09 │ base64 … │ 0A        the first of a message        at most 127 bytes
//!          04 14 │ base64 … │ 0A        each one after it
//! packet   length u16 │ message │ crc16 of message     length counts message and crc; CRC-16/XMODEM
//! message  0 version and operation   1 flags 0   2 length of body u16   4 group u16   6 sequence   7 command   8 body
//!          version << 3 │ operation: 0 read, 1 answer to it, 2 write, 3 answer to it
//! body     one CBOR map with texts as keys
//! ```
//!
//! All integers are big-endian. Text between packets is no error: a console shares the line, and both readers pass over it.
//! [`MessageReader`] finds messages among bytes, [`packet`] and [`line`] write them; [`Header`], [`Request`], and [`Answer`] or
//! [`Response`] are what is in them. Readers are liberal where clients differ: maps of indefinite length, keys in any order, keys that nobody knows.
//!
//! | group | command | request | answer |
//! |---|---|---|---|
//! | 0 OS | 0 echo, write | `d` text | `r` the same |
//! | | 5 reset, write | | empty, then the device restarts |
//! | | 6 parameters, read | | `buf_size`, `buf_count` |
//! | | 8 bootloader, read | ? `query` text | `bootloader` text, ? `response`: [`RecoveryInfo`] |
//! | 1 image | 0 state, read | | `images`: what verifies, [`Image`] |
//! | | 1 upload, write | [`Upload`] | `off`: what to send next |
//! | any | refused | | `rc`: [`ErrorCode`], `rsn`: why, for people |
//!
//! Source: the SMP specification in Zephyr's documentation (device management: SMP protocol, SMP transport, OS and image
//! groups), protocol versions 1 and 2. Errors have the shape of version 1 for either version, which clients of version 2
//! have to understand too; it is the only one with a text.
//!
//! Left out: statistics, files, shell and whatever else a running application would offer; UDP and BLE.
//!
//! ```
//! use wire_smp::{Header, LINE_BYTES_MAX, MessageReader, Request, line, packet};
//!
//! let mut buffer = [0; 64];
//! let packet = packet(&mut buffer, |room| Request::Echo { text: b"hello" }.encode(7, room)).unwrap();
//! let mut line_buffer = [0; LINE_BYTES_MAX];
//! let line = line(packet, 0, &mut line_buffer).unwrap();
//!
//! let mut reader = MessageReader::<128>::new();
//! let message = line.iter().find_map(|&byte| reader.push(byte).map(<[u8]>::to_vec)).unwrap();
//! let (header, body) = Header::parse(&message).unwrap();
//! assert_eq!(Request::parse(&header, body), Ok(Request::Echo { text: b"hello" }));
//! ```
#![no_std]

#[cfg(test)]
extern crate std;

mod cbor;
mod console;
mod header;
mod request;
mod response;

pub use console::{LINE_BYTES_MAX, MessageReader, PACKET_OVERHEAD_BYTES, line, packet};
pub use header::{Command, HEADER_BYTES, Header, Operation};
pub use request::{RECOVERY_QUERY, Request, UPLOAD_OVERHEAD_BYTES_MAX, Upload};
pub use response::{Answer, ErrorCode, Image, RecoveryInfo, Response};

/// The message does not fit the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSpace;

impl core::fmt::Display for NoSpace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("message does not fit its buffer")
    }
}

impl core::error::Error for NoSpace {}
