//! `[remote]`: technicians on other machines, and what each may.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Document};
use crate::admin::role::Role;
use crate::tls::certificate::{Fingerprint, is_name};

/// Technicians that may be named, in all.
pub const TECHNICIANS_MAX: usize = 256;
/// Certificates that may be revoked. Who is no longer named needs none.
pub const REVOKED_MAX: usize = 1_024;

/// `[remote]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where technicians are listened to, over TCP.
    pub address: SocketAddr,
    /// The gateway's key, its certificate, and the authority's.
    pub identity: PathBuf,
    /// What each named technician may.
    pub technicians: BTreeMap<String, Role>,
    /// Certificates that do not count, whatever name they have.
    pub revoked: Vec<Fingerprint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoteTable {
    address: Spanned<String>,
    identity: PathBuf,
    #[serde(default)]
    admin: Vec<Spanned<String>>,
    #[serde(default)]
    operate: Vec<Spanned<String>>,
    #[serde(default)]
    view: Vec<Spanned<String>>,
    #[serde(default)]
    revoked: Vec<Spanned<String>>,
}

impl RemoteTable {
    pub(super) fn check(&self, document: &Document<'_>, base: &Path) -> Result<Remote, ConfigError> {
        let mut technicians = BTreeMap::new();
        for (role, names) in [
            (Role::Admin, &self.admin),
            (Role::Operate, &self.operate),
            (Role::View, &self.view),
        ] {
            let invalid =
                |name: &Spanned<String>, problem| document.invalid(name.span(), role.name(), problem);
            for name in names {
                let text = name.as_ref();
                if !is_name(text) {
                    let problem =
                        format!("expects names of 1 to 32 of A-Z a-z 0-9 . _ @ -, found \"{text}\"");
                    return Err(invalid(name, problem));
                }
                if technicians.insert(text.clone(), role).is_some() {
                    let problem =
                        format!("expects each name once in admin, operate and view, found \"{text}\" twice");
                    return Err(invalid(name, problem));
                }
                if technicians.len() > TECHNICIANS_MAX {
                    return Err(invalid(
                        name,
                        format!("expects at most {TECHNICIANS_MAX} names in all"),
                    ));
                }
            }
        }
        if let Some(one_more) = self.revoked.get(REVOKED_MAX) {
            let problem = format!("expects at most {REVOKED_MAX} fingerprints");
            return Err(document.invalid(one_more.span(), "revoked", problem));
        }
        let fingerprint = |text| document.parsed("revoked", text, "64 hex digits of a certificate's SHA-256");
        Ok(Remote {
            address: document.parsed(
                "address",
                &self.address,
                "an address and port such as \"[::]:5685\"",
            )?,
            identity: base.join(&self.identity),
            technicians,
            revoked: self.revoked.iter().map(fingerprint).collect::<Result<_, _>>()?,
        })
    }
}
