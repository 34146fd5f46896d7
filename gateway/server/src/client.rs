//! The CLI's end of the admin socket, or of TLS to a gateway elsewhere. Blocking: a command asks one thing and ends.

pub mod remote;
mod stream;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use remote::Remote;

use crate::admin::{ANSWER_BYTES_MAX, Answer, AnswerResult, Ask, PROTOCOL_VERSION, Question};

/// A gateway, and the way to it.
#[derive(Debug, Clone)]
pub struct Client {
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    Socket(PathBuf),
    Remote(Box<Remote>),
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no gateway answers on {socket}")]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It answers its own user and root only.
    #[error("the gateway on {socket} is not yours to ask")]
    NotYours {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nobody listens there, or nobody can be reached.
    #[error("no gateway answers at {gateway}")]
    Unreachable {
        /// Host and port.
        gateway: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// One of the two does not believe the other's certificate.
    #[error("{problem}")]
    Disbelief {
        /// One clause.
        problem: String,
        /// What to do next.
        hint: String,
    },
    /// The file to send cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("gateway stopped answering")]
    Broken(#[source] io::Error),
    /// The answer is not one of this version.
    #[error("gateway's answer cannot be understood")]
    NotUnderstood(#[source] serde_json::Error),
    /// State or policy forbids it.
    #[error("{problem}")]
    Refused {
        /// One clause.
        problem: String,
        /// The command that helps.
        hint: Option<String>,
    },
    /// The gateway could not.
    #[error("gateway failed: {problem}")]
    Failed {
        /// The whole chain of causes.
        problem: String,
    },
}

/// No question takes longer: an import is verified, and its plain payload made, in about a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// Of the gateway that listens on `socket`. Nothing is opened yet.
    pub fn new(socket: PathBuf) -> Client {
        Client {
            way: Way::Socket(socket),
        }
    }

    /// Of a gateway on another machine. Nothing is connected yet.
    pub fn of(remote: Remote) -> Client {
        Client {
            way: Way::Remote(Box::new(remote)),
        }
    }

    /// Asks, and returns the document as it came.
    pub fn ask(&self, ask: Ask) -> Result<Value, ClientError> {
        self.converse(ask, 0, &mut io::empty())
    }

    /// Asks, and reads the document.
    pub fn read<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, ClientError> {
        serde_json::from_value(self.ask(ask)?).map_err(ClientError::NotUnderstood)
    }

    /// Asks with a body.
    pub fn ask_with(&self, ask: Ask, mut body: &[u8]) -> Result<Value, ClientError> {
        self.converse(ask, body.len() as u64, &mut body)
    }

    /// Sends a file to be imported, piece by piece, with its image behind it when that is not in the file.
    pub fn import(&self, path: &Path, image: Option<&[u8]>) -> Result<Value, ClientError> {
        let (mut file, bytes) = open(path)?;
        let Some(image) = image else {
            return self.converse(Ask::ImageImport { detached_at: None }, bytes, &mut file);
        };
        let ask = Ask::ImageImport {
            detached_at: usize::try_from(bytes).ok(),
        };
        self.converse(
            ask,
            bytes + image.len() as u64,
            &mut file.take(bytes).chain(image),
        )
    }

    fn converse(&self, ask: Ask, body_bytes: u64, body: &mut dyn Read) -> Result<Value, ClientError> {
        let mut stream = self.connect()?;
        let question = Question {
            v: PROTOCOL_VERSION,
            ask,
            body_bytes,
        };
        let mut line = serde_json::to_vec(&question).map_err(ClientError::NotUnderstood)?;
        line.push(b'\n');
        // A gateway that refuses the question may close before it has read the body: its answer counts.
        let sent = stream
            .write_all(&line)
            .and_then(|()| io::copy(&mut body.take(body_bytes), &mut stream))
            .and_then(|_| stream.flush());
        let mut answer = Vec::new();
        let read = BufReader::new(stream)
            .take(ANSWER_BYTES_MAX)
            .read_until(b'\n', &mut answer);
        if answer.is_empty() {
            // Why the other end broke off is said by what came from there.
            read.map_err(|error| self.broken(error))?;
            sent.map_err(|error| self.broken(error))?;
            return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let answer: Answer = serde_json::from_slice(&answer).map_err(ClientError::NotUnderstood)?;
        match answer.result {
            AnswerResult::Ok(document) => Ok(document),
            AnswerResult::Refused { problem, hint } => Err(ClientError::Refused { problem, hint }),
            AnswerResult::Failed { problem } => Err(ClientError::Failed { problem }),
        }
    }
}

impl Client {
    fn connect(&self) -> Result<Box<dyn stream::Stream>, ClientError> {
        match &self.way {
            Way::Socket(socket) => stream::local(socket).map_err(|source| {
                let socket = socket.clone();
                match source.kind() {
                    io::ErrorKind::PermissionDenied => ClientError::NotYours { socket, source },
                    _ => ClientError::NotRunning { socket, source },
                }
            }),
            Way::Remote(remote) => stream::remote(remote).map_err(|source| ClientError::Unreachable {
                gateway: remote.gateway.clone(),
                source,
            }),
        }
    }

    fn broken(&self, error: io::Error) -> ClientError {
        let explained = match &self.way {
            Way::Socket(_) => None,
            Way::Remote(remote) => remote.explain(&error),
        };
        match explained {
            Some((problem, hint)) => ClientError::Disbelief { problem, hint },
            None => ClientError::Broken(error),
        }
    }
}

/// A regular file and its length.
fn open(path: &Path) -> Result<(File, u64), ClientError> {
    let failed = |source| ClientError::File {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(failed(io::Error::other("not a regular file"))),
    }
}
