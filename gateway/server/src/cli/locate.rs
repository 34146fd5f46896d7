//! How a command finds its gateway.

use std::path::{Path, PathBuf};

use super::args::Cli;
use super::failure::{Failure, USAGE};
use crate::client::Client;
use crate::config::Config;

/// Where a configuration is looked for when nothing names one.
const CONFIGS: [&str; 2] = ["gateway.toml", "/etc/deltagate/gateway.toml"];

/// `--config`, else a configuration in a usual place, else the first of these, which is not there.
pub(super) fn config(config: Option<&Path>) -> PathBuf {
    let mut usual = CONFIGS.iter().map(Path::new);
    let found = config.or_else(|| usual.find(|path| path.exists()));
    found.unwrap_or(Path::new(CONFIGS[0])).to_path_buf()
}

/// `--gateway`, else `--socket`, else the socket of `--config`; else what the environment says of these, in that order; else the socket of a
/// configuration in a usual place.
pub(super) fn client(cli: &Cli) -> Result<Client, Failure> {
    if let Some(gateway) = &cli.remote.gateway {
        return cli.remote.client(gateway);
    }
    if let Some(socket) = &cli.socket {
        return Ok(Client::new(socket.clone()));
    }
    // An explicit argument goes before the environment.
    if cli.config.is_none() {
        if let Some(socket) = std::env::var_os("DELTAGATE_SOCKET") {
            return Ok(Client::new(PathBuf::from(socket)));
        }
        if let Ok(gateway) = std::env::var("DELTAGATE_GATEWAY") {
            return cli.remote.client(&gateway);
        }
    }
    let usual = || CONFIGS.iter().map(Path::new).find(|path| path.exists());
    let Some(config) = cli.config.as_deref().or_else(usual) else {
        return Err(
            Failure::new(USAGE, "no gateway is named and there is no gateway.toml here")
                .hint("add --config gateway.toml, --socket PATH or --gateway HOST:PORT, or set DELTAGATE_SOCKET or DELTAGATE_GATEWAY"),
        );
    };
    Ok(Client::new(Config::read(config)?.admin_socket))
}
