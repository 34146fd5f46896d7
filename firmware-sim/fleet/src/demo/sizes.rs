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

/// What the agent costs: version 1 less the same firmware without the agent.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct AgentSize {
    /// Bytes in flash.
    pub flash: u64,
    /// Bytes of variables, the next two included and the stack not.
    pub ram: u64,
    /// Of these, what the patch decoder may use.
    pub decoder_memory: u64,
    /// Of these, the buffer for one datagram with a block in it.
    pub block_buffer: u64,
}

/// What the table shows.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The bootloader.
    pub bootloader: Size,
    /// The agent alone.
    pub agent: AgentSize,
    /// The same that speaks in the clear only.
    #[serde(rename = "agent-plain")]
    pub agent_plain: AgentSize,
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
        let text = r#"{"bootloader": {"text": 1, "flash": 20, "ram": 3}, "v1": {}, "v2": {"flash": 40, "ram": 5},
            "agent": {"flash": 9, "ram": 8, "decoder_memory": 5, "block_buffer": 2},
            "agent-plain": {"flash": 7, "ram": 8, "decoder_memory": 5, "block_buffer": 2}}"#;
        let sizes: Sizes = serde_json::from_str(text).unwrap();
        assert_eq!(sizes.bootloader, Size { flash: 20, ram: 3 });
        assert_eq!((sizes.agent.flash, sizes.agent_plain.flash), (9, 7));
        assert_eq!((sizes.agent.ram, sizes.agent.block_buffer), (8, 2));
        assert_eq!(sizes.v2, Size { flash: 40, ram: 5 });
    }
}
