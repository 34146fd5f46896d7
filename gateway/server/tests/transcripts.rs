//! The first hours in `docs/` are what the commands print today.
use std::path::Path;
use std::process::Command;

#[test]
fn the_first_hours_are_what_is_printed() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/transcripts");
    let mut check = Command::new(script);
    let ran = check
        .args(["--check", env!("CARGO_BIN_EXE_deltagate")])
        .output()
        .unwrap();
    let printed = [ran.stdout, ran.stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat();
    assert!(ran.status.success(), "{printed}");
}
