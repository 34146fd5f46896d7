//! `init`: a configuration to start from.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Failure, REFUSED};
use crate::config::keys;

/// `init`
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// Where to write it
    #[arg(default_value = "gateway.toml")]
    pub file: PathBuf,
}

impl InitArgs {
    /// Writes the file, never over another.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let name = self.file.display();
        write_new(&self.file, &keys::example()).map_err(|error| {
            let failure = match error.kind() {
                io::ErrorKind::AlreadyExists => Failure::new(REFUSED, format!("{name} is there already"))
                    .hint("name another file: deltagate init FILE"),
                _ => Failure::new(REFUSED, format!("cannot write {name}: {error}"))
                    .hint("name a file in a directory that is yours: deltagate init FILE"),
            };
            failure.of_change(&[])
        })?;
        writeln!(
            out,
            "wrote {name}, with every key explained; change at least `trust` and the links"
        )?;
        writeln!(
            out,
            "next step: deltagate doctor --config {name}, then deltagate serve --config {name}"
        )?;
        Ok(())
    }
}

/// Whole or not at all: what was begun is removed again.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        drop(file);
        // The first error is the one to tell.
        let _ = std::fs::remove_file(path);
    }
    written
}
