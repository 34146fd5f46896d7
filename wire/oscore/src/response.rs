//! Responses: protected by a server (RFC 8613 §8.3), verified by a client (§8.4); and what each side keeps of a request until then.

use wire_coap::{Code, Message, OptionNumber};

use crate::context::Context;
use crate::error::{ProtectError, UnprotectError};
use crate::option::{self, KidContext, SENT_BYTES_MAX};
use crate::request::Bound;
use crate::seal::{Envelope, Seal, protect};
use crate::sequence::{FreshPartialIv, PartialIv};

/// What a client keeps of a request to know its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientExchange {
    request: Bound,
    observes: bool,
    /// Of an observation, its Notification Number (RFC 8613 §7.4.1).
    newest: Option<PartialIv>,
    /// No response is awaited any more, nor a notification.
    is_over: bool,
}

impl ClientExchange {
    pub(crate) const fn new(request: Bound, observes: bool) -> ClientExchange {
        ClientExchange {
            request,
            observes,
            newest: None,
            is_over: false,
        }
    }

    /// The Partial IV of the newest notification that came: the order of notifications is the order of these.
    #[must_use]
    pub const fn notification_number(&self) -> Option<PartialIv> {
        self.newest
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

/// What a client hears.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// A response without a kid context.
    Response,
    /// 4.01 with a kid context: Appendix B.2.
    Response1,
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
        kid_context: Option<KidContext<'_>>,
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
        let seal = Seal {
            key: &self.keys().sender_key,
            nonce,
            request: &exchange.request,
        };
        let mut room = [0; SENT_BYTES_MAX];
        protect(
            &seal,
            option::encode(own, kid_context, None, &mut room),
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
        self.hear(exchange, Awaited::Response, datagram)
    }

    /// The same, also of response 1.
    pub(crate) fn hear<'d>(
        &self,
        exchange: &mut ClientExchange,
        awaited: Awaited,
        datagram: &'d mut [u8],
    ) -> Result<Message<'d>, UnprotectError> {
        let envelope = Envelope::read(datagram, |message, option| {
            if !message.code().is_response() {
                return Err(UnprotectError::NotProtected);
            }
            if option.kid.is_some() || option.kid_context.is_some() != (awaited == Awaited::Response1) {
                return Err(UnprotectError::Malformed);
            }
            Ok(option.partial_iv)
        })?;
        let own = envelope.judged;
        // §7.4.1, §8.4.2: of notifications only what is newer.
        let is_behind = exchange.newest.is_some() && own <= exchange.newest;
        if exchange.is_over || is_behind {
            return Err(UnprotectError::Replayed);
        }
        let request = &exchange.request;
        let seal = Seal {
            key: &self.keys().recipient_key,
            nonce: match own {
                Some(own) => self.nonce(self.recipient_id(), own),
                None => self.nonce(&request.kid, request.partial_iv),
            },
            request,
        };
        let message = envelope.open(&seal, datagram)??;
        if awaited == Awaited::Response1 && message.code() != Code::UNAUTHORIZED {
            return Err(UnprotectError::Inner);
        }
        match message.option(OptionNumber::OBSERVE) {
            // Any other response ends an observation as well.
            None => (exchange.newest, exchange.is_over) = (None, true),
            Some(_) if exchange.observes && own.is_some() => exchange.newest = own,
            // §8.4.2: an observation of nobody's, or without a number to order it by.
            Some(_) => return Err(UnprotectError::Inner),
        }
        Ok(message)
    }
}
