//! `fleet`: emulated devices and links, from the command line.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "fleet", about = "Emulated devices behind emulated links")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows one update over an emulated NB-IoT link, and the rollback of a bad one. Exits 0 only if both happened.
    Demo(fleet::demo::DemoConfig),
}

fn main() -> ExitCode {
    let Command::Demo(config) = Arguments::parse().command;
    match fleet::demo::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: the demo failed: {error}");
            ExitCode::from(1)
        }
    }
}
