//! TLS 1.3 between a technician's machine and a gateway, both ends with certificates of the site's own authority.
//!
//! | module | what it is |
//! |---|---|
//! | `provider` | the cryptography: one suite, of primitives that are linked anyway |
//! | [`certificate`] | identity files: read, named |
//! | [`authority`] | identity files: made |

pub mod authority;
pub mod certificate;
mod provider;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use certificate::Identity;

/// Why there is no identity to speak TLS with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file is there already: keys are never overwritten.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Other users can read it.
    #[error("{} holds a private key and can be read by others (mode {mode:03o})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not what it should be.
    #[error("{} is no identity: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// One clause. Never quotes the file.
        problem: &'static str,
    },
    /// Key and certificate do not belong together, or are of another kind.
    #[error("{} cannot be used", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No certificate can be made for this.
    #[error("\"{name}\" is no name that a certificate can have")]
    NotAName {
        /// As given.
        name: String,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Making(x509_cert::builder::Error),
    /// The system gives no random numbers.
    #[error("cannot make a key")]
    Randomness(#[source] getrandom::Error),
}

impl TlsError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            TlsError::Exists { .. } => Some("name another file with --out, or move that one away".to_owned()),
            TlsError::Open { path, .. } => Some(format!("chmod 600 {}", path.display())),
            TlsError::Unusable { .. } | TlsError::Unfit { .. } => {
                Some("use a file that `deltagate admin-cert` has made; see docs/remote.md".to_owned())
            }
            TlsError::NotAName { .. } => {
                Some("a gateway is named by host names and addresses, a technician by 1 to 32 of A-Z a-z 0-9 . _ @ -".to_owned())
            }
            TlsError::Read { .. } | TlsError::Write { .. } | TlsError::Making(_) | TlsError::Randomness(_) => None,
        }
    }
}

/// A gateway's end: TLS 1.3, a certificate demanded of everybody, no resumption, so that each connection is judged anew.
pub fn server(identity: Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let path = identity.path.clone();
    let unfit = |source| TlsError::Unfit {
        path: path.clone(),
        source,
    };
    let other = |error: &dyn std::error::Error| unfit(rustls::Error::General(error.to_string()));
    let provider = provider::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&identity)?, Arc::clone(&provider))
        .build()
        .map_err(|error| other(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unfit)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate], identity.key)
        .map_err(unfit)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A technician's end.
pub fn client(identity: Identity) -> Result<Arc<ClientConfig>, TlsError> {
    let path = identity.path.clone();
    let unfit = |source| TlsError::Unfit {
        path: path.clone(),
        source,
    };
    let mut config = ClientConfig::builder_with_provider(provider::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unfit)?
        .with_root_certificates(roots(&identity)?)
        .with_client_auth_cert(vec![identity.certificate], identity.key)
        .map_err(unfit)?;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn roots(identity: &Identity) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    let added = roots.add(identity.authority.clone());
    added.map_err(|source| TlsError::Unfit {
        path: identity.path.clone(),
        source,
    })?;
    Ok(Arc::new(roots))
}
