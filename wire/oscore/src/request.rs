//! Requests: protected by a client (RFC 8613 §8.1), verified by a server (§8.2).

use wire_coap::{Code, Kind, Message, MessageId, OptionNumber, Token, Writer};

use crate::context::Context;
use crate::error::{ProtectError, UnprotectError};
use crate::id::Id;
use crate::option::{self, SENT_BYTES_MAX};
use crate::response::{ClientExchange, ServerExchange};
use crate::seal::{Envelope, Seal, protect};
use crate::sequence::{FreshPartialIv, PartialIv};
use crate::window::{EchoValue, ReplayWindow, Sight};

/// The request that a message is, or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) kid: Id,
    pub(crate) partial_iv: PartialIv,
}

/// An authentic request.
#[derive(Debug)]
pub enum Received<'d> {
    /// It came for the first time: `message` may be acted on.
    Request {
        /// The plain request, without what stood outside: Uri-Host and Uri-Port, above all.
        message: Message<'d>,
        /// For the response.
        exchange: ServerExchange,
    },
    /// It may be a replay, for the window is lost (Appendix B.1.2). It is not to be acted on, and nothing was changed by it;
    /// its client may prove itself.
    Unproven(Challenge),
}

impl Context {
    /// Writes a plain request, protected, into `out`. Message id, token and kind stay.
    ///
    /// A retransmission is the same bytes again; a request that is asked anew takes another Partial IV.
    ///
    /// # Errors
    /// [`ProtectError`]; the Partial IV is lost then.
    pub fn protect_request<'o>(
        &self,
        fresh: FreshPartialIv,
        plain: &Message<'_>,
        out: &'o mut [u8],
    ) -> Result<(&'o [u8], ClientExchange), ProtectError> {
        if !plain.code().is_request() {
            return Err(ProtectError::Code(plain.code()));
        }
        let bound = Bound {
            kid: *self.sender_id(),
            partial_iv: fresh.spend(),
        };
        let mut room = [0; SENT_BYTES_MAX];
        let piv = Some(bound.partial_iv);
        let option = option::encode(piv, self.announced(), Some(self.sender_id()), &mut room);
        let seal = Seal {
            key: &self.keys().sender_key,
            nonce: self.nonce(&bound.kid, bound.partial_iv),
            request: &bound,
        };
        let sent = protect(&seal, option, plain, out)?;
        let observes = plain.option(OptionNumber::OBSERVE).is_some();
        Ok((sent, ClientExchange::new(bound, observes)))
    }

    /// Verifies a request, decrypts it where it is, and notes in `window` that it came. For a server that found this context by
    /// the kid of [`crate::OscoreOption::parse`].
    ///
    /// # Errors
    /// [`UnprotectError`]: `window` is as it was, unless the error is [`UnprotectError::Inner`], of a request that was authentic.
    pub fn unprotect_request<'d>(
        &self,
        window: &mut ReplayWindow,
        datagram: &'d mut [u8],
    ) -> Result<Received<'d>, UnprotectError> {
        let envelope = Envelope::read(datagram, |message, option| {
            if !message.code().is_request() {
                return Err(UnprotectError::NotProtected);
            }
            let (Some(kid), Some(partial_iv)) = (option.kid, option.partial_iv) else {
                return Err(UnprotectError::Malformed);
            };
            let is_named = option.kid_context.is_none_or(|bytes| self.is_named(bytes));
            if kid != self.recipient_id().as_bytes() || !is_named {
                return Err(UnprotectError::OtherContext);
            }
            Ok((partial_iv, message.head()))
        })?;
        let (partial_iv, request) = envelope.judged;
        let sight = window.judge(partial_iv);
        if sight == Sight::Seen {
            return Err(UnprotectError::Replayed);
        }
        let bound = Bound {
            kid: *self.recipient_id(),
            partial_iv,
        };
        let seal = Seal {
            key: &self.keys().recipient_key,
            nonce: self.nonce(&bound.kid, partial_iv),
            request: &bound,
        };
        let plain = envelope.open(&seal, datagram)?;
        if let Sight::Unknown(echo) = sight {
            let echoed = plain.ok().and_then(|message| message.option(OptionNumber::ECHO));
            if echoed != Some(&echo.0) {
                return Ok(Received::Unproven(Challenge {
                    exchange: ServerExchange::unproven(bound),
                    echo,
                    request,
                }));
            }
        }
        window.note(partial_iv);
        let message = plain?;
        let observes = message.option(OptionNumber::OBSERVE).is_some();
        let exchange = ServerExchange::new(bound, observes);
        Ok(Received::Request { message, exchange })
    }
}

/// What to answer a request that may be a replay: 4.01 with an Echo option, under a Partial IV of the server's own (RFC 8613
/// Appendix B.1.2, RFC 9175 §2.3). The request's nonce is not used: if it is a replay, it was used before.
///
/// A client repeats its request with the option as it came, under a new Partial IV.
#[derive(Debug)]
pub struct Challenge {
    exchange: ServerExchange,
    echo: EchoValue,
    /// Its head.
    request: Message<'static>,
}

impl Challenge {
    /// The longest plain message that is protected here: header, token of 8, Echo of 8 with its two bytes.
    const PLAIN_BYTES_MAX: usize = 4 + Token::LENGTH_MAX + 2 + EchoValue::BYTES;

    /// Writes the answer into `out`: piggybacked on the acknowledgement if the request was Confirmable, else Non-confirmable
    /// under `message_id`, which is the server's to choose.
    ///
    /// # Errors
    /// [`ProtectError`].
    pub fn protect<'o>(
        mut self,
        context: &Context,
        fresh: FreshPartialIv,
        message_id: MessageId,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], ProtectError> {
        let (kind, message_id) = match self.request.kind() {
            Kind::Confirmable => (Kind::Acknowledgement, self.request.message_id()),
            _ => (Kind::NonConfirmable, message_id),
        };
        let mut plain = [0; Challenge::PLAIN_BYTES_MAX];
        let mut writer = Writer::new(
            &mut plain,
            kind,
            Code::UNAUTHORIZED,
            message_id,
            self.request.token(),
        )?;
        writer.option(OptionNumber::ECHO, &self.echo.0)?;
        let plain = Message::parse(writer.finish()).map_err(|_| ProtectError::TooLong)?;
        context.protect_response(&mut self.exchange, Some(fresh), &plain, out)
    }
}
