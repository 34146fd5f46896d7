use std::fs;
use std::path::Path;

use clap::Parser;

use super::*;
use crate::publisher::import::ImportError;
use crate::publisher::inspect::hex;
use crate::publisher::key::PrivateKey;
use crate::publisher::{load_anchors, verify_import};
use wire_manifest::TrustAnchors;

#[derive(Parser)]
enum Commands {
    KeyGenerate(KeyGenerateArgs),
    ImageSign(ImageSignArgs),
    ImageInspect(ImageInspectArgs),
}

/// Runs a command line in `dir`, where relative paths are meant to be, and returns its output and result.
fn run(dir: &Path, line: &str) -> (String, Result<(), PublisherError>) {
    let words = line
        .split(' ')
        .map(|word| word.replace('@', &format!("{}/", dir.display())));
    let mut out = Vec::new();
    let result = match Commands::parse_from([String::new()].into_iter().chain(words)) {
        Commands::KeyGenerate(args) => args.run(&mut out),
        Commands::ImageSign(args) => args.run(&mut out),
        Commands::ImageInspect(args) => args.run(&mut out),
    };
    (String::from_utf8(out).unwrap(), result)
}

const SIGN: &str = "image-sign @fw.bin --vendor example.com --class thermometer --version 1.4.0 --sequence 7 \
                    --description quieter --key @p.key --out @fw.suit";

/// A directory with a key pair, an image, and the image signed.
fn signed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("fw.bin"), b"firmware bytes").unwrap();
    run(dir.path(), "key-generate --out @p").1.unwrap();
    run(dir.path(), SIGN).1.unwrap();
    dir
}

#[test]
fn what_is_signed_here_is_imported_by_a_gateway() {
    let dir = signed();
    let anchors = load_anchors(&[dir.path().join("p.pub")]).unwrap();
    let image = verify_import(
        &fs::read(dir.path().join("fw.suit")).unwrap(),
        None,
        &TrustAnchors::new(&anchors),
    )
    .unwrap();
    assert_eq!(image.image, b"firmware bytes");
    assert_eq!(image.manifest.sequence_number, 7);
    assert_eq!(
        image.manifest.vendor_id,
        crate::publisher::identity::vendor_id("example.com")
    );
    assert_eq!(image.version.as_deref(), Some("1.4.0"));
    assert_eq!(image.description.as_deref(), Some("quieter"));
}

#[test]
fn what_an_image_may_follow_is_signed_and_shown() {
    let dir = signed();
    let (text, result) = run(dir.path(), &format!("{SIGN} --follows 4"));
    result.unwrap();
    assert!(text.contains("may follow    sequence 4 or higher\n"), "{text}");
    let (text, _) = run(dir.path(), "image-inspect @fw.suit --trust @p.pub");
    assert!(text.contains("may follow    sequence 4 or higher\n"), "{text}");
    let (text, _) = run(dir.path(), "image-inspect @fw.suit --json");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["manifest"]["predecessor_min"], 4);

    let (_, result) = run(dir.path(), &format!("{SIGN} --follows 7"));
    let error = result.unwrap_err();
    assert_eq!(
        error.hint().as_deref(),
        Some("--follows takes a number below --sequence")
    );
}

#[test]
fn a_detached_file_holds_no_image() {
    let dir = signed();
    run(dir.path(), &format!("{SIGN} --detached")).1.unwrap();
    let file = fs::read(dir.path().join("fw.suit")).unwrap();
    assert!(!file.windows(8).any(|window| window == b"firmware"));
    let alone = run(dir.path(), "image-inspect @fw.suit --trust @p.pub")
        .1
        .unwrap_err();
    assert!(matches!(
        alone,
        PublisherError::NotVerified {
            source: ImportError::NoImage,
            ..
        }
    ));
    run(
        dir.path(),
        "image-inspect @fw.suit --image @fw.bin --trust @p.pub",
    )
    .1
    .unwrap();
}

/// Every output and error of a key's life: none holds its secret, in any spelling.
#[test]
fn the_private_key_appears_in_no_output() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("fw.bin"), b"firmware bytes").unwrap();
    let lines = [
        "key-generate --out @p",
        "key-generate --out @p",
        SIGN,
        "image-inspect @fw.suit --trust @p.pub",
        "image-inspect @fw.suit --json --trust @p.pub",
        "image-inspect @fw.suit --trust @p.key",
        "image-inspect @p.key",
        "image-sign @p.key --vendor v --class c --version 1 --sequence 1 --key @p.pub --out @x",
    ];
    let mut shown = String::new();
    for line in lines {
        let (output, result) = run(dir.path(), line);
        shown += &output;
        if let Err(error) = result {
            shown += &format!("{error} {error:?} {:?}", error.hint());
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                shown += &format!("{error} {error:?}");
                source = error.source();
            }
        }
    }
    let pem = fs::read_to_string(dir.path().join("p.key")).unwrap();
    let body = pem.lines().nth(1).unwrap();
    let key = PrivateKey::load(&dir.path().join("p.key")).unwrap();
    shown += &format!("{key:?}");
    // PKCS#8 of an Ed25519 key ends with its 32 secret bytes: the last 43 characters of its base64 hold them.
    let secret = decode_base64(body);
    let secret = &secret[secret.len() - 32..];
    assert!(
        shown.contains(&key.key_id().to_string()),
        "the test sees the output"
    );
    for spelling in [
        body.to_owned(),
        body[22..60].to_owned(),
        hex(secret),
        format!("{secret:?}"),
    ] {
        assert!(!shown.contains(&spelling));
        assert!(!shown.to_lowercase().contains(&spelling.to_lowercase()));
    }
    let written = fs::read(dir.path().join("fw.suit")).unwrap();
    assert!(!written.windows(32).any(|window| window == secret));
}

fn decode_base64(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = text
        .chars()
        .filter_map(|digit| alphabet.find(digit))
        .map(|value| format!("{value:06b}"))
        .collect();
    (0..bits.len() / 8)
        .map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap())
        .collect()
}

#[test]
fn inspection_shows_what_is_verified_and_what_is_not() {
    let dir = signed();
    let (text, result) = run(dir.path(), "image-inspect @fw.suit");
    result.unwrap();
    assert!(text.contains("not checked"), "{text}");
    assert!(text.contains("version       1.4.0\n"), "{text}");

    run(dir.path(), "key-generate --out @stranger").1.unwrap();
    let (text, result) = run(dir.path(), "image-inspect @fw.suit --trust @stranger.pub");
    let error = result.unwrap_err();
    assert!(text.contains("by a key that is not trusted"), "{text}");
    assert_eq!(error.exit_code(), 1);
    assert!(error.hint().unwrap().contains("trust"));

    let (text, result) = run(dir.path(), "image-inspect @fw.suit --trust @stranger.pub @p.pub");
    result.unwrap();
    assert!(text.contains("verified      yes\n"), "{text}");
}

#[test]
fn the_json_document_keeps_its_names() {
    let dir = signed();
    let (text, _) = run(dir.path(), "image-inspect @fw.suit --json --trust @p.pub");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "deltagate.image-inspect/1");
    assert_eq!(document["is_verified"], true);
    assert_eq!(document["digest_matches"], true);
    assert_eq!(document["signatures"][0]["algorithm"], "Ed25519 (-19)");
    assert_eq!(document["signatures"][0]["verdict"], "good");
    assert_eq!(document["manifest"]["sequence_number"], 7);
    assert_eq!(document["manifest"]["image_size"], 14);
    assert_eq!(document["text"]["version"], "1.4.0");
    assert_eq!(document["image"]["matches_manifest"], true);
    assert_eq!(document["refusal"], serde_json::Value::Null);
}

#[test]
fn a_draft_example_is_shown_with_what_it_uses() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = include_str!("../../../../../fixtures/suit/manifest_examples.json");
    let fixture: serde_json::Value = serde_json::from_str(fixture).unwrap();
    let digits = fixture["cases"][3]["envelope"].as_str().unwrap();
    let bytes: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    fs::write(dir.path().join("example.suit"), bytes).unwrap();
    let (text, result) = run(dir.path(), "image-inspect @example.suit");
    result.unwrap();
    assert!(text.contains("ES256 (-7), key without a key id"), "{text}");
    assert!(text.contains("unsupported: install section"), "{text}");
}

#[test]
fn text_of_strangers_cannot_move_the_cursor() {
    let dir = signed();
    run(dir.path(), &SIGN.replace("quieter", "a\u{1b}[2Jb"))
        .1
        .unwrap();
    let (text, _) = run(dir.path(), "image-inspect @fw.suit");
    assert!(
        !text.contains('\u{1b}') && text.contains("a\\u{1b}[2Jb"),
        "{text}"
    );
}

#[test]
fn missing_and_oversized_files_are_named() {
    let dir = signed();
    let missing = run(dir.path(), "image-inspect @nothing").1.unwrap_err();
    assert!(matches!(missing, PublisherError::Read { .. }));
    let file = fs::File::create(dir.path().join("huge")).unwrap();
    file.set_len(FIRMWARE_FILE_BYTES_MAX + 1).unwrap();
    let huge = run(dir.path(), "image-inspect @huge").1.unwrap_err();
    assert!(matches!(huge, PublisherError::TooLarge { .. }));
}

#[test]
fn a_reader_that_left_is_no_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(print(&mut Gone, "text").is_ok());
}

#[test]
fn an_image_that_mcuboot_would_not_start_is_not_signed() {
    let dir = signed();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/firmware");
    let mut image = fs::read(fixtures.join("mcuboot.bin")).unwrap();
    fs::write(dir.path().join("fw.bin"), &image).unwrap();
    let (text, result) = run(dir.path(), SIGN);
    result.unwrap();
    assert!(
        text.contains("signed for MCUboot, version 1.2.3+4, hash good"),
        "{text}"
    );
    image[0x300] ^= 1;
    fs::write(dir.path().join("fw.bin"), &image).unwrap();
    let refused = run(dir.path(), SIGN).1.unwrap_err();
    assert!(matches!(
        refused,
        PublisherError::Firmware {
            source: FirmwareError::NotForMcuboot { .. },
            ..
        }
    ));
    run(dir.path(), &format!("{SIGN} --format raw")).1.unwrap();
}

#[test]
fn inspection_shows_what_is_in_a_firmware_file() {
    let dir = signed();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/firmware");
    for (name, words) in [
        ("image.bin", vec!["768 bytes, firmware, not signed"]),
        (
            "image.hex",
            vec!["from Intel HEX, at 0x08004000", "gap of 156 bytes at 0x08004200"],
        ),
        ("image.srec", vec!["from S-record, at 0x08004000"]),
        (
            "image.uf2",
            vec!["from UF2 for Arm, at 0x10000000", "family: RP2040"],
        ),
        (
            "image.dfuse",
            vec!["from DfuSe, at 0x08004000", "USB device: 0483:df11"],
        ),
        (
            "image.dfu",
            vec!["from DFU", "USB device: 0483:df11, release 2200"],
        ),
        (
            "mcuboot.bin",
            vec!["signed for MCUboot, version 1.2.3+4, hash good"],
        ),
    ] {
        fs::copy(fixtures.join(name), dir.path().join(name)).unwrap();
        let (text, result) = run(dir.path(), &format!("image-inspect @{name}"));
        result.unwrap();
        assert!(text.lines().count() <= 24, "{text}");
        for word in words {
            assert!(text.contains(word), "{name}: {text}");
        }
        let (text, result) = run(dir.path(), &format!("image-inspect @{name} --json"));
        result.unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["schema"], "deltagate.firmware-inspect/1");
        for key in [
            "digest",
            "size_bytes",
            "format",
            "machine",
            "address",
            "gaps",
            "details",
            "mcuboot",
        ] {
            assert!(document.get(key).is_some(), "{key}: {text}");
        }
    }
    let damaged = run(dir.path(), "image-inspect @mcuboot.bin --format elf")
        .1
        .unwrap_err();
    assert!(matches!(damaged, PublisherError::Firmware { .. }));
}

#[test]
fn an_inspection_of_many_gaps_fits_a_screen() {
    let dir = signed();
    let records: String = (0..40_u16).map(|n| record(n * 16)).collect();
    fs::write(dir.path().join("gaps.hex"), records + ":00000001FF\n").unwrap();
    let (text, result) = run(dir.path(), "image-inspect @gaps.hex");
    result.unwrap();
    assert!(
        text.lines().count() <= 24 && text.contains("and 35 more gaps of 525 bytes"),
        "{text}"
    );
}

/// An Intel HEX record of one byte.
fn record(address: u16) -> String {
    let [high, low] = address.to_be_bytes();
    let sum = (1_u8.wrapping_add(high).wrapping_add(low).wrapping_add(7)).wrapping_neg();
    format!(":01{address:04X}0007{sum:02X}\n")
}

#[test]
fn a_detached_image_may_be_any_firmware_file() {
    let dir = signed();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/firmware");
    fs::copy(fixtures.join("image.hex"), dir.path().join("fw.bin")).unwrap();
    run(dir.path(), &format!("{SIGN} --detached")).1.unwrap();
    let (_, result) = run(
        dir.path(),
        "image-inspect @fw.suit --image @fw.bin --trust @p.pub",
    );
    result.unwrap();
}
