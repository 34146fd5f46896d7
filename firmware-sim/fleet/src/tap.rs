//! Listens to what device and gateway say, and keeps count: requests, retransmissions, offers.
//!
//! An independent witness: tests and the demo believe neither side about how often something was
//! sent, because both could be wrong in the same way.

use crate::air::Air;
use crate::link::IP_UDP_HEADER_BYTES;
use crate::overhear::Overheard;
use deltagate_flash::Credentials;
use std::collections::VecDeque;
use wire_checkin::{Answer, Format};
use wire_coap::{Code, Kind, Message, MessageId, Token};
use wire_oscore::ClientExchange;

/// What was said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How often and how much.
    pub counts: Counts,
    /// Jobs that the gateway offered, once for each exchange. A repeated answer to a repeated request is the same offer;
    /// an old answer to a new request that looks like an old one is a new offer, because the device acts on it.
    pub offers: Vec<Offer>,
    /// The furthest that a request for payload ever went back behind an earlier one for the same path, in bytes. Asking again
    /// for the block asked for last is no way back: it may never have arrived.
    pub payload_back_bytes_max: u32,
    /// What was promised of protected messages and not kept, one clause each: a number used for two of them, an ephemeral key for two
    /// handshakes, or something in the clear from who has keys. Looked for by [`Tap::witness`] and [`Tap::keyed`].
    pub broken: Vec<String>,
}

/// What was counted. A request counts when the device sends it, whatever becomes of it.
///
/// Bytes are those of whole packets, IP and UDP headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Check-ins, retransmissions not counted. To who cannot read what is protected, every such request looks like one.
    pub check_ins: u32,
    /// Handshakes of EDHOC that the device began, retransmissions not counted.
    pub handshakes: u32,
    /// Blocks of payload asked for, retransmissions not counted.
    pub payload_requests: u32,
    /// Those of them for a block that was asked for before, in another exchange.
    pub payload_requests_again: u32,
    /// Blocks of manifest asked for, retransmissions not counted.
    pub manifest_requests: u32,
    /// Requests that were sent again.
    pub retransmissions: u32,
    /// Replies of the gateway that carry a block of payload, repeated ones not counted.
    pub payload_replies: u32,
    /// Replies with 5.03: ask again later.
    pub busy_replies: u32,
    /// Bytes of everything, lost and repeated packets included.
    pub bytes: u64,
    /// Bytes of check-ins, the first copy of each.
    pub check_in_request_bytes: u64,
    /// Bytes of their answers, the first copy of each.
    pub check_in_reply_bytes: u64,
    /// Bytes of requests for payload, the first copy of each.
    pub payload_request_bytes: u64,
    /// Bytes of replies with payload, the first copy of each.
    pub payload_reply_bytes: u64,
    /// Bytes that protection added to check-ins, the first copy of each.
    pub check_in_request_protection_bytes: u64,
    /// Bytes that protection added to their answers, the first copy of each.
    pub check_in_reply_protection_bytes: u64,
    /// Bytes that protection added to requests for payload, the first copy of each.
    pub payload_request_protection_bytes: u64,
    /// Bytes that protection added to replies with payload, the first copy of each.
    pub payload_reply_protection_bytes: u64,
}

impl Counts {
    /// Requests that each need one round trip on a link without loss.
    pub fn round_trips(&self) -> u32 {
        self.check_ins + self.handshakes + self.payload_requests + self.manifest_requests
    }

    /// Bytes that protection added, to the first copy of each message.
    pub fn protection_bytes(&self) -> u64 {
        self.check_in_request_protection_bytes
            + self.check_in_reply_protection_bytes
            + self.payload_request_protection_bytes
            + self.payload_reply_protection_bytes
    }

    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            check_ins: self.check_ins - earlier.check_ins,
            handshakes: self.handshakes - earlier.handshakes,
            payload_requests: self.payload_requests - earlier.payload_requests,
            payload_requests_again: self.payload_requests_again - earlier.payload_requests_again,
            manifest_requests: self.manifest_requests - earlier.manifest_requests,
            retransmissions: self.retransmissions - earlier.retransmissions,
            payload_replies: self.payload_replies - earlier.payload_replies,
            busy_replies: self.busy_replies - earlier.busy_replies,
            bytes: self.bytes - earlier.bytes,
            check_in_request_bytes: self.check_in_request_bytes - earlier.check_in_request_bytes,
            check_in_reply_bytes: self.check_in_reply_bytes - earlier.check_in_reply_bytes,
            payload_request_bytes: self.payload_request_bytes - earlier.payload_request_bytes,
            payload_reply_bytes: self.payload_reply_bytes - earlier.payload_reply_bytes,
            check_in_request_protection_bytes: self.check_in_request_protection_bytes
                - earlier.check_in_request_protection_bytes,
            check_in_reply_protection_bytes: self.check_in_reply_protection_bytes
                - earlier.check_in_reply_protection_bytes,
            payload_request_protection_bytes: self.payload_request_protection_bytes
                - earlier.payload_request_protection_bytes,
            payload_reply_protection_bytes: self.payload_reply_protection_bytes
                - earlier.payload_reply_protection_bytes,
        }
    }
}

impl Observed {
    /// How often the image with this sequence number was offered.
    pub fn offers_of(&self, sequence_number: u64) -> usize {
        self.offers
            .iter()
            .filter(|offer| offer.sequence_number == sequence_number)
            .count()
    }
}

/// One offer: the job in a check-in answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// When the device asked, on the bridge's or the simulation's clock.
    pub asked_at_us: u64,
    /// What had been counted just before the device asked.
    pub before: Counts,
    /// Which image.
    pub sequence_number: u64,
    /// How it is encoded.
    pub format: Format,
    /// Bytes to fetch.
    pub payload_bytes: u32,
    /// The path to fetch them from.
    pub path: String,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    CheckIn,
    Handshake,
    Payload,
    Manifest,
}

/// Requests remembered to recognise their repetition and their reply. A device has one request open
/// at a time (RFC 7252 §4.7, `NSTART` 1), so this spans minutes.
const REQUESTS_MAX: usize = 64;

/// The listener. Its owner keeps the [`Observed`], so that it can be shared.
#[derive(Debug, Default)]
pub struct Tap {
    requests: VecDeque<Request>,
    furthest: Furthest,
    air: Option<Air>,
    overheard: Option<Overheard>,
}

/// The furthest block asked for of what is being fetched.
#[derive(Debug, Default)]
struct Furthest {
    path: String,
    first_byte: u32,
}

impl Furthest {
    /// How many bytes a request for something asked for before goes back.
    fn back_bytes(&mut self, message: &Message<'_>) -> Option<u32> {
        let segments = message.uri_path().map(String::from_utf8_lossy);
        let path = segments.collect::<Vec<_>>().join("/");
        let first_byte = match message.block2() {
            Ok(Some(block)) => block.number.value() * block.size.bytes(),
            _ => 0,
        };
        if self.path != path {
            *self = Self { path, first_byte };
            return None;
        }
        let back_bytes = self.first_byte.checked_sub(first_byte);
        self.first_byte = self.first_byte.max(first_byte);
        back_bytes
    }
}

#[derive(Debug)]
struct Request {
    message_id: MessageId,
    token: Token,
    purpose: Purpose,
    answered: bool,
    at_us: u64,
    before: Counts,
    /// Of a request that was read by its keys.
    exchange: Option<ClientExchange>,
}

impl Tap {
    /// A listener who holds both sides to what is promised of their numbers, and reads nothing that is protected.
    pub fn witness() -> Self {
        Self {
            air: Some(Air::default()),
            ..Self::default()
        }
    }

    /// The same, who reads what is protected under these credentials. `None` of credentials that no device could use.
    pub fn keyed(credentials: &Credentials) -> Option<Self> {
        Some(Self {
            overheard: Some(Overheard::new(credentials)?),
            ..Self::witness()
        })
    }

    /// Hears a datagram from the device.
    pub fn uplink(&mut self, now_us: u64, datagram: &[u8], observed: &mut Observed) {
        let before = observed.counts;
        let counts = &mut observed.counts;
        let bytes = (IP_UDP_HEADER_BYTES + datagram.len()) as u64;
        counts.bytes += bytes;
        if let Some(air) = &mut self.air {
            observed.broken.extend(air.uplink(datagram).err());
        }
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        if message.kind() != Kind::Confirmable || !message.code().is_request() {
            return;
        }
        // A device has one request open, and one that restarted may use old ids again: only the latest can be repeated.
        if self.requests.back().is_some_and(|latest| latest.is_of(&message)) {
            counts.retransmissions += 1;
            return;
        }
        let read = self.overheard.as_ref();
        let read = read.and_then(|overheard| overheard.request(datagram));
        let (opened, exchange) = read.unzip();
        let protection_bytes = opened.as_ref().map_or(0, |opened| opened.overhead_bytes);
        let message = opened
            .as_ref()
            .and_then(|opened| Message::parse(&opened.plain).ok())
            .unwrap_or(message);
        let purpose = purpose(&message);
        match purpose {
            Purpose::CheckIn => {
                counts.check_ins += 1;
                counts.check_in_request_bytes += bytes;
                counts.check_in_request_protection_bytes += protection_bytes;
            }
            Purpose::Handshake => counts.handshakes += 1,
            Purpose::Payload => {
                counts.payload_requests += 1;
                counts.payload_request_bytes += bytes;
                counts.payload_request_protection_bytes += protection_bytes;
                let back_bytes = self.furthest.back_bytes(&message);
                counts.payload_requests_again += u32::from(back_bytes.is_some());
                let most = observed.payload_back_bytes_max.max(back_bytes.unwrap_or(0));
                observed.payload_back_bytes_max = most;
            }
            Purpose::Manifest => counts.manifest_requests += 1,
        }
        if self.requests.len() == REQUESTS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(Request {
            message_id: message.message_id(),
            token: message.token(),
            purpose,
            answered: false,
            at_us: now_us,
            before,
            exchange,
        });
    }

    /// Hears a datagram from the gateway.
    pub fn downlink(&mut self, datagram: &[u8], observed: &mut Observed) {
        let counts = &mut observed.counts;
        let bytes = (IP_UDP_HEADER_BYTES + datagram.len()) as u64;
        counts.bytes += bytes;
        if let Some(air) = &mut self.air {
            observed.broken.extend(air.downlink(datagram).err());
        }
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        let mut latest = self.requests.iter_mut().rev();
        let Some(request) = latest.find(|request| request.is_of(&message)) else {
            return;
        };
        if request.answered {
            return;
        }
        request.answered = true;
        let opened = match (&self.overheard, &mut request.exchange) {
            (Some(overheard), Some(exchange)) => overheard.answer(exchange, datagram),
            _ => None,
        };
        let protection_bytes = opened.as_ref().map_or(0, |opened| opened.overhead_bytes);
        let message = opened
            .as_ref()
            .and_then(|opened| Message::parse(&opened.plain).ok())
            .unwrap_or(message);
        match (request.purpose, message.code()) {
            (_, Code::SERVICE_UNAVAILABLE) => counts.busy_replies += 1,
            (Purpose::Payload, Code::CONTENT) => {
                counts.payload_replies += 1;
                counts.payload_reply_bytes += bytes;
                counts.payload_reply_protection_bytes += protection_bytes;
            }
            (Purpose::CheckIn, Code::CHANGED) => {
                counts.check_in_reply_bytes += bytes;
                counts.check_in_reply_protection_bytes += protection_bytes;
                observed.offers.extend(offer(request, message.payload()));
            }
            _ => {}
        }
    }
}

impl Request {
    fn is_of(&self, message: &Message<'_>) -> bool {
        self.message_id == message.message_id() && self.token == message.token()
    }
}

/// `POST /.well-known/edhoc` begins a handshake, any other POST is a check-in, `GET /path/m` a manifest, any other request payload.
fn purpose(message: &Message<'_>) -> Purpose {
    if message.path_is(&[".well-known", "edhoc"]) {
        return Purpose::Handshake;
    }
    if message.code() == Code::POST {
        return Purpose::CheckIn;
    }
    let mut path = message.uri_path();
    match (path.next(), path.next(), path.next()) {
        (Some(_), Some(b"m"), None) => Purpose::Manifest,
        _ => Purpose::Payload,
    }
}

fn offer(request: &Request, body: &[u8]) -> Option<Offer> {
    let job = Answer::decode(body).ok()?.job?;
    Some(Offer {
        asked_at_us: request.at_us,
        before: request.before,
        sequence_number: job.sequence_number,
        format: job.format,
        payload_bytes: job.payload_bytes,
        path: job.path.as_str().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire_checkin::{ANSWER_BYTES_MAX, Job, JobPath, Severity};
    use wire_coap::{BlockSize, BlockValue, OptionNumber, Writer};

    fn message(kind: Kind, code: Code, id: u16, path: &[&str], payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 1_200];
        let mut writer = Writer::new(&mut buffer, kind, code, MessageId(id), Token::EMPTY).unwrap();
        for segment in path {
            writer.uri_path(segment).unwrap();
        }
        if code == Code::GET {
            writer
                .block(OptionNumber::BLOCK2, BlockValue::first(BlockSize::B64))
                .unwrap();
        }
        if !payload.is_empty() {
            writer.payload(payload).unwrap();
        }
        writer.finish().to_vec()
    }

    fn offering(sequence_number: u64) -> Answer<'static> {
        Answer {
            job: Some(Job {
                path: JobPath::new("abc").unwrap(),
                format: Format::Patch,
                payload_bytes: 700,
                artefact_digest: [1; 16],
                sequence_number,
                severity: Severity::default(),
                defer_s_max: None,
            }),
            ..Answer::idle(60)
        }
    }

    #[test]
    fn requests_are_counted_by_purpose_and_repetitions_apart() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let check_in = message(Kind::Confirmable, Code::POST, 1, &["c"], b"");
        let block = message(Kind::Confirmable, Code::GET, 2, &["abc"], b"");
        let manifest = message(Kind::Confirmable, Code::GET, 3, &["abc", "m"], b"");
        for datagram in [&check_in, &check_in, &block, &manifest] {
            tap.uplink(0, datagram, &mut observed);
        }
        assert_eq!(observed.counts.check_ins, 1);
        assert_eq!(observed.counts.payload_requests, 1);
        assert_eq!(observed.counts.manifest_requests, 1);
        assert_eq!(observed.counts.retransmissions, 1);
        assert_eq!(observed.counts.round_trips(), 3);
    }

    #[test]
    fn a_handshake_is_no_check_in() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let path = [".well-known", "edhoc"];
        let message_1 = message(Kind::Confirmable, Code::POST, 1, &path, b"message_1");
        tap.uplink(0, &message_1, &mut observed);
        tap.uplink(0, &message_1, &mut observed);
        assert_eq!((observed.counts.handshakes, observed.counts.check_ins), (1, 0));
        assert_eq!(observed.counts.retransmissions, 1);
    }

    #[test]
    fn an_offer_counts_once_however_often_its_answer_is_repeated() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let mut body = [0; ANSWER_BYTES_MAX];
        let body = offering(3).encode(&mut body).unwrap();
        tap.uplink(
            0,
            &message(Kind::Confirmable, Code::POST, 1, &["c"], b""),
            &mut observed,
        );
        let reply = message(Kind::Acknowledgement, Code::CHANGED, 1, &[], body);
        tap.downlink(&reply, &mut observed);
        tap.downlink(&reply, &mut observed);
        assert_eq!(observed.offers_of(3), 1);
        assert_eq!(observed.offers_of(2), 0);
        assert_eq!(observed.offers[0].payload_bytes, 700);
    }

    #[test]
    fn an_old_message_id_after_another_request_is_a_new_request() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let block = message(Kind::Confirmable, Code::GET, 2, &["abc"], b"");
        let other = message(Kind::Confirmable, Code::GET, 3, &["abc"], b"");
        for datagram in [&block, &other, &block] {
            tap.uplink(0, datagram, &mut observed);
        }
        assert_eq!(observed.counts.payload_requests, 3);
        assert_eq!(observed.counts.retransmissions, 0);
    }

    #[test]
    fn a_block_asked_for_before_is_fetched_again() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let block = |id: u16, path: &str, number: u32| {
            let mut buffer = [0; 100];
            let id = MessageId(id);
            let mut writer =
                Writer::new(&mut buffer, Kind::Confirmable, Code::GET, id, Token::EMPTY).unwrap();
            writer.uri_path(path).unwrap();
            let number = wire_coap::BlockNumber::new(number).unwrap();
            let value = BlockValue::request(number, BlockSize::B64);
            writer.block(OptionNumber::BLOCK2, value).unwrap();
            writer.finish().to_vec()
        };
        // The fourth goes back two blocks, the last is of another payload.
        for (id, (path, number)) in [("a", 4), ("a", 5), ("a", 5), ("a", 3), ("a", 5), ("b", 0)]
            .into_iter()
            .enumerate()
        {
            tap.uplink(0, &block(id as u16, path, number), &mut observed);
        }
        assert_eq!(observed.counts.payload_requests, 6);
        assert_eq!(observed.counts.payload_requests_again, 3);
        assert_eq!(observed.payload_back_bytes_max, 128);
    }

    #[test]
    fn an_old_offer_that_answers_a_new_request_counts_again() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let mut body = [0; ANSWER_BYTES_MAX];
        let body = offering(3).encode(&mut body).unwrap();
        let check_in = message(Kind::Confirmable, Code::POST, 1, &["c"], b"");
        let other = message(Kind::Confirmable, Code::POST, 2, &["c"], b"");
        let reply = message(Kind::Acknowledgement, Code::CHANGED, 1, &[], body);
        for request in [&check_in, &other, &check_in] {
            tap.uplink(0, request, &mut observed);
            tap.downlink(&reply, &mut observed);
        }
        assert_eq!(observed.offers_of(3), 2);
    }

    #[test]
    fn a_reply_to_nothing_is_not_counted() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let reply = message(Kind::Acknowledgement, Code::CONTENT, 9, &[], b"x");
        tap.downlink(&reply, &mut observed);
        let only_bytes = Counts {
            bytes: 28 + reply.len() as u64,
            ..Counts::default()
        };
        assert_eq!(observed.counts, only_bytes);
    }

    /// A device and its gateway, and what both write.
    struct Pair {
        device: wire_oscore::Context,
        gateway: wire_oscore::Context,
    }

    /// The example of docs/identity.md.
    fn enrolled() -> (Tap, Pair) {
        let record = include_bytes!("../../../fixtures/identity/credentials.dgc");
        let credentials = Credentials::decode(record).unwrap();
        let kid = wire_oscore::Id::new(credentials.kid.as_bytes()).unwrap();
        let gateway = wire_oscore::Id::new(credentials.gateway.as_bytes()).unwrap();
        let derive = |sender, recipient| {
            let salt = credentials.master_salt.as_bytes();
            wire_oscore::Context::derive(&credentials.master_secret, salt, None, sender, recipient).unwrap()
        };
        let pair = Pair {
            device: derive(kid, gateway),
            gateway: derive(gateway, kid),
        };
        (Tap::keyed(&credentials).unwrap(), pair)
    }

    impl Pair {
        fn request(&self, number: u64, plain: &[u8]) -> Vec<u8> {
            let mut out = [0; 200];
            let number = wire_oscore::PartialIv::new(number).unwrap();
            let number = wire_oscore::FreshPartialIv::dangerous(number);
            let plain = Message::parse(plain).unwrap();
            self.device
                .protect_request(number, &plain, &mut out)
                .unwrap()
                .0
                .to_vec()
        }

        fn answer(&self, request: &[u8], plain: &[u8]) -> Vec<u8> {
            let mut arrived = request.to_vec();
            let mut window = wire_oscore::ReplayWindow::new();
            let received = self.gateway.unprotect_request(&mut window, &mut arrived);
            let Ok(wire_oscore::Received::Request { mut exchange, .. }) = received else {
                panic!("{received:?}")
            };
            let mut out = [0; 1_300];
            let plain = Message::parse(plain).unwrap();
            let sent = self
                .gateway
                .protect_response(&mut exchange, None, &plain, &mut out);
            sent.unwrap().to_vec()
        }
    }

    #[test]
    fn with_the_keys_what_is_protected_is_counted_as_what_it_is() {
        let ((mut tap, pair), mut observed) = (enrolled(), Observed::default());
        let plain = [
            message(Kind::Confirmable, Code::POST, 1, &["c"], b"check-in"),
            message(Kind::Confirmable, Code::GET, 2, &["abc"], b""),
        ];
        let mut body = [0; ANSWER_BYTES_MAX];
        let answers = [
            (Code::CHANGED, offering(3).encode(&mut body).unwrap().to_vec()),
            (Code::CONTENT, vec![7; 64]),
        ];
        let mut protected_bytes = 0;
        for (number, (plain, (code, body))) in (0..).zip(plain.iter().zip(&answers)) {
            let request = pair.request(number, plain);
            tap.uplink(0, &request, &mut observed);
            let id = number as u16 + 1;
            let plain = message(Kind::Acknowledgement, *code, id, &[], body);
            let answer = pair.answer(&request, &plain);
            protected_bytes = answer.len() - plain.len();
            tap.downlink(&answer, &mut observed);
        }
        assert_eq!(observed.offers_of(3), 1);
        let counts = &observed.counts;
        assert_eq!((counts.check_ins, counts.payload_requests), (1, 1));
        assert_eq!(counts.payload_replies, 1);
        assert_eq!(counts.payload_reply_protection_bytes, protected_bytes as u64);
        // Option, payload marker, code, tag; and its value: flags, a number of one byte, a key id of one.
        assert_eq!(counts.payload_request_protection_bytes, 11 + 3);
        assert_eq!(observed.broken, Vec::<String>::new());
    }

    #[test]
    fn a_number_for_two_messages_and_one_in_the_clear_are_noticed() {
        let ((mut tap, pair), mut observed) = (enrolled(), Observed::default());
        let [one, other] =
            [b"one", b"two"].map(|body| message(Kind::Confirmable, Code::POST, 1, &["c"], body));
        tap.uplink(0, &pair.request(5, &one), &mut observed);
        tap.uplink(0, &pair.request(5, &one), &mut observed);
        assert_eq!(observed.broken, Vec::<String>::new());
        tap.uplink(0, &pair.request(5, &other), &mut observed);
        assert_eq!(observed.broken.len(), 1, "{:?}", observed.broken);
        tap.uplink(0, &other, &mut observed);
        assert_eq!(observed.broken.len(), 2, "{:?}", observed.broken);
    }

    #[test]
    fn an_ephemeral_key_for_two_handshakes_is_noticed() {
        let (mut tap, mut observed) = (Tap::witness(), Observed::default());
        let path = [".well-known", "edhoc"];
        let hello = |id, ephemeral| message(Kind::Confirmable, Code::POST, id, &path, ephemeral);
        for (id, ephemeral) in [(1, b"X"), (1, b"X"), (2, b"Y")] {
            tap.uplink(0, &hello(id, ephemeral), &mut observed);
        }
        assert_eq!(observed.broken, Vec::<String>::new());
        tap.uplink(0, &hello(3, b"X"), &mut observed);
        assert_eq!(observed.broken.len(), 1, "{:?}", observed.broken);
    }
}
