//! What the encoder knows about instruction sets: telling them apart, finding load addresses, and putting
//! labels in place of addresses for `align`. One module for each set, and one for the images that say where they run; a wrong guess costs bytes, never correctness.

mod aarch64;
mod avr;
mod esp;
mod mcs51;
mod riscv;
mod thumb;
mod xtensa;

use wire_patch::{Isa, Layout, Relocation, with_labels};

/// Sets that can be told from their code, the first of equals preferred.
const SETS: [Isa; 6] = [
    Isa::Thumb,
    Isa::RiscV64,
    Isa::AArch64,
    Isa::Xtensa,
    Isa::Mcs51,
    Isa::Avr,
];

/// Functions and pointers that vote for a load address, each.
const VOTERS_MAX: usize = 3_000;

/// Votes below this are chance.
const VOTES_MIN: usize = 12;

/// Addresses in an image that are built, without which it is chance where they lie.
const BUILT_MIN: usize = 32;

/// Of this many numbers that look like addresses in the image, one may be something else at either end.
const BUILT_PER_STRANGER: usize = 128;

/// Bytes of an image for which there must be one return from a function.
const BYTES_PER_RETURN_MAX: usize = 2_048;

/// Bytes that make the label of what starts with them.
const LABEL_BYTES: usize = 8;

/// The instruction set and the load addresses of two images, if they can be told. An image of unknown place runs where the
/// other one does.
pub(crate) fn infer(base: &[u8], target: &[u8]) -> Option<Relocation> {
    let isa = instruction_set(base)?;
    let (of_base, of_target) = (layout(isa, base), layout(isa, target));
    Some(Relocation {
        isa,
        base: of_base.or(of_target)?,
        target: of_target.or(of_base)?,
    })
}

/// Where an image runs, by the header of its format or by its pointers.
pub(crate) fn layout(isa: Isa, image: &[u8]) -> Option<Layout> {
    esp::layout(image).or_else(|| address(isa, image).map(Layout::flat))
}

/// The set of which the image has the most returns, if they are enough.
pub(crate) fn instruction_set(image: &[u8]) -> Option<Isa> {
    let found = SETS.into_iter().map(|isa| (returns(isa, image), isa)).rev();
    let (returns, isa) = found.max_by_key(|(returns, _)| *returns)?;
    let isa = match isa {
        Isa::RiscV64 if !riscv::is_wide(image) => Isa::RiscV32,
        isa => isa,
    };
    (returns * BYTES_PER_RETURN_MAX >= image.len() && returns > 0).then_some(isa)
}

/// Instructions that return from a function, if the image is of this set: each module counts about one for each function.
fn returns(isa: Isa, image: &[u8]) -> usize {
    match isa {
        Isa::Thumb => thumb::returns(image),
        Isa::RiscV64 => riscv::returns(image),
        Isa::AArch64 => aarch64::returns(image),
        Isa::Xtensa => xtensa::returns(image),
        Isa::Mcs51 => mcs51::returns(image),
        Isa::Avr => avr::returns(image),
        _ => 0,
    }
}

/// The address of the image's first byte, a multiple of 4.
fn address(isa: Isa, image: &[u8]) -> Option<u32> {
    match isa {
        Isa::Thumb => thumb::address(image),
        Isa::AArch64 => aarch64::address(image),
        Isa::RiscV32 | Isa::RiscV64 => riscv::address(image, isa == Isa::RiscV64),
        Isa::Xtensa => xtensa::address(image),
        Isa::Mcs51 | Isa::Avr => Some(0),
        _ => None,
    }
}

/// Every pair of a pointer and the start of a function votes for the address that brings them together; the address with the
/// most votes, among equals the lowest.
fn vote(starts: Vec<u32>, mut pointers: Vec<u32>, alignment: u32) -> Option<u32> {
    pointers.sort_unstable();
    pointers.dedup();
    let (starts, pointers) = (thinned(starts, VOTERS_MAX), thinned(pointers, VOTERS_MAX));
    let mut votes: Vec<u32> = Vec::new();
    for pointer in &pointers {
        let addresses = starts.iter().map(|start| pointer.wrapping_sub(*start));
        votes.extend(addresses.filter(|address| address.is_multiple_of(alignment) && *address < 0xE000_0000));
    }
    // Not counted in a map, which takes four times the memory for votes that are hardly ever the same.
    votes.sort_unstable();
    let parties = votes.chunk_by(|one, other| one == other);
    let (votes, address) = parties
        .map(|party| (party.len(), party[0]))
        .max_by_key(|(votes, address)| (*votes, u32::MAX - address))?;
    (votes >= VOTES_MIN).then_some(address)
}

/// The roundest address at which the image covers the addresses that its instructions build, but for a few: text and tables
/// lie at its end and the first of its functions near its beginning, so that there is little choice. `None` if they are few,
/// lie elsewhere, or in a small part of it.
fn covering(image: &[u8], mut built: Vec<u32>) -> Option<u32> {
    built.sort_unstable();
    built.dedup();
    let bytes = u64::try_from(image.len()).ok()?;
    let covered = |from: usize| {
        let end = u64::from(built[from]) + bytes;
        built.partition_point(|value| u64::from(*value) < end)
    };
    let windows = (0..built.len()).map(|from| (from, covered(from)));
    let (first, end) = windows.max_by_key(|(from, end)| (end - from, usize::MAX - from))?;
    let inside = &built[first..end];
    if inside.len() < BUILT_MIN || inside.len() * 2 < built.len() {
        return None;
    }
    let few = inside.len() / BUILT_PER_STRANGER;
    let (lowest, highest) = (*inside.get(few)?, *inside.get(inside.len() - 1 - few)?);
    let spread = u64::from(highest - lowest);
    if spread * 2 < bytes || spread >= bytes {
        return None;
    }
    let from = (u64::from(highest) + 1).saturating_sub(bytes);
    let address = roundest(u32::try_from(from).unwrap_or(lowest), lowest);
    address.is_multiple_of(4).then_some(address)
}

/// The number with the most zeros at its end, of those from `from` to `to`.
fn roundest(from: u32, to: u32) -> u32 {
    match from.checked_sub(1).map(|before| before ^ to) {
        Some(differing) => to & u32::MAX.checked_shl(differing.ilog2()).unwrap_or(0),
        None => 0,
    }
}

/// Evenly chosen members, at most `max`.
fn thinned(all: Vec<u32>, max: usize) -> Vec<u32> {
    let step = all.len().div_ceil(max).max(1);
    all.into_iter().step_by(step).collect()
}

/// The image with the addresses in it replaced by labels of what they point to, so that code that moved is the same.
pub(crate) fn normalised(image: &[u8], isa: Isa, layout: &Layout) -> Vec<u8> {
    if isa == Isa::Xtensa {
        return xtensa::normalised(image, layout);
    }
    let blank = labelled(image, isa, layout, |_| 0);
    labelled(image, isa, layout, |offset| {
        let start = offset.unwrap_or(0) as usize;
        let end = blank.len().min(start + LABEL_BYTES);
        blank[start..end].iter().fold(0x811C_9DC5, |hash: u32, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        }) >> 8
    })
}

fn labelled(image: &[u8], isa: Isa, layout: &Layout, label: impl Fn(Option<u32>) -> u32) -> Vec<u8> {
    let mut normal = image.to_vec();
    with_labels(isa, layout, image, label, |at, bytes| {
        normal[at..at + bytes.len()].copy_from_slice(bytes);
    });
    normal
}

/// The word at `at`, which must be inside the image.
fn word(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roundest_number_is_in_the_range() {
        assert_eq!(roundest(0, 0x1234), 0);
        assert_eq!(roundest(0x0800_3F10, 0x0800_4810), 0x0800_4000);
        assert_eq!(roundest(0x0800_4000, 0x0800_4810), 0x0800_4000);
        assert_eq!(roundest(7, 7), 7);
    }

    #[test]
    fn an_image_covers_what_its_instructions_build() {
        let image = vec![0; 0x1_0000];
        // Into its last two thirds, and to elsewhere.
        let mut built: Vec<u32> = (0..140).map(|i| 0x8010_5000 + i * 0x137).collect();
        built.extend((0..40).map(|i| 0x8001_0000 + i * 4));
        built.extend([0x800F_FFFF]);
        assert_eq!(covering(&image, built.clone()), Some(0x8010_0000));
        // Nearly all of it elsewhere; in one place; too few.
        let elsewhere = (0..200).map(|i| i * 0x0100_0001);
        assert_eq!(
            covering(&image, built.iter().copied().chain(elsewhere).collect()),
            None
        );
        assert_eq!(
            covering(&image, (0..140).map(|i| 0x8010_5000 + i).collect()),
            None
        );
        assert_eq!(covering(&image, built[..BUILT_MIN - 1].to_vec()), None);
        assert_eq!(covering(&[], built), None);
    }
}
