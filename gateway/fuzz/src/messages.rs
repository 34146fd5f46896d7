//! What anybody on the network can send, and on a serial line.

use ed25519_dalek::{Signer, SigningKey};
use gateway_core::AnchorsRecord;
use sha2::{Digest, Sha256};
use wire_checkin::{ANSWER_BYTES_MAX, Answer, CHECK_IN_BYTES_MAX, CheckIn, Freshness};
use wire_coap::{Kind, Message, MessageId, OptionNumber, Token, Writer, reject};
use wire_manifest::{
    ANCHORS_MAX, Anchor, AnchorSet, Envelope, IMAGE_PAYLOAD, LATEST_ENVELOPE_BYTES_MAX, Latest, Manifest,
    Release, Roles, SetKey, Signature, SignatureError, SignedLatest, Text, TrustAnchors, Verifier, cosign,
    latest_class, sever_text, verify, verify_set, verify_with, write_set,
};
use wire_smp::{Header, MessageReader, Request};

use crate::common;

/// Reads everything that a message has. One that was accepted has one encoding.
pub(crate) fn walk(message: &Message<'_>) -> Vec<u8> {
    let length: usize = message
        .options()
        .map(|option| option.value.len() + 5)
        .sum::<usize>()
        + message.payload().len()
        + 16;
    let mut buffer = vec![0; length];
    let (kind, code, id) = (message.kind(), message.code(), message.message_id());
    let mut writer = Writer::new(&mut buffer, kind, code, id, message.token()).unwrap();
    for option in message.options() {
        writer.option(option.number, option.value).unwrap();
        let _ = message.uint(option.number);
        assert!(message.option(option.number).is_some());
    }
    writer.payload(message.payload()).unwrap();
    let _ = (
        message.block1(),
        message.block2(),
        message.etag(),
        message.size2(),
    );
    let _ = (message.max_age(), message.content_format(), message.accept());
    let _ = message.path_is(&["c"]);
    message.uri_path().chain(message.uri_query()).for_each(drop);
    writer.finish().to_vec()
}

pub(crate) fn coap(bytes: &[u8]) {
    match Message::parse(bytes) {
        Ok(message) => assert_eq!(walk(&message), bytes, "an accepted datagram has one encoding"),
        Err(_) => {
            if let Some(reset) = reject(bytes) {
                assert_eq!(Message::parse(&reset).unwrap().kind(), Kind::Reset);
            }
        }
    }
}

pub(crate) fn coap_seeds() -> Vec<Vec<u8>> {
    let check_in = common::check_in(1, 1);
    vec![
        common::post(1, &check_in),
        common::get(2, &["i", "0011223344556677"], None),
        common::get(3, &[".well-known", "core"], None),
        vec![0x40, 0, 0, 7],
    ]
}

pub(crate) fn check_in(bytes: &[u8]) {
    if let Ok(said) = CheckIn::decode(bytes) {
        let mut buffer = [0; CHECK_IN_BYTES_MAX];
        let again = said.encode(&mut buffer).unwrap();
        assert_eq!(CheckIn::decode(again), Ok(said));
    }
    if let Ok(told) = Answer::decode(bytes) {
        let mut buffer = vec![0; ANSWER_BYTES_MAX.max(bytes.len() + 64)];
        if let Ok(again) = told.encode(&mut buffer) {
            assert_eq!(Answer::decode(again), Ok(told));
        }
    }
}

pub(crate) fn check_in_seeds() -> Vec<Vec<u8>> {
    let encoded = |said: CheckIn| {
        let mut buffer = [0; CHECK_IN_BYTES_MAX];
        said.encode(&mut buffer).unwrap().to_vec()
    };
    let mut full = common::check_in(1, 1);
    full.last_update = common::outcome(2, wire_checkin::Outcome::RevertedWatchdog);
    full.staging_bytes = Some(65_536);
    full.in_place_reach_bytes = Some(4_096);
    full.freshness = Some(Freshness {
        number: 300,
        is_stale: true,
        is_behind: true,
    });
    let mut shell = common::Shell::ready(common::open());
    let reply = shell.ask(common::peer(1), &common::post(9, &common::check_in(1, 1)));
    let answer = Message::parse(&reply).unwrap().payload().to_vec();
    vec![encoded(common::check_in(1, 1)), encoded(full), answer]
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

fn anchors() -> [Anchor; 1] {
    [Anchor {
        key: key().verifying_key().to_bytes(),
    }]
}

/// A release that the key signed, changed before that by `change`.
fn release() -> Vec<u8> {
    let release = Release {
        sequence_number: 7,
        vendor_id: [1; 16],
        class_id: [2; 16],
        image_digest: [3; 32],
        image_size: 5,
        predecessor_min: 3,
        text: Some(Text {
            version: Some("1"),
            description: Some("d"),
        }),
        image: Some(b"image"),
    };
    let mut out = [0; 4_096];
    let signed = release.encode(&mut out, anchors()[0].key_id(), |bytes| {
        key().sign(bytes).to_bytes()
    });
    signed.unwrap().to_vec()
}

fn read_envelope(bytes: &[u8]) {
    let mut out = [0; wire_manifest::ENVELOPE_BYTES_MAX];
    let _ = sever_text(bytes, &mut out);
    let _ = Manifest::interpret(bytes);
    let _ = Text::read(bytes);
    if let Ok(envelope) = Envelope::parse(bytes) {
        let _ = (envelope.interpret(), envelope.digest_matches());
        let _ = envelope.integrated_payload(IMAGE_PAYLOAD);
        let _ = envelope.text_bytes().map(Text::read);
        envelope.signatures().for_each(drop);
    }
}

/// Nothing verifies but what was signed.
pub(crate) fn manifest(bytes: &[u8]) {
    read_envelope(bytes);
    let anchors = anchors();
    if let Ok(verified) = verify(bytes, &TrustAnchors::new(&anchors)) {
        assert_eq!((verified.sequence_number, verified.image_digest), (7, [3; 32]));
    }
}

pub(crate) fn manifest_seeds() -> Vec<Vec<u8>> {
    let file = release();
    let mut out = [0; wire_manifest::ENVELOPE_BYTES_MAX];
    let severed = sever_text(&file, &mut out).unwrap().to_vec();
    let mut seeds = vec![file, severed];
    let text = include_str!("../../../fixtures/suit/manifest_examples.json");
    let examples: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut hex = Vec::new();
    texts(&examples, &mut hex);
    for digits in hex {
        let bytes: Option<Vec<u8>> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
        seeds.extend(bytes.filter(|bytes| bytes.len() > 64));
    }
    seeds
}

/// Every text in a document.
fn texts<'v>(value: &'v serde_json::Value, found: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::String(text) => found.push(text),
        serde_json::Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// Takes every signature, and so stands for a publisher who signs anything.
struct Anything;

impl Verifier for Anything {
    fn verify(&self, _: &Signature<'_>, _: &[u8]) -> Result<u32, SignatureError> {
        Ok(1)
    }
}

/// A manifest that a publisher signed, whatever is in it: what is behind the signature.
pub(crate) fn signed_manifest(manifest: &[u8]) {
    let _ = Manifest::interpret(manifest);
    // The template's envelope around it, with its digest.
    let template = release();
    let parsed = Envelope::parse(&template).unwrap();
    let (old, digest) = (parsed.manifest_bytes(), parsed.manifest_digest());
    let at = template
        .windows(old.len())
        .position(|window| window == old)
        .unwrap();
    let enveloped = |digest: &[u8; 32]| {
        let mut bytes = template[..at - head(old.len()).len()].to_vec();
        let place = bytes
            .windows(32)
            .position(|window| window == parsed.manifest_digest());
        let place = place.unwrap();
        bytes[place..place + 32].copy_from_slice(digest);
        bytes.extend(head(manifest.len()));
        bytes.extend(manifest);
        bytes.extend(&template[at + old.len()..]);
        bytes
    };
    let new_digest = match Envelope::parse(&enveloped(&digest)) {
        Ok(envelope) => envelope.manifest_digest(),
        Err(_) => return,
    };
    let envelope = enveloped(&new_digest);
    let _ = verify_with(&envelope, &Anything);
    read_envelope(&envelope);
}

/// The head of a CBOR byte string.
fn head(length: usize) -> Vec<u8> {
    match length {
        0..24 => vec![0x40 | length as u8],
        24..256 => vec![0x58, length as u8],
        _ => vec![0x59, (length >> 8) as u8, length as u8],
    }
}

pub(crate) fn signed_manifest_seeds() -> Vec<Vec<u8>> {
    let file = release();
    vec![Envelope::parse(&file).unwrap().manifest_bytes().to_vec()]
}

/// A statement of what is newest, as it comes to a device, and as an image comes to a gateway.
pub(crate) fn latest(bytes: &[u8]) {
    if let Some(signed) = SignedLatest::decode(bytes) {
        assert_eq!(signed.encode(), bytes);
        let mut hash = |parts: &[&[u8]]| Sha256::digest(parts.concat()).into();
        let statements = latest_class(&[2; 16], &mut hash);
        let mut buffer = [0; LATEST_ENVELOPE_BYTES_MAX];
        let (vendor, key_id) = ([1; 16], anchors()[0].key_id());
        let envelope = signed.envelope(&mut buffer, &vendor, &[2; 16], &statements, key_id, &mut hash);
        let envelope = Envelope::parse(envelope.unwrap()).unwrap();
        assert!(envelope.digest_matches());
        let manifest = Manifest::interpret(envelope.manifest_bytes()).unwrap();
        let number = manifest.dangerous_unverified().sequence_number;
        assert_eq!(number, u64::from(signed.latest.number));
    }
    if let Some((latest, class)) = Latest::of_image(1, bytes) {
        assert_eq!(latest.image(&class), bytes);
    }
}

pub(crate) fn latest_seeds() -> Vec<Vec<u8>> {
    let latest = Latest {
        number: 70_000,
        sequence: 7,
        issued_s: 1_795_000_000,
        valid_s: 14 * 86_400,
    };
    let signature = [5; 64];
    vec![
        SignedLatest { latest, signature }.encode().to_vec(),
        latest.image(&[2; 16]).to_vec(),
    ]
}

/// A set of trust anchors: its array alone, and an envelope as a gateway imports it and a device verifies it.
pub(crate) fn anchor_set(bytes: &[u8]) {
    if let Some(set) = AnchorSet::read(bytes) {
        let with = |role| set.keys().filter(|(roles, _)| roles.has(role)).count();
        assert!(set.keys().count() <= ANCHORS_MAX);
        // Somebody can sign a release, and the next set.
        assert!((1..=with(Roles::RELEASE)).contains(&set.release_min.into()));
        assert!((1..=with(Roles::RECOVERY)).contains(&set.recovery_min.into()));
    }
    if let Some(record) = AnchorsRecord::read(bytes, 0) {
        let _ = record.content();
    }
    if let Some(set) = verify_set(bytes, &[2; 16], &[anchors()[0].key], 1) {
        assert_eq!((set.number, set.sequence_max), SIGNED, "the key signed one set");
    }
}

/// Number and highest sequence number.
const SIGNED: (u16, u32) = (9, 70_000);

pub(crate) fn anchor_set_seeds() -> Vec<Vec<u8>> {
    let both = Roles::RELEASE.and(Roles::RECOVERY);
    let mut keys = [
        SetKey::new(both, &anchors()[0].key),
        SetKey::new(Roles::RETIRED, &[4; 32]),
        SetKey::new(Roles::OPERATOR, &[5; 32]),
    ];
    let (mut out, mut signed) = ([0; wire_manifest::ENVELOPE_BYTES_MAX], [0; 1_024]);
    let (number, sequence_max) = SIGNED;
    let set = write_set(&mut out, number, Some([2; 16]), sequence_max, (1, 1), &mut keys).unwrap();
    let sign = |bytes: &[u8]| key().sign(bytes).to_bytes();
    let envelope = cosign(set, &mut signed, anchors()[0].key_id(), sign).unwrap();
    let array = Envelope::parse(envelope).unwrap().manifest_bytes().to_vec();
    vec![envelope.to_vec(), array]
}

pub(crate) fn edhoc(bytes: &[u8]) {
    wire_edhoc::any_bytes(bytes);
}

pub(crate) fn edhoc_seeds() -> Vec<Vec<u8>> {
    let key = |seed| wire_edhoc::PrivateKey::of_seed(&[seed; 32]).unwrap();
    let (_, message_1) = wire_edhoc::Initiator::start(&key(3), wire_oscore::Id::EMPTY).unwrap();
    let mut seeds = vec![message_1.as_bytes().to_vec()];
    let text = include_str!("../../../fixtures/edhoc/rfc9529-section-3.json");
    let trace: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut found = Vec::new();
    texts(&trace, &mut found);
    for text in found {
        let digits: String = text.split_whitespace().collect();
        let bytes: Option<Vec<u8>> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
        // A message: longer than a connection identifier, shorter than a transcript.
        let Some(bytes) = bytes.filter(|bytes| (17..200).contains(&bytes.len())) else {
            continue;
        };
        // As the payload of a request, too.
        let mut buffer = [0; 400];
        let token = Token::from_u32(1);
        let mut writer = Writer::new(
            &mut buffer,
            Kind::Confirmable,
            wire_coap::Code::POST,
            MessageId(1),
            token,
        )
        .unwrap();
        writer.option(OptionNumber::OSCORE, &[0x09, 0x01, 0x02]).unwrap();
        writer.uri_path(".well-known").unwrap();
        writer.uri_path("edhoc").unwrap();
        writer.option(OptionNumber(21), &[]).unwrap();
        writer.payload(&bytes).unwrap();
        seeds.push(writer.finish().to_vec());
        seeds.push(bytes);
    }
    seeds
}

/// Bytes on the serial line of recovery.
pub(crate) fn smp(bytes: &[u8]) {
    let mut reader = MessageReader::<512>::new();
    for byte in bytes {
        if let Some(message) = reader.push(*byte) {
            smp_message(message);
        }
    }
    // As if they had come in a packet, whose CRC a fuzzer does not guess.
    smp_message(bytes);
}

fn smp_message(message: &[u8]) {
    let Some((header, body)) = Header::parse(message) else {
        return;
    };
    if let Ok(request) = Request::parse(&header, body) {
        let mut room = [0; 2_048];
        if let Ok(length) = request.encode(header.sequence, &mut room) {
            let (again, body) = Header::parse(&room[..length]).unwrap();
            assert_eq!(Request::parse(&again, body), Ok(request));
        }
    }
    let _ = wire_smp::Response::parse(header.command, body);
}

pub(crate) fn smp_seeds() -> Vec<Vec<u8>> {
    let requests = [
        Request::Echo { text: b"hello" },
        Request::Reset,
        Request::Parameters,
        Request::Bootloader {
            query: Some(b"recovery"),
        },
        Request::ImageState,
    ];
    let mut seeds = Vec::new();
    for request in requests {
        let mut room = [0; 256];
        let length = request.encode(7, &mut room).unwrap();
        seeds.push(room[..length].to_vec());
        let mut buffer = [0; 300];
        let packet = wire_smp::packet(&mut buffer, |room| request.encode(7, room)).unwrap();
        let mut into = [0; wire_smp::LINE_BYTES_MAX];
        seeds.push(wire_smp::line(packet, 0, &mut into).unwrap().to_vec());
    }
    seeds
}
