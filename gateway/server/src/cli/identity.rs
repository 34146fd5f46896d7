//! `device enrol`, `device import`, `device rotate`, `device swap`, `device retire`.
//!
//! A secret is drawn here, written to a file for its owner only, and only then told to the gateway: whatever fails in between leaves
//! a file that is removed again, and never a device whose secret nobody has.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use gateway_core::{Credentials, Kid, Octets, SECRET_BYTES, Secret};
use serde_json::Value;
use zeroize::Zeroizing;

use super::colour::Paint;
use super::commands::{Style, print_json, understood};
use super::failure::{Failure, INTERNAL, REFUSED};
use super::psk::{self, PskArgs};
use super::qr;
use super::screen::SCREEN_ROWS;
use crate::admin::{Ask, DeviceNames};
use crate::client::{Client, ClientError};
use crate::factory::LIST_BYTES_MAX;
use crate::owner_only;
use crate::report::{Enrolled, GatewayKey, ImportedDevices};

/// `device enrol`
#[derive(Args, Clone, Debug)]
pub struct EnrolArgs {
    /// What it checks in with: 2 to 32 hex digits, such as its EUI
    pub device: String,
    /// What to call it
    #[arg(long)]
    pub label: Option<String>,
    /// Its EUI-48 or EUI-64, where that is not what it checks in with
    #[arg(long)]
    pub eui: Option<String>,
    /// Its IMEI, 15 digits
    #[arg(long)]
    pub imei: Option<String>,
    /// Its serial number
    #[arg(long)]
    pub serial: Option<String>,
    /// A pre-shared key for coaps:// instead of credentials for OSCORE
    #[command(flatten)]
    pub psk: PskArgs,
    /// The public one of a key of its own, in hex: it establishes its credentials by itself, and no file is written
    #[arg(long, value_name = "HEX", conflicts_with_all = ["out", "show", "psk"])]
    pub public_key: Option<String>,
    /// Where its credentials are written
    #[command(flatten)]
    pub out: OutArgs,
}

/// Where credentials go.
#[derive(Args, Clone, Debug)]
pub struct OutArgs {
    /// File for the flasher, of mode 0600; without, DEVICE-KEYID.dgc here
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show credentials and QR code where the output is no terminal, too
    #[arg(long)]
    pub show: bool,
}

/// `device import`
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The factory's list, with columns device, kid and secret, or psk_identity and psk, and others: docs/identity.md
    pub file: PathBuf,
    /// Import what can be, though there are lines that cannot
    #[arg(long)]
    pub skip_bad: bool,
}

/// `device rotate`
#[derive(Args, Clone, Debug)]
pub struct RotateArgs {
    /// Its identifier in hex, or its label
    pub device: String,
    /// How long its old key counts at most; it goes when the device first uses the new one
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = super::args::time)]
    pub old_valid: u32,
    /// Its pre-shared key for coaps:// instead of its credentials for OSCORE
    #[command(flatten)]
    pub psk: PskArgs,
    /// Where its credentials are written
    #[command(flatten)]
    pub out: OutArgs,
}

impl EnrolArgs {
    fn names(&self) -> DeviceNames {
        DeviceNames {
            label: self.label.clone(),
            eui: self.eui.clone(),
            imei: self.imei.clone(),
            serial: self.serial.clone(),
        }
    }
}

pub(super) fn enrol(
    args: &EnrolArgs,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let names = args.names();
    if let Some(public_key) = &args.public_key {
        let ask = Ask::DeviceEnrolKey {
            device: args.device.clone(),
            names,
            public_key: public_key.clone(),
        };
        return enrol_key(client.ask(ask)?, style, out);
    }
    if let Some(identity) = args.psk.psk {
        let device = args.device.clone();
        let ask = Ask::DeviceEnrolPsk { device, names };
        return psk::hand_out(
            (&args.device, identity),
            &args.psk,
            ask,
            &args.out,
            client,
            style,
            out,
        );
    }
    let check = Ask::DeviceEnrolCheck {
        device: args.device.clone(),
        names: names.clone(),
    };
    let device = args.device.clone();
    let ask = Ask::DeviceEnrol { device, names };
    hand_out(check, ask, &args.out, client, style, out)
}

fn enrol_key(told: Value, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    if style.json {
        return print_json(&told, out);
    }
    let told: Enrolled = understood(told)?;
    writeln!(out, "{}", told.done)?;
    if let Some(key) = told.gateway_key {
        writeln!(out, "it is to know the gateway by {key}")?;
    }
    Ok(out.flush()?)
}

/// `device gateway-key`
pub(super) fn gateway_key(client: &Client, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    let told = client.ask(Ask::DeviceGatewayKey {})?;
    if style.json {
        return print_json(&told, out);
    }
    let told: GatewayKey = understood(told)?;
    writeln!(out, "{}", told.public_key)?;
    Ok(out.flush()?)
}

pub(super) fn rotate(
    args: &RotateArgs,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (device, old_valid_s) = (args.device.clone(), args.old_valid);
    if let Some(identity) = args.psk.psk {
        let ask = Ask::DeviceRotatePsk { device, old_valid_s };
        return psk::hand_out(
            (&args.device, identity),
            &args.psk,
            ask,
            &args.out,
            client,
            style,
            out,
        );
    }
    let check = Ask::DeviceRotateCheck {
        device: device.clone(),
    };
    let ask = Ask::DeviceRotate { device, old_valid_s };
    hand_out(check, ask, &args.out, client, style, out)
}

/// Asks whether it can be done, draws a secret, writes it down and tells the gateway.
fn hand_out(
    check: Ask,
    ask: Ask,
    to: &OutArgs,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let proposed: Enrolled = understood(client.ask(check)?)?;
    let record = draw(&proposed.kid)?.encode();
    let file = to
        .out
        .clone()
        .unwrap_or_else(|| format!("{}-{}.dgc", proposed.device, proposed.kid).into());
    write(&file, &record)?;
    let told = client.ask_with(ask, &record);
    let told = told.map_err(|error| undone(error, &file))?;
    show(told, &file, &record, to.show, style, out)
}

fn draw(kid: &str) -> Result<Credentials, Failure> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut *secret).map_err(|error| {
        let failure = Failure::new(INTERNAL, format!("no random numbers: {error}"));
        failure.of_change(&[])
    })?;
    let kid: Kid = kid
        .parse()
        .map_err(|error| Failure::new(INTERNAL, format!("gateway proposes a key id \"{kid}\": {error}")))?;
    Ok(Credentials {
        kid,
        gateway_id: Octets::EMPTY,
        secret: Secret::new(&secret),
        salt: Octets::EMPTY,
        id_context: Octets::EMPTY,
    })
}

/// Never over another file: it may be what a device in a drawer was flashed with.
pub(super) fn write(path: &Path, record: &[u8]) -> Result<(), Failure> {
    let name = path.display();
    let written = owner_only::create_new(path, 0o600).and_then(|mut file| {
        file.write_all(record)
            .and_then(|()| file.sync_all())
            .inspect_err(|_| remove(path))
    });
    written.map_err(|error| {
        let failure = match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(REFUSED, format!("{name} is there already")),
            _ => Failure::new(REFUSED, format!("cannot write {name}: {error}")),
        };
        failure.hint("name another file: --out FILE").of_change(&[])
    })
}

fn remove(path: &Path) {
    // The error that led here is the one to tell.
    let _ = fs::remove_file(path);
}

/// A gateway that refused has no use for the file; of one that did not answer it is not known.
pub(super) fn undone(error: ClientError, file: &Path) -> Failure {
    let is_certain = matches!(
        error,
        ClientError::Refused { .. } | ClientError::NotRunning { .. }
    );
    if is_certain {
        remove(file);
        return Failure::from(error).of_change(&[]);
    }
    let kept = format!(
        "{} is kept: if `deltagate device show` names its key id, it is that device's, else remove it",
        file.display()
    );
    Failure::from(error).of_change(&[]).hint(kept)
}

fn show(
    told: Value,
    file: &Path,
    record: &[u8],
    show: bool,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut told: Enrolled = understood(told)?;
    told.file = Some(file.display().to_string());
    if style.json {
        let document = serde_json::to_value(crate::report::Document::new(told));
        return print_json(&document.map_err(ClientError::NotUnderstood)?, out);
    }
    let mut lines = vec![format!(
        "{}; its credentials are in {}",
        told.done,
        file.display()
    )];
    if show || io::stdout().is_terminal() {
        let mut text = Zeroizing::new(String::with_capacity(2 * record.len()));
        record.iter().for_each(|byte| {
            crate::hex::push(&mut text, *byte);
        });
        text.make_ascii_uppercase();
        if let Some(printed) = qr::print(&text, Paint::for_stdout(), out) {
            printed?;
        }
        writeln!(out, "{}", *text)?;
    }
    lines.push("next step: bring them onto the device, then remove the file: it holds its secret".to_owned());
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(out.flush()?)
}

pub(super) fn import(
    args: &ImportArgs,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let name = args.file.display();
    let failed = |error: io::Error| {
        let failure = Failure::new(super::failure::USAGE, format!("cannot read {name}: {error}"));
        failure.of_change(&[])
    };
    let length = fs::metadata(&args.file).map_err(failed)?.len();
    if length > LIST_BYTES_MAX {
        let problem = format!("{name} has {length} bytes, and a list at most {LIST_BYTES_MAX}");
        return Err(Failure::new(REFUSED, problem)
            .hint("split it; every part needs the head line")
            .of_change(&[]));
    }
    let list = Zeroizing::new(fs::read(&args.file).map_err(failed)?);
    let skip_bad = args.skip_bad;
    let answer = client.ask_with(Ask::DeviceImport { skip_bad }, &list)?;
    let imported: ImportedDevices = understood(answer.clone())?;
    if style.json {
        print_json(&answer, out)?;
    } else {
        report(&imported, style, out)?;
    }
    if imported.bad.is_empty() || skip_bad {
        return Ok(());
    }
    let problem = match imported.bad.len() {
        1 => format!("1 line of {name} cannot be imported"),
        count => format!("{count} lines of {name} cannot be imported"),
    };
    Err(Failure::new(REFUSED, problem)
        .hint("correct them, or leave them out: --skip-bad")
        .of_change(&[]))
}

fn report(imported: &ImportedDevices, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let room = match style.all {
        true => usize::MAX,
        false => SCREEN_ROWS - 6,
    };
    for bad in imported.bad.iter().take(room) {
        writeln!(out, "line {}: {}: {}", bad.line, bad.what, bad.why)?;
    }
    let more = imported.bad.len().saturating_sub(room);
    if more > 0 {
        writeln!(out, "… {more} more; --all shows them")?;
    }
    writeln!(out, "{}", imported.done)?;
    out.flush()
}
