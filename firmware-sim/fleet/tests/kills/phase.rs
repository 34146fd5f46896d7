//! The phases of an update, and the stores to the flash that each is made of.
//!
//! | phase | stores that count, in the part of the flash |
//! |---|---|
//! | preparing | erasing the spare slot's header and the room for the payload |
//! | downloading | programming what is staged |
//! | clearing | erasing where the new image goes |
//! | applying | programming the new image |
//! | arming | the Trial record in the boot log |
//! | first boot | the Attempt record in the boot log, written by the bootloader |
//! | trial | the journal, while the new image runs unconfirmed |
//! | confirming | the Confirmed record in the boot log |
//! | reverting | the Reverted record in the boot log, written by the bootloader |
//! | reporting | the journal, from the revert to the gateway's answer |

use std::ops::RangeInclusive;

use deltagate_flash::{BootLogState, Slot, TRIAL_BOOTS_MAX, slot_header_bytes};
use fleet::board::Board;
use fleet::qemu::Watch;
use fleet::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Preparing,
    Downloading,
    Clearing,
    Applying,
    Arming,
    FirstBoot,
    Trial,
    Confirming,
    Reverting,
    Reporting,
    /// Between updates.
    Idle,
}

impl Phase {
    pub(crate) const ALL: [Self; 11] = [
        Self::Preparing,
        Self::Downloading,
        Self::Clearing,
        Self::Applying,
        Self::Arming,
        Self::FirstBoot,
        Self::Trial,
        Self::Confirming,
        Self::Reverting,
        Self::Reporting,
        Self::Idle,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Downloading => "downloading",
            Self::Clearing => "clearing",
            Self::Applying => "applying",
            Self::Arming => "arming",
            Self::FirstBoot => "first boot",
            Self::Trial => "trial",
            Self::Confirming => "confirming",
            Self::Reverting => "reverting",
            Self::Reporting => "reporting",
            Self::Idle => "idle",
        }
    }

    /// Whether its stores are those of a record of the boot log.
    pub(crate) const fn is_in_boot_log(self) -> bool {
        matches!(
            self,
            Self::Arming | Self::FirstBoot | Self::Confirming | Self::Reverting
        )
    }

    /// Whether a kill in it costs an image that works one of its boots on trial.
    pub(crate) const fn is_of_one_that_holds(self) -> bool {
        matches!(self, Self::Trial | Self::Confirming)
    }

    /// Whether a device that says this is past the phase of the update to `sequence`: no store of it comes any more.
    pub(crate) fn is_over(self, line: &str, sequence: u32) -> bool {
        let is_of_another =
            line.starts_with("agent: sequence ") && !line.contains(&format!(" sequence {sequence} "));
        !is_of_another && told(line).is_some_and(|phase| phase > self)
    }
}

/// The update under way, as the plan of its kills has to know it.
pub(crate) struct Update<'a> {
    pub(crate) board: Board,
    pub(crate) sequence: u32,
    pub(crate) image: &'a [u8],
    pub(crate) spare: Slot,
    pub(crate) log: BootLogState,
    /// The last kill was in the middle of a record of the boot log: that is settled first, by up to two records more.
    pub(crate) is_in_doubt: bool,
    /// Blocks of it were fetched: what is staged is not erased again.
    pub(crate) is_fetching: bool,
}

impl Update<'_> {
    /// A store of `phase`, chosen at random.
    pub(crate) fn moment(&self, phase: Phase, rng: &mut Rng) -> Watch {
        let layout = self.board.layout();
        let slot = layout.slot(self.spare);
        let header = slot.offset..slot.offset + slot_header_bytes(layout.sector_bytes);
        let tail_at = (header.end + self.image.len() as u32).next_multiple_of(layout.sector_bytes);
        let tail = tail_at..slot.offset + slot.bytes;
        let boot_log = layout.boot_log.offset..layout.boot_log.offset + layout.boot_log.bytes;
        let journal = layout.journal.offset..layout.journal.offset + layout.journal.bytes;
        let (record, erase) = (self.record_stores(), self.erase_stores());
        let records = |before: u32| before * record + 1..=(before + 1) * record;
        let is_armed = self
            .log
            .trial
            .is_some_and(|trial| trial.sequence == self.sequence);
        // Records that come before the one in question.
        let doubt = if self.is_in_doubt { rng.below(3) as u32 } else { 0 };
        let trial = u32::from(!is_armed);
        let attempts = u32::from(TRIAL_BOOTS_MAX) - u32::from(self.log.attempts);
        let (range, numbers) = match phase {
            Phase::Preparing if rng.below(3) == 0 => (header, 1..=erase),
            // The payload takes a sector.
            Phase::Preparing => (tail, 1..=erase),
            Phase::Downloading => {
                let before = if self.is_fetching { 0 } else { erase };
                (tail, before + 1..=before + 6 * self.block_stores())
            }
            Phase::Clearing => {
                let sectors = self.image.len() as u64 / u64::from(layout.sector_bytes);
                let sector = header.end + rng.below(sectors + 1) as u32 * layout.sector_bytes;
                (sector..sector + layout.sector_bytes, 1..=erase)
            }
            Phase::Applying => {
                let word = header.end + self.word_not_erased(rng);
                // Where stores are content, erasing is the first one to every word.
                let number = if self.board.stores_are_content() { 2 } else { 1 };
                (word..word + 4, number..=number)
            }
            Phase::Arming => (boot_log, records(doubt)),
            Phase::FirstBoot => (boot_log, records(doubt + trial)),
            // Of the old image, if it has to arm the new one again: that it started, and Armed.
            Phase::Trial => (journal, records(2 * trial)),
            Phase::Confirming => (boot_log, records(doubt + trial + 1)),
            // Too few only means another try, and a boot on trial less to come.
            Phase::Reverting => (boot_log, records(trial + attempts)),
            Phase::Reporting | Phase::Idle => (journal, 1..=3 * record),
        };
        let base = self.board.flash_address();
        Watch {
            range: base + range.start..base + range.end,
            number: one_of(numbers, rng),
        }
    }

    /// Stores that write a record and its mark: 64 bytes and 4. Where stores are commands, each of the two takes a command, a
    /// count and a confirmation beside its words.
    fn record_stores(&self) -> u32 {
        if self.board.stores_are_content() { 17 } else { 23 }
    }

    /// Stores that program a block of 64 bytes.
    fn block_stores(&self) -> u32 {
        if self.board.stores_are_content() { 16 } else { 19 }
    }

    /// Stores that erase a sector.
    fn erase_stores(&self) -> u32 {
        if self.board.stores_are_content() {
            self.board.layout().sector_bytes / 4
        } else {
            2
        }
    }

    /// Where a word of the image is that is programmed.
    fn word_not_erased(&self, rng: &mut Rng) -> u32 {
        let words = self.image.len() as u64 / 4 - 1;
        loop {
            let at = 4 + rng.below(words) as usize * 4;
            if self.image[at..at + 4] != [0xFF; 4] {
                return at as u32;
            }
        }
    }
}

fn one_of(numbers: RangeInclusive<u32>, rng: &mut Rng) -> u32 {
    numbers.start() + rng.below(u64::from(numbers.end() - numbers.start() + 1)) as u32
}

/// What a line begins with and contains, and in which phase a device is after it. The first that fits counts.
const SAYS: [(&str, &str, Phase); 10] = [
    ("agent: checked in, update", "", Phase::Preparing),
    ("agent: manifest of ", "", Phase::Preparing),
    ("agent: block ", "", Phase::Downloading),
    ("agent: update ", " goes on after ", Phase::Downloading),
    ("agent: applying", "", Phase::Clearing),
    ("agent: sequence", " rebooting into trial", Phase::FirstBoot),
    ("boot: starting", ", on trial", Phase::FirstBoot),
    ("agent: running", " on trial", Phase::Trial),
    ("boot: sequence", " reverted: ", Phase::Reporting),
    // Confirmed or reported.
    ("agent: sequence", "", Phase::Idle),
];

fn told(line: &str) -> Option<Phase> {
    let said = SAYS.iter();
    said.filter(|(begins, contains, _)| line.starts_with(begins) && line.contains(contains))
        .map(|(_, _, phase)| *phase)
        .next()
}

/// The phase that the last of these lines tells of.
pub(crate) fn told_by(lines: &[String]) -> Phase {
    let last = lines.iter().rev().find_map(|line| told(line));
    last.unwrap_or(Phase::Idle)
}

/// The phase of a store that was meant to be of `planned`, by what the device said before it and what its boot log holds after it.
pub(crate) fn of_store(planned: Phase, lines: &[String], log: &BootLogState, sequence: u32) -> Phase {
    let is_tried = log.trial.is_some_and(|trial| trial.sequence == sequence);
    let agent_runs = lines.iter().any(|line| line.contains("agent: running"));
    match planned {
        Phase::Arming | Phase::FirstBoot | Phase::Confirming | Phase::Reverting => {
            let is_reverted = log.reverted.is_some_and(|reverted| reverted.sequence == sequence);
            if log.confirmed >= Some(sequence) || is_tried && agent_runs && told_by(lines) == Phase::Trial {
                Phase::Confirming
            } else if is_reverted || is_tried && log.attempts >= TRIAL_BOOTS_MAX {
                Phase::Reverting
            } else if is_tried && (log.attempts > 0 || !agent_runs) {
                Phase::FirstBoot
            } else {
                Phase::Arming
            }
        }
        // An agent begins with a record, before it says a word.
        Phase::Trial | Phase::Reporting if told_by(lines) == Phase::FirstBoot => Phase::Trial,
        Phase::Trial | Phase::Reporting => told_by(lines),
        // Where a store is a command, one to erase looks like one to program.
        Phase::Preparing if told_by(lines) == Phase::Downloading => Phase::Downloading,
        other => other,
    }
}
