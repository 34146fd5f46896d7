//! The emulated boards, as whoever starts one has to know them. What they are to a program is in `firmware-sim/board/`.

use deltagate_flash::Layout;
use deltagate_updater::SingleSlot;
use std::fmt;

/// What a device is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Board {
    /// QEMU's `mps2-an385`: Cortex-M3; a file behind its PSRAM plays the flash.
    Mps2An385,
    /// QEMU's `mps2-an386`: the same with a Cortex-M4, for the same images and of the same class.
    Mps2An386,
    /// [`Board::Mps2An385`] with a single slot, whose updates are made in place: another bootloader, another layout of the flash, and
    /// a class of its own.
    SingleSlot,
    /// QEMU's `virt`: RV32IMAC, CFI flash, virtio network, a watchdog on PCI.
    Virt,
}

impl Board {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mps2An385, Self::Mps2An386, Self::SingleSlot, Self::Virt];

    /// The class of the devices made of it: one for each image.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Mps2An385 | Self::Mps2An386 => "thermometer",
            Self::SingleSlot => "thermometer-single-slot",
            Self::Virt => "thermometer-rv32",
        }
    }

    /// What is where in its flash; of a single slot, as agent and bootloader see it.
    pub const fn layout(self) -> Layout {
        match self {
            Self::Mps2An385 | Self::Mps2An386 => Layout::EMULATED,
            Self::SingleSlot => SingleSlot::EMULATED.two_slots(),
            Self::Virt => Layout::EMULATED_CFI,
        }
    }

    /// Bytes of its flash file: QEMU demands the exact size of the part.
    pub const fn flash_file_bytes(self) -> usize {
        match self {
            Self::Mps2An385 | Self::Mps2An386 | Self::SingleSlot => 16 << 20,
            Self::Virt => 32 << 20,
        }
    }

    /// Where its processor sees the flash begin.
    pub const fn flash_address(self) -> u32 {
        match self {
            Self::Mps2An385 | Self::Mps2An386 | Self::SingleSlot => 0x2100_0000,
            Self::Virt => 0x2200_0000,
        }
    }

    /// Whether what is stored to the flash is what it holds then. Otherwise stores are commands to the part.
    pub const fn stores_are_content(self) -> bool {
        match self {
            Self::Mps2An385 | Self::Mps2An386 | Self::SingleSlot => true,
            Self::Virt => false,
        }
    }

    /// The QEMU that emulates it.
    pub const fn qemu(self) -> &'static str {
        match self {
            Self::Mps2An385 | Self::Mps2An386 | Self::SingleSlot => "qemu-system-arm",
            Self::Virt => "qemu-system-riscv32",
        }
    }

    /// The part of `scripts/prepare` that installs it.
    pub const fn qemu_part(self) -> &'static str {
        match self {
            Self::Mps2An385 | Self::Mps2An386 | Self::SingleSlot => "qemu",
            Self::Virt => "qemu-riscv",
        }
    }

    /// The file with its bootloader, of those that `scripts/firmware` makes.
    pub const fn bootloader_file(self) -> &'static str {
        match self {
            Self::Mps2An385 | Self::Mps2An386 | Self::SingleSlot => "bootloader.elf",
            Self::Virt => "bootloader.rom",
        }
    }

    /// The folder in `.build` with its firmware.
    pub const fn firmware_folder(self) -> &'static str {
        match self {
            Self::Mps2An385 | Self::Mps2An386 => "firmware",
            Self::SingleSlot => "firmware-single",
            Self::Virt => "firmware-virt",
        }
    }
}

/// As QEMU calls it.
impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mps2An385 | Self::SingleSlot => "mps2-an385",
            Self::Mps2An386 => "mps2-an386",
            Self::Virt => "virt",
        })
    }
}
