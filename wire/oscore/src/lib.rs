//! OSCORE (RFC 8613) as both ends speak it: CoAP messages encrypted and authenticated end to end, found by who sent them and not
//! from where.
//!
//! It allocates nothing, reads no clock, draws no random number and never panics on bytes from the network. One algorithm:
//! AES-CCM-16-64-128 with HKDF-SHA-256, which every implementation has. What must not happen twice cannot be written down
//! twice: a [`FreshPartialIv`] and a [`ServerExchange`]'s nonce are used up by being used.
//!
//! ```
//! use wire_coap::{Code, Kind, Message, MessageId, Token, Writer};
//! use wire_oscore::{Context, Id, Received, ReplayWindow, SenderSequence};
//!
//! let (device, gateway) = (Id::new(b"d1").expect("short"), Id::new(b"g").expect("short"));
//! let secret = b"sixteen bytes or";
//! let client = Context::derive(secret, b"salt", None, device, gateway)?;
//! let server = Context::derive(secret, b"salt", None, gateway, device)?;
//!
//! // Numbers are stored as used before they are.
//! let mut sequence = SenderSequence::resume(0);
//! let end = sequence.reservation(1, 64).expect("nothing is reserved yet");
//! sequence.reserved(end);
//!
//! let (mut plain, mut datagram) = ([0; 64], [0; 96]);
//! let token = Token::from_u32(7);
//! let mut request = Writer::new(&mut plain, Kind::Confirmable, Code::GET, MessageId(1), token)?;
//! request.uri_path("k3Tq9Za")?;
//! let request = Message::parse(request.finish()).expect("what the writer writes, the reader accepts");
//! let partial_iv = sequence.take().expect("reserved above");
//! let (sent, mut exchange) = client.protect_request(partial_iv, &request, &mut datagram)?;
//!
//! let mut arrived = sent.to_vec();
//! let mut window = ReplayWindow::new();
//! let Received::Request { message, exchange: mut answer } = server.unprotect_request(&mut window, &mut arrived)?
//! else {
//!     unreachable!("the window is known");
//! };
//! assert!(message.path_is(&["k3Tq9Za"]));
//!
//! let response = Writer::new(&mut plain, Kind::Acknowledgement, Code::CONTENT, MessageId(1), token)?;
//! let response = Message::parse(response.finish()).expect("as above");
//! let mut datagram = [0; 96];
//! let sent = server.protect_response(&mut answer, None, &response, &mut datagram)?;
//! let mut arrived = sent.to_vec();
//! let message = client.unprotect_response(&mut exchange, &mut arrived)?;
//! assert_eq!(message.code(), Code::CONTENT);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A server
//!
//! 1. [`wire_coap::Message::parse`], then the value of option 9 through [`OscoreOption::parse`]: its `kid` (and `kid_context`) find
//!    the [`Context`]. The address finds nothing.
//! 2. A duplicate is the message layer's: a Confirmable that came before is answered with the bytes that answered it
//!    ([`wire_coap::DuplicateWindow`]). Here it would be a replay.
//! 3. [`Context::unprotect_request`] with the context's [`ReplayWindow`]; [`Context::protect_response`] with the exchange.
//! 4. After a restart every window is [`ReplayWindow::lost`]: the first request of each client costs one more round trip, with an
//!    Echo option. Sequence numbers of the server's own, from a [`SenderSequence`], are used for these answers only.
//!
//! # What of RFC 8613 is here
//!
//! | section | |
//! |---|---|
//! | 3 contexts, 3.2 derivation, 3.3 ids | yes; master secret and salt of any length, ID Context up to 16 bytes |
//! | 4.1 classes of options | yes, [`class()`]. Proxy-Uri is refused, not taken apart. Uri-Host and Uri-Port stay outside, where nobody reads them |
//! | 4.1.3.4 block-wise | inside, where each block is verified. Messages cut outside by a proxy are refused |
//! | 4.1.3.5 Observe | registrations and notifications; not cancellations by a request |
//! | 5, 6 COSE object and its compression | yes; a Partial IV with zeros in front is refused |
//! | 7.2 sequence numbers, 7.4 replays, 7.5 lost state | [`SenderSequence`], [`ReplayWindow`] of 64 |
//! | 8 processing | yes |
//! | 10 proxies, 11 HTTP | no |
//! | Appendix B.1.1, B.1.2 | yes: [`SenderSequence`], [`ReplayWindow::lost`], [`Challenge`] |
//! | Appendix B.2 | yes: [`renewal`], for sides that have the master secret and never use an R twice |
//! | Appendix C | every vector, byte by byte, in the tests |
//! | Group OSCORE, EDHOC | no |
//!
//! # What it costs
//!
//! A response without a Partial IV is 11 bytes longer than the plain one, whatever is in it: option 1, payload marker 1, code 1,
//! tag 8. A request is longer by that and its option's value: flags 1, Partial IV 1 to 3 for the first 16 million requests, kid;
//! less the payload marker if it has a payload anyway.

#![no_std]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

mod aad;
mod ccm;
mod class;
mod context;
mod error;
mod id;
mod kdf;
mod option;
pub mod renewal;
mod request;
mod response;
mod seal;
mod sequence;
mod window;

/// What it computes with, for EDHOC, whose cipher suite 2 has the same: a device has each once.
pub mod primitives {
    pub use crate::ccm::{Ccm, KEY_BYTES, NONCE_BYTES, TAG_BYTES, TEXT_BYTES_MAX};
    pub use crate::kdf::{HASH_BYTES, Sha256, extract, hmac};
}

pub use class::{Class, class};
pub use context::{Context, Keys, SameIds};
pub use error::{ProtectError, UnprotectError};
pub use id::{Id, IdContext};
pub use option::{OptionFault, OscoreOption};
pub use request::{Challenge, Received};
pub use response::{ClientExchange, ServerExchange};
pub use sequence::{FreshPartialIv, PartialIv, SenderSequence};
pub use window::{EchoValue, ReplayWindow};

/// How much longer a protected message can be than the plain one: an OSCORE option with two bytes in front (its length is above
/// 12), the longest value, payload marker, code, tag.
pub const OVERHEAD_BYTES_MAX: usize = 2 + option::SENT_BYTES_MAX + 1 + 1 + ccm::TAG_BYTES;
