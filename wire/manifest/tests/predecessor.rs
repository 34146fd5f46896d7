//! What an image may follow: the install section, byte by byte, and everything near it that is refused by its name.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ed25519_dalek::{Signer, SigningKey};
use wire_manifest::{
    Anchor, Envelope, Malformed, Manifest, ManifestError, Release, TrustAnchors, Unsupported, verify,
};

fn signed(predecessor_min: u64) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let anchor = Anchor {
        key: key.verifying_key().to_bytes(),
    };
    let release = Release {
        sequence_number: 7,
        vendor_id: [1; 16],
        class_id: [2; 16],
        image_digest: [3; 32],
        image_size: 40_000,
        predecessor_min,
        text: None,
        image: None,
    };
    let mut out = [0; 600];
    let file = release.encode(&mut out, anchor.key_id(), |bytes| key.sign(bytes).to_bytes());
    let file = file.unwrap().to_vec();
    let manifest = verify(&file, &TrustAnchors::new(&[anchor])).unwrap();
    assert_eq!(manifest.predecessor_min, predecessor_min);
    file
}

fn manifest(predecessor_min: u64) -> Vec<u8> {
    let file = signed(predecessor_min);
    Envelope::parse(&file).unwrap().manifest_bytes().to_vec()
}

fn read(manifest: &[u8]) -> Result<u64, ManifestError> {
    Manifest::interpret(manifest).map(|manifest| manifest.dangerous_unverified().predecessor_min)
}

/// draft-ietf-suit-update-management-13: version is parameter and condition 28, "greater or equal" is 2, a version is a list.
const INSTALL: [u8; 13] = [
    0x84, 0x14, 0xa1, 0x18, 0x1c, // [ 20: override-parameters, { 28: version =>
    0x44, 0x82, 0x02, 0x81, 0x04, // a byte string of 4 bytes: [ 2, [ 4 ] ] },
    0x18, 0x1c, 0x0f, // 28: condition-version, 15 ]
];

/// A manifest that states nothing, with an install section added.
fn with_install(content: &[u8]) -> Vec<u8> {
    let mut bytes = manifest(0);
    assert_eq!(bytes[0], 0xa5);
    bytes[0] = 0xa6;
    bytes.extend([0x14, 0x40 + u8::try_from(content.len()).unwrap()]);
    bytes.extend(content);
    bytes
}

#[test]
fn the_install_section_is_these_bytes() {
    assert_eq!(manifest(4), with_install(&INSTALL));
    assert_eq!(read(&with_install(&INSTALL)), Ok(4));
    assert_eq!(
        manifest(4).len() - manifest(0).len(),
        15,
        "the figure in the documentation"
    );
}

#[test]
fn every_number_of_32_bits_is_read_back() {
    for predecessor_min in [0, 1, 6] {
        assert_eq!(read(&manifest(predecessor_min)), Ok(predecessor_min));
    }
    // [ 2, [ 2^32 - 1 ] ], and one more.
    let long = |version: &[u8]| [&INSTALL[..5], version, &INSTALL[10..]].concat();
    let most = long(&[0x48, 0x82, 0x02, 0x81, 0x1a, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(read(&with_install(&most)), Ok(u64::from(u32::MAX)));
    let more = [0x4c, 0x82, 0x02, 0x81, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0];
    let refused = Err(Unsupported::SequenceNumber.into());
    assert_eq!(read(&with_install(&long(&more))), refused);
}

#[test]
fn what_is_not_quite_that_is_refused_by_its_name() {
    let replaced = |at: usize, byte: u8| {
        let mut content = INSTALL;
        content[at] = byte;
        read(&with_install(&content)).unwrap_err()
    };
    for (at, byte, refusal) in [
        // Of the comparisons 1 to 5 only "greater or equal" is ours; so is a version of one number.
        (7, 0x01, Unsupported::Version.into()),
        (7, 0x03, Unsupported::Version.into()),
        (8, 0x80, Unsupported::Version.into()),
        (6, 0x81, Unsupported::Version.into()),
        (2, 0xa0, Unsupported::Version.into()),
        (4, 0x1d, Unsupported::Parameter(29).into()),
        (11, 0x1d, Unsupported::Command(29).into()),
        (1, 0x15, Unsupported::Command(21).into()),
        (9, 0x20, Malformed::WrongType.into()),
        (9, 0x18, Malformed::Truncated.into()),
        (
            0,
            0x83,
            ManifestError::from(Malformed::OutOfRange(wire_manifest::Item::CommandSequence)),
        ),
    ] {
        assert_eq!(replaced(at, byte), refusal, "byte {at}");
    }
    let two_numbers = [
        0x84, 0x14, 0xa1, 0x18, 0x1c, 0x45, 0x82, 0x02, 0x82, 0x04, 0x05, 0x18, 0x1c, 0x0f,
    ];
    assert_eq!(
        read(&with_install(&two_numbers)),
        Err(Unsupported::Version.into())
    );
    let trailing = [
        0x84, 0x14, 0xa1, 0x18, 0x1c, 0x45, 0x82, 0x02, 0x81, 0x04, 0x05, 0x18, 0x1c, 0x0f,
    ];
    assert_eq!(
        read(&with_install(&trailing)),
        Err(Malformed::TrailingBytes.into())
    );
    // The condition alone would be about a version that nothing sets; the version alone would be no condition.
    assert_eq!(
        read(&with_install(&[0x82, 0x18, 0x1c, 0x0f])),
        Err(Unsupported::Command(28).into())
    );
    let no_condition = [&[0x82][..], &INSTALL[1..10]].concat();
    assert!(read(&with_install(&no_condition)).is_err());
}

/// The draft's other use of the member: severed, with its digest left behind. There is nothing to sever here.
#[test]
fn an_install_section_that_was_severed_is_refused() {
    let mut bytes = manifest(0);
    bytes[0] = 0xa6;
    bytes.extend([0x14, 0x82, 0x2f, 0x58, 0x20]);
    bytes.extend([0; 32]);
    assert_eq!(read(&bytes), Err(Malformed::WrongType.into()));
}
