//! What bytes of strangers reach, each as a function that ends, panics at a fault, and says nothing else.
//!
//! `scripts/fuzz` gives them to a coverage-guided fuzzer; `tests/corpus.rs` runs them on their seeds, on everything near these,
//! and on what a fuzzer found before (`fixtures/fuzz/<target>/`).
//!
//! | module | who sends the bytes |
//! |---|---|
//! | `messages` | anybody on the network: CoAP, check-ins, manifests, sets of anchors, statements, EDHOC, and the serial line of recovery |
//! | `channel` | anybody, to ends of OSCORE that share a key; and whoever has the key |
//! | `sessions` | anybody, to the port of `coaps://` while a device has a session there and another is getting one |
//! | `site` | anybody and an enrolled device, several messages, to a whole gateway |
//! | `files` | whoever wrote a file or a question: a factory, a flasher, a technician |
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test in the shape of a library: a panic is a find"
)]

mod channel;
#[path = "../../core/tests/common/mod.rs"]
mod common;
mod files;
mod messages;
#[path = "../../core/tests/common/secure.rs"]
mod secure;
mod sessions;
mod site;

/// One way in.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Bytes that get far.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longest input worth trying.
    pub bytes_max: usize,
    /// How many places of each seed the ordinary tests change: fewer where an input costs milliseconds.
    pub places: usize,
}

/// Every way in.
pub const TARGETS: &[Target] = &[
    target("coap", messages::coap, messages::coap_seeds, 1_200),
    target("check-in", messages::check_in, messages::check_in_seeds, 600),
    target("manifest", messages::manifest, messages::manifest_seeds, 1_200),
    target(
        "signed-manifest",
        messages::signed_manifest,
        messages::signed_manifest_seeds,
        400,
    ),
    target("anchors", messages::anchor_set, messages::anchor_set_seeds, 512),
    target("latest", messages::latest, messages::latest_seeds, 100),
    target("edhoc", messages::edhoc, messages::edhoc_seeds, 400).dear(1),
    target("smp", messages::smp, messages::smp_seeds, 600),
    target("oscore-option", channel::option, channel::option_seeds, 64),
    target("oscore-request", channel::request, channel::request_seeds, 400),
    target("oscore-response", channel::response, channel::response_seeds, 400),
    target("oscore-inside", channel::inside, channel::inside_seeds, 400),
    target("gateway", site::gateway, site::gateway_seeds, 2_000).dear(16),
    target("dtls", sessions::dtls, sessions::dtls_seeds, 2_000).dear(8),
    target("credentials", files::credentials, files::credentials_seeds, 100),
    target(
        "factory-list",
        files::factory_list,
        files::factory_list_seeds,
        4_000,
    ),
    target("admin", files::admin, files::admin_seeds, 4_096),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>, bytes_max: usize) -> Target {
    Target {
        name,
        run,
        seeds,
        bytes_max,
        places: 64,
    }
}

impl Target {
    const fn dear(self, places: usize) -> Target {
        Target { places, ..self }
    }
}

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
