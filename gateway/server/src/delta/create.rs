//! `deltagate delta create`: two images in, a proven patch out.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gateway_delta::account::outline;
use gateway_delta::{Effort, Options, Reach, encode_at};
use serde::Serialize;
use wire_patch::{Header, MemoryClass};

use super::image::{Image, to_text};
use super::inspect::percent;
use super::place::{Known, PlaceArgs, RelocationRow};
use super::{DeltaError, Report, decode, files};
use crate::publisher::firmware::args::FirmwareArgs;
use crate::publisher::firmware::describe::Description;

/// Make a patch that turns one image into another.
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// Decoder memory the patch may use, a power of two from 4KiB to 128KiB: the more, the smaller the patch
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "32KiB",
        hide_possible_values = true
    )]
    pub memory: Memory,
    /// How long to search for a smaller patch
    #[arg(long, value_name = "EFFORT", default_value = "default")]
    pub effort: EffortName,
    /// For a device with a single slot, where the new image takes the place of the old one: how far behind the new image's end the
    /// old one is still there, such as 28KiB. It is the room to move less what is written between two checkpoints
    #[arg(long, value_name = "REACH", value_parser = reach)]
    pub in_place: Option<Reach>,
    /// Where the images run
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How the images are read
    #[command(flatten)]
    pub firmware: FirmwareArgs,
    /// The image a device runs
    pub old: PathBuf,
    /// The image it should run
    pub new: PathBuf,
    /// Where the patch goes
    pub patch: PathBuf,
}

/// An effort, as typed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffortName {
    /// For a first look
    Fast,
    /// What the gateway does
    Default,
    /// The smallest patch, however long it takes
    Best,
}

impl EffortName {
    fn effort(self) -> Effort {
        match self {
            Self::Fast => Effort::Fast,
            Self::Default => Effort::Default,
            Self::Best => Effort::Best,
        }
    }
}

/// Decoder memory, as typed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Class 12.
    #[value(name = "4KiB")]
    Kib4,
    /// Class 13.
    #[value(name = "8KiB")]
    Kib8,
    /// Class 14.
    #[value(name = "16KiB")]
    Kib16,
    /// Class 15.
    #[value(name = "32KiB")]
    Kib32,
    /// Class 16.
    #[value(name = "64KiB")]
    Kib64,
    /// Class 17.
    #[value(name = "128KiB")]
    Kib128,
}

impl Memory {
    /// The class in the header.
    pub fn class(self) -> MemoryClass {
        let bytes = (4 << 10) << (self as u32);
        MemoryClass::fitting(bytes).expect("4 KiB is the smallest class")
    }
}

/// A number of bytes, or of KiB, that is a reach.
fn reach(text: &str) -> Result<Reach, String> {
    let (number, unit) = match text.strip_suffix("KiB") {
        Some(number) => (number, 1_024),
        None => (text, 1),
    };
    let bytes: Option<u32> = number.parse().ok();
    bytes
        .and_then(|number| number.checked_mul(unit))
        .and_then(Reach::within)
        .filter(|reach| Some(reach.bytes()) == bytes.and_then(|number| number.checked_mul(unit)))
        .ok_or_else(|| "a reach is a multiple of 256 bytes below 16 MiB, such as 12288 or 28KiB".to_owned())
}

impl CreateArgs {
    /// Reads both images, makes the patch, proves it and writes it.
    pub(super) fn run(&self) -> Result<Created, DeltaError> {
        let firmware = self.firmware.options();
        let (old, new) = (
            Image::read(&self.old, &firmware)?,
            Image::read(&self.new, &firmware)?,
        );
        let options = Options {
            memory: self.memory.class(),
            effort: self.effort.effort(),
            in_place: self.in_place,
        };
        let place = self.place.place(&old, &new);
        let patch =
            encode_at(&old.bytes, &new.bytes, &options, place.addresses).map_err(DeltaError::Encode)?;
        prove(&old, &new, &patch)?;
        let outline = outline(&patch).map_err(DeltaError::NotProven)?;
        files::write(&self.patch, &patch)?;
        Ok(Created {
            patch: self.patch.display().to_string(),
            size_bytes: patch.len() as u64,
            decoder_memory_bytes: options.memory.bytes(),
            in_place_reach_bytes: self.in_place.map(Reach::bytes),
            relocation: RelocationRow::of(&outline),
            isa_from: place.isa_from,
            addresses_from: place.addresses_from,
            old: old.row(),
            new: new.row(),
        })
    }
}

/// Refuses a patch that does not make `new` of `old`: our fault, and never written.
fn prove(old: &Image, new: &Image, patch: &[u8]) -> Result<(), DeltaError> {
    let header = Header::parse(patch).map_err(DeltaError::NotProven)?;
    if !old.digest.starts_with(&header.base_digest_prefix) {
        return Err(DeltaError::OtherResult);
    }
    match decode::apply(&old.bytes, patch) {
        Ok(result) if result == new.bytes => Ok(()),
        Ok(_) => Err(DeltaError::OtherResult),
        Err(error) => Err(DeltaError::NotProven(error)),
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Created {
    patch: String,
    size_bytes: u64,
    decoder_memory_bytes: u32,
    in_place_reach_bytes: Option<u32>,
    relocation: Option<RelocationRow>,
    isa_from: Known,
    addresses_from: Known,
    old: Description,
    new: Description,
}

impl Report for Created {
    fn to_text(&self) -> String {
        let place = match &self.relocation {
            None => format!("{:<10} not used: nothing is moved\n", "addresses"),
            Some(relocation) => format!(
                "{:<10} {}, {}\n{:<10} {}, {}\n",
                "code",
                relocation.isa,
                self.isa_from.words(),
                "addresses",
                relocation.addresses(),
                self.addresses_from.words()
            ),
        };
        let in_place = match self.in_place_reach_bytes {
            None => String::new(),
            Some(bytes) => format!("{:<10} with a reach of {bytes} bytes\n", "in place"),
        };
        format!(
            "{}{}{place}{in_place}{:<10} {} bytes, {} of the new image; applied and compared\n{:<10} {} bytes for the decoder\n{:<10} {}\n",
            to_text(&self.old, "old"),
            to_text(&self.new, "new"),
            "patch",
            self.size_bytes,
            percent(self.size_bytes as f64, self.new.size_bytes as f64),
            "memory",
            self.decoder_memory_bytes,
            "written",
            self.patch
        )
    }
}
