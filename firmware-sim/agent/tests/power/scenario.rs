//! What happens to a device while the power goes away: the offers of its gateway and the faults of its images.

use deltagate_agent::{DeferralReason, Gate, Verdict};

use super::support::{Offer, Release, Vendor, image};
use super::world::World;

/// Blocks of an offer after which a gateway changes its mind in some scenarios.
pub(crate) const HALF_WAY: u8 = 5;

/// Check-ins that tell of an update put off, after which an application opens its gate in some scenarios.
pub(crate) const TOLD: u8 = 2;

/// The image that every device ships with.
pub(crate) const SHIPPED: u32 = 1;
/// The image that every device must take in the end, whatever happened.
pub(crate) const LAST: u32 = 90;

/// A scenario: the same on every part, but for the length of its images.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) offers: Vec<Offer>,
    /// Which offer stands now.
    pub(crate) standing: fn(&World) -> Option<usize>,
    /// The image that runs, confirmed, when the scenario is over.
    pub(crate) goal: u32,
    /// The images without a network.
    pub(crate) deaf: &'static [u32],
    /// The images that hang.
    pub(crate) hanging: &'static [u32],
    /// Every image there is; a later one of the same sequence number takes the place of an earlier.
    pub(crate) releases: Vec<Release>,
    /// Whether the device was started so often before that the journal's bank gets full half-way.
    pub(crate) journal_nearly_full: bool,
    /// Whether payloads have a staging area of their own.
    pub(crate) staging_area: bool,
    /// What the application says.
    pub(crate) gate: fn(&World) -> Gate,
    /// Whether its longest deferral is [`DEFER_S_MAX`], so that it is heeded for that long only.
    pub(crate) gate_has_its_time: bool,
}

/// The longest deferral where the application would never have an update, seconds: three check-ins.
pub(crate) const DEFER_S_MAX: u32 = 200;

fn clear(_: &World) -> Gate {
    Gate::CLEAR
}

fn closed() -> Verdict {
    Verdict::Deferred(DeferralReason::Battery)
}

/// Puts an update off before its download and before its restart, until the gateway was told so twice each.
fn clear_when_told(world: &World) -> Gate {
    let verdict = |told: u8| if told < TOLD { closed() } else { Verdict::Clear };
    let [download, restart] = world.put_off.map(verdict);
    Gate { download, restart }
}

/// The same, of the first image's restart only.
fn restart_clear_when_told(world: &World) -> Gate {
    Gate {
        download: Verdict::Clear,
        ..clear_when_told(world)
    }
}

/// Would never have the scenario's updates.
fn never_clear(world: &World) -> Gate {
    match world.finale {
        true => Gate::CLEAR,
        false => Gate {
            download: closed(),
            restart: closed(),
        },
    }
}

/// The first offer is replaced when the gateway was told that it waits for its restart.
fn replaced_while_put_off(world: &World) -> Option<usize> {
    Some(usize::from(world.ended > 0 || world.put_off[1] > 0))
}

/// The first offer is withdrawn then; the next comes when the device said what became of it, or says nothing of it any more.
fn withdrawn_while_put_off(world: &World) -> Option<usize> {
    match (world.ended, world.put_off[1]) {
        (0, 0) => Some(0),
        (0, _) => None,
        _ => Some(1),
    }
}

fn release(sequence: u32, version: u8, bytes: usize) -> Release {
    Vendor::OURS.release(sequence, image(version, bytes))
}

fn named(mut offer: Offer, path: &str) -> Offer {
    offer.job.path = wire_checkin::JobPath::new(path).unwrap();
    offer
}

/// The offers in their order, each when the one before is over.
fn in_order(world: &World) -> Option<usize> {
    Some(usize::from(world.ended))
}

fn withdrawn_half_way(world: &World) -> Option<usize> {
    match (world.ended, world.blocks[0] >= HALF_WAY) {
        (0, false) => Some(0),
        (0, true) => None,
        _ => Some(1),
    }
}

fn replaced_half_way(world: &World) -> Option<usize> {
    Some(usize::from(world.ended > 0 || world.blocks[0] >= HALF_WAY))
}

impl Scenario {
    fn new(name: &'static str, bytes: usize, offers: Vec<Offer>, goal: u32) -> Self {
        Self {
            name,
            offers,
            standing: in_order,
            goal,
            deaf: &[],
            hanging: &[],
            releases: vec![
                release(SHIPPED, 1, bytes),
                release(2, 2, bytes),
                release(3, 3, bytes),
                release(LAST, 90, 1_700),
            ],
            journal_nearly_full: false,
            staging_area: false,
            gate: clear,
            gate_has_its_time: false,
        }
    }

    fn with(mut self, release: &Release) -> Self {
        self.releases.push(release.clone());
        self
    }

    /// The update that every device must take in the end.
    pub(crate) fn last(&self) -> Offer {
        let last = self.releases.iter().find(|release| release.sequence == LAST);
        named(Offer::full(last.unwrap()), "last")
    }

    /// The image of an offer as it is, for a device that its patch is not made for.
    pub(crate) fn whole(&self, offer: &Offer) -> Offer {
        let release = self.release(offer.job.sequence_number as u32);
        named(Offer::full(release.unwrap()), "whole")
    }

    pub(crate) fn release(&self, sequence: u32) -> Option<&Release> {
        let mut releases = self.releases.iter().rev();
        releases.find(|release| release.sequence == sequence)
    }

    /// All of them, with images of so many bytes.
    pub(crate) fn all(bytes: usize) -> Vec<Self> {
        let [v1, v2, v3] = [1, 2, 3].map(|version| release(version, version as u8, bytes));
        let patch = |target: &Release, path| named(Offer::patch(&v1, target), path);
        let full = |target: &Release, path| named(Offer::full(target), path);
        let back = release(3, 1, bytes);
        let mut with_gap = v2.image.clone();
        with_gap[600..1_500].fill(0xFF);
        let gap = Vendor::OURS.release(2, with_gap);
        let new = |name, offers, goal| Self::new(name, bytes, offers, goal);
        vec![
            new(
                "a patch: staged, applied, tried, confirmed",
                vec![patch(&v2, "p2")],
                2,
            ),
            Self {
                staging_area: true,
                ..new("a patch in a staging area", vec![patch(&v2, "p2")], 2)
            },
            new("a full image, streamed into its place", vec![full(&v2, "f2")], 2),
            new(
                "a full image with a stretch of erased-looking bytes",
                vec![full(&gap, "f2")],
                2,
            )
            .with(&gap),
            Self {
                journal_nearly_full: true,
                ..new(
                    "a patch while the journal is compacted",
                    vec![patch(&v2, "p2")],
                    2,
                )
            },
            Self {
                deaf: &[2],
                ..new(
                    "no contact on trial, reverted, an update over the remains",
                    vec![patch(&v2, "p2"), full(&v3, "f3")],
                    3,
                )
            },
            Self {
                hanging: &[2],
                ..new(
                    "hangs on trial, reverted, an update over the remains",
                    vec![full(&v2, "f2"), patch(&v3, "p3")],
                    3,
                )
            },
            Self {
                standing: withdrawn_half_way,
                ..new(
                    "cancelled half-way, then another",
                    vec![patch(&v2, "p2"), patch(&v3, "p3")],
                    3,
                )
            },
            Self {
                standing: replaced_half_way,
                ..new(
                    "a newer image arrives while one is staged",
                    vec![full(&v2, "f2"), patch(&v3, "p3")],
                    3,
                )
            },
            Self {
                standing: replaced_half_way,
                ..new(
                    "the same image by another payload under the same path",
                    vec![full(&v2, "same"), patch(&v2, "same")],
                    2,
                )
            },
            Self {
                gate: clear_when_told,
                ..new(
                    "put off before the download and before the restart",
                    vec![patch(&v2, "p2")],
                    2,
                )
            },
            Self {
                gate: clear_when_told,
                deaf: &[2],
                ..new(
                    "put off, then no contact on trial, an update over the remains",
                    vec![full(&v2, "f2"), patch(&v3, "p3")],
                    3,
                )
            },
            Self {
                gate: never_clear,
                gate_has_its_time: true,
                ..new("put off for as long as may be", vec![patch(&v2, "p2")], 2)
            },
            Self {
                gate: restart_clear_when_told,
                standing: replaced_while_put_off,
                ..new(
                    "a newer image arrives while one waits for its restart",
                    vec![patch(&v2, "p2"), patch(&v3, "p3")],
                    3,
                )
            },
            Self {
                gate: restart_clear_when_told,
                standing: withdrawn_while_put_off,
                ..new(
                    "cancelled while it waits for its restart, then another",
                    vec![patch(&v2, "p2"), patch(&v3, "p3")],
                    3,
                )
            },
            Self {
                releases: vec![v1.clone(), v2.clone(), back.clone(), release(LAST, 90, 1_700)],
                ..new(
                    "back on purpose: the old image under a higher number",
                    vec![patch(&v2, "p2"), named(Offer::full(&back), "back")],
                    3,
                )
            },
        ]
    }
}
