//! Checkpoints of any patch, in any memory class, at any moment of any chopping.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use gateway_delta::{Options, encode};
use proptest::prelude::*;
use support::{Pieces, images_like_firmware, noise, thumb_images};
use wire_patch::{
    CHECKPOINT_STATE_BYTES, CheckpointStorage, Decoder, Header, IoFailed, MemoryClass, OUTPUT_PIECE_BYTES,
    Progress,
};

struct Stored(Vec<u8>);

impl CheckpointStorage for Stored {
    fn append(&mut self, piece: &[u8; OUTPUT_PIECE_BYTES]) -> Result<(), IoFailed> {
        self.0.extend(piece);
        Ok(())
    }
}

/// Decodes with a power cut after each of `cuts` steps, the last one again and again. Of the result, what came after the
/// checkpoint is lost.
fn decode_with_cuts(mut base: &[u8], mut patch: &[u8], cuts: &[u32]) -> Vec<u8> {
    let header = Header::parse(patch).unwrap();
    let memory_bytes = header.memory.bytes() as usize;
    let mut out = Pieces(Vec::new());
    let mut stored: Option<Stored> = None;
    for turn in 0.. {
        // What memory holds after a power cut is anything.
        let mut memory = noise(memory_bytes, turn as u32);
        let mut decoder = Decoder::new(header, &mut memory).unwrap();
        if let Some(stored) = &stored {
            decoder.resume(&mut patch, &mut stored.0.as_slice()).unwrap();
        }
        out.0.truncate(decoder.appended() as usize);
        let steps = cuts[turn.min(cuts.len() - 1)];
        let progress = decoder.step(&mut base, &mut patch, &mut out, steps).unwrap();
        let mut checkpoint = Stored(Vec::new());
        decoder.checkpoint(&mut patch, &mut checkpoint).unwrap();
        assert_eq!(checkpoint.0.len(), memory_bytes + CHECKPOINT_STATE_BYTES);
        stored = Some(checkpoint);
        if progress == Progress::Done {
            break;
        }
        // Lost with the power: more output, after the checkpoint.
        decoder
            .step(&mut base, &mut patch, &mut out, steps % 500)
            .unwrap();
    }
    out.0
}

fn images(which: u8) -> (Vec<u8>, Vec<u8>) {
    match which {
        0 => thumb_images(),
        1 => images_like_firmware(4_000),
        2 => (Vec::new(), noise(700, 3)),
        _ => {
            // Repeats of what is new.
            let mut target = noise(900, 4);
            target.extend_from_within(100..700);
            (noise(300, 5), target)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_checkpoints_give_the_target(
        which in 0_u8..4,
        class in MemoryClass::MIN.exponent()..=MemoryClass::MAX.exponent(),
        mut cuts in prop::collection::vec(1_u32..2_000, 0..12),
        last in 400_u32..4_000,
    ) {
        cuts.push(last);
        let (base, target) = images(which);
        let memory = MemoryClass::from_exponent(class).unwrap();
        let patch = encode(&base, &target, &Options::new(memory)).unwrap();
        prop_assert!(decode_with_cuts(&base, &patch, &cuts) == target);
    }
}
