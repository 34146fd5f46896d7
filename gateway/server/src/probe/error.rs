//! Which step failed, what that means, and what to do next.

use std::io;
use std::time::Duration;

use super::exchange::{NoAnswer, TRIES};

/// Why a probe ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// An option cannot be understood.
    #[error("\"{text}\" is not {what}")]
    Usage {
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
    },
    /// The name leads nowhere.
    #[error("name: {host} has no address")]
    Name {
        /// What was to be looked up.
        host: String,
        /// What the system says.
        #[source]
        source: Option<io::Error>,
    },
    /// Nothing came back from the first message.
    #[error("UDP: {0}")]
    Udp(Missing),
    /// Something else listens there.
    #[error("CoAP: {why}")]
    Coap {
        /// What was found.
        why: String,
    },
    /// A later step had no answer.
    #[error("{step}: {missing}")]
    NoAnswer {
        /// Which.
        step: &'static str,
        /// How.
        missing: Missing,
    },
    /// The gateway would not serve this device.
    #[error("check-in refused: {why}")]
    Refused {
        /// As the gateway says.
        why: String,
    },
    /// Only devices with keys are served there.
    #[error("check-in: only devices with a key are served there")]
    NeedsKey,
    /// The gateway is of an older version.
    #[error("check-in: this gateway knows no dry check-ins")]
    NoDryCheckIn,
    /// The link is full.
    #[error("the gateway's link is full")]
    Busy,
    /// The gateway serves nothing for longer than anybody watches a command.
    #[error(
        "image: the gateway puts block {block} off for {seconds} s: updates are paused there, or its link is full"
    )]
    PutOff {
        /// The block.
        block: u32,
        /// For how long.
        seconds: u64,
    },
    /// The gateway answered with something that does not belong there.
    #[error("{what} was answered with {code} {text}")]
    Answered {
        /// The request.
        what: String,
        /// The answer's code.
        code: String,
        /// Its diagnostic text.
        text: String,
    },
    /// There is no such image.
    #[error("image: {digits} is not on this gateway")]
    NoImage {
        /// What was asked for.
        digits: String,
    },
    /// A fetch broke off.
    #[error("image: block {block} did not come after {done_bytes} bytes: {no_answer}")]
    Lost {
        /// Why.
        no_answer: Missing,
        /// The block.
        block: u32,
        /// What had come by then.
        done_bytes: usize,
    },
    /// A block is not what was asked for.
    #[error("image: block {block} cannot be used: {why}")]
    BadBlock {
        /// The block.
        block: u32,
        /// Why.
        why: String,
    },
    /// What came has another digest.
    #[error("image: what came has digest {digest}")]
    WrongImage {
        /// Of what came.
        digest: String,
    },
    /// The report could not be printed.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
}

/// Why nothing came back, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

impl From<NoAnswer> for Missing {
    fn from(no_answer: NoAnswer) -> Missing {
        let seconds = |time: Duration| format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100);
        Missing(match no_answer {
            NoAnswer::NobodyListens => "nobody listens on that port, says the host".into(),
            NoAnswer::Silence { waited } => {
                format!("no answer to {TRIES} datagrams within {}", seconds(waited))
            }
            NoAnswer::NotCoap => "what answers does not speak CoAP".into(),
            NoAnswer::Reset => "the message was rejected with a Reset".into(),
            NoAnswer::System(error) => format!("the system refuses: {error}"),
        })
    }
}

impl ProbeError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ProbeError::Usage { .. } => "deltagate probe --help",
            ProbeError::Name { .. } => "give an address, such as 192.0.2.1 or [2001:db8::1]:5683",
            ProbeError::Udp(_) | ProbeError::NoAnswer { .. } => {
                "on the gateway: deltagate doctor; between here and there: address, port, firewall, route"
            }
            ProbeError::Coap { .. } => "compare the port with `listen` in gateway.toml",
            ProbeError::Refused { why } if why.starts_with("unknown class") => {
                "name the class of an imported image: --vendor example.com --class thermometer; see deltagate image list"
            }
            ProbeError::Refused { why } if why.ends_with("is not claimed") => {
                "name a claimed device with --device ID, or on the gateway: deltagate device claim ID"
            }
            ProbeError::Refused { .. } => "on the gateway: deltagate why ID",
            ProbeError::NeedsKey => {
                "this probe has no key: see the device in deltagate status on the gateway; to let such in, access = \"open\" for their link"
            }
            ProbeError::NoDryCheckIn => "--record checks in for real, which lists the device on the gateway",
            ProbeError::Busy => "on the gateway: deltagate link list",
            ProbeError::PutOff { .. } => {
                "on the gateway: deltagate status; deltagate update resume ends a pause"
            }
            ProbeError::NoImage { .. } => "on the gateway: deltagate image list",
            ProbeError::Lost { .. } => {
                "the link loses too much: see deltagate link show, or probe with a smaller --block-size"
            }
            ProbeError::Answered { .. } | ProbeError::BadBlock { .. } | ProbeError::WrongImage { .. } => {
                "between here and there something alters messages, or this is no deltagate gateway"
            }
            ProbeError::Output(_) => return None,
        };
        Some(hint.to_owned())
    }
}
