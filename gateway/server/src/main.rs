//! The `deltagate` binary: see [`deltagate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    deltagate::cli::main()
}
