//! Reading along what is protected, for whoever was given a device's credentials: requests as the gateway reads them, answers as
//! the device does.

use deltagate_flash::Credentials;
use wire_coap::{Message, OptionNumber, WriteError, Writer};
use wire_oscore::{
    ClientExchange, Context, FreshPartialIv, Id, IdContext, OscoreOption, Received, ReplayWindow,
};

/// Longest datagram read or written.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// The keys of both sides.
#[derive(Debug)]
pub(crate) struct Overheard {
    device: Context,
    gateway: Context,
}

/// A message that was read.
#[derive(Debug)]
pub(crate) struct Opened {
    /// It as it would have been without protection.
    pub(crate) plain: Vec<u8>,
    /// How many bytes longer it was.
    pub(crate) overhead_bytes: u64,
}

impl Overheard {
    /// `None` of credentials that no device could use.
    pub(crate) fn new(credentials: &Credentials) -> Option<Self> {
        let id_context = match credentials.id_context.as_bytes() {
            [] => None,
            bytes => Some(IdContext::new(bytes)?),
        };
        let (kid, gateway) = (
            Id::new(credentials.kid.as_bytes())?,
            Id::new(credentials.gateway.as_bytes())?,
        );
        let (secret, salt) = (&credentials.master_secret, credentials.master_salt.as_bytes());
        Some(Self {
            device: Context::derive(secret, salt, id_context, kid, gateway).ok()?,
            gateway: Context::derive(secret, salt, id_context, gateway, kid).ok()?,
        })
    }

    /// Reads a request, and what is needed to read its answer. `None` of what this device did not protect.
    pub(crate) fn request(&self, datagram: &[u8]) -> Option<(Opened, ClientExchange)> {
        let outer = Message::parse(datagram).ok()?;
        let number = OscoreOption::parse(outer.option(OptionNumber::OSCORE)?)
            .ok()?
            .partial_iv?;
        let mut arrived = datagram.to_vec();
        // Whether it came before is not this listener's question.
        let mut window = ReplayWindow::new();
        let Ok(Received::Request { message, .. }) = self.gateway.unprotect_request(&mut window, &mut arrived)
        else {
            return None;
        };
        // What the device was left with when it had protected the same: the same bytes come out.
        let mut again = [0; DATAGRAM_BYTES_MAX];
        let (sent, exchange) = self
            .device
            .protect_request(FreshPartialIv::dangerous(number), &message, &mut again)
            .ok()?;
        (sent == datagram).then_some(())?;
        Some((opened(datagram, &message)?, exchange))
    }

    /// Reads the answer to it. `None` of what the gateway did not protect, or as an answer to something else.
    pub(crate) fn answer(&self, exchange: &mut ClientExchange, datagram: &[u8]) -> Option<Opened> {
        let mut arrived = datagram.to_vec();
        let message = self.device.unprotect_response(exchange, &mut arrived).ok()?;
        opened(datagram, &message)
    }
}

fn opened(datagram: &[u8], message: &Message<'_>) -> Option<Opened> {
    let plain = written(message).ok()?;
    Some(Opened {
        overhead_bytes: datagram.len().checked_sub(plain.len())? as u64,
        plain,
    })
}

/// The message as it would have been sent.
fn written(message: &Message<'_>) -> Result<Vec<u8>, WriteError> {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let mut writer = Writer::new(
        &mut buffer,
        message.kind(),
        message.code(),
        message.message_id(),
        message.token(),
    )?;
    for option in message.options() {
        writer.option(option.number, option.value)?;
    }
    if !message.payload().is_empty() {
        writer.payload(message.payload())?;
    }
    Ok(writer.finish().to_vec())
}
