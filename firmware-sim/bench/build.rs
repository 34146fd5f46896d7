//! Links the bare-metal binaries; does nothing for the host.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-env-changed=DELTAGATE_FOOTPRINT");
    println!("cargo:rustc-check-cfg=cfg(footprint, values(\"nothing\", \"decoder\", \"checkpoints\"))");
    let footprint = var("DELTAGATE_FOOTPRINT").unwrap_or_else(|_| "decoder".into());
    println!("cargo:rustc-cfg=footprint=\"{footprint}\"");
    println!("cargo:rerun-if-changed=memory.ld");
    println!("cargo:rerun-if-changed=footprint.ld");
    println!("cargo:rerun-if-changed=../board/link/sections.ld");
    if var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let here = var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg-bin=bench=-T{here}/memory.ld");
        println!("cargo:rustc-link-arg-bin=bench=-T{here}/../board/link/sections.ld");
        if var("CARGO_FEATURE_HANDSHAKE").is_ok() {
            println!("cargo:rustc-link-arg-bin=handshake=-T{here}/memory.ld");
            println!("cargo:rustc-link-arg-bin=handshake=-T{here}/../board/link/sections.ld");
        }
        println!("cargo:rustc-link-arg-bin=footprint=-T{here}/footprint.ld");
    }
}
