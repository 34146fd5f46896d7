//! New keys when a side has lost what it counted: the exchange of RFC 8613 Appendix B.2.
//!
//! ```text
//! client                                        server
//!   │ request 1   ID Context R1                    │ kid context R1
//!   ├─────────────────────────────────────────────▶│
//!   │◀─────────────────────────────────────────────┤ response 1, 4.01, under ID Context R2 ‖ R1; kid context R2
//!   │ request 2   ID Context R2 ‖ R3               │ kid context R2 ‖ R3
//!   ├─────────────────────────────────────────────▶│ R2 is its own: request 2 is fresh
//!   │◀─────────────────────────────────────────────┤ response 2, under the same
//! ```
//!
//! Each R is eight bytes that were never used before; kid contexts are CBOR byte strings. Both sides contribute, so that neither a
//! replay nor a side that repeats itself makes keys that were used. What request 1 asks is not acted on: it may be a replay, and is
//! worth an answer and no more. A server may answer many requests 1 with one R2, until a request 2 is taken: with another R1 they
//! are answered under other keys, and with the same one by the same bytes. So replays take nothing from the true one.
//!
//! The RFC draws them at random. What is needed is that none comes twice, which a count that is stored before it is used has as
//! well: an R is not secret.
//!
//! A side that stores its count needs none of this ([`crate::SenderSequence`]), nor does a server that lost its window
//! ([`crate::ReplayWindow::lost`]). It is for clients with the master secret at hand whose count did not survive. RFC 8613 has no
//! vectors of it, and no peer in our tests speaks it.

use core::fmt;

use wire_coap::{Code, Kind, Message, MessageId, OptionNumber, Token, Writer};

use crate::context::{Announces, Context, SameIds};
use crate::error::{ProtectError, UnprotectError};
use crate::id::{Id, IdContext};
use crate::kdf;
use crate::option::{KidContext, OscoreOption, unwrapped};
use crate::request::Received;
use crate::response::{Awaited, ClientExchange};
use crate::window::ReplayWindow;

/// Eight bytes that were never used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random(pub [u8; Random::BYTES]);

impl Random {
    /// Two make an ID Context.
    pub const BYTES: usize = IdContext::BYTES_MAX / 2;

    const fn id_context(self) -> IdContext {
        IdContext::of(self.0, [])
    }

    /// `self` first.
    const fn and(self, other: Random) -> IdContext {
        IdContext::of(self.0, other.0)
    }
}

/// What both sides have whatever they lost (RFC 8613 §3.2). Borrowed for as long as a context is derived from it.
#[derive(Clone, Copy)]
pub struct Inputs<'k> {
    /// Of any length.
    pub master_secret: &'k [u8],
    /// Of any length, none included.
    pub master_salt: &'k [u8],
    /// Who this side is.
    pub sender_id: Id,
    /// Who the other side is.
    pub recipient_id: Id,
}

impl Inputs<'_> {
    /// The keys of an ID Context, which requests name in a CBOR byte string until they are [`Context::silent`].
    ///
    /// # Errors
    /// [`SameIds`].
    pub fn derive(&self, id_context: IdContext) -> Result<Context, SameIds> {
        self.derive_with(&mut kdf::sha2, id_context)
    }

    /// The same with another's SHA-256, as [`Context::derive_with`].
    ///
    /// # Errors
    /// [`SameIds`].
    pub fn derive_with(&self, sha256: kdf::Sha256<'_>, id_context: IdContext) -> Result<Context, SameIds> {
        Context::derive_announcing(sha256, self, Some(id_context), Announces::Wrapped)
    }
}

/// Derives the keys of an ID Context: [`Inputs::derive`], or [`Inputs::derive_with`].
pub type Derive<'d> = &'d mut dyn FnMut(IdContext) -> Result<Context, SameIds>;

/// The client's side, from request 1 to its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRenewal {
    r1: Random,
}

impl ClientRenewal {
    /// Begins with `r1`.
    #[must_use]
    pub const fn new(r1: Random) -> ClientRenewal {
        ClientRenewal { r1 }
    }

    /// The keys of request 1, and of nothing else: [`Context::protect_request`]. Its number is 0, or any other.
    ///
    /// # Errors
    /// [`SameIds`].
    pub fn context(&self, derive: Derive<'_>) -> Result<Context, SameIds> {
        derive(self.r1.id_context())
    }

    /// Takes response 1; the keys from now on, with `r3` in them. Request 2 is the first under them, and names them; once it is
    /// answered the client may be [`Context::silent`].
    ///
    /// # Errors
    /// [`UnprotectError`]: it was not response 1, which may still come; nothing was changed but the datagram.
    pub fn handle_response(
        &self,
        derive: Derive<'_>,
        exchange: &mut ClientExchange,
        datagram: &mut [u8],
        r3: Random,
    ) -> Result<Context, UnprotectError> {
        let r2 = named(datagram)?;
        let second = derive(r2.and(self.r1));
        let second = second.as_ref().map_err(|SameIds| UnprotectError::OtherContext)?;
        second.hear(exchange, Awaited::Response1, datagram)?;
        derive(r2.and(r3)).map_err(|SameIds| UnprotectError::OtherContext)
    }
}

/// The server's side, from response 1 to request 2: one for each client, until a request 2 is taken. Then another, whose R2 was never
/// used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerRenewal {
    r2: Random,
}

impl ServerRenewal {
    /// Answers with `r2`.
    #[must_use]
    pub const fn new(r2: Random) -> ServerRenewal {
        ServerRenewal { r2 }
    }

    /// Whether a kid context is that of a request 1.
    #[must_use]
    pub fn is_asked(kid_context: &[u8]) -> bool {
        random(kid_context).is_some()
    }

    /// Takes request 1, of a client that was found by its kid, and writes response 1 into `out`: piggybacked if the request was
    /// Confirmable, else Non-confirmable under `message_id`.
    ///
    /// # Errors
    /// [`RenewalError`].
    pub fn answer<'o>(
        &self,
        inputs: &Inputs<'_>,
        datagram: &mut [u8],
        message_id: MessageId,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], RenewalError> {
        let r1 = named(datagram)?;
        let first = inputs.derive(r1.id_context())?;
        // A window of its own: these keys are new with each request 1, unless it is a replay, which is answered all the same.
        let mut window = ReplayWindow::new();
        let Received::Request {
            message,
            mut exchange,
        } = first.unprotect_request(&mut window, datagram)?
        else {
            return Err(UnprotectError::OtherContext.into());
        };
        let (kind, id) = match message.kind() {
            Kind::Confirmable => (Kind::Acknowledgement, message.message_id()),
            _ => (Kind::NonConfirmable, message_id),
        };
        let mut plain = [0; 4 + Token::LENGTH_MAX];
        let plain = Writer::new(&mut plain, kind, Code::UNAUTHORIZED, id, message.token())
            .map_err(ProtectError::Write)?
            .finish();
        let plain = Message::parse(plain).map_err(|_| ProtectError::TooLong)?;
        // The request's nonce under other keys: R2 is in them. What is encrypted is a code, and always this one.
        let second = inputs.derive(self.r2.and(r1))?;
        let kid_context = KidContext {
            bytes: &self.r2.0,
            is_wrapped: true,
        };
        Ok(second.respond(&mut exchange, None, Some(kid_context), &plain, out)?)
    }

    /// The keys that the `kid_context` of a request 2 names; `None` if it does not follow this response 1. The request is to be
    /// verified with them and a new window; only when that succeeds are they the client's keys from now on.
    ///
    /// # Errors
    /// [`SameIds`].
    pub fn keys(&self, inputs: &Inputs<'_>, kid_context: &[u8]) -> Result<Option<Context>, SameIds> {
        match unwrapped(kid_context) {
            Some(both) if both.len() == IdContext::BYTES_MAX && both.starts_with(&self.r2.0) => {
                IdContext::new(both).map(|both| inputs.derive(both)).transpose()
            }
            _ => Ok(None),
        }
    }
}

/// Why a request 1 has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewalError {
    /// The request is none of this exchange, or not authentic.
    Request(UnprotectError),
    /// The response was not written.
    Response(ProtectError),
    /// Misuse.
    Ids(SameIds),
}

impl From<UnprotectError> for RenewalError {
    fn from(error: UnprotectError) -> Self {
        RenewalError::Request(error)
    }
}

impl From<ProtectError> for RenewalError {
    fn from(error: ProtectError) -> Self {
        RenewalError::Response(error)
    }
}

impl From<SameIds> for RenewalError {
    fn from(error: SameIds) -> Self {
        RenewalError::Ids(error)
    }
}

impl fmt::Display for RenewalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RenewalError::Request(error) => error.fmt(f),
            RenewalError::Response(error) => error.fmt(f),
            RenewalError::Ids(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RenewalError {}

/// The R that is the kid context of a message.
fn named(datagram: &[u8]) -> Result<Random, UnprotectError> {
    let message = Message::parse(datagram).map_err(UnprotectError::Coap)?;
    let value = message
        .option(OptionNumber::OSCORE)
        .ok_or(UnprotectError::NotProtected)?;
    let r = OscoreOption::parse(value)?.kid_context.and_then(random);
    r.ok_or(UnprotectError::OtherContext)
}

fn random(kid_context: &[u8]) -> Option<Random> {
    unwrapped(kid_context)?.try_into().ok().map(Random)
}
