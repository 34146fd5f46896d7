//! A set of trust anchors that the gateway has: put where the bootloader looks for one. It judges it again, and takes it or not.
//!
//! | what came | kept already | what is done |
//! |---|---|---|
//! | no set, one that is not newer, or not signed by who may | any | nothing; the job goes on |
//! | a newer one | that one, or a newer | nothing; the job goes on |
//! | a newer one | none, or an older | it is written, and a restart has it taken as soon as the application lets one happen |
//!
//! Nothing here erases more often than sets come that recovery keys signed.

use core::cell::RefCell;

use deltagate_flash::{ENVELOPE_BYTES_MAX, Layout, Provision, Region, SlotRegion, TRUST_ANCHORS_MAX};
use deltagate_services::{Question, Services};
use embedded_storage::nor_flash::NorFlash;

use crate::config::Config;
use crate::core::{Core, FlashFailed};
use crate::event::Event;
use crate::gate::Verdict;

/// Where it goes: behind the two copies of the one in force.
const CAME_IN: u32 = 2;

/// A newer set than the one in force, which lies where the bootloader looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// Its number; 0: there is none.
    number: u16,
    /// The bootloader has not seen it.
    is_new: bool,
}

impl Kept {
    /// What the bootloader left alone: it waits for an image.
    #[inline(never)]
    pub(crate) fn recall<F: NorFlash>(
        services: &dyn Services,
        config: &Config,
        provision: &Provision,
        flash: &RefCell<F>,
    ) -> Self {
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let number = match place(flash, &config.layout).map(|place| place.envelope(&mut buffer)) {
            Some(Ok(envelope)) => newer_set(services, provision, envelope),
            _ => 0,
        };
        Self {
            number,
            is_new: false,
        }
    }

    pub(crate) fn number(self) -> Option<u16> {
        (self.number > 0).then_some(self.number)
    }
}

impl<F: NorFlash> Core<'_, F> {
    /// Keeps a set that came, if it is to be kept. Whether to restart now, so that it is taken.
    #[inline(never)]
    pub(crate) fn take_anchors(&mut self, envelope: Option<&[u8]>) -> bool {
        if let Some(envelope) = envelope
            && self.keep(envelope).is_err()
        {
            // Sectors that wore out here must not keep updates out.
            self.effects.event(Event::FlashFailed);
        }
        self.kept.is_new && self.trial.is_none() && self.gate.restart == Verdict::Clear
    }

    fn keep(&mut self, envelope: &[u8]) -> Result<(), FlashFailed> {
        let Some(place) = place(self.flash, &self.config.layout) else {
            return Ok(());
        };
        let number = newer_set(self.services, &self.provision, envelope);
        if number > self.kept.number {
            // The one that was kept is lost with the erase.
            self.kept = Kept::default();
            place.erase_header()?;
            place.write_envelope(envelope)?;
            self.kept = Kept { number, is_new: true };
        }
        Ok(())
    }
}

fn place<'f, F: NorFlash>(flash: &'f RefCell<F>, layout: &Layout) -> Option<SlotRegion<'f, F>> {
    let bytes = SlotRegion::<F>::HEADER_BYTES;
    let region = Region::new(flash, layout.anchors?);
    Some(SlotRegion::new(region.sub(CAME_IN * bytes, bytes).ok()?))
}

/// The number of a set that is newer than the one in force, and signed by who may; else 0.
#[inline(never)]
fn newer_set(services: &dyn Services, provision: &Provision, envelope: &[u8]) -> u16 {
    let mut keys = [[0; 32]; TRUST_ANCHORS_MAX];
    let question = Question {
        envelope,
        vendor_id: &provision.vendor_id,
        class_id: &provision.class_id,
        keys: provision.recovery_keys(&mut keys),
        least: provision.recovery_min,
    };
    match services.verify(&question) {
        Ok(set) if set.bytes == 0 && set.sequence > provision.number.into() => {
            u16::try_from(set.sequence).unwrap_or(0)
        }
        _ => 0,
    }
}
