//! The one task that owns the core and the socket.
//!
//! It feeds the core with what arrives and carries out what the core says, in this order: collect every effect of a
//! batch of inputs, commit the changes in one transaction, then start builds, then send. So nothing is promised on
//! the air that a crash could forget, and a burst of check-ins costs one commit. A block needs no change, so serving
//! blocks never waits for the disk's commit.

mod anchors;
mod answer;
mod identity;
mod keep;
mod look;
mod secure;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_core::{
    BuildOutcome, BuildRequest, Change, Channel, Effect, File, Gateway, ImageDigest, ImageRecord, Transmit,
};
use tokio::sync::{mpsc, oneshot};

use crate::admin::deed::{Deed, outcome};
use crate::admin::turned_away::What;
use crate::admin::{AnswerResult, Ask, Call, EngineAsk};
use crate::artefacts::BuildPool;
use crate::audit::Entry;
use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::observe::{Look, Meters};
use crate::store::{Store, StoreError};
use crate::turned_away;
use crate::udp::{CoapSocket, DATAGRAM_BYTES_MAX};
use crate::update_log;

/// Datagrams taken before their effects are committed and their replies sent. One commit on an SD card takes about
/// 10 ms; 64 check-ins share it.
const BATCH_DATAGRAMS_MAX: usize = 64;

pub use secure::SecurePort;

/// What the engine is made of.
pub struct Parts {
    /// The core, with everything stored replayed into it.
    pub core: Gateway,
    /// Where devices speak.
    pub socket: CoapSocket,
    /// Where they speak over DTLS, if anywhere.
    pub secure: Option<SecurePort>,
    /// Where decisions are kept.
    pub store: Store,
    /// What is served.
    pub blobs: Arc<Blobs>,
    /// Finished builds. Before the pool, so that on drop no worker waits for room in it.
    pub built: mpsc::Receiver<BuildOutcome>,
    /// Who builds it.
    pub builds: BuildPool,
    /// Technicians' questions.
    pub calls: mpsc::Receiver<Call>,
    /// Those who want to see the gateway's numbers.
    pub looks: mpsc::Receiver<Look>,
    /// The only clock.
    pub clock: Clock,
}

/// The running gateway.
pub struct Engine {
    parts: Parts,
    address: SocketAddr,
    started_unix_s: u64,
    datagram_errors: u64,
    meters: Meters,
    pending: Pending,
    /// Technicians whose image is kept and not served yet.
    imports: Vec<Import>,
    /// Builds the pool's full queue did not take; the core asks for each only once.
    backlog: VecDeque<BuildRequest>,
}

/// An import that is answered when the plain payload is there: who reads "imported" may fetch it at once, and CoAP
/// clients that do not understand 5.03 would not come back.
struct Import {
    image: ImageDigest,
    to: oneshot::Sender<AnswerResult>,
    result: AnswerResult,
}

/// What one batch of inputs asks for.
#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    audit: Vec<Entry>,
    discards: Vec<File>,
    builds: Vec<BuildRequest>,
    transmits: Vec<Transmit>,
    answers: Vec<(oneshot::Sender<AnswerResult>, AnswerResult)>,
}

impl Engine {
    /// An engine that has done nothing yet.
    pub fn new(parts: Parts) -> io::Result<Engine> {
        let address = parts.socket.local_address()?;
        let started_unix_s = parts.clock.now().unix_s;
        Ok(Engine {
            parts,
            address,
            started_unix_s,
            datagram_errors: 0,
            meters: Meters::default(),
            pending: Pending::default(),
            imports: Vec::new(),
            backlog: VecDeque::new(),
        })
    }

    /// Works until `stop` completes, then stores every counter. Only a database that fails ends it before.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut secure_buffer = [0; DATAGRAM_BYTES_MAX];
        let mut stop = std::pin::pin!(stop);
        let now = self.parts.clock.now();
        self.parts.core.handle_start(now);
        self.collect();
        loop {
            self.carry_out().await?;
            let wake = self.wake();
            tokio::select! {
                () = &mut stop => break,
                received = self.parts.socket.receive(&mut buffer) => self.take_datagrams(received, &mut buffer),
                received = secure::receive(self.parts.secure.as_ref(), &mut secure_buffer) => {
                    self.take_secure_datagrams(received, &mut secure_buffer);
                }
                Some(call) = self.parts.calls.recv() => self.take_call(call),
                Some(outcome) = self.parts.built.recv() => self.take_built(outcome),
                Some(look) = self.parts.looks.recv() => self.take_look(look).await,
                () = tokio::time::sleep_until(wake) => {
                    let now = self.parts.clock.now();
                    self.parts.core.handle_timeout(now);
                    self.collect();
                    self.secure_timeout();
                }
            }
        }
        let now = self.parts.clock.now();
        self.parts.core.handle_shutdown(now);
        self.collect();
        self.carry_out().await
    }

    /// When the core wants to be asked again; far away when it does not.
    fn wake(&self) -> tokio::time::Instant {
        let far = || tokio::time::Instant::now() + Duration::from_secs(3_600);
        let secure = self.parts.secure.as_ref().and_then(SecurePort::poll_timeout);
        let due = [self.parts.core.poll_timeout(), secure];
        let due = due.into_iter().flatten().min();
        due.map_or_else(far, |ms| self.parts.clock.at(ms).into())
    }

    /// The datagram that woke us and those behind it, up to a batch.
    fn take_datagrams(&mut self, first: io::Result<(usize, SocketAddr)>, buffer: &mut [u8]) {
        let mut received = first;
        for taken in 1..=BATCH_DATAGRAMS_MAX {
            match received {
                Ok((length, peer)) => {
                    let now = self.parts.clock.now();
                    self.parts
                        .core
                        .handle_datagram(now, peer, &buffer[..length], self.parts.blobs.as_ref());
                    self.collect();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP answer to something we sent; the socket stays good.
                Err(error) => self.count_error("receive", &error),
            }
            if taken == BATCH_DATAGRAMS_MAX {
                return;
            }
            received = self.parts.socket.try_receive(buffer);
        }
    }

    fn take_built(&mut self, outcome: BuildOutcome) {
        self.meters.built(&outcome);
        let image = outcome.key.target.short_hex();
        let base = outcome.key.base.map(|base| base.short_hex());
        match &outcome.result {
            Ok(artefacts) => {
                for artefact in artefacts {
                    let (format, size) = (artefact.format, artefact.size.0);
                    let digest = &artefact.digest.to_string()[..16];
                    tracing::info!(image, artefact = digest, base, %format, size, "artefact is ready");
                }
            }
            Err(reason) => tracing::warn!(image, base, reason, "build failed"),
        }
        let now = self.parts.clock.now();
        let key = outcome.key;
        let failed = outcome.result.as_ref().err().cloned();
        self.parts.core.handle_built(now, outcome);
        self.collect();
        if key.base.is_none() {
            self.answer_imports(key.target, failed);
        }
    }

    /// Answers whoever waits for the plain payload of this image.
    fn answer_imports(&mut self, image: ImageDigest, failed: Option<String>) {
        for import in self.imports.extract_if(.., |import| import.image == image) {
            let result = match &failed {
                None => import.result,
                Some(reason) => AnswerResult::Failed {
                    problem: format!("image is kept, but cannot be served: {reason}"),
                },
            };
            self.pending.answers.push((import.to, result));
        }
    }

    fn take_call(&mut self, call: Call) {
        let Call { ask, who, answer } = call;
        let result = match ask {
            EngineAsk::Ask(ask) => {
                let deeds = self.deeds(&ask);
                let result = self.answer(ask);
                self.audit_deeds(&who, deeds, &result);
                result
            }
            EngineAsk::WithBody(ask, body) => {
                let deeds = self.deeds(&ask);
                let result = self.answer_with_body(ask, &body, &who);
                self.audit_deeds(&who, deeds, &result);
                result
            }
            EngineAsk::Import(image) => return self.take_import(*image, &who, answer),
            EngineAsk::ImportStatement(statement) => self.take_statement(*statement, &who),
            EngineAsk::ImportRejected(problem) => {
                let outcome = format!("refused: {problem}");
                self.audit(Entry::now(&who, "image-import", "", outcome));
                AnswerResult::Refused { problem, hint: None }
            }
            EngineAsk::TurnedAway { what, why, omitted } => {
                self.audit_turned_away(&who, what, &why, omitted);
                AnswerResult::ok(&())
            }
        };
        self.collect();
        // Told only when what it says is on disk.
        self.pending.answers.push((answer, result));
    }

    fn take_import(&mut self, image: ImageRecord, who: &str, to: oneshot::Sender<AnswerResult>) {
        let digest = image.digest;
        let result = self.take_image(image, who);
        self.collect();
        let view = self.parts.core.image(digest);
        let is_being_made = view.is_some_and(|view| view.building.iter().any(|key| key.base.is_none()));
        if is_being_made && matches!(result, AnswerResult::Ok(_)) {
            let image = digest;
            self.imports.push(Import { image, to, result });
        } else {
            self.pending.answers.push((to, result));
        }
    }

    /// By identifiers: a label may be somebody else's tomorrow, and after this question nobody's.
    fn deeds(&self, ask: &Ask) -> Vec<Deed> {
        let deeds = Deed::all_of(ask).into_iter();
        deeds.map(|deed| self.identified(deed)).collect()
    }

    fn audit_deeds(&mut self, who: &str, deeds: Vec<Deed>, result: &AnswerResult) {
        let Some(outcome) = outcome(result) else { return };
        for deed in deeds {
            let entry = Entry::now(who, &deed.what, deed.detail, outcome.clone());
            self.audit(Entry {
                device: deed.device,
                ..entry
            });
        }
    }

    fn audit_turned_away(&mut self, who: &str, what: What, why: &str, omitted: u64) {
        let mut deed = match what {
            What::Question(ask) => self.identified(Deed::told(&ask)),
            What::Socket => Deed::of_connecting("connect-socket"),
            What::Remote => Deed::of_connecting("connect-remote"),
        };
        if omitted > 0 {
            let space = if deed.detail.is_empty() { "" } else { " " };
            deed.detail = format!("{}{space}omitted={omitted}", deed.detail);
        }
        self.audit(Entry {
            device: deed.device,
            ..Entry::now(who, &deed.what, deed.detail, format!("refused: {why}"))
        });
    }

    fn audit(&mut self, entry: Entry) {
        entry.log();
        self.pending.audit.push(entry);
    }

    /// Drains the core, as its contract says, after each input.
    fn collect(&mut self) {
        while let Some(effect) = self.parts.core.poll_effect() {
            match effect {
                Effect::Store(change) => self.pending.changes.push(change),
                Effect::Build(request) => self.pending.builds.push(request),
                Effect::Discard(file) => self.pending.discards.push(file),
            }
        }
        while let Some(transmit) = self.parts.core.poll_transmit() {
            self.pending.transmits.push(transmit);
        }
        self.refresh_keys();
        if let Some(notice) = self.parts.core.poll_notice() {
            turned_away::tell(&notice);
        }
    }

    /// Commits, and only then builds, sends and answers.
    async fn carry_out(&mut self) -> Result<(), StoreError> {
        let Pending {
            changes,
            audit,
            discards,
            builds,
            transmits,
            answers,
        } = std::mem::take(&mut self.pending);
        if !changes.is_empty() || !audit.is_empty() {
            let began = Instant::now();
            self.meters.storing(&changes);
            let told = changes.iter().filter(|change| update_log::is_told(change));
            let told: Vec<Change> = told.cloned().collect();
            self.parts.store.commit(changes, audit).await?;
            self.meters.stored(began.elapsed());
            told.iter()
                .for_each(|change| update_log::tell(&self.parts.core, change));
        }
        keep::discard(&self.parts.blobs, discards);
        self.backlog.extend(builds);
        while let Some(request) = self.backlog.front() {
            // Tried again when a finished build has made room.
            if self.parts.builds.submit(*request).is_err() {
                break;
            }
            self.backlog.pop_front();
        }
        for transmit in transmits {
            if let Err(error) = self.send(transmit).await {
                self.count_error("send", &error);
            }
        }
        for (sender, answer) in answers {
            // A technician who went away needs no answer.
            let _ = sender.send(answer);
        }
        Ok(())
    }

    async fn send(&mut self, transmit: Transmit) -> io::Result<()> {
        let Transmit { peer, channel, bytes } = transmit;
        match channel {
            Channel::Plain => self.parts.socket.send(peer, &bytes).await,
            Channel::Session(_) | Channel::Handshake => self.send_secure(peer, channel, bytes).await,
        }
    }

    fn count_error(&mut self, operation: &str, error: &io::Error) {
        self.datagram_errors += 1;
        tracing::debug!(operation, %error, "datagram lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::CoreConfig;

    #[tokio::test]
    async fn a_datagram_that_cannot_be_sent_is_counted_and_the_next_one_leaves() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(temp.path()).unwrap());
        let (store, _) = Store::open(&crate::store::path_in(temp.path()), None).unwrap();
        let parts = Parts {
            core: Gateway::new(CoreConfig::default()),
            socket: CoapSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap(),
            secure: None,
            store,
            blobs: Arc::clone(&blobs),
            built: mpsc::channel(1).1,
            builds: BuildPool::start(1, blobs, drop).unwrap(),
            calls: mpsc::channel(1).1,
            looks: mpsc::channel(1).1,
            clock: Clock::start(),
        };
        let mut engine = Engine::new(parts).unwrap();
        let peer = CoapSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], 0));
        for peer in [nobody, peer.local_address().unwrap()] {
            let bytes = b"x".to_vec();
            let channel = Channel::Plain;
            engine.pending.transmits.push(Transmit { peer, channel, bytes });
        }
        engine.carry_out().await.unwrap();
        assert_eq!(engine.datagram_errors, 1);
        assert_eq!(peer.receive(&mut [0; 4]).await.unwrap().0, 1);
    }
}
