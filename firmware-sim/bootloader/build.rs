//! Links the bare-metal binary; does nothing for the host.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=memory.ld");
    println!("cargo:rerun-if-changed=../board/link/sections.ld");
    if var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let here = var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg-bins=-T{here}/memory.ld");
        println!("cargo:rustc-link-arg-bins=-T{here}/../board/link/sections.ld");
    }
}
