//! `deltagate image inspect`: what a file is and says, signed or not.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wire_manifest::{Anchor, ENVELOPE_BYTES_MAX, Envelope, IMAGE_BYTES_MAX, Roles};

use super::anchor_set::read_set;
use super::cli::{print, read_firmware};
use super::firmware::args::FirmwareArgs;
use super::firmware::describe::Description;
use super::firmware::{FIRMWARE_FILE_BYTES_MAX, Firmware};
use super::inspect::{Inspection, inspect};
use super::{PublisherError, files, load_anchors};

/// Longest signed file: the largest image and 64 KiB of envelope.
pub(super) const SIGNED_FILE_BYTES_MAX: u64 = IMAGE_BYTES_MAX as u64 + (64 << 10);
/// What an envelope begins with: CBOR tag 107.
const ENVELOPE_TAG: [u8; 2] = [0xd8, 0x6b];
/// Name and version of the document about a firmware file. Members may be added under the same number.
const FIRMWARE_SCHEMA: &str = "deltagate.firmware-inspect/1";

/// Show everything a signed file says, verified or not; or what a firmware file holds.
#[derive(Args, Clone, Debug)]
pub struct ImageInspectArgs {
    /// A signed file, any SUIT envelope, or a firmware file.
    pub file: PathBuf,
    /// The image, if the file was signed with --detached.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Public keys to verify with. With them the command fails unless a gateway would import the file.
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub trust: Vec<PathBuf>,
    /// A set of trust anchors in the place of --trust: its release keys, as many as it asks for. Who signed it is not checked.
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    pub anchors: Option<PathBuf>,
    /// How a firmware file is read.
    #[command(flatten)]
    pub read: FirmwareArgs,
    /// Print one JSON document, `deltagate.image-inspect/1` or `deltagate.firmware-inspect/1`.
    #[arg(long)]
    pub json: bool,
}

/// What a firmware file holds.
#[derive(Serialize)]
struct InspectedFirmware {
    schema: &'static str,
    file_bytes: u64,
    #[serde(flatten)]
    image: Description,
}

impl ImageInspectArgs {
    /// Prints the inspection; fails afterwards if keys were given and the file would not be imported.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let file = files::read(&self.file, FIRMWARE_FILE_BYTES_MAX)?;
        match self.is_signed(&file) {
            true => self.inspect_signed(&file, out),
            false => self.inspect_firmware(file, out),
        }
    }

    /// Whether the file is one to look for signatures in, or is said to be.
    fn is_signed(&self, file: &[u8]) -> bool {
        let is_said = self.image.is_some() || !self.trust.is_empty() || self.anchors.is_some();
        let is_envelope = || file.starts_with(&ENVELOPE_TAG) || Envelope::parse(file).is_ok();
        !self.read.names_format() && (is_said || is_envelope())
    }

    fn inspect_signed(&self, file: &[u8], out: &mut dyn Write) -> Result<(), PublisherError> {
        let bytes = file.len() as u64;
        if bytes > SIGNED_FILE_BYTES_MAX {
            return Err(PublisherError::TooLarge {
                path: self.file.clone(),
                bytes,
                bytes_max: SIGNED_FILE_BYTES_MAX,
            });
        }
        let (anchors, least) = self.trusted()?;
        let image = self
            .image
            .as_ref()
            .map(|path| read_firmware(path, &self.read.options()));
        let image = image.transpose()?.map(|firmware| firmware.image);
        let (inspection, refusal) = inspect(file, image.as_deref(), (&anchors, least)).map_err(|source| {
            PublisherError::Envelope {
                path: self.file.clone(),
                source,
            }
        })?;
        print(out, &self.render(&inspection))?;
        match refusal {
            Some(source) => Err(PublisherError::NotVerified {
                path: self.file.clone(),
                source,
            }),
            None => Ok(()),
        }
    }

    /// The keys to verify with, and how many of them have to sign.
    fn trusted(&self) -> Result<(Vec<Anchor>, u8), PublisherError> {
        let Some(path) = &self.anchors else {
            return Ok((load_anchors(&self.trust)?, 1));
        };
        let file = files::read(path, ENVELOPE_BYTES_MAX as u64)?;
        let (set, _) = read_set(&file, path)?;
        let release = set.keys().filter(|(roles, _)| roles.has(Roles::RELEASE));
        let anchors = release.map(|(_, key)| Anchor { key: *key }).collect();
        Ok((anchors, set.release_min))
    }

    fn inspect_firmware(&self, file: Vec<u8>, out: &mut dyn Write) -> Result<(), PublisherError> {
        let file_bytes = file.len() as u64;
        let firmware = Firmware::read_with(file, &self.read.options());
        let firmware = firmware.map_err(|source| PublisherError::Firmware {
            path: self.file.clone(),
            source,
        })?;
        let image = Description::of(&firmware);
        if self.json {
            let document = InspectedFirmware {
                schema: FIRMWARE_SCHEMA,
                file_bytes,
                image,
            };
            return print(out, &json(&document));
        }
        let mut text = format!("file          {file_bytes} bytes, firmware, not signed for a gateway\n");
        for line in image.lines() {
            text += &format!("firmware      {line}\n");
        }
        text += &format!("image         {} bytes\n", image.size_bytes);
        text += &format!("image digest  {}\n", image.digest);
        print(out, &text)
    }

    fn render(&self, inspection: &Inspection) -> String {
        match self.json {
            true => json(inspection),
            false => inspection.to_text(),
        }
    }
}

fn json(document: &impl Serialize) -> String {
    serde_json::to_string_pretty(document).expect("the document has only text keys") + "\n"
}
