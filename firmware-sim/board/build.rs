//! Tells the programs which linker scripts are this board's: `DEP_BOARD_SCRIPTS`, a folder with one for each program.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let here = var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        let board = match var("CARGO_CFG_TARGET_ARCH").as_deref() {
            Ok("arm") => "mps2",
            Ok("riscv32") => "virt",
            other => panic!("there is no board with a processor of the kind {other:?}"),
        };
        println!("cargo:scripts={here}/link/{board}");
    }
}
