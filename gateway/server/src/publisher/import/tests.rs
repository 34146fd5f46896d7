use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use wire_manifest::{Anchor, KeyId, Release, Text};

use super::*;

const IMAGE: &[u8] = b"an image of thirty-two bytes....";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn anchor(seed: u8) -> Anchor {
    Anchor {
        key: key(seed).verifying_key().to_bytes(),
    }
}

fn release() -> Release<'static> {
    Release {
        sequence_number: 3,
        vendor_id: [1; 16],
        class_id: [2; 16],
        image_digest: Sha256::digest(IMAGE).into(),
        image_size: IMAGE.len() as u32,
        predecessor_min: 0,
        text: Some(Text {
            version: Some("1.0"),
            description: None,
        }),
        image: Some(IMAGE),
    }
}

fn file(release: &Release<'_>) -> Vec<u8> {
    let mut out = [0; 4_096];
    release
        .encode(&mut out, anchor(1).key_id(), |bytes| {
            key(1).sign(bytes).to_bytes()
        })
        .unwrap()
        .to_vec()
}

fn refusal(file: &[u8], detached: Option<&[u8]>, anchors: &[Anchor]) -> ImportError {
    let error = verify_import(file, detached, &TrustAnchors::new(anchors)).unwrap_err();
    assert!(!error.hint().is_empty());
    error
}

#[test]
fn an_intact_file_of_a_trusted_publisher_is_imported() {
    let image = verify_import(
        &file(&release()),
        None,
        &TrustAnchors::new(&[anchor(2), anchor(1)]),
    )
    .unwrap();
    assert_eq!(image.image, IMAGE);
    assert_eq!(image.key_id, anchor(1).key_id());
    assert_eq!(
        (image.version.as_deref(), image.description.as_deref()),
        (Some("1.0"), None)
    );
    assert_eq!(image.manifest.sequence_number, 3);
    let on_air = wire_manifest::verify(&image.envelope, &TrustAnchors::new(&[anchor(1)])).unwrap();
    assert_eq!(on_air, image.manifest);
}

#[test]
fn a_detached_image_is_as_good() {
    let detached = file(&Release {
        image: None,
        ..release()
    });
    assert_eq!(
        verify_import(&detached, Some(IMAGE), &TrustAnchors::new(&[anchor(1)]))
            .unwrap()
            .image,
        IMAGE
    );
    assert_eq!(refusal(&detached, None, &[anchor(1)]), ImportError::NoImage);
    assert_eq!(
        refusal(&file(&release()), Some(IMAGE), &[anchor(1)]),
        ImportError::TwoImages
    );
}

#[test]
fn a_strangers_file_is_refused() {
    assert_eq!(
        refusal(&file(&release()), None, &[anchor(2)]),
        ImportError::Verify(VerifyError::UnknownKey)
    );
    assert_eq!(
        refusal(&file(&release()), None, &[]),
        ImportError::Verify(VerifyError::UnknownKey)
    );
}

#[test]
fn an_image_of_another_size_or_digest_is_refused() {
    let detached = file(&Release {
        image: None,
        ..release()
    });
    let short = &IMAGE[1..];
    assert_eq!(
        refusal(&detached, Some(short), &[anchor(1)]),
        ImportError::ImageSize {
            stated: 32,
            found: 31
        }
    );
    let mut altered = IMAGE.to_vec();
    altered[31] ^= 1;
    assert_eq!(
        refusal(&detached, Some(&altered), &[anchor(1)]),
        ImportError::ImageDigest
    );

    let mut integrated = file(&release());
    let last = integrated.len() - 1;
    integrated[last] ^= 1;
    assert_eq!(refusal(&integrated, None, &[anchor(1)]), ImportError::ImageDigest);
}

#[test]
fn an_empty_image_is_refused() {
    let empty = Release {
        image_size: 0,
        image_digest: Sha256::digest(b"").into(),
        image: Some(b""),
        ..release()
    };
    assert_eq!(
        refusal(&file(&empty), None, &[anchor(1)]),
        ImportError::EmptyImage
    );
}

#[test]
fn an_altered_text_is_refused() {
    let mut file = file(&release());
    let at = file.windows(3).position(|window| window == b"1.0").unwrap();
    file[at] = b'9';
    assert_eq!(
        refusal(&file, None, &[anchor(1)]),
        ImportError::Text(TextError::DigestMismatch)
    );
}

#[test]
fn no_altered_byte_of_a_file_is_imported_as_something_else() {
    let file = file(&release());
    let honest = verify_import(&file, None, &TrustAnchors::new(&[anchor(1)])).unwrap();
    for at in 0..file.len() {
        for flip in [0x01, 0x80] {
            let mut altered = file.clone();
            altered[at] ^= flip;
            if let Ok(imported) = verify_import(&altered, None, &TrustAnchors::new(&[anchor(1)])) {
                assert_eq!(
                    (imported.manifest, &imported.image),
                    (honest.manifest, &honest.image),
                    "byte {at}"
                );
                assert_eq!(imported.version, honest.version, "byte {at}");
            }
        }
    }
}

/// What the holder of a key can make, and a verifier with a cofactor takes (see wire-manifest).
#[test]
fn a_signature_that_only_a_lax_verifier_takes_is_refused() {
    let hex = |digits: &str| -> Vec<u8> {
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    };
    let key = hex("ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c");
    let mixed_order_r = hex(
        "1dd960b291c53514fece1341fc0dcd8a648b3934c2c533666f737a654ff1e1bfb79fd74e396571e45654d2e30aea841c9f5d37b2\
         8466856b7d2bb986d32fa20a",
    );
    let anchors = [Anchor {
        key: key.try_into().unwrap(),
    }];
    let trusted = TrustAnchors::new(&anchors);
    let mut out = [0; 4_096];
    let file = release()
        .encode(&mut out, KeyId::of(&anchors[0].key), |_| [0; 64])
        .unwrap();
    let envelope = Envelope::parse(file).unwrap();
    let mut signature = envelope.signatures().next().unwrap();
    signature.signature = &mixed_order_r;
    assert_eq!(
        Strict(trusted).verify(&signature, b"mixed order"),
        Err(SignatureError::Invalid)
    );
}

#[test]
fn a_file_is_taken_apart() {
    let whole = file(&release());
    let parts = read_signed_file(&whole).unwrap();
    assert_eq!(parts.image, Some(IMAGE));
    assert!(parts.text.is_some());
    assert!(parts.envelope.len() <= ENVELOPE_BYTES_MAX);
    assert!(matches!(
        read_signed_file(b"#!/bin/sh"),
        Err(ImportError::Verify(VerifyError::Unsupported(_)))
    ));
}
