//! Clients of `coaps://` that nobody here wrote, on three implementations of DTLS.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    /// libcoap 4.3.1 on OpenSSL, as in Debian 12.
    OpenSsl,
    /// The same on GnuTLS.
    GnuTls,
    /// aiocoap on tinydtls, through the few lines of `aiocoap_dtls.py`.
    TinyDtls,
}

pub(crate) const ALL: [Client; 3] = [Client::OpenSsl, Client::GnuTls, Client::TinyDtls];

/// What a device has: its key is text here, as libcoap takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) name: &'a str,
    pub(crate) key: &'a str,
}

impl Client {
    /// Fetches a resource; all that was printed, where nothing came.
    pub(crate) fn fetch(
        self,
        uri: &str,
        identity: Identity<'_>,
        patience_s: &str,
    ) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let file = directory.path().join("fetched");
        let output = match self {
            Client::OpenSsl | Client::GnuTls => {
                let mut command = self.libcoap(identity, patience_s, &file);
                run(command.args(["-b", "256"]).arg(uri))
            }
            Client::TinyDtls => {
                run(tinydtls()
                    .arg(uri)
                    .arg(&file)
                    .args([patience_s, identity.name, identity.key]))
            }
        };
        // libcoap's client exits with 0 whatever came of it.
        match fs::read(&file) {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(printed(&output)),
        }
    }

    /// Posts a body of CBOR with libcoap, and gives the answer's.
    pub(crate) fn post(self, uri: &str, identity: Identity<'_>, body: &[u8]) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (sent, file) = (directory.path().join("sent"), directory.path().join("answer"));
        fs::write(&sent, body).expect("the body can be written");
        let mut command = self.libcoap(identity, "30", &file);
        let output = run(command.args(["-m", "post", "-t", "60", "-f"]).arg(&sent).arg(uri));
        fs::read(&file).map_err(|_| printed(&output))
    }

    fn libcoap(self, identity: Identity<'_>, patience_s: &str, file: &Path) -> Command {
        let mut command = Command::new(match self {
            Client::GnuTls => "coap-client-gnutls",
            Client::OpenSsl | Client::TinyDtls => "coap-client-openssl",
        });
        command
            .args(["-u", identity.name, "-k", identity.key, "-B", patience_s, "-o"])
            .arg(file);
        command
    }
}

fn tinydtls() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".build/venv-dtls/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run scripts/interop-tools, which installs aiocoap and DTLSSocket there",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(root.join("gateway/server/tests/dtls/aiocoap_dtls.py"));
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!(
            "cannot run {command:?} ({error}): install Debian's libcoap3-bin or run scripts/prepare interop"
        )
    })
}

fn printed(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    format!(
        "{} {} ({})",
        text(&output.stdout),
        text(&output.stderr),
        output.status
    )
}
