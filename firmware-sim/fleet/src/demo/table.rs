//! The table itself.

use super::report::{CheckIns, Cost, Grouped, PerBlock, Seconds};
use super::sizes::Sizes;
use crate::link::LinkProfile;
use gateway_delta::Options;
use std::fmt;
use wire_patch::MemoryClass;

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
    /// How much stack the device says it used.
    pub(super) stack: String,
    /// The link.
    pub(super) profile: LinkProfile,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transports(f)?;
        self.update(f)?;
        self.device(f)
    }
}

impl Table {
    /// The same image in three forms, all computed in the same way, so that they compare.
    fn transports(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44} {:>14} {:>14} {:>12} {:>14}",
            "version 2 without loss, computed",
            "payload, bytes",
            "on air, bytes",
            "round trips",
            "least time, s"
        )?;
        let (compressed_by, compressed) = best_compressed(&self.image, self.sizes.agent.decoder_memory);
        let check_ins = CheckIns::measured(&self.cost.counts);
        let protected = (self.per_block, check_ins);
        let clear = (self.per_block.in_the_clear(), check_ins.in_the_clear());
        for (name, payload, (per_block, check_ins)) in [
            ("delta", self.cost.payload_bytes, protected),
            ("  if nothing were protected", self.cost.payload_bytes, clear),
            (compressed_by, compressed, protected),
            ("full image", self.image.len() as u64, protected),
        ] {
            let round_trips = payload.div_ceil(per_block.block_bytes) + CheckIns::COUNT;
            let least = per_block.least_time(payload, &self.profile) + check_ins.least_time(&self.profile);
            writeln!(
                f,
                "{name:<44} {:>14} {:>14} {:>12} {:>14}",
                Grouped(payload),
                Grouped(per_block.air_bytes(payload) + check_ins.air_bytes()),
                round_trips,
                Seconds(least),
            )?;
        }
        Ok(())
    }

    fn update(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.cost.counts;
        writeln!(f, "\nthe delta as it crossed the link, losses included, measured")?;
        writeln!(
            f,
            "{:<44} {:>14}  (IP and UDP headers included, both ways)",
            "bytes on the air",
            Grouped(counts.bytes)
        )?;
        writeln!(
            f,
            "{:<44} {:>14}  (first copies; a block's request {}, its reply {}; both check-ins {}, their answers {})",
            "  of them what OSCORE adds",
            Grouped(counts.protection_bytes()),
            self.per_block.request_protection_bytes,
            self.per_block.reply_protection_bytes,
            counts.check_in_request_protection_bytes,
            counts.check_in_reply_protection_bytes,
        )?;
        writeln!(
            f,
            "{:<44} {:>14}  ({} beside the payload; {} requests repeated)",
            "round trips",
            counts.round_trips(),
            counts.check_ins + counts.manifest_requests,
            counts.retransmissions,
        )?;
        writeln!(
            f,
            "{:<44} {:>14}  (the link allows {}; applying, the reboot and losses are the rest)",
            "time from job to confirmation, s",
            Seconds(self.cost.taken),
            Seconds(self.least_time(self.cost.payload_bytes)),
        )
    }

    fn device(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sizes {
            bootloader,
            agent,
            agent_plain,
            v2,
        } = self.sizes;
        writeln!(
            f,
            "\n{:<44} {:>14} {:>14}",
            "on the device", "flash, bytes", "RAM, bytes"
        )?;
        let mut line = |name: &str, flash: Option<u64>, ram: Option<u64>| {
            let [flash, ram] =
                [flash, ram].map(|bytes| bytes.map(|bytes| Grouped(bytes).to_string()).unwrap_or_default());
            let line = format!("{name:<44} {flash:>14} {ram:>14}");
            writeln!(f, "{}", line.trim_end())
        };
        line(
            "bootloader, with its stack",
            Some(bootloader.flash),
            Some(bootloader.ram),
        )?;
        line("agent alone, without stack", Some(agent.flash), Some(agent.ram))?;
        line(
            "  of it OSCORE",
            Some(agent.flash.saturating_sub(agent_plain.flash)),
            None,
        )?;
        line(
            "  of it memory for the patch decoder",
            None,
            Some(agent.decoder_memory),
        )?;
        line("  of it the buffer for one block", None, Some(agent.block_buffer))?;
        line("whole firmware, with its stack", Some(v2.flash), Some(v2.ram))?;
        writeln!(
            f,
            "measured: agent alone is version 1 less the same firmware built without it; SHA-256 and \
             Ed25519 are the bootloader's\nstack, says the device at its reboot into version 2: {}",
            self.stack
        )
    }

    /// The least time the link allows for an update with this payload, its check-ins included.
    fn least_time(&self, payload: u64) -> std::time::Duration {
        let check_ins = CheckIns::measured(&self.cost.counts);
        self.per_block.least_time(payload, &self.profile) + check_ins.least_time(&self.profile)
    }
}

/// The smallest form of the image that needs no base: LZ4, or the patch format with nothing to copy from and this much
/// memory for its decoder.
fn best_compressed(image: &[u8], memory_bytes: u64) -> (&'static str, u64) {
    let lz4 = lz4_flex::block::compress(image).len() as u64;
    let own = u32::try_from(memory_bytes)
        .ok()
        .and_then(MemoryClass::fitting)
        .and_then(|memory| gateway_delta::encode(&[], image, &Options::new(memory)).ok())
        .map(|patch| patch.len() as u64);
    match own {
        Some(own) if own < lz4 => ("best compressed image (patch without a base)", own),
        _ => ("best compressed image (lz4)", lz4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_of_two_compressors_is_shown() {
        let text = include_bytes!("table.rs");
        let (_, best) = best_compressed(text, 16_384);
        assert!(best <= lz4_flex::block::compress(text).len() as u64);
        let (name, _) = best_compressed(text, 0);
        assert!(name.contains("lz4"), "no memory, no patch");
    }
}
