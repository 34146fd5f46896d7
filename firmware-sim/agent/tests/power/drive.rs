//! One device from power-on to the end of its scenario, with everything that must hold on the way.

use std::cell::RefCell;
use std::rc::Rc;

use deltagate_agent::{Agent, Config, DATAGRAM_BYTES_MAX, Effect, Event, Verdict};
use deltagate_bootloader::Boot;
use deltagate_flash::sim::{Explored, Explorer, Forks, Limits, Probe, Rewrites, SimFlash, Tears};
use deltagate_flash::{
    BootLog, BootRecord, ImageOffset, Layout, Region, RevertReason, Slot, SlotRegion, TornAsZeros,
    slot_header_bytes,
};
use embedded_storage::nor_flash::NorFlash;
use wire_coap::BlockSize;

use super::scenario::{DEFER_S_MAX, SHIPPED, Scenario};
use super::support::{Offer, Vendor};
use super::world::World;

const BLOCK: BlockSize = BlockSize::B128;
const MEMORY_BYTES: usize = 4_096;
/// Turns of the loop below in one run, uncut about 600: a device that needs more is stuck.
const TURNS_MAX: u32 = 20_000;

type Shared<const P: usize, const S: usize> = Rc<RefCell<Forks<World, P, S>>>;

/// A kind of part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry<const PROGRAM: usize, const SECTOR: usize> {
    pub(crate) rewrites: Rewrites,
    /// Whether torn units cannot be read: then the driver is wrapped as one for such a part has to be.
    pub(crate) torn_reads_fail: bool,
    /// Of the images.
    pub(crate) bytes: usize,
}

impl<const PROGRAM: usize, const SECTOR: usize> Geometry<PROGRAM, SECTOR> {
    pub(crate) fn layout(&self, scenario: &Scenario) -> Layout {
        let sector = SECTOR as u32;
        let room = |bytes: usize| (bytes as u32).next_multiple_of(sector);
        let payload = scenario
            .offers
            .iter()
            .map(|offer| offer.payload.len())
            .max()
            .unwrap();
        let slot = slot_header_bytes(sector) + room(self.bytes) + room(payload) + sector;
        let layout = Layout::packed(sector, slot);
        if scenario.staging_area {
            return layout.with_staging(room(payload));
        }
        layout
    }

    /// Explores `scenario`; the uncut run's part tells its wear.
    pub(crate) fn explore(
        &self,
        scenario: &Scenario,
        limits: Limits,
    ) -> (Explored, SimFlash<PROGRAM, SECTOR>) {
        let mut device = self.device(scenario);
        let world = Self::world();
        let shipped = self.shipped(&device);
        Explorer::new(limits, world).explore(shipped, |probe, forks, cuts| device.run(probe, forks, cuts))
    }

    /// How often each sector is erased in one undisturbed run, up to the goal.
    pub(crate) fn wear(&self, scenario: &Scenario) -> (Layout, Vec<u32>) {
        let layout = self.layout(scenario);
        let mut device = self.device(scenario);
        device.stops_at_goal = true;
        let shipped = self.shipped(&device);
        let limits = Limits {
            depth: 0,
            tears: Tears::Few,
            states_max: None,
            deeper_max: None,
            seed: 0,
        };
        let before = shipped.wear().to_vec();
        let explorer = Explorer::new(limits, Self::world());
        let (_, after) = explorer.explore(shipped, |probe, forks, cuts| device.run(probe, forks, cuts));
        let erased = after
            .wear()
            .iter()
            .zip(before)
            .map(|(after, before)| after - before);
        (layout, erased.collect())
    }

    fn shipped(&self, device: &Device<'_, PROGRAM, SECTOR>) -> SimFlash<PROGRAM, SECTOR> {
        let flash = device.shipped(self.rewrites);
        match self.torn_reads_fail {
            true => flash.failing_torn_reads(),
            false => flash,
        }
    }

    fn world() -> World {
        World {
            contacted: SHIPPED,
            running: SHIPPED,
            confirmed: SHIPPED,
            ..World::default()
        }
    }

    fn device<'s>(&self, scenario: &'s Scenario) -> Device<'s, PROGRAM, SECTOR> {
        Device {
            scenario,
            layout: self.layout(scenario),
            last: scenario.last(),
            memory: vec![0; MEMORY_BYTES],
            program_once: self.rewrites == Rewrites::Once,
            stops_at_goal: false,
        }
    }
}

struct Device<'s, const PROGRAM: usize, const SECTOR: usize> {
    scenario: &'s Scenario,
    layout: Layout,
    last: Offer,
    memory: Vec<u8>,
    program_once: bool,
    stops_at_goal: bool,
}

enum Ended {
    Reboot,
    Done,
}

impl<const PROGRAM: usize, const SECTOR: usize> Device<'_, PROGRAM, SECTOR> {
    /// As it leaves the factory, but for remains of older images where the next one goes.
    fn shipped(&self, rewrites: Rewrites) -> SimFlash<PROGRAM, SECTOR> {
        let flash = RefCell::new(SimFlash::<PROGRAM, SECTOR>::part(
            self.layout.end_bytes(),
            rewrites,
        ));
        let release = self.scenario.release(SHIPPED).unwrap();
        let provision = Vendor::OURS.provision();
        provision
            .write(Region::new(&flash, self.layout.provision))
            .unwrap();
        for (slot, content) in [
            (Slot::A, &release.image),
            (Slot::B, &vec![0x3C; self.bytes_of_slot()]),
        ] {
            let mut image = content.clone();
            image.resize(image.len().next_multiple_of(PROGRAM), 0xFF);
            let region = SlotRegion::new(Region::new(&flash, self.layout.slot(slot)));
            region.program_image(ImageOffset(0), &image).unwrap();
        }
        let slot = SlotRegion::new(Region::new(&flash, self.layout.slot_a));
        slot.write_envelope(&release.envelope).unwrap();
        let confirmed = BootRecord::Confirmed { sequence: SHIPPED };
        let region = Region::new(&flash, self.layout.boot_log);
        BootLog::open(region).unwrap().append(confirmed).unwrap();
        BootLog::open(region).unwrap().settle().unwrap();
        if self.scenario.journal_nearly_full {
            self.fill_journal(&flash);
        }
        let mut flash = flash.into_inner();
        flash.restart();
        flash
    }

    /// Starts the device until three more would fill the bank in which the journal begins.
    fn fill_journal(&self, flash: &RefCell<SimFlash<PROGRAM, SECTOR>>) {
        let mut before = Vec::new();
        let banks_erased = || flash.borrow().wear().iter().filter(|erased| **erased > 0).count();
        self.start(flash);
        let began = banks_erased();
        while banks_erased() == began {
            before.push(flash.borrow().clone());
            self.start(flash);
        }
        let few_left = before.len().saturating_sub(4);
        flash.replace(before.swap_remove(few_left));
    }

    fn start(&self, flash: &RefCell<SimFlash<PROGRAM, SECTOR>>) {
        let boot = deltagate_bootloader::run(flash, &self.layout, None, &mut |_| {}).unwrap();
        let (mut memory, provision) = ([], Vendor::OURS.provision());
        Agent::new(self.config(), provision, flash, boot.info, &mut memory, 1, 0).unwrap();
    }

    fn bytes_of_slot(&self) -> usize {
        self.layout.image_capacity_bytes() as usize
    }

    fn config(&self) -> Config {
        let mut config = Config::new(self.layout, &[1, 2, 3, 4, 5, 6]).unwrap();
        config.block_size_max = BLOCK;
        config.program_once = self.program_once;
        if self.scenario.gate_has_its_time {
            config.defer_s_min = 0;
            config.defer_s_max = DEFER_S_MAX;
        }
        config
    }

    /// From power-on to the end.
    fn run(
        &mut self,
        probe: Probe<World, PROGRAM, SECTOR>,
        forks: &Shared<PROGRAM, SECTOR>,
        cuts: u32,
    ) -> SimFlash<PROGRAM, SECTOR> {
        let flash = RefCell::new(TornAsZeros(probe));
        let mut left_behind = None;
        let mut memory = std::mem::take(&mut self.memory);
        let mut now_ms = 0;
        let mut turns = 0;
        loop {
            let boot = deltagate_bootloader::run(&flash, &self.layout, left_behind.take(), &mut |_| {});
            let boot = boot.unwrap_or_else(|recovery| panic!("no image boots: {recovery}"));
            self.check_boot(&flash, &boot, &mut forks.borrow_mut().world);
            now_ms += 500;
            if self.scenario.hanging.contains(&boot.info.sequence) {
                left_behind = Some(RevertReason::Watchdog);
                turns += 1;
                assert!(turns < TURNS_MAX, "it hangs for ever");
                continue;
            }
            match self.run_agent(&flash, forks, &boot, &mut memory, &mut now_ms, &mut turns) {
                Ended::Reboot => {}
                Ended::Done => break,
            }
        }
        self.memory = memory;
        let flash = flash.into_inner().0.flash;
        assert_eq!(
            flash.rules_broken(),
            0,
            "the part was asked for what it cannot do"
        );
        self.check_wear(&flash, cuts);
        flash
    }

    /// Each sector of a slot is erased once for an update, and once more for a restart.
    fn check_wear(&self, flash: &SimFlash<PROGRAM, SECTOR>, cuts: u32) {
        let first = (self.layout.slot_a.offset / SECTOR as u32) as usize;
        let most = flash.wear().iter().skip(first).max().copied().unwrap_or(0);
        let updates = self.scenario.offers.len() as u32;
        assert!(
            most <= updates + cuts,
            "{most} erases of a sector in {updates} updates with {cuts} power cuts"
        );
    }

    /// An image that we signed, bit for bit, and none older than the highest confirmed one; the counter only rises, and
    /// not before a contact.
    fn check_boot<F: NorFlash>(&self, flash: &RefCell<F>, boot: &Boot, world: &mut World) {
        let state = BootLog::open(Region::new(flash, self.layout.boot_log))
            .unwrap()
            .state();
        let confirmed = state.confirmed.expect("the factory confirmed one");
        assert!(confirmed >= world.confirmed, "the counter fell to {confirmed}");
        assert!(
            confirmed <= world.contacted,
            "{confirmed} was confirmed without contact"
        );
        world.confirmed = confirmed;
        let sequence = boot.info.sequence;
        assert!(sequence >= confirmed, "{sequence} is older than {confirmed}");
        assert_ne!(
            Some(sequence),
            world.cancelled,
            "it said that this update was cancelled"
        );
        assert!(
            boot.info.on_trial != (sequence == confirmed),
            "{sequence} runs, {confirmed} is confirmed"
        );
        let release = self.scenario.release(sequence).expect("one that we signed");
        assert_eq!(boot.image.image_bytes as usize, release.image.len());
        let mut image = vec![0; release.image.len()];
        SlotRegion::new(Region::new(flash, self.layout.slot(boot.info.slot)))
            .read_image(ImageOffset(0), &mut image)
            .unwrap();
        assert!(
            image == release.image,
            "other bytes than those signed as {sequence}"
        );
    }

    fn run_agent(
        &self,
        flash: &RefCell<TornAsZeros<Probe<World, PROGRAM, SECTOR>>>,
        forks: &Shared<PROGRAM, SECTOR>,
        boot: &Boot,
        memory: &mut [u8],
        now_ms: &mut u64,
        turns: &mut u32,
    ) -> Ended {
        let provision = Vendor::OURS.provision();
        let mut agent = Agent::new(self.config(), provision, flash, boot.info, memory, 1, *now_ms).unwrap();
        let sequence = boot.info.sequence;
        let is_deaf = self.scenario.deaf.contains(&sequence);
        let most_again = BLOCK.bytes().max(PROGRAM as u32);
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            *turns += 1;
            assert!(*turns < TURNS_MAX, "stuck: {:?}", forks.borrow().world);
            let gate = (self.scenario.gate)(&forks.borrow().world);
            agent.set_gate(*now_ms, gate);
            while let Some(effect) = agent.poll_effect() {
                match effect {
                    Effect::Event(event) => self.witness(event, sequence, &mut forks.borrow_mut().world),
                    Effect::Reboot => {
                        let may = boot.info.on_trial
                            || gate.restart == Verdict::Clear
                            || self.scenario.gate_has_its_time;
                        assert!(may, "it restarts though that is put off");
                        return Ended::Reboot;
                    }
                }
            }
            if agent.work(*now_ms) {
                continue;
            }
            if let Some(length) = agent.poll_transmit(&mut buffer) {
                if is_deaf {
                    continue;
                }
                let mut forks = forks.borrow_mut();
                let replies = forks
                    .world
                    .answer(self.scenario, &self.last, most_again, &buffer[..length]);
                forks.enabled &= !forks.world.finale;
                if forks.world.done || self.stops_at_goal && forks.world.finale {
                    return Ended::Done;
                }
                drop(forks);
                for mut reply in replies {
                    agent.handle_datagram(*now_ms, &mut reply);
                }
                continue;
            }
            if let Some(at_ms) = agent.poll_timeout() {
                *now_ms = (*now_ms).max(at_ms);
                agent.handle_timeout(*now_ms);
            }
        }
    }

    fn witness(&self, event: Event, sequence: u32, world: &mut World) {
        match event {
            Event::Confirmed { sequence } => world.confirmed = world.confirmed.max(sequence),
            Event::Accepted { .. } => world.accepted(self.scenario, &self.last),
            Event::Dropped { outcome, .. } => {
                // The gateway took back what it offered, half fetched or waiting for its restart.
                let is_taken_back = match outcome {
                    wire_checkin::Outcome::PayloadChanged => true,
                    wire_checkin::Outcome::Cancelled => world.put_off[1] > 0,
                    _ => false,
                };
                let expected = is_taken_back && self.scenario.offers.len() > 1;
                assert!(expected, "{sequence} dropped its update: {outcome}");
                world.dropped();
            }
            Event::Reverting { sequence, .. } => {
                assert!(self.scenario.deaf.contains(&sequence), "{sequence} was given up");
            }
            Event::FlashFailed => panic!("the flash failed without a power cut"),
            _ => {}
        }
    }
}
