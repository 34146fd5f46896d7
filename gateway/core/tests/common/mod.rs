//! A gateway with the smallest shell that keeps its contract, and devices that speak to it.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use core::net::SocketAddr;
use gateway_core::{
    Access, ArtefactDigest, ArtefactRecord, BuildKey, BuildOutcome, Bytes, Change, ClassId, Command,
    CoreConfig, Effect, File, Gateway, ImageDigest, ImageRecord, LinkConfig, LinkName, Now, PayloadError,
    Payloads, Refusal, Reply, Selector, Terms, Transmit, UpdateState, VendorId, WRITTEN_UNIX_S,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wire_checkin::{
    Answer, CHECK_IN_BYTES_MAX, CheckIn, DeviceId, DigestPrefix, Format, Formats, Job, LastUpdate,
};
use wire_coap::{BlockValue, Code, ContentFormat, Kind, Message, MessageId, OptionNumber, Token, Writer};

pub(crate) const VENDOR: VendorId = VendorId([0xAA; 16]);
pub(crate) const CLASS: ClassId = ClassId([0xC1; 16]);
pub(crate) const OTHER_CLASS: ClassId = ClassId([0xC2; 16]);

/// A gateway whose links are open by choice: what most tests are about has nothing to do with keys.
pub(crate) fn open() -> CoreConfig {
    CoreConfig {
        default_link: open_link(),
        ..CoreConfig::default()
    }
}

/// Its links.
pub(crate) fn open_link() -> LinkConfig {
    LinkConfig {
        access: Access::Open,
        ..LinkConfig::default()
    }
}

/// Payloads by digest.
#[derive(Default, Clone)]
pub(crate) struct Disk(pub(crate) BTreeMap<ArtefactDigest, Vec<u8>>);

impl Payloads for Disk {
    fn read(&self, artefact: &ArtefactDigest, offset: u64, buffer: &mut [u8]) -> Result<usize, PayloadError> {
        let payload = self.0.get(artefact).ok_or_else(|| PayloadError {
            reason: "not on disk".into(),
        })?;
        let rest = payload.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

pub(crate) struct Shell {
    pub(crate) gateway: Gateway,
    pub(crate) config: CoreConfig,
    pub(crate) disk: Disk,
    pub(crate) changes: Vec<Change>,
    pub(crate) builds: Vec<BuildKey>,
    pub(crate) discarded: Vec<File>,
    pub(crate) sent: Vec<(u64, Transmit)>,
    pub(crate) now_ms: u64,
}

pub(crate) fn id(number: u8) -> DeviceId {
    DeviceId::new(&[0x52, 0x54, 0, 0, 0, number]).unwrap()
}

pub(crate) fn peer(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 5683))
}

/// Bytes that are the same for the same seed and do not repeat.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// A raw image of a sequence number.
pub(crate) fn raw(sequence_number: u64) -> Vec<u8> {
    bytes(sequence_number, 10_000)
}

pub(crate) fn digest(sequence_number: u64) -> ImageDigest {
    ImageDigest(Sha256::digest(raw(sequence_number)).into())
}

pub(crate) fn image(sequence_number: u64) -> ImageRecord {
    ImageRecord {
        digest: digest(sequence_number),
        size: Bytes(raw(sequence_number).len() as u64),
        vendor: VENDOR,
        class: CLASS,
        sequence_number,
        predecessor_min: 0,
        version: format!("v{sequence_number}"),
        description: String::new(),
        envelope: bytes(sequence_number + 1_000, 300),
        key_id: [7; 8],
        imported_unix_s: 1,
    }
}

pub(crate) fn check_in(number: u8, running: u64) -> CheckIn {
    CheckIn {
        device_id: id(number),
        vendor_id: VENDOR.0,
        class_id: CLASS.0,
        running_digest: DigestPrefix::of(&digest(running).0),
        sequence_number: running,
        slot_capacity_bytes: 520_192,
        staging_bytes: None,
        erase_sector_bytes: 4_096,
        block_szx_max: 6,
        round_trip_ms: 0,
        decoder_memory_bytes: 40_000,
        formats: Formats::of(&[Format::Full, Format::Lz4, Format::Patch]),
        last_update: None,
        on_trial: false,
        deferral: None,
        in_place_reach_bytes: None,
        anchors: None,
        anchors_waiting: None,
        freshness: None,
    }
}

pub(crate) fn outcome(sequence_number: u64, outcome: wire_checkin::Outcome) -> Option<LastUpdate> {
    Some(LastUpdate {
        sequence_number,
        outcome,
        detail: None,
    })
}

/// A request datagram.
pub(crate) fn request(
    kind: Kind,
    code: Code,
    message_id: u16,
    path: &[&str],
    block2: Option<BlockValue>,
    payload: &[u8],
) -> Vec<u8> {
    let mut buffer = [0; 1_500];
    let token = Token::from_u32(u32::from(message_id) | 0xAB00_0000);
    let mut writer = Writer::new(&mut buffer, kind, code, MessageId(message_id), token).unwrap();
    path.iter().for_each(|segment| writer.uri_path(segment).unwrap());
    if !payload.is_empty() {
        writer.content_format(ContentFormat::CBOR).unwrap();
    }
    if let Some(block2) = block2 {
        writer.block(OptionNumber::BLOCK2, block2).unwrap();
    }
    writer.payload(payload).unwrap();
    writer.finish().to_vec()
}

pub(crate) fn get(message_id: u16, path: &[&str], block2: Option<BlockValue>) -> Vec<u8> {
    request(Kind::Confirmable, Code::GET, message_id, path, block2, &[])
}

pub(crate) fn post(message_id: u16, said: &CheckIn) -> Vec<u8> {
    post_to(message_id, &["c"], said)
}

pub(crate) fn post_to(message_id: u16, path: &[&str], said: &CheckIn) -> Vec<u8> {
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    request(
        Kind::Confirmable,
        Code::POST,
        message_id,
        path,
        None,
        said.encode(&mut buffer).unwrap(),
    )
}

/// An answer's contents, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) next_check_in_s: u32,
    pub(crate) ack_timeout_ms: Option<u32>,
    pub(crate) job: Option<Job>,
    pub(crate) envelope: Option<Vec<u8>>,
    pub(crate) anchors: Option<Vec<u8>>,
}

pub(crate) fn told(datagram: &[u8]) -> Told {
    let message = Message::parse(datagram).unwrap();
    assert_eq!(
        message.code(),
        Code::CHANGED,
        "{:?}",
        String::from_utf8_lossy(message.payload())
    );
    let answer = Answer::decode(message.payload()).unwrap();
    Told {
        next_check_in_s: answer.next_check_in_s,
        ack_timeout_ms: answer.ack_timeout_ms,
        job: answer.job,
        envelope: answer.envelope.map(<[u8]>::to_vec),
        anchors: answer.anchors.map(<[u8]>::to_vec),
    }
}

pub(crate) fn code(datagram: &[u8]) -> Code {
    Message::parse(datagram).unwrap().code()
}

impl Shell {
    pub(crate) fn new(config: CoreConfig) -> Shell {
        Shell {
            gateway: Gateway::new(config.clone()),
            config,
            disk: Disk::default(),
            changes: Vec::new(),
            builds: Vec::new(),
            discarded: Vec::new(),
            sent: Vec::new(),
            now_ms: 0,
        }
    }

    /// A gateway that has images 1 and 2 with everything built, and device 1 claimed, running image 1.
    pub(crate) fn ready(config: CoreConfig) -> Shell {
        let mut shell = Shell::new(config);
        shell.import(1);
        shell.import(2);
        shell.build_all();
        shell.check_in(1, 1, &check_in(1, 1));
        shell
            .command(Command::Assign(
                Selector::Device(id(1)),
                digest(2),
                Terms::default(),
            ))
            .unwrap();
        shell.build_all();
        shell.sleep(1_000_000);
        shell
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            monotonic_ms: self.now_ms,
            unix_s: WRITTEN_UNIX_S + self.now_ms / 1_000,
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(effect) = self.gateway.poll_effect() {
            match effect {
                Effect::Store(change) => self.changes.push(change),
                Effect::Build(request) => self.builds.push(request.key),
                Effect::Discard(file) => self.discard(file),
            }
        }
        while let Some(transmit) = self.gateway.poll_transmit() {
            self.sent.push((self.now_ms, transmit));
        }
    }

    /// What is removed must be named by no row that was stored before.
    fn discard(&mut self, file: File) {
        self.discarded.push(file);
        if let File::Artefact(digest) = file {
            self.disk.0.remove(&digest).expect("a file that is there");
        }
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<Reply, Refusal> {
        let reply = self.gateway.handle_command(self.now(), command);
        self.drain();
        reply
    }

    pub(crate) fn import(&mut self, sequence_number: u64) {
        self.command(Command::ImportImage(image(sequence_number)))
            .unwrap();
    }

    pub(crate) fn send(&mut self, from: SocketAddr, datagram: &[u8]) {
        let now = self.now();
        self.gateway.handle_datagram(now, from, datagram, &self.disk);
        self.drain();
    }

    pub(crate) fn sleep(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(at) = self.gateway.poll_timeout().filter(|at| *at <= until) {
            self.now_ms = self.now_ms.max(at);
            self.gateway.handle_timeout(self.now());
            self.drain();
        }
        self.now_ms = until;
        self.gateway.handle_timeout(self.now());
        self.drain();
    }

    /// Sends and gives the one reply that leaves at once.
    pub(crate) fn ask(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<u8> {
        self.sent.clear();
        self.send(from, datagram);
        assert_eq!(self.sent.len(), 1, "one reply at once");
        let (_, transmit) = self.sent.remove(0);
        assert_eq!(transmit.peer, from);
        transmit.bytes
    }

    pub(crate) fn check_in(&mut self, number: u8, message_id: u16, said: &CheckIn) -> Told {
        let reply = self.ask(peer(number), &post(message_id, said));
        told(&reply)
    }

    pub(crate) fn build_all(&mut self) {
        while let Some(key) = self.builds.pop() {
            self.build(key);
        }
    }

    /// Builds as a real shell does, with payloads of a known size: patch 1,000 bytes, lz4 8,000, full 10,000.
    pub(crate) fn build(&mut self, key: BuildKey) {
        let mut artefacts = Vec::new();
        let mut add = |format, payload: Vec<u8>, memory: u64| {
            let digest = ArtefactDigest(Sha256::digest(&payload).into());
            let size = Bytes(payload.len() as u64);
            let (decoder_memory, target, base) = (Bytes(memory), key.target, key.base);
            self.disk.0.insert(digest, payload);
            artefacts.push(ArtefactRecord {
                digest,
                target,
                base,
                format,
                size,
                decoder_memory,
                in_place: key.formats.in_place.filter(|_| format == Format::Patch),
                built_unix_s: 3,
            });
        };
        let seed = u64::from_be_bytes(key.target.short())
            ^ key.base.map_or(0, |base| u64::from_be_bytes(base.short()));
        if key.formats.full {
            let full = (1..100)
                .find(|number| digest(*number) == key.target)
                .map(raw)
                .unwrap();
            add(Format::Full, full, 0);
        }
        if key.formats.lz4 {
            add(Format::Lz4, bytes(seed, 8_000), 0);
        }
        if key.formats.bsdiff {
            add(Format::Bsdiff, bytes(seed ^ 5, 900), 20_000);
        }
        if let Some(memory) = key.formats.patch_memory {
            let reach = key.formats.in_place.map_or(0, |reach| reach.0 << 8);
            add(Format::Patch, bytes(seed ^ memory.0 ^ reach, 1_000), memory.0);
        }
        self.built(key, Ok(artefacts));
    }

    pub(crate) fn built(&mut self, key: BuildKey, result: Result<Vec<ArtefactRecord>, String>) {
        let now = self.now();
        self.gateway.handle_built(now, BuildOutcome { key, result });
        self.drain();
    }

    /// What `kill -9` and a start leave.
    pub(crate) fn restart(&mut self) {
        self.builds.clear();
        self.gateway = Gateway::new(self.config.clone());
        self.changes
            .iter()
            .for_each(|change| self.gateway.restore(change.clone()));
    }

    pub(crate) fn update(&self, number: u8, sequence_number: u64) -> Option<(UpdateState, u32)> {
        let view = self.gateway.device(id(number))?;
        let update = view
            .updates
            .iter()
            .find(|update| update.image == digest(sequence_number))?;
        Some((update.state, update.offers))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn link_name(name: &str) -> LinkName {
    LinkName(name.into())
}
