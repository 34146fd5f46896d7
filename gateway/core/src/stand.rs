//! Where a device stands: whether waiting is enough, and where it is not, the one thing to do.
//!
//! `status`, `device show`, `why` and what is said of an assignment all read it here. What is [`Stand::Stuck`] has its next step
//! by construction, so a device that `status` counts among those that need a person is never without one.

use crate::anchors::Distrust;
use crate::choice::Verdict;
use crate::decision::Decision;
use crate::deferral::DeferralView;
use crate::explain;
use crate::records::{DeviceRecord, Selector};
use crate::remedy::Remedy;
use crate::views::NextStep;
use wire_checkin::DeviceId;

/// What has to happen for a device to get on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Nothing is left to do, or time does it.
    Waits,
    /// Nothing is amiss; this is what an operator may do next.
    Open(NextStep),
    /// It gets nothing, however long it waits, until a person does this.
    Stuck(NextStep),
}

impl Stand {
    /// No decision stands under a wildcard, so that whoever adds one says what helps.
    pub(crate) fn of(
        device: &DeviceRecord,
        decision: &Decision<'_>,
        deferral: Option<&DeferralView>,
    ) -> Stand {
        let id = device.id;
        match decision {
            Decision::Unheard | Decision::UpToDate(_) | Decision::NeedsBuilds { .. } => Stand::Waits,
            Decision::Unclaimed => Stand::Open(step(
                "claim it if it is yours",
                format!("deltagate device claim {id}"),
            )),
            Decision::NoTarget => Stand::Open(step(
                "say what it should run",
                format!("deltagate update assign IMAGE --device {id}"),
            )),
            Decision::ClassConflict { .. } => Stand::Stuck(step(
                "if the hardware was exchanged, forget it and claim it anew",
                format!("deltagate device forget {id} && deltagate device claim {id}"),
            )),
            Decision::WrongKind(target) => Stand::Stuck(step(
                "take that assignment away from it, and assign it an image of its own class",
                without(&target.by.selector, id),
            )),
            Decision::NotNewer { next, .. } => Stand::Stuck(step(
                &format!(
                    "ask its publisher to sign a release with sequence number {next} or higher; import and assign that"
                ),
                explain::sign(*next),
            )),
            Decision::Distrusted(_, Distrust::Key(_)) => Stand::Stuck(step(
                "import and assign an image signed with a key that is; or add the key's .pub file to `trust` in gateway.toml",
                "deltagate image import FILE".into(),
            )),
            Decision::Distrusted(_, Distrust::Signatures { .. }) => Stand::Stuck(step(
                "have it signed with keys of that set, and import it again; deltagate anchors list names them",
                "deltagate image cosign FILE --key KEY && deltagate image import FILE".into(),
            )),
            Decision::Distrusted(_, Distrust::Sequence { .. }) => Stand::Stuck(step(
                "ask the publisher for a set with a higher --sequence-max",
                "deltagate anchors import FILE".into(),
            )),
            Decision::NoWay { .. } => Stand::Stuck(step(
                "import the release in between; the assignment may stay",
                "deltagate image import FILE".into(),
            )),
            Decision::Withheld { target, outcome, .. } => Stand::Stuck(step(
                &format!(
                    "{}; then let the image be offered again",
                    Remedy::of_outcome(*outcome).next
                ),
                format!(
                    "deltagate update retry --device {id} --image {}",
                    target.image.digest.short_hex()
                ),
            )),
            Decision::BuildFailed { .. } => Stand::Stuck(step(
                "find the cause in the log; then build again",
                format!("deltagate update retry --device {id}"),
            )),
            Decision::NothingFits { target, candidates } => {
                let slot = device.report.as_ref().map(|report| report.slot_capacity);
                let room = candidates
                    .first()
                    .is_some_and(|candidate| matches!(candidate.verdict, Verdict::Room { .. }));
                let is_too_long = room || slot.is_some_and(|slot| target.image.size > slot);
                Stand::Stuck(step(
                    match is_too_long {
                        true => "make the image smaller: the device has no room for it",
                        false => "see what each payload needs and the device lacks",
                    },
                    format!("deltagate device show {id} --all"),
                ))
            }
            Decision::Offer { target, .. } => match deferral.filter(|deferral| deferral.is_overdue()) {
                Some(deferral) => Stand::Stuck(step(
                    &format!(
                        "{}, or take the update back: its author lets it wait on",
                        Remedy::of_deferral(deferral.reason).next
                    ),
                    format!(
                        "deltagate update cancel --{}",
                        explain::option(&target.by.selector)
                    ),
                )),
                None => Stand::Waits,
            },
        }
    }

    /// What to do, where there is anything.
    pub(crate) fn next_step(self) -> Option<NextStep> {
        match self {
            Stand::Waits => None,
            Stand::Open(step) | Stand::Stuck(step) => Some(step),
        }
    }
}

fn step(why: &str, command: String) -> NextStep {
    NextStep {
        why: why.into(),
        command,
    }
}

/// Takes an assignment away from one device, and from no other where that is possible.
fn without(by: &Selector, id: DeviceId) -> String {
    match by {
        Selector::Group(name) => format!("deltagate group remove {name} {id}"),
        Selector::Device(_) | Selector::Class(_) => {
            format!("deltagate update cancel --{}", explain::option(by))
        }
    }
}

#[cfg(test)]
mod tests;
