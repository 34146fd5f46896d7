//! Keys in PKCS#11 tokens: made there, and never outside of it. A URI names one (RFC 7512).
//!
//! Modules, which are libraries of others, are loaded for the publisher's commands and for nothing else: the daemon signs nothing.
//!
//! | module | what it is |
//! |---|---|
//! | `uri` | which token, and which key in it |
//! | `module` | the library that speaks with tokens, and the tokens it knows |
//! | `pin`, `prompt` | where the PIN comes from |
//! | `entry` | a session with a token that took the PIN |
//! | `object` | what a token says of its keys |
//! | [`key`], `generate` | a key in a token: it signs, and is made there |
//! | [`list`] | every token, with its keys |
//! | [`error`], `cause` | what cannot be done, and what to do next |

mod cause;
mod entry;
pub mod error;
mod generate;
pub mod key;
pub mod list;
mod module;
mod object;
mod pin;
mod prompt;
mod uri;

pub use cause::Cause;
pub use error::TokenError;
pub use key::TokenKey;
pub use uri::TokenUri;
