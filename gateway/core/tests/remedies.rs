//! Every word that a device has for a failure or a delay: shown with what it means, and with what helps.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{CoreConfig, DeviceView, PATIENCE_S, Remedy};
use wire_checkin::{Deferral, DeferralReason, DeferralStage, Outcome};

fn view(shell: &Shell) -> DeviceView {
    shell.gateway.device(id(1)).unwrap()
}

/// All codes, those of later versions included: nothing that a device can say leaves its operator without a sentence and a step.
#[test]
fn every_outcome_that_withholds_an_image_is_explained_where_the_device_is_shown() {
    for outcome in (0..=u8::MAX)
        .map(Outcome::from_code)
        .filter(|outcome| outcome.withholds())
    {
        let mut shell = Shell::ready(open());
        shell.check_in(1, 1, &check_in(1, 1));
        let mut news = check_in(1, 1);
        news.last_update = common::outcome(2, outcome);
        shell.check_in(1, 2, &news);
        let (shown, remedy) = (view(&shell), Remedy::of_outcome(outcome));
        assert!(
            shown.chain.iter().any(|clause| clause == remedy.what),
            "{outcome}: {:?}",
            shown.chain
        );
        assert!(
            shown.chain.last().unwrap().contains(&format!("\"{outcome}\"")),
            "{outcome}"
        );
        let step = shown.next_step.unwrap();
        assert!(step.why.starts_with(remedy.next), "{outcome}: {}", step.why);
        assert!(
            step.command.starts_with("deltagate update retry "),
            "{outcome}: {}",
            step.command
        );
    }
}

/// What does not withhold does after the fifth time, and is explained like the rest.
#[test]
fn an_update_that_never_comes_to_an_end_is_explained_too() {
    for outcome in [Outcome::Cancelled, Outcome::PayloadChanged] {
        let mut shell = Shell::ready(open());
        for at in 0..5 {
            shell.check_in(1, 10 + 2 * at, &check_in(1, 1));
            let mut news = check_in(1, 1);
            news.last_update = common::outcome(2, outcome);
            shell.check_in(1, 11 + 2 * at, &news);
        }
        let (shown, remedy) = (view(&shell), Remedy::of_outcome(outcome));
        assert!(
            shown.chain.iter().any(|clause| clause == remedy.what),
            "{outcome}: {:?}",
            shown.chain
        );
        assert!(shown.next_step.unwrap().why.starts_with(remedy.next), "{outcome}");
    }
}

#[test]
fn every_reason_to_wait_is_explained_and_calls_somebody_when_it_lasts() {
    for reason in [0, 1, 2, 3, u8::MAX].map(DeferralReason::from_code) {
        for stage in [DeferralStage::Download, DeferralStage::Restart] {
            let mut shell = Shell::ready(open());
            shell.check_in(1, 1, &check_in(1, 1));
            let waits = |seconds| {
                let deferral = Some(Deferral {
                    stage,
                    reason,
                    seconds,
                });
                wire_checkin::CheckIn {
                    deferral,
                    ..check_in(1, 1)
                }
            };
            let remedy = Remedy::of_deferral(reason);
            shell.check_in(1, 2, &waits(PATIENCE_S));
            let shown = view(&shell);
            assert!(
                shown.chain.iter().any(|clause| clause == remedy.what),
                "{:?}",
                shown.chain
            );
            assert_eq!((shown.next_step, shell.gateway.status().overdue), (None, 0));
            // Nobody said for how long it may wait: after three days somebody is told, with the reason and since when.
            shell.check_in(1, 3, &waits(PATIENCE_S + 1));
            let shown = view(&shell);
            let words = format!(
                "it waits for the device: {reason}, {stage}, for 3 d, and nobody said for how long it may"
            );
            assert_eq!(shown.chain.last(), Some(&words));
            let step = shown.next_step.unwrap();
            assert!(step.why.starts_with(remedy.next), "{}", step.why);
            assert_eq!(shell.gateway.status().overdue, 1);
        }
    }
}

#[test]
fn how_long_is_too_long_is_the_operators_to_say() {
    let mut shell = Shell::ready(CoreConfig {
        deferral_patience_s: 3_600,
        ..open()
    });
    for (message_id, (seconds, overdue)) in [(3_600, 0), (3_601, 1)].into_iter().enumerate() {
        let said = wire_checkin::CheckIn {
            deferral: Some(Deferral {
                stage: DeferralStage::Restart,
                reason: DeferralReason::Battery,
                seconds,
            }),
            ..check_in(1, 1)
        };
        shell.check_in(1, message_id as u16 + 2, &said);
        assert_eq!(shell.gateway.status().overdue, overdue);
        assert_eq!(shell.gateway.needs(shell.now()).len(), overdue);
    }
}
