//! How a command finds its gateway.

use std::path::{Path, PathBuf};

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

/// `--socket`, else `$DELTAGATE_SOCKET`, else the socket of `--config` or of a configuration in a usual place.
pub(super) fn client(socket: Option<&Path>, config: Option<&Path>) -> Result<Client, Failure> {
    if let Some(socket) = socket {
        return Ok(Client::new(socket.to_path_buf()));
    }
    // An explicit argument goes before the environment.
    if config.is_none()
        && let Some(socket) = std::env::var_os("DELTAGATE_SOCKET")
    {
        return Ok(Client::new(PathBuf::from(socket)));
    }
    let usual = || CONFIGS.iter().map(Path::new).find(|path| path.exists());
    let Some(config) = config.or_else(usual) else {
        return Err(
            Failure::new(USAGE, "no gateway is named and there is no gateway.toml here")
                .hint("add --config gateway.toml or --socket PATH, or set DELTAGATE_SOCKET"),
        );
    };
    Ok(Client::new(Config::read(config)?.admin_socket))
}
