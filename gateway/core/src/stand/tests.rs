//! Every decision there is: what needs a person is told with one next action.

use super::*;
use crate::anchors::Distrust;
use crate::chain::MissingStone;
use crate::config::LinkConfig;
use crate::decision::Target;
use crate::effect::BuildKey;
use crate::identity::{ArtefactDigest, ClassId, ImageDigest, VendorId};
use crate::records::{ArtefactRecord, Assignment, ImageRecord, Terms};
use crate::units::Bytes;
use wire_checkin::{DeferralReason, DeferralStage, Format, Outcome};

/// Whether a device of this decision is among those that need a person.
#[derive(Debug, PartialEq)]
enum Expected {
    Waits,
    Open,
    Stuck,
}

/// A table with a row for each variant: one that is missing here does not compile.
macro_rules! every_decision {
    ($($variant:ident: $decision:expr => $expected:ident),* $(,)?) => {{
        fn name(decision: &Decision<'_>) -> &'static str {
            match decision {
                $(Decision::$variant { .. } => stringify!($variant),)*
            }
        }
        [$((stringify!($variant), $decision, Expected::$expected)),*].map(|(variant, decision, expected)| {
            assert_eq!(name(&decision), variant);
            (variant, decision, expected)
        })
    }};
}

fn device() -> DeviceRecord {
    DeviceRecord {
        id: DeviceId::new(&[0x52, 0x54, 0, 0, 0, 1]).unwrap(),
        claimed: true,
        class: Some(ClassId([1; 16])),
        report: None,
    }
}

fn image() -> ImageRecord {
    ImageRecord {
        digest: ImageDigest([2; 32]),
        size: Bytes(1_000),
        vendor: VendorId([3; 16]),
        class: ClassId([1; 16]),
        sequence_number: 2,
        predecessor_min: 0,
        version: "2.0.0".into(),
        description: String::new(),
        envelope: Vec::new(),
        key_id: [7; 8],
        imported_unix_s: 0,
    }
}

fn assignment() -> Assignment {
    Assignment {
        selector: Selector::Device(device().id),
        image: image().digest,
        assigned_unix_s: 0,
        terms: Terms::default(),
    }
}

fn artefact() -> ArtefactRecord {
    ArtefactRecord {
        digest: ArtefactDigest([4; 32]),
        target: image().digest,
        base: None,
        format: Format::Full,
        size: image().size,
        decoder_memory: Bytes(0),
        in_place: None,
        built_unix_s: 0,
    }
}

fn target<'a>(image: &'a ImageRecord, by: &'a Assignment) -> Target<'a> {
    Target {
        image,
        goal: image,
        stones: Vec::new(),
        by,
        running: None,
    }
}

fn is_one_action(step: &NextStep) -> bool {
    let lower = step.why.starts_with(|first: char| first.is_ascii_lowercase());
    lower && !step.why.contains(['\n', '<']) && step.command.starts_with("deltagate ")
}

#[test]
fn what_needs_a_person_is_told_with_one_next_action() {
    let (device, image) = (device(), image());
    let (by, artefact) = (assignment(), artefact());
    let target = || target(&image, &by);
    let missing = MissingStone {
        lowest: 1,
        highest: 1,
        follows: 0,
    };
    let builds: Vec<BuildKey> = vec![crate::decision::baseless_build(image.digest)];
    let table = every_decision! {
        Unclaimed: Decision::Unclaimed => Open,
        Unheard: Decision::Unheard => Waits,
        ClassConflict: Decision::ClassConflict { recorded: ClassId([1; 16]), said: ClassId([2; 16]) } => Stuck,
        NoTarget: Decision::NoTarget => Open,
        UpToDate: Decision::UpToDate(target()) => Waits,
        WrongKind: Decision::WrongKind(target()) => Stuck,
        NotNewer: Decision::NotNewer { target: target(), running: 7, next: 8 } => Stuck,
        Distrusted: Decision::Distrusted(target(), Distrust::Sequence { set: 2, max: 7 }) => Stuck,
        NoWay: Decision::NoWay { target: target(), missing } => Stuck,
        Withheld: Decision::Withheld { target: target(), outcome: Outcome::RevertedFault, detail: None } => Stuck,
        NeedsBuilds: Decision::NeedsBuilds { target: target(), builds } => Waits,
        BuildFailed: Decision::BuildFailed { target: target(), reason: "no room" } => Stuck,
        NothingFits: Decision::NothingFits { target: target(), candidates: Vec::new() } => Stuck,
        Offer: Decision::Offer { target: target(), artefact: &artefact, candidates: Vec::new() } => Waits,
    };
    for (variant, decision, expected) in &table {
        let stand = Stand::of(&device, decision, None);
        let found = match &stand {
            Stand::Waits => Expected::Waits,
            Stand::Open(_) => Expected::Open,
            Stand::Stuck(_) => Expected::Stuck,
        };
        assert_eq!(&found, expected, "{variant}");
        assert!(
            stand.next_step().is_none_or(|step| is_one_action(&step)),
            "{variant}"
        );
        let chain = explain::chain(false, None, &device, &LinkConfig::default(), decision, None, None);
        assert_eq!(chain.last(), Some(&explain::end(&device, decision)), "{variant}");
        assert!(
            chain.len() >= 2 && !explain::end(&device, decision).is_empty(),
            "{variant}"
        );
    }
}

#[test]
fn whatever_a_device_waits_for_it_needs_a_person_when_it_waits_too_long() {
    let (device, image) = (device(), image());
    let (by, artefact) = (assignment(), artefact());
    let decision = Decision::Offer {
        target: target(&image, &by),
        artefact: &artefact,
        candidates: Vec::new(),
    };
    for reason in (0..=u8::MAX).map(DeferralReason::from_code) {
        let after = |seconds| DeferralView {
            stage: DeferralStage::Restart,
            reason,
            seconds,
            longest_s: Some(3_600),
            patience_s: 0,
        };
        assert_eq!(Stand::of(&device, &decision, Some(&after(3_600))), Stand::Waits);
        let Stand::Stuck(step) = Stand::of(&device, &decision, Some(&after(3_601))) else {
            panic!("{reason}");
        };
        assert!(is_one_action(&step), "{reason}: {step:?}");
    }
}

#[test]
fn an_assignment_is_taken_away_from_the_one_device_where_that_is_possible() {
    let id = device().id;
    let group = Selector::Group(crate::records::GroupName::new("roof").unwrap());
    assert_eq!(without(&group, id), format!("deltagate group remove roof {id}"));
    assert_eq!(
        without(&Selector::Device(id), id),
        format!("deltagate update cancel --device {id}")
    );
}
