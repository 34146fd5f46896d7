//! A gateway on another machine: where it is, who asks, and what TLS says when it comes to nothing.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, StreamOwned};

use crate::tls::certificate::Identity;
use crate::tls::{TlsError, client};

/// For each address that the name has.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The gateway and who asks it.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `HOST:PORT`, as given.
    pub gateway: String,
    identity: PathBuf,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// Why a gateway on another machine cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The technician's certificate or key.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// Not `HOST:PORT`.
    #[error("\"{0}\" is no host and port")]
    NotAnAddress(String),
}

impl RemoteError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            RemoteError::Identity(error) => error.hint(),
            RemoteError::NotAnAddress(_) => Some("such as --gateway gateway.example.com:5685".to_owned()),
        }
    }
}

impl Remote {
    /// Reads the identity. Nothing is connected yet.
    pub fn new(gateway: &str, identity: &Path) -> Result<Remote, RemoteError> {
        let wrong = || RemoteError::NotAnAddress(gateway.to_owned());
        let (host, port) = gateway.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
        Ok(Remote {
            gateway: gateway.to_owned(),
            identity: identity.to_owned(),
            name,
            config: client(Identity::read(identity)?)?,
        })
    }

    pub(super) fn connect(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.gateway.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
                    return Ok(StreamOwned::new(connection.map_err(io::Error::other)?, stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What a broken conversation is about, when it is about certificates: the problem, and what to do next.
    pub(super) fn explain(&self, error: &io::Error) -> Option<(String, String)> {
        let (gateway, own) = (&self.gateway, self.identity.display());
        let another = "ask the keeper of the site's authority for another: deltagate admin-cert technician";
        let (problem, hint) = match error.get_ref()?.downcast_ref::<Error>()? {
            Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateExpired => (
                    format!("{gateway} does not take the certificate of {own}: by its clock it has expired, or is not valid yet"),
                    format!("deltagate admin-cert show {own} says until when; {another}"),
                ),
                AlertDescription::UnknownCA | AlertDescription::DecryptError => (
                    format!("{gateway} does not take the certificate of {own}: another authority has signed it"),
                    another.to_owned(),
                ),
                AlertDescription::UnsupportedCertificate => (
                    format!("{gateway} does not take the certificate of {own}: it is not a technician's"),
                    another.to_owned(),
                ),
                other => (
                    format!("{gateway} refuses to speak TLS: {other:?}"),
                    "see the gateway's log, and docs/remote.md".to_owned(),
                ),
            },
            Error::InvalidCertificate(problem) => match problem {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                    format!("the certificate of {gateway} has expired"),
                    "have another one made: deltagate admin-cert gateway".to_owned(),
                ),
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
                    format!("the certificate of {gateway} is not valid yet, by this machine's clock"),
                    "set the clock of this machine".to_owned(),
                ),
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
                    format!("what answers at {gateway} has a certificate for other names"),
                    "use the name or address that the certificate has, or have one made for this one, too: deltagate admin-cert gateway"
                        .to_owned(),
                ),
                CertificateError::UnknownIssuer | CertificateError::BadSignature => (
                    format!("what answers at {gateway} is no gateway of the authority in {own}"),
                    "check the address; if it is right, somebody may be in between: do not go on".to_owned(),
                ),
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
                    format!("what answers at {gateway} has a certificate that is not a gateway's"),
                    "check the address; if it is right, somebody may be in between: do not go on".to_owned(),
                ),
                other => (
                    format!("the certificate of {gateway} cannot be believed: {other}"),
                    "see docs/remote.md".to_owned(),
                ),
            },
            Error::InvalidMessage(_) => (
                format!("what answers at {gateway} does not speak TLS"),
                "check the port: that of `address` under [remote] in its gateway.toml".to_owned(),
            ),
            _ => return None,
        };
        Some((problem, hint))
    }
}
