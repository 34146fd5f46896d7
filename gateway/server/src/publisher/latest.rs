//! "Latest is N": from a publisher's word to a signed file, and from such a file to what a gateway keeps (`docs/freeze.md`).

use sha2::{Digest, Sha256};
use wire_manifest::{
    Anchor, Envelope, IMAGE_PAYLOAD, KeyId, LATEST_ENVELOPE_BYTES_MAX, Latest, Manifest, Release,
    SignedLatest, TrustAnchors, VerifyError, latest_class, verify,
};

use super::import::{ImportError, ImportedImage, verify_import};
use super::sign::encode;
use super::signer::Signer;
use super::{PublisherError, identity};

/// A statement that a trusted publisher signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedLatest {
    /// UUID of the vendor.
    pub vendor_id: [u8; 16],
    /// UUID of the class that it is about.
    pub class_id: [u8; 16],
    /// What goes on the air.
    pub signed: SignedLatest,
    /// The trusted key that signed it.
    pub key_id: KeyId,
}

/// Signs a statement about a vendor's class and returns the file, checked as a gateway would.
pub fn sign_latest(
    vendor: &str,
    class: &str,
    latest: &Latest,
    key: &dyn Signer,
) -> Result<Vec<u8>, PublisherError> {
    let vendor_id = identity::vendor_id(vendor);
    let class_id = identity::class_id(&vendor_id, class);
    let image = latest.image(&class_id);
    let release = Release {
        sequence_number: latest.number.into(),
        vendor_id,
        class_id: statements(&class_id),
        image_digest: hash(&[&image]),
        image_size: image.len() as u32,
        predecessor_min: 0,
        text: None,
        image: Some(&image),
    };
    let file = encode(&release, key)?;
    let anchors = [key.anchor()];
    let imported =
        verify_import(&file, None, &TrustAnchors::new(&anchors)).map_err(PublisherError::SelfCheck)?;
    match imported_latest(&imported, &anchors) {
        Ok(Some(_)) => Ok(file),
        Ok(None) => Err(PublisherError::SelfCheck(ImportError::NoImage)),
        Err(error) => Err(PublisherError::SelfCheck(error)),
    }
}

/// What a verified file says of a class, if it is a statement; `None`: it is an image like any other.
pub fn imported_latest(
    imported: &ImportedImage,
    anchors: &[Anchor],
) -> Result<Option<ImportedLatest>, ImportError> {
    let Some((latest, class_id)) = stated(&imported.manifest, &imported.image) else {
        return Ok(None);
    };
    let envelope = Envelope::parse(&imported.envelope).map_err(VerifyError::from)?;
    let by_key = envelope
        .signatures()
        .find(|one| one.key_id() == Some(imported.key_id));
    let signature = by_key.and_then(|one| one.signature.try_into().ok());
    let signature = signature.ok_or(ImportError::Verify(VerifyError::NotSigned))?;
    let signed = SignedLatest { latest, signature };
    let vendor_id = imported.manifest.vendor_id;
    // As each device will: whatever else is in the file is nothing that it can know.
    let mut buffer = [0; LATEST_ENVELOPE_BYTES_MAX];
    let envelope = signed.envelope(
        &mut buffer,
        &vendor_id,
        &class_id,
        &statements(&class_id),
        imported.key_id,
        &mut hash,
    );
    let envelope = envelope.ok_or(ImportError::StatementForm)?;
    verify(envelope, &TrustAnchors::new(anchors)).map_err(|_| ImportError::StatementForm)?;
    Ok(Some(ImportedLatest {
        vendor_id,
        class_id,
        signed,
        key_id: imported.key_id,
    }))
}

/// What a file says, whoever signed it, and the class that it is about.
pub fn dangerous_unverified_latest(file: &[u8]) -> Option<(Latest, [u8; 16])> {
    let envelope = Envelope::parse(file).ok()?;
    let manifest = Manifest::interpret(envelope.manifest_bytes()).ok()?;
    stated(
        manifest.dangerous_unverified(),
        envelope.integrated_payload(IMAGE_PAYLOAD)?,
    )
}

fn stated(manifest: &Manifest, image: &[u8]) -> Option<(Latest, [u8; 16])> {
    let number = u32::try_from(manifest.sequence_number).ok()?;
    Latest::of_image(number, image).filter(|(_, class_id)| manifest.class_id == statements(class_id))
}

fn statements(class_id: &[u8; 16]) -> [u8; 16] {
    latest_class(class_id, &mut hash)
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}
