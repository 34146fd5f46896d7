//! `deltagate image sign`: arguments, and what is printed.
//!
//! Each command is [`clap::Args`] with `run`, which writes its output to the writer it is given and nothing
//! elsewhere.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::firmware::args::FirmwareArgs;
use super::firmware::describe::Description;
use super::firmware::{FIRMWARE_FILE_BYTES_MAX, Firmware, FirmwareError, Mcuboot, ReadOptions};
use super::sign::{Statement, sign};
use super::signer::{self, Signer};
use super::{PublisherError, files, firmware};

pub use super::inspect_cli::ImageInspectArgs;
pub use super::key_cli::{KeyCommand, KeyGenerateArgs};

/// Sign a firmware image for a device class.
#[derive(Args, Clone, Debug)]
pub struct ImageSignArgs {
    /// A firmware file; its bytes are laid out by their physical addresses.
    pub firmware: PathBuf,
    /// How it is read.
    #[command(flatten)]
    pub read: FirmwareArgs,
    /// The vendor's domain, for example example.com.
    #[arg(long)]
    pub vendor: String,
    /// The device class, for example thermometer-v2.
    #[arg(long)]
    pub class: String,
    /// The version, for people.
    #[arg(long)]
    pub version: String,
    /// Sequence number: above that of every release of the class before.
    #[arg(long, value_name = "NUMBER")]
    pub sequence: u32,
    /// The lowest sequence number this image may be installed over. A device that runs an older one first gets a release in between.
    #[arg(long, value_name = "NUMBER")]
    pub follows: Option<u32>,
    /// What the release is, for people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The private key: a file, or a key in a token ('pkcs11:token=…;object=…').
    #[arg(long, value_name = "KEY")]
    pub key: OsString,
    /// Where the signed file goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write the envelope only, without the image in it.
    #[arg(long)]
    pub detached: bool,
}

impl ImageSignArgs {
    /// Signs the image, writes the file, and prints what was signed.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let firmware = read_firmware(&self.firmware, &self.read.options())?;
        if let Some(problem) = firmware.mcuboot.as_ref().and_then(Mcuboot::obstacle) {
            return Err(PublisherError::Firmware {
                path: self.firmware.clone(),
                source: FirmwareError::NotForMcuboot { problem },
            });
        }
        let key = signer::open(&self.key)?;
        let statement = Statement {
            vendor: &self.vendor,
            class: &self.class,
            version: &self.version,
            description: self.description.as_deref(),
            sequence_number: self.sequence,
            follows: self.follows,
        };
        let file = sign(&statement, &firmware.image, self.detached, key.as_ref())?;
        files::write(&self.out, &file)?;
        print(out, &self.report(&firmware, &file, key.as_ref()))
    }

    fn report(&self, firmware: &Firmware, file: &[u8], key: &dyn Signer) -> String {
        let description = Description::of(firmware);
        let mut text = String::new();
        for line in description.lines() {
            text += &format!("firmware      {line}\n");
        }
        text += &format!(
            "image         {} bytes\nimage digest  {}\n",
            description.size_bytes, description.digest
        );
        text += &format!(
            "sequence      {}\n{}signed by     key {}\n",
            self.sequence,
            self.follows.map_or(String::new(), |least| format!(
                "may follow    sequence {least} or higher\n"
            )),
            key.key_id()
        );
        text + &format!("written       {} ({} bytes)\n", self.out.display(), file.len())
    }
}

/// Reads a firmware file.
pub fn read_firmware(path: &Path, options: &ReadOptions) -> Result<Firmware, PublisherError> {
    let file = files::read(path, FIRMWARE_FILE_BYTES_MAX)?;
    Firmware::read_with(file, options).map_err(|source| PublisherError::Firmware {
        path: path.to_owned(),
        source,
    })
}

/// Refuses a firmware file where a signed one belongs. What else a file may be, the gateway tells.
pub fn check_signed(path: &Path) -> Result<(), PublisherError> {
    let failed = |source| PublisherError::Read {
        path: path.to_owned(),
        source,
    };
    let mut start = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(START_BYTES).read_to_end(&mut start).map_err(failed)?;
    match firmware::kind(&start) {
        None => Ok(()),
        Some(kind) => Err(PublisherError::NotSigned {
            path: path.to_owned(),
            kind,
        }),
    }
}

/// Enough of a file to see what it is.
const START_BYTES: u64 = 4_096;

/// Writes to standard output, or what stands for it. A reader that left is no error.
pub(super) fn print(out: &mut dyn Write, text: &str) -> Result<(), PublisherError> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(PublisherError::Output(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
