//! A gateway of a few lines: it answers check-ins and blocks, keeps account, and misbehaves where it is told to.

use sha2::{Digest, Sha256};
use wire_checkin::{ANSWER_BYTES_MAX, Answer, CheckIn, Format, Job, JobPath, Severity};
use wire_coap::{BlockSize, Code, ContentFormat, ETag, Kind, Message, OptionNumber, Writer, slice};

use super::{Release, patch};

/// What a device is offered.
#[derive(Clone, Debug)]
pub struct Offer {
    pub job: Job,
    pub payload: Vec<u8>,
    pub envelope: Vec<u8>,
}

impl Offer {
    pub fn new(release: &Release, format: Format, payload: Vec<u8>) -> Self {
        let digest: [u8; 32] = Sha256::digest(&payload).into();
        let job = Job {
            path: JobPath::new("k3Tq9Za").unwrap(),
            format,
            payload_bytes: payload.len() as u32,
            artefact_digest: digest[..16].try_into().unwrap(),
            sequence_number: release.sequence.into(),
            severity: Severity::default(),
            defer_s_max: None,
        };
        Self {
            job,
            payload,
            envelope: release.envelope.clone(),
        }
    }

    pub fn patch(base: &Release, target: &Release) -> Self {
        Self::new(target, Format::Patch, patch(&base.image, &target.image))
    }

    pub fn full(target: &Release) -> Self {
        Self::new(target, Format::Full, target.image.clone())
    }
}

/// A request as the gateway saw it; a copy of one counts again.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    CheckIn(CheckIn),
    Manifest { block: u32 },
    Payload { path: String, block: u32 },
}

/// Stands between the link and the gateway: takes a datagram as it came, and may have plain ones answered.
pub type Shield = Box<dyn FnMut(&[u8], &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>>>;

/// Gives an answer in place of the gateway's own, to the `n`th request.
pub type Tamper = Box<dyn FnMut(&Message<'_>, usize) -> Option<Vec<u8>>>;

pub struct Gateway {
    pub offer: Option<Offer>,
    pub envelope_in_answer: bool,
    /// Also to an image that is not confirmed.
    pub offer_on_trial: bool,
    pub block_size_max: BlockSize,
    pub ack_timeout_ms: Option<u32>,
    pub next_check_in_s: u32,
    pub tamper: Option<Tamper>,
    pub requests: Vec<Request>,
    /// Empty ACK first and the response as a Confirmable of its own.
    pub separate: bool,
    pub shield: Option<Shield>,
    /// A set of trust anchors, and its number, for devices that have an older one.
    pub anchors: Option<(u16, Vec<u8>)>,
    next_id: u16,
}

impl Gateway {
    pub fn new(offer: Option<Offer>) -> Self {
        Self {
            offer,
            envelope_in_answer: true,
            offer_on_trial: false,
            block_size_max: BlockSize::B128,
            ack_timeout_ms: None,
            next_check_in_s: 60,
            tamper: None,
            requests: Vec::new(),
            separate: false,
            shield: None,
            anchors: None,
            next_id: 0x8000,
        }
    }

    pub fn check_ins(&self) -> Vec<&CheckIn> {
        let check_in = |request: &'_ _| matches!(request, Request::CheckIn(_));
        let requests = self.requests.iter().filter(|request| check_in(*request));
        requests
            .map(|request| match request {
                Request::CheckIn(check_in) => check_in,
                _ => unreachable!(),
            })
            .collect()
    }

    /// Numbers of the payload blocks asked for, in order.
    pub fn blocks(&self) -> Vec<u32> {
        let block = |request: &Request| match request {
            Request::Payload { block, .. } => Some(*block),
            _ => None,
        };
        self.requests.iter().filter_map(block).collect()
    }

    pub fn handle(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let Some(mut shield) = self.shield.take() else {
            return self.handle_plain(datagram);
        };
        let replies = shield(datagram, &mut |plain| self.handle_plain(plain));
        self.shield = Some(shield);
        replies
    }

    fn handle_plain(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let message = Message::parse(datagram).expect("the agent sends CoAP");
        if !message.code().is_request() {
            return Vec::new();
        }
        self.note(&message);
        let count = self.requests.len() - 1;
        if let Some(reply) = self.tamper.as_mut().and_then(|tamper| tamper(&message, count)) {
            return vec![reply];
        }
        let reply = self.reply(&message);
        if !self.separate {
            return vec![reply];
        }
        self.next_id += 1;
        let mut separate = reply;
        separate[0] &= 0b1100_1111;
        separate[2..4].copy_from_slice(&self.next_id.to_be_bytes());
        vec![
            wire_coap::empty_acknowledgement(message.message_id()).to_vec(),
            separate,
        ]
    }

    fn note(&mut self, message: &Message<'_>) {
        let path: Vec<String> = message
            .uri_path()
            .map(|segment| String::from_utf8(segment.to_vec()).unwrap())
            .collect();
        let block = message.block2().unwrap().map_or(0, |block| block.number.value());
        self.requests.push(match path.len() {
            1 if path[0] == "c" => {
                assert_eq!(message.content_format(), Some(ContentFormat::CBOR));
                Request::CheckIn(CheckIn::decode(message.payload()).expect("a valid check-in"))
            }
            1 => Request::Payload {
                path: path[0].clone(),
                block,
            },
            _ => Request::Manifest { block },
        });
    }

    fn reply(&self, message: &Message<'_>) -> Vec<u8> {
        match self.requests.last().unwrap() {
            Request::CheckIn(check_in) => self.answer(message, check_in),
            Request::Manifest { .. } => match &self.offer {
                Some(offer) => self.block(message, &offer.envelope, ETag::from_array([9; 4])),
                None => respond(message, Code::NOT_FOUND, &[], &[]),
            },
            Request::Payload { path, .. } => match &self.offer {
                Some(offer) if path == offer.job.path.as_str() => {
                    self.block(message, &offer.payload, ETag::from_array(offer.job.etag()))
                }
                _ => respond(message, Code::NOT_FOUND, &[], &[]),
            },
        }
    }

    fn answer(&self, message: &Message<'_>, check_in: &CheckIn) -> Vec<u8> {
        let withheld = |offer: &Offer| {
            check_in.last_update.is_some_and(|last| {
                last.sequence_number == offer.job.sequence_number && last.outcome.withholds()
            }) || self
                .check_ins()
                .iter()
                .filter_map(|earlier| earlier.last_update)
                .any(|last| last.sequence_number == offer.job.sequence_number && last.outcome.withholds())
        };
        let offer = self.offer.as_ref().filter(|offer| {
            let may_be_offered = self.offer_on_trial || !check_in.on_trial;
            check_in.sequence_number != offer.job.sequence_number && may_be_offered && !withheld(offer)
        });
        let anchors = self
            .anchors
            .as_ref()
            .filter(|(number, _)| Some(*number) > check_in.anchors.max(check_in.anchors_waiting))
            .filter(|_| check_in.anchors.is_some());
        let answer = Answer {
            anchors: anchors.map(|(_, envelope)| envelope.as_slice()),
            next_check_in_s: self.next_check_in_s,
            ack_timeout_ms: self.ack_timeout_ms,
            job: offer.map(|offer| offer.job),
            envelope: offer
                .filter(|_| self.envelope_in_answer && anchors.is_none())
                .map(|offer| offer.envelope.as_slice()),
            statement: None,
        };
        let mut buffer = [0; ANSWER_BYTES_MAX];
        respond(message, Code::CHANGED, &[], answer.encode(&mut buffer).unwrap())
    }

    fn block(&self, message: &Message<'_>, whole: &[u8], etag: ETag) -> Vec<u8> {
        let Ok(part) = slice(whole.len() as u32, message.block2().unwrap(), self.block_size_max) else {
            return respond(message, Code::BAD_REQUEST, &[], &[]);
        };
        let (start, end) = (part.offset as usize, (part.offset + part.length) as usize);
        let mut buffer = [0; 3];
        let value = part.value.encode(&mut buffer).to_vec();
        let options = [
            (OptionNumber::ETAG, etag.as_bytes().to_vec()),
            (OptionNumber::BLOCK2, value),
        ];
        respond(message, Code::CONTENT, &options, &whole[start..end])
    }
}

/// A piggybacked response.
pub fn respond(
    request: &Message<'_>,
    code: Code,
    options: &[(OptionNumber, Vec<u8>)],
    payload: &[u8],
) -> Vec<u8> {
    let mut buffer = [0; 2_048];
    let kind = Kind::Acknowledgement;
    let mut writer = Writer::new(&mut buffer, kind, code, request.message_id(), request.token()).unwrap();
    for (number, value) in options {
        writer.option(*number, value).unwrap();
    }
    writer.payload(payload).unwrap();
    writer.finish().to_vec()
}
