//! `device enrol --psk`, `device rotate --psk`: keys of DTLS, which most devices have already when they come.
//!
//! A key that was drawn here is written to a file as a factory's list of one line, which `device import` reads: `docs/identity.md`.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use gateway_core::{PSK_BYTES_MIN, Psk, PskIdentity, PskKey};
use zeroize::Zeroizing;

use super::commands::{Style, print_json, understood};
use super::failure::{Failure, INTERNAL, REFUSED, USAGE};
use super::identity::{OutArgs, undone, write};
use crate::admin::Ask;
use crate::client::{Client, ClientError};
use crate::report::EnrolledPsk;
use crate::{factory, hex};

/// Which key.
#[derive(Args, Clone, Debug)]
pub struct PskArgs {
    /// Identity of a pre-shared key, for devices that speak coaps:// (DTLS 1.2); 0x and hex digits where it is not text
    #[arg(long, value_name = "IDENTITY")]
    pub psk: Option<PskIdentity>,
    /// File with the key that the device has, 32 to 64 hex digits; - is standard input. Without, one is drawn
    #[arg(long, value_name = "FILE", requires = "psk")]
    pub psk_key: Option<PathBuf>,
}

/// Takes or draws a key, writes a drawn one down, and tells the gateway.
pub(super) fn hand_out(
    (device, identity): (&str, PskIdentity),
    args: &PskArgs,
    ask: Ask,
    to: &OutArgs,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (key, file) = match &args.psk_key {
        Some(path) => (read(path)?, None),
        None => {
            let key = draw()?;
            let file = to
                .out
                .clone()
                .unwrap_or_else(|| format!("{}.psk.csv", plain(&format!("{device}-{identity}"))).into());
            write(&file, list(device, identity, &key).as_bytes())?;
            (key, Some(file))
        }
    };
    let told = client.ask_with(ask, &Psk { identity, key }.encode());
    let told = told.map_err(|error| match &file {
        Some(file) => undone(error, file),
        None => Failure::from(error).of_change(&[]),
    })?;
    let mut told: EnrolledPsk = understood(told)?;
    told.file = file.as_ref().map(|file| file.display().to_string());
    if style.json {
        let document = serde_json::to_value(crate::report::Document::new(told));
        return print_json(&document.map_err(ClientError::NotUnderstood)?, out);
    }
    match &told.file {
        Some(file) => {
            writeln!(out, "{}; identity and key are in {file}", told.done)?;
            writeln!(
                out,
                "next step: bring them onto the device, then remove the file: it holds its key"
            )?;
        }
        None => writeln!(out, "{}", told.done)?,
    }
    Ok(out.flush()?)
}

fn read(path: &Path) -> Result<PskKey, Failure> {
    let name = path.display();
    let failed = |error: io::Error| {
        let failure = Failure::new(USAGE, format!("cannot read {name}: {error}"));
        failure.of_change(&[])
    };
    // As long as a key and its line break can be, and one more.
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX + 1));
    let limit = KEY_FILE_BYTES_MAX as u64 + 1;
    match path == Path::new("-") {
        true => io::stdin().take(limit).read_to_string(&mut text),
        false => fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)),
    }
    .map_err(failed)?;
    factory::psk_key(text.trim()).ok_or_else(|| {
        Failure::new(REFUSED, format!("{name} holds no key of 32 to 64 hex digits"))
            .hint(
                "a key of 16 to 32 bytes in hex digits, and nothing else; its bytes may not be all the same",
            )
            .of_change(&[])
    })
}

/// 64 digits and a line break.
const KEY_FILE_BYTES_MAX: usize = 66;

fn draw() -> Result<PskKey, Failure> {
    let mut key = Zeroizing::new([0; PSK_BYTES_MIN]);
    getrandom::fill(&mut *key).map_err(|error| {
        let failure = Failure::new(INTERNAL, format!("no random numbers: {error}"));
        failure.of_change(&[])
    })?;
    Ok(PskKey::new(&*key).expect("it is long enough"))
}

/// A list of one line, as `device import` reads it. No field needs quotation marks: an identity as it is written may hold a comma, and then
/// stands in them all the same.
fn list(device: &str, identity: PskIdentity, key: &PskKey) -> Zeroizing<String> {
    let identity = identity.to_string().replace('"', "\"\"");
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str("device,psk_identity,psk\n");
    text.push_str(&format!("{device},\"{identity}\","));
    key.expose().iter().for_each(|byte| hex::push(&mut text, *byte));
    text.push('\n');
    text
}

/// Names as a file's: they may hold what a path must not.
fn plain(names: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    names.chars().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_can_be_imported() {
        let identity: PskIdentity = "a,\"b\";c".parse().unwrap();
        let key = PskKey::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]).unwrap();
        let text = list("5254", identity, &key);
        let import = factory::read(text.as_bytes(), false).unwrap();
        assert_eq!(import.bad, []);
        let (_, enrolment) = &import.lines[0];
        assert_eq!(enrolment.psk, Some(Psk { identity, key }));
    }
}
