//! Chooses what this build of the firmware is, and links the bare-metal binary.
//!
//! - `DELTAGATE_APP_VERSION`: the text it prints, `1.0.0` if not given. From 2 on it reports temperature statistics.
//! - `DELTAGATE_APP_CONTACT_S`: how long it may be on trial without contact, in seconds; 120 if not given.
//! - `DELTAGATE_APP_DECODER_BYTES`: what its patch decoder may use, where it has two slots; 16384 if not given.
//! - `DELTAGATE_APP_BEHAVIOUR`: `normal`, or how this image is broken: `hang`, `fault`, `dead-network`, `idle-agent` (its loop
//!   goes round and never calls the agent); or `no-agent`, the firmware without the agent, to measure what the agent costs; or
//!   `bare`, the agent without a network stack, on the Cortex-M3.

use std::env::var;
use std::path::Path;

const BEHAVIOURS: [&str; 7] = [
    "normal",
    "hang",
    "fault",
    "dead-network",
    "idle-agent",
    "no-agent",
    "bare",
];

/// Three check-ins with the ACK timeout of a slow link, 15 s, the last two retransmitted.
const CONTACT_S: &str = "120";

/// The class of 16 KiB.
const DECODER_BYTES: &str = "16384";

fn main() {
    println!("cargo:rerun-if-env-changed=DELTAGATE_APP_VERSION");
    println!("cargo:rerun-if-env-changed=DELTAGATE_APP_BEHAVIOUR");
    println!("cargo:rustc-check-cfg=cfg(statistics)");
    let values = BEHAVIOURS.map(|behaviour| format!("{behaviour:?}")).join(", ");
    println!("cargo:rustc-check-cfg=cfg(behaviour, values({values}))");

    let version = var("DELTAGATE_APP_VERSION").unwrap_or_else(|_| "1.0.0".into());
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    let Some(major) = major else {
        panic!("DELTAGATE_APP_VERSION {version:?} does not begin with a number")
    };
    println!("cargo:rustc-env=DELTAGATE_APP_VERSION={version}");
    if major >= 2 {
        println!("cargo:rustc-cfg=statistics");
    }

    println!("cargo:rerun-if-env-changed=DELTAGATE_APP_CONTACT_S");
    let contact_s = var("DELTAGATE_APP_CONTACT_S").unwrap_or_else(|_| CONTACT_S.into());
    assert!(
        contact_s.parse::<u16>().is_ok(),
        "DELTAGATE_APP_CONTACT_S {contact_s:?} is no number of seconds"
    );
    println!("cargo:rustc-env=DELTAGATE_APP_CONTACT_S={contact_s}");

    println!("cargo:rerun-if-env-changed=DELTAGATE_APP_DECODER_BYTES");
    let decoder_bytes = var("DELTAGATE_APP_DECODER_BYTES").unwrap_or_else(|_| DECODER_BYTES.into());
    assert!(
        decoder_bytes.parse::<u32>().is_ok(),
        "DELTAGATE_APP_DECODER_BYTES {decoder_bytes:?} is no number of bytes"
    );
    println!("cargo:rustc-env=DELTAGATE_APP_DECODER_BYTES={decoder_bytes}");

    let behaviour = var("DELTAGATE_APP_BEHAVIOUR").unwrap_or_else(|_| "normal".into());
    assert!(
        BEHAVIOURS.contains(&behaviour.as_str()),
        "DELTAGATE_APP_BEHAVIOUR {behaviour:?} is none of {BEHAVIOURS:?}"
    );
    println!("cargo:rustc-cfg=behaviour=\"{behaviour}\"");
    link();
}

fn link() {
    println!("cargo:rerun-if-changed=build.rs");
    // The board's crate says where; the host has none.
    if let Ok(scripts) = var("DEP_BOARD_SCRIPTS") {
        let scripts = Path::new(&scripts);
        for script in [scripts.join("app.ld"), scripts.with_file_name("sections.ld")] {
            println!("cargo:rerun-if-changed={}", script.display());
            println!("cargo:rustc-link-arg-bins=-T{}", script.display());
        }
    }
}
