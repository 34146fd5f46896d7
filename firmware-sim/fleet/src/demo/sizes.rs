//! What the simulator's firmware weighs: `sizes.json`, as `scripts/firmware` writes it.

use crate::firmware::Firmware;
use crate::rig::Failure;
use serde::Deserialize;

/// Flash and RAM of one program.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Size {
    /// Bytes in flash: code, constants, initial values.
    pub flash: u64,
    /// Bytes of RAM: variables and stack.
    pub ram: u64,
}

/// What the table shows.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The bootloader.
    pub bootloader: Size,
    /// The whole firmware of version 2: agent, network stack, board and application.
    pub v2: Size,
}

impl Sizes {
    /// Reads the sizes of this firmware.
    pub(super) fn read(firmware: &Firmware) -> Result<Self, Failure> {
        let text = firmware.read("sizes.json")?;
        Ok(serde_json::from_slice(&text).map_err(|error| format!("sizes.json: {error}"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_other_programs_are_ignored() {
        let text =
            r#"{"bootloader": {"text": 1, "flash": 20, "ram": 3}, "v1": {}, "v2": {"flash": 40, "ram": 5}}"#;
        let sizes: Sizes = serde_json::from_str(text).unwrap();
        assert_eq!(sizes.bootloader, Size { flash: 20, ram: 3 });
        assert_eq!(sizes.v2, Size { flash: 40, ram: 5 });
    }
}
