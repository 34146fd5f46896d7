//! What can not be done, and what to do next.

use std::io;

use thiserror::Error;

use crate::publisher::PublisherError;

/// Why a device was not recovered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// A file can not be read.
    #[error(transparent)]
    File(#[from] PublisherError),
    /// The file is no release that a bootloader takes.
    #[error("{path} {problem}")]
    NotARelease {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file has no image in it, and none was named.
    #[error("{path} was signed with its image beside it")]
    WithoutImage {
        /// The file.
        path: String,
    },
    /// The line can not be opened.
    #[error("cannot open {port}")]
    Open {
        /// What was to be opened.
        port: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The line broke.
    #[error("lost the line {port}")]
    Line {
        /// The line.
        port: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// Nobody answers.
    #[error("no answer from a bootloader on {port}")]
    NoAnswer {
        /// The line.
        port: String,
    },
    /// Somebody else answers.
    #[error("what answers on {port} is no deltagate bootloader in recovery: it says {says}")]
    SomebodyElse {
        /// The line.
        port: String,
        /// What it said.
        says: String,
    },
    /// The device stopped answering.
    #[error("the device stopped answering after {done_bytes} of {bytes} bytes")]
    Interrupted {
        /// How far it got.
        done_bytes: u32,
        /// The whole file.
        bytes: u32,
    },
    /// The device answers, and asks for the same piece again and again.
    #[error("the device takes nothing beyond byte {done_bytes} of {bytes}")]
    Stalled {
        /// How far it got.
        done_bytes: u32,
        /// The whole file.
        bytes: u32,
    },
    /// File and device do not belong together, or the device refuses.
    #[error("{problem}")]
    Refused {
        /// Why.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// The progress could not be printed.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl RecoverError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Output(_) => return None,
            Self::NotARelease { .. } => "deltagate image inspect FILE says what it is; make one with deltagate image sign".to_owned(),
            Self::WithoutImage { .. } => "name the image with --image FILE".to_owned(),
            Self::Open { port, source } => match source.kind() {
                io::ErrorKind::PermissionDenied => format!(
                    "your user may not open {port}; on Linux serial lines belong to the group dialout"
                ),
                _ => "--serial takes a serial device (/dev/ttyUSB0, COM3), tcp:HOST:PORT or unix:PATH".to_owned(),
            },
            Self::Line { .. } | Self::Interrupted { .. } => {
                "check cable and power, then run the same command again: it goes on where the device is".to_owned()
            }
            Self::NoAnswer { .. } => "is the device in recovery? its serial line then says \"boot: RECOVERY\" within two \
                 minutes; check that no terminal program holds the line, that TX and RX are crossed, and the speed (--baud)"
                .to_owned(),
            Self::SomebodyElse { .. } => {
                "check that --serial names the device's line, and that the device is in recovery".to_owned()
            }
            Self::Stalled { .. } => "restart the device and run the same command again".to_owned(),
            Self::Refused { hint, .. } => (*hint).to_owned(),
        })
    }

    /// 1: refused by state or policy, 2: wrong usage, 3: anything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::File(error) => error.exit_code(),
            Self::NotARelease { .. } | Self::WithoutImage { .. } | Self::Open { .. } => 2,
            Self::NoAnswer { .. }
            | Self::SomebodyElse { .. }
            | Self::Interrupted { .. }
            | Self::Stalled { .. }
            | Self::Line { .. }
            | Self::Refused { .. } => 1,
            Self::Output(_) => 3,
        }
    }
}
