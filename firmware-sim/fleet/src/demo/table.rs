//! The table itself.

use super::report::{Cost, Grouped, PerBlock, Seconds, least_check_ins};
use super::sizes::Sizes;
use crate::link::LinkProfile;
use std::fmt;

/// Everything the table shows.
#[derive(Debug)]
pub(super) struct Table {
    /// What the delta cost.
    pub(super) cost: Cost,
    /// What each of its blocks cost.
    pub(super) per_block: PerBlock,
    /// The image, raw: what `full` would have carried.
    pub(super) image: Vec<u8>,
    /// What the firmware weighs.
    pub(super) sizes: Sizes,
    /// The link.
    pub(super) profile: LinkProfile,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transports(f)?;
        self.update(f)?;
        let (bootloader, firmware) = (self.sizes.bootloader, self.sizes.v2);
        writeln!(
            f,
            "\n{:<42} {:>13} {:>13}",
            "on the device", "flash, bytes", "RAM, bytes"
        )?;
        for (name, size) in [
            ("bootloader", bootloader),
            ("firmware: agent, network stack, board", firmware),
        ] {
            writeln!(
                f,
                "{name:<42} {:>13} {:>13}",
                Grouped(size.flash),
                Grouped(size.ram)
            )?;
        }
        Ok(())
    }
}

impl Table {
    /// The same image in three formats, all computed in the same way, so that they compare.
    fn transports(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.image.len() as u64;
        let lz4 = lz4_flex::block::compress(&self.image).len() as u64;
        writeln!(
            f,
            "{:<42} {:>13} {:>13} {:>13} {:>13}",
            "version 2 without loss, computed",
            "payload, bytes",
            "on air, bytes",
            "round trips",
            "least time, s"
        )?;
        for (name, payload) in [
            ("delta", self.cost.payload_bytes),
            ("best compressed image (lz4)", lz4),
            ("full image", full),
        ] {
            let check_in_bytes = self.cost.counts.check_in_bytes;
            let round_trips = payload.div_ceil(self.per_block.block_bytes) + CHECK_INS;
            let least = self.per_block.least_time(payload, &self.profile)
                + least_check_ins(&self.profile, check_in_bytes);
            writeln!(
                f,
                "{name:<42} {:>13} {:>13} {:>13} {:>13}",
                Grouped(payload),
                Grouped(self.per_block.air_bytes(payload) + check_in_bytes),
                round_trips,
                Seconds(least),
            )?;
        }
        Ok(())
    }

    fn update(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.cost.counts;
        let payload = self.cost.payload_bytes;
        let least = self.per_block.least_time(payload, &self.profile)
            + least_check_ins(&self.profile, counts.check_in_bytes);
        writeln!(f, "\nthe delta as it crossed the link, losses included, measured")?;
        writeln!(f, "{:<42} {:>13}", "bytes on the air", Grouped(counts.bytes))?;
        writeln!(
            f,
            "{:<42} {:>13}  ({} beside the payload, {} repeated)",
            "round trips",
            counts.round_trips(),
            counts.check_ins + counts.manifest_requests,
            counts.retransmissions,
        )?;
        writeln!(
            f,
            "{:<42} {:>13}  (the link allows {} s; applying, two reboots and losses are the rest)",
            "time from job to confirmation, s",
            Seconds(self.cost.taken),
            Seconds(least),
        )
    }
}

/// Round trips of an update beside its payload: the check-in that gets the job, and the one that confirms.
const CHECK_INS: u64 = 2;
