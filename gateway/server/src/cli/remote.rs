//! Technicians on other machines: which gateway, who asks, and the certificates for both.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::args::Command;
use super::failure::{Failure, USAGE};
use crate::client::Client;
use crate::client::remote::Remote;
use crate::clock::{unix_s, utc};
use crate::tls::TlsError;
use crate::tls::authority::{AUTHORITY_DAYS, Authority, DAYS_MAX, GATEWAY_DAYS, Holder, TECHNICIAN_DAYS};
use crate::tls::certificate::{Fingerprint, common_name, first_certificate, is_name, not_after_unix_s};

/// `--gateway`, `--identity`.
#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// A gateway on another machine, as [remote] in its gateway.toml says (or set DELTAGATE_GATEWAY)
    // Not "gateway": `probe` has an argument of that name, and would have this one's value.
    #[arg(id = "remote_gateway", long = "gateway", global = true, value_name = "HOST:PORT", conflicts_with_all = ["socket", "config"])]
    pub gateway: Option<String>,
    /// Your key and certificate for it, from `deltagate admin-cert technician` (or set DELTAGATE_IDENTITY)
    #[arg(long, global = true, value_name = "FILE")]
    pub identity: Option<PathBuf>,
}

impl RemoteArgs {
    /// Whether the command can be asked of a gateway elsewhere, where one is named.
    pub(super) fn check(&self, command: &Command) -> Result<(), Failure> {
        let named = self.gateway.is_some() || self.identity.is_some();
        match command.asks_nobody() {
            Some(why) if named => {
                Err(Failure::new(USAGE, format!("this command {why}"))
                    .hint("leave out --gateway and --identity"))
            }
            _ if self.identity.is_some()
                && self.gateway.is_none()
                && std::env::var_os("DELTAGATE_GATEWAY").is_none() =>
            {
                Err(Failure::new(
                    USAGE,
                    "an identity is for a gateway on another machine, and none is named",
                )
                .hint("add --gateway HOST:PORT, or leave out --identity"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn client(&self, gateway: &str) -> Result<Client, Failure> {
        let set = || std::env::var_os("DELTAGATE_IDENTITY").map(PathBuf::from);
        let Some(identity) = self.identity.clone().or_else(set) else {
            return Err(Failure::new(
                USAGE,
                format!("{gateway} wants to know who asks, and no identity is named"),
            )
            .hint("add --identity FILE, or set DELTAGATE_IDENTITY; docs/remote.md says how to get one"));
        };
        Ok(Client::of(Remote::new(gateway, &identity)?))
    }
}

/// `admin-cert …`
#[derive(Debug, Subcommand)]
pub enum AdminCertCommand {
    /// Make the site's authority, which signs all others: keep its file away from every gateway
    Authority {
        /// The site, for people
        #[arg(default_value = "deltagate")]
        site: String,
        /// Where its key and certificate go
        #[arg(long, value_name = "FILE", default_value = "authority.pem")]
        out: PathBuf,
    },
    /// Make a gateway's key and certificate
    Gateway {
        /// Every host name and address that technicians reach it under
        #[arg(required = true)]
        names: Vec<String>,
        /// The authority's file
        #[arg(long, value_name = "FILE", default_value = "authority.pem")]
        authority: PathBuf,
        /// Where they go; NAME.pem without
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// For how long
        #[arg(long, value_name = "DAYS", default_value_t = GATEWAY_DAYS, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
        days: u32,
    },
    /// Make a technician's key and certificate
    Technician {
        /// Who it is, as gateway.toml will name them
        name: String,
        /// The authority's file
        #[arg(long, value_name = "FILE", default_value = "authority.pem")]
        authority: PathBuf,
        /// Where they go; NAME.pem without
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// For how long
        #[arg(long, value_name = "DAYS", default_value_t = TECHNICIAN_DAYS, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
        days: u32,
    },
    /// Show whose a file is, its fingerprint, and until when it counts
    Show {
        /// What one of the others made
        file: PathBuf,
    },
}

impl AdminCertCommand {
    /// Makes or shows.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            AdminCertCommand::Authority { site, out: path } => {
                Authority::make(site, path)?;
                let path = path.display();
                writeln!(out, "made {path}, which counts for {AUTHORITY_DAYS} days")?;
                writeln!(
                    out,
                    "who has it can make technicians: keep it away from gateways, and a copy where it is safe"
                )?;
                writeln!(
                    out,
                    "next step: deltagate admin-cert gateway NAME... and deltagate admin-cert technician NAME"
                )?;
            }
            AdminCertCommand::Gateway {
                names,
                authority,
                out: path,
                days,
            } => {
                let first = names.first().map_or("gateway", String::as_str);
                let path = path.clone().unwrap_or_else(|| file_of(first));
                Authority::read(authority)?.issue(&Holder::Gateway(names.clone()), *days, &path)?;
                describe(&path, out)?;
                writeln!(
                    out,
                    "next step: put it on the gateway, for its user only, and name it as `identity` under [remote] in gateway.toml"
                )?;
            }
            AdminCertCommand::Technician {
                name,
                authority,
                out: path,
                days,
            } => {
                if !is_name(name) {
                    return Err(TlsError::NotAName { name: name.clone() }.into());
                }
                let path = path.clone().unwrap_or_else(|| file_of(name));
                Authority::read(authority)?.issue(&Holder::Technician(name.clone()), *days, &path)?;
                describe(&path, out)?;
                writeln!(
                    out,
                    "next step: name {name} in `view`, `operate` or `admin` under [remote] in gateway.toml, and give {name} the file"
                )?;
            }
            AdminCertCommand::Show { file } => describe(file, out)?,
        }
        Ok(())
    }
}

fn file_of(name: &str) -> PathBuf {
    PathBuf::from(format!("{name}.pem"))
}

fn describe(path: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let der = &first_certificate(path)?;
    let until = not_after_unix_s(der).unwrap_or(0);
    let past = if until < unix_s() { ", which is past" } else { "" };
    writeln!(out, "file          {}", path.display())?;
    writeln!(out, "name          {}", common_name(der).unwrap_or_default())?;
    writeln!(out, "fingerprint   {}", Fingerprint::of(der))?;
    writeln!(out, "counts until  {}{past}", utc(until))?;
    Ok(())
}
