//! Logs go to stderr, so that stdout stays readable by programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for a daemon: `info` unless `RUST_LOG` says otherwise.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start in the same process (tests) keeps the first.
    let _ = subscriber.try_init();
}
