//! The 13 examples of draft-ietf-suit-manifest-37: what the draft calls authentic is authentic here, and what is not
//! our profile is named.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature as EcdsaSignature, VerifyingKey};
use serde_json::Value;
use wire_manifest::{
    Algorithm, Anchor, Envelope, Manifest, ManifestError, Signature, SignatureError, Text, TrustAnchors,
    Unsupported, Verifier, VerifyError, verify, verify_with,
};

/// The verifier that no device has: ES256 with one key, as the draft's examples carry no kid.
struct Es256(VerifyingKey);

impl Verifier for Es256 {
    fn verify(&self, signature: &Signature<'_>, to_be_signed: &[u8]) -> Result<u32, SignatureError> {
        if signature.algorithm != Algorithm::Es256 {
            return Err(SignatureError::UnsupportedAlgorithm(signature.algorithm));
        }
        let bytes = EcdsaSignature::from_slice(signature.signature).map_err(|_| SignatureError::Invalid)?;
        self.0
            .verify(to_be_signed, &bytes)
            .map(|()| 1)
            .map_err(|_| SignatureError::Invalid)
    }
}

struct Example {
    name: String,
    sequence_number: u64,
    is_signed: bool,
    digest: Vec<u8>,
    envelope: Vec<u8>,
}

fn examples() -> (Vec<Example>, Es256) {
    let text = include_str!("../../../fixtures/suit/manifest_examples.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let key = |axis: &str| hex(file["es256_pub"][axis].as_str().unwrap());
    let point = [vec![4], key("x"), key("y")].concat();
    let cases = file["cases"].as_array().unwrap().iter().map(|case| Example {
        name: format!("{}, {}", case["name"], case["what"]),
        sequence_number: case["seq"].as_u64().unwrap(),
        is_signed: case["signed"].as_bool().unwrap(),
        digest: hex(case["suit_digest_bstr"].as_str().unwrap())[4..].to_vec(),
        envelope: hex(case["envelope"].as_str().unwrap()),
    });
    (
        cases.collect(),
        Es256(VerifyingKey::from_sec1_bytes(&point).unwrap()),
    )
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn all_thirteen_digests_match() {
    let (examples, _) = examples();
    assert_eq!(examples.len(), 13);
    for example in examples {
        let envelope = Envelope::parse(&example.envelope).unwrap();
        assert_eq!(
            envelope.manifest_digest().as_slice(),
            example.digest,
            "{}",
            example.name
        );
        assert!(envelope.digest_matches(), "{}", example.name);
    }
}

#[test]
fn the_seven_signed_ones_authenticate_and_the_others_do_not() {
    let (examples, es256) = examples();
    assert_eq!(examples.iter().filter(|example| example.is_signed).count(), 7);
    for example in examples {
        let envelope = Envelope::parse(&example.envelope).unwrap();
        let result = envelope.authenticate(&es256).map(|manifest| manifest.len());
        match example.is_signed {
            true => assert_eq!(result, Ok(envelope.manifest_bytes().len()), "{}", example.name),
            false => assert_eq!(result, Err(VerifyError::NotSigned), "{}", example.name),
        }
    }
}

#[test]
fn a_device_names_the_algorithm_it_does_not_check() {
    let anchors = [Anchor { key: [0x55; 32] }];
    for example in examples().0.iter().filter(|example| example.is_signed) {
        let result = verify(&example.envelope, &TrustAnchors::new(&anchors));
        assert_eq!(
            result,
            Err(VerifyError::UnsupportedAlgorithm(Algorithm::Es256)),
            "{}",
            example.name
        );
    }
}

#[test]
fn each_altered_byte_of_a_manifest_breaks_its_digest() {
    let (examples, es256) = examples();
    for example in examples {
        let manifest = position(
            &example.envelope,
            Envelope::parse(&example.envelope).unwrap().manifest_bytes(),
        );
        for at in manifest {
            let mut altered = example.envelope.clone();
            altered[at] ^= 0x01;
            let envelope = Envelope::parse(&altered).unwrap();
            assert!(!envelope.digest_matches(), "{} at {at}", example.name);
            assert_eq!(envelope.authenticate(&es256), Err(VerifyError::DigestMismatch));
        }
    }
}

#[test]
fn each_altered_byte_of_digest_or_signature_fails() {
    let (examples, es256) = examples();
    for example in examples.iter().filter(|example| example.is_signed) {
        let envelope = Envelope::parse(&example.envelope).unwrap();
        let signature = envelope.signatures().next().unwrap().signature;
        for at in position(&example.envelope, signature) {
            let mut altered = example.envelope.clone();
            altered[at] ^= 0x01;
            let result = Envelope::parse(&altered).unwrap().authenticate(&es256);
            assert_eq!(result, Err(VerifyError::BadSignature), "{} at {at}", example.name);
        }
        for at in position(&example.envelope, &example.digest) {
            let mut altered = example.envelope.clone();
            altered[at] ^= 0x80;
            let envelope = Envelope::parse(&altered).unwrap();
            assert_eq!(envelope.authenticate(&es256), Err(VerifyError::DigestMismatch));
            // The signature is over the digest, so that it fails even for one who makes the digest match.
            let signature = envelope.signatures().next().unwrap();
            assert_eq!(envelope.check(&signature, &es256), Err(SignatureError::Invalid));
        }
    }
}

#[test]
fn the_example_that_is_our_profile_is_interpreted() {
    let (examples, es256) = examples();
    let signed = examples
        .iter()
        .find(|example| example.is_signed && example.sequence_number == 0)
        .unwrap();
    let manifest = verify_with(&signed.envelope, &es256).unwrap();
    assert_eq!(manifest.sequence_number, 0);
    assert_eq!(
        manifest.vendor_id.to_vec(),
        hex("fa6b4a53d5ad5fdfbe9de663e4d41ffe")
    );
    assert_eq!(
        manifest.class_id.to_vec(),
        hex("1492af1425695e48bf429b2d51f2ab45")
    );
    assert_eq!(
        manifest.image_digest.to_vec(),
        hex("00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210")
    );
    assert_eq!(manifest.image_size, 34_768);
    assert_eq!(manifest.text_digest, None);
}

#[test]
fn examples_outside_the_profile_are_unsupported_by_name() {
    for example in examples().0 {
        let manifest = Envelope::parse(&example.envelope).unwrap().manifest_bytes();
        let (unsupported, text) = match example.sequence_number {
            0 => {
                assert!(Manifest::interpret(manifest).is_ok());
                continue;
            }
            1 => (
                Unsupported::Install,
                "unsupported: install section other than \"follows at least this sequence number\"",
            ),
            2 => (
                Unsupported::ManifestMember(4),
                "unsupported: manifest member reference-uri (4)",
            ),
            3 => (
                Unsupported::Command(15),
                "unsupported: command directive-try-each (15)",
            ),
            _ => (
                Unsupported::Components,
                "unsupported: components other than the one [h'00']",
            ),
        };
        let error = Manifest::interpret(manifest).unwrap_err();
        assert_eq!(error, ManifestError::Unsupported(unsupported), "{}", example.name);
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn the_drafts_severable_text_is_read() {
    let examples = examples().0;
    let with_text = examples
        .iter()
        .filter_map(|example| Envelope::parse(&example.envelope).unwrap().text_bytes());
    let texts: Vec<_> = with_text.map(|bytes| Text::read(bytes).unwrap()).collect();
    assert_eq!(texts.len(), 1);
    assert!(
        texts[0]
            .description
            .unwrap()
            .starts_with("## Example 2: Simultaneous Download")
    );
    assert_eq!(texts[0].version, None);
}

/// Where `part`, a slice of or equal to a slice of `whole`, stands in it.
fn position(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let at = whole
        .windows(part.len())
        .position(|window| window == part)
        .unwrap();
    at..at + part.len()
}
