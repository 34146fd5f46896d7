//! Deltas by hand: make one, apply one, look inside one. No gateway is asked.
//!
//! What comes out of a command appears whole or not at all, and a patch is only written after the decoder of the devices
//! has made the new image from it.
//!
//! | module | what it is |
//! |---|---|
//! | [`create`], [`apply`], [`inspect`], [`bench`] | the commands of these names |
//! | [`place`] | what images are code for and where they run |
//! | [`plot`] | a picture of what comes from where |
//! | [`image`] | image files; where they run |
//! | [`decode`] | a patch applied with the device's decoder |
//! | [`files`] | files that appear whole or not at all |
//! | [`error`] | what can not be done, and what to do next |

pub mod apply;
pub mod bench;
pub mod create;
pub mod decode;
pub mod error;
pub mod files;
pub mod image;
pub mod inspect;
pub mod place;
pub mod plot;

use std::io::Write;

use clap::Subcommand;
use serde::Serialize;

pub use error::DeltaError;

use crate::report::Document;

/// `delta …`
#[derive(Subcommand, Clone, Debug)]
pub enum DeltaCommand {
    /// Make a patch that turns one image into another
    Create(create::CreateArgs),
    /// Make the new image from the old one and a patch
    Apply(apply::ApplyArgs),
    /// Show what is in a patch and where its bytes go
    Inspect(inspect::InspectArgs),
    /// Measure a folder of firmware pairs against every delta tool installed here
    Bench(bench::BenchArgs),
}

impl DeltaCommand {
    /// Runs the command and prints what it did: as text, or as the document of `docs/cli-json.md`.
    pub fn run(&self, json: bool, out: &mut dyn Write) -> Result<(), DeltaError> {
        match self {
            Self::Create(args) => print(&args.run()?, json, out),
            Self::Apply(args) => print(&args.run()?, json, out),
            Self::Inspect(args) => print(&args.run()?, json, out),
            Self::Bench(args) => print(&args.run()?, json, out),
        }
    }
}

/// What a command has to say.
pub(crate) trait Report: Serialize {
    /// As lines for a terminal.
    fn to_text(&self) -> String;
}

fn print(report: &impl Report, json: bool, out: &mut dyn Write) -> Result<(), DeltaError> {
    let text = if json {
        let document = serde_json::to_string_pretty(&Document::new(report));
        document.expect("the document has only text keys") + "\n"
    } else {
        report.to_text()
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(DeltaError::Output)
}

/// An address, as it can be typed too.
pub(crate) fn address(address: u32) -> String {
    format!("{address:#010x}")
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
