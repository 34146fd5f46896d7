//! aiocoap, in a process of its own, through the few lines of `client.py` and `server.py`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Seconds after which it stops waiting; the longest exchange takes about one.
const PATIENCE_S: &str = "30";

/// Whose side it takes.
#[derive(Clone, Copy)]
pub(crate) enum Party {
    Device,
    Gateway,
}

/// A folder with its context.
pub(crate) struct Aiocoap {
    folder: tempfile::TempDir,
}

impl Aiocoap {
    pub(crate) fn of(party: Party) -> Aiocoap {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = match party {
            Party::Device => ("1234", "67"),
            Party::Gateway => ("67", "1234"),
        };
        let settings = serde_json::json!({
            "sender-id_hex": own,
            "recipient-id_hex": other,
            "secret_ascii": "a secret of 16 B",
            "salt_ascii": "salt",
        });
        std::fs::write(folder.path().join("settings.json"), settings.to_string()).unwrap();
        Aiocoap { folder }
    }

    /// Asks once, and returns the whole body.
    pub(crate) fn ask(&self, port: u16, method: &str, path: &str, szx: u8, payload: &[u8]) -> Vec<u8> {
        let mut client = python("client.py")
            .arg(self.folder.path())
            .args([&port.to_string(), method, path, &szx.to_string(), PATIENCE_S])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(payload).unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "aiocoap's client says why above");
        output.stdout
    }

    /// Serves until dropped.
    pub(crate) fn serve(self) -> Serving {
        let mut process = python("server.py")
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Serving {
            port: line.trim().parse().expect("it prints its port"),
            stdin: process.stdin.take(),
            process,
            context: Some(self),
        }
    }
}

/// aiocoap's server.
pub(crate) struct Serving {
    port: u16,
    process: Child,
    /// It ends when this does.
    stdin: Option<ChildStdin>,
    context: Option<Aiocoap>,
}

impl Serving {
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Ends it where it stands. What it has in its folder is left.
    pub(crate) fn killed(mut self) -> Aiocoap {
        self.process.kill().unwrap();
        self.context.take().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.process.wait();
    }
}

fn python(script: &str) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python: PathBuf = here.join("../../.build/venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run scripts/interop-tools, which installs aiocoap there",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(here.join("tests/aiocoap").join(script));
    command
}
