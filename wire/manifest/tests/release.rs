//! A release, from the publisher's fields to the device's verified manifest, and everything that must not verify.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ed25519_dalek::{Signer, SigningKey};
use wire_manifest::{
    Anchor, EncodeError, Envelope, IMAGE_PAYLOAD, KeyId, Manifest, RELEASE_OVERHEAD_BYTES_MAX, Release,
    SeverError, Text, TextError, TrustAnchors, Unsupported, VerifyError, sever_text, verify, verify_text,
};

const IMAGE: &[u8] = b"not an image, but as good as one here";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn anchor(key: &SigningKey) -> Anchor {
    Anchor {
        key: key.verifying_key().to_bytes(),
    }
}

fn release() -> Release<'static> {
    Release {
        sequence_number: 300,
        vendor_id: [0xa1; 16],
        class_id: [0xb2; 16],
        image_digest: [0xc3; 32],
        image_size: IMAGE.len() as u32,
        predecessor_min: 0,
        text: Some(Text {
            version: Some("2.0.1"),
            description: Some("smoother, für alle"),
        }),
        image: Some(IMAGE),
    }
}

fn encode(release: &Release<'_>, key: &SigningKey) -> Vec<u8> {
    let mut out = vec![0; RELEASE_OVERHEAD_BYTES_MAX + release.image.map_or(0, <[u8]>::len)];
    let id = anchor(key).key_id();
    release
        .encode(&mut out, id, |bytes| key.sign(bytes).to_bytes())
        .unwrap()
        .to_vec()
}

#[test]
fn what_was_signed_is_what_verifies() {
    let file = encode(&release(), &key(1));
    let manifest = verify(&file, &TrustAnchors::new(&[anchor(&key(2)), anchor(&key(1))])).unwrap();
    assert_eq!(manifest.sequence_number, 300);
    assert_eq!((manifest.vendor_id, manifest.class_id), ([0xa1; 16], [0xb2; 16]));
    assert_eq!(
        (manifest.image_digest, manifest.image_size),
        ([0xc3; 32], IMAGE.len() as u32)
    );

    let envelope = Envelope::parse(&file).unwrap();
    assert_eq!(envelope.integrated_payload(IMAGE_PAYLOAD), Some(IMAGE));
    assert_eq!(envelope.integrated_payload("#other"), None);
    assert_eq!(verify_text(&envelope, &manifest), Ok(release().text));
}

#[test]
fn severing_keeps_the_manifest_and_drops_the_rest() {
    let file = encode(&release(), &key(1));
    let mut on_air = [0; wire_manifest::ENVELOPE_BYTES_MAX];
    let severed = sever_text(&file, &mut on_air).unwrap();
    let anchors = [anchor(&key(1))];
    assert_eq!(
        verify(severed, &TrustAnchors::new(&anchors)),
        verify(&file, &TrustAnchors::new(&anchors))
    );
    let envelope = Envelope::parse(severed).unwrap();
    assert_eq!(
        (envelope.text_bytes(), envelope.integrated_payload(IMAGE_PAYLOAD)),
        (None, None)
    );

    let mut again = [0; wire_manifest::ENVELOPE_BYTES_MAX];
    assert_eq!(sever_text(severed, &mut again).unwrap(), severed);
    let too_short = &mut again[..severed.len() - 1];
    assert_eq!(sever_text(&file, too_short), Err(SeverError::NoSpace));
}

#[test]
fn the_same_release_is_the_same_bytes() {
    assert_eq!(encode(&release(), &key(1)), encode(&release(), &key(1)));
}

#[test]
fn the_longest_release_fits_its_bounds() {
    let string = "v".repeat(wire_manifest::TEXT_STRING_BYTES_MAX);
    let longest = Release {
        sequence_number: u64::from(u32::MAX),
        predecessor_min: u64::from(u32::MAX) - 1,
        image_size: wire_manifest::IMAGE_BYTES_MAX,
        text: Some(Text {
            version: Some(&string),
            description: Some(&string),
        }),
        image: None,
        ..release()
    };
    let file = encode(&longest, &key(1));
    let mut on_air = [0; wire_manifest::ENVELOPE_BYTES_MAX];
    let severed = sever_text(&file, &mut on_air).unwrap();
    assert_eq!(severed.len(), 309, "the figure in the documentation");
    assert!(verify(severed, &TrustAnchors::new(&[anchor(&key(1))])).is_ok());
}

#[test]
fn a_stranger_is_an_unknown_key() {
    let file = encode(&release(), &key(9));
    assert_eq!(
        verify(&file, &TrustAnchors::new(&[anchor(&key(1))])),
        Err(VerifyError::UnknownKey)
    );
    assert_eq!(
        verify(&file, &TrustAnchors::<wire_manifest::Anchor>::new(&[])),
        Err(VerifyError::UnknownKey)
    );
}

#[test]
fn a_strangers_signature_under_a_trusted_key_id_is_bad() {
    let mut out = vec![0; 4_096];
    let id = anchor(&key(1)).key_id();
    let file = release()
        .encode(&mut out, id, |bytes| key(9).sign(bytes).to_bytes())
        .unwrap();
    assert_eq!(
        verify(file, &TrustAnchors::new(&[anchor(&key(1))])),
        Err(VerifyError::BadSignature)
    );
}

#[test]
fn the_key_id_is_the_beginning_of_the_keys_digest() {
    // SHA-256 of 32 zero bytes begins with 66687aadf862bd77.
    assert_eq!(KeyId::of(&[0; 32]).to_string(), "66687aadf862bd77");
    let file = encode(&release(), &key(1));
    let envelope = Envelope::parse(&file).unwrap();
    assert_eq!(
        envelope.signatures().next().unwrap().key_id(),
        Some(anchor(&key(1)).key_id())
    );
}

#[test]
fn a_changed_text_is_refused_and_the_manifest_still_verifies() {
    let mut file = encode(&release(), &key(1));
    let at = file.windows(5).position(|window| window == b"2.0.1").unwrap();
    file[at] = b'3';
    let manifest = verify(&file, &TrustAnchors::new(&[anchor(&key(1))])).unwrap();
    assert_eq!(
        verify_text(&Envelope::parse(&file).unwrap(), &manifest),
        Err(TextError::DigestMismatch)
    );
}

#[test]
fn a_text_the_manifest_does_not_name_is_refused() {
    let silent = encode(
        &Release {
            text: None,
            image: None,
            ..release()
        },
        &key(1),
    );
    let anchors = [anchor(&key(1))];
    let manifest = verify(&silent, &TrustAnchors::new(&anchors)).unwrap();
    assert_eq!(
        verify_text(&Envelope::parse(&silent).unwrap(), &manifest),
        Ok(None)
    );
    let talking = encode(&release(), &key(1));
    assert_eq!(
        verify_text(&Envelope::parse(&talking).unwrap(), &manifest),
        Err(TextError::NotInManifest)
    );
}

#[test]
fn misuse_of_the_builder_is_refused() {
    let sign = |_: &[u8]| -> [u8; 64] { panic!("nothing to sign") };
    let long = "x".repeat(wire_manifest::TEXT_STRING_BYTES_MAX + 1);
    let encode = |release: Release<'_>| {
        release
            .encode(&mut [0; 4_096], KeyId([0; 8]), sign)
            .map(<[u8]>::len)
    };
    let text = Some(Text {
        version: Some(&long),
        description: None,
    });
    assert_eq!(
        encode(Release { text, ..release() }),
        Err(EncodeError::TextTooLong)
    );
    assert_eq!(
        encode(Release {
            image_size: 1,
            ..release()
        }),
        Err(EncodeError::ImageSize)
    );
    assert_eq!(
        encode(Release {
            image: None,
            image_size: (16 << 20) + 1,
            ..release()
        }),
        Err(EncodeError::ImageSize)
    );
    assert_eq!(
        encode(Release {
            sequence_number: 1 << 32,
            ..release()
        }),
        Err(EncodeError::SequenceNumber)
    );
    for predecessor_min in [300, 301, 1 << 40] {
        let release = Release {
            predecessor_min,
            ..release()
        };
        assert_eq!(encode(release), Err(EncodeError::Predecessor));
    }
    let key = key(1);
    let short = release()
        .encode(&mut [0; 300], KeyId([0; 8]), |bytes| key.sign(bytes).to_bytes())
        .map(<[u8]>::len);
    assert_eq!(short, Err(EncodeError::NoSpace));
}

#[test]
fn an_unknown_member_is_unsupported_not_ignored() {
    // The manifest of a release without text begins a5; one more member under the unused key 5 makes it a6.
    let file = encode(
        &Release {
            text: None,
            image: None,
            ..release()
        },
        &key(1),
    );
    let mut manifest = Envelope::parse(&file).unwrap().manifest_bytes().to_vec();
    assert!(Manifest::interpret(&manifest).is_ok());
    assert_eq!(manifest[0], 0xa5);
    manifest[0] = 0xa6;
    manifest.extend([0x05, 0x00]);
    let unsupported = Manifest::interpret(&manifest).unwrap_err();
    assert_eq!(unsupported, Unsupported::ManifestMember(5).into());
}
