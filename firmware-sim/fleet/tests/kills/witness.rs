//! What is in the flash file of a device that was killed, judged by the bootloader's own library on this machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use deltagate_bootloader::Boot;
use deltagate_flash::sim::{Rewrites, SimFlash};
use deltagate_flash::{BootLog, BootLogState, ImageOffset, Layout, Region, SlotRegion};
use fleet::board::Board;

/// Keeps what must never be taken back.
pub(crate) struct Witness {
    board: Board,
    signed: BTreeMap<u32, Vec<u8>>,
    highest_confirmed: u32,
}

/// What the device will do next, as far as its flash says.
pub(crate) struct Found {
    /// The boot log as it is.
    pub(crate) log: BootLogState,
    /// What the bootloader will start.
    pub(crate) boot: Boot,
}

impl Witness {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            board,
            signed: BTreeMap::new(),
            highest_confirmed: 0,
        }
    }

    /// This image was signed under this number.
    pub(crate) fn signed(&mut self, sequence: u32, image: Vec<u8>) {
        self.signed.insert(sequence, image);
    }

    /// The device said that it confirmed.
    pub(crate) fn confirmed(&mut self, sequence: u32) {
        self.highest_confirmed = self.highest_confirmed.max(sequence);
    }

    /// Looks into the flash of a device that is off.
    pub(crate) fn look(&mut self, flash: &Path) -> Found {
        let layout = self.board.layout();
        match layout.sector_bytes {
            SMALL => self.judge::<{ SMALL as usize }>(&layout, flash),
            _ => self.judge::<{ LARGE as usize }>(&layout, flash),
        }
    }

    fn judge<const SECTOR: usize>(&mut self, layout: &Layout, file: &Path) -> Found {
        let mut flash = SimFlash::<4, SECTOR>::part(layout.end_bytes(), Rewrites::Bitwise);
        let bytes = std::fs::read(file).unwrap();
        flash
            .bytes_mut()
            .copy_from_slice(&bytes[..layout.end_bytes() as usize]);
        let flash = RefCell::new(flash);
        let region = Region::new(&flash, layout.boot_log);
        let log = BootLog::open(region).unwrap().state();
        let confirmed = log.confirmed.expect("something was confirmed before");
        assert!(
            confirmed >= self.highest_confirmed,
            "the counter fell from {} to {confirmed}",
            self.highest_confirmed
        );
        self.highest_confirmed = confirmed;
        // On this copy, so that the device still has to decide itself.
        let boot = deltagate_bootloader::run(&flash, layout, None, &mut |_| {})
            .unwrap_or_else(|recovery| panic!("no image boots: {recovery}"));
        let sequence = boot.image.sequence;
        assert!(sequence >= confirmed, "{sequence} is older than {confirmed}");
        let signed = self.signed.get(&sequence).expect("an image that was signed");
        let mut image = vec![0; signed.len()];
        SlotRegion::new(Region::new(&flash, layout.slot(boot.image.slot)))
            .read_image(ImageOffset(0), &mut image)
            .unwrap();
        assert!(image == *signed, "other bytes than those signed as {sequence}");
        Found { log, boot }
    }
}

const SMALL: u32 = Layout::EMULATED.sector_bytes;
const LARGE: u32 = Layout::EMULATED_CFI.sector_bytes;
