//! Two people sign one release, and sets of trust anchors, as they would on their machines.

use std::fs;
use std::io::Write;

use clap::Parser;
use wire_manifest::{Anchor, CosignError, VerifyError};

use super::*;
use crate::publisher::anchor_set::SetError;
use crate::publisher::anchors_cli::{AnchorsNewArgs, AnchorsShowArgs, AnchorsSignArgs};
use crate::publisher::cli::{ImageInspectArgs, ImageSignArgs, KeyGenerateArgs};
use crate::publisher::{load_anchors, verify_import};

#[derive(Parser)]
enum Commands {
    Key(KeyGenerateArgs),
    Sign(ImageSignArgs),
    Cosign(ImageCosignArgs),
    Inspect(ImageInspectArgs),
    AnchorsNew(AnchorsNewArgs),
    AnchorsSign(AnchorsSignArgs),
    AnchorsShow(AnchorsShowArgs),
}

/// A directory with the keys a, b and c, in which relative paths are meant to be.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        let desk = Desk(tempfile::tempdir().unwrap());
        fs::write(desk.0.path().join("fw.bin"), b"firmware bytes").unwrap();
        for key in ["a", "b", "c"] {
            desk.done(&format!("key --out @{key}"));
        }
        desk
    }

    fn run(&self, line: &str) -> (String, Result<(), PublisherError>) {
        let in_dir = |word: &str| word.replace('@', &format!("{}/", self.0.path().display()));
        let words = line.split_whitespace().map(in_dir);
        let mut out = Vec::new();
        let to: &mut dyn Write = &mut out;
        let result = match Commands::parse_from([String::new()].into_iter().chain(words)) {
            Commands::Key(args) => args.run(to),
            Commands::Sign(args) => args.run(to),
            Commands::Cosign(args) => args.run(to),
            Commands::Inspect(args) => args.run(to),
            Commands::AnchorsNew(args) => args.run(to),
            Commands::AnchorsSign(args) => args.run(to),
            Commands::AnchorsShow(args) => args.run(to),
        };
        (String::from_utf8(out).unwrap(), result)
    }

    fn done(&self, line: &str) -> String {
        let (text, result) = self.run(line);
        result.unwrap_or_else(|error| panic!("{line}: {error}"));
        text
    }

    fn refused(&self, line: &str) -> PublisherError {
        self.run(line).1.unwrap_err()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    fn anchors(&self, keys: &[&str]) -> Vec<Anchor> {
        let path = |key: &&str| self.0.path().join(format!("{key}.pub"));
        load_anchors(&keys.iter().map(path).collect::<Vec<_>>()).unwrap()
    }
}

const SIGN: &str =
    "sign @fw.bin --vendor example.com --class t --version 1.4 --sequence 7 --key @a.key --out @fw.suit";

#[test]
fn two_of_three_release_keys_sign() {
    let desk = Desk::new();
    desk.done(SIGN);
    let anchors = desk.anchors(&["a", "b", "c"]);
    let two = TrustAnchors::at_least(2, &anchors);
    let too_few = verify_import(&desk.file("fw.suit"), None, &two).unwrap_err();
    assert_eq!(too_few, ImportError::Verify(VerifyError::TooFewSignatures));
    assert!(too_few.hint().contains("deltagate image cosign FILE --key KEY"));

    let told = desk.done("cosign @fw.suit --key @b.key");
    assert!(
        told.contains("sequence      7\n") && told.contains("version       1.4\n"),
        "{told}"
    );
    let image = verify_import(&desk.file("fw.suit"), None, &two).unwrap();
    assert_eq!(image.image, b"firmware bytes");
    assert!(!desk.0.path().join("fw.suit.new").exists());

    let told = desk.done("inspect @fw.suit --trust @a.pub @c.pub");
    assert!(
        told.contains("signed by     1 of the keys given, 1 needed\n"),
        "{told}"
    );
}

#[test]
fn a_signature_that_would_not_count_is_not_added() {
    let desk = Desk::new();
    desk.done(SIGN);
    let signed = desk.file("fw.suit");
    let again = desk.refused("cosign @fw.suit --key @a.key");
    assert!(
        matches!(
            again,
            PublisherError::Cosign {
                source: CosignError::SignedAlready,
                ..
            }
        ),
        "{again}"
    );
    assert!(again.hint().unwrap().contains("image inspect"));
    assert_eq!(desk.file("fw.suit"), signed, "left alone");

    let mut altered = signed.clone();
    let at = altered
        .windows(8)
        .rposition(|window| window == b"firmware")
        .unwrap();
    altered[at] ^= 1;
    fs::write(desk.0.path().join("altered.suit"), altered).unwrap();
    let refused = desk.refused("cosign @altered.suit --key @b.key");
    let is_other_image = |error: &PublisherError| {
        matches!(
            error,
            PublisherError::NotVerified {
                source: ImportError::ImageDigest,
                ..
            }
        )
    };
    assert!(is_other_image(&refused), "{refused}");

    desk.done(&format!("{SIGN} --detached"));
    fs::write(desk.0.path().join("other.bin"), b"firmware other").unwrap();
    let refused = desk.refused("cosign @fw.suit --key @b.key --image @other.bin");
    assert!(is_other_image(&refused), "{refused}");
    let told = desk.done("cosign @fw.suit --key @b.key --image @fw.bin --out @both.suit");
    assert!(told.contains("14 bytes, matches the manifest"), "{told}");
    assert!(desk.file("both.suit").len() > desk.file("fw.suit").len());
}

/// What fits on the air is decided where it is signed, not at a gateway.
#[test]
fn no_more_signatures_are_added_than_a_device_takes() {
    let desk = Desk::new();
    desk.done(SIGN);
    desk.done("key --out @d");
    desk.done("key --out @e");
    let mut added = Vec::new();
    for key in ["b", "c", "d", "e"] {
        added.push(desk.run(&format!("cosign @fw.suit --key @{key}.key")).1.is_ok());
    }
    assert!(
        added.starts_with(&[true, true]) && added.ends_with(&[false]),
        "{added:?}"
    );
    let on_air = sever_text(&desk.file("fw.suit"), &mut [0; ENVELOPE_BYTES_MAX]).map(<[u8]>::len);
    assert!(on_air.is_ok());
}

const NEW: &str = "anchors-new --number 2 --sequence-max 500 --release @a.pub @b.pub --release-min 2 --recovery @b.pub @c.pub --out @set";

#[test]
fn a_set_is_made_signed_and_shown() {
    let desk = Desk::new();
    let told = desk.done(NEW);
    assert!(
        told.contains("release       2 of 2 keys have to sign\n"),
        "{told}"
    );
    assert!(
        told.contains("signed by     0 of its recovery keys, NOT enough\n"),
        "{told}"
    );
    let unsigned = desk.refused("anchors-show @set --trust @c.pub");
    assert!(
        matches!(unsigned, PublisherError::SetNotSigned { .. }),
        "{unsigned}"
    );

    let told = desk.done("anchors-sign @set --key @c.key");
    assert!(
        told.contains("signed by     1 of its recovery keys, enough\n"),
        "{told}"
    );
    desk.done("anchors-show @set --trust @c.pub");
    let stranger = desk.refused("anchors-show @set --trust @a.pub");
    assert!(
        matches!(stranger, PublisherError::SetNotSigned { .. }),
        "{stranger}"
    );

    let shown = desk.done("anchors-show @set --json --trust @c.pub");
    let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(document["schema"], "deltagate.anchor-set/1");
    assert_eq!(
        (&document["number"], &document["is_taken"]),
        (&2.into(), &true.into())
    );
    let signed = |key: &serde_json::Value| key["signed"] == true;
    let signers: Vec<_> = document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| signed(key))
        .collect();
    assert_eq!(signers.len(), 1);
    assert_eq!(signers[0]["roles"], serde_json::json!(["recovery"]));

    desk.done(SIGN);
    let alone = desk.refused("inspect @fw.suit --anchors @set");
    assert!(matches!(
        alone,
        PublisherError::NotVerified {
            source: ImportError::Verify(VerifyError::TooFewSignatures),
            ..
        }
    ));
    desk.done("cosign @fw.suit --key @b.key");
    desk.done("inspect @fw.suit --anchors @set");
}

#[test]
fn a_set_that_no_device_would_take_is_not_made() {
    let desk = Desk::new();
    for (line, problem) in [
        (
            "--number 1 --release @a.pub --release-min 2 --recovery @b.pub",
            SetError::Least {
                role: "release",
                least: 2,
                keys: 1,
            },
        ),
        (
            "--number 1 --release @a.pub --recovery @b.pub --recovery-min 0",
            SetError::Least {
                role: "recovery",
                least: 0,
                keys: 1,
            },
        ),
        ("--number 0 --release @a.pub --recovery @b.pub", SetError::Number),
    ] {
        let error = desk.refused(&format!("anchors-new --sequence-max 500 {line} --out @x"));
        assert!(
            matches!(&error, PublisherError::Set(found) if *found == problem),
            "{line}: {error}"
        );
        assert!(error.hint().is_some());
    }
    let both =
        desk.refused("anchors-new --number 1 --sequence-max 500 --release @a.pub --recovery @b.pub --retired @a.pub --out @x");
    assert!(
        matches!(both, PublisherError::Set(SetError::ReleaseAndRetired { .. })),
        "{both}"
    );
    for key in ["d", "e"] {
        desk.done(&format!("key --out @{key}"));
    }
    let many = desk.refused(
        "anchors-new --number 1 --sequence-max 500 --release @a.pub @b.pub --recovery @c.pub @d.pub --operator @e.pub --out @x",
    );
    assert!(
        matches!(many, PublisherError::Set(SetError::TooManyKeys { keys: 5 })),
        "{many}"
    );
    assert!(!desk.0.path().join("x").exists());
}

#[test]
fn releases_and_sets_are_not_taken_for_each_other() {
    let desk = Desk::new();
    desk.done(SIGN);
    desk.done(NEW);
    let release_key = desk.refused("anchors-sign @set --key @a.key");
    assert!(
        matches!(release_key, PublisherError::NotARecoveryKey { .. }),
        "{release_key}"
    );
    let set = desk.refused("cosign @set --key @b.key");
    assert!(matches!(set, PublisherError::IsASet { .. }), "{set}");
    for line in ["anchors-sign @fw.suit --key @b.key", "anchors-show @fw.suit"] {
        let release = desk.refused(line);
        assert!(
            matches!(release, PublisherError::NotASet { is_release: true, .. }),
            "{release}"
        );
        assert!(release.hint().unwrap().contains("image cosign"));
    }
}

#[test]
fn a_set_for_a_class_names_it() {
    let desk = Desk::new();
    let told = desk.done(&format!("{NEW} --vendor example.com --class t"));
    let class = uuid_text(&crate::publisher::identity::class_id(
        &crate::publisher::identity::vendor_id("example.com"),
        "t",
    ));
    assert!(told.contains(&format!("for           {class}\n")), "{told}");
    desk.done("anchors-sign @set --key @c.key");
    desk.done("anchors-show @set --trust @c.pub");
}

#[test]
fn with_one_recovery_key_the_publisher_is_warned() {
    let desk = Desk::new();
    let told =
        desk.done("anchors-new --number 1 --sequence-max 500 --release @a.pub --recovery @b.pub --out @set");
    assert!(told.contains("no recovery key can be lost"), "{told}");
    assert!(!desk.done(NEW).contains("no recovery key can be lost"));
}
