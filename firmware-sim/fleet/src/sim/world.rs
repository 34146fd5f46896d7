//! The event loop: devices, links and gateway on one agenda.

use super::device::{Acted, Device, Hardware, Moment};
use super::gateway::GatewaySide;
use super::release::SignedImage;
use crate::agenda::Agenda;
use crate::air::Air;
use crate::bridge::DeviceNumber;
use crate::link::{Direction, IP_UDP_HEADER_BYTES, LinkModel, LinkProfile, Traffic, Verdict};
use crate::rng::Rng;
use crate::tap::{Observed, Tap};
use deltagate_flash::sim::SimFlash;
use gateway_core::{BuildOutcome, CoreConfig, LinkConfig, Transmit};
use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;

/// How long the simulated worker pool takes for one build.
const BUILD_US: u64 = 3_000_000;

/// How long a killed gateway is away.
const GATEWAY_AWAY_US: u64 = 4_000_000;

/// The port every simulated device sends from.
const DEVICE_PORT: u16 = 40_000;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Chooses everything that is left to chance.
    pub seed: u64,
    /// The link of every device.
    pub profile: LinkProfile,
    /// The gateway's configuration.
    pub config: CoreConfig,
}

/// Something that goes wrong at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A device loses power between two flash operations.
    PowerCut {
        /// Which device.
        device: usize,
    },
    /// A device loses power within a flash operation.
    TornWrite {
        /// Which device.
        device: usize,
        /// How many operations still succeed.
        operations: u64,
        /// Bytes of the next one that happen.
        torn_at: u32,
    },
    /// `kill -9` of the gateway, and its restart four seconds later.
    GatewayKilled,
    /// A device's link carries nothing for a while.
    Outage {
        /// Whose.
        device: usize,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// A NAT between device and gateway gives the device another port. What is sent to the old one is lost.
    Rebound {
        /// Whose.
        device: usize,
    },
    /// The gateway's wall clock is set.
    ClockSet {
        /// To seconds since 1970.
        to_unix_s: u64,
    },
}

/// Why a run ended before its goal. Its text has the seed.
#[derive(Debug)]
pub struct Stopped {
    seed: u64,
    at_us: u64,
    why: String,
    histories: Vec<Vec<Moment>>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at_us / 1_000_000, self.at_us % 1_000_000);
        writeln!(f, "seed {}: at {seconds}.{micros:06} s: {}", self.seed, self.why)?;
        for (number, history) in self.histories.iter().enumerate() {
            let from = history.len().saturating_sub(HISTORY_SHOWN_MAX);
            for moment in &history[from..] {
                writeln!(f, "  device {number}: {moment:?}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Stopped {}

/// Moments shown of each device.
const HISTORY_SHOWN_MAX: usize = 30;

/// What comes next. A wake with an old ticket was replaced by a later plan.
enum Due {
    Device { device: usize, ticket: u64 },
    Gateway { ticket: u64 },
    AtGateway { device: usize, datagram: Vec<u8> },
    AtDevice { device: usize, datagram: Vec<u8> },
    Built { life: u32, outcome: Box<BuildOutcome> },
    Fault(Fault),
    GatewayBack,
}

/// A device with its link and its witness.
struct Place<'h> {
    device: Device<'h>,
    link: LinkModel,
    tap: Tap,
    observed: Observed,
    air: Air,
    ticket: u64,
    peer: SocketAddr,
    dark_until_us: u64,
}

/// The whole system.
pub struct World<'h> {
    scenario: Scenario,
    now_us: u64,
    agenda: Agenda<Due>,
    places: Vec<Place<'h>>,
    gateway: GatewaySide,
    gateway_up: bool,
    gateway_life: u32,
    gateway_ticket: u64,
    budget: Budget,
}

impl<'h> World<'h> {
    /// One device per piece of hardware, booting at time zero at moments drawn from the seed.
    pub fn new(scenario: Scenario, hardware: &'h mut [Hardware], releases: &'h [SignedImage]) -> Self {
        let mut rng = Rng::for_stream(scenario.seed, 0);
        let mut agenda = Agenda::new();
        let mut places = Vec::new();
        for (index, hardware) in hardware.iter_mut().enumerate() {
            let number = DeviceNumber(index as u16 + 1);
            let seed = rng.next_u64();
            places.push(Place {
                device: Device::new(number.mac(), hardware, releases, seed),
                link: LinkModel::new(scenario.profile, rng.next_u64()),
                tap: Tap::default(),
                observed: Observed::default(),
                air: Air::default(),
                ticket: 0,
                peer: SocketAddr::from((number.source(), DEVICE_PORT)),
                dark_until_us: 0,
            });
            // Devices do not boot in step: up to a second apart.
            let at_us = 500_000 + rng.below(1_000_000);
            agenda.push(
                at_us,
                Due::Device {
                    device: index,
                    ticket: 0,
                },
            );
        }
        Self {
            budget: Budget::new(&scenario.config.default_link),
            gateway: GatewaySide::new(scenario.config.clone()),
            scenario,
            now_us: 0,
            agenda,
            places,
            gateway_up: true,
            gateway_life: 0,
            gateway_ticket: 0,
        }
    }

    /// Enters something that will go wrong.
    pub fn plan(&mut self, at_us: u64, fault: Fault) {
        self.agenda.push(at_us, Due::Fault(fault));
    }

    /// Runs until `goal` holds. An error is a broken promise, or the goal missed at `limit_us`.
    pub fn run_until(&mut self, limit_us: u64, mut goal: impl FnMut(&Self) -> bool) -> Result<(), Stopped> {
        self.settle_gateway().map_err(|why| self.stopped(why))?;
        while !goal(self) {
            let Some((at_us, due)) = self.agenda.pop() else {
                return Err(self.stopped("nothing is planned any more".into()));
            };
            if at_us > limit_us {
                return Err(self.stopped("the goal was not reached in time".into()));
            }
            self.now_us = at_us;
            self.happen(due).map_err(|why| self.stopped(why))?;
        }
        Ok(())
    }

    /// Virtual time.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Switches a device off, lets somebody at its flash, and switches it on again.
    pub fn service(&mut self, device: usize, work: impl FnOnce(&RefCell<SimFlash>)) {
        self.places[device].device.service(self.now_us, work);
        self.plan_device(device, Some(self.now_us));
    }

    /// Lets a device's application ask for other keys.
    pub fn renew_keys(&mut self, device: usize) {
        self.places[device].device.renew_keys();
    }

    /// The gateway, for commands and questions.
    pub fn gateway(&mut self) -> &mut GatewaySide {
        &mut self.gateway
    }

    /// How many deltas the gateway ever started to build.
    pub fn delta_builds(&self) -> u32 {
        self.gateway.delta_builds()
    }

    /// What happened on a device.
    pub fn history(&self, device: usize) -> &[Moment] {
        self.places[device].device.history()
    }

    /// A device's id.
    pub fn device_id(&self, device: usize) -> [u8; 6] {
        self.places[device].device.id()
    }

    /// The highest sequence number a device has confirmed.
    pub fn confirmed(&self, device: usize) -> Option<u32> {
        self.places[device].device.confirmed()
    }

    /// What was said on a device's link.
    pub fn observed(&self, device: usize) -> &Observed {
        &self.places[device].observed
    }

    /// What a device's link carried.
    pub fn traffic(&self, device: usize) -> Traffic {
        self.places[device].link.traffic()
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.places.len()
    }

    fn stopped(&self, why: String) -> Stopped {
        Stopped {
            seed: self.scenario.seed,
            at_us: self.now_us,
            why,
            histories: self
                .places
                .iter()
                .map(|place| place.device.history().to_vec())
                .collect(),
        }
    }

    fn happen(&mut self, due: Due) -> Result<(), String> {
        let now_us = self.now_us;
        match due {
            Due::Device { device, ticket } if ticket == self.places[device].ticket => {
                let acted = self.places[device].device.wake(now_us)?;
                self.after_device(device, acted)?;
            }
            Due::AtDevice { device, datagram } => {
                let acted = self.places[device].device.receive(now_us, &datagram)?;
                self.after_device(device, acted)?;
            }
            Due::AtGateway { device, datagram } if self.gateway_up => {
                let peer = self.places[device].peer;
                self.gateway.receive(now_us, peer, &datagram);
                self.settle_gateway()?;
            }
            Due::Gateway { ticket } if self.gateway_up && ticket == self.gateway_ticket => {
                self.gateway.wake(now_us);
                self.settle_gateway()?;
            }
            Due::Built { life, outcome } if self.gateway_up && life == self.gateway_life => {
                self.gateway.built(now_us, *outcome);
                self.settle_gateway()?;
            }
            Due::Fault(fault) => self.break_something(fault),
            Due::GatewayBack => {
                self.gateway.restart(now_us);
                self.gateway_up = true;
                self.settle_gateway()?;
            }
            // A plan that was replaced, or a packet to a gateway that is down.
            Due::Device { .. } | Due::AtGateway { .. } | Due::Gateway { .. } | Due::Built { .. } => {}
        }
        Ok(())
    }

    fn break_something(&mut self, fault: Fault) {
        match fault {
            Fault::PowerCut { device } => {
                self.places[device].device.cut_power(self.now_us);
                self.plan_device(device, Some(self.now_us));
            }
            Fault::TornWrite {
                device,
                operations,
                torn_at,
            } => self.places[device].device.cut_power_in(operations, torn_at),
            Fault::GatewayKilled => {
                self.gateway_up = false;
                self.gateway_life += 1;
                self.agenda.push(self.now_us + GATEWAY_AWAY_US, Due::GatewayBack);
            }
            Fault::Outage { device, for_us } => {
                self.places[device].dark_until_us = self.now_us + for_us;
            }
            Fault::Rebound { device } => {
                let peer = &mut self.places[device].peer;
                peer.set_port(peer.port().checked_add(1).unwrap_or(DEVICE_PORT));
            }
            Fault::ClockSet { to_unix_s } => self.gateway.set_wall_clock(self.now_us, to_unix_s),
        }
    }

    fn after_device(&mut self, device: usize, acted: Acted) -> Result<(), String> {
        for datagram in acted.sent {
            let place = &mut self.places[device];
            place.air.uplink(&datagram)?;
            place.tap.uplink(self.now_us, &datagram, &mut place.observed);
            self.cross(device, Direction::Up, datagram);
        }
        self.plan_device(device, acted.wake_us);
        Ok(())
    }

    fn plan_device(&mut self, device: usize, wake_us: Option<u64>) {
        let place = &mut self.places[device];
        place.ticket += 1;
        if let Some(at_us) = wake_us {
            let ticket = place.ticket;
            self.agenda
                .push(at_us.max(self.now_us), Due::Device { device, ticket });
        }
    }

    /// Stores, sends, builds and plans whatever the gateway decided.
    fn settle_gateway(&mut self) -> Result<(), String> {
        for Transmit { peer, bytes, .. } in self.gateway.drain()? {
            self.budget
                .spend(self.now_us, IP_UDP_HEADER_BYTES + bytes.len())?;
            let device = self
                .places
                .iter()
                .position(|place| place.peer.ip() == peer.ip())
                .ok_or_else(|| format!("the gateway sent to {peer}, which is nobody"))?;
            if self.places[device].peer != peer {
                continue;
            }
            let place = &mut self.places[device];
            place.air.downlink(&bytes)?;
            place.tap.downlink(&bytes, &mut place.observed);
            self.cross(device, Direction::Down, bytes);
        }
        for request in self.gateway.take_builds() {
            let outcome = Box::new(self.gateway.build(self.now_us, &request));
            let life = self.gateway_life;
            self.agenda
                .push(self.now_us + BUILD_US, Due::Built { life, outcome });
        }
        self.gateway_ticket += 1;
        if let Some(at_us) = self.gateway.wake_us() {
            let ticket = self.gateway_ticket;
            self.agenda.push(at_us.max(self.now_us), Due::Gateway { ticket });
        }
        Ok(())
    }

    fn cross(&mut self, device: usize, direction: Direction, datagram: Vec<u8>) {
        if self.now_us < self.places[device].dark_until_us {
            return;
        }
        let bytes = IP_UDP_HEADER_BYTES + datagram.len();
        let verdict = self.places[device].link.offer(self.now_us, direction, bytes);
        let Verdict::Deliver { at_us, again_at_us } = verdict else {
            return;
        };
        for at_us in std::iter::once(at_us).chain(again_at_us) {
            let datagram = datagram.clone();
            let due = match direction {
                Direction::Up => Due::AtGateway { device, datagram },
                Direction::Down => Due::AtDevice { device, datagram },
            };
            self.agenda.push(at_us, due);
        }
    }
}

/// The promise of the shaper, checked from outside: a token bucket of the configured rate never runs dry.
///
/// Tokens are millionths of a bit, because then a microsecond adds exactly the rate.
#[derive(Debug)]
struct Budget {
    bits_per_second: u64,
    capacity: u128,
    tokens: u128,
    refilled_us: u64,
}

/// How much of a fast link's time the gateway may save up for one burst. It counts time in milliseconds, so it may be
/// early by one.
const BURST_MS: u64 = 10 + 1;

impl Budget {
    fn new(link: &LinkConfig) -> Self {
        let bits_per_second = link.rate.bits();
        let burst_bits = u128::from(bits_per_second * BURST_MS / 1_000);
        let packet_bits = u128::from(link.mtu) * 8 + u128::from(bits_per_second / 1_000);
        let capacity = burst_bits.max(packet_bits) * 1_000_000;
        Self {
            bits_per_second,
            capacity,
            tokens: capacity,
            refilled_us: 0,
        }
    }

    fn spend(&mut self, now_us: u64, bytes: usize) -> Result<(), String> {
        let elapsed_us = now_us - self.refilled_us;
        self.refilled_us = now_us;
        let refill = u128::from(elapsed_us) * u128::from(self.bits_per_second);
        let tokens = (self.tokens + refill).min(self.capacity);
        self.tokens = tokens
            .checked_sub(bytes as u128 * 8_000_000)
            .ok_or_else(|| format!("{bytes} bytes more than the rate of the link allows"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_notices_a_packet_too_many() {
        let link = LinkConfig {
            rate: gateway_core::BitsPerSecond::new(8_000).unwrap(),
            mtu: 1_000,
            ..LinkConfig::default()
        };
        let mut budget = Budget::new(&link);
        budget.spend(0, 1_000).unwrap();
        budget.spend(100_000, 100).unwrap();
        assert!(budget.spend(100_000, 100).is_err());
    }
}
