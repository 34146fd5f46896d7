//! However the patch arrives and however its storage answers, the result is the same.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::sync::LazyLock;

use gateway_delta::{Options, encode};
use proptest::prelude::*;
use support::{noise, thumb_images};
use wire_patch::{DecodeError, Decoder, Header, IoFailed, MemoryClass, Output, Progress, ReadAt};

/// Code that moved, and enough that is new to make the patch long.
struct Images {
    base: Vec<u8>,
    target: Vec<u8>,
    patch: Vec<u8>,
}

static IMAGES: LazyLock<Images> = LazyLock::new(|| {
    let (base, mut target) = thumb_images();
    target.splice(1_000..1_000, noise(900, 1));
    let memory = MemoryClass::MIN;
    let patch = encode(&base, &target, &Options::new(memory)).unwrap();
    Images { base, target, patch }
});

/// A patch of which only the beginning is there.
struct Arriving {
    arrived: usize,
    reads: u32,
}

impl ReadAt for Arriving {
    fn len(&self) -> u32 {
        IMAGES.patch.len() as u32
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        self.reads += 1;
        let start = offset as usize;
        let there = &IMAGES.patch[..self.arrived];
        buf.copy_from_slice(there.get(start..start + buf.len()).ok_or(IoFailed)?);
        Ok(())
    }
}

/// Flash that answers in lines of its own size, whatever is asked for.
struct Lines<'a> {
    bytes: &'a [u8],
    line_bytes: usize,
}

impl ReadAt for Lines<'_> {
    fn len(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        assert!(!buf.is_empty());
        let mut at = offset as usize;
        let mut rest = buf;
        while !rest.is_empty() {
            let count = (self.line_bytes - at % self.line_bytes).min(rest.len());
            let (part, after) = rest.split_at_mut(count);
            part.copy_from_slice(&self.bytes[at..at + count]);
            at += count;
            rest = after;
        }
        Ok(())
    }
}

struct Appended(Vec<u8>);

impl Output for Appended {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.0.extend(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        buf.copy_from_slice(&self.0[offset as usize..][..buf.len()]);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_patch_decodes_while_it_arrives(pieces in prop::collection::vec(1_usize..200, 1..50)) {
        let Images { base, target, patch: whole } = &*IMAGES;
        let mut memory = [0; 4096];
        let mut decoder = Decoder::new(Header::parse(whole).unwrap(), &mut memory).unwrap();
        let mut patch = Arriving { arrived: 0, reads: 0 };
        let mut out = Appended(Vec::new());
        let mut pieces = pieces.iter().cycle();
        let mut early = false;
        loop {
            if patch.arrived < whole.len().min(decoder.patch_bytes_needed() as usize) {
                patch.arrived = whole.len().min(patch.arrived + pieces.next().unwrap());
                continue;
            }
            let progress = decoder.step(&mut base.as_slice(), &mut patch, &mut out, 1).unwrap();
            early |= patch.arrived < whole.len() && decoder.produced() > 0;
            if progress == Progress::Done {
                break;
            }
        }
        prop_assert!(&out.0 == target);
        prop_assert!(early, "output comes before the end of the patch does");
        prop_assert!(patch.reads as usize <= 2 * whole.len().div_ceil(32), "both cursors read once, in windows");
    }

    #[test]
    fn any_chopping_gives_the_target(
        base_line in 1_usize..80,
        patch_line in 1_usize..80,
        budgets in prop::collection::vec(1_u32..700, 1..20),
    ) {
        let Images { base, target, patch: whole } = &*IMAGES;
        let mut memory = [0; 4096];
        let mut decoder = Decoder::new(Header::parse(whole).unwrap(), &mut memory).unwrap();
        let mut base = Lines { bytes: base, line_bytes: base_line };
        let mut patch = Lines { bytes: whole, line_bytes: patch_line };
        let mut out = Appended(Vec::new());
        for budget in budgets.iter().cycle() {
            if decoder.step(&mut base, &mut patch, &mut out, *budget).unwrap() == Progress::Done {
                break;
            }
        }
        prop_assert!(&out.0 == target);
    }
}

#[test]
fn a_patch_that_has_not_arrived_is_named() {
    let Images {
        base, patch: whole, ..
    } = &*IMAGES;
    let mut memory = [0; 4096];
    let mut decoder = Decoder::new(Header::parse(whole).unwrap(), &mut memory).unwrap();
    let mut patch = Arriving {
        arrived: 22,
        reads: 0,
    };
    let mut out = Appended(Vec::new());
    let failed = decoder.step(&mut base.as_slice(), &mut patch, &mut out, 1);
    assert_eq!(failed, Err(DecodeError::PatchUnreadable));
}
