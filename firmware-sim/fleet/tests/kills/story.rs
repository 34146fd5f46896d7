//! One device, updated again and again, each run of it ended by a kill.

use std::collections::BTreeMap;
use std::path::PathBuf;

use deltagate_flash::TRIAL_BOOTS_MAX;
use fleet::board::Board;
use fleet::gateway::Identity;
use fleet::qemu::Machine;
use fleet::rig::{Rig, VENDOR, digest};
use fleet::rng::Rng;

use super::phase::{Phase, Update, of_store, told_by};
use super::shown;
use super::support::{self, ACK_TIMEOUT_MS, PATIENCE, SMALL_BLOCKS};
use super::table::Told;
use super::witness::{Found, Witness};

/// The phases of an update that holds in which the device is killed, in their order. Of three boots on trial the last must be
/// left alone.
const OF_ONE_THAT_HOLDS: [Phase; 8] = [
    Phase::Preparing,
    Phase::Downloading,
    Phase::Downloading,
    Phase::Clearing,
    Phase::Applying,
    Phase::Applying,
    Phase::Arming,
    Phase::FirstBoot,
];
/// The phases of an update that fails.
const OF_ONE_THAT_FAILS: [Phase; 7] = [
    Phase::Preparing,
    Phase::Downloading,
    Phase::Applying,
    Phase::Arming,
    Phase::FirstBoot,
    Phase::Reverting,
    Phase::Reporting,
];

/// Runs for one phase.
const TRIES: u32 = 5;

/// What was killed how often.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    kills: u32,
    /// At the very store that was chosen; the others a moment after the phase.
    at_store: u32,
    /// Blocks that were asked for again afterwards.
    again: u32,
}

/// The device and everything around it.
pub(crate) struct Story {
    rig: Rig,
    witness: Witness,
    rng: Rng,
    seed: u64,
    sequence: u32,
    /// The mark in the serial log when that was assigned.
    assigned: usize,
    tallies: BTreeMap<Phase, Tally>,
    /// The phase of the last kill, whether it left the boot log's newest record in doubt, and what was fetched again so far.
    killed: Phase,
    is_in_doubt: bool,
    again: u32,
    found: Found,
}

impl Story {
    /// A device with version 1, switched off. The RISC-V has no key.
    pub(crate) fn begin(board: Board, seed: u64) -> Self {
        let rig = match board {
            Board::Virt => support::running_rig_on(board, SMALL_BLOCKS),
            _ => support::started(support::protected_rig(board, SMALL_BLOCKS, ACK_TIMEOUT_MS)),
        };
        let mut witness = Witness::new(board);
        witness.signed(1, rig.image("v1.bin").unwrap());
        let mut rig = rig;
        rig.machine.kill();
        let found = witness.look(rig.machine.flash());
        Self {
            rig,
            witness,
            rng: Rng::new(seed),
            seed,
            sequence: 1,
            assigned: 0,
            tallies: BTreeMap::from([(Phase::Idle, Tally::default())]),
            killed: Phase::Idle,
            is_in_doubt: false,
            again: 0,
            found,
        }
    }

    pub(crate) fn kills(&self) -> u32 {
        self.tallies.values().map(|tally| tally.kills).sum()
    }

    /// An image that faults or, less often, hangs: killed on its way to being reported.
    pub(crate) fn update_that_fails(&mut self) {
        let image = if self.rng.below(8) == 0 {
            "v3-hang.bin"
        } else {
            "v4-fault.bin"
        };
        let image = self.assign(image);
        for phase in OF_ONE_THAT_FAILS {
            self.kill_while(phase, &image);
        }
        self.run_to_the_end();
    }

    /// An image that works: killed on its way to being confirmed, over the remains of one that did not.
    pub(crate) fn update_that_holds(&mut self) {
        // The two take turns: a delta to the same version is one block.
        let name = if self.sequence % 4 == 2 {
            "v2.bin"
        } else {
            "v1.bin"
        };
        let image = self.assign(name);
        for phase in OF_ONE_THAT_HOLDS {
            self.kill_while(phase, &image);
        }
        // One of the two that follow: both would leave no boot on trial to be confirmed in.
        let last = if self.sequence % 4 == 3 {
            Phase::Trial
        } else {
            Phase::Confirming
        };
        self.kill_while(last, &image);
        self.run_to_the_end();
        assert_eq!(self.found.log.confirmed, Some(self.sequence));
        let inventory = fleet::gateway::device(&self.rig.gateway, &self.rig.device_id()).unwrap();
        assert!(inventory.runs(self.sequence), "{inventory:?}");
    }

    /// Signs an image under the next number, as one that there never was, and assigns it.
    fn assign(&mut self, name: &str) -> Vec<u8> {
        self.sequence += 1;
        self.assigned = self.rig.machine.serial().mark();
        let sequence = self.sequence;
        let mut image = self.rig.image(name).unwrap();
        image.extend_from_slice(&self.rng.next_u64().to_le_bytes());
        let file = |ending: &str| -> PathBuf { self.rig.directory().join(format!("{sequence}.{ending}")) };
        let (binary, signed) = (file("bin"), file("suit"));
        std::fs::write(&binary, &image).unwrap();
        let identity = Identity {
            vendor: VENDOR,
            class: self.rig.class(),
            version: &format!("{sequence}.0.0"),
            sequence,
            follows: None,
        };
        self.rig.publisher.sign(&binary, &identity, &signed).unwrap();
        let mark = self.rig.gateway.log().mark();
        support::import(&self.rig.gateway, &signed);
        support::assign_digest(&self.rig, &self.rig.gateway, &digest(&image));
        // A device that comes before its delta is ready is told to come again much later.
        let is_ready = |line: &str| line.contains("artefact is ready") && line.contains("format=patch");
        let ready = self.rig.gateway.log().wait_for(mark, PATIENCE, is_ready);
        ready.expect("the delta is built");
        self.witness.signed(sequence, image.clone());
        image
    }

    /// Kills the device until it was in `phase`, or past it: how many stores of a log come before, it may not be possible to say.
    fn kill_while(&mut self, phase: Phase, image: &[u8]) {
        for _ in 0..TRIES {
            let is_over = self.found.log.confirmed >= Some(self.sequence);
            let is_last_boot = phase.is_of_one_that_holds() && self.found.log.attempts + 1 >= TRIAL_BOOTS_MAX;
            if is_over || is_last_boot || self.run_until_killed(phase, image) >= phase {
                return;
            }
        }
    }

    /// A run that ends at a store of `phase`, or when there is none any more. In which phase it ended.
    fn run_until_killed(&mut self, phase: Phase, image: &[u8]) -> Phase {
        let log = self.found.log;
        let so_far = self.rig.machine.serial().lines_from(self.assigned);
        let update = Update {
            board: self.rig.board(),
            sequence: self.sequence,
            image,
            spare: match log.trial {
                Some(trial) => trial.slot,
                None => self.found.boot.image.slot.other(),
            },
            log,
            is_in_doubt: self.is_in_doubt,
            is_fetching: told_by(&so_far) >= Phase::Downloading,
        };
        let watch = update.moment(phase, &mut self.rng);
        let mark = self.rig.machine.serial().mark();
        self.rig.machine.start_watched(watch.clone()).unwrap();
        let sequence = self.sequence;
        let ended = self.rig.machine.wait_for_line(mark, PATIENCE, |line| {
            Machine::is_stopped(line) || phase.is_over(line, sequence)
        });
        let (_, last) = ended.unwrap_or_else(|| self.stuck(mark, &format!("{phase:?}, {watch:x?}")));
        self.kill_and_look(mark);
        let lines = self.rig.machine.serial().lines_from(mark);
        let is_stopped = Machine::is_stopped(&last);
        let reached = if is_stopped {
            of_store(phase, &lines, &self.found.log, self.sequence)
        } else {
            told_by(&lines)
        };
        println!(
            "{:>4} {:12} meant to be {:12} {last}",
            self.kills() + 1,
            reached.name(),
            phase.name()
        );
        self.is_in_doubt = is_stopped && reached.is_in_boot_log();
        self.note(reached, is_stopped);
        reached
    }

    /// A run without a chosen store, to the end of the update: its outcome is with the gateway.
    fn run_to_the_end(&mut self) {
        let log = &self.found.log;
        let reverted = log.reverted.map(|reverted| reverted.sequence);
        // Whoever was killed after the gateway's answer does not say so again.
        let words = if log.confirmed.max(reverted) >= Some(self.sequence) {
            "agent: checked in, next".to_owned()
        } else {
            format!("agent: sequence {} reported as", self.sequence)
        };
        let mark = self.rig.machine.serial().mark();
        self.rig.machine.start().unwrap();
        let said = self
            .rig
            .machine
            .wait_for_line(mark, PATIENCE, |line| line.starts_with(&words));
        if said.is_none() {
            self.stuck(mark, &words);
        }
        self.kill_and_look(mark);
        self.is_in_doubt = false;
        self.note(Phase::Idle, false);
    }

    /// Kills the device and looks into its flash. It must have started what its flash said it would.
    fn kill_and_look(&mut self, mark: usize) {
        self.rig.machine.kill();
        assert_eq!(self.rig.machine.power_cycles(), 0, "the core locked up");
        let lines = self.rig.machine.serial().lines_from(mark);
        let first = lines.iter().find(|line| line.starts_with("boot: starting"));
        if let Some(line) = first {
            let boot = &self.found.boot;
            let expected = format!("slot {} sequence {},", boot.image.slot, boot.image.sequence);
            assert!(
                line.contains(&expected),
                "{line:?}, and the flash said {expected:?}"
            );
        }
        for line in &lines {
            let confirmed = line
                .strip_prefix("agent: sequence ")
                .and_then(|rest| rest.strip_suffix(" confirmed"));
            if let Some(sequence) = confirmed.and_then(|number| number.parse().ok()) {
                self.witness.confirmed(sequence);
            }
            assert!(!line.contains("RECOVERY"), "{line}");
        }
        self.found = self.witness.look(self.rig.machine.flash());
        let observed = self.rig.bridge.seen().observed;
        assert!(
            observed.payload_back_bytes_max <= 64,
            "it went back {} bytes",
            observed.payload_back_bytes_max
        );
        assert_eq!(observed.broken, Vec::<String>::new());
        // What this run asked for again is the price of the kill before it.
        let again = observed.counts.payload_requests_again - self.again;
        self.again += again;
        self.tallies.entry(self.killed).or_default().again += again;
    }

    fn note(&mut self, phase: Phase, at_store: bool) {
        let tally = self.tallies.entry(phase).or_default();
        tally.kills += 1;
        tally.at_store += u32::from(at_store);
        self.killed = phase;
    }

    /// What was tried, as a table.
    pub(crate) fn table(&self) -> String {
        let board = self.rig.board();
        let mut table = format!(
            "{board}, seed {}: image {}, all survived\n",
            self.seed, self.sequence
        );
        table += "phase         kills  at the store  blocks again\n";
        for (phase, tally) in &self.tallies {
            table += &format!(
                "{:12} {:6} {:13} {:13}\n",
                phase.name(),
                tally.kills,
                tally.at_store,
                tally.again
            );
        }
        table + &format!("{:12} {:6}", "all", self.kills())
    }

    /// What the gateway shows of the device.
    pub(crate) fn shown(&self) -> Told {
        shown::shown(&self.rig)
    }

    /// The phases that were left out.
    pub(crate) fn missed(&self) -> Vec<Phase> {
        let mut missed = Phase::ALL.to_vec();
        missed.retain(|phase| self.tallies.get(phase).is_none_or(|tally| tally.kills == 0));
        missed
    }

    fn stuck(&self, mark: usize, what: &str) -> ! {
        panic!(
            "seed {}, sequence {}, waiting for {what}; the device said:\n{}\nthe gateway said:\n{}",
            self.seed,
            self.sequence,
            self.rig.machine.serial().lines_from(mark).join("\n"),
            self.rig.gateway.log().lines_from(0).join("\n"),
        )
    }
}
