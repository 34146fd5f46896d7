//! The gateway's shell on virtual time: stores changes before it sends, builds artefacts, restarts.

use super::release::SignedImage;
use gateway_core::{
    ArtefactDigest, ArtefactRecord, BuildOutcome, BuildRequest, Bytes, Change, Command, CoreConfig, Effect,
    File, Gateway, IdentityChange, ImageDigest, Now, PayloadError, Payloads, Refusal, Reply, Transmit,
    UpdateState,
};
use gateway_delta::Options;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use wire_checkin::{DeviceId, Format};
use wire_edhoc::PrivateKey;
use wire_patch::MemoryClass;

/// What the wall clock reads at the start of the simulation: the least that counts as set.
const UNIX_START_S: u64 = gateway_core::WRITTEN_UNIX_S;

/// What the disk of a simulated gateway holds: what survives its restart.
#[derive(Debug, Default)]
pub(super) struct Disk {
    changes: Vec<Change>,
    payloads: BTreeMap<ArtefactDigest, Vec<u8>>,
    images: BTreeMap<ImageDigest, Vec<u8>>,
}

impl Payloads for Disk {
    fn read(&self, artefact: &ArtefactDigest, offset: u64, buffer: &mut [u8]) -> Result<usize, PayloadError> {
        let payload = self.payloads.get(artefact).ok_or_else(|| PayloadError {
            reason: format!("no artefact {artefact}"),
        })?;
        let rest = payload.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// A gateway with its disk.
pub struct GatewaySide {
    config: CoreConfig,
    core: Gateway,
    disk: Disk,
    withheld: BTreeSet<(DeviceId, ImageDigest)>,
    builds: Vec<BuildRequest>,
    delta_builds: u32,
    /// Whether deltas cannot be built.
    deltas_fail: bool,
    wall_clock: WallClock,
    starts: u32,
}

/// A clock that was set to a time, whatever it read before.
#[derive(Clone, Copy, Debug)]
struct WallClock {
    set_at_us: u64,
    to_unix_s: u64,
}

impl GatewaySide {
    /// A gateway that knows nothing yet.
    pub fn new(config: CoreConfig) -> Self {
        Self {
            core: Gateway::new(config.clone()),
            config,
            disk: Disk::default(),
            withheld: BTreeSet::new(),
            builds: Vec::new(),
            delta_builds: 0,
            deltas_fail: false,
            wall_clock: WallClock {
                set_at_us: 0,
                to_unix_s: UNIX_START_S,
            },
            starts: 0,
        }
        .drawn()
    }

    /// Random bytes of the gateway's, other ones at each start.
    fn drawn(mut self) -> Self {
        self.draw();
        self
    }

    fn draw(&mut self) {
        let seed = Sha256::new()
            .chain_update(b"drawn")
            .chain_update(self.starts.to_le_bytes());
        self.core.handle_random(&seed.finalize().into());
    }

    /// Gives it a key of its own, which stays on its disk.
    pub fn hold_key(&mut self, key: PrivateKey) {
        let change = Change::Identity(IdentityChange::OwnKey(key));
        self.disk.changes.push(change.clone());
        self.core.restore(change);
    }

    /// Loses the disk as well, and starts as a gateway that knows nothing: its machine was replaced, and there is no backup.
    pub fn lose_everything(&mut self, now_us: u64) {
        self.disk = Disk::default();
        self.restart(now_us);
    }

    /// Sets the wall clock, which may jump.
    pub fn set_wall_clock(&mut self, now_us: u64, to_unix_s: u64) {
        self.wall_clock = WallClock {
            set_at_us: now_us,
            to_unix_s,
        };
    }

    /// Both clocks.
    pub fn now(&self, now_us: u64) -> Now {
        let WallClock { set_at_us, to_unix_s } = self.wall_clock;
        Now {
            monotonic_ms: now_us / 1_000,
            unix_s: to_unix_s + (now_us - set_at_us) / 1_000_000,
        }
    }

    /// Lets every delta fail to build from now on.
    pub fn fail_deltas(&mut self) {
        self.deltas_fail = true;
    }

    /// The core, for an operator's questions.
    pub fn core(&self) -> &Gateway {
        &self.core
    }

    /// Changes the configuration, which counts from the next restart on.
    pub fn configure(&mut self, change: impl FnOnce(&mut CoreConfig)) {
        change(&mut self.config);
    }

    /// Loses everything but the disk, as `kill -9` does, and starts again from it.
    pub fn restart(&mut self, now_us: u64) {
        self.builds.clear();
        self.starts += 1;
        self.config.echo_seed = Sha256::digest(self.starts.to_le_bytes()).into();
        self.core = Gateway::new(self.config.clone());
        for change in &self.disk.changes {
            self.core.restore(change.clone());
        }
        self.draw();
        self.core.handle_start(self.now(now_us));
    }

    /// Imports an image that the caller has signed.
    pub fn import(&mut self, now_us: u64, release: &SignedImage) -> Result<(), Refusal> {
        let record = release.record();
        self.disk.images.insert(record.digest, release.image.clone());
        self.command(now_us, Command::ImportImage(record)).map(|_| ())
    }

    /// Carries out an operator's command.
    pub fn command(&mut self, now_us: u64, command: Command) -> Result<Reply, Refusal> {
        self.core.handle_command(self.now(now_us), command)
    }

    /// Takes a datagram.
    pub fn receive(&mut self, now_us: u64, peer: SocketAddr, datagram: &[u8]) {
        let now = self.now(now_us);
        self.core.handle_datagram(now, peer, datagram, &self.disk);
    }

    /// Does what is due.
    pub fn wake(&mut self, now_us: u64) {
        self.core.handle_timeout(self.now(now_us));
    }

    /// Takes a finished build.
    pub fn built(&mut self, now_us: u64, outcome: BuildOutcome) {
        self.core.handle_built(self.now(now_us), outcome);
    }

    /// Stores every decision, then gives what is to be sent. An error is a broken promise.
    pub fn drain(&mut self) -> Result<Vec<Transmit>, String> {
        while let Some(effect) = self.core.poll_effect() {
            match effect {
                Effect::Store(change) => self.store(change)?,
                Effect::Build(request) => {
                    self.delta_builds += u32::from(request.key.base.is_some());
                    self.builds.push(request);
                }
                Effect::Discard(File::Image(image)) => drop(self.disk.images.remove(&image)),
                Effect::Discard(File::Artefact(artefact)) => drop(self.disk.payloads.remove(&artefact)),
            }
        }
        Ok(std::iter::from_fn(|| self.core.poll_transmit()).collect())
    }

    /// Builds to carry out, each given once.
    pub fn take_builds(&mut self) -> Vec<BuildRequest> {
        std::mem::take(&mut self.builds)
    }

    /// Carries out a build: what the worker pool of the real gateway does.
    pub fn build(&mut self, now_us: u64, request: &BuildRequest) -> BuildOutcome {
        let key = request.key;
        let mut artefacts = Vec::new();
        let target = self.disk.images.get(&key.target).cloned().unwrap_or_default();
        if key.formats.full {
            artefacts.push(self.artefact(now_us, request, Format::Full, 0, target.clone()));
        }
        let base = key.base.filter(|_| !self.deltas_fail);
        let base = base.and_then(|base| self.disk.images.get(&base).cloned());
        if let (Some(memory), Some(base)) = (key.formats.patch_memory, base)
            && let Some(memory) = MemoryClass::fitting(memory.0 as u32)
            && let Ok(patch) = gateway_delta::encode(&base, &target, &Options::new(memory))
        {
            artefacts.push(self.artefact(now_us, request, Format::Patch, memory.bytes(), patch));
        }
        BuildOutcome {
            key,
            result: if artefacts.is_empty() {
                Err("no format can be built".into())
            } else {
                Ok(artefacts)
            },
        }
    }

    /// When to wake it.
    pub fn wake_us(&self) -> Option<u64> {
        self.core.poll_timeout().map(|at_ms| at_ms * 1_000)
    }

    /// How many deltas it ever started to build.
    pub fn delta_builds(&self) -> u32 {
        self.delta_builds
    }

    fn artefact(
        &mut self,
        now_us: u64,
        request: &BuildRequest,
        format: Format,
        decoder_memory: u32,
        payload: Vec<u8>,
    ) -> ArtefactRecord {
        let record = ArtefactRecord {
            digest: ArtefactDigest(Sha256::digest(&payload).into()),
            target: request.key.target,
            base: if format.is_delta() { request.key.base } else { None },
            format,
            size: Bytes(payload.len() as u64),
            decoder_memory: Bytes(u64::from(decoder_memory)),
            in_place: None,
            built_unix_s: self.now(now_us).unix_s,
        };
        self.disk.payloads.insert(record.digest, payload);
        record
    }

    /// The promise of every offer: what a device reverted or refused is not offered again.
    fn store(&mut self, change: Change) -> Result<(), String> {
        if let Change::Update(update) = &change {
            let key = (update.device, update.image);
            match update.state {
                UpdateState::Withheld { .. } => {
                    self.withheld.insert(key);
                }
                UpdateState::Offered { .. } if self.withheld.contains(&key) => {
                    return Err(format!("withheld image {} offered again", update.image));
                }
                _ => {}
            }
        }
        self.disk.changes.push(change);
        Ok(())
    }
}
