//! The clients, as their own documentation runs them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".build/venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run scripts/interop-tools, which installs aiocoap there",
        python.display()
    );
    let script = root.join("gateway/server/tests/interop/aiocoap_get.py");
    let mut command = Command::new(&python);
    command.arg(script).arg(uri).arg(file).arg(PATIENCE_S);
    // RFC 7959 §2.2: SZX is the exponent, less 4.
    command.args(block_size.map(|block_size| (block_size.ilog2() - 4).to_string()));
    command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", python.display()))
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
