//! OSCORE between the client and the link (RFC 8613), for a device that was given credentials; without them, messages go as they
//! are.
//!
//! | | |
//! |---|---|
//! | a request | is protected once, under a number reserved in flash before. A retransmission is the same bytes |
//! | the response to it | is believed if it is protected, bound to this request, and authentic. Anything else with its token is as if it had not come: the true one may still come |
//! | 4.01 with an Echo option | of a gateway that restarted and cannot tell replays: the same is asked again at once, with the option; once |
//! | empty messages | acknowledge and reject as ever: OSCORE protects requests and responses, not the message layer |

use core::cell::RefCell;

use deltagate_flash::{AppendError, Credentials, Hash, Name, Region, SEQUENCE_CHUNK, SequenceLog};
use deltagate_services::Services;
use embedded_storage::nor_flash::NorFlash;
use wire_coap::{Code, Message, OptionNumber, Token, WriteError, Writer};
use wire_oscore::{ClientExchange, Context, Id, IdContext, SenderSequence};

use crate::client::PLAIN_BYTES_MAX;
use crate::config::Config;
use crate::core::FlashFailed;
use crate::services::Hasher;

/// The longest Echo value that is repeated. RFC 9175 allows 40 bytes; ours have 8, aiocoap's too.
const ECHO_BYTES_MAX: usize = 16;
/// Reserves when nothing is left: the write comes with a request, whose round trip is longer.
const SPARE: u32 = 1;

/// What is between client and link.
#[derive(Debug)]
pub(crate) struct Channel {
    secured: Option<Secured>,
}

/// With credentials.
#[derive(Debug)]
struct Secured {
    context: Context,
    sequence: SenderSequence,
    /// The request that awaits its response.
    exchange: Option<ClientExchange>,
    /// What the gateway asked to be echoed.
    echo: Option<Name<ECHO_BYTES_MAX>>,
}

/// A datagram that is no message, or none to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Malformed,
    NotBelieved,
}

/// Writes the plain request; its length.
pub(crate) type Write<'w> = &'w mut dyn FnMut(&Channel, &mut [u8]) -> Result<usize, WriteError>;

impl Channel {
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { secured: None };
    /// How much longer a request is on the link: what OSCORE adds, and an Echo option with its two bytes.
    pub(crate) const OVERHEAD_BYTES_MAX: usize = wire_oscore::OVERHEAD_BYTES_MAX + 2 + ECHO_BYTES_MAX;

    /// Reads the credentials, derives the keys, and looks how far their numbers are used.
    #[inline(never)]
    pub(crate) fn open<F: NorFlash>(
        services: &dyn Services,
        flash: &RefCell<F>,
        config: &Config,
    ) -> Result<Self, FlashFailed> {
        let mut channel = Self { secured: None };
        let Some(partition) = config.credentials else {
            return Ok(channel);
        };
        let region = Region::new(flash, partition);
        if let Some(context) = Credentials::read(region)?.and_then(|stored| context(services, &stored)) {
            channel.secured = Some(Secured {
                context,
                sequence: SenderSequence::resume(SequenceLog::open(region)?.end()),
                exchange: None,
                echo: None,
            });
        }
        Ok(channel)
    }

    /// Reserves numbers in flash when there are none left for the next request.
    pub(crate) fn reserve<F: NorFlash>(
        &mut self,
        flash: &RefCell<F>,
        config: &Config,
    ) -> Result<(), FlashFailed> {
        let (Some(secured), Some(partition)) = (&mut self.secured, config.credentials) else {
            return Ok(());
        };
        if let Some(end) = secured.sequence.reservation(SPARE, SEQUENCE_CHUNK) {
            SequenceLog::open(Region::new(flash, partition))?.reserve(end)?;
            secured.sequence.reserved(end);
        }
        Ok(())
    }

    /// Puts the request that `write` writes into `into` as it goes onto the link; its length.
    #[inline(never)]
    pub(crate) fn request(&mut self, into: &mut [u8], write: Write<'_>) -> Result<usize, WriteError> {
        if self.secured.is_none() {
            return write(self, into);
        }
        let mut plain = [0; PLAIN_BYTES_MAX + 2 + ECHO_BYTES_MAX];
        let length = write(self, &mut plain)?;
        let plain = plain.get(..length).map(Message::parse);
        // `Core` reserves before it asks: without a number there is nothing to send.
        let (Some(secured), Some(Ok(plain))) = (&mut self.secured, plain) else {
            return Err(WriteError::BufferTooSmall);
        };
        let fresh = secured.sequence.take().ok_or(WriteError::BufferTooSmall)?;
        let protected = secured.context.protect_request(fresh, &plain, into);
        let (sent, exchange) = protected.map_err(|_| WriteError::BufferTooSmall)?;
        secured.exchange = Some(exchange);
        Ok(sent.len())
    }

    /// Writes the options that a request has because of this channel. Their numbers are above all others.
    pub(crate) fn options(&self, writer: &mut Writer<'_>) -> Result<(), WriteError> {
        match self.secured.as_ref().and_then(|secured| secured.echo.as_ref()) {
            Some(echo) => writer.option(OptionNumber::ECHO, echo.as_bytes()),
            None => Ok(()),
        }
    }

    /// Reads a datagram; `awaited` is the token of the request under way.
    #[inline(never)]
    pub(crate) fn read<'d>(
        &mut self,
        awaited: Option<Token>,
        datagram: &'d mut [u8],
    ) -> Result<Message<'d>, Unread> {
        let outer = Message::parse(datagram).map_err(|_| Unread::Malformed)?;
        let is_awaited = outer.code().is_response() && Some(outer.token()) == awaited;
        match &mut self.secured {
            Some(secured) if is_awaited => {
                let exchange = secured.exchange.as_mut().ok_or(Unread::NotBelieved)?;
                let believed = secured.context.unprotect_response(exchange, datagram);
                believed.map_err(|_| Unread::NotBelieved)
            }
            _ => Message::parse(datagram).map_err(|_| Unread::Malformed),
        }
    }

    /// Whether the response asks for the same request with an Echo option, which it then has. A request that had one and is asked
    /// again has been answered.
    pub(crate) fn is_challenged(&mut self, message: &Message<'_>) -> bool {
        let Some(secured) = &mut self.secured else {
            return false;
        };
        let asked = message
            .option(OptionNumber::ECHO)
            .filter(|_| message.code() == Code::UNAUTHORIZED && secured.echo.is_none());
        secured.echo = asked.and_then(Name::new);
        secured.echo.is_some()
    }
}

/// The context of what was stored; `None` where its parts are none, which no record has that is sound.
fn context(services: &dyn Services, stored: &Credentials) -> Option<Context> {
    let id_context = match stored.id_context.as_bytes() {
        [] => None,
        bytes => Some(IdContext::new(bytes)?),
    };
    let (kid, gateway) = (
        Id::new(stored.kid.as_bytes())?,
        Id::new(stored.gateway.as_bytes())?,
    );
    let mut sha256 = |parts: &[&[u8]]| {
        let mut hasher = Hasher::new(services);
        for part in parts {
            hasher.update(part);
        }
        hasher.finish()
    };
    let (secret, salt) = (&stored.master_secret, stored.master_salt.as_bytes());
    Context::derive_with(&mut sha256, secret, salt, id_context, kid, gateway).ok()
}

impl From<AppendError> for FlashFailed {
    fn from(_: AppendError) -> Self {
        Self
    }
}
