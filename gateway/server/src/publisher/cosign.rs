//! `deltagate image cosign`: one more signature on a release that somebody else signed first.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use wire_manifest::{
    AnchorSet, CosignError, ENVELOPE_BYTES_MAX, Envelope, IMAGE_PAYLOAD, KeyId, Manifest,
    SIGNATURE_BYTES_MAX, TrustAnchors, sever_text, verify_text, verify_with,
};

use super::cli::{print, read_firmware};
use super::firmware::args::FirmwareArgs;
use super::identity::uuid_text;
use super::import::{ImportError, Strict, check_image};
use super::inspect::hex;
use super::inspect_cli::SIGNED_FILE_BYTES_MAX;
use super::signer::{self, Signer};
use super::{PublisherError, files};

/// Add a signature to a signed release, by another key. What is signed is shown; look at it before you hand the file on.
#[derive(Args, Clone, Debug)]
pub struct ImageCosignArgs {
    /// What `image sign` made.
    pub file: PathBuf,
    /// The private key: a file, or a key in a token ('pkcs11:token=…;object=…').
    #[arg(long, value_name = "KEY")]
    pub key: OsString,
    /// Where the file with one more signature goes; into the same file without.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The image of a file signed with --detached, to check that it is the one that is signed.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// How that image is read.
    #[command(flatten)]
    pub read: FirmwareArgs,
}

impl ImageCosignArgs {
    /// Signs a release that is whole, and prints what was signed and who signed it before.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let file = files::read(&self.file, SIGNED_FILE_BYTES_MAX)?;
        self.check_kind(&file)?;
        let key = signer::open(&self.key)?;
        let signed = cosign(&file, &self.file, key.as_ref())?;
        let release = self.release(&signed, key.as_ref())?;
        let path = self.out.as_deref().unwrap_or(&self.file);
        files::replace(path, &signed)?;
        let text = release + &signers(&signed, key.key_id());
        print(
            out,
            &format!(
                "{text}written       {} ({} bytes)\n",
                path.display(),
                signed.len()
            ),
        )
    }

    fn check_kind(&self, file: &[u8]) -> Result<(), PublisherError> {
        let unreadable = |source| PublisherError::Envelope {
            path: self.file.clone(),
            source,
        };
        let envelope = Envelope::parse(file).map_err(unreadable)?;
        match AnchorSet::read(envelope.manifest_bytes()) {
            Some(_) => Err(PublisherError::IsASet {
                path: self.file.clone(),
            }),
            None => envelope.interpret().map(drop).map_err(unreadable),
        }
    }

    /// What is signed: nobody should put a name under what they did not see.
    fn release(&self, signed: &[u8], key: &dyn Signer) -> Result<String, PublisherError> {
        let refused = |source| PublisherError::NotVerified {
            path: self.file.clone(),
            source,
        };
        let anchors = [key.anchor()];
        let verifier = Strict(TrustAnchors::new(&anchors));
        let manifest = verify_with(signed, &verifier).map_err(|error| refused(error.into()))?;
        let envelope = Envelope::parse(signed).expect("it was verified");
        let beside = self
            .image
            .as_ref()
            .map(|path| read_firmware(path, &self.read.options()))
            .transpose()?;
        let image = match (&beside, envelope.integrated_payload(IMAGE_PAYLOAD)) {
            (Some(_), Some(_)) => return Err(refused(ImportError::TwoImages)),
            (Some(firmware), None) => Some(firmware.image.as_slice()),
            (None, inside) => inside,
        };
        image
            .map_or(Ok(()), |image| check_image(&manifest, image))
            .map_err(refused)?;
        let text = verify_text(&envelope, &manifest)
            .map_err(|error| refused(error.into()))?
            .unwrap_or_default();
        let version = text.version.unwrap_or_default().escape_debug().to_string();
        Ok(describe(&manifest, &version, image.is_some()))
    }
}

fn describe(manifest: &Manifest, version: &str, has_image: bool) -> String {
    let mut text = format!(
        "version       {version}\nsequence      {}\n",
        manifest.sequence_number
    );
    if manifest.predecessor_min > 0 {
        text += &format!("may follow    sequence {} or higher\n", manifest.predecessor_min);
    }
    text += &format!("class-id      {}\n", uuid_text(&manifest.class_id));
    text += &format!("image digest  {}\n", hex(&manifest.image_digest));
    match has_image {
        true => {
            text + &format!(
                "image         {} bytes, matches the manifest\n",
                manifest.image_size
            )
        }
        false => {
            text + "image         not in this file: check its digest, or name it with --image before you sign\n"
        }
    }
}

/// Whose signatures are there. Without their public keys they are not checked.
fn signers(signed: &[u8], own: KeyId) -> String {
    let envelope = Envelope::parse(signed).expect("it was read before a signature was added");
    let others = envelope
        .signatures()
        .filter(|signature| signature.key_id() != Some(own));
    let mut text = String::new();
    for signature in others {
        let key = signature.kid.map_or("without a key id".to_owned(), hex);
        text += &format!("signature     key {key}, not checked\n");
    }
    text + &format!("signed by     key {own}\n")
}

/// The file with one more signature, which still fits on the air.
pub(super) fn cosign(file: &[u8], path: &Path, key: &dyn Signer) -> Result<Vec<u8>, PublisherError> {
    let mut out = vec![0; file.len() + SIGNATURE_BYTES_MAX];
    // The encoder asks a signature that cannot fail; a token's can.
    let mut failed = None;
    let signed = wire_manifest::cosign(file, &mut out, key.key_id(), |bytes| {
        key.sign(bytes).unwrap_or_else(|error| {
            failed = Some(error);
            [0; 64]
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let signed = match signed {
        Ok(signed) => signed.to_vec(),
        Err(source) => {
            return Err(PublisherError::Cosign {
                path: path.to_owned(),
                source,
            });
        }
    };
    match sever_text(&signed, &mut [0; ENVELOPE_BYTES_MAX]) {
        Ok(_) => Ok(signed),
        Err(_) => Err(PublisherError::Cosign {
            path: path.to_owned(),
            source: CosignError::NoSpace,
        }),
    }
}

#[cfg(test)]
mod tests;
