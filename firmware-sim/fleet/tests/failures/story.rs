//! A story: one device, one failure, and what device and gateway have to say.

use crate::simulated::{HOUR_US, assign, settled};
use crate::table::{Ending, Told};
use deltagate_agent::Event;
use fleet::sim::{Hardware, Moment, Scenario, SignedImage, World};
use gateway_core::{DeviceView, Stage};
use wire_checkin::DeviceId;

/// What `device show` prints of these views: the chain, and the next step.
pub fn printed(view: &DeviceView) -> Told {
    let told = match &view.next_step {
        Some(step) => format!("{}: {}", step.why, step.command),
        None => "none, waiting is enough".to_owned(),
    };
    let candidates = view
        .candidates
        .iter()
        .map(|candidate| candidate.verdict.to_string());
    let lines: Vec<String> = view.chain.iter().cloned().chain(candidates).collect();
    Told {
        ending: Ending::Open,
        printed: lines.join("\n"),
        told,
    }
}

/// The first device of a world, and its gateway's word on it.
pub trait Witness {
    /// What `device show` prints of device 0 now.
    fn show(&mut self) -> Told;
    /// Runs until `goal`, or fails with the seed.
    fn until(&mut self, goal: impl FnMut(&World<'_>) -> bool);
    /// Runs for so long.
    fn pass(&mut self, us: u64);
    /// Whether device 0 said so.
    fn said(&self, what: impl Fn(&Event) -> bool) -> bool;
}

impl Witness for World<'_> {
    fn show(&mut self) -> Told {
        let id = DeviceId::new(&self.device_id(0)).unwrap();
        let core = self.gateway().core();
        let stage = core.updates().first().map(|update| update.stage);
        let ending = match stage {
            Some(Stage::UpToDate) => Ending::Updated,
            Some(Stage::Withheld) => Ending::Withheld,
            Some(Stage::Blocked) => Ending::Blocked,
            _ => Ending::Open,
        };
        Told {
            ending,
            ..printed(&core.device(id).unwrap())
        }
    }

    fn until(&mut self, goal: impl FnMut(&World<'_>) -> bool) {
        let limit_us = self.now_us() + 48 * HOUR_US;
        self.run_until(limit_us, goal)
            .unwrap_or_else(|stopped| panic!("{stopped}"));
    }

    fn pass(&mut self, us: u64) {
        let end_us = self.now_us() + us;
        self.until(|world| world.now_us() >= end_us);
    }

    fn said(&self, what: impl Fn(&Event) -> bool) -> bool {
        let history = self.history(0).iter();
        history
            .filter_map(|moment| match moment {
                Moment::Said(event) => Some(event),
                _ => None,
            })
            .any(what)
    }
}

/// A settled world in which `releases[1]` is assigned and was offered.
pub fn offered<'h>(
    scenario: Scenario,
    hardware: &'h mut [Hardware],
    releases: &'h [SignedImage],
) -> World<'h> {
    let mut world = settled(scenario, hardware, releases);
    assign(&mut world, &releases[1]);
    world.until(|world| world.observed(0).offers_of(2) == 1);
    world
}

/// Runs until device 0 has confirmed this sequence number and the gateway heard so.
pub fn confirmed(world: &mut World<'_>, sequence: u32) -> Told {
    world.until(|world| world.confirmed(0) == Some(sequence));
    let check_ins = world.observed(0).counts.check_ins;
    world.until(|world| world.observed(0).counts.check_ins > check_ins);
    world.pass(30_000_000);
    world.show()
}
