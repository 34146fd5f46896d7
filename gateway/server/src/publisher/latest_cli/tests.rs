use std::fs;
use std::path::Path;

use clap::Parser;
use wire_manifest::{Anchor, TrustAnchors};

use super::*;
use crate::publisher::import::ImportError;
use crate::publisher::inspect::inspect;
use crate::publisher::latest::imported_latest;
use crate::publisher::{key, load_anchors, verify_import};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ImageLatestArgs,
}

const NOW_S: u64 = 1_795_000_000;

fn run(dir: &Path, now_s: u64, line: &str) -> (String, Result<(), PublisherError>) {
    let line = format!("x --vendor example.com --class thermometer --key @p.key {line}");
    let words = line
        .split(' ')
        .map(|word| word.replace('@', &format!("{}/", dir.display())));
    let mut out = Vec::new();
    let result = Command::parse_from(words).args.run_at(now_s, &mut out);
    (String::from_utf8(out).unwrap(), result)
}

fn site() -> (tempfile::TempDir, Vec<Anchor>) {
    let dir = tempfile::tempdir().unwrap();
    key::generate(&dir.path().join("p")).unwrap();
    let anchors = load_anchors(&[dir.path().join("p.pub")]).unwrap();
    (dir, anchors)
}

#[test]
fn a_statement_is_numbered_after_the_one_before_and_imported() {
    let (dir, anchors) = site();
    let (text, result) = run(dir.path(), NOW_S, "--sequence 7 --number 1 --out @1.suit");
    result.unwrap();
    assert!(
        text.starts_with("statement     number 1: the latest of thermometer is sequence 7\n"),
        "{text}"
    );
    let line = "--sequence 8 --after @1.suit --valid-days 30 --out @2.suit";
    run(dir.path(), NOW_S + 60, line).1.unwrap();

    let imported = verify_import(
        &fs::read(dir.path().join("2.suit")).unwrap(),
        None,
        &TrustAnchors::new(&anchors),
    )
    .unwrap();
    let statement = imported_latest(&imported, &anchors).unwrap().unwrap();
    assert_eq!(
        statement.signed.latest,
        Latest {
            number: 2,
            sequence: 8,
            issued_s: 1_795_000_060,
            valid_s: 30 * 86_400
        }
    );
    let file = fs::read(dir.path().join("2.suit")).unwrap();
    let inspected = inspect(&file, None, (&anchors, 1)).unwrap().0;
    let shown = inspected.to_text();
    assert!(shown.contains("is sequence 8\nmeant until   20"), "{shown}");
    assert_eq!(inspected.is_verified, Some(true));
    let vendor = vendor_id("example.com");
    assert_eq!(
        (statement.vendor_id, statement.class_id),
        (vendor, class_id(&vendor, "thermometer"))
    );
    assert_eq!(statement.key_id, anchors[0].key_id());
}

#[test]
fn a_clock_that_went_back_or_was_never_set_signs_nothing() {
    let (dir, _) = site();
    run(dir.path(), NOW_S, "--sequence 7 --number 1 --out @1.suit")
        .1
        .unwrap();
    let line = "--sequence 7 --after @1.suit --out @2.suit";
    let error = run(dir.path(), NOW_S - 1, line).1.unwrap_err();
    assert!(matches!(error, PublisherError::ClockIsBehind { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--clock-was-wrong"));
    assert!(!dir.path().join("2.suit").exists());
    run(dir.path(), NOW_S - 1, &format!("{line} --clock-was-wrong"))
        .1
        .unwrap();
    let error = run(dir.path(), 1_000, "--sequence 7 --number 3 --out @3.suit")
        .1
        .unwrap_err();
    assert!(matches!(error, PublisherError::ClockNotSet), "{error}");
}

#[test]
fn what_is_no_statement_of_the_class_is_none_to_come_after() {
    let (dir, _) = site();
    fs::write(dir.path().join("x.suit"), b"no envelope").unwrap();
    let line = "--sequence 7 --after @x.suit --out @2.suit";
    let error = run(dir.path(), NOW_S, line).1.unwrap_err();
    assert!(
        matches!(error, PublisherError::NotTheStatementBefore { .. }),
        "{error}"
    );
    run(dir.path(), NOW_S, "--sequence 7 --number 1 --out @1.suit")
        .1
        .unwrap();
    let line = "--class other --sequence 7 --after @1.suit --out @2.suit";
    let words = format!("x --vendor example.com --key @p.key {line}");
    let words = words
        .split(' ')
        .map(|word| word.replace('@', &format!("{}/", dir.path().display())));
    let result = Command::parse_from(words).args.run_at(NOW_S, &mut Vec::new());
    assert!(matches!(
        result,
        Err(PublisherError::NotTheStatementBefore { .. })
    ));
}

/// No device could put together what it was not told of.
#[test]
fn a_statement_with_words_in_it_is_refused() {
    use wire_manifest::{Release, Text, latest_class};
    let (dir, anchors) = site();
    let key = key::PrivateKey::load(&dir.path().join("p.key")).unwrap();
    let vendor = vendor_id("example.com");
    let class = class_id(&vendor, "thermometer");
    let latest = Latest {
        number: 1,
        sequence: 7,
        issued_s: 1,
        valid_s: 86_400,
    };
    let image = latest.image(&class);
    let digest = |parts: &[&[u8]]| <sha2::Sha256 as sha2::Digest>::digest(parts.concat()).into();
    let release = Release {
        sequence_number: 1,
        vendor_id: vendor,
        class_id: latest_class(&class, &mut { digest }),
        image_digest: digest(&[&image]),
        image_size: image.len() as u32,
        predecessor_min: 0,
        text: Some(Text {
            version: Some("1"),
            description: None,
        }),
        image: Some(&image),
    };
    let file = super::super::sign::encode(&release, &key).unwrap();
    let imported = verify_import(&file, None, &TrustAnchors::new(&anchors)).unwrap();
    assert_eq!(
        imported_latest(&imported, &anchors),
        Err(ImportError::StatementForm)
    );
}
