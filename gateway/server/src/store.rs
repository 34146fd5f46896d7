//! SQLite, and the only place that knows SQL.
//!
//! One thread owns the connection. It takes whole batches of [`Change`]s from a bounded queue, commits each batch in
//! one transaction and only then answers, so "answered" means "survives a power cut". Rows are the latest value of
//! every key; [`Store::open`] hands them back as the changes that restore the core.

mod audit;
mod identity;
mod key;
mod load;
mod psk;
mod schema;
mod statement;
mod write;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use gateway_core::Change;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::audit::Entry;
use crate::reserve;
use crate::sealing::{SealingError, SealingKey};
pub use audit::{AUDIT_PAGE_MAX, AuditQuery, read_audit};

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("database operation failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A later version of this program wrote it.
    #[error("database is of version {found}, this program knows versions up to {known}")]
    Newer {
        /// What the file says.
        found: usize,
        /// What this program writes.
        known: usize,
    },
    /// Its pages contradict each other.
    #[error("database is damaged: {what}")]
    Damaged {
        /// The first fault that was found.
        what: String,
    },
    /// The writer thread is gone, which only happens after one of its own errors.
    #[error("database writer has stopped")]
    Stopped,
    /// Secrets cannot be sealed or opened.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The thread could not be started.
    #[error("cannot start the database writer")]
    Thread(#[source] std::io::Error),
}

/// Handle of the writer thread.
#[derive(Debug)]
pub struct Store {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    work: Work,
    done: oneshot::Sender<Result<(), StoreError>>,
}

enum Work {
    Commit { changes: Vec<Change>, audit: Vec<Entry> },
    Probe,
}

/// Batches under way: the engine waits for each before it makes the next, so sending never blocks.
const JOBS_MAX: usize = 8;

/// How long a commit waits for a tool that reads or backs up the database at the same time.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Store {
    /// Opens or creates the database and returns what it holds. `credentials` is where systemd leaves credentials, and with them
    /// perhaps the key that secrets are sealed with.
    pub fn open(path: &Path, credentials: Option<&Path>) -> Result<(Store, Vec<Change>), StoreError> {
        let state_dir = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let connection = match connect(path) {
            Err(error) if error.is_full() && reserve::release(&state_dir) => connect(path)?,
            connected => connected?,
        };
        hold_reserve(&state_dir);
        let key = identity::sealing_key(&connection, &state_dir, credentials)?;
        let mut changes = load::load_all(&connection)?;
        changes.extend(identity::load(&connection, &key)?);
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write_all(connection, &key, &queue, &state_dir))
            .map_err(StoreError::Thread)?;
        Ok((
            Store {
                jobs: Some(jobs),
                thread: Some(thread),
            },
            changes,
        ))
    }

    /// The keys that the audit trail says are trusted, in hex. Read once, at the start, before anything is committed.
    pub fn trusted_keys(path: &Path) -> Result<Vec<String>, StoreError> {
        audit::trusted_keys(&Connection::open(path)?)
    }

    /// Commits `changes` and `audit` together; when this returns `Ok` they are on disk.
    pub async fn commit(&self, changes: Vec<Change>, audit: Vec<Entry>) -> Result<(), StoreError> {
        self.work(Work::Commit { changes, audit }).await
    }

    /// Whether a commit would be let begin: takes the write lock and gives it back. Nothing is written.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.work(Work::Probe).await
    }

    async fn work(&self, work: Work) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(StoreError::Stopped)?;
        jobs.send(Job { work, done }).map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// Reads a database that may be in use, changes nothing, and gives the number of its devices. An error says what is wrong
    /// with it.
    pub fn check(path: &Path) -> Result<usize, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        schema::check(&connection)?;
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(StoreError::Damaged { what: sound });
        }
        let devices: i64 = connection.query_row("SELECT count(*) FROM device", [], |row| row.get(0))?;
        Ok(usize::try_from(devices).unwrap_or_default())
    }
}

/// Ends the thread after its last batch, so that the file is closed when this returns.
impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the database writer panicked");
        }
    }
}

/// The database's path in a state directory.
pub fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("gateway.db")
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit that was answered must survive a power cut; NORMAL would lose the last ones in WAL mode.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    schema::migrate(&mut connection)?;
    Ok(connection)
}

impl StoreError {
    /// Whether it is for want of room.
    pub fn is_full(&self) -> bool {
        match self {
            StoreError::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            _ => false,
        }
    }
}

/// Makes the reserve, or says why there is none.
fn hold_reserve(state_dir: &Path) {
    match reserve::hold(state_dir) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the disk is nearly full: no room is held for the database"),
        Err(error) => tracing::warn!(%error, "no room can be held for the database"),
    }
}

/// A batch that finds the disk full is written in the room that was held for it.
fn write_or_release(
    connection: &mut Connection,
    key: &SealingKey,
    changes: &[Change],
    entries: &[Entry],
    state_dir: &Path,
) -> Result<(), StoreError> {
    match write_batch(connection, key, changes, entries) {
        Err(error) if error.is_full() && reserve::release(state_dir) => {
            tracing::error!(
                "the disk is full: the database goes on in the room that was held for it; make room soon"
            );
            write_batch(connection, key, changes, entries)
        }
        written => written,
    }
}

fn write_all(mut connection: Connection, key: &SealingKey, queue: &Receiver<Job>, state_dir: &Path) {
    let mut is_held = true;
    while let Ok(job) = queue.recv() {
        let (result, failed) = match &job.work {
            Work::Commit { changes, audit } => {
                let result = write_or_release(&mut connection, key, changes, audit, state_dir);
                let failed = result.is_err();
                (result, failed)
            }
            // Nobody relied on it.
            Work::Probe => (probe(&mut connection), false),
        };
        // Nobody waits any more when the engine is going down; the rows are written all the same.
        let _ = job.done.send(result);
        if failed {
            return;
        }
        is_held = hold_again(state_dir, is_held);
    }
}

/// Does not wait for whoever holds the lock: the engine waits for the answer.
fn probe(connection: &mut Connection) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::ZERO)?;
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let probed = begun.and_then(Transaction::rollback);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(probed?)
}

/// Makes the reserve anew when there is room again. Said once each way.
fn hold_again(state_dir: &Path, was_held: bool) -> bool {
    let is_held = reserve::hold(state_dir).unwrap_or(false);
    if is_held && !was_held {
        tracing::info!("room is held for the database again");
    }
    is_held
}

fn write_batch(
    connection: &mut Connection,
    key: &SealingKey,
    changes: &[Change],
    entries: &[Entry],
) -> Result<(), StoreError> {
    let destroys = changes.iter().any(identity::destroys);
    if destroys {
        // Costs writes that nothing else is worth: what was deleted is overwritten.
        connection.pragma_update(None, "secure_delete", true)?;
    }
    let transaction = connection.transaction()?;
    for change in changes {
        write::apply(&transaction, key, change)?;
    }
    for entry in entries {
        audit::append(&transaction, entry)?;
    }
    transaction.commit()?;
    if destroys {
        connection.pragma_update(None, "secure_delete", false)?;
        // The log holds pages from before; whoever reads the database now may put this off to the next time.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
