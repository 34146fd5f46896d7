//! UF2 files, written from the format's specification (github.com/microsoft/uf2). The crates there are decode no family and check no
//! numbers of blocks, so the reader is ours.
//!
//! ```text
//! a block of 512 bytes, all numbers little-endian
//!   0  "UF2\n"   4  0x9e5d5157   8  flags   12  address   16  bytes of data   20  number of the block   24  number of blocks
//!  28  family if flag 0x2000, else of no interest          32  data, at most 476 bytes                 508  0x0ab16f30
//! flags: 0x0001 not for main flash  0x1000 part of a file  0x2000 has a family  0x4000 has an MD5 sum  0x8000 has tags
//! ```

use std::collections::BTreeMap;

use gateway_core::count;

use super::pieces::Pieces;
use super::uf2_family::{self, Family};
use super::{Detail, FileFormat, Firmware, FirmwareError, ReadOptions};

const BLOCK_BYTES: usize = 512;
const DATA_BYTES_MAX: usize = 476;
const MAGIC_0: u32 = u32::from_le_bytes(*b"UF2\n");
const MAGIC_1: u32 = 0x9e5d_5157;
const MAGIC_END: u32 = 0x0ab1_6f30;
const NOT_MAIN_FLASH: u32 = 0x0001;
const PART_OF_A_FILE: u32 = 0x1000;
const HAS_FAMILY: u32 = 0x2000;

/// What the block is filled with that files for the RP2350 begin with: it goes to no program (RP2350 datasheet, erratum E10).
const E10_FILL: u8 = 0xef;
const E10_BYTES: usize = 256;
const E10_BLOCKS: u32 = 2;

/// Whether a file begins with a block.
pub(super) fn is_uf2(file: &[u8]) -> bool {
    let magics = [MAGIC_0, MAGIC_1].map(u32::to_le_bytes);
    file.starts_with(magics.as_flattened())
}

/// The image of a UF2 file for one family.
pub(super) fn read(file: &[u8], options: &ReadOptions) -> Result<Firmware, FirmwareError> {
    let (blocks, []) = file.as_chunks::<BLOCK_BYTES>() else {
        return Err(damaged(format!(
            "it ends in the middle of a block of {BLOCK_BYTES} bytes"
        )));
    };
    let blocks = blocks
        .iter()
        .enumerate()
        .map(|(at, block)| Block::parse(at, block));
    let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
    let mut families: BTreeMap<Option<u32>, Vec<&Block>> = BTreeMap::new();
    for block in &blocks {
        families.entry(block.family).or_default().push(block);
    }
    let has_e10 = leave_out_e10(&mut families);
    let family = choose(&families, options)?;
    let chosen = families.get(&family).map_or(&[][..], Vec::as_slice);
    // Files joined with `cat` count by family, those that a tool made for several count on.
    complete(chosen).or_else(|error| complete(&blocks.iter().collect::<Vec<_>>()).map_err(|_| error))?;

    let mut pieces = Pieces::default();
    let mut skipped = 0;
    for block in chosen {
        match block.flags & NOT_MAIN_FLASH {
            0 => pieces.add(block.address.into(), block.data)?,
            _ => skipped += 1,
        }
    }
    let firmware = pieces.lay_out(FileFormat::Uf2, options)?;
    let known = family.and_then(uf2_family::by_id);
    Ok(Firmware {
        machine: known.and_then(|family| family.machine),
        runs_elsewhere: known.is_some_and(|family| family.copies_to_run),
        details: details(family, families.len() - 1, skipped, has_e10),
        ..firmware
    })
}

fn details(family: Option<u32>, others: usize, skipped: usize, has_e10: bool) -> Vec<Detail> {
    let mut details = vec![Detail::new("family", name(family))];
    if others > 0 {
        details.push(Detail::new(
            "left out",
            format!("blocks of {}", count(others, "other family", "other families")),
        ));
    }
    if skipped > 0 {
        details.push(Detail::new(
            "left out",
            count(
                skipped,
                "block that is not for flash",
                "blocks that are not for flash",
            ),
        ));
    }
    if has_e10 {
        details.push(Detail::new("left out", "the block against erratum RP2350-E10"));
    }
    details
}

/// A family for people.
fn name(family: Option<u32>) -> String {
    match family {
        None => "none".to_owned(),
        Some(id) => match uf2_family::by_id(id) {
            Some(Family { name, .. }) => format!("{name} ({id:#010x})"),
            None => format!("{id:#010x}"),
        },
    }
}

/// Removes the block that makes an RP2350's loader take the rest; it is no part of an image.
fn leave_out_e10(families: &mut BTreeMap<Option<u32>, Vec<&Block>>) -> bool {
    let absolute = Some(uf2_family::RP2XXX_ABSOLUTE);
    let is_e10 = match families.get(&absolute).map(Vec::as_slice) {
        Some([only]) => {
            let filled = only.data.len() == E10_BYTES && only.data.iter().all(|byte| *byte == E10_FILL);
            filled && (only.number, only.total) == (0, E10_BLOCKS)
        }
        _ => false,
    };
    if is_e10 && families.len() > 1 {
        families.remove(&absolute);
        return true;
    }
    false
}

fn choose(
    families: &BTreeMap<Option<u32>, Vec<&Block>>,
    options: &ReadOptions,
) -> Result<Option<u32>, FirmwareError> {
    let found = || {
        let names: Vec<String> = families.keys().map(|family| name(*family)).collect();
        names.join(", ")
    };
    match (options.family, families.keys().next()) {
        (Some(wanted), _) if families.contains_key(&Some(wanted)) => Ok(Some(wanted)),
        (Some(wanted), _) => Err(FirmwareError::NotThere {
            wanted: format!("family {}", name(Some(wanted))),
            found: found(),
        }),
        (None, Some(only)) if families.len() == 1 => Ok(*only),
        (None, None) => Err(FirmwareError::Empty),
        (None, Some(_)) => Err(FirmwareError::Several {
            what: "families",
            option: "--family FAMILY",
            found: found(),
        }),
    }
}

/// Whether each of the blocks that they say there are is there once.
fn complete(blocks: &[&Block]) -> Result<(), FirmwareError> {
    let mut numbers: Vec<u32> = blocks.iter().map(|block| block.number).collect();
    numbers.sort_unstable();
    let total = blocks.first().map_or(0, |block| block.total);
    if let Some(other) = blocks.iter().find(|block| block.total != total) {
        return Err(damaged(format!(
            "block {} counts {} blocks, others {total}",
            other.number, other.total
        )));
    }
    let wrong = numbers
        .iter()
        .zip(0..)
        .find(|(number, expected)| *number != expected);
    match wrong {
        Some((number, expected)) if *number < expected => {
            Err(damaged(format!("block {number} is there twice")))
        }
        Some((_, expected)) => Err(damaged(format!("block {expected} is missing"))),
        None if numbers.len() as u64 == u64::from(total) => Ok(()),
        None => Err(damaged(format!("{} of {total} blocks are there", numbers.len()))),
    }
}

fn damaged(problem: String) -> FirmwareError {
    FirmwareError::Damaged {
        format: FileFormat::Uf2,
        problem,
    }
}

/// One block.
struct Block<'a> {
    flags: u32,
    address: u32,
    number: u32,
    total: u32,
    family: Option<u32>,
    data: &'a [u8],
}

impl<'a> Block<'a> {
    fn parse(at: usize, block: &'a [u8; BLOCK_BYTES]) -> Result<Self, FirmwareError> {
        let (words, _) = block.as_chunks::<4>();
        let word = |at: usize| u32::from_le_bytes(words[at / 4]);
        if [word(0), word(4), word(508)] != [MAGIC_0, MAGIC_1, MAGIC_END] {
            return Err(damaged(format!("there is no block at {:#x}", at * BLOCK_BYTES)));
        }
        let (flags, bytes) = (word(8), word(16) as usize);
        if flags & PART_OF_A_FILE != 0 {
            return Err(FirmwareError::Unsupported {
                format: FileFormat::Uf2,
                what: "holds a file for a file system",
            });
        }
        if bytes > DATA_BYTES_MAX {
            return Err(damaged(format!(
                "the block at {:#x} is too long",
                at * BLOCK_BYTES
            )));
        }
        Ok(Self {
            flags,
            address: word(12),
            number: word(20),
            total: word(24),
            family: (flags & HAS_FAMILY != 0).then(|| word(28)),
            data: &block[32..32 + bytes],
        })
    }
}

#[cfg(test)]
mod tests;
