//! Listens to what device and gateway say, and keeps count: requests, retransmissions, offers.
//!
//! An independent witness: tests and the demo believe neither side about how often something was
//! sent, because both could be wrong in the same way.

use std::collections::VecDeque;
use wire_checkin::{Answer, Format};
use wire_coap::{Code, Kind, Message, MessageId, Token};

/// What was said so far. A request counts when the device sends it, whatever becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Confirmable requests of each purpose, retransmissions not counted.
    pub check_ins: u32,
    /// Blocks of payload asked for.
    pub payload_requests: u32,
    /// Blocks of manifest asked for.
    pub manifest_requests: u32,
    /// Requests that were sent again.
    pub retransmissions: u32,
    /// Replies of the gateway that carry a block of payload, repeated ones not counted.
    pub payload_replies: u32,
    /// Replies with 5.03: ask again later.
    pub busy_replies: u32,
    /// Jobs that the gateway offered, each check-in answer with a job counted once.
    pub offers: Vec<Offer>,
}

impl Observed {
    /// Requests that each need one round trip on a link without loss.
    pub fn round_trips(&self) -> u32 {
        self.check_ins + self.payload_requests + self.manifest_requests
    }

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
    /// When the gateway sent it, on the bridge's or the simulation's clock.
    pub at_us: u64,
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
}

#[derive(Debug)]
struct Request {
    message_id: MessageId,
    token: Token,
    purpose: Purpose,
    answered: bool,
}

impl Tap {
    /// Hears a datagram from the device.
    pub fn uplink(&mut self, _now_us: u64, datagram: &[u8], observed: &mut Observed) {
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        if message.kind() != Kind::Confirmable || !message.code().is_request() {
            return;
        }
        if self.find(&message).is_some() {
            observed.retransmissions += 1;
            return;
        }
        let purpose = purpose(&message);
        *match purpose {
            Purpose::CheckIn => &mut observed.check_ins,
            Purpose::Payload => &mut observed.payload_requests,
            Purpose::Manifest => &mut observed.manifest_requests,
        } += 1;
        if self.requests.len() == REQUESTS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(Request {
            message_id: message.message_id(),
            token: message.token(),
            purpose,
            answered: false,
        });
    }

    /// Hears a datagram from the gateway.
    pub fn downlink(&mut self, now_us: u64, datagram: &[u8], observed: &mut Observed) {
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        let Some(request) = self.find(&message) else {
            return;
        };
        if request.answered {
            return;
        }
        request.answered = true;
        match (request.purpose, message.code()) {
            (_, Code::SERVICE_UNAVAILABLE) => observed.busy_replies += 1,
            (Purpose::Payload, Code::CONTENT) => observed.payload_replies += 1,
            (Purpose::CheckIn, Code::CHANGED) => {
                observed.offers.extend(offer(now_us, message.payload()));
            }
            _ => {}
        }
    }

    fn find(&mut self, message: &Message<'_>) -> Option<&mut Request> {
        self.requests
            .iter_mut()
            .rev()
            .find(|request| request.message_id == message.message_id() && request.token == message.token())
    }
}

/// `POST /c` is a check-in, `GET /path/m` a manifest, any other request payload.
fn purpose(message: &Message<'_>) -> Purpose {
    if message.code() == Code::POST {
        return Purpose::CheckIn;
    }
    let mut path = message.uri_path();
    match (path.next(), path.next(), path.next()) {
        (Some(_), Some(b"m"), None) => Purpose::Manifest,
        _ => Purpose::Payload,
    }
}

fn offer(at_us: u64, body: &[u8]) -> Option<Offer> {
    let job = Answer::decode(body).ok()?.job?;
    Some(Offer {
        at_us,
        sequence_number: job.sequence_number,
        format: job.format,
        payload_bytes: job.payload_bytes,
        path: job.path.as_str().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire_checkin::{ANSWER_BYTES_MAX, Job, JobPath};
    use wire_coap::{BlockSize, BlockValue, OptionNumber, Writer};

    fn message(kind: Kind, code: Code, id: u16, path: &[&str], payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 1_200];
        let mut writer = Writer::new(&mut buffer, kind, code, MessageId(id), Token::EMPTY).unwrap();
        for segment in path {
            writer.uri_path(segment).unwrap();
        }
        if code == Code::GET {
            writer
                .block(
                    OptionNumber::BLOCK2,
                    BlockValue::first(BlockSize::B64),
                )
                .unwrap();
        }
        if !payload.is_empty() {
            writer.payload(payload).unwrap();
        }
        writer.finish().to_vec()
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
        assert_eq!(observed.check_ins, 1);
        assert_eq!(observed.payload_requests, 1);
        assert_eq!(observed.manifest_requests, 1);
        assert_eq!(observed.retransmissions, 1);
        assert_eq!(observed.round_trips(), 3);
    }

    #[test]
    fn an_offer_counts_once_however_often_its_answer_is_repeated() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let answer = Answer {
            job: Some(Job {
                path: JobPath::new("abc").unwrap(),
                format: Format::Patch,
                payload_bytes: 700,
                artefact_digest: [1; 16],
                sequence_number: 3,
            }),
            ..Answer::idle(60)
        };
        let mut body = [0; ANSWER_BYTES_MAX];
        let body = answer.encode(&mut body).unwrap();
        tap.uplink(0, &message(Kind::Confirmable, Code::POST, 1, &["c"], b""), &mut observed);
        let reply = message(Kind::Acknowledgement, Code::CHANGED, 1, &[], body);
        tap.downlink(5, &reply, &mut observed);
        tap.downlink(6, &reply, &mut observed);
        assert_eq!(observed.offers_of(3), 1);
        assert_eq!(observed.offers_of(2), 0);
        assert_eq!(observed.offers[0].payload_bytes, 700);
    }

    #[test]
    fn a_reply_to_nothing_is_not_counted() {
        let (mut tap, mut observed) = (Tap::default(), Observed::default());
        let reply = message(Kind::Acknowledgement, Code::CONTENT, 9, &[], b"x");
        tap.downlink(0, &reply, &mut observed);
        assert_eq!(observed, Observed::default());
    }
}
