//! Damaged patches and damaged checkpoints, each made from a number: the same number is the same case.

use gateway_delta::{Options, encode};
use wire_patch::{
    CheckpointError, CheckpointStorage, DecodeError, Decoder, Header, IoFailed, MemoryClass,
    OUTPUT_PIECE_BYTES, Output, Progress, crc32,
};

use crate::support;
use crate::support::damage::{Random, damage};

/// Longer results are not asked for: they take time and show nothing new.
const TARGET_BYTES_MAX: u32 = 4_000;
/// Behind the decoder memory, to see that nobody writes there.
const GUARD: [u8; 64] = [0xA5; 64];

/// A patch that is right.
struct Seed {
    base: Vec<u8>,
    target: Vec<u8>,
    patch: Vec<u8>,
}

/// What cases are made from.
pub(crate) struct Seeds(Vec<Seed>);

/// How cases ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// With an error that has a name.
    pub(crate) refused: u64,
    /// With the result that the header names.
    pub(crate) decoded: u64,
}

/// Takes nothing out of order and nothing beyond the end.
struct Checked {
    bytes: Vec<u8>,
    end: usize,
}

impl Output for Checked {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.bytes.extend(bytes);
        assert!(self.bytes.len() <= self.end, "more than the header says");
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        buf.copy_from_slice(&self.bytes[offset as usize..][..buf.len()]);
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

impl Seeds {
    pub(crate) fn new() -> Self {
        let functions = |count: u32, grown: u32| {
            let sizes: Vec<(u32, u32)> = (0..count)
                .map(|name| (name * 9, 4 + name % 7 + u32::from(name == grown)))
                .collect();
            support::thumb_image_at(support::THUMB_ADDRESS, &sizes)
        };
        let mut repeated = support::noise(150, 4);
        repeated.extend_from_within(20..140);
        let images = [
            (functions(24, 99), functions(24, 3)),
            support::images_like_firmware(1_000),
            (support::noise(100, 5), repeated),
            (Vec::new(), functions(6, 0)),
        ];
        let mut seeds = Vec::new();
        for (base, target) in images {
            for memory in [MemoryClass::MIN, MemoryClass::fitting(16_384).unwrap()] {
                let patch = encode(&base, &target, &Options::new(memory)).unwrap();
                let (base, target) = (base.clone(), target.clone());
                seeds.push(Seed { base, target, patch });
            }
        }
        Self(seeds)
    }

    /// Every byte of every patch, changed by each of `flips`.
    pub(crate) fn every_byte(&self, flips: &[u8], counts: &mut Counts) {
        for seed in &self.0 {
            for at in 0..seed.patch.len() {
                for flip in flips {
                    let mut patch = seed.patch.clone();
                    patch[at] ^= flip;
                    seed.judge(&patch, 1_000, counts);
                }
            }
        }
    }

    /// One case.
    pub(crate) fn case(&self, number: u64, counts: &mut Counts) {
        let mut random = Random(number);
        let seed = &self.0[random.below(self.0.len())];
        let other = &self.0[random.below(self.0.len())].patch;
        if random.below(4) == 0 {
            seed.damaged_checkpoint(&mut random, counts);
            return;
        }
        let mut patch = seed.patch.clone();
        for _ in 0..1 + random.below(3) {
            damage(&mut patch, other, &mut random);
        }
        let budget = 1 + random.below(500) as u32;
        seed.judge(&patch, budget, counts);
    }
}

impl Seed {
    /// Decodes and checks all that is promised of any patch.
    fn judge(&self, patch: &[u8], budget: u32, counts: &mut Counts) {
        let Ok(header) = Header::parse(patch) else {
            counts.refused += 1;
            return;
        };
        if header.target_bytes > TARGET_BYTES_MAX {
            counts.refused += 1;
            return;
        }
        let mut memory = guarded(header.memory);
        let mut out = Checked {
            bytes: Vec::new(),
            end: header.target_bytes as usize,
        };
        let mut decoder = Decoder::new(header, &mut memory).unwrap();
        let ended = finish(&mut decoder, &self.base, patch, &mut out, budget);
        self.ended(header, ended, &out, counts);
        assert!(memory.ends_with(&GUARD), "wrote outside its memory");
    }

    fn ended(&self, header: Header, ended: Result<(), DecodeError>, out: &Checked, counts: &mut Counts) {
        match ended {
            Ok(()) => {
                assert_eq!(out.bytes.len(), header.target_bytes as usize);
                assert_eq!(crc32(&out.bytes), header.target_crc);
                counts.decoded += 1;
            }
            Err(error) => {
                assert_ne!(error, DecodeError::Poisoned);
                counts.refused += 1;
            }
        }
    }

    /// Stops somewhere, damages the checkpoint (sometimes under a checksum that fits, sometimes not at all), goes on.
    fn damaged_checkpoint(&self, random: &mut Random, counts: &mut Counts) {
        let (mut base, mut patch) = (self.base.as_slice(), self.patch.as_slice());
        let header = Header::parse(patch).unwrap();
        let mut memory = guarded(header.memory);
        let mut out = Checked {
            bytes: Vec::new(),
            end: header.target_bytes as usize,
        };
        let mut decoder = Decoder::new(header, &mut memory).unwrap();
        let steps = random.below(2 * self.target.len()) as u32;
        decoder.step(&mut base, &mut patch, &mut out, steps).unwrap();
        let mut stored = Stored(Vec::new());
        decoder.checkpoint(&mut patch, &mut stored).unwrap();
        let mut stored = stored.0;
        let state_at = header.memory.bytes() as usize;
        let way = random.below(3);
        for _ in 0..1 + random.below(4) {
            let at = if random.below(4) == 0 {
                random.below(stored.len())
            } else {
                state_at + random.below(240)
            };
            stored[at] = match way {
                0 => stored[at],
                _ => random.next() as u8,
            };
        }
        if way == 2 {
            let end = stored.len() - 4;
            let crc = crc32(&stored[..end]);
            stored[end..].copy_from_slice(&crc.to_le_bytes());
        }
        let mut memory = guarded(header.memory);
        let mut decoder = Decoder::new(header, &mut memory).unwrap();
        match decoder.resume(&mut patch, &mut stored.as_slice()) {
            Ok(()) => {
                // What was appended after the checkpoint is gone. A forged position may claim more than there is.
                let appended = decoder.appended() as usize;
                out.bytes.resize(appended, 0);
                let ended = finish(&mut decoder, base, patch, &mut out, 100);
                match (way, ended) {
                    (0, Ok(())) => assert!(out.bytes == self.target),
                    (0, Err(error)) => panic!("a checkpoint led to {error:?}"),
                    // The position lies about the bytes, which the register of the checksum does not know.
                    (2, Ok(())) => counts.decoded += 1,
                    (_, ended) => self.ended(header, ended, &out, counts),
                }
            }
            Err(error) => {
                assert!(way > 0, "a good checkpoint is refused: {error:?}");
                assert_ne!(error, CheckpointError::Misused);
                counts.refused += 1;
            }
        }
        assert!(memory.ends_with(&GUARD), "wrote outside its memory");
    }
}

/// Memory of a class, and the guard.
fn guarded(class: MemoryClass) -> Vec<u8> {
    let mut memory = vec![0x5A; class.bytes() as usize];
    memory.extend(GUARD);
    memory
}

/// Steps until the end, which comes within the steps that are promised.
fn finish(
    decoder: &mut Decoder<'_>,
    mut base: &[u8],
    mut patch: &[u8],
    out: &mut Checked,
    budget: u32,
) -> Result<(), DecodeError> {
    let steps = 5 * decoder.target_bytes() + 4;
    for _ in 0..steps.div_ceil(budget) {
        if decoder.step(&mut base, &mut patch, out, budget)? == Progress::Done {
            return Ok(());
        }
    }
    panic!("more than {steps} steps");
}
