//! A site: the real binary in a directory of its own, publishers, and devices that speak CoAP with the device's codec.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod decode;
pub(crate) mod device;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) const VENDOR: &str = "example.com";
pub(crate) const CLASS: &str = "thermometer";

/// A directory with a gateway's configuration and a publisher that it trusts.
pub(crate) struct Site {
    directory: TempDir,
    gateway: Option<Child>,
    address: Option<SocketAddr>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    /// With nothing running yet.
    pub(crate) fn new() -> Site {
        Site::at(tempfile::tempdir().unwrap())
    }

    /// The same in memory where the system has such a directory: for tests of thousands of commits, not of their durability.
    pub(crate) fn in_memory() -> Site {
        let memory = Path::new("/dev/shm");
        match memory.is_dir() {
            true => Site::at(tempfile::tempdir_in(memory).unwrap()),
            false => Site::new(),
        }
    }

    fn at(directory: TempDir) -> Site {
        let site = Site {
            directory,
            gateway: None,
            address: None,
        };
        site.configure("127.0.0.1:0", "");
        site.done("key generate --out publisher");
        site
    }

    /// With a running gateway.
    pub(crate) fn started() -> Site {
        let mut site = Site::new();
        site.start();
        site
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Writes gateway.toml. Relative paths show that they start at the file. It is open where nothing else is said: what most
    /// tests are about has nothing to do with keys.
    pub(crate) fn configure(&self, listen: &str, more: &str) {
        let open = match more.contains("access = ") {
            true => "",
            false => "access = \"open\"\n",
        };
        self.configure_exactly(listen, &format!("{open}{more}"));
    }

    /// The same, with nothing added.
    pub(crate) fn configure_exactly(&self, listen: &str, more: &str) {
        let text =
            format!("listen = \"{listen}\"\nstate_dir = \"state\"\ntrust = [\"publisher.pub\"]\n{more}");
        fs::write(self.path().join("gateway.toml"), text).unwrap();
    }

    /// Starts the gateway and waits for the line that says where it listens.
    pub(crate) fn start(&mut self) -> SocketAddr {
        let serve = self.deltagate("serve");
        self.spawn(serve)
    }

    /// The same, by a shell's script whose arguments are the gateway's command.
    pub(crate) fn start_under(&mut self, script: &str) -> SocketAddr {
        let serve = self.deltagate("serve");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script, "sh"])
            .arg(serve.get_program())
            .args(serve.get_args());
        shell.current_dir(self.path()).stdin(Stdio::null());
        self.spawn(shell)
    }

    fn spawn(&mut self, mut serve: Command) -> SocketAddr {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path().join("gateway.log"))
            .unwrap();
        let mut child = serve.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        self.gateway = Some(child);
        let address = line.trim().strip_prefix("listening coap://").unwrap_or_else(|| {
            panic!(
                "gateway printed {line:?}: {}",
                fs::read_to_string(self.path().join("gateway.log")).unwrap()
            )
        });
        let address = address.parse().unwrap();
        self.address = Some(address);
        address
    }

    /// `kill -9`, and the next start listens at the same port.
    pub(crate) fn kill(&mut self) {
        let mut child = self.gateway.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.configure(&self.address.unwrap().to_string(), "");
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let mut child = self.gateway.take().unwrap();
        let sent = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        child.wait().unwrap().code()
    }

    /// Of the running gateway.
    pub(crate) fn process_id(&self) -> u32 {
        self.gateway.as_ref().unwrap().id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    fn deltagate(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deltagate"));
        command
            .current_dir(self.path())
            .args(arguments.split_whitespace())
            .env_remove("DELTAGATE_SOCKET");
        command.args(["--config", "gateway.toml"]).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        ran(self.deltagate(arguments).output().unwrap())
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn done(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(
            ran.code,
            Some(0),
            "deltagate {arguments}: {}{}",
            ran.stdout,
            ran.stderr
        );
        ran.stdout
    }

    pub(crate) fn json(&self, arguments: &str) -> Value {
        let document: Value = serde_json::from_str(&self.done(&format!("{arguments} --json"))).unwrap();
        assert_eq!(document["version"], 1);
        document
    }

    /// Returns when no build is under way. Each question takes its time, so this does not spin; their number bounds it.
    pub(crate) fn wait_until_built(&self) {
        let idle = |_: &u32| self.json("status")["building"] == 0;
        assert!((0..2_000).any(|n| idle(&n)), "builds do not end");
    }

    /// Signs `image` with `key` into `name.suit`.
    pub(crate) fn sign(&self, name: &str, image: &[u8], sequence: u32, key: &str) {
        fs::write(self.path().join(format!("{name}.bin")), image).unwrap();
        self.done(&format!(
            "image sign {name}.bin --vendor {VENDOR} --class {CLASS} --version {sequence}.0 --sequence {sequence} \
             --key {key}.key --out {name}.suit"
        ));
    }

    /// Signs and imports; gives the digest in hex.
    pub(crate) fn import(&self, name: &str, image: &[u8], sequence: u32) -> String {
        self.sign(name, image, sequence, "publisher");
        self.done(&format!("image import {name}.suit"));
        hex(&sha256(image))
    }

    /// What came of every import, as the audit trail has it.
    pub(crate) fn audit(&self) -> Vec<String> {
        let trail = self.json("audit");
        let entries = trail["entries"].as_array().unwrap().iter();
        let imports = entries.filter(|entry| entry["what"] == "image-import");
        imports
            .map(|entry| entry["outcome"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Names in a directory of the state.
    pub(crate) fn files(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.state().join(directory)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.gateway.take() {
            // Either may fail only because the process ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Bytes that compress badly and differ by seed, so that deltas are not trivial.
pub(crate) fn firmware(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
