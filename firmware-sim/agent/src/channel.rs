//! OSCORE between the client and the link (RFC 8613), for a device that was given credentials; a device that never was sends
//! messages as they are.
//!
//! | | |
//! |---|---|
//! | a request | is protected once, under a number reserved in flash before. A retransmission is the same bytes |
//! | the response to it | is believed if it is protected, bound to this request, and authentic. Anything else with its token is as if it had not come: the true one may still come |
//! | 4.01 with an Echo option | of a gateway that restarted and cannot tell replays: the same is asked again at once, with the option; once |
//! | empty messages | are as if they had not come, for nobody proves that he sent them. Whoever acknowledges first and answers later gets a copy or two of the request in between |
//!
//! What a device was given, it cannot lose without a trace:
//!
//! | credentials | log of numbers | journal: protected | |
//! |---|---|---|---|
//! | sound | counts | any | protected; the journal gets a trace of the keys before the first number is used |
//! | sound | empty | no, or other keys | the same: these were never used |
//! | sound | empty, or cannot be read | these keys | other keys are made of them with the gateway, in one round trip: see `renewal`. Silent where starts are not counted |
//! | erased | empty | no | in the clear |
//! | erased or damaged | any other | | silent: somebody would like it to speak in the clear |
//! | any | cannot be written | | silent |

use core::cell::RefCell;

use deltagate_flash::{AppendError, Credentials, Name, Region, Renewed, SEQUENCE_CHUNK, SequenceLog, Stored};
use deltagate_services::{Services, Sha256};
use embedded_storage::nor_flash::NorFlash;
use wire_coap::{Code, Message, OptionNumber, Token, WriteError, Writer};
use wire_oscore::renewal::Inputs;
use wire_oscore::{ClientExchange, Context, Id, IdContext, SenderSequence};

use crate::client::PLAIN_BYTES_MAX;
use crate::config::Config;
use crate::core::FlashFailed;
#[cfg(feature = "edhoc")]
use crate::establish::{Establishing, Fresh};
use crate::event::Event;
use crate::journal::{Journal, JournalRecord};

mod renewal;

use renewal::Renewal;

/// The longest Echo value that is repeated. RFC 9175 allows 40 bytes; ours have 8, aiocoap's too.
const ECHO_BYTES_MAX: usize = 16;
/// What message_3 in front of a request adds.
#[cfg(feature = "edhoc")]
const COMBINED_BYTES_MAX: usize = crate::establish::OVERHEAD_BYTES_MAX;
#[cfg(not(feature = "edhoc"))]
const COMBINED_BYTES_MAX: usize = 0;
/// Reserves when nothing is left: the write comes with a request, whose round trip is longer.
const SPARE: u32 = 1;

/// Why a device says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Silence {
    /// It was given credentials, and they do not read: in the clear anybody would be believed. Write the same record again, or
    /// another.
    Credentials,
    /// How far its messages are counted is lost, and so is how often the device started: counted anew, two messages would be
    /// encrypted alike. Write credentials that were never used.
    Count,
}

impl Silence {
    /// What happened, and what to do.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Credentials => "credentials damaged, write them again",
            Self::Count => "count of messages lost, write new credentials",
        }
    }
}

/// By which the journal knows keys again. It says nothing of them: everything derived is independent of everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace(u32);

impl Trace {
    const fn of(context: &Context) -> Self {
        let [a, b, c, d, ..] = context.keys().common_iv;
        Self(u32::from_le_bytes([a, b, c, d]))
    }

    pub(crate) const fn from_word(word: u32) -> Option<Self> {
        Some(Self(word))
    }

    pub(crate) const fn word(self) -> u32 {
        self.0
    }
}

/// What is between client and link.
#[derive(Debug)]
pub(crate) enum Channel {
    /// Nothing.
    Clear,
    Secured(Secured),
    /// A key of the device's own, and none to speak with yet.
    #[cfg(feature = "edhoc")]
    Establishing(Establishing),
    /// No message passes, in neither direction.
    Silent(Silence),
}

/// With credentials.
#[derive(Debug)]
pub(crate) struct Secured {
    context: Context,
    sequence: SenderSequence,
    /// The request that awaits its response.
    exchange: Option<ClientExchange>,
    /// What the gateway asked to be echoed.
    echo: Option<Name<ECHO_BYTES_MAX>>,
    /// Of the credentials.
    trace: Trace,
    /// The keys are not the credentials' own.
    renewed: Option<Renewed>,
    renewal: Renewal,
    /// What is not stored yet.
    #[cfg(feature = "edhoc")]
    pub(crate) fresh: Option<Fresh>,
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
    pub(crate) const PLAIN: Self = Self::Clear;
    /// How much longer a request is on the link: what OSCORE adds, and an Echo option with its two bytes.
    pub(crate) const OVERHEAD_BYTES_MAX: usize =
        wire_oscore::OVERHEAD_BYTES_MAX + 2 + ECHO_BYTES_MAX + COMBINED_BYTES_MAX;

    /// Reads the credentials, derives the keys, and looks how far their numbers are used. `unused` is a number that no start of
    /// this device had before, or none.
    #[inline(never)]
    pub(crate) fn open<F: NorFlash>(
        services: &dyn Services,
        flash: &RefCell<F>,
        config: &Config,
        journal: &Journal<'_, F>,
        unused: Option<u64>,
    ) -> Self {
        let Some(partition) = config.credentials else {
            return Self::Clear;
        };
        let region = Region::new(flash, partition);
        let (end, renewed) = match SequenceLog::open(region) {
            Ok(log) => (Some(log.end()), log.renewed()),
            Err(_) => (None, None),
        };
        let protected = journal.state().protected;
        let opened = Self::stored(services, region, (end, renewed), protected, unused);
        #[cfg(feature = "edhoc")]
        let opened = match end {
            Some(end) => opened.or_establishing(region, end),
            None => opened,
        };
        opened
    }

    /// What the stored credentials and the log make of it: its end, if it can be read, and which keys were made anew.
    fn stored<F: NorFlash>(
        services: &dyn Services,
        region: Region<'_, F>,
        (end, renewed): (Option<u64>, Option<Renewed>),
        protected: Option<Trace>,
        unused: Option<u64>,
    ) -> Self {
        let Some(own) = stored_context(services, region, None) else {
            let is_blank = matches!(Credentials::read(region), Stored::Nothing);
            return match is_blank && end == Some(0) && protected.is_none() {
                true => Self::Clear,
                false => Self::Silent(Silence::Credentials),
            };
        };
        let trace = Trace::of(&own);
        let is_lost = end.is_none() || end == Some(0) && protected == Some(trace);
        if is_lost && unused.is_none() {
            return Self::Silent(Silence::Count);
        }
        let renewed = renewed.filter(|renewed| renewed.of == trace.word());
        let context = match &renewed {
            None => Some(own),
            Some(renewed) => IdContext::new(&renewed.id_context)
                .and_then(|id_context| stored_context(services, region, Some(id_context))),
        };
        let Some(context) = context else {
            return Self::Silent(Silence::Credentials);
        };
        Self::Secured(Secured {
            trace,
            renewed,
            renewal: Renewal::new(unused, is_lost),
            ..Secured::new(context, end.unwrap_or(0))
        })
    }

    /// Whether what comes through is the gateway's.
    pub(crate) const fn is_protected(&self) -> bool {
        matches!(self, Self::Secured(_))
    }

    /// What nobody guesses who has not the keys, from what anybody may: an address, or a count.
    pub(crate) fn unguessable(&self, services: &dyn Services, seed: u64) -> u64 {
        #[cfg(not(feature = "edhoc"))]
        let _ = services;
        match self {
            #[cfg(feature = "edhoc")]
            Self::Establishing(establishing) => {
                seed.wrapping_add(crate::establish::unguessable(establishing, services))
            }
            Self::Secured(secured) => {
                // Derived as keys are, and never on the air. What it begins with, the journal has.
                let [.., a, b, c, d, e, f, g, h] = secured.context.keys().common_iv;
                seed.wrapping_add(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => seed,
        }
    }

    /// Reserves numbers in flash when there are none left for the next request; or derives the keys of one that asks for others,
    /// where that is due. `unanswered` is how many requests in a row were not answered.
    pub(crate) fn reserve<F: NorFlash>(
        &mut self,
        services: &dyn Services,
        flash: &RefCell<F>,
        config: &Config,
        journal: &mut Journal<'_, F>,
        unanswered: u8,
    ) -> Result<(), Event> {
        match (self, config.credentials) {
            (Self::Secured(secured), Some(partition)) => {
                let region = Region::new(flash, partition);
                if secured.must_renew(unanswered) {
                    return secured.begin_renewal(services, region).map_err(Event::Silent);
                }
                secured
                    .reserve(region, journal)
                    .map_err(|FlashFailed| Event::FlashFailed)
            }
            (Self::Silent(why), _) => Err(Event::Silent(*why)),
            _ => Ok(()),
        }
    }

    /// Puts the request that `write` writes into `into` as it goes onto the link; its length.
    #[inline(never)]
    pub(crate) fn request(&mut self, into: &mut [u8], write: Write<'_>) -> Result<usize, WriteError> {
        if matches!(self, Self::Clear) {
            return write(self, into);
        }
        #[cfg(feature = "edhoc")]
        if matches!(self, Self::Establishing(_)) {
            return write(self, into);
        }
        let mut plain = [0; PLAIN_BYTES_MAX + 2 + ECHO_BYTES_MAX];
        let length = write(self, &mut plain)?;
        let plain = plain.get(..length).map(Message::parse);
        // `Core` reserves before it asks: without a number there is nothing to send.
        let (Self::Secured(secured), Some(Ok(plain))) = (self, plain) else {
            return Err(WriteError::BufferTooSmall);
        };
        let fresh = secured.sequence.take().ok_or(WriteError::BufferTooSmall)?;
        let protected = secured.context.protect_request(fresh, &plain, into);
        let (sent, exchange) = protected.map_err(|_| WriteError::BufferTooSmall)?;
        secured.exchange = Some(exchange);
        let length = sent.len();
        #[cfg(feature = "edhoc")]
        let length = secured.combined(into, length)?;
        Ok(length)
    }

    /// Writes the options that a request has because of this channel. Their numbers are above all others.
    pub(crate) fn options(&self, writer: &mut Writer<'_>) -> Result<(), WriteError> {
        match self {
            Self::Secured(Secured { echo: Some(echo), .. }) => {
                writer.option(OptionNumber::ECHO, echo.as_bytes())
            }
            _ => Ok(()),
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
        match self {
            // Message_2, which was looked at: `hear`.
            #[cfg(feature = "edhoc")]
            Self::Secured(secured) if is_awaited && secured.owes_message_3() => {
                Message::parse(datagram).map_err(|_| Unread::Malformed)
            }
            #[cfg(feature = "edhoc")]
            Self::Establishing(_) => Err(Unread::NotBelieved),
            Self::Secured(secured) if is_awaited => {
                let exchange = secured.exchange.as_mut().ok_or(Unread::NotBelieved)?;
                let believed = secured.context.unprotect_response(exchange, datagram);
                let believed = believed.map_err(|_| Unread::NotBelieved)?;
                // Whoever answered knows these keys by now.
                secured.context.fall_silent();
                Ok(believed)
            }
            Self::Secured(_) if outer.code().is_empty() => Err(Unread::NotBelieved),
            Self::Silent(_) => Err(Unread::NotBelieved),
            _ => Message::parse(datagram).map_err(|_| Unread::Malformed),
        }
    }

    /// Whether the response asks for the same request with an Echo option, which it then has. A request that had one and is asked
    /// again has been answered.
    pub(crate) fn is_challenged(&mut self, message: &Message<'_>) -> bool {
        let Self::Secured(secured) = self else {
            return false;
        };
        #[cfg(feature = "edhoc")]
        if secured.owes_message_3() {
            return true;
        }
        let asked = message
            .option(OptionNumber::ECHO)
            .filter(|_| message.code() == Code::UNAUTHORIZED && secured.echo.is_none());
        secured.echo = asked.and_then(Name::new);
        secured.echo.is_some()
    }
}

impl Secured {
    /// Under keys of credentials as they are.
    const fn new(context: Context, end: u64) -> Self {
        Self {
            trace: Trace::of(&context),
            context,
            renewed: None,
            renewal: Renewal::new(None, false),
            sequence: SenderSequence::resume(end),
            exchange: None,
            echo: None,
            #[cfg(feature = "edhoc")]
            fresh: None,
        }
    }

    /// With keys that are not stored yet.
    #[cfg(feature = "edhoc")]
    pub(crate) const fn fresh(context: Context, end: u64, fresh: Fresh) -> Self {
        let mut secured = Self::new(context, end);
        secured.fresh = Some(fresh);
        secured
    }

    #[cfg(feature = "edhoc")]
    fn owes_message_3(&self) -> bool {
        self.fresh.as_ref().is_some_and(|fresh| fresh.message_3.is_some())
    }

    /// Puts message_3 in front of what is protected in `into`, if it is due (RFC 9668 §3); the length of all.
    #[cfg(feature = "edhoc")]
    fn combined(&mut self, into: &mut [u8], length: usize) -> Result<usize, WriteError> {
        let Some(message_3) = self.fresh.as_mut().and_then(|fresh| fresh.message_3.take()) else {
            return Ok(length);
        };
        let mut protected = [0; PLAIN_BYTES_MAX + Channel::OVERHEAD_BYTES_MAX];
        for (place, byte) in protected.iter_mut().zip(into.iter().take(length)) {
            *place = *byte;
        }
        let protected = protected.get(..length).unwrap_or_default();
        let protected = Message::parse(protected).map_err(|_| WriteError::BufferTooSmall)?;
        Ok(wire_edhoc::combine(&protected, message_3.as_bytes(), into)?.len())
    }

    fn reserve<F: NorFlash>(
        &mut self,
        region: Region<'_, F>,
        journal: &mut Journal<'_, F>,
    ) -> Result<(), FlashFailed> {
        if let Some(end) = self.sequence.reservation(SPARE, SEQUENCE_CHUNK) {
            let end = self.store(region, journal, self.renewed, end)?;
            self.sequence.reserved(end);
        }
        Ok(())
    }

    /// Stores that the numbers behind those of the log are used with these keys, up to `least` at least: the log may have lost since what
    /// was read of it. Their end.
    #[inline(never)]
    fn store<F: NorFlash>(
        &self,
        region: Region<'_, F>,
        journal: &mut Journal<'_, F>,
        renewed: Option<Renewed>,
        least: u64,
    ) -> Result<u64, FlashFailed> {
        let mut log = SequenceLog::open(region)?;
        let end = log.end().saturating_add(SEQUENCE_CHUNK.into()).max(least);
        log.reserve(end, renewed)?;
        // Behind the reservation: were it there first, a power cut would make keys look lost that were never used.
        journal.append(JournalRecord::Protected(self.trace))?;
        Ok(end)
    }
}

/// The context of what is stored, with an ID Context of Appendix B.2 in the place of its own if there is one.
#[inline(never)]
fn stored_context<F: NorFlash>(
    services: &dyn Services,
    region: Region<'_, F>,
    renewed: Option<IdContext>,
) -> Option<Context> {
    match Credentials::read(region) {
        Stored::Sound(stored) => context(services, &stored, renewed),
        Stored::Nothing | Stored::Damaged => None,
    }
}

/// The same of credentials that are at hand; `None` where their parts are none, which no record has that is sound.
pub(crate) fn context(
    services: &dyn Services,
    stored: &Credentials,
    renewed: Option<IdContext>,
) -> Option<Context> {
    let inputs = Inputs {
        master_secret: &stored.master_secret,
        master_salt: stored.master_salt.as_bytes(),
        sender_id: Id::new(stored.kid.as_bytes())?,
        recipient_id: Id::new(stored.gateway.as_bytes())?,
    };
    let sha256 = &mut sha256(services);
    let context = match (renewed, stored.id_context.as_bytes()) {
        (Some(renewed), _) => inputs.derive_with(sha256, renewed),
        (None, []) => Context::derive_with(sha256, &inputs, None),
        (None, bytes) => Context::derive_with(sha256, &inputs, Some(IdContext::new(bytes)?)),
    };
    context.ok()
}

/// SHA-256 of the concatenation of parts, computed by somebody's services.
pub(crate) fn sha256(services: &dyn Services) -> impl FnMut(&[&[u8]]) -> [u8; 32] {
    move |parts| hash(services, parts)
}

#[inline(never)]
fn hash(services: &dyn Services, parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Sha256::new();
    services.sha256_start(&mut state);
    for part in parts {
        services.sha256_update(&mut state, part);
    }
    services.sha256_finish(&mut state)
}

impl From<AppendError> for FlashFailed {
    fn from(_: AppendError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
