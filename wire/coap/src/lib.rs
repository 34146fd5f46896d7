//! CoAP as both ends speak it: bounded zero-copy codec, block-wise transfer, reliability as state machines.
//!
//! One codec for gateway and device. It allocates nothing, copies nothing but tokens and entity tags, reads no
//! clock and never panics on bytes from the network. It is strict where RFC 7252 says MUST and says in
//! [`ParseError`] which clause was broken; [`reject`] turns a refused datagram into the Reset it deserves, if any.
//!
//! Left out: CoAP over TCP (RFC 8323), observe sequence numbers, URIs, Block1 reassembly, Q-Block (RFC 9177).
//! DTLS and OSCORE are layers around this crate.
//!
//! ```
//! use wire_coap::{BlockSize, BlockValue, Code, Kind, Message, MessageId, OptionNumber, Token, Writer};
//!
//! let mut buffer = [0u8; 64];
//! let token = Token::new(&[0x2a]).expect("one byte fits a token");
//! let mut request = Writer::new(&mut buffer, Kind::Confirmable, Code::GET, MessageId(7), token)?;
//! request.uri_path("i")?;
//! request.block(OptionNumber::BLOCK2, BlockValue::first(BlockSize::B64))?;
//! let datagram = request.finish();
//!
//! let message = Message::parse(datagram).expect("what the writer writes, the reader accepts");
//! assert!(message.path_is(&["i"]));
//! assert_eq!(message.block2(), Ok(Some(BlockValue::first(BlockSize::B64))));
//! # Ok::<(), wire_coap::WriteError>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`code`] | the fixed header's values: [`Kind`], [`Code`], [`MessageId`], [`Token`] |
//! | [`option`] | [`OptionNumber`] and its properties, [`ContentFormat`], [`ETag`] |
//! | [`message`] | [`Message`]: the reader; [`reject`] |
//! | [`writer`] | [`Writer`], and the four-byte messages |
//! | [`block`] | [`BlockValue`] and the stateless server's [`slice()`] |
//! | [`fetch`] | [`Block2Fetch`]: the client's side of a block-wise GET |
//! | [`retransmission`] | [`TransmissionParameters`], [`Retransmission`] |
//! | [`duplicate`] | [`DuplicateWindow`] |

#![no_std]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

pub mod block;
pub mod code;
pub mod duplicate;
pub mod fetch;
pub mod message;
pub mod option;
pub mod retransmission;
pub mod writer;

pub use block::{BlockError, BlockNumber, BlockSize, BlockSlice, BlockValue, SliceError, slice};
pub use code::{Code, Kind, MessageId, Token};
pub use duplicate::{DuplicateWindow, Observed};
pub use fetch::{Block2Fetch, FetchError, FetchPlan, FetchedBlock, Taken};
pub use message::{
    Message, MessageOption, OPTIONS_MAX, OptionError, OptionFault, Options, ParseError, reject,
};
pub use option::{ContentFormat, ETag, OptionNumber};
pub use retransmission::{Ratio, Reply, Retransmission, TimeoutAction, TransmissionParameters, scatter};
pub use writer::{WriteError, Writer, empty_acknowledgement, ping, reset};
