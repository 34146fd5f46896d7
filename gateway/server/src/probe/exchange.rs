//! One exchange at a time with one peer: RFC 7252 §4.2's confirmable messages, with its retransmission and back-off.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use coap_lite::{CoapOption, ContentFormat, MessageClass, MessageType, Packet, RequestType};

/// Times a message is sent before it is given up: once, and RFC 7252 §4.8's `MAX_RETRANSMIT` of 4 less one. A person
/// waits; with the default timeout this takes half a minute.
pub(super) const TRIES: u32 = 4;
/// How long a server that acknowledged a request may take for its answer.
const SEPARATE_ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longer than any datagram of CoAP over UDP that we ask for: 1,024 bytes and options.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// RFC 9175 §2.2.
const ECHO: CoapOption = CoapOption::Unknown(252);

/// Somebody who speaks CoAP, or should.
#[derive(Debug)]
pub(super) struct Peer {
    socket: UdpSocket,
    ack_timeout: Duration,
    message_id: u16,
    /// Datagrams sent again.
    pub(super) repeated: u32,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The host says that nobody listens on that port.
    NobodyListens,
    /// Nothing came.
    Silence {
        /// For how long.
        waited: Duration,
    },
    /// Something came that is no CoAP message.
    NotCoap,
    /// The peer rejects the message.
    Reset,
    /// The system does not let us.
    System(io::Error),
}

/// What to ask for.
#[derive(Debug, Clone)]
pub(super) struct Request<'r> {
    /// GET, or POST with a body.
    pub(super) body: Option<&'r [u8]>,
    /// Segments of the path.
    pub(super) path: &'r [&'r str],
    /// A Block2 option as it travels.
    pub(super) block2: Option<Vec<u8>>,
}

/// An answer, and how long it took since the message was first sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) packet: Packet,
    pub(super) took: Duration,
    /// Whether the request was sent once: only then the time is one round trip.
    pub(super) is_first_try: bool,
}

impl Reply {
    /// `2.05`
    pub(super) fn code(&self) -> String {
        self.packet.header.get_code()
    }

    /// The payload where it is text, else nothing.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.packet.payload).unwrap_or_default()
    }

    /// Seconds of Max-Age; 60 when the option is absent (RFC 7252 §5.10.5).
    pub(super) fn max_age_s(&self) -> u64 {
        let value = self.packet.get_first_option(CoapOption::MaxAge);
        value.map_or(60, |bytes| {
            bytes
                .iter()
                .take(4)
                .fold(0, |value, byte| value << 8 | u64::from(*byte))
        })
    }
}

impl Peer {
    /// A socket of its own towards `address`.
    pub(super) fn connect(address: SocketAddr, ack_timeout: Duration) -> io::Result<Peer> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        // Then the system tells us of ICMP errors, and of nobody else's datagrams.
        socket.connect(address)?;
        Ok(Peer {
            socket,
            ack_timeout,
            message_id: random(),
            repeated: 0,
        })
    }

    /// CoAP's ping; gives the round trip.
    pub(super) fn ping(&mut self) -> Result<Duration, NoAnswer> {
        let mut packet = Packet::new();
        packet.header.set_type(MessageType::Confirmable);
        packet.header.code = MessageClass::Empty;
        match self.exchange(packet) {
            Ok(reply) => Ok(reply.took),
            // A Reset is what answers a ping; the time was noted with it.
            Err((NoAnswer::Reset, took)) => Ok(took),
            Err((other, _)) => Err(other),
        }
    }

    /// A request and its answer.
    pub(super) fn ask(&mut self, request: &Request<'_>) -> Result<Reply, NoAnswer> {
        let mut packet = Packet::new();
        packet.header.set_type(MessageType::Confirmable);
        packet.header.code = MessageClass::Request(match request.body {
            Some(_) => RequestType::Post,
            None => RequestType::Get,
        });
        packet.set_token(random().to_be_bytes().to_vec());
        for segment in request.path {
            packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
        }
        if let Some(block2) = &request.block2 {
            packet.add_option(CoapOption::Block2, block2.clone());
        }
        if let Some(body) = request.body {
            packet.set_content_format(ContentFormat::ApplicationCBOR);
            packet.payload = body.to_vec();
        }
        let reply = self.exchange(packet.clone());
        let reply = reply.map_err(|(no_answer, _)| no_answer)?;
        // RFC 9175 §2.3: what the gateway wants to see again, so that it knows that we are where we say.
        let echo = reply.packet.get_first_option(ECHO).cloned();
        let Some(echo) = echo.filter(|_| reply.code() == "4.01") else {
            return Ok(reply);
        };
        packet.add_option(ECHO, echo);
        self.exchange(packet).map_err(|(no_answer, _)| no_answer)
    }

    fn exchange(&mut self, mut packet: Packet) -> Result<Reply, (NoAnswer, Duration)> {
        self.message_id = self.message_id.wrapping_add(1);
        packet.header.message_id = self.message_id;
        let began = Instant::now();
        let system = |error| (NoAnswer::System(error), began.elapsed());
        let unencodable = |_| system(io::ErrorKind::InvalidInput.into());
        let datagram = packet.to_bytes().map_err(unencodable)?;
        // RFC 7252 §4.8: ACK_TIMEOUT × 1 to ACK_RANDOM_FACTOR (1.5), doubled each time.
        let mut timeout = self.ack_timeout + self.ack_timeout * u32::from(random() % 512) / 1_024;
        let mut garbage = false;
        for attempt in 0..TRIES {
            self.repeated += u32::from(attempt > 0);
            match self.socket.send(&datagram) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Err((NoAnswer::NobodyListens, began.elapsed()));
                }
                Err(error) => return Err(system(error)),
            }
            match self.listen(&packet, Instant::now() + timeout) {
                Ok(Heard::Answer(answer)) => {
                    return Ok(Reply {
                        packet: *answer,
                        took: began.elapsed(),
                        is_first_try: attempt == 0,
                    });
                }
                Ok(Heard::Nothing) => {}
                Ok(Heard::Garbage) => garbage = true,
                Err(no_answer) => return Err((no_answer, began.elapsed())),
            }
            timeout *= 2;
        }
        let waited = began.elapsed();
        Err(match garbage {
            true => (NoAnswer::NotCoap, waited),
            false => (NoAnswer::Silence { waited }, waited),
        })
    }

    /// Until an answer to `request` comes, or it is too late.
    fn listen(&self, request: &Packet, until: Instant) -> Result<Heard, NoAnswer> {
        let mut until = until;
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut heard = Heard::Nothing;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(heard);
            }
            self.socket
                .set_read_timeout(Some(left))
                .map_err(NoAnswer::System)?;
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(heard),
                    // Windows calls it a reset connection.
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                        return Err(NoAnswer::NobodyListens);
                    }
                    io::ErrorKind::Interrupted => continue,
                    _ => return Err(NoAnswer::System(error)),
                },
            };
            let datagram = &buffer[..length];
            let Some(answer) = message(datagram) else {
                heard = Heard::Garbage;
                continue;
            };
            let is_ours = answer.header.message_id == request.header.message_id;
            match answer.header.get_type() {
                MessageType::Reset if is_ours => return Err(NoAnswer::Reset),
                MessageType::Acknowledgement if !is_ours => {}
                MessageType::Acknowledgement if answer.header.code == MessageClass::Empty => {
                    // RFC 7252 §5.2.2: the answer comes in a message of its own.
                    until = Instant::now() + SEPARATE_ANSWER_MAX;
                }
                MessageType::Reset => {}
                kind if answer.get_token() == request.get_token() && is_answer(&answer) => {
                    if kind == MessageType::Confirmable {
                        self.acknowledge(answer.header.message_id)
                            .map_err(NoAnswer::System)?;
                    }
                    return Ok(Heard::Answer(Box::new(answer)));
                }
                _ => {}
            }
        }
    }

    fn acknowledge(&self, message_id: u16) -> io::Result<()> {
        let mut packet = Packet::new();
        packet.header.set_type(MessageType::Acknowledgement);
        packet.header.code = MessageClass::Empty;
        packet.header.message_id = message_id;
        let datagram = packet.to_bytes().map_err(|_| io::ErrorKind::InvalidInput)?;
        self.socket.send(&datagram).map(drop)
    }
}

enum Heard {
    Answer(Box<Packet>),
    Nothing,
    Garbage,
}

/// What `coap-lite` reads, without what it reads too leniently: another version than 1 (RFC 7252 §3).
fn message(datagram: &[u8]) -> Option<Packet> {
    let packet = Packet::from_bytes(datagram).ok()?;
    (packet.header.get_version() == 1).then_some(packet)
}

fn is_answer(packet: &Packet) -> bool {
    !matches!(packet.header.code, MessageClass::Empty | MessageClass::Request(_))
}

/// Not for secrets: message ids, tokens and jitter.
fn random() -> u16 {
    let mut bytes = [0; 2];
    // A system without randomness gives predictable ids, which is no reason not to look.
    let _ = getrandom::fill(&mut bytes);
    u16::from_be_bytes(bytes)
}
