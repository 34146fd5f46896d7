//! The build workers: a bounded queue, a few threads, and each build only once at a time.

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

/// Builds that may wait. A key is 80 bytes, and pairs of images are few: more than this is a flood of inventions.
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

#[derive(Default)]
struct Queue {
    waiting: VecDeque<BuildKey>,
    /// Waiting or being built: what need not be queued again.
    known: BTreeSet<BuildKey>,
    closed: bool,
}

impl BuildPool {
    /// Starts `workers` threads (at least one). `report` is called on them, once for each build that was queued, after
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
        for number in 0..workers.max(1) {
            let shared = Arc::clone(&pool.shared);
            let builder = std::thread::Builder::new().name(format!("build-{number}"));
            pool.workers.push(builder.spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    /// Queues a build. One that waits or runs already is not queued again: its one outcome serves all.
    pub fn submit(&self, request: BuildRequest) -> Result<(), QueueFull> {
        let mut queue = self.shared.queue();
        if queue.known.contains(&request.key) {
            return Ok(());
        }
        if queue.waiting.len() >= QUEUE_MAX {
            return Err(QueueFull);
        }
        queue.known.insert(request.key);
        queue.waiting.push_back(request.key);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for BuildPool {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.waiting.clear();
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
    fn work(&self) {
        while let Some(key) = self.next() {
            let result = catch_unwind(AssertUnwindSafe(|| self.build(key)))
                .unwrap_or_else(|_| Err("build panicked".to_string()));
            self.queue().known.remove(&key);
            (self.report)(BuildOutcome { key, result });
        }
    }

    /// Waits for a build; `None` when the pool closes.
    fn next(&self) -> Option<BuildKey> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(key) = queue.waiting.pop_front() {
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
            assert!(blobs.contains_artefact(&record.digest));
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
        let first = BuildKey {
            base: None,
            ..key(&blobs)
        };
        let second = key(&blobs);
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
