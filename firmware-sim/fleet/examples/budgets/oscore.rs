//! The agent that speaks OSCORE, on a device with credentials: it derives its keys at the start, counts its first message, and
//! protects it.

use std::error::Error;

use deltagate_flash::credentials_behind;
use fleet::firmware::Firmware;
use fleet::sim::Publisher;
use gateway_core::{Credentials, Kid, Octets, Secret};

use crate::{BOARD, image, shipped, told};

/// Prints its stack and its state.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    let firmware = Firmware::of_checkout(BOARD);
    let shipped = shipped(&Publisher::new(1), image(&firmware, "bare-oscore.bin")?)?;
    let credentials = Credentials {
        kid: Kid::new(&[1, 2]).ok_or("two bytes are a key id")?,
        gateway_id: Octets::EMPTY,
        secret: Secret::new(&[7; 16]),
        salt: Octets::EMPTY,
        id_context: Octets::EMPTY,
    };
    let mut bytes = shipped.bytes().to_vec();
    bytes.resize(credentials_behind(&BOARD.layout()).offset as usize, 0xFF);
    bytes.extend_from_slice(&credentials.encode());
    let [.., stack, state] = told(&firmware.bootloader(BOARD)?, &bytes)?;
    println!("agent_oscore_stack_bytes {stack}");
    println!("agent_oscore_state_bytes {state}");
    Ok(())
}
