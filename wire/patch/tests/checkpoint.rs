//! A decoder that is written to storage at any moment goes on from there as if nothing had been.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

use wire_patch::{
    CHECKPOINT_STATE_BYTES, CheckpointError, CheckpointStorage, DecodeError, Decoder, Header, IoFailed,
    OUTPUT_PIECE_BYTES, Output, Progress, crc32,
};

const BASE: &[u8] = include_bytes!("../../../fixtures/patch/thumb-base.bin");
const TARGET: &[u8] = include_bytes!("../../../fixtures/patch/thumb-target.bin");
/// All that relocation knows.
const PATCH: &[u8] = include_bytes!("../../../fixtures/patch/v1-thumb-4096.patch");
const PLAIN_BASE: &[u8] = include_bytes!("../../../fixtures/patch/words-base.bin");
const PLAIN_TARGET: &[u8] = include_bytes!("../../../fixtures/patch/words-target.bin");
/// Repeats, literals, pointers, and no addresses in instructions.
const PLAIN_PATCH: &[u8] = include_bytes!("../../../fixtures/patch/v1-words-4096.patch");
const XTENSA_BASE: &[u8] = include_bytes!("../../../fixtures/patch/xtensa-base.bin");
const XTENSA_TARGET: &[u8] = include_bytes!("../../../fixtures/patch/xtensa-target.bin");
/// Literals that know how much of an instruction is left.
const XTENSA_PATCH: &[u8] = include_bytes!("../../../fixtures/patch/v1-xtensa-4096.patch");

/// The result, after a restart as long as it was then.
struct Flash(Vec<u8>);

impl Output for Flash {
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

/// Keeps a checkpoint, or fails after some pieces.
struct Storage {
    bytes: Vec<u8>,
    pieces_max: usize,
}

impl CheckpointStorage for Storage {
    fn append(&mut self, piece: &[u8; OUTPUT_PIECE_BYTES]) -> Result<(), IoFailed> {
        if self.bytes.len() / OUTPUT_PIECE_BYTES >= self.pieces_max {
            return Err(IoFailed);
        }
        self.bytes.extend(piece);
        Ok(())
    }
}

fn checkpoint(decoder: &mut Decoder<'_>, mut patch: &[u8]) -> Vec<u8> {
    let mut storage = Storage {
        bytes: Vec::new(),
        pieces_max: usize::MAX,
    };
    decoder
        .checkpoint(&mut patch, &mut storage)
        .expect("a decoder in good order");
    storage.bytes
}

/// The decoder after `steps` steps, as a checkpoint and what it had appended.
fn after(base: &[u8], patch: &[u8], steps: u32) -> (Vec<u8>, Flash) {
    let mut memory = [0; 4096];
    let header = Header::parse(patch).unwrap();
    let mut decoder = Decoder::new(header, &mut memory).unwrap();
    let mut out = Flash(Vec::new());
    if steps > 0 {
        let (mut base, mut patch) = (base, patch);
        decoder.step(&mut base, &mut patch, &mut out, steps).unwrap();
    }
    (checkpoint(&mut decoder, patch), out)
}

fn resume<'m>(patch: &[u8], memory: &'m mut [u8], mut stored: &[u8]) -> Result<Decoder<'m>, CheckpointError> {
    let mut decoder = Decoder::new(Header::parse(patch).unwrap(), memory).unwrap();
    decoder.resume(&mut &*patch, &mut stored)?;
    Ok(decoder)
}

/// A power cut after every so many steps: no decoder ever makes more of them.
fn survives_cuts(mut base: &[u8], target: &[u8], mut patch: &[u8], steps: u32) {
    let (mut stored, mut out) = after(base, patch, 0);
    loop {
        let mut memory = [0xA5; 4096];
        let mut decoder = resume(patch, &mut memory, &stored).expect("its own checkpoint");
        assert_eq!(decoder.appended() as usize, out.0.len());
        let progress = decoder.step(&mut base, &mut patch, &mut out, steps).unwrap();
        stored = checkpoint(&mut decoder, patch);
        assert_eq!(stored.len(), 4096 + CHECKPOINT_STATE_BYTES);
        if progress == Progress::Done {
            break;
        }
    }
    assert!(out.0 == target);
    let mut memory = [0; 4096];
    let mut decoder = resume(patch, &mut memory, &stored).unwrap();
    let again = decoder.step(&mut base, &mut patch, &mut out, 1);
    assert_eq!(
        again,
        Ok(Progress::Done),
        "a finished decoder is finished when it comes back"
    );
}

#[test]
fn cuts_change_nothing() {
    survives_cuts(PLAIN_BASE, PLAIN_TARGET, PLAIN_PATCH, 1);
    survives_cuts(XTENSA_BASE, XTENSA_TARGET, XTENSA_PATCH, 1);
    survives_cuts(BASE, TARGET, PATCH, 7);
}

#[test]
fn output_made_after_the_checkpoint_is_made_again() {
    let (stored, mut out) = after(BASE, PATCH, 900);
    let mut memory = [0; 4096];
    let mut decoder = resume(PATCH, &mut memory, &stored).unwrap();
    let (mut base, mut patch) = (BASE, PATCH);
    let progress = decoder.step(&mut base, &mut patch, &mut out, u32::MAX);
    assert_eq!(progress, Ok(Progress::Done));
    assert!(out.0 == TARGET);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let (stored, _) = after(BASE, PATCH, 900);
    let mut memory = [0; 4096];
    for at in 0..stored.len() {
        let mut damaged = stored.clone();
        damaged[at] ^= 1 << (at % 8);
        let refused = resume(PATCH, &mut memory, &damaged).unwrap_err();
        let expected = match at.checked_sub(4096) {
            Some(3) => CheckpointError::UnknownVersion(damaged[at]),
            Some(4..8) => CheckpointError::OtherPatch,
            _ => CheckpointError::Damaged,
        };
        assert_eq!(refused, expected, "at {at}");
    }
}

#[test]
fn a_torn_checkpoint_is_refused() {
    let (older, _) = after(BASE, PATCH, 500);
    let (newer, _) = after(BASE, PATCH, 900);
    let mut memory = [0; 4096];
    for pieces in 0..newer.len() / OUTPUT_PIECE_BYTES {
        let (written, rest) = newer.split_at(pieces * OUTPUT_PIECE_BYTES);
        assert_eq!(
            resume(PATCH, &mut memory, written).unwrap_err(),
            CheckpointError::Damaged
        );
        let erased = [written, &vec![0xFF; rest.len()]].concat();
        assert_eq!(
            resume(PATCH, &mut memory, &erased).unwrap_err(),
            CheckpointError::Damaged
        );
        let over_older = [written, &older[written.len()..]].concat();
        if over_older != older {
            assert_eq!(
                resume(PATCH, &mut memory, &over_older).unwrap_err(),
                CheckpointError::Damaged
            );
        }
    }
}

#[test]
fn a_checkpoint_of_another_patch_is_refused() {
    let (stored, _) = after(BASE, PATCH, 900);
    let mut memory = [0; 4096];
    let refused = resume(PLAIN_PATCH, &mut memory, &stored).unwrap_err();
    assert_eq!(refused, CheckpointError::OtherPatch);
    let mut longer = PATCH.to_vec();
    longer.push(0);
    let refused = resume(&longer, &mut memory, &stored).unwrap_err();
    assert_eq!(refused, CheckpointError::OtherPatch);
}

#[test]
fn storage_that_fails_is_named() {
    let mut memory = [0; 4096];
    let header = Header::parse(PATCH).unwrap();
    let mut decoder = Decoder::new(header, &mut memory).unwrap();
    let mut storage = Storage {
        bytes: Vec::new(),
        pieces_max: 66,
    };
    let failed = decoder.checkpoint(&mut &*PATCH, &mut storage);
    assert_eq!(failed, Err(CheckpointError::StorageFailed));
    // The decoder itself goes on.
    let mut out = Flash(Vec::new());
    let progress = decoder.step(&mut &*BASE, &mut &*PATCH, &mut out, u32::MAX);
    assert_eq!(progress, Ok(Progress::Done));
}

#[test]
fn a_decoder_that_failed_has_no_checkpoint() {
    let mut memory = [0; 4096];
    let header = Header::parse(PATCH).unwrap();
    let mut decoder = Decoder::new(header, &mut memory).unwrap();
    let mut out = Flash(Vec::new());
    let failed = decoder.step(&mut &BASE[1..], &mut &*PATCH, &mut out, 1);
    assert!(matches!(failed, Err(DecodeError::BaseLength { .. })));
    let mut storage = Storage {
        bytes: Vec::new(),
        pieces_max: usize::MAX,
    };
    let refused = decoder.checkpoint(&mut &*PATCH, &mut storage);
    assert_eq!(refused, Err(CheckpointError::Misused));
}

#[test]
fn a_decoder_resumes_only_at_its_start_and_with_success() {
    let (stored, mut out) = after(BASE, PATCH, 900);
    let mut memory = [0; 4096];
    let mut decoder = resume(PATCH, &mut memory, &stored).unwrap();
    let refused = decoder.resume(&mut &*PATCH, &mut stored.as_slice());
    assert_eq!(refused, Err(CheckpointError::Misused));
    let poisoned = decoder.step(&mut &*BASE, &mut &*PATCH, &mut out, 1);
    assert_eq!(poisoned, Err(DecodeError::Poisoned));
}

/// Damage with a checksum that fits: not an accident any more. It is refused, or decodes to something in bounded steps.
#[test]
fn impossible_state_is_refused_or_harmless() {
    let (stored, out) = after(BASE, PATCH, 900);
    let header = Header::parse(PATCH).unwrap();
    let mut refused = 0;
    for at in 4096 + 8..4096 + 240 {
        for value in [0, 0x7F, 0xFF] {
            let mut forged = stored.clone();
            forged[at] = value;
            let end = forged.len() - 4;
            let crc = crc32(&forged[..end]);
            forged[end..].copy_from_slice(&crc.to_le_bytes());
            let mut memory = [0; 4096];
            let Ok(mut decoder) = resume(PATCH, &mut memory, &forged) else {
                refused += 1;
                continue;
            };
            let mut out = Flash(out.0.clone());
            let steps = 5 * header.target_bytes + 4;
            let progress = decoder.step(&mut &*BASE, &mut &*PATCH, &mut out, steps);
            assert_ne!(progress, Ok(Progress::More), "at {at}");
            if progress == Ok(Progress::Done) {
                assert!(decoder.produced() == header.target_bytes);
            }
        }
    }
    assert!(refused > 20, "{refused}");
}
