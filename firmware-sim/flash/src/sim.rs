//! A NOR flash in host memory: enforces the physics, counts operations and wear, loses power where it is told to.
//!
//! What it plays, and where parts in the field do it:
//!
//! - Programming clears bits and never sets one; erasing sets a whole sector.
//! - A program unit of 1 (serial NOR) to 32 bytes (parts with a wide ECC word), sectors of 256 bytes to 64 KiB.
//! - [`Rewrites::Once`]: a unit that was programmed must be erased before it is programmed again, even with fewer bits. So
//!   say parts with ECC, and the contract of `embedded_storage::nor_flash::NorFlash`.
//! - Power lost in a program operation: the units before are done, the unit under way is *in flux*: of each bit that was to be
//!   cleared nobody knows whether it is, and some read differently each time until they are programmed to 0 or erased.
//! - Power lost in an erase: the front of the sector reads 0xFF, though a bit here and there is in flux; behind it is a
//!   stretch in flux; the rest is as it was. Only a whole erase makes the sector fit for programming.
//!
//! - [`SimFlash::failing_torn_reads`]: of a unit with bits in flux the ECC makes an error, whatever is read of it.
//!
//! What is in flux is chosen by a seed, so that a run repeats itself. What code under test does against the rules is refused
//! and counted in [`SimFlash::rules_broken`]; not counted is a write-once unit refused where a cut program operation left all bits
//! set, as nobody could see that.

use core::fmt;
use core::ops::Range;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

mod explore;

pub use explore::{Explored, Explorer, Forks, Limits, Probe, Tears};

/// How long a stretch of a sector is in flux when an erase was cut, in bytes.
const ERASE_FRONT_BYTES: usize = 64;

/// Where the power goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// In which operation, counted from 0 since the flash was made or since the last [`SimFlash::restart`].
    pub operation: u64,
    /// How many bytes of that operation still happen; the next byte is left half done. A number past the end of
    /// the operation means that it completes and the power goes away just after it.
    pub torn_at: u32,
}

/// How often a program unit may be programmed between two erases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rewrites {
    /// As often as one likes, as long as no bit has to be set.
    Bitwise,
    /// Once.
    Once,
}

/// What was done to a program unit since its sector was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touched {
    No,
    /// A program operation was cut in it.
    Torn,
    Yes,
}

/// How far an operation came with what it left in flux. The two ends are the treacherous ones: what looks erased or programmed,
/// and is not.
#[derive(Debug, Clone, Copy)]
enum Extent {
    Hardly,
    Partly,
    Almost,
}

/// Why the simulated part refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimFlashError {
    /// Outside the part.
    OutOfBounds,
    /// Not aligned to the program unit, or the sector.
    NotAligned,
    /// Programming would have had to set a bit, or to rely on one in flux: the code under test forgot to erase.
    BitNotErased,
    /// A unit was to be programmed a second time, and the part is one of [`Rewrites::Once`].
    WrittenTwice,
    /// A unit was read that a power cut tore, and the part is one that notices.
    Uncorrectable,
    /// The sector is worn out: it takes no program and no erase any more.
    WornOut,
    /// The power is gone; nothing works until [`SimFlash::restart`].
    PowerLost,
}

impl NorFlashError for SimFlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::BitNotErased
            | Self::WrittenTwice
            | Self::Uncorrectable
            | Self::WornOut
            | Self::PowerLost => NorFlashErrorKind::Other,
        }
    }
}

impl fmt::Display for SimFlashError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OutOfBounds => "outside the simulated flash",
            Self::NotAligned => "not aligned for the simulated flash",
            Self::BitNotErased => "programmed a bit from 0 to 1",
            Self::WrittenTwice => "programmed a unit twice",
            Self::Uncorrectable => "read a unit that a power cut tore",
            Self::WornOut => "wrote to a sector that is worn out",
            Self::PowerLost => "the simulated power is gone",
        })
    }
}

impl core::error::Error for SimFlashError {}

/// The simulated part: program units of `PROGRAM` bytes, sectors of `SECTOR` bytes.
///
/// One program call is one operation; an erase is one operation per sector. Reads are not counted.
#[derive(Debug, Clone)]
pub struct SimFlash<const PROGRAM: usize = 4, const SECTOR: usize = 4096> {
    bytes: Vec<u8>,
    /// Bits in flux, by address.
    flux: BTreeMap<u32, u8>,
    /// What was done to each unit since its sector was erased; kept for parts of [`Rewrites::Once`] only.
    touched: Vec<Touched>,
    rewrites: Rewrites,
    wear: Vec<u32>,
    operations: u64,
    cut: Option<PowerCut>,
    powered: bool,
    /// Advances with every bit in flux that is chosen or read.
    chance: u64,
    rules_broken: u32,
    torn_reads_fail: bool,
    worn_out: Range<u32>,
}

impl SimFlash {
    /// An erased part of `bytes` bytes, rounded up to whole sectors: units of 4 bytes, sectors of 4,096.
    #[must_use]
    pub fn new(bytes: u32) -> Self {
        Self::part(bytes, Rewrites::Bitwise)
    }

    /// Such a part with this content, padded with erased bytes to whole sectors.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::with_content(bytes, Rewrites::Bitwise)
    }
}

impl<const PROGRAM: usize, const SECTOR: usize> SimFlash<PROGRAM, SECTOR> {
    /// An erased part of `bytes` bytes, rounded up to whole sectors.
    #[must_use]
    pub fn part(bytes: u32, rewrites: Rewrites) -> Self {
        Self::with_content(vec![0xFF; bytes as usize], rewrites)
    }

    fn with_content(mut bytes: Vec<u8>, rewrites: Rewrites) -> Self {
        const { assert!(PROGRAM > 0 && SECTOR.is_multiple_of(PROGRAM)) };
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0xFF);
        let units = match rewrites {
            Rewrites::Bitwise => 0,
            Rewrites::Once => bytes.len() / PROGRAM,
        };
        Self {
            flux: BTreeMap::new(),
            touched: vec![Touched::No; units],
            rewrites,
            wear: vec![0; bytes.len() / SECTOR],
            bytes,
            operations: 0,
            cut: None,
            powered: true,
            chance: 0,
            rules_broken: 0,
            torn_reads_fail: false,
            worn_out: 0..0,
        }
    }

    /// The same part, whose reads of units with bits in flux fail.
    #[must_use]
    pub fn failing_torn_reads(mut self) -> Self {
        self.torn_reads_fail = true;
        self
    }

    /// Lets the sectors of these addresses take no program and no erase any more; what they hold stays readable.
    pub fn wear_out(&mut self, addresses: Range<u32>) {
        self.worn_out = addresses;
    }

    /// Whether a write to these bytes meets a sector that is worn out.
    fn check_wear(&self, at: usize, length: usize) -> Result<(), SimFlashError> {
        let (worn, end) = (&self.worn_out, (at + length) as u32);
        match at as u32 >= worn.end || end <= worn.start {
            true => Ok(()),
            false => Err(SimFlashError::WornOut),
        }
    }

    /// The whole content; of a bit in flux, what it is without noise.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content to damage at will: what radiation, age or an attacker with a probe does.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether units may be programmed again.
    #[must_use]
    pub const fn rewrites(&self) -> Rewrites {
        self.rewrites
    }

    /// Program and erase operations since the part was made or restarted, the torn one included.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// How often each sector was erased.
    #[must_use]
    pub fn wear(&self) -> &[u32] {
        &self.wear
    }

    /// How often the code under test did what the part forbids. The operation was refused each time.
    #[must_use]
    pub const fn rules_broken(&self) -> u32 {
        self.rules_broken
    }

    /// How many bytes have bits in flux.
    #[must_use]
    pub fn bytes_in_flux(&self) -> usize {
        self.flux.len()
    }

    /// From what the bits in flux are chosen, and what they read.
    pub fn seed(&mut self, seed: u64) {
        self.chance = seed;
    }

    /// Lets the power go away at `cut`, counted as [`PowerCut`] says.
    pub fn cut_power_at(&mut self, cut: PowerCut) {
        self.cut = Some(cut);
    }

    /// Whether the power is still there.
    #[must_use]
    pub const fn is_powered(&self) -> bool {
        self.powered
    }

    /// Power comes back: operations count from 0 again and no cut is planned.
    pub fn restart(&mut self) {
        self.powered = true;
        self.cut = None;
        self.operations = 0;
    }

    /// A number that tells apart parts whose content, bits in flux and units used up differ (FNV-1a, by words).
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        const PRIME: u64 = 0x0000_0100_0000_01B3;
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        let mut put = |word: u64| {
            hash = (hash ^ word).wrapping_mul(PRIME);
            hash ^= hash >> 29;
        };
        let (words, rest) = self.bytes.as_chunks::<8>();
        words.iter().for_each(|word| put(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| put((*byte).into()));
        for (at, bits) in &self.flux {
            put(u64::from(*at) << 8 | u64::from(*bits));
        }
        for touched in self.touched.chunks(32) {
            put(touched
                .iter()
                .fold(0, |word, touched| word << 2 | *touched as u64));
        }
        hash
    }

    /// Counts one operation of `length` bytes. `Some(n)`: only n bytes of it happen, then the power is gone.
    fn begin(&mut self, length: u32) -> Option<u32> {
        let operation = self.operations;
        self.operations += 1;
        let cut = self.cut.filter(|cut| cut.operation == operation)?;
        self.powered = false;
        Some(cut.torn_at.min(length))
    }

    fn check(&self, offset: u32, length: usize, unit: usize) -> Result<usize, SimFlashError> {
        if !self.powered {
            return Err(SimFlashError::PowerLost);
        }
        let end = (offset as usize)
            .checked_add(length)
            .ok_or(SimFlashError::OutOfBounds)?;
        if end > self.bytes.len() {
            return Err(SimFlashError::OutOfBounds);
        }
        if !(offset as usize).is_multiple_of(unit) || !length.is_multiple_of(unit) {
            return Err(SimFlashError::NotAligned);
        }
        Ok(offset as usize)
    }

    /// SplitMix64: the next number of a seeded sequence.
    fn chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.chance;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }

    /// Leaves each of `bits` of a byte done or not done, and some of them in flux. Returns those that are done.
    fn upset(&mut self, at: usize, bits: u8, extent: Extent) -> u8 {
        let chance = self.chance();
        let in_flux = bits & chance as u8 & (chance >> 8) as u8;
        if in_flux != 0 {
            *self.flux.entry(at as u32).or_insert(0) |= in_flux;
        }
        bits & match extent {
            Extent::Hardly => 0,
            Extent::Partly => (chance >> 16) as u8,
            Extent::Almost => 0xFF,
        }
    }

    fn extent(&mut self) -> Extent {
        match self.chance() % 3 {
            0 => Extent::Hardly,
            1 => Extent::Partly,
            _ => Extent::Almost,
        }
    }

    fn erase_sector(&mut self, at: usize) -> Result<(), SimFlashError> {
        self.wear[at / SECTOR] += 1;
        let torn = self.begin(SECTOR as u32).map(|torn| torn as usize);
        let done = torn.unwrap_or(SECTOR);
        let erased = at as u32..(at + done) as u32;
        let still: Vec<u32> = self.flux.range(erased).map(|(at, _)| *at).collect();
        for at in still {
            self.flux.remove(&at);
        }
        let was_programmed = self.bytes[at..at + done].iter().any(|byte| *byte != 0xFF);
        self.bytes[at..at + done].fill(0xFF);
        if done == SECTOR {
            self.touch(at, SECTOR, Touched::No);
        } else {
            self.touch(at, SECTOR, Touched::Yes);
            let extent = self.extent();
            for late in at + done..(at + done + ERASE_FRONT_BYTES).min(at + SECTOR) {
                let zeros = !self.bytes[late];
                self.bytes[late] |= self.upset(late, zeros, extent);
            }
            // A sector that was blank has nothing to lose.
            let weak = if was_programmed { done / 128 + 1 } else { 0 };
            for _ in 0..weak.min(done) {
                let chance = self.chance();
                let at = at + (chance % done as u64) as usize;
                *self.flux.entry(at as u32).or_insert(0) |= 1 << (chance >> 60 & 7);
            }
        }
        match torn {
            Some(_) => Err(SimFlashError::PowerLost),
            None => Ok(()),
        }
    }

    fn touch(&mut self, at: usize, length: usize, touched: Touched) {
        if self.rewrites == Rewrites::Once {
            self.touched[at / PROGRAM..(at + length).div_ceil(PROGRAM)].fill(touched);
        }
    }

    /// Whether the part would program `bytes` at `at`.
    fn check_rules(&self, at: usize, bytes: &[u8]) -> Result<(), SimFlashError> {
        if self.rewrites == Rewrites::Once
            && self.touched[at / PROGRAM..(at + bytes.len()) / PROGRAM]
                .iter()
                .any(|touched| *touched != Touched::No)
        {
            return Err(SimFlashError::WrittenTwice);
        }
        let cells = &self.bytes[at..at + bytes.len()];
        let sets_a_bit = cells.iter().zip(bytes).any(|(&cell, &new)| cell & new != new);
        let mut in_flux = self.flux.range(at as u32..(at + bytes.len()) as u32);
        if sets_a_bit || in_flux.any(|(flux_at, bits)| bits & bytes[*flux_at as usize - at] != 0) {
            return Err(SimFlashError::BitNotErased);
        }
        Ok(())
    }

    /// Whether all that stands in the way of programming these units is that a cut operation began one of them and left no trace.
    fn is_torn_unseen(&self, at: usize, length: usize) -> bool {
        let touched = self.touched.iter().skip(at / PROGRAM).take(length / PROGRAM);
        let mut units = touched.zip(self.bytes[at..at + length].chunks(PROGRAM));
        self.rewrites == Rewrites::Once
            && units.all(|(touched, bytes)| match touched {
                Touched::No => true,
                Touched::Torn => bytes.iter().all(|byte| *byte == 0xFF),
                Touched::Yes => false,
            })
    }

    fn program_bytes(&mut self, at: usize, bytes: &[u8]) {
        for (at, new) in (at..).zip(bytes) {
            self.bytes[at] &= new;
            self.flux.remove(&(at as u32));
        }
    }
}

impl<const PROGRAM: usize, const SECTOR: usize> ErrorType for SimFlash<PROGRAM, SECTOR> {
    type Error = SimFlashError;
}

impl<const PROGRAM: usize, const SECTOR: usize> ReadNorFlash for SimFlash<PROGRAM, SECTOR> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimFlashError> {
        let at = self.check(offset, bytes.len(), 1)?;
        let units = at - at % PROGRAM..(at + bytes.len()).next_multiple_of(PROGRAM);
        let mut torn = self.flux.range(units.start as u32..units.end as u32);
        if self.torn_reads_fail && torn.next().is_some() {
            return Err(SimFlashError::Uncorrectable);
        }
        bytes.copy_from_slice(&self.bytes[at..at + bytes.len()]);
        let in_flux: Vec<(u32, u8)> = self
            .flux
            .range(at as u32..(at + bytes.len()) as u32)
            .map(|(at, bits)| (*at, *bits))
            .collect();
        for (flux_at, bits) in in_flux {
            bytes[flux_at as usize - at] ^= bits & self.chance() as u8;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const PROGRAM: usize, const SECTOR: usize> NorFlash for SimFlash<PROGRAM, SECTOR> {
    const WRITE_SIZE: usize = PROGRAM;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimFlashError> {
        let length = to.checked_sub(from).ok_or(SimFlashError::OutOfBounds)?;
        let at = self.check(from, length as usize, SECTOR)?;
        self.check_wear(at, length as usize)?;
        (at..at + length as usize)
            .step_by(SECTOR)
            .try_for_each(|at| self.erase_sector(at))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimFlashError> {
        let at = self.check(offset, bytes.len(), PROGRAM)?;
        self.check_wear(at, bytes.len())?;
        if let Err(error) = self.check_rules(at, bytes) {
            self.rules_broken += u32::from(!self.is_torn_unseen(at, bytes.len()));
            return Err(error);
        }
        let torn = self.begin(bytes.len() as u32).map(|torn| torn as usize);
        let done = torn.unwrap_or(bytes.len());
        if done == bytes.len() {
            self.program_bytes(at, bytes);
            self.touch(at, bytes.len(), Touched::Yes);
        } else {
            let whole = done - done % PROGRAM;
            self.program_bytes(at, &bytes[..whole]);
            self.touch(at, whole, Touched::Yes);
            self.touch(at + whole, PROGRAM, Touched::Torn);
            let extent = self.extent();
            for (index, new) in bytes.iter().enumerate().skip(whole).take(PROGRAM) {
                let zeros = self.bytes[at + index] & !new;
                let cleared = self.upset(at + index, zeros, extent);
                self.bytes[at + index] &= !cleared;
            }
        }
        match torn {
            Some(_) => Err(SimFlashError::PowerLost),
            None => Ok(()),
        }
    }
}

/// Runs `scenario` on a copy of `initial` uncut, then once for every operation it did and every tear point, with
/// the power going away there. After each run the power is back and `check` sees what is left, with the cut (`None`
/// after the uncut run). Both closures get the flash by reference, so a check can run a recovery, or explore cuts
/// of the recovery in turn. Returns how many operations the uncut run did.
///
/// The scenario ends by itself when its flash fails; what it returns is of no interest after a power cut.
pub fn explore_power_cuts(
    initial: &SimFlash,
    torn_at: &[u32],
    mut scenario: impl FnMut(&mut SimFlash),
    mut check: impl FnMut(&mut SimFlash, Option<PowerCut>),
) -> u64 {
    let mut run = |cut: Option<PowerCut>| {
        let mut flash = initial.clone();
        flash.restart();
        flash.cut = cut;
        scenario(&mut flash);
        let operations = flash.operations();
        assert!(
            cut.is_none() || !flash.is_powered(),
            "the scenario did not repeat itself: no operation {cut:?}"
        );
        flash.restart();
        check(&mut flash, cut);
        operations
    };
    let operations = run(None);
    for operation in 0..operations {
        for &torn_at in torn_at {
            run(Some(PowerCut { operation, torn_at }));
        }
    }
    operations
}

#[cfg(test)]
mod tests;
