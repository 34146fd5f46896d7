//! The encoder may find better patches; when it does, the frozen ones must still decode, so this only watches the size.

use gateway_delta::{Options, encode};
use wire_patch::MemoryClass;

const BASE: &[u8] = include_bytes!("../../../fixtures/patch/base.bin");
const TARGET: &[u8] = include_bytes!("../../../fixtures/patch/target.bin");
const SMALL: &[u8] = include_bytes!("../../../fixtures/patch/draft2-4096.patch");

#[test]
fn the_encoder_gets_no_worse_than_when_the_draft_began() {
    let patch = encode(
        BASE,
        TARGET,
        &Options {
            memory: MemoryClass::MIN,
        },
    )
    .expect("small images");
    assert!(
        patch.len() <= SMALL.len(),
        "{} bytes, {} when the draft began",
        patch.len(),
        SMALL.len()
    );
}
