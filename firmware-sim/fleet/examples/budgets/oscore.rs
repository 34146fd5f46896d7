//! The agent that speaks OSCORE, on a device with credentials: it derives its keys at the start, counts its first message, and
//! protects it.

use std::error::Error;

use deltagate_flash::credentials_behind;
use fleet::factory::{Shipped, flash};
use fleet::firmware::Firmware;
use fleet::sim::{Behaviour, CLASS_ID, Publisher, VENDOR_ID};
use gateway_core::{Credentials, Kid, Octets, Secret};

use crate::{BOARD, IMAGE_BYTES, told};

/// Prints its stack and its state.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    let firmware = Firmware::of_checkout(BOARD);
    let mut image = firmware.read("bare-oscore.bin")?;
    if image.len() > IMAGE_BYTES {
        return Err("bare-oscore.bin is larger than the image it stands for".into());
    }
    image.resize(IMAGE_BYTES, 0);
    let publisher = Publisher::new(1);
    let confirmed = publisher.sign(1, image, Behaviour::Good);
    let layout = BOARD.layout();
    let shipped = flash(
        &layout,
        &Shipped {
            vendor_id: VENDOR_ID,
            class_id: CLASS_ID,
            trust_anchors: &[publisher.anchor()],
            envelope: &confirmed.envelope,
            image: &confirmed.image,
            sequence: 1,
        },
    )?;
    let credentials = Credentials {
        kid: Kid::new(&[1, 2]).ok_or("two bytes are a key id")?,
        gateway_id: Octets::EMPTY,
        secret: Secret::new(&[7; 16]),
        salt: Octets::EMPTY,
        id_context: Octets::EMPTY,
    };
    let mut bytes = shipped.bytes().to_vec();
    bytes.resize(credentials_behind(&layout).offset as usize, 0xFF);
    bytes.extend_from_slice(&credentials.encode());
    let [.., stack, state] = told(&firmware.bootloader(BOARD)?, &bytes)?;
    println!("agent_oscore_stack_bytes {stack}");
    println!("agent_oscore_state_bytes {state}");
    Ok(())
}
