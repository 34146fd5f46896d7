//! Responses: protected by a server (RFC 8613 §8.3), verified by a client (§8.4); and what each side keeps of a request until then.

use wire_coap::{Message, OptionNumber};

use crate::context::Context;
use crate::error::{ProtectError, UnprotectError};
use crate::option;
use crate::request::Bound;
use crate::seal::{Envelope, Seal, protect};
use crate::sequence::{FreshPartialIv, PartialIv};

/// What a client keeps of a request to know its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientExchange {
    request: Bound,
    state: ClientState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    /// One response is awaited.
    Waiting,
    /// It came.
    Answered,
    /// An observation, with its Notification Number (RFC 8613 §7.4.1).
    Observing { newest: Option<PartialIv> },
}

impl ClientExchange {
    pub(crate) const fn new(request: Bound, observes: bool) -> ClientExchange {
        ClientExchange {
            request,
            state: if observes {
                ClientState::Observing { newest: None }
            } else {
                ClientState::Waiting
            },
        }
    }

    /// The Partial IV of the newest notification that came: the order of notifications is the order of these.
    #[must_use]
    pub const fn notification_number(&self) -> Option<PartialIv> {
        match self.state {
            ClientState::Observing { newest } => newest,
            ClientState::Waiting | ClientState::Answered => None,
        }
    }
}

/// What a server keeps of a request to protect its response.
///
/// One response may be made with the request's nonce, which costs nothing on the wire. There is no copying this: a second
/// response with the same nonce would give the key stream away.
#[derive(Debug, PartialEq, Eq)]
pub struct ServerExchange {
    request: Bound,
    /// Whether the request's nonce is still to be had.
    is_nonce_free: bool,
    observes: bool,
}

impl ServerExchange {
    pub(crate) const fn new(request: Bound, observes: bool) -> ServerExchange {
        ServerExchange {
            request,
            is_nonce_free: true,
            observes,
        }
    }

    /// The request's number. Requests come in any order within the window: who acts on the newest only compares this with
    /// [`crate::ReplayWindow::highest`], which is it then, or with the number acted on last.
    #[must_use]
    pub const fn partial_iv(&self) -> PartialIv {
        self.request.partial_iv
    }

    /// Of a request that may be a replay: its nonce may be spent.
    pub(crate) const fn unproven(request: Bound) -> ServerExchange {
        ServerExchange {
            request,
            is_nonce_free: false,
            observes: false,
        }
    }
}

impl Context {
    /// Writes a plain response, protected, into `out`. Without a Partial IV of its own it takes the request's nonce, once.
    ///
    /// A retransmission is the same bytes again, kept by the message layer: not the same response protected again.
    ///
    /// # Errors
    /// [`ProtectError`]; [`ProtectError::OwnPartialIvNeeded`] for a notification without one, and where the nonce is spent. After
    /// any other the nonce counts as spent.
    pub fn protect_response<'o>(
        &self,
        exchange: &mut ServerExchange,
        fresh: Option<FreshPartialIv>,
        plain: &Message<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], ProtectError> {
        self.respond(exchange, fresh, None, plain, out)
    }

    /// The same with a kid context, which only Appendix B.2 has in a response.
    pub(crate) fn respond<'o>(
        &self,
        exchange: &mut ServerExchange,
        fresh: Option<FreshPartialIv>,
        kid_context: Option<&[u8]>,
        plain: &Message<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], ProtectError> {
        if !plain.code().is_response() {
            return Err(ProtectError::Code(plain.code()));
        }
        let notifies = plain.option(OptionNumber::OBSERVE).is_some();
        let Bound { kid, partial_iv } = exchange.request;
        let own = match fresh {
            Some(fresh) => Some(fresh.spend()),
            None if exchange.is_nonce_free && !notifies => None,
            None => return Err(ProtectError::OwnPartialIvNeeded),
        };
        if notifies && !exchange.observes {
            return Err(ProtectError::Option(OptionNumber::OBSERVE));
        }
        let nonce = match own {
            Some(own) => self.nonce(self.sender_id(), own),
            None => {
                exchange.is_nonce_free = false;
                self.nonce(&kid, partial_iv)
            }
        };
        let seal = Seal::new(&self.keys().sender_key, nonce, &exchange.request);
        protect(
            &seal,
            option::encode(own, kid_context, None).as_slice(),
            plain,
            out,
        )
    }

    /// Verifies a response and decrypts it where it is. The caller found `exchange` by the token, as without OSCORE.
    ///
    /// # Errors
    /// [`UnprotectError`]; the exchange is as it was, and the response may still come. [`UnprotectError::NotProtected`] is worth
    /// noting: some of a server's refusals (§8.2) are plain, and anybody can send those.
    pub fn unprotect_response<'d>(
        &self,
        exchange: &mut ClientExchange,
        datagram: &'d mut [u8],
    ) -> Result<Message<'d>, UnprotectError> {
        self.hear(exchange, false, datagram)
    }

    /// The same of a response with a kid context, which only Appendix B.2 has.
    pub(crate) fn hear<'d>(
        &self,
        exchange: &mut ClientExchange,
        has_kid_context: bool,
        datagram: &'d mut [u8],
    ) -> Result<Message<'d>, UnprotectError> {
        let envelope = Envelope::read(datagram, |_| true)?;
        if !envelope.code.is_response() {
            return Err(UnprotectError::NotProtected);
        }
        if envelope.kid.is_some() || envelope.has_kid_context != has_kid_context {
            return Err(UnprotectError::Malformed);
        }
        let own = envelope.partial_iv;
        match exchange.state {
            ClientState::Answered => return Err(UnprotectError::Replayed),
            // §7.4.1, §8.4.2: of notifications only what is newer.
            ClientState::Observing { newest: Some(newest) } if own.is_none_or(|own| own <= newest) => {
                return Err(UnprotectError::Replayed);
            }
            ClientState::Waiting | ClientState::Observing { .. } => {}
        }
        let Bound { kid, partial_iv } = exchange.request;
        let nonce = match own {
            Some(own) => self.nonce(self.recipient_id(), own),
            None => self.nonce(&kid, partial_iv),
        };
        let seal = Seal::new(&self.keys().recipient_key, nonce, &exchange.request);
        envelope.open(&seal, datagram)?;
        let message = envelope.plain(datagram)?;
        let notifies = message.option(OptionNumber::OBSERVE).is_some();
        exchange.state = match (exchange.state, own, notifies) {
            (ClientState::Observing { .. }, Some(own), true) => ClientState::Observing { newest: Some(own) },
            // §8.4.2: an observation of nobody's, or without a number to order it by.
            (_, _, true) => return Err(UnprotectError::Inner),
            // Any other response ends an observation as well.
            (_, _, false) => ClientState::Answered,
        };
        Ok(message)
    }
}
