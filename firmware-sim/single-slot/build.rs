//! Links the bare-metal binary; does nothing for the host.

use std::env::var;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The board's crate says where; the host has none.
    if let Ok(scripts) = var("DEP_BOARD_SCRIPTS") {
        let scripts = Path::new(&scripts);
        for script in [
            scripts.join("single-slot.ld"),
            scripts.with_file_name("sections.ld"),
        ] {
            println!("cargo:rerun-if-changed={}", script.display());
            println!("cargo:rustc-link-arg-bins=-T{}", script.display());
        }
    }
}
