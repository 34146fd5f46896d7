//! `deltagate device recover`: arguments, progress, and what is printed.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::RecoverError;
use super::client::Client;
use super::file::{Content, ReleaseFile};
use super::port::Port;
use super::upload::{Found, Recovered, find, recover};

/// Version of the JSON document.
const DOCUMENT_VERSION: u32 = 1;
/// Where output is no terminal, a line of progress stands for this much of the file, in percent.
const LINE_OF_PROGRESS_PERCENT: u64 = 10;

/// Bring an image to a device that cannot start any, over its serial line
#[derive(Args, Clone, Debug)]
pub struct DeviceRecoverArgs {
    /// What `image sign` made, or `anchors sign`
    pub file: PathBuf,
    /// The device's line: /dev/ttyUSB0, COM3, tcp:HOST:PORT or unix:PATH
    #[arg(long, value_name = "LINE")]
    pub serial: String,
    /// The image of a file signed with --detached
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// The speed of a serial device, in baud
    #[arg(long, default_value_t = 115_200)]
    pub baud: u32,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    version: u32,
    /// Why the device was in recovery.
    state: &'a str,
    /// Of the image; `null` with a set of trust anchors.
    sequence_number: Option<u64>,
    /// The number of the set of trust anchors; `null` with an image.
    anchors: Option<u16>,
    file_bytes: usize,
    resumed_at_bytes: u32,
    sent_bytes: u64,
}

impl DeviceRecoverArgs {
    /// Recovers the device. Progress goes to standard error, the outcome to `out`.
    ///
    /// # Errors
    /// Whatever stands in the way, with the next step.
    pub fn run(&self, json: bool, out: &mut dyn Write) -> Result<(), RecoverError> {
        let release = ReleaseFile::read(&self.file, self.image.as_deref())?;
        let port = Port::open(&self.serial, self.baud).map_err(|source| RecoverError::Open {
            port: self.serial.clone(),
            source,
        })?;
        let mut client = Client::new(port);
        let mut screen = Progress::new(release.bytes.len());
        screen.say(&format!("asking for a bootloader on {}", self.serial))?;
        let found = find(&mut client)?;
        screen.say(&format!(
            "found a device in recovery: {}",
            found.state.escape_debug()
        ))?;
        found.takes(&release.content)?;
        let recovered = recover(&mut client, &release, &mut |at| screen.show(at));
        screen.end()?;
        self.report(json, out, &release, &found, recovered?)
            .map_err(RecoverError::Output)
    }

    fn report(
        &self,
        json: bool,
        out: &mut dyn Write,
        release: &ReleaseFile,
        found: &Found,
        recovered: Recovered,
    ) -> io::Result<()> {
        let (sequence_number, anchors) = match release.content {
            Content::Image(manifest) => (Some(manifest.sequence_number), None),
            Content::Anchors { number, .. } => (None, Some(number)),
        };
        if json {
            let document = Document {
                version: DOCUMENT_VERSION,
                state: &found.state,
                sequence_number,
                anchors,
                file_bytes: release.bytes.len(),
                resumed_at_bytes: recovered.resumed_at_bytes,
                sent_bytes: recovered.sent_bytes,
            };
            return writeln!(out, "{}", serde_json::to_string_pretty(&document)?);
        }
        if recovered.resumed_at_bytes > 0 {
            writeln!(
                out,
                "went on at byte {} of an upload that was interrupted",
                recovered.resumed_at_bytes
            )?;
        }
        match release.content {
            Content::Image(manifest) => {
                let sequence = manifest.sequence_number;
                writeln!(out, "the device verified sequence {sequence} and restarts")
            }
            Content::Anchors { number, .. } => {
                writeln!(out, "the device took set {number} of trust anchors and restarts")
            }
        }
    }
}

/// A line that is drawn over itself on a terminal, and some lines elsewhere.
struct Progress {
    bytes: u64,
    began: Option<(Instant, u64)>,
    shown_percent: Option<u64>,
    is_terminal: bool,
    is_open: bool,
}

impl Progress {
    fn new(bytes: usize) -> Self {
        Self {
            bytes: bytes as u64,
            began: None,
            shown_percent: None,
            is_terminal: io::stderr().is_terminal(),
            is_open: false,
        }
    }

    fn say(&mut self, line: &str) -> Result<(), RecoverError> {
        writeln!(io::stderr(), "{line}").map_err(RecoverError::Output)
    }

    fn show(&mut self, at: u32) -> Result<(), RecoverError> {
        let at = u64::from(at);
        let percent = at * 100 / self.bytes.max(1);
        let &mut (began, began_at) = self.began.get_or_insert_with(|| (Instant::now(), at));
        let step = if self.is_terminal {
            1
        } else {
            LINE_OF_PROGRESS_PERCENT
        };
        if self
            .shown_percent
            .is_some_and(|shown| percent / step == shown / step)
        {
            return Ok(());
        }
        self.shown_percent = Some(percent);
        let elapsed_ms = began.elapsed().as_millis() as u64;
        let sent = at.saturating_sub(began_at);
        let left = match sent {
            0 => String::new(),
            sent => format!(", {} s left", (self.bytes - at) * elapsed_ms / sent / 1_000),
        };
        let line = format!("sent {percent:3} % of {} bytes{left}", self.bytes);
        let mut stderr = io::stderr();
        let written = if self.is_terminal {
            self.is_open = true;
            // ECMA-48 EL: what is left of a longer line goes.
            write!(stderr, "\r{line}\x1b[K")
        } else {
            writeln!(stderr, "{line}")
        };
        written
            .and_then(|()| stderr.flush())
            .map_err(RecoverError::Output)
    }

    fn end(&mut self) -> Result<(), RecoverError> {
        if self.is_open {
            self.is_open = false;
            writeln!(io::stderr()).map_err(RecoverError::Output)?;
        }
        Ok(())
    }
}
