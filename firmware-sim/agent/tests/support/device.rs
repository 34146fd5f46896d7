//! A device: flash, bootloader, agent, and the link to its gateway, on virtual time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use deltagate_agent::{Agent, Config, DATAGRAM_BYTES_MAX, Effect, Event, Gate, Stats};
use deltagate_flash::sim::{PowerCut, SimFlash};
use deltagate_flash::{
    BootInfo, BootLog, BootLogState, BootRecord, Layout, Provision, Region, Slot, SlotRegion,
};
use deltagate_updater::{SingleSlot, Status, Updater};
use wire_coap::BlockSize;

use super::{Gateway, Release, Rng, Vendor};

/// Two slots of a header sector and four sectors.
pub const LAYOUT: Layout = Layout::packed(4096, 5 * 4096);
/// How long a boot takes.
pub const BOOT_MS: u64 = 500;
/// By when every scenario must have come to its end.
pub const DEADLINE_MS: u64 = 48 * 3_600_000;

const MEMORY_BYTES: usize = 4_096;

/// What happens to datagrams.
#[derive(Debug, Clone)]
pub struct Link {
    pub delay_ms: u64,
    pub jitter_ms: u64,
    pub loss_percent: u64,
    pub duplicate_percent: u64,
    pub rng: Rng,
}

impl Link {
    pub fn perfect() -> Self {
        Self {
            delay_ms: 500,
            jitter_ms: 0,
            loss_percent: 0,
            duplicate_percent: 0,
            rng: Rng::new(1),
        }
    }

    pub fn bad(seed: u64) -> Self {
        Self {
            delay_ms: 300,
            jitter_ms: 9_000,
            loss_percent: 20,
            duplicate_percent: 20,
            rng: Rng::new(seed),
        }
    }

    /// When the copies of a datagram arrive.
    fn carry(&mut self, now_ms: u64) -> Vec<u64> {
        let copies = if self.rng.chance(self.duplicate_percent) {
            2
        } else {
            1
        };
        let arrivals = (0..copies).filter_map(|_| {
            let lost = self.rng.chance(self.loss_percent);
            let jitter = self.rng.next() % (self.jitter_ms + 1);
            (!lost).then_some(now_ms + self.delay_ms + jitter)
        });
        arrivals.collect()
    }
}

/// The device and all around it.
pub struct Device {
    pub flash: RefCell<SimFlash>,
    pub config: Config,
    pub gateway: Gateway,
    pub link: Link,
    pub now_ms: u64,
    pub seed: u64,
    pub boots: Vec<BootInfo>,
    /// Whom the bootloader said last that the device believes.
    pub trust: Option<Provision>,
    pub events: Vec<Event>,
    pub stats: Stats,
    /// The image of this sequence number has no network.
    pub deaf_sequence: Option<u32>,
    /// The verdict of the application's self-test on an image on trial, and so long after its start.
    pub self_test: Option<(u64, bool)>,
    /// What the application says to updates.
    pub gate: Gate,
    /// What it says from these times on, earliest first.
    pub gates: Vec<(u64, Gate)>,
    /// The agent is ended and started anew after every datagram that reaches it.
    pub forgetful: bool,
    /// How often that was done.
    pub sleeps: usize,
    /// Updates are made in place, by the updater that is run at every start.
    pub single_slot: Option<SingleSlot>,
    /// The next power cut, in flash operations from the next boot on.
    pub cut: Option<PowerCut>,
    /// The one after that, from the boot after it on.
    pub cut_again: Option<PowerCut>,
    pub power_cuts: usize,
    on_way: BTreeMap<(u64, u64), (End, Vec<u8>)>,
    sent: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Gateway,
    Device,
}

enum Ended {
    Reboot,
    PowerLost,
    Done,
    Asleep,
}

impl Device {
    /// A device from the factory that runs `release`, confirmed, and believes `Vendor::OURS`.
    pub fn new(release: &Release, gateway: Gateway) -> Self {
        Self::with_layout(LAYOUT, release, gateway)
    }

    /// The same on another part.
    pub fn with_layout(layout: Layout, release: &Release, gateway: Gateway) -> Self {
        let flash = RefCell::new(SimFlash::new(layout.end_bytes()));
        Vendor::OURS
            .provision()
            .write(Region::new(&flash, layout.provision))
            .unwrap();
        let slot = SlotRegion::new(Region::new(&flash, layout.slot(Slot::A)));
        slot.write_envelope(&release.envelope).unwrap();
        let mut image = release.image.clone();
        image.resize(image.len().next_multiple_of(4), 0xFF);
        slot.program_image(deltagate_flash::ImageOffset(0), &image)
            .unwrap();
        // The spare slot is never blank in the field: remains of an older image lie in it.
        let spare = layout.slot(Slot::B);
        let remains = (spare.offset + layout.sector_bytes) as usize..(spare.offset + spare.bytes) as usize;
        flash.borrow_mut().bytes_mut()[remains].fill(0x3C);
        let confirmed = BootRecord::Confirmed {
            sequence: release.sequence,
        };
        BootLog::open(Region::new(&flash, layout.boot_log))
            .unwrap()
            .append(confirmed)
            .unwrap();
        if let Some(staging) = layout.staging {
            let remains = staging.offset as usize..(staging.offset + staging.bytes) as usize;
            flash.borrow_mut().bytes_mut()[remains].fill(0x3C);
        }
        let mut config = Config::new(layout, &[1, 2, 3, 4, 5, 6]).unwrap();
        config.block_size_max = BlockSize::B128;
        Self {
            flash,
            config,
            gateway,
            link: Link::perfect(),
            now_ms: 0,
            seed: 1,
            boots: Vec::new(),
            trust: None,
            events: Vec::new(),
            stats: Stats::default(),
            deaf_sequence: None,
            self_test: None,
            gate: Gate::CLEAR,
            gates: Vec::new(),
            forgetful: false,
            sleeps: 0,
            single_slot: None,
            cut: None,
            cut_again: None,
            power_cuts: 0,
            on_way: BTreeMap::new(),
            sent: 0,
        }
    }

    pub fn boot_log(&self) -> BootLogState {
        BootLog::open(Region::new(&self.flash, self.config.layout.boot_log))
            .unwrap()
            .state()
    }

    pub fn said(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| what(event)).count()
    }

    /// Runs until `done` holds; panics when that takes longer than [`DEADLINE_MS`].
    pub fn run_until(&mut self, done: impl Fn(&Device) -> bool) {
        let mut memory = vec![0; MEMORY_BYTES];
        loop {
            match self.power_on(&mut memory, &done) {
                Ended::Done => return,
                Ended::Reboot | Ended::Asleep => {}
                Ended::PowerLost => {
                    self.flash.borrow_mut().restart();
                    self.power_cuts += 1;
                    self.cut = self.cut_again.take();
                }
            }
            self.now_ms += BOOT_MS;
        }
    }

    fn power_on(&mut self, memory: &mut [u8], done: &impl Fn(&Device) -> bool) -> Ended {
        let before = self.boot_log();
        if let Some(cut) = self.cut.take() {
            let operation = cut.operation + self.flash.borrow().operations();
            self.flash
                .borrow_mut()
                .cut_power_at(PowerCut { operation, ..cut });
        }
        self.update_in_place();
        if !self.flash.borrow().is_powered() {
            return Ended::PowerLost;
        }
        let booted = deltagate_bootloader::run(&self.flash, &self.config.layout, None, &mut |_| {});
        if !self.flash.borrow().is_powered() {
            return Ended::PowerLost;
        }
        let booted = booted.expect("an image boots");
        let boot = booted.info;
        self.trust = Some(booted.provision);
        assert!(
            Some(boot.sequence) >= before.confirmed,
            "never older than confirmed"
        );
        self.boots.push(boot);
        self.seed += 1;
        // The agent borrows the flash for as long as it lives, and the device is needed beside it.
        let flash = std::mem::replace(&mut self.flash, RefCell::new(SimFlash::new(0)));
        let ended = self.run_agent(&flash, memory, boot, done);
        self.flash = flash;
        match ended {
            Ended::Done => Ended::Done,
            _ if !self.flash.borrow().is_powered() => Ended::PowerLost,
            ended => ended,
        }
    }

    /// What a device with a single slot does before it decides what starts.
    fn update_in_place(&self) {
        let Some(layout) = self.single_slot else {
            return;
        };
        let mut memory = [0xA5; MEMORY_BYTES];
        let mut updater = match Updater::open(&self.flash, layout, &mut memory) {
            Ok(updater) => updater,
            Err(fault) => return assert!(!self.flash.borrow().is_powered(), "{fault}"),
        };
        while updater.status() == Status::Working {
            if let Err(fault) = updater.step() {
                return assert!(!self.flash.borrow().is_powered(), "{fault}");
            }
        }
    }

    fn run_agent(
        &mut self,
        flash: &RefCell<SimFlash>,
        memory: &mut [u8],
        boot: BootInfo,
        done: &impl Fn(&Device) -> bool,
    ) -> Ended {
        loop {
            let provision = self.trust.unwrap();
            let (config, seed) = (self.config, self.seed);
            let agent = Agent::new(config, provision, flash, boot, &mut *memory, seed, self.now_ms);
            if !flash.borrow().is_powered() {
                return Ended::PowerLost;
            }
            let mut agent = agent.expect("the agent starts");
            match self.live(&mut agent, flash, boot, done) {
                Ended::Asleep => self.now_ms = self.now_ms.max(agent.suspend(self.now_ms)),
                ended => return ended,
            }
            self.sleeps += 1;
            self.seed += 1;
        }
    }

    fn live(
        &mut self,
        agent: &mut Agent<'_, SimFlash>,
        flash: &RefCell<SimFlash>,
        boot: BootInfo,
        done: &impl Fn(&Device) -> bool,
    ) -> Ended {
        agent.set_gate(self.now_ms, self.gate);
        let mut self_test_ms = boot
            .on_trial
            .then_some(self.self_test)
            .flatten()
            .map(|(after_ms, _)| self.now_ms + after_ms);
        loop {
            if self_test_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
                self_test_ms = None;
                let (_, passed) = self.self_test.unwrap();
                agent.handle_self_test(self.now_ms, passed);
            }
            while self.gates.first().is_some_and(|(at_ms, _)| *at_ms <= self.now_ms) {
                self.gate = self.gates.remove(0).1;
                agent.set_gate(self.now_ms, self.gate);
            }
            let reboot = self.drain(agent, boot.sequence);
            self.stats = agent.stats();
            if !flash.borrow().is_powered() {
                return Ended::PowerLost;
            }
            if reboot {
                return Ended::Reboot;
            }
            if done(self) {
                return Ended::Done;
            }
            assert!(self.now_ms < DEADLINE_MS, "too late: {:?}", self.events.last());
            if agent.work(self.now_ms) {
                self.now_ms += 2;
                continue;
            }
            let reboot = self.drain(agent, boot.sequence);
            if reboot || !flash.borrow().is_powered() {
                return Ended::Reboot;
            }
            let said = self.gates.first().map(|(at_ms, _)| *at_ms);
            let reached = self.advance(agent, said.into_iter().chain(self_test_ms).min());
            if reached && self.forgetful && !boot.on_trial {
                while agent.work(self.now_ms) {
                    self.now_ms += 2;
                }
                let reboot = self.take_effects(agent);
                return if reboot { Ended::Reboot } else { Ended::Asleep };
            }
        }
    }

    /// Lets the next thing happen, at the latest at `until_ms`; whether a datagram reached the agent.
    fn advance(&mut self, agent: &mut Agent<'_, SimFlash>, until_ms: Option<u64>) -> bool {
        let arrival = self.on_way.first_key_value().map(|((at_ms, _), _)| *at_ms);
        let timeout = agent.poll_timeout();
        let next = arrival
            .into_iter()
            .chain(timeout)
            .chain(until_ms)
            .min()
            .expect("the agent is never without a time");
        self.now_ms = self.now_ms.max(next);
        if arrival != Some(next) {
            agent.handle_timeout(self.now_ms);
            return false;
        }
        let (_, (end, mut datagram)) = self.on_way.pop_first().unwrap();
        match end {
            End::Device => {
                agent.handle_datagram(self.now_ms, &mut datagram);
                return true;
            }
            End::Gateway => {
                for reply in self.gateway.handle(&datagram) {
                    self.send(End::Device, reply);
                }
            }
        }
        false
    }

    fn drain(&mut self, agent: &mut Agent<'_, SimFlash>, sequence: u32) -> bool {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(length) = agent.poll_transmit(&mut buffer) {
            if self.deaf_sequence != Some(sequence) {
                self.send(End::Gateway, buffer[..length].to_vec());
            }
        }
        self.take_effects(agent)
    }

    fn take_effects(&mut self, agent: &mut Agent<'_, SimFlash>) -> bool {
        let mut reboot = false;
        while let Some(effect) = agent.poll_effect() {
            match effect {
                Effect::Event(event) => self.events.push(event),
                Effect::Reboot => reboot = true,
            }
        }
        reboot
    }

    fn send(&mut self, to: End, datagram: Vec<u8>) {
        for at_ms in self.link.carry(self.now_ms) {
            self.sent += 1;
            self.on_way.insert((at_ms, self.sent), (to, datagram.clone()));
        }
    }
}
