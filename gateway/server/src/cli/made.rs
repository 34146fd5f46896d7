//! What is made of the program itself: completions, man pages, references. For packages and for `docs/`.

use std::io::{self, Write};

use clap::CommandFactory;

use super::args::{Cli, DocsCommand};
use super::failure::{Failure, REFUSED};
use crate::config::keys;

pub(super) fn docs(command: &DocsCommand, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        DocsCommand::Configuration => write!(out, "{}", keys::reference())?,
        DocsCommand::Example => write!(out, "{}", keys::example())?,
        DocsCommand::Man { directory } => {
            let failed = |error: io::Error| {
                let name = directory.display();
                Failure::new(REFUSED, format!("cannot write man pages in {name}: {error}"))
                    .hint("name a directory that you may write in")
            };
            let made = std::fs::create_dir_all(directory);
            made.and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
                .map_err(failed)?;
        }
    }
    Ok(out.flush()?)
}

pub(super) fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<(), Failure> {
    // Into memory first: the generator cannot tell of a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "deltagate", &mut script);
    out.write_all(&script)?;
    Ok(out.flush()?)
}
