//! What the images are code for and where they run: typed, else from the files, else inferred.

use clap::{Args, ValueEnum};
use gateway_delta::{Addresses, Isa, Layout, Relocation, inferred_isa, inferred_layout};
use serde::Serialize;

use super::address;
use super::image::Image;
use crate::publisher::firmware::Machine;

/// What a person knows better than the files.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// The instruction set; else as the files say, else inferred. With `none` no address is moved
    #[arg(long, value_name = "SET")]
    isa: Option<IsaName>,
    /// Where OLD runs, such as 0x08000000; else as the files say, else inferred
    #[arg(long, value_name = "ADDRESS", value_parser = typed_address)]
    base_address: Option<u32>,
    /// Where NEW runs, if elsewhere
    #[arg(long, value_name = "ADDRESS", value_parser = typed_address)]
    target_address: Option<u32>,
}

/// An instruction set, as typed and printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsaName {
    /// Thumb and Thumb-2, Cortex-M
    Thumb,
    /// RISC-V, 32 bits
    Riscv32,
    /// RISC-V, 64 bits
    Riscv64,
    /// 64-bit Arm
    Aarch64,
    /// Xtensa, ESP8266 and ESP32
    Xtensa,
    /// AVR
    Avr,
    /// MCS-51, 8051
    Mcs51,
    /// Another one: only words that are pointers are moved
    Words,
    /// Nothing is moved
    None,
}

impl IsaName {
    fn isa(self) -> Option<Isa> {
        Some(match self {
            Self::Thumb => Isa::Thumb,
            Self::Riscv32 => Isa::RiscV32,
            Self::Riscv64 => Isa::RiscV64,
            Self::Aarch64 => Isa::AArch64,
            Self::Xtensa => Isa::Xtensa,
            Self::Avr => Isa::Avr,
            Self::Mcs51 => Isa::Mcs51,
            Self::Words => Isa::Words,
            Self::None => return None,
        })
    }
}

/// The name of a set, as it can be typed too.
pub(super) fn isa_name(isa: Isa) -> String {
    let name = IsaName::value_variants()
        .iter()
        .find(|name| name.isa() == Some(isa));
    let value = name.and_then(IsaName::to_possible_value);
    value.map_or_else(|| "other".to_owned(), |value| value.get_name().to_owned())
}

/// How something came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Known {
    /// Typed.
    Given,
    /// The image files say it.
    Files,
    /// From the images' bytes.
    Inferred,
}

impl Known {
    /// For people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Given => "as given",
            Self::Files => "from the files",
            Self::Inferred => "inferred",
        }
    }
}

/// What the encoder is told, and how it came to be known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) addresses: Addresses,
    pub(super) isa_from: Known,
    pub(super) addresses_from: Known,
}

impl PlaceArgs {
    /// Puts together what is known.
    pub(super) fn place(&self, old: &Image, new: &Image) -> Place {
        let (isa, isa_from) = self.isa(old, new);
        let (base, base_from) = layout(self.base_address, old, isa);
        let (target, target_from) = layout(self.target_address, new, isa);
        // An image of unknown place runs where the other one does.
        let addresses = match (isa, base.or(target), target.or(base)) {
            (Some(isa), Some(base), Some(target)) => Addresses::Given(Relocation { isa, base, target }),
            _ => Addresses::Ignored,
        };
        Place {
            addresses,
            isa_from,
            addresses_from: base_from.min(target_from),
        }
    }

    /// The set, `None` when nothing is to be moved.
    fn isa(&self, old: &Image, new: &Image) -> (Option<Isa>, Known) {
        let typed = self.isa.map(|name| (name.isa(), Known::Given));
        let machine = || old.machine.or(new.machine).and_then(of_machine);
        let by_files = || machine().map(|isa| (Some(isa), Known::Files));
        typed
            .or_else(by_files)
            .unwrap_or_else(|| (inferred_isa(&old.bytes).or(Some(Isa::Words)), Known::Inferred))
    }
}

fn layout(typed: Option<u32>, image: &Image, isa: Option<Isa>) -> (Option<Layout>, Known) {
    match (typed, image.address, isa) {
        (Some(address), _, _) => (Some(Layout::flat(address)), Known::Given),
        (_, Some(address), _) => (Some(Layout::flat(address)), Known::Files),
        (_, _, Some(isa)) => (inferred_layout(isa, &image.bytes), Known::Inferred),
        _ => (None, Known::Inferred),
    }
}

fn of_machine(machine: Machine) -> Option<Isa> {
    match machine {
        Machine::Arm => Some(Isa::Thumb),
        Machine::AArch64 => Some(Isa::AArch64),
        Machine::RiscV32 => Some(Isa::RiscV32),
        Machine::RiscV64 => Some(Isa::RiscV64),
        Machine::Xtensa => Some(Isa::Xtensa),
        Machine::Avr => Some(Isa::Avr),
        Machine::Other(_) => None,
    }
}

/// How a patch moves addresses, in a document.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RelocationRow {
    pub(super) isa: String,
    base: Vec<PartRow>,
    target: Vec<PartRow>,
    map_copy_bytes_min: u32,
}

/// A part of an image that runs at one place.
#[derive(Clone, Debug, Serialize)]
struct PartRow {
    offset: u32,
    address: String,
}

impl RelocationRow {
    /// What a patch's setup says, if it moves addresses.
    pub(super) fn of(outline: &gateway_delta::account::Outline) -> Option<Self> {
        outline.setup.relocation.map(|relocation| Self {
            isa: isa_name(relocation.isa),
            base: rows(&relocation.base),
            target: rows(&relocation.target),
            map_copy_bytes_min: 1 << outline.setup.map_copy_bytes_log2,
        })
    }

    /// For people.
    pub(super) fn addresses(&self) -> String {
        format!("old at {}, new at {}", places(&self.base), places(&self.target))
    }
}

fn rows(layout: &Layout) -> Vec<PartRow> {
    let row = |part: &gateway_delta::Segment| PartRow {
        offset: part.offset,
        address: address(part.address),
    };
    layout.segments().iter().map(row).collect()
}

fn places(parts: &[PartRow]) -> String {
    let addresses: Vec<&str> = parts.iter().map(|part| part.address.as_str()).collect();
    addresses.join(" + ")
}

/// An address, hexadecimal with 0x in front or decimal.
fn typed_address(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "not an address of 32 bits, such as 0x08000000".to_owned())
}
