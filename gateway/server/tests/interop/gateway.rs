//! A gateway as an operator runs one: the real binary, a directory of its own, a port that the system chose.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gateway_core::Credentials;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const CONFIGURATION: &str = r#"
listen = "127.0.0.1:0"
state_dir = "state"
trust = ["publisher.pub"]
"#;

/// Where the gateway's log goes, in its directory.
const LOG: &str = "gateway.log";

/// A running gateway; stopped and removed when dropped.
pub(crate) struct Gateway {
    process: Child,
    /// `coap://address:port`, as it announced itself.
    origin: String,
    directory: TempDir,
}

impl Gateway {
    /// Starts a gateway that is open to all and imports one image, signed by the publisher whom it trusts.
    pub(crate) fn serving(image: &[u8]) -> Gateway {
        Gateway::configured(image, "access = \"open\"\n")
    }

    /// The same, which serves devices with a key only.
    pub(crate) fn protected(image: &[u8]) -> Gateway {
        Gateway::configured(image, "")
    }

    fn configured(image: &[u8], access: &str) -> Gateway {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let at = directory.path();
        fs::write(at.join("image.bin"), image).expect("the image can be written");
        let configuration = format!("{CONFIGURATION}{access}");
        fs::write(at.join("gateway.toml"), configuration).expect("the configuration can be written");
        succeed(at, "key generate --out publisher");
        succeed(
            at,
            "image sign image.bin --vendor example.com --class interop --version 1.0.0 --sequence 1 \
             --key publisher.key --out image.suit",
        );
        let log = fs::File::create(at.join(LOG)).expect("the log can be made");
        let process = deltagate(at, "serve --config gateway.toml")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary under test can be started");
        // From here on the process ends with the value, whatever fails.
        let mut gateway = Gateway {
            process,
            origin: String::new(),
            directory,
        };
        gateway.origin = gateway.announced_origin();
        succeed(
            gateway.directory.path(),
            "image import image.suit --config gateway.toml",
        );
        gateway
    }

    /// The first line of its output: `listening coap://address:port`. It comes when both its sockets are bound.
    fn announced_origin(&mut self) -> String {
        let stdout = self.process.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the gateway's output is text");
        match line.trim().strip_prefix("listening ") {
            Some(origin) => origin.to_owned(),
            None => {
                let log = fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default();
                panic!("the gateway announced {line:?}, not where it listens; its log: {log}")
            }
        }
    }

    /// Gives a device a key, and what would be brought onto it.
    pub(crate) fn enrol(&self, device: &str) -> Credentials {
        let at = self.directory.path();
        let enrol = format!("device enrol {device} --out device.dgc --config gateway.toml");
        succeed(at, &enrol);
        let record = fs::read(at.join("device.dgc")).expect("the record was written");
        Credentials::decode(&record).expect("the record is one")
    }

    /// The URI of an image, imported or not: its digest's first 16 hex digits.
    pub(crate) fn image_uri(&self, image: &[u8]) -> String {
        format!("{}/i/{}", self.origin, leading_digits(image))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Either may fail only because the process ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The first 16 hex digits of an image's digest.
fn leading_digits(image: &[u8]) -> String {
    sha256(image)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Runs a command that must succeed; what it printed.
fn succeed(at: &Path, arguments: &str) -> Vec<u8> {
    let output = deltagate(at, arguments)
        .output()
        .expect("the binary under test can be started");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "deltagate {arguments}: {} {complaint}",
        output.status
    );
    output.stdout
}

fn deltagate(at: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltagate"));
    // A technician's own gateway must not be asked instead of this one.
    command
        .current_dir(at)
        .env_remove("DELTAGATE_SOCKET")
        .args(arguments.split_whitespace());
    command
}
