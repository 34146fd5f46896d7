//! What pins patches that may be applied in place. If one of these fails, change the code, never the bytes.
//!
//! Of the base, every byte that a decoder needs no more is spoilt before every step: that is what the reach promises.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

use std::path::{Path, PathBuf};

use wire_patch::{
    CHECKPOINT_STATE_BYTES, CheckpointStorage, DecodeError, Decoder, Header, IoFailed, OUTPUT_PIECE_BYTES,
    Output, Progress,
};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name)
}

fn image(name: &str) -> Vec<u8> {
    std::fs::read(directory("patch").join(name)).unwrap()
}

/// The rows of a list, each split into its columns.
fn rows(name: &str) -> Vec<[String; 4]> {
    let text = std::fs::read_to_string(directory("patch-in-place").join(name)).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let columns: Vec<String> = line.split('\t').map(String::from).collect();
        columns.try_into().expect("four columns")
    })
    .collect()
}

struct Collected(Vec<u8>);

impl Output for Collected {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.0.extend(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        buf.copy_from_slice(&self.0[offset as usize..][..buf.len()]);
        Ok(())
    }
}

struct Stored(Vec<u8>);

impl CheckpointStorage for Stored {
    fn append(&mut self, piece: &[u8; OUTPUT_PIECE_BYTES]) -> Result<(), IoFailed> {
        self.0.extend(piece);
        Ok(())
    }
}

/// Decodes with a base that is spoilt behind the reach, and goes through a checkpoint every so many bytes: a decoder that was just
/// made has nothing read ahead.
fn decode(base: &[u8], mut patch: &[u8], checkpoint_bytes: u32) -> Result<Vec<u8>, DecodeError> {
    let header = Header::parse(patch)?;
    let mut base = base.to_vec();
    let mut out = Collected(Vec::new());
    let mut stored: Option<Stored> = None;
    loop {
        let mut memory = vec![0; header.memory.bytes() as usize];
        let mut decoder = Decoder::new(header, &mut memory)?;
        if let Some(stored) = stored.take() {
            assert_eq!(
                stored.0.len(),
                header.memory.bytes() as usize + CHECKPOINT_STATE_BYTES
            );
            decoder.resume(&mut patch, &mut stored.0.as_slice()).unwrap();
        }
        let next = decoder.produced() + checkpoint_bytes;
        while decoder.produced() < next {
            let reach = header.in_place.map_or(u32::MAX, |reach| reach.bytes());
            let gone = decoder.produced().saturating_sub(reach) as usize;
            let gone = gone.min(base.len());
            base[..gone].fill(0x5A);
            if decoder.step(&mut base.as_slice(), &mut patch, &mut out, 1)? == Progress::Done {
                return Ok(out.0);
            }
        }
        let mut checkpoint = Stored(Vec::new());
        decoder.checkpoint(&mut patch, &mut checkpoint).unwrap();
        stored = Some(checkpoint);
    }
}

#[test]
fn frozen_patches_give_their_targets_though_the_base_is_spoilt_behind_them() {
    let patches = rows("patches.tsv");
    assert_eq!(patches.len(), 6);
    for [name, base, target, reach] in patches {
        let patch = std::fs::read(directory("patch-in-place").join(&name)).unwrap();
        let stated = Header::parse(&patch).unwrap().in_place.map(|reach| reach.bytes());
        assert_eq!(stated, reach.parse().ok(), "{name}");
        for checkpoint_bytes in [u32::MAX / 2, 1_000, 61] {
            let made = decode(&image(&base), &patch, checkpoint_bytes);
            assert!(made.as_ref() == Ok(&image(&target)), "{name}: {:?}", made.err());
        }
    }
}

#[test]
fn less_reach_than_stated_spoils_what_is_needed() {
    // The check of this file's own means: with a reach of less, refused by the format, bytes would be missing.
    let [name, base, target, _] = rows("patches.tsv").swap_remove(1);
    let patch = std::fs::read(directory("patch-in-place").join(&name)).unwrap();
    let mut spoilt = image(&base);
    spoilt[..200].fill(0x5A);
    assert!(decode(&spoilt, &patch, u32::MAX / 2).as_ref() != Ok(&image(&target)));
}

#[test]
fn frozen_refusals_are_named() {
    let refused = rows("refused.tsv");
    let errors: Vec<&str> = refused.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(errors, ["NoReach", "SourceOutOfReach", "Truncated"]);
    for [what, base, error, hex] in &refused {
        let patch: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let found = decode(&image(base), &patch, u32::MAX / 2).expect_err(what);
        assert_eq!(&format!("{found:?}"), error, "{what}");
    }
}
