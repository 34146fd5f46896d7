//! Bytes of strangers: any of them end in a value or a named error, and none verifies to something nobody signed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use wire_manifest::{
    Anchor, Envelope, IMAGE_PAYLOAD, Item, Malformed, Manifest, ManifestError, Release, Text, TrustAnchors,
    Unsupported, Verified, VerifyError, sever_text, verify, verify_text,
};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

fn anchors() -> [Anchor; 1] {
    [Anchor {
        key: key().verifying_key().to_bytes(),
    }]
}

fn release() -> Release<'static> {
    Release {
        sequence_number: 7,
        vendor_id: [1; 16],
        class_id: [2; 16],
        image_digest: [3; 32],
        image_size: 5,
        predecessor_min: 3,
        text: Some(Text {
            version: Some("1"),
            description: Some("d"),
        }),
        image: Some(b"image"),
    }
}

fn file() -> Vec<u8> {
    let mut out = [0; 4_096];
    release()
        .encode(&mut out, anchors()[0].key_id(), |bytes| {
            key().sign(bytes).to_bytes()
        })
        .unwrap()
        .to_vec()
}

/// Runs everything that reads an envelope. It must come to an end; what it returns is what verified.
fn read_all(bytes: &[u8]) -> Result<Verified<Manifest>, VerifyError> {
    let mut out = [0; 600];
    let _ = sever_text(bytes, &mut out);
    let _ = Manifest::interpret(bytes);
    let _ = Text::read(bytes);
    if let Ok(envelope) = Envelope::parse(bytes) {
        let _ = (
            envelope.interpret(),
            envelope.integrated_payload(IMAGE_PAYLOAD),
            envelope.digest_matches(),
        );
        let _ = envelope.text_bytes().map(Text::read);
    }
    let manifest = verify(bytes, &TrustAnchors::new(&anchors()))?;
    let _ = verify_text(&Envelope::parse(bytes).unwrap(), &manifest);
    Ok(manifest)
}

#[test]
fn no_altered_bit_verifies_to_another_manifest() {
    let file = file();
    let honest = read_all(&file).unwrap();
    let mut refused = 0;
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut altered = file.clone();
            altered[at] ^= 1 << bit;
            match read_all(&altered) {
                Ok(manifest) => assert_eq!(manifest, honest, "bit {bit} of byte {at}"),
                Err(_) => refused += 1,
            }
        }
    }
    // What is not under the signature: text and image, which are checked by digest, and their heads.
    let under_signature = sever_text(&file, &mut [0; 600]).unwrap().len();
    assert!(
        refused >= 8 * (under_signature - 20),
        "{refused} of {}",
        8 * under_signature
    );
}

#[test]
fn no_truncation_is_an_envelope() {
    let file = file();
    for len in 0..file.len() {
        let malformed = Envelope::parse(&file[..len]).unwrap_err();
        assert_eq!(malformed, ManifestError::Malformed(Malformed::Truncated), "{len}");
    }
    let trailing = [file.as_slice(), &[0]].concat();
    assert_eq!(
        Envelope::parse(&trailing).unwrap_err(),
        Malformed::TrailingBytes.into()
    );
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    // a3: members 2, 3 and 3 again, the second time with another manifest.
    let file = file();
    let severed = sever_text(&file, &mut [0; 600]).unwrap().to_vec();
    let mut twice = severed.clone();
    assert_eq!(twice[2], 0xa2);
    twice[2] = 0xa3;
    twice.extend([0x03, 0x41, 0xa0]);
    assert_eq!(
        Envelope::parse(&twice).unwrap_err(),
        Malformed::DuplicateKey.into()
    );
}

#[test]
fn an_envelope_without_its_tag_is_unsupported() {
    let file = file();
    assert_eq!(
        Envelope::parse(&file[2..]).unwrap_err(),
        Unsupported::UntaggedEnvelope.into()
    );
}

#[test]
fn more_signatures_than_our_bound_are_unsupported() {
    let digest = [&[0x58, 0x24, 0x82, 0x2f, 0x58, 0x20][..], &[0; 32]].concat();
    // Tag 17, COSE_Mac0, which is legal and which we pass over: as many as fit, then one more.
    let envelope = |blocks: u8| {
        let wrapper = [
            &[0x81 + blocks][..],
            &digest,
            &[0x42, 0xd1, 0x80].repeat(usize::from(blocks)),
        ]
        .concat();
        [
            &[0xd8, 0x6b, 0xa2, 0x02, 0x58, wrapper.len() as u8][..],
            &wrapper,
            &[0x03, 0x41, 0xa0],
        ]
        .concat()
    };
    let four = envelope(4);
    let parsed = Envelope::parse(&four).unwrap();
    assert!(parsed.has_other_authentication());
    assert_eq!(parsed.signatures().count(), 0);
    assert_eq!(
        Envelope::parse(&envelope(5)).unwrap_err(),
        Unsupported::TooMany(Item::Signatures).into()
    );
}

/// A CBOR byte string of at most 255 bytes.
fn bstr(content: &[u8]) -> Vec<u8> {
    match content.len() {
        len @ 0..24 => [&[0x40 + len as u8], content].concat(),
        len => [&[0x58, u8::try_from(len).unwrap()], content].concat(),
    }
}

/// The release, its manifest rightly signed by the trusted key under these COSE headers and with this payload item.
fn signed_under(protected: &[u8], unprotected: &[u8], payload: &[u8]) -> Vec<u8> {
    let file = file();
    let mut out = [0; 600];
    let severed = sever_text(&file, &mut out).unwrap();
    let manifest = &severed[6 + usize::from(severed[5])..];
    let digest = Envelope::parse(severed).unwrap().manifest_digest();
    let digest = bstr(&[&[0x82, 0x2f, 0x58, 0x20][..], &digest].concat());
    let to_be_signed = [b"\x84\x6aSignature1", &bstr(protected)[..], &[0x40], &digest].concat();
    let signature = bstr(&key().sign(&to_be_signed).to_bytes());
    let sign1 = [
        &[0xd2, 0x84],
        &bstr(protected)[..],
        unprotected,
        payload,
        &signature,
    ]
    .concat();
    let wrapper = [&[0x82], &digest[..], &bstr(&sign1)].concat();
    [&[0xd8, 0x6b, 0xa2, 0x02], &bstr(&wrapper)[..], manifest].concat()
}

/// RFC 9052 §3.1: a critical header that is not understood makes a good signature worthless; §3: an algorithm that
/// the signature does not cover is anybody's choice.
#[test]
fn a_good_signature_counts_only_under_headers_we_understand() {
    let kid = [&[0x04][..], &bstr(&anchors()[0].key_id().0)].concat();
    let with_kid = [&[0xa1][..], &kid].concat();
    let verdict = |protected: &[u8], unprotected: &[u8], payload: &[u8]| {
        read_all(&signed_under(protected, unprotected, payload)).map(|manifest| manifest.sequence_number)
    };
    let (ed25519, eddsa, nil) = ([0xa1, 0x01, 0x32], [0xa1, 0x01, 0x27], [0xf6]);
    assert_eq!(verdict(&ed25519, &with_kid, &nil), Ok(7));
    assert_eq!(verdict(&eddsa, &with_kid, &nil), Ok(7));

    let foreign = Err(VerifyError::UnsupportedAuthentication);
    assert_eq!(
        verdict(&[0xa2, 0x01, 0x32, 0x02, 0x81, 0x04], &with_kid, &nil),
        foreign
    );
    let critical = [&[0xa2, 0x02, 0x81, 0x04][..], &kid].concat();
    assert_eq!(verdict(&ed25519, &critical, &nil), foreign);
    assert_eq!(verdict(&ed25519, &with_kid, &[0x41, 0x00]), foreign);

    let unprotected = [&[0xa2, 0x01, 0x32][..], &kid].concat();
    let missing = Err(VerifyError::Malformed(Malformed::Missing(
        Item::SignatureAlgorithm,
    )));
    assert_eq!(verdict(&[], &unprotected, &nil), missing);
    assert_eq!(
        verdict(&ed25519, &unprotected, &nil),
        Err(VerifyError::Malformed(Malformed::DuplicateKey))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        prop_assert!(read_all(&bytes).is_err());
    }

    #[test]
    fn a_spliced_envelope_never_verifies_to_another_manifest(
        cuts in proptest::collection::vec((0usize..700, 0usize..700, proptest::collection::vec(any::<u8>(), 0..8)), 1..4),
    ) {
        let file = file();
        let honest = read_all(&file).unwrap();
        let mut spliced = file;
        for (from, to, with) in cuts {
            let (from, to) = (from.min(to).min(spliced.len()), from.max(to).min(spliced.len()));
            spliced.splice(from..to, with);
        }
        if let Ok(manifest) = read_all(&spliced) {
            prop_assert_eq!(manifest, honest);
        }
    }

    #[test]
    fn a_signed_manifest_of_any_values_is_read_back(
        sequence_number in 0..=u64::from(u32::MAX),
        vendor_id: [u8; 16],
        class_id: [u8; 16],
        image_digest: [u8; 32],
        image_size in 0..=wire_manifest::IMAGE_BYTES_MAX,
        predecessor in any::<u64>(),
        version in proptest::option::of("\\PC{0,40}"),
        description in proptest::option::of("\\PC{0,120}"),
    ) {
        let text = Text { version: version.as_deref(), description: description.as_deref() };
        let predecessor_min = predecessor % sequence_number.max(1);
        let release = Release {
            sequence_number, vendor_id, class_id, image_digest, image_size, predecessor_min, text: Some(text), image: None,
        };
        let mut out = [0; 4_096];
        let file = release.encode(&mut out, anchors()[0].key_id(), |bytes| key().sign(bytes).to_bytes()).unwrap();
        let manifest = verify(file, &TrustAnchors::new(&anchors())).unwrap();
        prop_assert_eq!(
            (manifest.sequence_number, manifest.predecessor_min, manifest.vendor_id, manifest.class_id),
            (sequence_number, predecessor_min, vendor_id, class_id)
        );
        prop_assert_eq!((manifest.image_digest, manifest.image_size), (image_digest, image_size));
        prop_assert_eq!(verify_text(&Envelope::parse(file).unwrap(), &manifest), Ok(Some(text)));
    }
}
