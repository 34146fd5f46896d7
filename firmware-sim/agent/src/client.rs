//! The CoAP exchange: one Confirmable request at a time (RFC 7252 §4.7, NSTART = 1), sent until it is answered.

use wire_coap::{
    BlockValue, Code, ContentFormat, Kind, Message, MessageId, OptionNumber, Reply, Retransmission,
    TimeoutAction, Token, TransmissionParameters, WriteError, Writer, scatter,
};

use crate::channel::{Channel, Unread};
use crate::event::Stats;

/// The longest request: header and token 8, Uri-Path `c` 2, Content-Format 2, payload marker 1 and a check-in.
pub(crate) const PLAIN_BYTES_MAX: usize = 8 + 2 + 2 + 1 + wire_checkin::CHECK_IN_BYTES_MAX;
/// The same on the link.
const REQUEST_BYTES_MAX: usize = PLAIN_BYTES_MAX + Channel::OVERHEAD_BYTES_MAX;

/// Bounds of what the gateway may make ACK_TIMEOUT, ms: nobody authenticated it, and it must neither make the device
/// flood its link nor fall silent. Five minutes with RFC 7252's back-off is a give-up after less than 4 hours.
const ACK_TIMEOUT_MS_MIN: u32 = 500;
const ACK_TIMEOUT_MS_MAX: u32 = 300_000;

/// The critical options that a response of ours may carry (RFC 7252 §5.4.1).
const UNDERSTOOD: [OptionNumber; 1] = [OptionNumber::BLOCK2];

/// What a datagram was.
#[derive(Debug)]
pub(crate) enum Incoming<'d> {
    /// The response to the request, which is over.
    Response(Message<'d>),
    /// The request was rejected, or its response cannot be understood. It is over.
    Rejected,
    /// The gateway wants the same request again, with what it said: it restarted, and cannot tell replays.
    #[cfg(feature = "oscore")]
    Again,
    /// Nothing for the agent: an acknowledgement, a duplicate, or not for us at all.
    Nothing,
}

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    parameters: TransmissionParameters,
    seed: u64,
    message_id: MessageId,
    requests: u32,
    exchange: Option<Retransmission>,
    request: [u8; REQUEST_BYTES_MAX],
    request_length: usize,
    request_due: bool,
    /// An empty acknowledgement or a Reset to send.
    reply: Option<[u8; 4]>,
    /// The separate response acknowledged last: its copy comes when our acknowledgement was lost.
    separate: Option<(MessageId, Token)>,
    round_trip_ms: u32,
    stats: Stats,
    pub(crate) channel: Channel,
}

impl Client {
    /// `round_trip_ms` is an estimate from before, 0 for none.
    pub(crate) fn new(channel: Channel, ack_timeout_ms: u32, round_trip_ms: u32, seed: u64) -> Self {
        let mut client = Self {
            parameters: TransmissionParameters::DEFAULT,
            seed,
            message_id: MessageId(seed as u16),
            requests: 0,
            exchange: None,
            request: [0; REQUEST_BYTES_MAX],
            request_length: 0,
            request_due: false,
            reply: None,
            separate: None,
            round_trip_ms,
            stats: Stats::default(),
            channel,
        };
        client.set_ack_timeout_ms(ack_timeout_ms);
        client
    }

    /// Uses this ACK_TIMEOUT from the next request on, within bounds.
    pub(crate) fn set_ack_timeout_ms(&mut self, ms: u32) {
        let bounded = ms.clamp(ACK_TIMEOUT_MS_MIN, ACK_TIMEOUT_MS_MAX);
        self.parameters = TransmissionParameters::with_ack_timeout_ms(bounded);
    }

    pub(crate) const fn ack_timeout_ms(&self) -> u32 {
        self.parameters.ack_timeout_ms
    }

    /// Smoothed round trip, ms; 0 before the first.
    pub(crate) const fn round_trip_ms(&self) -> u32 {
        self.round_trip_ms
    }

    pub(crate) const fn stats(&self) -> Stats {
        self.stats
    }

    /// Counts the round trips of an update from here on.
    pub(crate) fn begin_update(&mut self) {
        self.stats.update_round_trips = 0;
    }

    /// Requests `POST /c` with a check-in as body, in place of any request before.
    pub(crate) fn post_check_in(&mut self, now_ms: u64, body: &[u8]) -> Result<(), WriteError> {
        self.request(now_ms, Code::POST, body, &mut |writer| {
            writer.uri_path("c")?;
            writer.content_format(ContentFormat::CBOR)
        })
    }

    /// Requests `POST /.well-known/edhoc` with message_1 as body, in place of any request before. Its Content-Format may be left out
    /// (RFC 9528 Appendix A.2.1).
    #[cfg(feature = "edhoc")]
    pub(crate) fn post_message_1(
        &mut self,
        now_ms: u64,
        message_1: &wire_edhoc::Sent,
    ) -> Result<(), WriteError> {
        let mut body = [0; 1 + wire_edhoc::MESSAGE_1_BYTES_MAX];
        let body = wire_edhoc::Payload::First(message_1.as_bytes()).write(&mut body)?;
        self.request(now_ms, Code::POST, body, &mut |writer| {
            wire_edhoc::PATH
                .iter()
                .try_for_each(|segment| writer.uri_path(segment))
        })
    }

    /// How many requests there were since the start.
    #[cfg(feature = "edhoc")]
    pub(crate) const fn requests(&self) -> u32 {
        self.requests
    }

    /// Lets the channel look at a response to the request under way before it is taken for one.
    #[cfg(feature = "edhoc")]
    pub(crate) fn hear(
        &mut self,
        services: &dyn deltagate_services::Services,
        device: wire_checkin::DeviceId,
        datagram: &[u8],
    ) {
        let awaited = self.exchange.as_ref().map(Retransmission::token);
        if let Ok(message) = Message::parse(datagram)
            && message.code().is_response()
            && Some(message.token()) == awaited
        {
            self.channel.hear(services, device, &message);
        }
    }

    /// Requests one block of `GET /path` or `GET /path/m`, in place of any request before.
    pub(crate) fn get(
        &mut self,
        now_ms: u64,
        path: &[u8],
        manifest: bool,
        block: BlockValue,
    ) -> Result<(), WriteError> {
        self.request(now_ms, Code::GET, &[], &mut |writer| {
            writer.option(OptionNumber::URI_PATH, path)?;
            if manifest {
                writer.uri_path("m")?;
            }
            writer.block(OptionNumber::BLOCK2, block)
        })
    }

    #[inline(never)]
    fn request(
        &mut self,
        now_ms: u64,
        code: Code,
        payload: &[u8],
        write_options: &mut dyn FnMut(&mut Writer<'_>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        self.cancel();
        self.message_id = self.message_id.next();
        self.requests = self.requests.wrapping_add(1);
        let seed = self.seed.wrapping_add(u64::from(self.requests));
        // RFC 7252 §5.3.1 wants tokens that an outsider does not guess.
        let token = Token::from_u32((scatter(seed) >> 32) as u32);
        let (id, channel) = (self.message_id, &mut self.channel);
        self.request_length = channel.request(&mut self.request, &mut |channel, plain| {
            let mut writer = Writer::new(plain, Kind::Confirmable, code, id, token)?;
            write_options(&mut writer)?;
            channel.options(&mut writer)?;
            writer.payload(payload)?;
            Ok(writer.finish().len())
        })?;
        self.request_due = true;
        self.exchange = Some(Retransmission::new(
            &self.parameters,
            self.message_id,
            token,
            now_ms,
            seed,
        ));
        Ok(())
    }

    /// Forgets the request; a response that still comes is nobody's.
    pub(crate) fn cancel(&mut self) {
        self.exchange = None;
        self.request_due = false;
    }

    /// The token of the request under way.
    pub(crate) fn awaited(&self) -> Option<Token> {
        self.exchange.as_ref().map(Retransmission::token)
    }

    /// Judges a datagram.
    pub(crate) fn handle_datagram<'d>(&mut self, now_ms: u64, datagram: &'d mut [u8]) -> Incoming<'d> {
        self.stats.datagrams_received = self.stats.datagrams_received.saturating_add(1);
        self.stats.bytes_received = self.stats.bytes_received.saturating_add(datagram.len() as u32);
        let awaited = self.awaited();
        let refusal = wire_coap::reject(datagram);
        let message = match self.channel.read(awaited, datagram) {
            Ok(message) => message,
            Err(Unread::Malformed) => {
                self.reply = refusal.or(self.reply);
                return Incoming::Nothing;
            }
            // As if it had not come: whoever sent it would like the request to be over.
            #[cfg(feature = "oscore")]
            Err(Unread::NotBelieved) => return Incoming::Nothing,
        };
        let Some(exchange) = &mut self.exchange else {
            return self.handle_stray(&message);
        };
        match exchange.handle_message(now_ms, &message) {
            Reply::NotOurs => self.handle_stray(&message),
            Reply::Acknowledged => {
                // The gateway has it: a copy waiting to be sent would be wasted airtime.
                self.request_due = false;
                Incoming::Nothing
            }
            Reply::Rejected => {
                self.cancel();
                Incoming::Rejected
            }
            Reply::Response { acknowledge } => self.handle_response(now_ms, message, acknowledge),
        }
    }

    fn handle_response<'d>(&mut self, now_ms: u64, message: Message<'d>, acknowledge: bool) -> Incoming<'d> {
        // RFC 7252 §5.4.1: a response with a critical option we do not understand is rejected.
        let understood = message.unrecognized_critical(&UNDERSTOOD).next().is_none();
        if acknowledge && understood {
            self.reply = Some(wire_coap::empty_acknowledgement(message.message_id()));
            self.separate = Some((message.message_id(), message.token()));
        } else if acknowledge {
            self.reply = Some(wire_coap::reset(message.message_id()));
        }
        self.measure(now_ms);
        self.cancel();
        if !understood {
            return Incoming::Rejected;
        }
        self.stats.round_trips = self.stats.round_trips.saturating_add(1);
        self.stats.update_round_trips = self.stats.update_round_trips.saturating_add(1);
        #[cfg(feature = "oscore")]
        if self.channel.is_challenged(&message) {
            return Incoming::Again;
        }
        Incoming::Response(message)
    }

    /// Takes the time of an exchange without retransmissions: of another nobody knows which copy was answered.
    fn measure(&mut self, now_ms: u64) {
        let Some(exchange) = self
            .exchange
            .as_ref()
            .filter(|exchange| exchange.retransmissions() == 0)
        else {
            return;
        };
        let sample = u32::try_from(now_ms.saturating_sub(exchange.sent_ms()))
            .unwrap_or(u32::MAX)
            .max(1);
        self.round_trip_ms = match self.round_trip_ms {
            0 => sample,
            // RFC 6298 §2.3 with alpha = 1/8, rounded down.
            old => ((u64::from(old) * 7 + u64::from(sample)) / 8) as u32,
        };
    }

    /// A message that belongs to no request. RFC 7252 §4.2: a Confirmable one without context is rejected.
    fn handle_stray(&mut self, message: &Message<'_>) -> Incoming<'static> {
        if message.kind() == Kind::Confirmable {
            let known = self.separate == Some((message.message_id(), message.token()))
                && message.code().is_response();
            self.reply = Some(if known {
                wire_coap::empty_acknowledgement(message.message_id())
            } else {
                wire_coap::reset(message.message_id())
            });
        }
        Incoming::Nothing
    }

    /// Sends again what is due; `true` when the gateway did not answer and the request is over.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64) -> bool {
        let Some(exchange) = &mut self.exchange else {
            return false;
        };
        match exchange.handle_timeout(now_ms) {
            TimeoutAction::Nothing => false,
            TimeoutAction::Retransmit => {
                self.request_due = true;
                self.stats.retransmissions = self.stats.retransmissions.saturating_add(1);
                false
            }
            TimeoutAction::GiveUp => {
                self.cancel();
                true
            }
        }
    }

    /// When to call [`Client::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.exchange.as_ref().and_then(Retransmission::poll_timeout)
    }

    /// The next datagram. One that does not fit `into` is lost, as on the link.
    pub(crate) fn poll_transmit(&mut self, into: &mut [u8]) -> Option<usize> {
        let reply = self.reply.take();
        let datagram = match &reply {
            Some(reply) => reply.as_slice(),
            None if self.request_due => {
                self.request_due = false;
                self.request.get(..self.request_length)?
            }
            None => return None,
        };
        into.get_mut(..datagram.len())?.copy_from_slice(datagram);
        self.stats.datagrams_sent = self.stats.datagrams_sent.saturating_add(1);
        self.stats.bytes_sent = self.stats.bytes_sent.saturating_add(datagram.len() as u32);
        Some(datagram.len())
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
