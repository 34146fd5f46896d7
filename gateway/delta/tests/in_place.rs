//! Patches whose result takes the place of their base: in a model of a single slot that loses what is written over.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::cell::RefCell;

use gateway_delta::{Options, Reach, encode};
use proptest::prelude::*;
use support::{apply, images_like_firmware, noise, thumb_images};
use wire_patch::{
    CheckpointStorage, DecodeError, Decoder, Header, IoFailed, MemoryClass, OUTPUT_PIECE_BYTES, Output,
    Progress, ReadAt,
};

/// What one erase clears.
const SECTOR_BYTES: usize = 256;

/// A slot in which the base lies `gap` bytes behind where the result begins.
struct Slot {
    bytes: Vec<u8>,
    gap: usize,
    base_bytes: usize,
}

impl Slot {
    fn new(base: &[u8], target_bytes: usize, gap: usize) -> Self {
        let room = (base.len() + gap).max(target_bytes);
        let mut bytes = vec![0xFF; room.next_multiple_of(SECTOR_BYTES)];
        bytes[gap..gap + base.len()].copy_from_slice(base);
        Self {
            bytes,
            gap,
            base_bytes: base.len(),
        }
    }
}

struct Base<'a>(&'a RefCell<Slot>);

impl ReadAt for Base<'_> {
    fn len(&self) -> u32 {
        self.0.borrow().base_bytes as u32
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let slot = self.0.borrow();
        buf.copy_from_slice(&slot.bytes[slot.gap + offset as usize..][..buf.len()]);
        Ok(())
    }
}

struct Target<'a> {
    slot: &'a RefCell<Slot>,
    written: usize,
}

impl Output for Target<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        let mut slot = self.slot.borrow_mut();
        if self.written.is_multiple_of(SECTOR_BYTES) {
            slot.bytes[self.written..][..SECTOR_BYTES].fill(0xFF);
        }
        slot.bytes[self.written..][..bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        assert!(offset as usize + buf.len() <= self.written);
        buf.copy_from_slice(&self.slot.borrow().bytes[offset as usize..][..buf.len()]);
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

/// Applies a patch in a slot with a gap, with a checkpoint every `interval` bytes, a multiple of the sector. Between two of
/// them the power goes away as often as `cuts` says, each time after as many bytes.
fn apply_in_place(
    base: &[u8],
    mut patch: &[u8],
    gap: usize,
    interval: usize,
    cuts: &[u32],
) -> Result<Vec<u8>, DecodeError> {
    let header = Header::parse(patch)?;
    let target_bytes = header.target_bytes;
    let slot = RefCell::new(Slot::new(base, target_bytes as usize, gap));
    let mut stored: Option<Stored> = None;
    let mut cuts = cuts.iter();
    loop {
        let mut memory = noise(header.memory.bytes() as usize, 1);
        let mut decoder = Decoder::new(header, &mut memory)?;
        if let Some(stored) = &stored {
            decoder.resume(&mut patch, &mut stored.0.as_slice()).unwrap();
        }
        let mut out = Target {
            slot: &slot,
            written: decoder.appended() as usize,
        };
        let begin = decoder.appended();
        let end = begin + interval as u32;
        let cut = cuts.next().map(|bytes| begin + bytes % interval as u32);
        loop {
            if cut.is_some_and(|cut| decoder.produced() >= cut) {
                break; // The power goes away.
            }
            if decoder.appended() == end {
                let mut checkpoint = Stored(Vec::new());
                decoder.checkpoint(&mut patch, &mut checkpoint).unwrap();
                stored = Some(checkpoint);
                break;
            }
            if decoder.step(&mut Base(&slot), &mut patch, &mut out, 1)? == Progress::Done {
                return Ok(slot.into_inner().bytes[..target_bytes as usize].to_vec());
            }
        }
    }
}

fn in_place(base: &[u8], target: &[u8], memory: MemoryClass, reach: u32) -> Vec<u8> {
    let options = Options {
        in_place: Reach::within(reach),
        ..Options::new(memory)
    };
    encode(base, target, &options).unwrap()
}

fn images(which: u8) -> (Vec<u8>, Vec<u8>) {
    match which {
        0 => thumb_images(),
        1 => images_like_firmware(4_000),
        2 => {
            // The first part moves by 700 bytes, the second one by 1,500.
            let base = noise(3_000, 6);
            let target = [&noise(700, 7), &base[..2_100], &noise(800, 8), &base[2_100..]].concat();
            (base, target)
        }
        3 => (noise(2_000, 9), Vec::new()),
        _ => {
            let (target, base) = images_like_firmware(4_000);
            (base, target)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_cuts_give_the_target(
        which in 0_u8..5,
        class in MemoryClass::MIN.exponent()..=MemoryClass::MAX.exponent(),
        reach_steps in 1_u32..12,
        interval_sectors in 1_usize..6,
        cuts in prop::collection::vec(0_u32..2_000, 0..30),
    ) {
        let (base, target) = images(which);
        let patch = in_place(&base, &target, MemoryClass::from_exponent(class).unwrap(), reach_steps * 256);
        let interval = interval_sectors * SECTOR_BYTES;
        let gap = reach_steps as usize * 256 + interval;
        prop_assert!(apply_in_place(&base, &patch, gap, interval, &cuts).as_ref() == Ok(&target));
        prop_assert!(apply(&base, &patch).as_ref() == Ok(&target), "and with a base that stays");
    }
}

#[test]
fn the_model_loses_what_is_written_over() {
    let (base, target) = images(2);
    let patch = in_place(&base, &target, MemoryClass::MIN, 1_024);
    assert_eq!(apply_in_place(&base, &patch, 1_280, 256, &[]), Ok(target.clone()));
    let lost = apply_in_place(&base, &patch, 256, 256, &[]);
    assert!(lost.is_err(), "the gap was too small and nothing was lost");
}

#[test]
fn less_reach_costs_bytes_and_much_reach_costs_two() {
    let (base, target) = images(2);
    let bytes = |reach| in_place(&base, &target, MemoryClass::MIN, reach).len();
    let kept = encode(&base, &target, &Options::new(MemoryClass::MIN))
        .unwrap()
        .len();
    assert!(bytes(256) > bytes(1_024) && bytes(1_024) > bytes(8_192));
    assert_eq!(bytes(8_192), kept + 2, "nothing was out of reach");
}
