//! The build workers: bounded queues, a few threads, and each build only once at a time.
//!
//! Payloads that need no base take milliseconds and a technician waits for them at import, deltas take seconds: the
//! former have a worker of their own and never stand behind the latter.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use gateway_core::{ArtefactDigest, ArtefactRecord, BuildKey, BuildOutcome, BuildRequest, Bytes};

use super::{Artefact, build};
use crate::blobs::Blobs;
use crate::clock;
use crate::error_chain::chain;

/// Builds that may wait in each lane. A key is 80 bytes, and pairs of images are few: more than this is a flood of inventions.
const QUEUE_MAX: usize = 1_024;

/// Worker threads that build artefacts and store them. Dropping it lets running builds end and forgets waiting ones.
pub struct BuildPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// Why a build was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("build queue is full ({QUEUE_MAX} builds wait)")]
pub struct QueueFull;

struct Shared {
    blobs: Arc<Blobs>,
    report: Box<dyn Fn(BuildOutcome) + Send + Sync>,
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// Which worker takes a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// `full` and `lz4`.
    Plain,
    /// What is made against a base, and patches.
    Delta,
}

impl Lane {
    fn of(key: &BuildKey) -> Lane {
        match (key.base, key.formats.in_place) {
            (None, None) => Lane::Plain,
            // A patch from nothing takes as long as any.
            _ => Lane::Delta,
        }
    }
}

#[derive(Default)]
struct Queue {
    plain: VecDeque<BuildKey>,
    deltas: VecDeque<BuildKey>,
    /// Waiting or being built: what need not be queued again.
    known: BTreeSet<BuildKey>,
    closed: bool,
}

impl Queue {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<BuildKey> {
        match lane {
            Lane::Plain => &mut self.plain,
            Lane::Delta => &mut self.deltas,
        }
    }
}

impl BuildPool {
    /// Starts `workers` threads for deltas (at least one) and one for plain payloads. `report` is called on them, once for each build that was queued, after
    /// its artefacts are safely in `blobs`; typically it sends into the engine's channel.
    pub fn start(
        workers: usize,
        blobs: Arc<Blobs>,
        report: impl Fn(BuildOutcome) + Send + Sync + 'static,
    ) -> std::io::Result<BuildPool> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared {
            blobs,
            report: Box::new(report),
            queue,
            wake: Condvar::new(),
        });
        let mut pool = BuildPool {
            shared,
            workers: Vec::new(),
        };
        pool.start_worker("build-plain".to_owned(), Lane::Plain)?;
        for number in 0..workers.max(1) {
            pool.start_worker(format!("build-{number}"), Lane::Delta)?;
        }
        Ok(pool)
    }

    fn start_worker(&mut self, name: String, lane: Lane) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let builder = std::thread::Builder::new().name(name);
        self.workers.push(builder.spawn(move || shared.work(lane))?);
        Ok(())
    }

    /// Queues a build. One that waits or runs already is not queued again: its one outcome serves all.
    pub fn submit(&self, request: BuildRequest) -> Result<(), QueueFull> {
        let mut queue = self.shared.queue();
        if queue.known.contains(&request.key) {
            return Ok(());
        }
        let lane = queue.lane(Lane::of(&request.key));
        if lane.len() >= QUEUE_MAX {
            return Err(QueueFull);
        }
        lane.push_back(request.key);
        queue.known.insert(request.key);
        // All: the one that wakes might be of the other lane.
        self.shared.wake.notify_all();
        Ok(())
    }
}

impl Drop for BuildPool {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.plain.clear();
        queue.deltas.clear();
        drop(queue);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what a build panics with; nothing is left to report here.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for BuildPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildPool")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self, lane: Lane) {
        while let Some(key) = self.next(lane) {
            let result = catch_unwind(AssertUnwindSafe(|| self.build(key)))
                .unwrap_or_else(|_| Err("build panicked".to_string()));
            self.queue().known.remove(&key);
            (self.report)(BuildOutcome { key, result });
        }
    }

    /// Waits for a build of the lane; `None` when the pool closes.
    fn next(&self, lane: Lane) -> Option<BuildKey> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(key) = queue.lane(lane).pop_front() {
                return Some(key);
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn build(&self, key: BuildKey) -> Result<Vec<ArtefactRecord>, String> {
        let read = |digest| self.blobs.read_image(&digest).map_err(|error| chain(&error));
        let base = key.base.map(read).transpose()?;
        let target = read(key.target)?;
        let artefacts = build(base.as_deref(), &target, key.formats).map_err(|error| chain(&error))?;
        artefacts
            .into_iter()
            .map(|artefact| self.store(key, &artefact))
            .collect()
    }

    fn store(&self, key: BuildKey, artefact: &Artefact) -> Result<ArtefactRecord, String> {
        self.blobs
            .write_artefact(&artefact.payload)
            .map_err(|error| chain(&error))?;
        Ok(ArtefactRecord {
            digest: ArtefactDigest(artefact.digest),
            target: key.target,
            base: key.base.filter(|_| artefact.format.is_delta()),
            format: artefact.format,
            size: Bytes(artefact.payload.len() as u64),
            decoder_memory: artefact.decoder_memory,
            in_place: artefact.in_place,
            built_unix_s: clock::unix_s(),
        })
    }

    /// The queue; no code that holds the lock can panic half-way.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALL, images};
    use super::*;
    use gateway_core::BuildFormats;
    use std::sync::mpsc;

    fn key(blobs: &Blobs) -> BuildKey {
        let (base, target) = images();
        let (base, target) = (
            blobs.write_image(&base).unwrap(),
            blobs.write_image(&target).unwrap(),
        );
        BuildKey {
            base: Some(base),
            target,
            formats: ALL,
        }
    }

    #[test]
    fn artefacts_are_stored_before_they_are_reported() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(temp.path()).unwrap());
        let (sender, built) = mpsc::channel();
        let pool = BuildPool::start(2, Arc::clone(&blobs), move |outcome| {
            sender.send(outcome).unwrap()
        })
        .unwrap();
        let key = key(&blobs);
        pool.submit(BuildRequest { key }).unwrap();
        let outcome = built.recv().unwrap();
        assert_eq!(outcome.key, key);
        let records = outcome.result.unwrap();
        assert_eq!(records.len(), 4);
        for record in records {
            assert_eq!(blobs.artefact_bytes(&record.digest), Some(record.size.0));
            assert_eq!(record.base.is_some(), record.format.is_delta());
        }
    }

    #[test]
    fn a_build_that_waits_or_runs_is_not_queued_again() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(temp.path()).unwrap());
        let (sender, built) = mpsc::sync_channel(0);
        // The worker hangs in its report until the test takes the outcome.
        let pool =
            BuildPool::start(1, Arc::clone(&blobs), move |outcome| drop(sender.send(outcome))).unwrap();
        let second = key(&blobs);
        let first = BuildKey {
            formats: BuildFormats { lz4: false, ..ALL },
            ..second
        };
        pool.submit(BuildRequest { key: first }).unwrap();
        for _ in 0..100 {
            pool.submit(BuildRequest { key: second }).unwrap();
        }
        assert_eq!(built.recv().unwrap().key, first);
        assert_eq!(built.recv().unwrap().key, second);
        drop(pool);
        assert!(built.recv().is_err(), "a third outcome");
    }

    #[test]
    fn a_plain_payload_does_not_wait_for_deltas() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(temp.path()).unwrap());
        let (sender, built) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        // The delta's worker hangs in its report until the test lets it go.
        let pool = BuildPool::start(1, Arc::clone(&blobs), move |outcome| {
            if outcome.key.base.is_some() {
                let _ = gate.lock().unwrap().recv();
            }
            sender.send(outcome.key).unwrap();
        })
        .unwrap();
        let delta = key(&blobs);
        let plain = BuildKey { base: None, ..delta };
        pool.submit(BuildRequest { key: delta }).unwrap();
        pool.submit(BuildRequest { key: plain }).unwrap();
        assert_eq!(built.recv().unwrap(), plain);
        release.send(()).unwrap();
        assert_eq!(built.recv().unwrap(), delta);
    }

    #[test]
    fn a_build_of_what_is_not_stored_fails_with_the_reason() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(temp.path()).unwrap());
        let (sender, built) = mpsc::channel();
        let pool = BuildPool::start(1, Arc::clone(&blobs), move |outcome| {
            sender.send(outcome).unwrap()
        })
        .unwrap();
        let key = BuildKey {
            base: None,
            target: gateway_core::ImageDigest([9; 32]),
            formats: ALL,
        };
        pool.submit(BuildRequest { key }).unwrap();
        let reason = built.recv().unwrap().result.unwrap_err();
        assert!(reason.starts_with("cannot use blob"), "{reason}");
    }

    #[test]
    fn the_queue_is_bounded() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(temp.path()).unwrap());
        let (sender, built) = mpsc::sync_channel(0);
        let pool = BuildPool::start(1, blobs, move |outcome| drop(sender.send(outcome))).unwrap();
        let submit = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            let target = gateway_core::ImageDigest(digest);
            pool.submit(BuildRequest {
                key: BuildKey {
                    base: None,
                    target,
                    formats: ALL,
                },
            })
        };
        // One may be with the worker, QUEUE_MAX wait, the next is one too many.
        let refused = (0..QUEUE_MAX + 2)
            .filter(|number| submit(*number).is_err())
            .count();
        assert!((1..=2).contains(&refused), "{refused}");
        drop(built);
    }
}
