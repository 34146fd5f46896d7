//! The site's authority: makes keys and certificates for gateways and technicians, each in a file of its own.
//!
//! | whose | may | for |
//! |---|---|---|
//! | authority | sign certificates, none of which may sign others | [`AUTHORITY_DAYS`] |
//! | gateway | be a TLS server of the names and addresses in it | [`GATEWAY_DAYS`] |
//! | technician | be a TLS client; its common name is the technician's | [`TECHNICIAN_DAYS`] |

use std::io::{self, Write};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signature, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{Ia5String, OctetString};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, EncodePem};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::Validity;
use zeroize::Zeroizing;

use super::TlsError;
use super::certificate::read_private;
use crate::owner_only;

/// Ten years: replacing it means a new file for everybody.
pub const AUTHORITY_DAYS: u32 = 3_653;
/// Five years: `doctor` says in time that it ends.
pub const GATEWAY_DAYS: u32 = 1_826;
/// A year.
pub const TECHNICIAN_DAYS: u32 = 365;
/// Longest that can be asked for.
pub const DAYS_MAX: u32 = AUTHORITY_DAYS;
/// A new certificate counts from an hour before it was made: clocks differ.
const BEFORE_S: u64 = 3_600;
const DAY_S: u64 = 86_400;

/// RFC 5280 §4.2.1.12.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// RFC 5280 §4.2.1.12.
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Who signs a site's certificates.
pub struct Authority {
    certificate: Certificate,
    key: SigningKey,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A gateway, by every name and address that technicians reach it under.
    Gateway(Vec<String>),
    /// A technician, by name.
    Technician(String),
}

impl Authority {
    /// Makes one and writes its file, which must not be there.
    pub fn make(name: &str, path: &Path) -> Result<Authority, TlsError> {
        let key = make_key()?;
        let subject = named(name)?;
        let profile = Profile {
            issuer: subject.clone(),
            subject,
            usage: Usage::Authority,
        };
        let certificate = certify(profile, from_now(AUTHORITY_DAYS), &key, &key)?;
        write_private(path, &key, &[&certificate])?;
        Ok(Authority { certificate, key })
    }

    /// Reads its file.
    pub fn read(path: &Path) -> Result<Authority, TlsError> {
        let text = read_private(path)?;
        let unusable = |problem| TlsError::Unusable {
            path: path.to_owned(),
            problem,
        };
        let der = CertificateDer::from_pem_slice(&text).map_err(|_| unusable("it has no certificate"))?;
        let certificate = Certificate::from_der(&der).map_err(|_| unusable("its certificate is damaged"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| unusable("it has no private key"))?;
        let key = SigningKey::from_pkcs8_der(key.secret_pkcs8_der())
            .map_err(|_| unusable("its private key is not an Ed25519 key"))?;
        let constraints = certificate.tbs_certificate().get_extension::<BasicConstraints>();
        match constraints {
            Ok(Some((_, BasicConstraints { ca: true, .. }))) => Ok(Authority { certificate, key }),
            _ => Err(unusable("its certificate is not an authority's")),
        }
    }

    /// Makes a key and its certificate, and writes the holder's file, which must not be there.
    pub fn issue(&self, holder: &Holder, days: u32, path: &Path) -> Result<(), TlsError> {
        self.issue_for(holder, from_now(days), path)
    }

    /// The same for another time than from now on.
    pub fn issue_for(&self, holder: &Holder, valid: Range<SystemTime>, path: &Path) -> Result<(), TlsError> {
        let key = make_key()?;
        let (subject, usage) = match holder {
            Holder::Technician(name) => (named(name)?, Usage::Client),
            Holder::Gateway(names) => {
                let first = names.first().map_or("", String::as_str);
                (named(first)?, Usage::Server(general_names(names)?))
            }
        };
        let profile = Profile {
            issuer: self.certificate.tbs_certificate().subject().clone(),
            subject,
            usage,
        };
        let certificate = certify(profile, valid, &key, &self.key)?;
        write_private(path, &key, &[&certificate, &self.certificate])
    }
}

enum Usage {
    Authority,
    Server(Vec<GeneralName>),
    Client,
}

/// What of a certificate depends on its holder.
struct Profile {
    issuer: Name,
    subject: Name,
    usage: Usage,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let subject = tbs.subject();
        let mut extensions = Vec::new();
        let is_authority = matches!(self.usage, Usage::Authority);
        let constraints = BasicConstraints {
            ca: is_authority,
            path_len_constraint: is_authority.then_some(0),
        };
        let usage = match is_authority {
            true => KeyUsages::KeyCertSign,
            false => KeyUsages::DigitalSignature,
        };
        let purpose = match &self.usage {
            Usage::Authority => None,
            Usage::Server(_) => Some(SERVER_AUTH),
            Usage::Client => Some(CLIENT_AUTH),
        };
        extensions.push((&constraints).to_extension(subject, &extensions)?);
        extensions.push((&KeyUsage(usage.into())).to_extension(subject, &extensions)?);
        if let Some(purpose) = purpose {
            extensions.push((&ExtendedKeyUsage(vec![purpose])).to_extension(subject, &extensions)?);
        }
        if let Usage::Server(names) = &self.usage {
            extensions.push((&SubjectAltName(names.clone())).to_extension(subject, &extensions)?);
        }
        let own = SubjectKeyIdentifier(key_identifier(&key)?);
        extensions.push((&own).to_extension(subject, &extensions)?);
        let authority = AuthorityKeyIdentifier {
            key_identifier: Some(key_identifier(&issuer_key)?),
            ..AuthorityKeyIdentifier::default()
        };
        extensions.push((&authority).to_extension(subject, &extensions)?);
        Ok(extensions)
    }
}

/// RFC 7093 §2, method 1: the leftmost 160 bits of SHA-256 of the public key.
fn key_identifier(key: &SubjectPublicKeyInfoRef<'_>) -> x509_cert::builder::Result<OctetString> {
    let digest = Sha256::digest(key.subject_public_key.raw_bytes());
    Ok(OctetString::new(&digest[..20])?)
}

fn from_now(days: u32) -> Range<SystemTime> {
    let now = SystemTime::now();
    now - Duration::from_secs(BEFORE_S)..now + Duration::from_secs(u64::from(days) * DAY_S)
}

fn certify(
    profile: Profile,
    valid: Range<SystemTime>,
    key: &SigningKey,
    signer: &SigningKey,
) -> Result<Certificate, TlsError> {
    let made = || -> x509_cert::builder::Result<Certificate> {
        let validity = Validity::new(valid.start.try_into()?, valid.end.try_into()?);
        let mut serial = [0; 16];
        getrandom::fill(&mut serial)
            .map_err(|_| x509_cert::der::Error::from(x509_cert::der::ErrorKind::Failed))?;
        // Positive and not empty: RFC 5280 §4.1.2.2.
        serial[0] = serial[0] & 0x7F | 0x40;
        let public = SubjectPublicKeyInfoOwned::from_key(&key.verifying_key())?;
        let builder = CertificateBuilder::new(profile, SerialNumber::new(&serial)?, validity, public)?;
        builder.build::<_, Signature>(signer)
    };
    made().map_err(TlsError::Making)
}

fn named(name: &str) -> Result<Name, TlsError> {
    // A gateway may be named by an IPv6 address, whose colons need no escaping (RFC 4514 §2.4).
    Name::from_str(&format!("CN={name}")).map_err(|_| TlsError::NotAName {
        name: name.to_owned(),
    })
}

fn general_names(names: &[String]) -> Result<Vec<GeneralName>, TlsError> {
    let general = |name: &String| match name.parse::<IpAddr>() {
        Ok(address) => Ok(GeneralName::from(address)),
        Err(_) => {
            let wrong = || TlsError::NotAName { name: name.clone() };
            // As strict as whoever compares it.
            rustls::pki_types::DnsName::try_from(name.as_str()).map_err(|_| wrong())?;
            Ia5String::new(name)
                .map(GeneralName::DnsName)
                .map_err(|_| wrong())
        }
    };
    names.iter().map(general).collect()
}

fn make_key() -> Result<SigningKey, TlsError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(TlsError::Randomness)?;
    Ok(SigningKey::from_bytes(&secret))
}

fn write_private(path: &Path, key: &SigningKey, certificates: &[&Certificate]) -> Result<(), TlsError> {
    let encoding = || TlsError::Making(x509_cert::der::Error::from(x509_cert::der::ErrorKind::Failed).into());
    // Version 1 of PKCS#8, without the public key: what every tool reads.
    let pair = KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    };
    let mut text = pair.to_pkcs8_pem(LineEnding::LF).map_err(|_| encoding())?;
    for certificate in certificates {
        text.push_str(&certificate.to_pem(LineEnding::LF).map_err(|_| encoding())?);
    }
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => TlsError::Exists {
            path: path.to_owned(),
        },
        _ => TlsError::Write {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = owner_only::create_new(path, 0o600).map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}
