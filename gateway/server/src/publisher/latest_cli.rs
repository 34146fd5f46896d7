//! `deltagate image latest`: arguments, and what is printed.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use gateway_core::WRITTEN_UNIX_S;
use wire_manifest::{Latest, NUMBER_MAX};

use super::cli::print;
use super::identity::{class_id, vendor_id};
use super::latest::{dangerous_unverified_latest, sign_latest};
use super::signer::{self, Signer};
use super::{PublisherError, files};
use crate::clock::{unix_s, utc_minute};

/// A file of a statement has some 300 bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
const DAY_S: u32 = 86_400;

/// State which release of a class is the latest, so that devices notice when a gateway keeps it back.
#[derive(Args, Clone, Debug)]
pub struct ImageLatestArgs {
    /// The vendor's domain, as in `image sign`.
    #[arg(long)]
    pub vendor: String,
    /// The device class, as in `image sign`.
    #[arg(long)]
    pub class: String,
    /// Sequence number of the latest release.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub sequence: u32,
    /// The statement before this one: its number is one less.
    #[arg(long, value_name = "FILE", required_unless_present = "number")]
    pub after: Option<PathBuf>,
    /// The statement's own number, instead of --after: 1 for the first.
    #[arg(long, conflicts_with = "after", value_parser = clap::value_parser!(u32).range(1..=i64::from(NUMBER_MAX)))]
    pub number: Option<u32>,
    /// For how many days you mean it: sign the next one before half of them are over.
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub valid_days: u32,
    /// Sign although the clock is behind the statement before, whose clock was wrong.
    #[arg(long, requires = "after")]
    pub clock_was_wrong: bool,
    /// The private key: a file, or a key in a token ('pkcs11:token=…;object=…').
    #[arg(long, value_name = "KEY")]
    pub key: OsString,
    /// Where the signed file goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

impl ImageLatestArgs {
    /// Signs the statement, writes the file, and prints what was stated.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        self.run_at(unix_s(), out)
    }

    /// As [`Self::run`], at this time.
    pub(super) fn run_at(&self, now_s: u64, out: &mut dyn Write) -> Result<(), PublisherError> {
        let issued_s = u32::try_from(now_s).ok().filter(|_| now_s >= WRITTEN_UNIX_S);
        let issued_s = issued_s.ok_or(PublisherError::ClockNotSet)?;
        let latest = Latest {
            number: self.next_number(issued_s)?,
            sequence: self.sequence,
            issued_s,
            valid_s: self.valid_days * DAY_S,
        };
        let key = signer::open(&self.key)?;
        let file = sign_latest(&self.vendor, &self.class, &latest, key.as_ref())?;
        files::write(&self.out, &file)?;
        print(out, &self.report(&latest, &file, key.as_ref()))
    }

    fn next_number(&self, issued_s: u32) -> Result<u32, PublisherError> {
        let Some(path) = &self.after else {
            return Ok(self.number.unwrap_or(1));
        };
        let before = self.before(path)?;
        if before.issued_s > issued_s && !self.clock_was_wrong {
            return Err(PublisherError::ClockIsBehind {
                path: path.clone(),
                before: utc_minute(before.issued_s.into()),
            });
        }
        let number = before
            .number
            .checked_add(1)
            .filter(|number| *number <= NUMBER_MAX);
        number.ok_or_else(|| PublisherError::NotTheStatementBefore { path: path.clone() })
    }

    fn before(&self, path: &Path) -> Result<Latest, PublisherError> {
        let file = files::read(path, FILE_BYTES_MAX)?;
        let class = class_id(&vendor_id(&self.vendor), &self.class);
        let found = dangerous_unverified_latest(&file).filter(|(_, of)| *of == class);
        let found = found.map(|(latest, _)| latest);
        found.ok_or_else(|| PublisherError::NotTheStatementBefore {
            path: path.to_owned(),
        })
    }

    fn report(&self, latest: &Latest, file: &[u8], key: &dyn Signer) -> String {
        let (issued_s, valid_s) = (u64::from(latest.issued_s), u64::from(latest.valid_s));
        format!(
            "statement     number {}: the latest of {} is sequence {}\nissued        {} UTC\n\
             meant until   {} UTC, {} days\nsigned by     key {}\nwritten       {} ({} bytes)\n",
            latest.number,
            self.class,
            latest.sequence,
            utc_minute(issued_s),
            utc_minute(issued_s + valid_s),
            self.valid_days,
            key.key_id(),
            self.out.display(),
            file.len()
        )
    }
}

#[cfg(test)]
mod tests;
