//! EDHOC (RFC 9528) as both ends speak it: from keys of their own, and without a shared secret, to the keys of OSCORE.
//!
//! The responder, a gateway, is a thin layer over [lakers](https://docs.rs/lakers), which does the protocol; the initiator, a device, is
//! ours, so that two implementations meet in every test. Messages are read strictly before either sees them
//! ([`guard`](MESSAGE_1_BYTES_MAX) says why), ephemeral keys and connection identifiers come in from outside, what is held between two
//! messages is a value, secrets are wiped, and the input of the OSCORE context comes out. It allocates nothing, reads no clock, draws no
//! random number, and does not panic on bytes from the network. The feature `responder`, on by default, is what needs lakers.
//!
//! ```
//! use wire_edhoc::{Credential, Hello, Initiator, PrivateKey};
//! use wire_oscore::Id;
//!
//! // Each side holds a key, and knows the other's public one.
//! let (device, gateway) = (PrivateKey::of_seed(&[1; 32])?, PrivateKey::of_seed(&[2; 32])?);
//! let cred_i = Credential::new(&[0xAB, 0xCD], device.public())?;
//! let cred_r = Credential::new(&[0], gateway.public())?;
//!
//! let (initiator, message_1) = Initiator::start(&PrivateKey::of_seed(&[3; 32])?, Id::EMPTY)?;
//!
//! let hello = Hello::read(message_1.as_bytes())?;
//! let c_r = Id::new(&[0x0B, 0xEE]).expect("short");
//! let (half_open, message_2) = hello.answer(&gateway, &cred_r, &PrivateKey::of_seed(&[4; 32])?, c_r)?;
//!
//! let (proved, message_3) = initiator.answer(message_2.as_bytes(), &device, &cred_i, &cred_r)?;
//!
//! let claim = half_open.open(message_3.as_bytes())?;
//! assert_eq!(claim.kid(), [0xAB, 0xCD]);
//! let accepted = claim.verify(&cred_i)?;
//! assert!(accepted.established == proved.established);
//! # Ok::<(), wire_edhoc::Fault>(())
//! ```
//!
//! # What of it is here
//!
//! | RFC | |
//! |---|---|
//! | 9528 §3.2 methods | 3: both with static Diffie-Hellman keys. It has the shortest messages, and is what lakers does |
//! | §3.6 cipher suites | 2: AES-CCM-16-64-128, SHA-256, MACs of 8 bytes, P-256 |
//! | §3.5 credentials | raw public keys in CWT Claims Sets, named by a kid; not by value, no certificates |
//! | §3.8 external data | none; what is critical is refused, what is not is ignored up to 16 bytes |
//! | §5 messages 1 to 4, §6 errors | yes |
//! | Appendix A.1 OSCORE | yes: [`Established`] |
//! | Appendix A.2 CoAP | the payloads: [`Payload`]. The initiator is the client |
//! | Appendix H key update | no: a new handshake has forward secrecy and costs little more |
//! | 9668 §3 combined request | yes: [`split`], [`combine`] |
//! | 9529 §3 traces | every message, byte by byte, in the tests |
//!
//! Departs from RFC 9528 §5.4.3 in one thing: a message_3 that does not decrypt does not end the handshake. Whoever did not send
//! message_1 cannot make one that does, so it says nothing about the initiator, and would only let others end handshakes.
//!
//! # What it costs
//!
//! | message | bytes, for kids of 8 (an EUI) and 1, no C_I, a C_R of 2 |
//! |---|---|
//! | message_1 | 37 |
//! | message_2 | 47 |
//! | message_3 | 28 |
//! | message_4 | 9 |

#![no_std]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

#[cfg(feature = "responder")]
mod any_bytes;
mod credential;
#[cfg(feature = "responder")]
mod crypto;
mod curve;
mod error;
mod established;
mod guard;
mod initiator;
mod key;
mod message;
#[cfg(feature = "responder")]
mod responder;
mod schedule;
mod transport;

#[cfg(feature = "responder")]
pub use any_bytes::any_bytes;
pub use credential::{CREDENTIAL_BYTES_MAX, Credential, KID_BYTES_MAX};
pub use error::Fault;
pub use established::{Established, SALT_BYTES, SECRET_BYTES};
pub use guard::{MESSAGE_1_BYTES_MAX, MESSAGE_2_BYTES_MAX, MESSAGE_3_BYTES_MAX, MESSAGE_4_BYTES_MAX};
pub use initiator::{Initiator, Proved};
pub use key::{KEY_BYTES, PrivateKey, PublicKey};
pub use message::Sent;
#[cfg(feature = "responder")]
pub use responder::{Accepted, Claim, HalfOpen, Hello};
pub use transport::{ANSWER, PATH, Payload, REQUEST, combine, is_combined, split};
