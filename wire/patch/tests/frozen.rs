//! What pins the format: patches that every later decoder turns into the same images, and patches that it refuses.
//!
//! If one of these fails, change the code, never the bytes.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wire_patch::{DecodeError, Decoder, Header, IoFailed, MemoryClass, Output, Progress};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/patch")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The rows of a list, each split into its columns.
fn rows<const N: usize>(name: &str) -> Vec<[String; N]> {
    let text = String::from_utf8(fixture(name)).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let columns: Vec<String> = line.split('\t').map(String::from).collect();
        columns.try_into().expect("as many columns as the list has")
    })
    .collect()
}

/// Whether the bytes are those of the target, as far as they come.
struct Compared<'a> {
    name: &'a str,
    target: &'a [u8],
    produced: usize,
}

impl Output for Compared<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        let end = self.produced + bytes.len();
        let expected = &self.target[self.produced..end.min(self.target.len())];
        assert_eq!(bytes, expected, "{}, after {}", self.name, self.produced);
        self.produced = end;
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let start = offset as usize;
        assert!(start + buf.len() <= self.produced, "{}", self.name);
        buf.copy_from_slice(&self.target[start..start + buf.len()]);
        Ok(())
    }
}

/// Takes anything.
struct Any(Vec<u8>);

impl Output for Any {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.0.extend(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let start = offset as usize;
        buf.copy_from_slice(self.0.get(start..start + buf.len()).ok_or(IoFailed)?);
        Ok(())
    }
}

fn decode(mut base: &[u8], mut patch: &[u8], out: &mut impl Output, budget: u32) -> Result<(), DecodeError> {
    let header = Header::parse(patch)?;
    let mut memory = vec![0xA5; header.memory.bytes() as usize];
    let mut decoder = Decoder::new(header, &mut memory)?;
    while decoder.step(&mut base, &mut patch, out, budget)? == Progress::More {}
    Ok(())
}

#[test]
fn frozen_patches_decode() {
    for [name, base, target] in rows("patches.tsv") {
        let (base, patch, target) = (fixture(&base), fixture(&name), fixture(&target));
        for budget in [1, 100] {
            let mut out = Compared {
                name: &name,
                target: &target,
                produced: 0,
            };
            let ended = decode(&base, &patch, &mut out, budget);
            assert_eq!(ended, Ok(()), "{name}, after {}", out.produced);
            assert_eq!(out.produced, target.len(), "{name}");
        }
    }
}

#[test]
fn every_frozen_patch_is_listed_and_every_class_and_set_is_there() {
    let listed: BTreeSet<String> = rows("patches.tsv").into_iter().map(|[name, _, _]| name).collect();
    let there: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".patch"))
        .collect();
    assert_eq!(listed, there);
    let classes: BTreeSet<u8> = (listed.iter())
        .map(|name| Header::parse(&fixture(name)).unwrap().memory.exponent())
        .collect();
    let all = MemoryClass::MIN.exponent()..=MemoryClass::MAX.exponent();
    assert!(classes.into_iter().eq(all));
    for set in [
        "words", "thumb", "riscv32", "riscv64", "aarch64", "xtensa", "avr", "mcs51",
    ] {
        let patches = listed.iter().filter(|name| name.contains(&format!("-{set}-")));
        assert!(patches.count() >= 4, "{set}");
    }
}

#[test]
fn frozen_refusals_are_named() {
    for [what, base, error, hex] in rows("refused.tsv") {
        let base = if base == "-" { Vec::new() } else { fixture(&base) };
        let patch: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        for budget in [1, 100] {
            let refused = decode(&base, &patch, &mut Any(Vec::new()), budget).expect_err(&what);
            let text = format!("{refused:?}");
            assert_eq!(text.split(['(', ' ']).next(), Some(error.as_str()), "{what}");
        }
    }
}

#[test]
fn refusals_of_every_error_that_bytes_can_cause_are_there() {
    let there: BTreeSet<String> = rows("refused.tsv")
        .into_iter()
        .map(|[_, _, error, _]| error)
        .collect();
    let expected = [
        "BaseLength",
        "EmptyTriple",
        "NotAPatch",
        "NumberTooLarge",
        "OutputOverrun",
        "ResultMismatch",
        "SourceOutOfRange",
        "TrailingBytes",
        "Truncated",
        "UnknownInstructionSet",
        "UnknownMemoryClass",
        "UnknownVersion",
    ];
    assert!(there.iter().map(String::as_str).eq(expected), "{there:?}");
}
