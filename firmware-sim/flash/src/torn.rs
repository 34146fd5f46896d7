//! Parts that refuse to read a unit torn by a power cut, made readable.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// A driver whose reads fail where the part's ECC finds more than it can correct, as one that reads zeros there.
///
/// A unit torn by a power cut must read as something: whoever finds a record or an image decides by its checksum or digest
/// what it is worth, and an error would stop a bootloader before it found the next record, at every start. Zeros are as good
/// as anything: never blank, so that nothing is programmed there without an erase, and a mark of zeros is true of a record
/// whose mark was begun.
///
/// For drivers that return an error of kind [`NorFlashErrorKind::Other`] for such a unit, and only such; any other error
/// stays one. Where the part raises a fault instead, its driver has to catch that and return the error.
#[derive(Debug)]
pub struct TornAsZeros<F>(pub F);

impl<F: ErrorType> ErrorType for TornAsZeros<F> {
    type Error = F::Error;
}

impl<F: NorFlash> ReadNorFlash for TornAsZeros<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        match self.0.read(offset, bytes) {
            Err(error) if error.kind() == NorFlashErrorKind::Other => {}
            outcome => return outcome,
        }
        // Unit by unit, to lose no more than what is torn.
        let unit = F::WRITE_SIZE as u32;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let in_unit = at.checked_rem(unit).unwrap_or(0);
            let length = rest.len().min((unit - in_unit) as usize);
            let (part, later) = rest.split_at_mut(length);
            match self.0.read(at, part) {
                Err(error) if error.kind() == NorFlashErrorKind::Other => part.fill(0),
                outcome => outcome?,
            }
            at += length as u32;
            rest = later;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> NorFlash for TornAsZeros<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::sim::{PowerCut, Rewrites, SimFlash, SimFlashError};

    /// A part whose unit at 16 was torn.
    fn torn() -> SimFlash<8, 256> {
        let tear = |seed| {
            let mut flash = SimFlash::<8, 256>::part(512, Rewrites::Once).failing_torn_reads();
            flash.seed(seed);
            flash.write(0, &[0x11; 8]).unwrap();
            flash.cut_power_at(PowerCut {
                operation: 1,
                torn_at: 11,
            });
            assert_eq!(flash.write(8, &[0; 24]), Err(SimFlashError::PowerLost));
            flash.restart();
            flash
        };
        (0..).map(tear).find(|flash| flash.bytes_in_flux() > 0).unwrap()
    }

    #[test]
    fn only_the_torn_unit_reads_as_zeros() {
        let mut flash = torn();
        let mut bytes = [0x55; 40];
        assert_eq!(flash.read(0, &mut bytes), Err(SimFlashError::Uncorrectable));
        flash.read(0, &mut bytes[..16]).unwrap();
        let mut readable = TornAsZeros(flash);
        readable.read(3, &mut bytes[..37]).unwrap();
        let expected = [&[0x11; 5][..], &[0; 16], &[0xFF; 16]].concat();
        assert_eq!(bytes[..37], expected);
        readable.erase(0, 256).unwrap();
        readable.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0xFF; 40], "an erased sector reads again");
    }

    #[test]
    fn what_is_no_torn_unit_stays_an_error() {
        let mut readable = TornAsZeros(torn());
        let mut bytes = Vec::from([0; 16]);
        assert_eq!(
            readable.read(512 - 8, &mut bytes),
            Err(SimFlashError::OutOfBounds)
        );
    }
}
