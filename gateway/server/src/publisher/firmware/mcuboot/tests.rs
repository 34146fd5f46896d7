//! What imgtool signs is understood, and what is damaged is not believed.

use proptest::prelude::*;

use super::super::{Firmware, FirmwareError};
use super::*;

/// Signed by imgtool; fixtures/README.md says how.
fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/firmware");
    std::fs::read(path.join(name)).unwrap()
}

fn understood(image: &[u8]) -> Mcuboot {
    read(image).unwrap().unwrap()
}

#[test]
fn what_imgtool_signed_is_understood_and_kept_whole() {
    let file = fixture("mcuboot.bin");
    let firmware = Firmware::read(file.clone()).unwrap();
    assert_eq!(firmware.image, file, "header and trailer run with the code");
    let mcuboot = firmware.mcuboot.unwrap();
    assert_eq!(mcuboot.version, "1.2.3+4");
    assert_eq!((mcuboot.header_bytes, mcuboot.code_bytes), (0x200, 768));
    assert_eq!((mcuboot.hash, mcuboot.padding_bytes), (HashCheck::Good, 0));
    let names: Vec<_> = mcuboot.tlvs.iter().map(|tlv| tlv.name).collect();
    assert_eq!(
        names,
        [Some("SHA-256"), Some("key hash"), Some("Ed25519 signature")]
    );
    assert_eq!(mcuboot.load_address, None);
}

#[test]
fn an_image_for_one_place_says_it_and_protected_values_are_hashed() {
    let firmware = Firmware::read(fixture("mcuboot-fixed.bin")).unwrap();
    assert_eq!(firmware.run_address(), Some(0x0800_4000));
    let mcuboot = firmware.mcuboot.unwrap();
    assert_eq!(
        (mcuboot.version.as_str(), mcuboot.hash),
        ("2.0.0", HashCheck::Good)
    );
    let counter = mcuboot.tlvs.iter().find(|tlv| tlv.number == 0x50).unwrap();
    assert_eq!(
        (counter.name, counter.is_protected),
        (Some("security counter"), true)
    );
    let mut altered = fixture("mcuboot-fixed.bin");
    let at = 0x200 + 768 + 8;
    altered[at] ^= 1;
    assert_eq!(understood(&altered).hash, HashCheck::Bad, "byte of the counter");
}

#[test]
fn every_byte_that_is_hashed_counts() {
    let file = fixture("mcuboot.bin");
    for at in (4..0x200 + 768).step_by(13) {
        let mut altered = file.clone();
        altered[at] ^= 0x10;
        let mcuboot = read(&altered).unwrap();
        assert!(
            !matches!(
                mcuboot,
                Ok(Mcuboot {
                    hash: HashCheck::Good,
                    ..
                })
            ),
            "byte {at}"
        );
    }
}

#[test]
fn half_an_image_is_refused_unless_it_is_taken_as_it_is() {
    let file = fixture("mcuboot.bin");
    for bytes in [4, 31, 32, 600, file.len() - 1] {
        let refused = Firmware::read(file[..bytes].to_vec());
        assert!(
            matches!(refused, Err(FirmwareError::DamagedMcuboot { .. })),
            "{bytes}"
        );
    }
    let options = super::super::ReadOptions {
        format: Some(super::super::FileFormat::Raw),
        ..Default::default()
    };
    let raw = Firmware::read_with(file[..600].to_vec(), &options).unwrap();
    assert_eq!((raw.image.len(), raw.mcuboot), (600, None));
}

#[test]
fn padding_is_seen() {
    let mut file = fixture("mcuboot.bin");
    file.resize(8_192 - 16, 0xff);
    assert!(!understood(&file).is_padded_for_test);
    file.extend(TRAILER_MAGIC);
    let mcuboot = understood(&file);
    assert_eq!(
        (mcuboot.padding_bytes, mcuboot.is_padded_for_test),
        (8_192 - 1_424, true)
    );
    assert_eq!(mcuboot.hash, HashCheck::Good);
}

#[test]
fn what_is_encrypted_cannot_be_compared() {
    let mut file = fixture("mcuboot.bin");
    file[16] |= 0x04;
    assert_eq!(understood(&file).hash, HashCheck::Unknown);
}

#[test]
fn other_images_are_left_alone() {
    assert_eq!(read(b"any other image of 32 bytes and more"), None);
    assert_eq!(read(&[]), None);
}

proptest! {
    /// No altered header panics.
    #[test]
    fn hostile_headers_are_refused(at in 4_usize..1_420, word in any::<u32>()) {
        let mut file = fixture("mcuboot.bin");
        file[at..at + 4].copy_from_slice(&word.to_le_bytes());
        let _ = read(&file);
    }
}
