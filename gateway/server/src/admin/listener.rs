//! Accepts technicians, reads their question within bounds and passes it on.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::caller::caller;
use super::conversation::{Caller, Desk, Pace, converse, tell};
use super::role::Role;
use super::turned_away::{TurnedAway, What};
use super::{AnswerResult, CONNECTIONS_MAX, LINE_BYTES_MAX};
use crate::state_dir::make_private;

/// A caller on this machine that is silent this long is dropped. Reading a file of the largest size takes a fraction of it.
const PACE: Pace = Pace {
    line: Duration::from_secs(30),
    silence: Duration::from_secs(30),
    whole: Duration::from_secs(60),
};

/// Other users who are told at a time that they may not ask. They take no place from who may.
const TURNED_AWAY_MAX: usize = 2;
/// For how long each of them is listened to.
const TURNED_AWAY_TIMEOUT: Duration = Duration::from_secs(1);

/// The bound socket; removes its file when dropped.
#[derive(Debug)]
pub struct AdminListener {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

/// Why the admin socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Somebody answers there.
    #[error("admin socket {path} is used by another gateway")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else lies there, which is not ours to remove.
    #[error("admin socket {path} cannot be made: a file lies there")]
    Occupied {
        /// The socket.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot open admin socket {path}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl AdminListener {
    /// Makes the socket, for its owner only. One left behind by a killed gateway is replaced.
    pub fn bind(path: &Path) -> Result<AdminListener, AdminError> {
        let failed = |source| AdminError::Io {
            path: path.to_path_buf(),
            source,
        };
        if let Some(parent) = path.parent() {
            make_private(parent).map_err(failed)?;
        }
        clear(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let owner = std::fs::metadata(path).map_err(failed)?.uid();
        Ok(AdminListener {
            listener,
            path: path.to_path_buf(),
            owner,
        })
    }

    /// Serves technicians until the task is dropped.
    pub async fn serve(self, desk: Desk) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let doorstep = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        let refusals = TurnedAway::new(desk.calls.clone());
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((mut stream, _)) if self.may_ask(&stream) => {
                    let (desk, refusals) = (desk.clone(), refusals.clone());
                    tokio::spawn(async move {
                        let caller = Caller {
                            who: caller(&stream),
                            role: Role::Admin,
                            pace: PACE,
                        };
                        if let Err(error) = converse(&mut stream, &desk, &caller, &refusals).await {
                            tracing::debug!(%error, "a technician went away");
                        }
                        drop(slot);
                    });
                }
                Ok((stream, _)) => {
                    // The place is for who may ask; whom nobody has time for is not told.
                    drop(slot);
                    if let Ok(place) = Arc::clone(&doorstep).try_acquire_owned() {
                        let refusals = refusals.clone();
                        tokio::spawn(async move {
                            turn_away(stream, &refusals).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the admin socket");
                    // Out of descriptors: each connection that ends frees one.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// File modes already say so, unless somebody changed them; and a socket that was bound in a public directory was open
    /// for an instant.
    fn may_ask(&self, stream: &UnixStream) -> bool {
        stream
            .peer_cred()
            .is_ok_and(|peer| peer.uid() == self.owner || peer.uid() == 0)
    }
}

impl Drop for AdminListener {
    fn drop(&mut self) {
        // Gone already when somebody cleaned up the directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes a socket nobody answers on, and nothing else.
fn clear(path: &Path) -> Result<(), AdminError> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(AdminError::Occupied {
            path: path.to_path_buf(),
        });
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(AdminError::InUse {
            path: path.to_path_buf(),
        });
    }
    std::fs::remove_file(path).map_err(|source| AdminError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Tells another user so, after the question: who writes to a closed socket does not read what came before.
async fn turn_away(mut stream: UnixStream, refusals: &TurnedAway) {
    let who = caller(&stream);
    let why = "the socket is for the gateway's own user and root".to_owned();
    refusals.note(&who, What::Socket, why).await;
    let told = async {
        let mut question = (&mut stream).take(LINE_BYTES_MAX as u64);
        let mut piece = [0; 512];
        loop {
            match question.read(&mut piece).await? {
                0 => break,
                read if piece[..read].contains(&b'\n') => break,
                _ => {}
            }
        }
        let problem = format!("{who} may not ask this gateway");
        let hint = "the same command with sudo, or as the gateway's own user";
        tell(&mut stream, AnswerResult::refused(problem, hint), PACE).await
    };
    // Who does not listen is not told.
    let _ = tokio::time::timeout(TURNED_AWAY_TIMEOUT, told).await;
}
