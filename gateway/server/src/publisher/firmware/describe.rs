//! What was understood of a firmware file, for people and as JSON.

use gateway_core::count;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Detail, FileFormat, Firmware, Mcuboot};

/// Gaps that are listed for people; the document has all.
const GAPS_SHOWN_MAX: usize = 4;

/// FILE of `docs/cli-json.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// SHA-256 of the image.
    pub digest: String,
    /// Of the image, gaps included.
    pub size_bytes: u64,
    /// What it came in.
    pub format: FileFormat,
    /// What it runs on, if the file says so.
    pub machine: Option<String>,
    /// Where its first byte goes, if the file says so.
    pub address: Option<String>,
    /// What the file says nothing about.
    pub gaps: Vec<DescribedGap>,
    /// What else the file says, for people.
    pub details: Vec<Detail>,
    /// What an image says of itself that was signed for MCUboot.
    pub mcuboot: Option<Mcuboot>,
}

/// A stretch that the file says nothing about.
#[derive(Clone, Debug, Serialize)]
pub struct DescribedGap {
    /// Of its first byte.
    pub address: String,
    /// Its length.
    pub bytes: u64,
}

impl Description {
    /// Of an image.
    pub fn of(firmware: &Firmware) -> Self {
        let digest = Sha256::digest(&firmware.image);
        let gaps = firmware.gaps.iter().map(|gap| DescribedGap {
            address: address(gap.address),
            bytes: gap.bytes,
        });
        Self {
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            size_bytes: firmware.image.len() as u64,
            format: firmware.format,
            machine: firmware.machine.map(|machine| machine.to_string()),
            address: firmware.base_address.map(address),
            gaps: gaps.collect(),
            details: firmware.details.clone(),
            mcuboot: firmware.mcuboot.clone(),
        }
    }

    /// What the file said beside the bytes, a line each; nothing of a raw image.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.format != FileFormat::Raw {
            let machine = self.machine.as_ref().map(|machine| format!(" for {machine}"));
            let address = self.address.as_ref().map(|address| format!(", at {address}"));
            lines.push(format!(
                "from {}{}{}",
                self.format,
                machine.unwrap_or_default(),
                address.unwrap_or_default()
            ));
        }
        let details = self.details.iter();
        lines.extend(details.map(|Detail { name, value }| format!("{name}: {value}")));
        lines.extend(self.mcuboot.iter().flat_map(Mcuboot::lines));
        self.add_gaps(&mut lines);
        lines
    }

    fn add_gaps(&self, lines: &mut Vec<String>) {
        for gap in self.gaps.iter().take(GAPS_SHOWN_MAX) {
            lines.push(format!(
                "gap of {} bytes at {}, filled with 0xff",
                gap.bytes, gap.address
            ));
        }
        if let Some(more @ 1..) = self.gaps.len().checked_sub(GAPS_SHOWN_MAX) {
            let bytes: u64 = self.gaps.iter().skip(GAPS_SHOWN_MAX).map(|gap| gap.bytes).sum();
            lines.push(format!(
                "and {} of {bytes} bytes in all",
                count(more, "more gap", "more gaps")
            ));
        }
    }
}

fn address(address: u64) -> String {
    format!("{address:#010x}")
}
