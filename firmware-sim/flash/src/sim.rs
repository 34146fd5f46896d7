//! A NOR flash in host memory: enforces the physics, counts operations and wear, loses power where it is told to.

use core::fmt;
use std::vec;
use std::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

const SECTOR_BYTES: u32 = 4096;
const PROGRAM_BYTES: u32 = 4;

/// Where the power goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// In which operation, counted from 0 since the flash was made or since the last [`SimFlash::restart`].
    pub operation: u64,
    /// How many bytes of that operation still happen; the next byte is left half done. A number past the end of
    /// the operation means that it completes and the power goes away just after it.
    pub torn_at: u32,
}

/// Why the simulated part refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimFlashError {
    /// Outside the part.
    OutOfBounds,
    /// Not aligned to the program unit of 4 bytes, or the sector of 4,096.
    NotAligned,
    /// Programming would have had to set a bit: the code under test forgot to erase.
    BitNotErased,
    /// The power is gone; nothing works until [`SimFlash::restart`].
    PowerLost,
}

impl NorFlashError for SimFlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::BitNotErased | Self::PowerLost => NorFlashErrorKind::Other,
        }
    }
}

impl fmt::Display for SimFlashError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OutOfBounds => "outside the simulated flash",
            Self::NotAligned => "not aligned for the simulated flash",
            Self::BitNotErased => "programmed a bit from 0 to 1",
            Self::PowerLost => "the simulated power is gone",
        })
    }
}

impl core::error::Error for SimFlashError {}

/// The simulated part. Sectors of 4,096 bytes, program unit 4 bytes.
///
/// One program call is one operation; an erase is one operation per sector. Reads are not counted.
#[derive(Debug, Clone)]
pub struct SimFlash {
    bytes: Vec<u8>,
    wear: Vec<u32>,
    operations: u64,
    cut: Option<PowerCut>,
    powered: bool,
}

impl SimFlash {
    /// An erased part of `bytes` bytes, rounded up to whole sectors.
    #[must_use]
    pub fn new(bytes: u32) -> Self {
        Self::from_bytes(vec![0xFF; bytes as usize])
    }

    /// A part with this content, padded with erased bytes to whole sectors.
    #[must_use]
    pub fn from_bytes(mut bytes: Vec<u8>) -> Self {
        bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES as usize), 0xFF);
        let wear = vec![0; bytes.len() / SECTOR_BYTES as usize];
        Self {
            bytes,
            wear,
            operations: 0,
            cut: None,
            powered: true,
        }
    }

    /// The whole content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content to damage at will: what radiation, age or an attacker with a probe does.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
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

    /// Counts one operation of `length` bytes. `Some(n)`: only n bytes of it happen, then the power is gone.
    fn begin(&mut self, length: u32) -> Option<u32> {
        let operation = self.operations;
        self.operations += 1;
        let cut = self.cut.filter(|cut| cut.operation == operation)?;
        self.powered = false;
        Some(cut.torn_at.min(length))
    }

    fn check(&self, offset: u32, length: usize, unit: u32) -> Result<usize, SimFlashError> {
        if !self.powered {
            return Err(SimFlashError::PowerLost);
        }
        let end = (offset as usize)
            .checked_add(length)
            .ok_or(SimFlashError::OutOfBounds)?;
        if end > self.bytes.len() {
            return Err(SimFlashError::OutOfBounds);
        }
        if !offset.is_multiple_of(unit) || !length.is_multiple_of(unit as usize) {
            return Err(SimFlashError::NotAligned);
        }
        Ok(offset as usize)
    }

    fn erase_sector(&mut self, at: usize) -> Result<(), SimFlashError> {
        self.wear[at / SECTOR_BYTES as usize] += 1;
        let torn = self.begin(SECTOR_BYTES);
        let sector = &mut self.bytes[at..at + SECTOR_BYTES as usize];
        let (done, rest) = sector.split_at_mut(torn.unwrap_or(SECTOR_BYTES) as usize);
        done.fill(0xFF);
        if let Some(half) = rest.first_mut() {
            *half |= 0x0F;
        }
        if torn.is_some() {
            Err(SimFlashError::PowerLost)
        } else {
            Ok(())
        }
    }
}

impl ErrorType for SimFlash {
    type Error = SimFlashError;
}

impl ReadNorFlash for SimFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimFlashError> {
        let at = self.check(offset, bytes.len(), 1)?;
        bytes.copy_from_slice(&self.bytes[at..at + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for SimFlash {
    const WRITE_SIZE: usize = PROGRAM_BYTES as usize;
    const ERASE_SIZE: usize = SECTOR_BYTES as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimFlashError> {
        let length = to.checked_sub(from).ok_or(SimFlashError::OutOfBounds)?;
        let at = self.check(from, length as usize, SECTOR_BYTES)?;
        (at..at + length as usize)
            .step_by(SECTOR_BYTES as usize)
            .try_for_each(|at| self.erase_sector(at))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimFlashError> {
        let at = self.check(offset, bytes.len(), PROGRAM_BYTES)?;
        let cells = &self.bytes[at..at + bytes.len()];
        if cells.iter().zip(bytes).any(|(&cell, &new)| cell & new != new) {
            return Err(SimFlashError::BitNotErased);
        }
        let torn = self.begin(bytes.len() as u32);
        let done = torn.map_or(bytes.len(), |torn| torn as usize);
        self.bytes[at..at + done].copy_from_slice(&bytes[..done]);
        if let Some(&half) = bytes.get(done) {
            self.bytes[at + done] &= half | 0x0F;
        }
        if torn.is_some() {
            Err(SimFlashError::PowerLost)
        } else {
            Ok(())
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
mod tests {
    use super::*;

    #[test]
    fn programming_clears_bits_and_never_sets_them() {
        let mut flash = SimFlash::new(4096);
        flash.write(0, &[0xF0; 4]).unwrap();
        flash.write(0, &[0x30; 4]).unwrap();
        assert_eq!(flash.bytes()[..5], [0x30, 0x30, 0x30, 0x30, 0xFF]);
        assert_eq!(flash.write(0, &[0x31; 4]), Err(SimFlashError::BitNotErased));
        flash.erase(0, 4096).unwrap();
        flash.write(0, &[0x31; 4]).unwrap();
        assert_eq!(flash.wear(), [1]);
        assert_eq!(flash.operations(), 4);
    }

    #[test]
    fn alignment_and_bounds_are_enforced() {
        let mut flash = SimFlash::new(8192);
        assert_eq!(flash.write(1, &[0; 4]), Err(SimFlashError::NotAligned));
        assert_eq!(flash.write(0, &[0; 2]), Err(SimFlashError::NotAligned));
        assert_eq!(flash.erase(0, 4), Err(SimFlashError::NotAligned));
        assert_eq!(flash.erase(4096, 0), Err(SimFlashError::OutOfBounds));
        assert_eq!(flash.write(8192, &[0; 4]), Err(SimFlashError::OutOfBounds));
        assert_eq!(flash.read(8190, &mut [0; 4]), Err(SimFlashError::OutOfBounds));
    }

    #[test]
    fn a_torn_program_does_part_of_its_work_and_then_nothing_works() {
        let mut flash = SimFlash::new(4096);
        flash.cut_power_at(PowerCut {
            operation: 1,
            torn_at: 2,
        });
        flash.write(0, &[1; 4]).unwrap();
        assert_eq!(flash.write(4, &[0; 4]), Err(SimFlashError::PowerLost));
        assert_eq!(flash.read(0, &mut [0; 4]), Err(SimFlashError::PowerLost));
        assert_eq!(flash.write(8, &[0; 4]), Err(SimFlashError::PowerLost));
        flash.restart();
        assert_eq!(
            flash.bytes()[..12],
            [1, 1, 1, 1, 0, 0, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]
        );
    }

    #[test]
    fn a_torn_erase_of_two_sectors_keeps_the_second() {
        let mut flash = SimFlash::from_bytes(vec![0; 8192]);
        flash.cut_power_at(PowerCut {
            operation: 0,
            torn_at: 4095,
        });
        assert_eq!(flash.erase(0, 8192), Err(SimFlashError::PowerLost));
        flash.restart();
        assert_eq!(flash.bytes()[4094..4098], [0xFF, 0x0F, 0, 0]);
    }

    #[test]
    fn the_explorer_cuts_every_operation_at_every_point() {
        let mut cuts = Vec::new();
        let operations = explore_power_cuts(
            &SimFlash::new(4096),
            &[0, 4],
            |flash| {
                let _ = flash.write(0, &[0; 4]).and_then(|()| flash.write(4, &[0; 4]));
            },
            |flash, cut| cuts.extend(cut.map(|cut| (cut.operation, cut.torn_at, flash.bytes()[4]))),
        );
        assert_eq!(operations, 2);
        assert_eq!(cuts, [(0, 0, 0xFF), (0, 4, 0xFF), (1, 0, 0x0F), (1, 4, 0)]);
    }
}
