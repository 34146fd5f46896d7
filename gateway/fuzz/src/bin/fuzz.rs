//! The fuzzer: `FUZZ_TARGET=name fuzz CORPUS… -libfuzzer_option=value`. `scripts/fuzz` calls it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

/// What the environment names.
fn chosen() -> fn(&[u8]) {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match fuzz::named(&name) {
        Some(target) => target.run,
        None => panic!("FUZZ_TARGET is \"{name}\", and no target is called so"),
    }
}

fuzz_target!(|bytes: &[u8]| RUN.get_or_init(chosen)(bytes));
