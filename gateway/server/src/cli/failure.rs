//! What a command could not do, with its exit code and the command that helps.

use std::error::Error;
use std::io;

use crate::client::ClientError;
use crate::client::remote::RemoteError;
use crate::config::ConfigError;
use crate::delta::DeltaError;
use crate::error_chain::chain;
use crate::probe::ProbeError;
use crate::publisher::PublisherError;
use crate::publisher::error::reading;
use crate::recover::RecoverError;
#[cfg(unix)]
use crate::serve::ServeError;
use crate::tls::TlsError;

/// Refused by state or policy.
pub(super) const REFUSED: u8 = 1;
/// Wrong usage, which includes a configuration that cannot stand.
pub(super) const USAGE: u8 = 2;
/// Anything else.
pub(super) const INTERNAL: u8 = 3;

/// Why a command ended early.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// One clause with its causes.
    pub problem: String,
    /// What the command had done by then; absent of one that only asks.
    pub changed: Option<String>,
    /// The command to run.
    pub hint: Option<String>,
    closed_pipe: bool,
}

impl Failure {
    /// A failure with this exit code.
    pub fn new(code: u8, problem: impl Into<String>) -> Failure {
        Failure {
            code,
            problem: problem.into(),
            changed: None,
            hint: None,
            closed_pipe: false,
        }
    }

    /// The same from an error and its causes.
    pub fn of(code: u8, error: &dyn Error) -> Failure {
        Failure::new(code, chain(error))
    }

    /// With the command that helps.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Of a command that changes something: what it had done when it failed. A gateway that refuses has changed nothing; one
    /// that does not answer may have.
    pub fn of_change(mut self, done: &[String]) -> Failure {
        let uncertain = self.code == INTERNAL && !self.closed_pipe;
        self.changed = Some(match (done.is_empty(), uncertain) {
            (true, false) => "nothing changed".to_owned(),
            (false, false) => format!("changed: {}; nothing else", done.join(", ")),
            (true, true) => {
                "it is not known whether anything changed; the command may be repeated".to_owned()
            }
            (false, true) => format!(
                "changed: {}; it is not known of the next one; the command may be repeated",
                done.join(", ")
            ),
        });
        self
    }

    /// Whether the reader of our output went away, which is its right.
    pub fn is_closed_pipe(&self) -> bool {
        self.closed_pipe
    }
}

/// Writing to the terminal or pipe failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let closed_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Failure {
            closed_pipe,
            ..Failure::new(INTERNAL, format!("cannot write the output: {error}"))
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Refused { problem, hint } => Failure {
                hint,
                ..Failure::new(REFUSED, problem)
            },
            // Where there are no such sockets, no gateway runs either.
            ClientError::NotRunning { ref source, .. } if source.kind() == io::ErrorKind::Unsupported => {
                Failure::of(REFUSED, &error)
                    .hint("name it with --gateway and --identity (docs/remote.md), or run the command where it runs, by ssh")
            }
            ClientError::NotRunning { .. } => Failure::of(REFUSED, &error).hint(
                "deltagate serve --config gateway.toml, or name its socket with --socket or DELTAGATE_SOCKET",
            ),
            ClientError::NotYours { .. } => {
                Failure::of(REFUSED, &error).hint("the same command with sudo, or as the gateway's own user")
            }
            ClientError::Unreachable { .. } => Failure::of(REFUSED, &error)
                .hint("check host and port, and that its gateway.toml has [remote]; on its machine: deltagate doctor"),
            ClientError::Disbelief { problem, hint } => Failure::new(REFUSED, problem).hint(hint),
            ClientError::File { ref source, .. } => Failure::of(USAGE, &error).hint(reading(source)),
            error => Failure::of(INTERNAL, &error),
        }
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Failure {
        Failure {
            hint: error.hint(),
            ..Failure::of(USAGE, &error)
        }
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Failure {
        Failure {
            hint: error.hint(),
            ..Failure::of(REFUSED, &error)
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::of(USAGE, &error)
            .hint("deltagate init FILE writes one with every key explained; see docs/configuration.md")
    }
}

impl From<DeltaError> for Failure {
    fn from(error: DeltaError) -> Failure {
        if let DeltaError::Output(error) = error {
            return error.into();
        }
        Failure {
            hint: error.hint(),
            ..Failure::of(error.exit_code(), &error)
        }
    }
}

impl From<PublisherError> for Failure {
    fn from(error: PublisherError) -> Failure {
        Failure {
            hint: error.hint(),
            ..Failure::of(error.exit_code(), &error)
        }
    }
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Failure {
        if let RecoverError::Output(error) = error {
            return error.into();
        }
        Failure {
            hint: error.hint(),
            ..Failure::of(error.exit_code(), &error)
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Failure {
        let code = match error {
            ProbeError::Output(error) => return error.into(),
            ProbeError::Usage { .. } => USAGE,
            _ => REFUSED,
        };
        Failure {
            hint: error.hint(),
            ..Failure::of(code, &error)
        }
    }
}

#[cfg(unix)]
impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Failure {
        let code = if error.is_refusal() { REFUSED } else { INTERNAL };
        Failure {
            hint: error.hint(),
            ..Failure::of(code, &error)
        }
    }
}
