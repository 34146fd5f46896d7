//! Programming a payload into flash piece by piece, and finding out after a restart how much of it is there.

use deltagate_flash::{FlashError, Region};
use embedded_storage::nor_flash::NorFlash;

/// The widest program unit: parts with an ECC word of 256 bits.
const PROGRAM_BYTES_MAX: usize = 32;

/// Bytes programmed at once.
const WINDOW_BYTES: usize = 64;

/// Where the next byte goes, and those before it that do not fill a program unit yet: a block may be smaller than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filling {
    at: u32,
    pending: [u8; PROGRAM_BYTES_MAX],
    length: u8,
}

impl Filling {
    /// Begins at `at`, a multiple of the program unit, where the region is erased, or holds what a part that may be
    /// programmed again is to hold.
    pub(crate) const fn from(at: u32) -> Self {
        Self {
            at,
            pending: [0xFF; PROGRAM_BYTES_MAX],
            length: 0,
        }
    }

    /// Programs all of `bytes` that fill whole units, and keeps the rest for the next call.
    pub(crate) fn push<F: NorFlash>(
        &mut self,
        region: Region<'_, F>,
        mut bytes: &[u8],
    ) -> Result<(), FlashError> {
        const { assert!(F::WRITE_SIZE <= PROGRAM_BYTES_MAX && WINDOW_BYTES.is_multiple_of(F::WRITE_SIZE)) };
        while let Some(taken) = bytes
            .get(..self.takes::<F>(bytes.len()))
            .filter(|taken| !taken.is_empty())
        {
            if self.length == 0 && taken.len() >= F::WRITE_SIZE {
                self.program(region, taken)?;
            } else {
                let end = usize::from(self.length) + taken.len();
                let place = self.pending.get_mut(self.length.into()..end);
                place.ok_or(FlashError::Misaligned)?.copy_from_slice(taken);
                self.length = end as u8;
                if end == F::WRITE_SIZE {
                    self.finish(region)?;
                }
            }
            bytes = bytes.get(taken.len()..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// All before this is programmed, or erased and to remain so.
    pub(crate) const fn firm_bytes(&self) -> u32 {
        self.at
    }

    /// Programs what is kept, the rest of its unit as erased bytes.
    pub(crate) fn finish<F: NorFlash>(&mut self, region: Region<'_, F>) -> Result<(), FlashError> {
        if self.length == 0 {
            return Ok(());
        }
        let unit = self.pending;
        self.program(region, unit.get(..F::WRITE_SIZE).unwrap_or(&[]))?;
        *self = Self::from(self.at);
        Ok(())
    }

    /// How many of so many bytes the next step takes: what fills the unit begun, whole units, or what is left.
    fn takes<F: NorFlash>(&self, bytes: usize) -> usize {
        let begun = usize::from(self.length);
        if begun > 0 || bytes < F::WRITE_SIZE {
            bytes.min(F::WRITE_SIZE.saturating_sub(begun))
        } else {
            (bytes - bytes % F::WRITE_SIZE).min(WINDOW_BYTES)
        }
    }

    /// Erased bytes are there already. All others are programmed, whatever the place reads: after a power cut it may read as
    /// wanted and be in flux.
    fn program<F: NorFlash>(&mut self, region: Region<'_, F>, units: &[u8]) -> Result<(), FlashError> {
        if units.iter().any(|byte| *byte != 0xFF) {
            region.program(self.at, units)?;
        }
        self.at = self.at.saturating_add(units.len() as u32);
        Ok(())
    }
}

/// How many of the first `bytes` bytes of `region` are surely programmed, in whole blocks: all before the block that
/// holds the last byte that is not 0xFF. That block may be torn. A block counts as at least a program unit.
///
/// Erased-looking bytes at the end of a payload only make it fetch again what it already had.
pub(crate) fn staged<F: NorFlash>(
    region: Region<'_, F>,
    bytes: u32,
    block_bytes: u32,
) -> Result<u32, FlashError> {
    let block_bytes = block_bytes.max(Region::<F>::PROGRAM_BYTES);
    let mut end = bytes.next_multiple_of(Region::<F>::PROGRAM_BYTES);
    let mut window = [0; WINDOW_BYTES];
    while end > 0 {
        let step = end.min(WINDOW_BYTES as u32);
        let part = window.get_mut(..step as usize).ok_or(FlashError::OutOfBounds)?;
        region.read(end - step, part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0xFF) {
            let at = end - step + last as u32;
            return Ok(at - at.checked_rem(block_bytes).unwrap_or(at));
        }
        end -= step;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use deltagate_flash::Partition;
    use deltagate_flash::sim::{PowerCut, Rewrites, SimFlash};

    use super::*;

    const REGION: Partition = Partition::new(0, 4096);

    fn payload() -> std::vec::Vec<u8> {
        (0..1_000u32).map(|i| (i * 7 % 251) as u8).collect()
    }

    #[test]
    fn a_torn_block_is_fetched_again_and_completes() {
        let payload = payload();
        for operation in 0..16 {
            for torn_at in [0, 1, 5, 63, 64] {
                let flash = RefCell::new(SimFlash::new(4096));
                flash.borrow_mut().cut_power_at(PowerCut { operation, torn_at });
                let region = Region::new(&flash, REGION);
                let mut done = 0;
                let mut filling = Filling::from(0);
                for block in payload.chunks(128) {
                    match filling.push(region, block).and_then(|()| filling.finish(region)) {
                        Ok(()) => done += 1,
                        Err(_) => break,
                    }
                }
                flash.borrow_mut().restart();
                let at = staged(region, 1_000, 128).unwrap();
                assert!(at.is_multiple_of(128) && at <= done * 128);
                assert!(done * 128 - at <= 128, "at most one whole block again");
                let mut filling = Filling::from(at);
                filling.push(region, &payload[at as usize..]).unwrap();
                filling.finish(region).unwrap();
                assert_eq!(
                    (flash.borrow().bytes_in_flux(), flash.borrow().rules_broken()),
                    (0, 0)
                );
                let mut read = std::vec![0; 1_000];
                region.read(0, &mut read).unwrap();
                assert_eq!(read, payload);
            }
        }
    }

    /// However a payload is cut up, no unit is programmed twice.
    #[test]
    fn blocks_smaller_than_a_unit_are_gathered() {
        fn on<const PROGRAM: usize>() {
            let payload = payload();
            for block in [1, 16, 17, 31, 32, 33, 64, 100, 1_000] {
                let flash = RefCell::new(SimFlash::<PROGRAM, 4096>::part(4096, Rewrites::Once));
                let region = Region::new(&flash, REGION);
                let mut filling = Filling::from(0);
                payload
                    .chunks(block)
                    .for_each(|piece| filling.push(region, piece).unwrap());
                filling.finish(region).unwrap();
                assert_eq!(flash.borrow().bytes()[..1_000], payload, "{PROGRAM} {block}");
            }
        }
        on::<1>();
        on::<8>();
        on::<32>();
    }

    #[test]
    fn nothing_and_erased_looking_payloads_start_over() {
        let flash = RefCell::new(SimFlash::new(4096));
        let region = Region::new(&flash, REGION);
        assert_eq!(staged(region, 4_096, 16), Ok(0));
        Filling::from(0).push(region, &[0xFF; 500]).unwrap();
        assert_eq!(staged(region, 500, 16), Ok(0));
        assert_eq!(flash.borrow().operations(), 0, "there was nothing to program");
        let mut filling = Filling::from(496);
        filling.push(region, &[0, 0xFF, 0xFF]).unwrap();
        filling.finish(region).unwrap();
        assert_eq!(staged(region, 499, 16), Ok(496));
    }

    #[test]
    fn a_unit_wider_than_a_block_is_staged_whole() {
        let flash = RefCell::new(SimFlash::<32, 4096>::part(4096, Rewrites::Once));
        let region = Region::new(&flash, REGION);
        Filling::from(0).push(region, &[7; 64]).unwrap();
        assert_eq!(staged(region, 1_000, 16), Ok(32));
    }
}
