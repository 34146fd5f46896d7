//! One whole boot: read the log, verify, decide, write the decision down.

use core::cell::RefCell;

use deltagate_flash::{
    BootInfo, BootLog, BootLogState, BootRecord, Layout, Provision, Region, RevertReason, Reverted, Slot,
};
use embedded_storage::nor_flash::NorFlash;

use crate::anchors::settle;
use crate::{Choice, Mode, Recovery, SlotFault, VerifiedSlot, decide, verify_slot};

/// The image to start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// What was verified, and where.
    pub image: VerifiedSlot,
    /// What the image is told.
    pub info: BootInfo,
    /// Whom the device believes, which it is told as well.
    pub provision: Provision,
}

/// What a boot has to tell the person at the serial line; [`BootEvent::say`] puts it into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootEvent {
    /// What the log says at the start.
    Log(BootLogState),
    /// The last run ended badly and said how.
    LeftBehind(RevertReason),
    /// A slot holds an image that may run.
    Verified(VerifiedSlot),
    /// A slot does not.
    Rejected(Slot, SlotFault),
    /// A trial is over.
    Reverted(Reverted),
    /// A decision could not be written; the boot goes on without what depended on it.
    NotWritten(BootRecord),
    /// This image starts.
    Starting(Choice),
    /// Nothing can be started.
    Recovery(Recovery),
}

/// Does everything that has to be done before an image starts, and says which.
///
/// `left_behind` is what the last run's fault handler or watchdog noted in RAM, read and cleared by the caller.
/// Each record of the decision is in the boot log before this returns: an image on trial whose attempt could not be
/// written is not started, because nothing would bound how often.
///
/// # Errors
/// [`Recovery`]: there is nothing to start, or what there is crashed and a technician may be near.
pub fn run<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &Layout,
    left_behind: Option<RevertReason>,
    log: &mut dyn FnMut(BootEvent),
) -> Result<Boot, Recovery> {
    let outcome = boot(flash, layout, left_behind, log);
    if let Err(reason) = outcome {
        log(BootEvent::Recovery(reason));
    }
    outcome
}

fn boot<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &Layout,
    left_behind: Option<RevertReason>,
    log: &mut dyn FnMut(BootEvent),
) -> Result<Boot, Recovery> {
    let mut provision =
        Provision::read(Region::new(flash, layout.provision)).map_err(|_| Recovery::NotProvisioned)?;
    let mut boot_log =
        BootLog::open(Region::new(flash, layout.boot_log)).map_err(|_| Recovery::BootLogUnreadable)?;
    // A flash that can no longer be written leaves it in doubt: then this boot goes by what it read.
    let _ = boot_log.settle();
    let mut state = boot_log.state();
    log(BootEvent::Log(state));
    let is_damaged = settle(flash, layout, &mut provision, state.confirmed);
    if is_damaged {
        // What a revoked key signed must not come in now.
        state.trial = None;
    }
    if let Some(reason) = left_behind {
        log(BootEvent::LeftBehind(reason));
    }
    let mut verdicts = Verdicts { a: None, b: None };
    loop {
        let decision = decide(&state, left_behind, &mut |slot| {
            let verdict = verdicts.of(slot, || verify_slot(flash, layout, slot, &provision), log);
            // What keys signed that do so no more, and while nobody knows which these are: the confirmed image, and no other.
            let may_start = |image: &VerifiedSlot| {
                !(image.retired || is_damaged) || Some(image.sequence) == state.confirmed
            };
            verdict.filter(may_start).map(|image| image.sequence)
        });
        if let Some(Reverted { sequence, reason }) = decision.revert
            && write_down(&mut boot_log, BootRecord::Reverted { sequence, reason }, log)
        {
            log(BootEvent::Reverted(Reverted { sequence, reason }));
        }
        let choice = decision.boot?;
        let attempt = BootRecord::Attempt {
            sequence: choice.sequence,
        };
        if matches!(choice.mode, Mode::Trial { .. }) && !write_down(&mut boot_log, attempt, log) {
            state.trial = None;
            continue;
        }
        let image = verdicts
            .of(choice.slot, || Err(SlotFault::Changed), log)
            .ok_or(Recovery::NoImage)?;
        log(BootEvent::Starting(choice));
        return Ok(Boot {
            image,
            info: choice.info(),
            provision,
        });
    }
}

/// Whether `record` is in the boot log now.
fn write_down<F: NorFlash>(
    boot_log: &mut BootLog<'_, F>,
    record: BootRecord,
    log: &mut dyn FnMut(BootEvent),
) -> bool {
    let written = boot_log.append(record).is_ok();
    if !written {
        log(BootEvent::NotWritten(record));
    }
    written
}

/// What is already known about the slots: a signature check is by far the longest part of a boot.
struct Verdicts {
    a: Option<Option<VerifiedSlot>>,
    b: Option<Option<VerifiedSlot>>,
}

impl Verdicts {
    fn of(
        &mut self,
        slot: Slot,
        verify: impl FnOnce() -> Result<VerifiedSlot, SlotFault>,
        log: &mut dyn FnMut(BootEvent),
    ) -> Option<VerifiedSlot> {
        let known = match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        };
        *known.get_or_insert_with(|| match verify() {
            Ok(image) => {
                log(BootEvent::Verified(image));
                Some(image)
            }
            Err(fault) => {
                log(BootEvent::Rejected(slot, fault));
                None
            }
        })
    }
}

#[cfg(test)]
mod tests;
