//! Programming a payload into flash block by block, and finding out after a restart how much of it is there.

use deltagate_flash::{FlashError, Region};
use embedded_storage::nor_flash::NorFlash;

/// Blocks begin at multiples of 16 bytes, the smallest block size, and each begins with whole program units.
const PROGRAM_BYTES_MAX: usize = 16;

/// Bytes compared or programmed at once.
const WINDOW_BYTES: usize = 64;

/// Programs `bytes` at `at`, a multiple of the program unit, unless they are there already: after a power cut a block
/// may have been programmed in part. The last unit is padded with erased bytes.
pub(crate) fn program<F: NorFlash>(region: Region<'_, F>, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
    const { assert!(F::WRITE_SIZE <= PROGRAM_BYTES_MAX && PROGRAM_BYTES_MAX.is_multiple_of(F::WRITE_SIZE)) };
    let mut at = at;
    for piece in bytes.chunks(WINDOW_BYTES) {
        let mut wanted = [0xFF; WINDOW_BYTES];
        let mut there = [0; WINDOW_BYTES];
        let length = piece.len().next_multiple_of(F::WRITE_SIZE);
        let (Some(place), Some(read)) = (wanted.get_mut(..piece.len()), there.get_mut(..length)) else {
            return Err(FlashError::Misaligned);
        };
        place.copy_from_slice(piece);
        region.read(at, read)?;
        let wanted = wanted.get(..length).unwrap_or(&[]);
        if read != wanted {
            region.program(at, wanted)?;
        }
        at = at.checked_add(length as u32).ok_or(FlashError::OutOfBounds)?;
    }
    Ok(())
}

/// How many of the first `bytes` bytes of `region` are surely programmed, in whole blocks: all before the block that
/// holds the last byte that is not 0xFF. That block may be torn.
///
/// Erased-looking bytes at the end of a payload only make it fetch again what it already had.
pub(crate) fn staged<F: NorFlash>(
    region: Region<'_, F>,
    bytes: u32,
    block_bytes: u32,
) -> Result<u32, FlashError> {
    let mut end = bytes.next_multiple_of(Region::<F>::PROGRAM_BYTES);
    let mut window = [0; WINDOW_BYTES];
    while end > 0 {
        let step = end.min(WINDOW_BYTES as u32);
        let part = window.get_mut(..step as usize).ok_or(FlashError::OutOfBounds)?;
        region.read(end - step, part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0xFF) {
            let at = end - step + last as u32;
            return Ok(at - at % block_bytes);
        }
        end -= step;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use deltagate_flash::Partition;
    use deltagate_flash::sim::{PowerCut, SimFlash};

    use super::*;

    #[test]
    fn a_torn_block_is_fetched_again_and_completes() {
        let payload: std::vec::Vec<u8> = (0..1_000u32).map(|i| (i * 7 % 251) as u8).collect();
        for operation in 0..16 {
            for torn_at in [0, 1, 5, 63, 64] {
                let flash = RefCell::new(SimFlash::new(4096));
                flash.borrow_mut().cut_power_at(PowerCut { operation, torn_at });
                let region = Region::new(&flash, Partition::new(0, 4096));
                let mut done = 0;
                for (number, block) in payload.chunks(128).enumerate() {
                    match program(region, number as u32 * 128, block) {
                        Ok(()) => done += 1,
                        Err(_) => break,
                    }
                }
                flash.borrow_mut().restart();
                let at = staged(region, 1_000, 128).unwrap();
                assert!(at.is_multiple_of(128) && at <= done * 128);
                assert!(done * 128 - at <= 128, "at most one whole block again");
                program(region, at, &payload[at as usize..]).unwrap();
                let mut read = std::vec![0; 1_000];
                region.read(0, &mut read).unwrap();
                assert_eq!(read, payload);
            }
        }
    }

    #[test]
    fn nothing_and_erased_looking_payloads_start_over() {
        let flash = RefCell::new(SimFlash::new(4096));
        let region = Region::new(&flash, Partition::new(0, 4096));
        assert_eq!(staged(region, 4_096, 16), Ok(0));
        program(region, 0, &[0xFF; 500]).unwrap();
        assert_eq!(staged(region, 500, 16), Ok(0));
        assert_eq!(flash.borrow().operations(), 0, "there was nothing to program");
        program(region, 496, &[0, 0xFF, 0xFF]).unwrap();
        assert_eq!(staged(region, 499, 16), Ok(496));
    }
}
