//! `deltagate delta create`: two images in, a proven patch out.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gateway_delta::account::outline;
use gateway_delta::{Addresses, Options, Relocation, encode_at};
use serde::Serialize;
use wire_patch::{Header, MemoryClass};

use super::image::{Image, ImageRow};
use super::inspect::{RelocationRow, percent};
use super::{DeltaError, Report, decode, files};

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
    /// Where OLD runs, such as 0x08000000; else as ELF and HEX files say, else inferred
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub base_address: Option<u32>,
    /// Where NEW runs, if elsewhere
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub target_address: Option<u32>,
    /// The image a device runs
    pub old: PathBuf,
    /// The image it should run
    pub new: PathBuf,
    /// Where the patch goes
    pub patch: PathBuf,
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

impl CreateArgs {
    /// Reads both images, makes the patch, proves it and writes it.
    pub(super) fn run(&self) -> Result<Created, DeltaError> {
        let (old, new) = (Image::read(&self.old)?, Image::read(&self.new)?);
        let options = Options {
            memory: self.memory.class(),
        };
        let patch = encode_at(&old.bytes, &new.bytes, &options, self.addresses(&old, &new))
            .map_err(DeltaError::Encode)?;
        prove(&old, &new, &patch)?;
        let outline = outline(&patch).map_err(DeltaError::NotProven)?;
        files::write(&self.patch, &patch)?;
        Ok(Created {
            patch: self.patch.display().to_string(),
            size_bytes: patch.len() as u64,
            decoder_memory_bytes: options.memory.bytes(),
            relocation: RelocationRow::of(&outline),
            addresses_from: self.addresses_from(&old, &new),
            old: old.row(),
            new: new.row(),
        })
    }

    /// What was typed goes before what the files say; an image without an address runs where the other one does.
    fn addresses(&self, old: &Image, new: &Image) -> Addresses {
        let base = self.base_address.or(old.address);
        let target = self.target_address.or(new.address);
        match (base, target) {
            (None, None) => Addresses::Inferred,
            (Some(known), None) | (None, Some(known)) => given(known, known),
            (Some(base), Some(target)) => given(base, target),
        }
    }

    fn addresses_from(&self, old: &Image, new: &Image) -> AddressesFrom {
        if self.base_address.or(self.target_address).is_some() {
            AddressesFrom::Given
        } else if old.address.or(new.address).is_some() {
            AddressesFrom::Files
        } else {
            AddressesFrom::Inferred
        }
    }
}

fn given(base_address: u32, target_address: u32) -> Addresses {
    Addresses::Given(Relocation {
        base_address,
        target_address,
    })
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
    relocation: Option<RelocationRow>,
    addresses_from: AddressesFrom,
    old: ImageRow,
    new: ImageRow,
}

/// How the load addresses came to be known.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum AddressesFrom {
    /// Typed.
    Given,
    /// The image files say them.
    Files,
    /// From the pointers in the images.
    Inferred,
}

impl Report for Created {
    fn to_text(&self) -> String {
        let addresses = match (&self.relocation, self.addresses_from) {
            (None, _) => "not used: nothing is moved".to_owned(),
            (Some(relocation), AddressesFrom::Given) => format!("{}, as given", relocation.addresses()),
            (Some(relocation), AddressesFrom::Files) => format!("{}, from the files", relocation.addresses()),
            (Some(relocation), AddressesFrom::Inferred) => format!("{}, inferred", relocation.addresses()),
        };
        format!(
            "{}{}{:<10} {addresses}\n{:<10} {} bytes, {} of the new image; applied and compared\n{:<10} {} bytes for the decoder\n{:<10} {}\n",
            self.old.to_text("old"),
            self.new.to_text("new"),
            "addresses",
            "patch",
            self.size_bytes,
            percent(self.size_bytes as f64, self.new.size_bytes() as f64),
            "memory",
            self.decoder_memory_bytes,
            "written",
            self.patch
        )
    }
}

/// An address, hexadecimal with 0x in front or decimal.
fn address(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "not an address of 32 bits, such as 0x08000000".to_owned())
}
