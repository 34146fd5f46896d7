//! Families of a UF2 file that are known: numbers and names from `utils/uf2families.json` of github.com/microsoft/uf2, those of the
//! RP2350 from the chapter on UF2 of its datasheet.

use super::Machine;

/// Every address is as it is. Files for the RP2350 begin with a block of it.
pub(super) const RP2XXX_ABSOLUTE: u32 = 0xe48b_ff57;

/// A family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    /// The processor, where the family has but one kind.
    pub(super) machine: Option<Machine>,
    /// Its loader copies code from where the file puts it to where it runs.
    pub(super) copies_to_run: bool,
}

/// The family of this number.
pub(super) fn by_id(id: u32) -> Option<Family> {
    let found = FAMILIES.iter().find(|(known, ..)| *known == id);
    found.map(|(_, name, machine)| Family {
        name,
        machine: *machine,
        copies_to_run: name.starts_with("ESP"),
    })
}

/// A family by its name, in either case, or its number with 0x in front.
pub(super) fn by_text(text: &str) -> Result<u32, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).map_err(|_| "not a number of 32 bits".to_owned());
    }
    let found = FAMILIES
        .iter()
        .find(|(_, name, _)| name.eq_ignore_ascii_case(text));
    let number = found.map(|(id, ..)| *id);
    number
        .ok_or_else(|| "no family of this name is known; its number does too, such as 0xe48bff56".to_owned())
}

const ARM: Option<Machine> = Some(Machine::Arm);
const RISCV: Option<Machine> = Some(Machine::RiscV32);
const XTENSA: Option<Machine> = Some(Machine::Xtensa);

const FAMILIES: [(u32, &str, Option<Machine>); 50] = [
    (0x1657_3617, "ATMEGA32", Some(Machine::Avr)),
    (0x1851_780a, "SAML21", ARM),
    (0x68ed_2b88, "SAMD21", ARM),
    (0x5511_4460, "SAMD51", ARM),
    (0x1b57_745f, "NRF52", ARM),
    (0x621e_937a, "NRF52833", ARM),
    (0xada5_2840, "NRF52840", ARM),
    (0x6478_24b6, "STM32F0", ARM),
    (0x5ee2_1072, "STM32F1", ARM),
    (0x5d1a_0a2e, "STM32F2", ARM),
    (0x6b84_6188, "STM32F3", ARM),
    (0x5775_5a57, "STM32F4", ARM),
    (0x6d09_22fa, "STM32F407", ARM),
    (0x8fb0_60fe, "STM32F407VG", ARM),
    (0x53b8_0f00, "STM32F7", ARM),
    (0x300f_5633, "STM32G0", ARM),
    (0x4c71_240a, "STM32G4", ARM),
    (0x6db6_6082, "STM32H7", ARM),
    (0x202e_3a91, "STM32L0", ARM),
    (0x1e1f_432d, "STM32L1", ARM),
    (0x00ff_6919, "STM32L4", ARM),
    (0x0424_0bdf, "STM32L5", ARM),
    (0x70d1_6653, "STM32WB", ARM),
    (0x2146_0ff0, "STM32WL", ARM),
    (0x2abc_77ec, "LPC55", ARM),
    (0x4fb2_d5bd, "MIMXRT10XX", ARM),
    (0x7f83_e793, "KL32L2", ARM),
    (0x31d2_28c6, "GD32F350", ARM),
    (0x9af0_3e33, "GD32VF103", RISCV),
    (0x7eab_61ed, "ESP8266", XTENSA),
    (0x1c5f_21b0, "ESP32", XTENSA),
    (0xbfdd_4eee, "ESP32S2", XTENSA),
    (0xc47e_5767, "ESP32S3", XTENSA),
    (0x2b88_d29c, "ESP32C2", RISCV),
    (0xd42b_a06c, "ESP32C3", RISCV),
    (0x540d_df62, "ESP32C6", RISCV),
    (0x3327_26f6, "ESP32H2", RISCV),
    (0x3d30_8e94, "ESP32P4", RISCV),
    (0xe48b_ff56, "RP2040", ARM),
    (RP2XXX_ABSOLUTE, "RP2XXX_ABSOLUTE", None),
    (0xe48b_ff58, "RP2XXX_DATA", None),
    (0xe48b_ff59, "RP2350_ARM_S", ARM),
    (0xe48b_ff5a, "RP2350_RISCV", RISCV),
    (0xe48b_ff5b, "RP2350_ARM_NS", ARM),
    (0x5a18_069b, "FX2", None),
    (0x4f6a_ce52, "CSK4", None),
    (0x6e73_48a8, "CSK6", None),
    (0x11de_784a, "M0SENSE", RISCV),
    (0x4b68_4d71, "MaixPlay-U4", RISCV),
    (0x9517_422f, "RZA1LU", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_one_family_each() {
        for (at, (id, name, _)) in FAMILIES.iter().enumerate() {
            assert_eq!(by_text(name), Ok(*id));
            assert_eq!(by_id(*id).map(|family| family.name), Some(*name));
            assert!(FAMILIES[at + 1..].iter().all(|(other, ..)| other != id), "{name}");
        }
        assert_eq!(by_text("rp2040"), Ok(0xe48b_ff56));
        assert_eq!(by_text("0x12345678"), Ok(0x1234_5678));
        assert!(by_text("Z80").is_err());
    }
}
