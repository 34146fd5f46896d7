//! The commands: parsed here, asked over the admin socket, shown as text or as the document itself.
//!
//! Exit codes: 0 done, 1 refused by state or policy, 2 wrong usage, 3 internal. A closed pipe is not an error.

mod args;
mod audit;
pub(crate) mod colour;
mod commands;
mod device;
mod failure;
mod identity;
mod init;
mod lists;
mod locate;
mod logs;
mod made;
mod plan;
mod psk;
mod qr;
mod remote;
pub(crate) mod screen;
mod show;
mod status;
mod watch;
mod why;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

pub use args::Cli;
pub use failure::Failure;

/// The whole program.
pub fn main() -> ExitCode {
    finish(run(Cli::parse()))
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    commands::run(cli)
}

/// Says what went wrong, once, and chooses the exit code.
fn finish(result: Result<ExitCode, Failure>) -> ExitCode {
    let failure = match result {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    if failure.is_closed_pipe() {
        return ExitCode::SUCCESS;
    }
    let mut stderr = io::stderr().lock();
    // Nobody left to tell when stderr is closed too.
    let _ = writeln!(stderr, "error: {}", failure.problem);
    if let Some(changed) = &failure.changed {
        let _ = writeln!(stderr, "{changed}");
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    ExitCode::from(failure.code)
}
