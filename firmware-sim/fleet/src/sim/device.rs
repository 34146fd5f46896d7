//! One simulated device: the real bootloader and the real agent on a simulated flash.

use super::release::{Behaviour, SignedImage};
use deltagate_agent::{Agent, Config, DATAGRAM_BYTES_MAX, Effect, Event};
use deltagate_bootloader::{Boot, Recovery};
use deltagate_flash::sim::{PowerCut, SimFlash};
use deltagate_flash::{
    BootLog, Credentials, Layout, OwnKey, Partition, Region, RevertReason, keyed_credentials_behind,
};
use std::cell::RefCell;

/// Flash of every simulated device: two slots of 128 KiB.
pub const LAYOUT: Layout = Layout::packed(4096, 32 * 4096);

/// Where the credentials of a simulated device are, or a key of its own, if it was given any.
pub const CREDENTIALS: Partition = keyed_credentials_behind(&LAYOUT);

/// Memory a simulated device gives to a decoder.
pub const DECODER_MEMORY_BYTES: usize = 16 * 1_024;

/// How long a boot takes.
const BOOT_US: u64 = 500_000;

/// How long the watchdog waits for a hanging image.
const WATCHDOG_US: u64 = 8_000_000;

/// How long one bounded step of the agent's work takes: an erase, or a few hundred bytes decoded.
const WORK_STEP_US: u64 = 2_000;

/// What a device is made of and what outlives its agent.
#[derive(Debug)]
pub struct Hardware {
    /// What is where in its flash.
    pub layout: Layout,
    /// The flash, across power cycles.
    pub flash: RefCell<SimFlash>,
    /// One decoder memory for each boot, so that each agent borrows its own.
    pub memories: Vec<Vec<u8>>,
    /// Whether it asks what the newest release is.
    pub freshness: bool,
}

/// Boots that one device may need in one run. A run in which a device needs more has failed.
pub const BOOTS_MAX: usize = 64;

impl Hardware {
    /// A device with this flash.
    pub fn new(flash: SimFlash) -> Self {
        Self::with_decoder_memory(flash, DECODER_MEMORY_BYTES)
    }

    /// A device with this flash that gives a decoder so many bytes.
    pub fn with_decoder_memory(flash: SimFlash, bytes: usize) -> Self {
        Self::with_layout(LAYOUT, flash, bytes)
    }

    /// A device with this flash, and behind it a place for sets of trust anchors.
    pub fn with_anchors(flash: SimFlash) -> Self {
        Self::with_layout(LAYOUT.with_anchors(), flash, DECODER_MEMORY_BYTES)
    }

    fn with_layout(layout: Layout, flash: SimFlash, bytes: usize) -> Self {
        let mut whole = flash.bytes().to_vec();
        let credentials = keyed_credentials_behind(&layout);
        let end = (credentials.offset + credentials.bytes) as usize;
        whole.resize(whole.len().max(end), 0xFF);
        Self {
            layout,
            flash: RefCell::new(SimFlash::from_bytes(whole)),
            memories: vec![vec![0; bytes]; BOOTS_MAX],
            freshness: false,
        }
    }

    /// The same device with these credentials.
    #[must_use]
    pub fn enrolled(self, record: &[u8]) -> Self {
        enrol(&self.flash, record);
        self
    }

    /// The same device with a key of its own.
    #[must_use]
    pub fn keyed(self, key: &OwnKey) -> Self {
        key.write(Region::new(&self.flash, CREDENTIALS))
            .expect("a simulated part with power takes a record");
        self
    }
}

/// Brings credentials onto a device that is switched off.
pub fn enrol(flash: &RefCell<SimFlash>, record: &[u8]) {
    Credentials::write(record, Region::new(flash, CREDENTIALS))
        .expect("a simulated part with power takes a record");
}

/// What a device did when it was given the chance.
#[derive(Debug)]
pub(super) struct Acted {
    /// Datagrams for the gateway.
    pub sent: Vec<Vec<u8>>,
    /// When to wake it next; a later word of the device replaces this one.
    pub wake_us: Option<u64>,
}

/// What runs on the device.
enum Running<'h> {
    /// Off, or in the bootloader, until a time.
    Booting { until_us: u64 },
    /// An image whose agent works; a dead network swallows what it says.
    Agent {
        agent: Box<Agent<'h, SimFlash>>,
        network: bool,
        /// When it was started. It has no other clock: its time begins here.
        since_us: u64,
    },
    /// An image that does nothing until the watchdog bites.
    Hanging { until_us: u64 },
}

/// A device on virtual time.
pub(super) struct Device<'h> {
    id: [u8; 6],
    layout: Layout,
    flash: &'h RefCell<SimFlash>,
    memories: std::slice::IterMut<'h, Vec<u8>>,
    freshness: bool,
    releases: &'h [SignedImage],
    running: Running<'h>,
    left_behind: Option<RevertReason>,
    seed: u64,
    boots: u64,
    history: Vec<Moment>,
}

/// Something that happened on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The bootloader started the image with this sequence number.
    Booted {
        /// Of the image.
        sequence: u32,
        /// Whether it is on trial.
        on_trial: bool,
    },
    /// The agent said something.
    Said(Event),
    /// The power was cut.
    PowerCut,
}

impl<'h> Device<'h> {
    /// A device that boots at time zero.
    pub(super) fn new(
        id: [u8; 6],
        hardware: &'h mut Hardware,
        releases: &'h [SignedImage],
        seed: u64,
    ) -> Self {
        Self {
            id,
            layout: hardware.layout,
            flash: &hardware.flash,
            freshness: hardware.freshness,
            memories: hardware.memories.iter_mut(),
            releases,
            running: Running::Booting { until_us: BOOT_US },
            left_behind: None,
            seed,
            boots: 0,
            history: Vec::new(),
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> [u8; 6] {
        self.id
    }

    /// What happened so far.
    pub(super) fn history(&self) -> &[Moment] {
        &self.history
    }

    fn wake_us(&self, now_us: u64) -> Option<u64> {
        match &self.running {
            Running::Booting { until_us } | Running::Hanging { until_us } => Some(*until_us),
            Running::Agent { agent, since_us, .. } => {
                let wake_us = |at_ms: u64| (since_us + at_ms * 1_000).max(now_us);
                agent.poll_timeout().map(wake_us)
            }
        }
    }

    /// Hands it a datagram, and lets it act on it as [`Device::wake`] does.
    pub(super) fn receive(&mut self, now_us: u64, datagram: &[u8]) -> Result<Acted, String> {
        if let Running::Agent {
            agent,
            network: true,
            since_us,
        } = &mut self.running
        {
            agent.handle_datagram(uptime_ms(now_us, *since_us), &mut datagram.to_vec());
        }
        Ok(self.act(now_us))
    }

    /// Lets it do what is due.
    pub(super) fn wake(&mut self, now_us: u64) -> Result<Acted, String> {
        match &mut self.running {
            Running::Booting { until_us } if *until_us <= now_us => self.boot(now_us)?,
            Running::Hanging { until_us } if *until_us <= now_us => {
                self.restart(now_us, Some(RevertReason::Watchdog));
            }
            Running::Agent { agent, since_us, .. } => {
                agent.handle_timeout(uptime_ms(now_us, *since_us));
            }
            _ => {}
        }
        Ok(self.act(now_us))
    }

    /// Drains the agent, and gives it one step of work when it is up to nothing else.
    fn act(&mut self, now_us: u64) -> Acted {
        let mut sent = self.drain(now_us);
        let mut more = false;
        if let Running::Agent { agent, since_us, .. } = &mut self.running {
            more = agent.work(uptime_ms(now_us, *since_us));
            sent.extend(self.drain(now_us));
        }
        let working = more && matches!(self.running, Running::Agent { .. });
        Acted {
            sent,
            wake_us: if working {
                Some(now_us + WORK_STEP_US)
            } else {
                self.wake_us(now_us)
            },
        }
    }

    /// Cuts the power now and gives it back.
    pub(super) fn cut_power(&mut self, now_us: u64) {
        self.history.push(Moment::PowerCut);
        self.flash.borrow_mut().restart();
        self.restart(now_us, None);
    }

    /// Switches the device off, lets somebody at its flash, and switches it on again.
    pub(super) fn service(&mut self, now_us: u64, work: impl FnOnce(&RefCell<SimFlash>)) {
        self.cut_power(now_us);
        work(self.flash);
    }

    /// Cuts the power in the middle of the `operations`th flash operation from now.
    pub(super) fn cut_power_in(&mut self, operations: u64, torn_at: u32) {
        let mut flash = self.flash.borrow_mut();
        let operation = flash.operations() + operations;
        flash.cut_power_at(PowerCut { operation, torn_at });
    }

    /// Lets its application ask for other keys, if it runs.
    pub(super) fn renew_keys(&mut self) {
        if let Running::Agent { agent, .. } = &mut self.running {
            agent.renew_keys();
        }
    }

    /// The highest sequence number this device has confirmed.
    pub(super) fn confirmed(&self) -> Option<u32> {
        BootLog::open(Region::new(self.flash, self.layout.boot_log))
            .ok()?
            .state()
            .confirmed
    }

    fn restart(&mut self, now_us: u64, left_behind: Option<RevertReason>) {
        self.left_behind = left_behind;
        self.running = Running::Booting {
            until_us: now_us + BOOT_US,
        };
    }

    fn boot(&mut self, now_us: u64) -> Result<(), String> {
        self.boots += 1;
        let left_behind = self.left_behind.take();
        let mut outcome = deltagate_bootloader::run(self.flash, &self.layout, left_behind, &mut |_| {});
        if let Err(Recovery::Crashed(_)) = outcome {
            // No technician comes: it restarts after its window, which this simulation leaves out.
            outcome = deltagate_bootloader::run(self.flash, &self.layout, None, &mut |_| {});
        }
        if !self.flash.borrow().is_powered() {
            self.cut_power(now_us);
            return Ok(());
        }
        let boot =
            outcome.map_err(|recovery| format!("boot {} ended in recovery: {recovery}", self.boots))?;
        let release = self.judge(&boot)?;
        self.history.push(Moment::Booted {
            sequence: boot.info.sequence,
            on_trial: boot.info.on_trial,
        });
        match release.behaviour {
            Behaviour::Good => self.start_agent(now_us, &boot, true),
            Behaviour::DeadNetwork => self.start_agent(now_us, &boot, false),
            Behaviour::Faults => {
                self.restart(now_us, Some(RevertReason::Fault));
                Ok(())
            }
            Behaviour::Hangs => {
                self.running = Running::Hanging {
                    until_us: now_us + WATCHDOG_US,
                };
                Ok(())
            }
        }
    }

    /// The promise of every boot: a release we signed, bit for bit, and never below the highest
    /// confirmed sequence number.
    fn judge(&self, boot: &Boot) -> Result<&'h SignedImage, String> {
        let release = self
            .releases
            .iter()
            .find(|release| u64::from(release.sequence) == u64::from(boot.info.sequence))
            .ok_or_else(|| format!("booted sequence {} that nobody signed", boot.info.sequence))?;
        let slot =
            deltagate_flash::SlotRegion::new(Region::new(self.flash, self.layout.slot(boot.info.slot)));
        let mut image = vec![0; release.image.len()];
        slot.read_image(deltagate_flash::ImageOffset(0), &mut image)
            .map_err(|error| format!("reading the booted slot: {error}"))?;
        if image != release.image {
            return Err(format!("booted sequence {} with other bytes", release.sequence));
        }
        match self.confirmed() {
            Some(confirmed) if boot.info.sequence < confirmed => Err(format!(
                "booted sequence {} below the confirmed {confirmed}",
                boot.info.sequence
            )),
            _ => Ok(release),
        }
    }

    fn start_agent(&mut self, now_us: u64, boot: &Boot, network: bool) -> Result<(), String> {
        let memory = self
            .memories
            .next()
            .ok_or_else(|| format!("needed more than {BOOTS_MAX} boots"))?;
        let mut config = Config::new(self.layout, &self.id).ok_or("six bytes are a device id")?;
        config.contact_ms_max = 120_000;
        config.credentials = Some(keyed_credentials_behind(&self.layout));
        config.freshness = self.freshness;
        let agent = Agent::new(
            config,
            boot.provision,
            self.flash,
            boot.info,
            memory,
            self.seed,
            uptime_ms(now_us, now_us),
        );
        if !self.flash.borrow().is_powered() {
            self.cut_power(now_us);
            return Ok(());
        }
        let agent = Box::new(agent.map_err(|error| format!("the agent does not start: {error}"))?);
        self.running = Running::Agent {
            agent,
            network,
            since_us: now_us,
        };
        Ok(())
    }

    /// Takes what the agent has to say. What it said while its power failed was never said.
    fn drain(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let Running::Agent { agent, network, .. } = &mut self.running else {
            return Vec::new();
        };
        let mut sent = Vec::new();
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(length) = agent.poll_transmit(&mut buffer) {
            if *network {
                sent.push(buffer[..length].to_vec());
            }
        }
        let mut reboot = false;
        while let Some(effect) = agent.poll_effect() {
            match effect {
                Effect::Event(event) => self.history.push(Moment::Said(event)),
                Effect::Reboot => reboot = true,
            }
        }
        if !self.flash.borrow().is_powered() {
            self.cut_power(now_us);
            return Vec::new();
        }
        if reboot {
            self.restart(now_us, None);
        }
        sent
    }
}

/// What a device without a clock counts.
fn uptime_ms(now_us: u64, since_us: u64) -> u64 {
    (now_us - since_us) / 1_000
}
