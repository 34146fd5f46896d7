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
    let refused = Err(Unsupported::Install.into());
    assert_eq!(read(&with_install(&long(&more))), refused);
}

#[test]
fn what_is_not_quite_that_is_refused_by_its_name() {
    let refused = Err(Unsupported::Install.into());
    for at in 0..INSTALL.len() {
        for byte in 0..=u8::MAX {
            let mut content = INSTALL;
            content[at] = byte;
            let told = read(&with_install(&content));
            let number = at == 9 && byte < 24;
            let policy = at == 12 && byte < 16;
            match content == INSTALL || number || policy {
                true => assert_eq!(told, Ok(u64::from(content[9])), "{content:x?}"),
                false => assert_eq!(told, refused, "{content:x?}"),
            }
        }
    }
    for length in 0..INSTALL.len() {
        assert_eq!(read(&with_install(&INSTALL[..length])), refused, "{length} bytes");
    }
    let with = |version: &[u8], after: &[u8]| {
        let length = 0x40 + u8::try_from(version.len()).unwrap();
        read(&with_install(
            &[&INSTALL[..5], &[length], version, after].concat(),
        ))
    };
    let (version, after) = (&INSTALL[6..10], &INSTALL[10..]);
    assert_eq!(with(version, after), Ok(4));
    // Two numbers; one and something behind it; a condition more, or less.
    for (version, after) in [
        (&[0x82, 2, 0x82, 4, 5][..], after),
        (&[0x82, 2, 0x81, 4, 5], after),
        (version, &[0x18, 0x1c, 0x0f, 0x18, 0x1c, 0x0f]),
        (version, &[]),
    ] {
        assert_eq!(with(version, after), refused);
    }
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
