//! Accepts technicians, reads their question within bounds and passes it on.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use gateway_core::RECORD_BYTES_MAX;

use super::caller::caller;
use super::deed::{is_identifier, spelled};
use super::{
    Answer, AnswerResult, Ask, BODY_BYTES_MAX, CONNECTIONS_MAX, Calls, EngineAsk, LINE_BYTES_MAX,
    PROTOCOL_VERSION, Question, Secrets,
};
use crate::error_chain::chain;
use crate::factory::LIST_BYTES_MAX;
use crate::import::{ImportFile, Importer};
use crate::logging::Recent;
use crate::report::{AuditPage, Document, LogPage};
use crate::state_dir::make_private;
use crate::store::{AuditQuery, read_audit};

/// A caller that is silent this long is dropped. Reading a file of the largest size takes a fraction of it.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Where questions are taken to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The engine, for all that it does not answer itself.
    pub calls: Calls,
    /// Who verifies and keeps images.
    pub importer: Importer,
    /// The database, for its audit trail.
    pub database: PathBuf,
    /// The newest lines of the log.
    pub recent: Recent,
}

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
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) if self.may_ask(&stream) => {
                    let desk = desk.clone();
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &desk).await {
                            tracing::debug!(%error, "a technician went away");
                        }
                        drop(slot);
                    });
                }
                Ok(_) => tracing::warn!("another user tried the admin socket"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the admin socket");
                    // Out of descriptors: each connection that ends frees one.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// File modes already say so; a socket that was bound in a public directory was open for an instant.
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

async fn converse(mut stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let who = caller(&stream);
    let result = match tokio::time::timeout(QUESTION_TIMEOUT, read_question(&mut stream)).await {
        Ok(Ok((ask, body))) => desk.answer(ask, body, &who).await,
        Ok(Err(result)) => result,
        Err(_) => AnswerResult::Refused {
            problem: "question took too long".to_owned(),
            hint: None,
        },
    };
    let mut line = serde_json::to_vec(&Answer {
        v: PROTOCOL_VERSION,
        result,
    })?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.shutdown().await
}

impl Desk {
    async fn answer(&self, ask: Ask, body: Zeroizing<Vec<u8>>, who: &str) -> AnswerResult {
        let calls = self.calls.by(who);
        match ask {
            Ask::DeviceEnrol { .. } | Ask::DeviceRotate { .. } | Ask::DeviceImport { .. } => {
                calls.ask(EngineAsk::WithBody(ask, Secrets(body))).await
            }
            Ask::ImageImport { detached_at } => {
                let mut body = body;
                let file = ImportFile {
                    bytes: std::mem::take(&mut *body),
                    detached_at,
                };
                self.importer.import(file, &calls).await
            }
            Ask::Audit {
                since_unix_s,
                device,
                after,
            } => {
                let device = match device {
                    Some(text) => match device_named(&calls, &text).await {
                        // A device that was forgotten is still in the trail.
                        Err(refused) if !is_identifier(&text) => return refused,
                        named => Some(named.unwrap_or_else(|_| spelled(&text))),
                    },
                    None => None,
                };
                let query = AuditQuery {
                    since_unix_s,
                    device,
                    after,
                };
                self.audit(query).await
            }
            Ask::Logs { text } => {
                // What is logged of a device names it by its identifier.
                let text = device_named(&calls, &text).await.unwrap_or(text);
                let lines = self.recent.containing(&text);
                let lines = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
                AnswerResult::ok(&Document::new(LogPage {
                    lines: lines.collect(),
                }))
            }
            ask => calls.ask(EngineAsk::Ask(ask)).await,
        }
    }

    /// Read past the engine, which a long trail must not hold up.
    async fn audit(&self, query: AuditQuery) -> AnswerResult {
        let database = self.database.clone();
        let failed = |error: &dyn std::error::Error| AnswerResult::Failed {
            problem: format!("audit trail cannot be read: {}", chain(error)),
        };
        match tokio::task::spawn_blocking(move || read_audit(&database, &query)).await {
            Ok(Ok(entries)) => AnswerResult::ok(&Document::new(AuditPage { entries })),
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        }
    }
}

/// The identifier of the device that is called so, or what is answered to whoever asks for it.
async fn device_named(calls: &Calls, text: &str) -> Result<String, AnswerResult> {
    let device = text.to_owned();
    let answer = calls.ask(EngineAsk::Ask(Ask::DeviceShow { device })).await;
    let id = match &answer {
        AnswerResult::Ok(shown) => shown["device"]["device"].as_str().map(str::to_owned),
        _ => None,
    };
    id.ok_or(answer)
}

/// The question and its body, or what to answer instead. A body may hold secrets: nothing of it is left in a buffer that is not wiped.
async fn read_question(stream: &mut UnixStream) -> Result<(Ask, Zeroizing<Vec<u8>>), AnswerResult> {
    let malformed = |problem: String| AnswerResult::Refused { problem, hint: None };
    let mut head = Zeroizing::new([0; LINE_BYTES_MAX]);
    let mut filled = 0;
    let end = loop {
        if let Some(end) = head[..filled].iter().position(|byte| *byte == b'\n') {
            break end;
        }
        let read = stream.read(&mut head[filled..]).await;
        match read.map_err(|error| malformed(format!("question cannot be read: {error}")))? {
            0 => {
                return Err(malformed(format!(
                    "question is not one line of at most {LINE_BYTES_MAX} bytes"
                )));
            }
            more => filled += more,
        }
    };
    let line = &head[..end];
    let version = serde_json::from_slice::<Version>(line).map(|version| version.v);
    if let Ok(found) = version
        && found != PROTOCOL_VERSION
    {
        let problem =
            format!("question is of version {found}, this gateway answers version {PROTOCOL_VERSION}");
        return Err(AnswerResult::refused(
            problem,
            "use the deltagate binary that the gateway was started from",
        ));
    }
    let question: Question = serde_json::from_slice(line)
        .map_err(|error| malformed(format!("question cannot be understood: {error}")))?;
    let longest = match question.ask {
        Ask::DeviceImport { .. } => LIST_BYTES_MAX,
        Ask::DeviceEnrol { .. } | Ask::DeviceRotate { .. } => RECORD_BYTES_MAX as u64,
        _ => BODY_BYTES_MAX,
    };
    if question.body_bytes > longest {
        let problem = format!(
            "file of {} bytes is longer than {longest} bytes",
            question.body_bytes
        );
        return Err(malformed(problem));
    }
    // At most BODY_BYTES_MAX, and never grown, so that no copy is left behind.
    let length = question.body_bytes as usize;
    let mut body = Zeroizing::new(Vec::with_capacity(length));
    let begun = &head[end + 1..filled];
    body.extend_from_slice(&begun[..begun.len().min(length)]);
    let left = (length - body.len()) as u64;
    let read = stream.take(left).read_to_end(&mut body).await;
    if read.is_err() || body.len() != length {
        return Err(malformed(format!(
            "file ends after {} of {length} bytes",
            body.len()
        )));
    }
    Ok((question.ask, body))
}

/// What every version's question has.
#[derive(serde::Deserialize)]
struct Version {
    v: u32,
}
