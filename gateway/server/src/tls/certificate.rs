//! Certificates of one kind: X.509 v3 (RFC 5280) with Ed25519 keys (RFC 8410), in files that hold all that their owner needs.
//!
//! An identity file is one PEM file of mode 0600: a private key, the certificate of that key, and the certificate of the site's
//! authority, which signed it and whose others are believed. An authority's file has its key and certificate only;
//! [`super::authority`] makes them all.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use zeroize::Zeroizing;

use super::TlsError;
use crate::{hex, owner_only};

/// Longest file: a key and two certificates are about 1.5 KB, and people put comments above them.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// X.520 §6.2.2.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// SHA-256 of a certificate's DER, by which one certificate is meant and no other of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate.
    pub fn of(der: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(der).into())
    }

    /// The first 16 digits, enough to tell certificates of one authority apart.
    pub fn short(&self) -> String {
        self.to_string().chars().take(16).collect()
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    /// 64 hex digits, with colons as OpenSSL prints them or without.
    fn from_str(text: &str) -> Result<Fingerprint, ()> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let mut bytes = [0; 32];
        match hex::fill(&digits, &mut bytes) {
            true => Ok(Fingerprint(bytes)),
            false => Err(()),
        }
    }
}

/// A technician's name: 1 to 32 of `A-Z a-z 0-9 . _ @ -`, which need no escaping anywhere.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
    (1..=32).contains(&text.len()) && text.chars().all(fits)
}

/// The common name of a certificate, where it has exactly one.
pub fn common_name(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let subject = certificate.tbs_certificate().subject().clone();
    let mut names = subject.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    let (name, other) = (names.next()?, names.next());
    let text = std::str::from_utf8(name.value.value()).ok()?;
    other.is_none().then(|| text.to_owned())
}

/// The last second in which a certificate counts, since 1970.
pub fn not_after_unix_s(der: &[u8]) -> Option<u64> {
    let certificate = Certificate::from_der(der).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    Some(end.to_unix_duration().as_secs())
}

/// What an identity file holds.
#[derive(Debug)]
pub struct Identity {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// Its own certificate.
    pub certificate: CertificateDer<'static>,
    /// Whose certificates are believed: the last one in the file.
    pub authority: CertificateDer<'static>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a file that only its owner may read.
    pub fn read(path: &Path) -> Result<Identity, TlsError> {
        let text = read_private(path)?;
        let unusable = |problem| TlsError::Unusable {
            path: path.to_owned(),
            problem,
        };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let mut certificates = certificates.map_err(|_| unusable("a certificate in it is damaged"))?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| unusable("it has no private key"))?;
        match (certificates.pop(), certificates.pop(), certificates.pop()) {
            (Some(authority), Some(certificate), None) => Ok(Identity {
                path: path.to_owned(),
                certificate,
                authority,
                key,
            }),
            _ => Err(unusable(
                "it does not have two certificates: its own, then the authority's",
            )),
        }
    }
}

/// The certificate that a file begins with; others may read it.
pub fn first_certificate(path: &Path) -> Result<CertificateDer<'static>, TlsError> {
    let (text, _) = read(path)?;
    CertificateDer::from_pem_slice(&text).map_err(|_| TlsError::Unusable {
        path: path.to_owned(),
        problem: "it has no certificate",
    })
}

/// Bytes of a file that others may not read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let (bytes, metadata) = read(path)?;
    match owner_only::open_to_others(path, &metadata) {
        Some(mode) => Err(TlsError::Open {
            path: path.to_owned(),
            mode,
        }),
        None => Ok(bytes),
    }
}

fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Metadata), TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // Never grown, so that no copy of a key is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok((bytes, metadata))
}
