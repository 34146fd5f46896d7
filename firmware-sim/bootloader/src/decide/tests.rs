use deltagate_flash::Trial;

use super::*;

const LEFT_BEHIND: [Option<RevertReason>; 5] = [
    None,
    Some(RevertReason::NoContact),
    Some(RevertReason::Watchdog),
    Some(RevertReason::Fault),
    Some(RevertReason::BootVerification),
];

fn state(confirmed: Option<u32>, trial: Option<(u32, Slot)>, attempts: u8) -> BootLogState {
    let trial = trial.map(|(sequence, slot)| Trial { sequence, slot });
    BootLogState {
        confirmed,
        trial,
        attempts,
        ..BootLogState::default()
    }
}

fn with(state: BootLogState, a: Option<u32>, b: Option<u32>) -> Decision {
    decide(&state, None, &mut |slot| if slot == Slot::A { a } else { b })
}

fn boots(slot: Slot, sequence: u32, mode: Mode) -> Result<Choice, Recovery> {
    Ok(Choice { slot, sequence, mode })
}

#[test]
fn without_a_trial_the_confirmed_image_boots_from_either_slot() {
    let settled = state(Some(5), None, 0);
    assert_eq!(
        with(settled, Some(5), Some(6)).boot,
        boots(Slot::A, 5, Mode::Confirmed)
    );
    assert_eq!(
        with(settled, Some(4), Some(5)).boot,
        boots(Slot::B, 5, Mode::Confirmed)
    );
    assert_eq!(with(settled, None, Some(5)).revert, None);
}

#[test]
fn only_a_crash_that_no_trial_counts_leads_to_recovery() {
    let boot = |state: BootLogState, left_behind| {
        decide(&state, left_behind, &mut |slot| {
            Some(if slot == Slot::A { 5 } else { 6 })
        })
        .boot
    };
    for left_behind in LEFT_BEHIND.into_iter().flatten() {
        for (state, slot) in [
            (state(Some(5), None, 0), Slot::A),
            (state(Some(5), Some((5, Slot::A)), 0), Slot::A),
            (state(Some(6), Some((5, Slot::A)), 3), Slot::B),
            // The last resort: its starts are not counted either.
            (state(Some(4), None, 0), Slot::B),
        ] {
            assert_eq!(
                boot(state, Some(left_behind)),
                Err(Recovery::Crashed(slot)),
                "{state:?}"
            );
            assert_eq!(boot(state, None).map(|choice| choice.slot), Ok(slot));
        }
        for attempts in 0..=TRIAL_BOOTS_MAX {
            for tried in [6, 7] {
                let counted = state(Some(5), Some((tried, Slot::B)), attempts);
                assert!(boot(counted, Some(left_behind)).is_ok(), "{counted:?}");
            }
        }
    }
    let seconds = format!(" in {} s", WINDOW_MS / 1_000);
    for reason in [Recovery::Crashed(Slot::A), Recovery::Unproven] {
        assert!(reason.text().ends_with(&seconds));
    }
}

#[test]
fn a_confirmed_image_in_slot_a_is_found_without_verifying_slot_b() {
    let mut asked = std::vec::Vec::new();
    let _ = decide(&state(Some(5), None, 0), None, &mut |slot| {
        asked.push(slot);
        Some(5)
    });
    assert_eq!(asked, [Slot::A]);
}

#[test]
fn a_trial_boots_with_the_next_attempt_number() {
    for attempts in 0..TRIAL_BOOTS_MAX {
        let decision = with(state(Some(5), Some((6, Slot::B)), attempts), Some(5), Some(6));
        assert_eq!(
            decision.boot,
            boots(
                Slot::B,
                6,
                Mode::Trial {
                    attempt: attempts + 1
                }
            )
        );
        assert_eq!(decision.revert, None);
    }
}

#[test]
fn used_up_attempts_revert_for_the_reason_left_behind() {
    for left_behind in LEFT_BEHIND {
        let used_up = state(Some(5), Some((6, Slot::B)), TRIAL_BOOTS_MAX);
        let decision = decide(&used_up, left_behind, &mut |slot| {
            Some(if slot == Slot::A { 5 } else { 6 })
        });
        let reason = left_behind.unwrap_or(RevertReason::NoContact);
        assert_eq!(decision.revert, Some(Reverted { sequence: 6, reason }));
        assert_eq!(decision.boot, boots(Slot::A, 5, Mode::Confirmed));
    }
}

#[test]
fn a_trial_slot_that_does_not_verify_or_holds_another_image_reverts() {
    for found in [None, Some(5), Some(7)] {
        let decision = with(state(Some(5), Some((6, Slot::B)), 0), Some(5), found);
        let reason = RevertReason::BootVerification;
        assert_eq!(
            decision.revert,
            Some(Reverted { sequence: 6, reason }),
            "{found:?}"
        );
        assert_eq!(decision.boot, boots(Slot::A, 5, Mode::Confirmed));
    }
}

#[test]
fn a_trial_that_is_not_newer_is_not_tried() {
    for stale in [4, 5] {
        let decision = with(state(Some(5), Some((stale, Slot::B)), 0), Some(5), Some(stale));
        assert_eq!(decision.revert, None);
        assert_eq!(decision.boot, boots(Slot::A, 5, Mode::Confirmed));
    }
}

#[test]
fn without_the_confirmed_image_the_highest_newer_one_is_the_last_resort() {
    assert_eq!(
        with(state(Some(5), None, 0), None, Some(6)).boot,
        boots(Slot::B, 6, Mode::LastResort)
    );
    assert_eq!(
        with(state(Some(5), None, 0), Some(7), Some(6)).boot,
        boots(Slot::A, 7, Mode::LastResort)
    );
    assert_eq!(
        with(state(Some(5), None, 0), Some(4), Some(6)).boot,
        boots(Slot::B, 6, Mode::LastResort)
    );
    assert_eq!(
        with(state(None, None, 0), Some(0), None).boot,
        boots(Slot::A, 0, Mode::LastResort)
    );
}

#[test]
fn an_older_image_never_boots() {
    assert_eq!(
        with(state(Some(5), None, 0), Some(4), Some(3)).boot,
        Err(Recovery::OnlyOlder)
    );
    assert_eq!(
        with(state(Some(5), None, 0), None, Some(4)).boot,
        Err(Recovery::OnlyOlder)
    );
    assert_eq!(
        with(state(Some(5), None, 0), None, None).boot,
        Err(Recovery::NoImage)
    );
    assert_eq!(
        with(state(None, None, 0), None, None).boot,
        Err(Recovery::NoImage)
    );
}

/// Every cell: whatever the log and the slots hold, these four facts stand.
#[test]
fn every_combination_keeps_the_rules() {
    let numbers = [None, Some(4), Some(5), Some(6), Some(7)];
    let trials = [
        None,
        Some((4, Slot::A)),
        Some((5, Slot::B)),
        Some((6, Slot::A)),
        Some((6, Slot::B)),
    ];
    for confirmed in numbers {
        for trial in trials {
            for attempts in 0..=TRIAL_BOOTS_MAX {
                for a in numbers {
                    for b in numbers {
                        keeps_the_rules(state(confirmed, trial, attempts), a, b);
                    }
                }
            }
        }
    }
}

/// A cell of `decide/table.txt`.
fn cell(decision: Decision) -> String {
    let boot = match decision.boot {
        Ok(Choice { slot, sequence, mode }) => match mode {
            Mode::Confirmed => format!("{slot}{sequence}"),
            Mode::Trial { attempt } => format!("{slot}{sequence} try{attempt}"),
            Mode::LastResort => format!("{slot}{sequence} last"),
        },
        Err(Recovery::NoImage) => "none".to_owned(),
        Err(Recovery::OnlyOlder) => "older".to_owned(),
        Err(Recovery::Crashed(slot)) => format!("{slot} in 5 s"),
        Err(other) => format!("{other:?}"),
    };
    let revert = decision.revert.map_or(String::new(), |reverted| {
        format!("-{}/{} ", reverted.sequence, reverted.reason.code())
    });
    format!("{revert}{boot}")
}

/// The whole table for one confirmed number and its neighbours: 2 × 5 × 4 × 3 states, 25 pairs of slots each.
fn table() -> String {
    let found = [None, Some(4), Some(5), Some(6), Some(7)];
    let named = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    let trials = [
        None,
        Some((4, Slot::B)),
        Some((5, Slot::B)),
        Some((6, Slot::A)),
        Some((6, Slot::B)),
    ];
    let mut table = String::new();
    for confirmed in [None, Some(5)] {
        for trial in trials {
            for attempts in 0..=TRIAL_BOOTS_MAX {
                for left_behind in [None, Some(RevertReason::Watchdog), Some(RevertReason::Fault)] {
                    // Without a trial attempts do not matter, and below their limit nothing left behind does.
                    let counted = trial.is_some_and(|(sequence, _)| Some(sequence) > confirmed);
                    let matters = match counted {
                        true => left_behind.is_none() || attempts == TRIAL_BOOTS_MAX,
                        false => attempts == 0 || trial.is_some() && left_behind.is_none(),
                    };
                    if !matters {
                        continue;
                    }
                    table += &format!(
                        "confirmed {}, trial {}, attempts {attempts}, left behind {}\n",
                        named(confirmed),
                        trial.map_or("-".to_owned(), |(sequence, slot)| format!("{sequence} in {slot}")),
                        left_behind.map_or("-".to_owned(), |reason| reason.to_string())
                    );
                    table += &format!("  {:>4}", "A\\B");
                    found.iter().for_each(|b| table += &format!(" {:>14}", named(*b)));
                    table += "\n";
                    for a in found {
                        table += &format!("  {:>4}", named(a));
                        for b in found {
                            let state = state(confirmed, trial, attempts);
                            let decision = decide(&state, left_behind, &mut |slot| match slot {
                                Slot::A => a,
                                Slot::B => b,
                            });
                            table += &format!(" {:>14}", cell(decision));
                        }
                        table += "\n";
                    }
                }
            }
        }
    }
    table
}

/// Every cell, written down: whoever changes the table sees what else changes. `DELTAGATE_WRITE_TABLES=1` writes it
/// anew.
#[test]
fn every_cell_is_as_written_down() {
    let (table, path) = (
        table(),
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/decide/table.txt"),
    );
    if std::env::var_os("DELTAGATE_WRITE_TABLES").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let written = include_str!("table.txt");
    let (rows, cells) = (
        table.lines().count(),
        table.lines().filter(|line| line.starts_with(' ')).count() / 6 * 25,
    );
    assert!(rows > 200 && cells > 1_000, "{rows} rows, {cells} cells");
    for (number, (now, then)) in table.lines().zip(written.lines()).enumerate() {
        assert_eq!(now, then, "line {}", number + 1);
    }
    assert_eq!(table.len(), written.len());
}

/// Every input within bounds: numbers that differ by up to two or lie at the ends of 32 bits, any trial, any attempts,
/// any reason left behind, any verdicts. The decision depends on the order of numbers only, and four of them meet.
#[test]
fn the_rules_hold_for_all_inputs_within_bounds() {
    let numbers = [0, 1, 2, 3, 4, u32::MAX - 1, u32::MAX].map(Some);
    let optional: Vec<Option<u32>> = std::iter::once(None).chain(numbers).collect();
    let mut inputs = 0_u32;
    for &confirmed in &optional {
        for &tried in &optional {
            for slot in Slot::BOTH {
                for attempts in 0..=TRIAL_BOOTS_MAX + 1 {
                    for &a in &optional {
                        for &b in &optional {
                            let state = state(confirmed, tried.map(|sequence| (sequence, slot)), attempts);
                            for left_behind in LEFT_BEHIND {
                                inputs += 1;
                                let decision = decide(&state, left_behind, &mut |slot| {
                                    if slot == Slot::A { a } else { b }
                                });
                                check_rules(state, a, b, decision);
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(inputs, 8 * 8 * 2 * 5 * 8 * 8 * 5);
}

fn keeps_the_rules(state: BootLogState, a: Option<u32>, b: Option<u32>) {
    check_rules(state, a, b, with(state, a, b));
}

fn check_rules(state: BootLogState, a: Option<u32>, b: Option<u32>, decision: Decision) {
    if let Some(reverted) = decision.revert {
        assert_eq!(state.trial.map(|trial| trial.sequence), Some(reverted.sequence));
        assert!(
            Some(reverted.sequence) > state.confirmed,
            "a confirmed image is not reverted"
        );
    }
    let eligible = |found: Option<u32>| found.is_some() && found >= state.confirmed;
    if let Err(Recovery::Crashed(slot)) = decision.boot {
        assert!(eligible(if slot == Slot::A { a } else { b }));
        assert_eq!(decision.revert, None);
        assert!(
            state
                .trial
                .is_none_or(|trial| Some(trial.sequence) <= state.confirmed)
        );
        return;
    }
    let Ok(choice) = decision.boot else {
        assert!(
            !eligible(a) && !eligible(b),
            "an eligible image is booted: {state:?} {a:?} {b:?}"
        );
        return;
    };
    assert_eq!(
        if choice.slot == Slot::A { a } else { b },
        Some(choice.sequence),
        "only what verified"
    );
    assert!(Some(choice.sequence) >= state.confirmed, "never older");
    match choice.mode {
        Mode::Confirmed => assert_eq!(Some(choice.sequence), state.confirmed),
        Mode::Trial { attempt } => {
            assert_eq!(
                state.trial,
                Some(Trial {
                    sequence: choice.sequence,
                    slot: choice.slot
                })
            );
            assert!((1..=TRIAL_BOOTS_MAX).contains(&attempt));
            assert_eq!(decision.revert, None);
        }
        Mode::LastResort => {
            assert!(a != state.confirmed && b != state.confirmed || state.confirmed.is_none())
        }
    }
}
