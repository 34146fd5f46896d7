//! One gateway: its configuration, its state directory, its process.

use super::command::{CommandFailed, Deltagate};
use super::host::{FakedClock, SmallDisk};
use crate::lines::{HARNESS, Lines};
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a gateway may take to start on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// What the log says when the process ended, whoever ended it.
const GONE: &str = "the gateway is gone";

/// Whom a gateway serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, but those who have shown a key only under it.
    Open,
    /// Who shows a key.
    Authenticated,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Authenticated => "authenticated",
        })
    }
}

/// What differs between one gateway and the next.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Public keys of the publishers it trusts.
    pub trust: Vec<PathBuf>,
    /// Seconds between the check-ins of idle devices.
    pub check_in_interval_s: u32,
    /// Rate of the emulated devices' link, headers counted.
    pub rate_bits_per_second: u64,
    /// RFC 7252 ACK_TIMEOUT of that link.
    pub ack_timeout_ms: u32,
    /// Its largest IP packet.
    pub mtu: usize,
    /// Whom it serves, over this link and any other.
    pub access: Access,
    /// The clock of the day that the process sees, if not the machine's.
    pub clock: Option<FakedClock>,
    /// The disk that its state lies on, if not the machine's.
    pub disk: Option<SmallDisk>,
}

impl GatewayConfig {
    fn toml(&self) -> String {
        let trust: Vec<_> = self
            .trust
            .iter()
            .map(|path| format!("{:?}", path.display().to_string()))
            .collect();
        // Commands find it wherever the state lies.
        format!(
            "listen = \"127.0.0.1:0\"\nstate_dir = \"state\"\nadmin_socket = \"admin.sock\"\ntrust = [{}]\n\
             check_in_interval_s = {}\naccess = \"{}\"\n\n\
             [[link]]\nname = \"emulated\"\nprefixes = [\"127.1.0.0/16\"]\nrate_bits_per_second = {}\n\
             ack_timeout_ms = {}\nblock_size_max = 1024\nmtu = {}\n",
            trust.join(", "),
            self.check_in_interval_s,
            self.access,
            self.rate_bits_per_second,
            self.ack_timeout_ms,
            self.mtu,
        )
    }
}

/// A gateway that can be killed and started again. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    deltagate: Deltagate,
    directory: PathBuf,
    config: GatewayConfig,
    log: Lines,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    reader: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Gateway {
    /// Writes the configuration into `directory` and starts the gateway there.
    pub fn start(deltagate: &Deltagate, directory: &Path, config: &GatewayConfig) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut gateway = Self {
            deltagate: deltagate.clone(),
            directory: directory.to_owned(),
            config: config.clone(),
            log: Lines::open(&directory.join("gateway.log"))?,
            running: None,
        };
        gateway.restart()?;
        Ok(gateway)
    }

    /// Changes what its next start reads.
    pub fn configure(&mut self, change: impl FnOnce(&mut GatewayConfig)) {
        change(&mut self.config);
    }

    /// Starts it again after [`Gateway::kill`]. It listens at another port then.
    pub fn restart(&mut self) -> io::Result<SocketAddr> {
        self.kill();
        std::fs::write(self.config_path(), self.config.toml())?;
        let mark = self.log.mark();
        let mut child = self.spawn()?;
        let output = child.stderr.take();
        let log = self.log.clone();
        let reader = std::thread::spawn(move || {
            if let Some(output) = output {
                log.read_all(output);
                log.remark(GONE);
            }
        });
        let mut running = Running {
            child,
            reader: Some(reader),
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let line = self.log.wait_for(mark, START_PATIENCE, |line| {
            listening_address(line).is_some() || line.starts_with(HARNESS)
        });
        match line.as_ref().and_then(|(_, line)| listening_address(line)) {
            Some(address) => running.address = address,
            None => {
                running.stop();
                return Err(io::Error::other(format!(
                    "the gateway did not start: {}",
                    self.log.lines_from(mark).join(" | ")
                )));
            }
        }
        let address = running.address;
        self.running = Some(running);
        Ok(address)
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = match &self.config.disk {
            None => Command::new(self.deltagate.binary()),
            Some(disk) => {
                // Where the disk is mounted.
                std::fs::create_dir_all(self.state())?;
                disk.command(&self.state(), self.deltagate.binary())
            }
        };
        if let Some(clock) = &self.config.clock {
            command.envs(clock.environment());
        }
        command
            .args(["serve", "--config"])
            .arg(self.config_path())
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    }

    fn config_path(&self) -> PathBuf {
        self.directory.join("gateway.toml")
    }

    /// The directory of its state.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The same as the running process sees it: on a [`SmallDisk`] nobody else does.
    pub fn seen_state(&self) -> Option<PathBuf> {
        let id = self.running.as_ref()?.child.id();
        Some(PathBuf::from(format!(
            "/proc/{id}/root{}",
            self.state().display()
        )))
    }

    /// `kill -9`. Returns when the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.stop();
        }
    }

    /// Where it listens, if it runs.
    pub fn address(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|running| running.address)
    }

    /// Whether the process ended without [`Gateway::kill`].
    pub fn has_died(&self) -> bool {
        let gone = |running: &Running| running.reader.as_ref().is_none_or(JoinHandle::is_finished);
        self.running.as_ref().is_some_and(gone)
    }

    /// Runs a technician's command against this gateway and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, CommandFailed> {
        let config = self.config_path().display().to_string();
        let mut all = arguments.to_vec();
        all.extend(["--config", &config]);
        self.deltagate.run(&all)
    }

    /// Runs a technician's command with `--json` and reads the document.
    pub fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, CommandFailed> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let text = self.run(&all)?;
        serde_json::from_str(&text).map_err(|error| CommandFailed {
            command: all.join(" "),
            exit_code: Some(0),
            output: format!("printed another document ({error}): {text}"),
        })
    }

    /// Its log.
    pub fn log(&self) -> &Lines {
        &self.log
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Finds `127.0.0.1:PORT` in the log line that says where CoAP is spoken.
fn listening_address(line: &str) -> Option<SocketAddr> {
    if !line.contains("listening") {
        return None;
    }
    line.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))
        .filter_map(|word| word.parse::<SocketAddr>().ok())
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_log_line() {
        let line = "2026-01-01T00:00:00Z  INFO listening for CoAP coap=127.0.0.1:40123 build=x";
        assert_eq!(
            listening_address(line),
            Some(SocketAddr::from(([127, 0, 0, 1], 40_123)))
        );
        assert_eq!(listening_address("starting 127.0.0.1:40123"), None);
    }
}
