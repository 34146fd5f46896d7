//! What a boot says, in words, without `core::fmt`.

use core::fmt;

use deltagate_flash::say::{say_number, show};
use deltagate_flash::{BootLogState, Reverted, Slot, Trial};

use crate::{BootEvent, Choice, Mode, VerifiedSlot};

impl BootEvent {
    /// Puts the line, in pieces of UTF-8, without a prefix or an end.
    pub fn say(&self, put: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Log(state) => say_state(state, put),
            Self::LeftBehind(reason) => say(put, &[Text("the last run ended with: "), Text(reason.text())]),
            Self::Verified(image) => say_verified(image, put),
            Self::Rejected(slot, fault) => {
                let what = [
                    Text("slot "),
                    name(*slot),
                    Text(" rejected: "),
                    Text(fault.text()),
                ];
                say(put, &what);
            }
            Self::Reverted(Reverted { sequence, reason }) => {
                let what = [
                    Text("sequence "),
                    Number(*sequence),
                    Text(" reverted: "),
                    Text(reason.text()),
                ];
                say(put, &what);
            }
            Self::NotWritten(_) => say(put, &[Text("the boot log cannot be written")]),
            Self::Starting(choice) => say_choice(choice, put),
            Self::Recovery(reason) => say(put, &[Text("RECOVERY: "), Text(reason.text())]),
        }
    }
}

/// The line, for programs that can format.
impl fmt::Display for BootEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(|put| self.say(put), formatter)
    }
}

/// A part of a line.
#[derive(Clone, Copy)]
enum Word {
    Text(&'static str),
    Number(u32),
}
use Word::{Number, Text};

const fn name(slot: Slot) -> Word {
    match slot {
        Slot::A => Text("A"),
        Slot::B => Text("B"),
    }
}

fn say(put: &mut dyn FnMut(&[u8]), words: &[Word]) {
    for word in words {
        match *word {
            Text(text) => put(text.as_bytes()),
            Number(number) => say_number(number, false, put),
        }
    }
}

fn say_verified(image: &VerifiedSlot, put: &mut dyn FnMut(&[u8])) {
    let what = [
        Text("slot "),
        name(image.slot),
        Text(" sequence "),
        Number(image.sequence),
        Text(" verified, "),
        Number(image.image_bytes),
        Text(" bytes"),
    ];
    say(put, &what);
}

fn say_state(state: &BootLogState, put: &mut dyn FnMut(&[u8])) {
    match state.confirmed {
        Some(sequence) => say(put, &[Text("confirmed sequence "), Number(sequence)]),
        None => say(put, &[Text("nothing confirmed yet")]),
    }
    if let Some(Trial { sequence, slot }) = state.trial {
        let trial = [
            Text(", sequence "),
            Number(sequence),
            Text(" on trial in slot "),
            name(slot),
        ];
        say(put, &trial);
    }
}

fn say_choice(choice: &Choice, put: &mut dyn FnMut(&[u8])) {
    let what = [
        Text("starting slot "),
        name(choice.slot),
        Text(" sequence "),
        Number(choice.sequence),
    ];
    say(put, &what);
    match choice.mode {
        Mode::Confirmed => say(put, &[Text(", confirmed")]),
        Mode::Trial { attempt } => say(put, &[Text(", on trial, attempt "), Number(attempt.into())]),
        Mode::LastResort => say(put, &[Text(", last resort")]),
    }
}

#[cfg(test)]
mod tests {
    use deltagate_flash::RevertReason;

    use super::*;
    use crate::{Recovery, SlotFault};

    #[test]
    fn a_technician_reads_these_lines() {
        let trial = Some(Trial {
            sequence: 8,
            slot: Slot::B,
        });
        let state = BootLogState {
            confirmed: Some(7),
            trial,
            ..BootLogState::default()
        };
        let choice = |mode| {
            BootEvent::Starting(Choice {
                slot: Slot::A,
                sequence: 12,
                mode,
            })
        };
        let reverted = Reverted {
            sequence: 8,
            reason: RevertReason::Watchdog,
        };
        for (event, line) in [
            (
                BootEvent::Log(state),
                "confirmed sequence 7, sequence 8 on trial in slot B",
            ),
            (BootEvent::Log(BootLogState::default()), "nothing confirmed yet"),
            (
                BootEvent::LeftBehind(RevertReason::Fault),
                "the last run ended with: fault",
            ),
            (
                BootEvent::Rejected(Slot::B, SlotFault::Vendor),
                "slot B rejected: the image is for another vendor",
            ),
            (BootEvent::Reverted(reverted), "sequence 8 reverted: watchdog"),
            (choice(Mode::Confirmed), "starting slot A sequence 12, confirmed"),
            (
                choice(Mode::Trial { attempt: 2 }),
                "starting slot A sequence 12, on trial, attempt 2",
            ),
            (
                BootEvent::Recovery(Recovery::NoImage),
                "RECOVERY: no slot holds a valid image",
            ),
        ] {
            assert_eq!(event.to_string(), line);
        }
    }
}
