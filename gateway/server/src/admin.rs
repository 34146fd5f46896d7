//! The technician's socket: who may ask, what can be asked, and how it is framed.
//!
//! One exchange per connection. The caller sends one line of JSON, and for an import the file's bytes behind it;
//! the gateway answers one line of JSON and closes.
//!
//! ```text
//! {"v":1,"ask":{"device-show":{"device":"52540012abcd"}}}⏎
//! {"v":1,"ok":{"version":1,…}}⏎         or   {"v":1,"refused":{"problem":"…","hint":"…"}}⏎
//!                                       or   {"v":1,"failed":{"problem":"…"}}⏎
//! ```
//!
//! The socket has mode 0600, its directory is private when the gateway made it, and the peer must be the gateway's
//! own user or root. Technicians elsewhere ask the same over TLS, where a gateway is configured to listen ([`remote`]), as far as
//! their [`role`] goes. Everything is bounded: lines, bodies, connections, and the time a caller may take.

#[cfg(unix)]
mod caller;
#[cfg(unix)]
pub mod conversation;
#[cfg(unix)]
pub(crate) mod deed;
#[cfg(unix)]
pub mod listener;
#[cfg(unix)]
pub mod remote;
pub mod role;
#[cfg(unix)]
pub mod turned_away;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

/// Version of the framing and of every question. A gateway answers no other.
pub const PROTOCOL_VERSION: u32 = 1;
/// Longest question: names and digests, all of them short.
pub const LINE_BYTES_MAX: usize = 4_096;
/// Longest answer: 20,000 devices at about 600 bytes each.
pub const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest file to import: the largest image of the manifest profile and room for its envelope.
pub const BODY_BYTES_MAX: u64 = wire_manifest::IMAGE_BYTES_MAX as u64 + 64 * 1024;

/// The line a caller sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// [`PROTOCOL_VERSION`].
    pub v: u32,
    /// What is asked.
    pub ask: Ask,
    /// Bytes that follow the line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub body_bytes: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A question that does not say.
fn mandatory() -> u8 {
    wire_checkin::Severity::Mandatory.code()
}

/// What can be asked. Identifiers travel as typed; the gateway resolves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// The body is a signed envelope with its image.
    ImageImport {
        /// Where in the body the image begins, when it is not in the envelope.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detached_at: Option<usize>,
    },
    /// The body is a signed set of trust anchors.
    AnchorsImport {},
    /// Every set of trust anchors.
    AnchorsList {},
    /// Every image.
    ImageList {},
    /// One image.
    ImageShow {
        /// Leading hex digits of its digest.
        image: String,
    },
    /// Removes an image that nobody needs.
    ImageRemove {
        /// Leading hex digits of its digest.
        image: String,
    },
    /// Keeps an image, and what is made of it, whatever happens.
    ImagePin {
        /// Leading hex digits of its digest.
        image: String,
    },
    /// Ends that.
    ImageUnpin {
        /// Leading hex digits of its digest.
        image: String,
    },
    /// Every device, or only those nobody claimed.
    DeviceList {
        /// Only those nobody claimed.
        unclaimed: bool,
    },
    /// One device and its causal chain.
    DeviceShow {
        /// Its identifier in hex.
        device: String,
    },
    /// Devices that hold a text, or the nearest ones.
    DeviceFind {
        /// A label, an EUI, an IMEI, a serial number, or a part of it.
        text: String,
    },
    /// What people call a device.
    DeviceLabel {
        /// Its identifier in hex, or its label.
        device: String,
        /// The label; none takes it away.
        label: Option<String>,
    },
    /// Lets a device be served.
    DeviceClaim {
        /// Its identifier in hex.
        device: String,
    },
    /// Removes a device and its history.
    DeviceForget {
        /// Its identifier in hex.
        device: String,
    },
    /// Whether a device could be enrolled so, and the key id that it would get. Nothing changes.
    DeviceEnrolCheck {
        /// Its identifier in hex.
        device: String,
        /// What it is called.
        #[serde(default)]
        names: DeviceNames,
    },
    /// Enrols a device by a key of its own.
    DeviceEnrolKey {
        /// Its identifier in hex.
        device: String,
        /// What it is called.
        #[serde(default)]
        names: DeviceNames,
        /// The public key, in hex.
        public_key: String,
    },
    /// What devices with keys of their own know the gateway by.
    DeviceGatewayKey {},
    /// The body is the credentials record of a device that has none.
    DeviceEnrol {
        /// Its identifier in hex.
        device: String,
        /// What it is called.
        #[serde(default)]
        names: DeviceNames,
    },
    /// Whether a device could be given another key, and its key id. Nothing changes.
    DeviceRotateCheck {
        /// Its identifier in hex, or its label.
        device: String,
    },
    /// The body is a device's new credentials record.
    DeviceRotate {
        /// Its identifier in hex, or its label.
        device: String,
        /// How long the old ones count at most.
        old_valid_s: u32,
    },
    /// The body is identity and key of DTLS, of a device that has none: [`gateway_core::Psk::encode`].
    DeviceEnrolPsk {
        /// Its identifier in hex.
        device: String,
        /// What it is called.
        #[serde(default)]
        names: DeviceNames,
    },
    /// The body is a device's new identity and key of DTLS.
    DeviceRotatePsk {
        /// Its identifier in hex, or its label.
        device: String,
        /// How long the old one counts at most.
        old_valid_s: u32,
    },
    /// The body is a factory's list.
    DeviceImport {
        /// Whether bad lines are left out, rather than all of it.
        skip_bad: bool,
    },
    /// Lets other hardware take a device's place.
    DeviceSwap {
        /// The hardware that goes: its identifier in hex, or its label.
        device: String,
        /// The hardware that comes.
        by: String,
    },
    /// Destroys a device's keys; it stays listed.
    DeviceRetire {
        /// Its identifier in hex, or its label.
        device: String,
    },
    /// Makes an empty group.
    GroupCreate {
        /// Its name.
        group: String,
    },
    /// Removes a group.
    GroupDelete {
        /// Its name.
        group: String,
    },
    /// Adds a device to a group, which claims it.
    GroupAdd {
        /// The group's name.
        group: String,
        /// The device's identifier in hex.
        device: String,
    },
    /// Removes a device from a group.
    GroupRemove {
        /// The group's name.
        group: String,
        /// The device's identifier in hex.
        device: String,
    },
    /// Every group.
    GroupList {},
    /// Says what devices should run.
    UpdateAssign {
        /// Leading hex digits of the image's digest.
        image: String,
        /// Whom it is for.
        to: Target,
        /// How much it is wanted: 0 critical, 1 mandatory, 2 optional.
        #[serde(default = "mandatory")]
        severity: u8,
        /// How long a device may put it off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        defer_s_max: Option<u32>,
    },
    /// Ends an assignment.
    UpdateCancel {
        /// Whom it was for.
        to: Target,
    },
    /// Lets a withheld image be offered again.
    UpdateRetry {
        /// The device's identifier in hex.
        device: String,
        /// Leading hex digits of the image's digest; all withheld ones without.
        image: Option<String>,
    },
    /// What devices would be sent; with an image, after assigning that. Nothing changes.
    UpdatePlan {
        /// Leading hex digits of the image's digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// Whom it would be assigned to; as there is an image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Target>,
    },
    /// No more blocks.
    UpdatePause {},
    /// Blocks again.
    UpdateResume {},
    /// Every update.
    UpdateStatus {},
    /// Every link.
    LinkList {},
    /// One link.
    LinkShow {
        /// Its name.
        link: String,
    },
    /// The gateway in numbers, with every update.
    Status {},
    /// The newest lines of the log.
    Logs {
        /// Only those that contain this.
        #[serde(default)]
        text: String,
    },
    /// A page of the audit trail, oldest first.
    Audit {
        /// Only what is not older.
        #[serde(default)]
        since_unix_s: u64,
        /// Only what concerns this device: its identifier in hex, or its label.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// Only what has a higher number: the last one of the page before.
        #[serde(default)]
        after: u64,
    },
}

/// What a device is called, besides its identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceNames {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// EUI-48 or EUI-64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eui: Option<String>,
    /// 15 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imei: Option<String>,
    /// Its maker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// Whom an assignment is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One device, in hex.
    Device(String),
    /// A group, by name.
    Group(String),
    /// A class, as UUID.
    Class(String),
}

/// The line a caller gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// [`PROTOCOL_VERSION`].
    pub v: u32,
    /// What came of it.
    #[serde(flatten)]
    pub result: AnswerResult,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerResult {
    /// A document of [`crate::report`].
    Ok(Value),
    /// State or policy forbids it; nothing changed.
    Refused {
        /// One clause.
        problem: String,
        /// The command that helps.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The gateway could not.
    Failed {
        /// The whole chain of causes.
        problem: String,
    },
}

impl AnswerResult {
    /// A document.
    pub fn ok(document: &impl Serialize) -> AnswerResult {
        match serde_json::to_value(document) {
            Ok(value) => AnswerResult::Ok(value),
            Err(error) => AnswerResult::Failed {
                problem: format!("cannot write the answer: {error}"),
            },
        }
    }

    /// A refusal with a command that helps.
    pub fn refused(problem: impl ToString, hint: impl ToString) -> AnswerResult {
        AnswerResult::Refused {
            problem: problem.to_string(),
            hint: Some(hint.to_string()),
        }
    }
}

/// One question on its way to the engine.
#[derive(Debug)]
pub struct Call {
    /// What the engine is asked.
    pub ask: EngineAsk,
    /// Who asks, for the audit trail.
    pub who: Arc<str>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<AnswerResult>,
}

/// What reaches the engine: questions, and imports that have been verified on the way.
#[derive(Debug)]
pub enum EngineAsk {
    /// As it was asked.
    Ask(Ask),
    /// With bytes that hold secrets.
    WithBody(Ask, Secrets),
    /// A verified image whose bytes are already kept.
    Import(Box<gateway_core::ImageRecord>),
    /// What a publisher states to be the latest, its signature checked.
    ImportStatement(Box<gateway_core::StatementRecord>),
    /// An import that failed, for the audit trail.
    ImportRejected(String),
    /// Somebody who may not, for the audit trail.
    #[cfg(unix)]
    TurnedAway {
        /// What they wanted.
        what: turned_away::What,
        /// One clause.
        why: String,
        /// How many were turned away since the last entry without one.
        omitted: u64,
    },
}

/// Bytes that are wiped when they are dropped, and not printed.
pub struct Secrets(pub Zeroizing<Vec<u8>>);

impl std::ops::Deref for Secrets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The way to the engine.
#[derive(Debug, Clone)]
pub struct Calls {
    sender: mpsc::Sender<Call>,
    who: Arc<str>,
}

/// Technicians at a time; the next one waits in the system's queue.
pub const CONNECTIONS_MAX: usize = 16;

/// Questions that wait for the engine. One per connection, so this is never reached.
const CALLS_MAX: usize = 2 * CONNECTIONS_MAX;

impl Calls {
    /// A way and its end, which the engine takes.
    pub fn channel() -> (Calls, mpsc::Receiver<Call>) {
        let (sender, receiver) = mpsc::channel(CALLS_MAX);
        let who = Arc::from("the gateway");
        (Calls { sender, who }, receiver)
    }

    /// The same way for what this user asks.
    pub fn by(&self, who: &str) -> Calls {
        Calls {
            sender: self.sender.clone(),
            who: Arc::from(who),
        }
    }

    /// Asks and waits.
    pub async fn ask(&self, ask: EngineAsk) -> AnswerResult {
        let stopping = || AnswerResult::Failed {
            problem: "gateway is stopping".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        let who = Arc::clone(&self.who);
        if self.sender.send(Call { ask, who, answer }).await.is_err() {
            return stopping();
        }
        answered.await.unwrap_or_else(|_| stopping())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_readable_line() {
        let ask = Ask::DeviceShow {
            device: "52540012abcd".to_owned(),
        };
        let line = serde_json::to_string(&Question {
            v: 1,
            ask,
            body_bytes: 0,
        })
        .unwrap();
        assert_eq!(line, r#"{"v":1,"ask":{"device-show":{"device":"52540012abcd"}}}"#);
        assert!(
            serde_json::from_str::<Question>(r#"{"v":1,"ask":{"device-show":{"device":"52","x":1}}}"#)
                .is_err()
        );
    }

    #[test]
    fn answers_are_read_back() {
        for result in [
            AnswerResult::ok(&serde_json::json!({"version": 1})),
            AnswerResult::refused("device 52 is not known", "deltagate device list"),
            AnswerResult::Failed {
                problem: "disk is full".to_owned(),
            },
        ] {
            let answer = Answer { v: 1, result };
            let line = serde_json::to_string(&answer).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        }
    }
}
