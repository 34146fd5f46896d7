//! The clients, as their own documentation runs them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use gateway_core::Credentials;
use tempfile::TempDir;

/// A CoAP client from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    /// `coap-client-notls` of libcoap 4.3.1, as in Debian 12.
    Libcoap,
    /// aiocoap, through the few lines of `aiocoap_get.py`.
    Aiocoap,
}

/// The client got no body.
#[derive(Debug)]
pub(crate) struct Failed {
    /// All that it printed.
    pub(crate) complaint: String,
}

/// Seconds after which a client stops waiting; the longest fetch takes about two.
const PATIENCE_S: &str = "30";

impl Client {
    /// Fetches a resource, asking for `block_size` or leaving it to the server.
    pub(crate) fn fetch(self, uri: &str, block_size: Option<u16>) -> Result<Vec<u8>, Failed> {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let file = directory.path().join("fetched");
        let output = match self {
            Client::Libcoap => libcoap(uri, block_size, &file),
            Client::Aiocoap => aiocoap(uri, block_size, &file),
        };
        match fs::read(&file) {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(Failed {
                complaint: everything_printed(&output),
            }),
        }
    }
}

fn libcoap(uri: &str, block_size: Option<u16>, file: &Path) -> Output {
    let mut command = Command::new("coap-client-notls");
    command.args(["-B", PATIENCE_S, "-o"]).arg(file);
    if let Some(block_size) = block_size {
        command.args(["-b", &block_size.to_string()]);
    }
    command.arg(uri).output().unwrap_or_else(|error| {
        panic!("cannot run coap-client-notls ({error}): install Debian's libcoap3-bin or run scripts/prepare interop")
    })
}

fn aiocoap(uri: &str, block_size: Option<u16>, file: &Path) -> Output {
    let mut command = python("aiocoap_get.py");
    command.arg(uri).arg(file).arg(PATIENCE_S);
    // RFC 7959 §2.2: SZX is the exponent, less 4.
    command.args(block_size.map(|block_size| (block_size.ilog2() - 4).to_string()));
    command.output().expect("the interpreter is there")
}

/// The interpreter that has aiocoap, and a script beside this file.
fn python(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".build/venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run scripts/interop-tools, which installs aiocoap there",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(root.join("gateway/server/tests/interop").join(script));
    command
}

/// A device with a key, played by aiocoap, through the few lines of `aiocoap_oscore_get.py`.
pub(crate) struct Protected {
    /// aiocoap's: the keys, and how far it counted.
    context: TempDir,
}

impl Protected {
    pub(crate) fn with(credentials: &Credentials) -> Protected {
        let context = tempfile::tempdir().expect("a temporary directory can be made");
        let settings = serde_json::json!({
            "sender-id_hex": hex(credentials.kid.as_bytes()),
            "recipient-id_hex": hex(credentials.gateway_id.as_bytes()),
            "secret_hex": hex(credentials.secret.expose()),
        });
        let file = context.path().join("settings.json");
        fs::write(file, settings.to_string()).expect("the settings can be written");
        Protected { context }
    }

    /// Fetches a resource, asking for `block_size` or leaving it to the server.
    pub(crate) fn fetch(&self, uri: &str, block_size: Option<u16>) -> Result<Vec<u8>, Failed> {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let file = directory.path().join("fetched");
        let mut command = python("aiocoap_oscore_get.py");
        command
            .arg(self.context.path())
            .arg(uri)
            .arg(&file)
            .arg(PATIENCE_S);
        command.args(block_size.map(|block_size| (block_size.ilog2() - 4).to_string()));
        let output = command.output().expect("the interpreter is there");
        fs::read(&file).map_err(|_| Failed {
            complaint: everything_printed(&output),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn everything_printed(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    format!(
        "{} {} ({})",
        text(&output.stdout),
        text(&output.stderr),
        output.status
    )
}
