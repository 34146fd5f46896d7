//! Everything a publisher's file says, for people and as JSON. Shows what is not verified too, and says so.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wire_manifest::{
    Anchor, Envelope, Latest, Manifest, ManifestError, Signature, SignatureError, Text, TrustAnchors,
    sever_text,
};

use super::identity::uuid_text;
use super::import::{ImportError, Strict, verify_import};
use super::latest::dangerous_unverified_latest;
use crate::clock::utc_minute;

/// Name and version of the JSON document. Members may be added under the same number.
pub const SCHEMA: &str = "deltagate.image-inspect/1";

/// What a file says. Serializes as the document [`SCHEMA`]; digests and ids are lower-case hex.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// Bytes of the envelope as devices get it; `null`: more than they take.
    pub envelope_bytes: Option<u64>,
    /// Whether the manifest is the one the digest was made of.
    pub digest_matches: bool,
    /// The signatures, in their order.
    pub signatures: Vec<InspectedSignature>,
    /// How many of the given keys signed; `null`: none were given.
    pub signers: Option<usize>,
    /// How many have to; `null`: no keys were given.
    pub signers_min: Option<u8>,
    /// Whether there is authentication of a kind we do not read.
    pub has_other_authentication: bool,
    /// The manifest, if it is of our profile.
    pub manifest: Option<InspectedManifest>,
    /// Why not.
    pub manifest_error: Option<String>,
    /// What it states to be the latest release, if that is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<InspectedLatest>,
    /// The text, if it is in the file and can be read.
    pub text: Option<InspectedText>,
    /// The image, if it is in the file or was given beside it.
    pub image: Option<InspectedImage>,
    /// Whether a gateway that trusts the given keys would import the file; `null`: no keys were given.
    pub is_verified: Option<bool>,
    /// Why it would not.
    pub refusal: Option<String>,
}

/// One signature.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedSignature {
    /// The COSE algorithm.
    pub algorithm: String,
    /// The `kid`.
    pub key_id: Option<String>,
    /// What checking it came to.
    pub verdict: Verdict,
}

/// What checking a signature came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is by one of the given keys.
    Good,
    /// It names one of the given keys, and is not by it.
    Bad,
    /// It is by none of the given keys.
    UnknownKey,
    /// It uses an algorithm we do not check.
    UnsupportedAlgorithm,
    /// No keys were given.
    NotChecked,
}

/// The fields of the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedManifest {
    /// Which image is newer.
    pub sequence_number: u64,
    /// The lowest sequence number that the image may follow; 0: any.
    pub predecessor_min: u64,
    /// UUID of the vendor.
    pub vendor_id: String,
    /// UUID of the class.
    pub class_id: String,
    /// SHA-256 of the image.
    pub image_digest: String,
    /// Bytes of the image.
    pub image_size: u32,
    /// SHA-256 of the text.
    pub text_digest: Option<String>,
}

/// A statement of what the latest release is: `docs/freeze.md`.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedLatest {
    /// The class that it is about.
    pub class_id: String,
    /// Its own number is the manifest's; this is the latest release's.
    pub sequence_number: u32,
    /// When it was signed, by the publisher's clock.
    pub issued_unix_s: u32,
    /// For how many seconds from then it is meant.
    pub valid_s: u32,
}

impl InspectedLatest {
    fn of((latest, class_id): (Latest, [u8; 16])) -> Self {
        Self {
            class_id: uuid_text(&class_id),
            sequence_number: latest.sequence,
            issued_unix_s: latest.issued_s,
            valid_s: latest.valid_s,
        }
    }
}

/// The text.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedText {
    /// The version.
    pub version: Option<String>,
    /// The description.
    pub description: Option<String>,
}

/// The image.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedImage {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Whether size and digest are those of the manifest; `null`: the manifest can not be read.
    pub matches_manifest: Option<bool>,
}

/// Looks at `file` with the eyes of one who trusts `anchors`, of which so many have to sign. The second value is why a gateway would
/// not import it; without anchors there is none.
pub fn inspect(
    file: &[u8],
    detached: Option<&[u8]>,
    (anchors, least): (&[Anchor], u8),
) -> Result<(Inspection, Option<ImportError>), ManifestError> {
    let envelope = Envelope::parse(file)?;
    let interpreted = envelope.interpret();
    let manifest = interpreted
        .as_ref()
        .ok()
        .map(|manifest| manifest.dangerous_unverified());
    let image = detached.or_else(|| envelope.integrated_payload(wire_manifest::IMAGE_PAYLOAD));
    let import = match anchors {
        [] => None,
        anchors => Some(verify_import(
            file,
            detached,
            &TrustAnchors::at_least(least, anchors),
        )),
    };
    let is_of = |anchor: &&Anchor| {
        let one = [**anchor];
        let verifier = Strict(TrustAnchors::new(&one));
        envelope
            .signatures()
            .any(|signature| envelope.check(&signature, &verifier).is_ok())
    };
    let signers = anchors.iter().filter(is_of).count();
    let inspection = Inspection {
        schema: SCHEMA,
        file_bytes: file.len() as u64,
        envelope_bytes: sever_text(file, &mut [0; wire_manifest::ENVELOPE_BYTES_MAX])
            .ok()
            .map(|on_air| on_air.len() as u64),
        digest_matches: envelope.digest_matches(),
        signatures: envelope
            .signatures()
            .map(|signature| inspect_signature(&envelope, &signature, anchors))
            .collect(),
        signers: import.as_ref().map(|_| signers),
        signers_min: import.as_ref().map(|_| least),
        has_other_authentication: envelope.has_other_authentication(),
        manifest: manifest.map(InspectedManifest::of),
        manifest_error: interpreted.as_ref().err().map(ToString::to_string),
        latest: dangerous_unverified_latest(file).map(InspectedLatest::of),
        text: envelope
            .text_bytes()
            .and_then(|bytes| Text::read(bytes).ok())
            .map(InspectedText::of),
        image: image.map(|image| InspectedImage::of(image, manifest)),
        is_verified: import.as_ref().map(Result::is_ok),
        refusal: import
            .as_ref()
            .and_then(|import| import.as_ref().err())
            .map(ToString::to_string),
    };
    Ok((inspection, import.and_then(Result::err)))
}

fn inspect_signature(
    envelope: &Envelope<'_>,
    signature: &Signature<'_>,
    anchors: &[Anchor],
) -> InspectedSignature {
    let verdict = match envelope.check(signature, &Strict(TrustAnchors::new(anchors))) {
        _ if anchors.is_empty() => Verdict::NotChecked,
        Ok(_) => Verdict::Good,
        Err(SignatureError::Invalid) => Verdict::Bad,
        Err(SignatureError::UnknownKey) => Verdict::UnknownKey,
        Err(SignatureError::UnsupportedAlgorithm(_)) => Verdict::UnsupportedAlgorithm,
    };
    InspectedSignature {
        algorithm: signature.algorithm.to_string(),
        key_id: signature.kid.map(hex),
        verdict,
    }
}

impl InspectedManifest {
    fn of(manifest: &Manifest) -> Self {
        Self {
            sequence_number: manifest.sequence_number,
            predecessor_min: manifest.predecessor_min,
            vendor_id: uuid_text(&manifest.vendor_id),
            class_id: uuid_text(&manifest.class_id),
            image_digest: hex(&manifest.image_digest),
            image_size: manifest.image_size,
            text_digest: manifest.text_digest.as_ref().map(|digest| hex(digest)),
        }
    }
}

impl InspectedText {
    fn of(text: Text<'_>) -> Self {
        Self {
            version: text.version.map(str::to_owned),
            description: text.description.map(str::to_owned),
        }
    }
}

impl InspectedImage {
    fn of(image: &[u8], manifest: Option<&Manifest>) -> Self {
        let digest: [u8; 32] = Sha256::digest(image).into();
        let matches = |manifest: &Manifest| {
            manifest.image_digest == digest && u64::from(manifest.image_size) == image.len() as u64
        };
        Self {
            bytes: image.len() as u64,
            sha256: hex(&digest),
            matches_manifest: manifest.map(matches),
        }
    }
}

impl Inspection {
    /// The inspection as lines for a terminal. Text of strangers is escaped, so that it can not move the cursor.
    pub fn to_text(&self) -> String {
        let mut lines = Lines(String::new());
        lines.add("file", format!("{} bytes", self.file_bytes));
        lines.add(
            "on the air",
            match self.envelope_bytes {
                Some(bytes) => format!("{bytes} bytes"),
                None => format!("more than {} bytes", wire_manifest::ENVELOPE_BYTES_MAX),
            },
        );
        lines.add(
            "digest",
            if self.digest_matches {
                "matches the manifest"
            } else {
                "DOES NOT match the manifest"
            },
        );
        self.signature_lines(&mut lines);
        self.manifest_lines(&mut lines);
        if let Some(text) = &self.text {
            text.version
                .iter()
                .for_each(|version| lines.add("version", version.escape_debug()));
            text.description
                .iter()
                .for_each(|words| lines.add("description", words.escape_debug()));
        }
        match &self.image {
            Some(image) => lines.add(
                "image",
                format!(
                    "{} bytes, {}",
                    image.bytes,
                    match image.matches_manifest {
                        Some(true) => "matches the manifest",
                        Some(false) => "DOES NOT match the manifest",
                        None => "nothing to compare with",
                    }
                ),
            ),
            None => lines.add("image", "not in this file"),
        }
        lines.add(
            "verified",
            match (self.is_verified, &self.refusal) {
                (Some(true), _) => "yes".to_owned(),
                (_, Some(refusal)) => format!("NO: {refusal}"),
                _ => "not checked (name a key with --trust)".to_owned(),
            },
        );
        lines.0
    }

    fn signature_lines(&self, lines: &mut Lines) {
        for signature in &self.signatures {
            let key = signature.key_id.as_deref().unwrap_or("without a key id");
            let verdict = match signature.verdict {
                Verdict::Good => "good",
                Verdict::Bad => "BAD",
                Verdict::UnknownKey => "by a key that is not trusted",
                Verdict::UnsupportedAlgorithm => "of an algorithm we do not check",
                Verdict::NotChecked => "not checked",
            };
            lines.add(
                "signature",
                format!("{}, key {key}, {verdict}", signature.algorithm),
            );
        }
        if let (Some(signers), Some(least)) = (self.signers, self.signers_min) {
            lines.add(
                "signed by",
                format!("{signers} of the keys given, {least} needed"),
            );
        }
        if self.signatures.is_empty() {
            lines.add("signature", "none");
        }
        if self.has_other_authentication {
            lines.add("signature", "of a kind we do not read");
        }
    }

    fn manifest_lines(&self, lines: &mut Lines) {
        if let Some(error) = &self.manifest_error {
            lines.add("manifest", error);
        }
        let Some(manifest) = &self.manifest else { return };
        lines.add("sequence", manifest.sequence_number);
        if manifest.predecessor_min > 0 {
            lines.add(
                "may follow",
                format!("sequence {} or higher", manifest.predecessor_min),
            );
        }
        if let Some(latest) = &self.latest {
            let until = u64::from(latest.issued_unix_s) + u64::from(latest.valid_s);
            let (class, sequence) = (&latest.class_id, latest.sequence_number);
            lines.add(
                "states",
                format!("the latest of class {class} is sequence {sequence}"),
            );
            lines.add("meant until", format!("{} UTC", utc_minute(until)));
        }
        lines.add("vendor-id", &manifest.vendor_id);
        lines.add("class-id", &manifest.class_id);
        lines.add("image digest", &manifest.image_digest);
        lines.add("image size", format!("{} bytes", manifest.image_size));
    }
}

struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        writeln!(self.0, "{name:<13} {value}").expect("a String takes any text");
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
