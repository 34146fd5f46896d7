//! Patches for both decoders, the one in Rust and the one in C, which must agree about each: right ones, damaged ones, and
//! damaged ones whose length and checksum were made to fit what comes out. A case is its number.

#![allow(dead_code, reason = "each program uses its part")]

use gateway_delta::{Addresses, Options, Relocation, encode_at};
use wire_patch::{DecodeError, Decoder, HEADER_BYTES, Header, Isa, MemoryClass, Progress, Stage, crc32};

use crate::c_decoder::CDecoder;
use crate::code::{self, SETS};
use crate::support;
use crate::support::damage::{Random, damage};

/// Longer results are not asked for: they take time and show nothing new.
const TARGET_BYTES_MAX: u32 = 10_000;
/// What a stream that ends early is continued with, to see what it would have become.
const TAIL_BYTES: usize = 4_096;
/// Of images that chance makes up.
const MADE_UP_BYTES_MAX: u32 = 3_000;

/// A patch that is right.
struct Seed {
    base: Vec<u8>,
    patch: Vec<u8>,
    /// What the images are made of.
    isa: Isa,
}

/// What both decoders are given.
pub(crate) struct Case {
    pub(crate) base: Vec<u8>,
    pub(crate) patch: Vec<u8>,
    pub(crate) memory_bytes: u32,
}

/// What cases are made from.
pub(crate) struct Cases(Vec<Seed>);

/// How cases ended, the same way in both.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// With the result that the header names.
    pub(crate) decoded: u64,
    /// With an error of the same name.
    pub(crate) refused: u64,
    /// Not at all: nobody waits for it.
    pub(crate) left_out: u64,
}

impl Cases {
    /// Images of `pieces` instructions of every set and of made-up functions, a patch of each for some memory classes.
    pub(crate) fn new(pieces: usize) -> Self {
        let mut seeds = Vec::new();
        let mut random = Random(1);
        for isa in SETS {
            for (parted, exponent) in [(false, 12), (true, 14)] {
                let (base, target) = code::images(isa, pieces, &mut random);
                let layout = code::layout(isa, parted);
                let relocation = Relocation {
                    isa,
                    base: layout,
                    target: code::layout(isa, parted && random.below(2) == 0),
                };
                seeds.push(Seed::new(base, target, exponent, Addresses::Given(relocation)));
            }
        }
        // Copied from even places to even ones, then from odd ones to odd ones, one byte after the other.
        let mut repeated = support::noise(150, 4);
        repeated.extend_from_within(20..141);
        repeated.extend_from_within(63..100);
        repeated.push(7);
        let (thumb_base, thumb_target) = support::thumb_images();
        let (base, target) = support::images_like_firmware(pieces);
        seeds.extend([
            Seed::new(thumb_base, thumb_target, 12, Addresses::Inferred),
            Seed::new(base.clone(), target.clone(), 13, Addresses::Inferred),
            Seed::new(base, target, 17, Addresses::Ignored),
            Seed::new(support::noise(100, 5), repeated, 12, Addresses::Inferred),
            Seed::new(Vec::new(), support::noise(300, 6), 15, Addresses::Inferred),
            Seed::new(support::noise(50, 7), Vec::new(), 12, Addresses::Inferred),
        ]);
        Self(seeds)
    }

    /// Every patch as it is.
    pub(crate) fn undamaged(&self) -> impl Iterator<Item = Case> {
        self.0.iter().map(|seed| seed.case(seed.patch.clone()))
    }

    /// Every byte of the patches of at most `bytes_max`, changed by each of `flips`.
    pub(crate) fn every_byte(&self, bytes_max: usize, flips: &[u8]) -> impl Iterator<Item = Case> {
        let seeds = self.0.iter().filter(move |seed| seed.patch.len() <= bytes_max);
        let places = seeds.flat_map(|seed| (0..seed.patch.len()).map(move |at| (seed, at)));
        places.flat_map(move |(seed, at)| {
            flips.iter().map(move |flip| {
                let mut patch = seed.patch.clone();
                patch[at] ^= flip;
                seed.case(patch)
            })
        })
    }

    /// Streams of one byte and then another over and over: numbers without end, and triples of nothing.
    pub(crate) fn monotonous(&self) -> impl Iterator<Item = Case> {
        let streams = [
            (0x00, 0x00),
            (0x80, 0x00),
            (0xE0, 0x00),
            (0xE0, 0xFF),
            (0xFF, 0xFF),
        ];
        self.0.iter().flat_map(move |seed| {
            streams.map(|(first, others)| {
                let mut patch = seed.patch[..HEADER_BYTES].to_vec();
                patch.push(first);
                patch.extend([others; 100]);
                seed.case(patch)
            })
        })
    }

    /// The case of this number. `None` if what it makes up gives no image.
    pub(crate) fn damaged(&self, number: u64) -> Option<Case> {
        let mut random = Random(number);
        let seed = &self.0[random.below(self.0.len())];
        let other = &self.0[random.below(self.0.len())];
        let mut case = seed.case(seed.patch.clone());
        match random.below(12) {
            0 => {
                // The base is another, or the memory.
                if random.below(2) == 0 {
                    case.base.clone_from(&other.base);
                }
                let bytes = seed.base.len();
                case.base.resize(bytes - random.below(2).min(bytes), 0);
                case.memory_bytes = (MemoryClass::MIN.bytes() << random.below(6)) - random.below(2) as u32;
            }
            1..=2 => {
                // Hardly a beginning: what is wrong first?
                case.patch.truncate(HEADER_BYTES);
                let bytes = random.below(16);
                case.patch.extend((0..bytes).map(|_| random.next() as u8));
            }
            3..=4 => {
                for _ in 0..1 + random.below(3) {
                    damage(&mut case.patch, &other.patch, &mut random);
                }
            }
            5..=8 => {
                case.patch = seed.made_up(&mut random);
                case.make_long_enough(&mut random)?;
                case.make_fit(&mut random)?;
            }
            _ => {
                let mut stream = case.patch.clone();
                damage(&mut stream, &other.patch, &mut random);
                case.patch.truncate(HEADER_BYTES);
                case.patch.extend(stream.get(HEADER_BYTES..).unwrap_or_default());
                case.make_fit(&mut random)?;
            }
        }
        Some(case)
    }
}

impl Seed {
    fn new(base: Vec<u8>, target: Vec<u8>, exponent: u8, addresses: Addresses) -> Self {
        let isa = match addresses {
            Addresses::Given(relocation) => relocation.isa,
            _ => Isa::Thumb,
        };
        let memory = MemoryClass::from_exponent(exponent).unwrap();
        let patch = encode_at(&base, &target, &Options::new(memory), addresses).unwrap();
        Self { base, patch, isa }
    }

    /// A patch that moves addresses of this instruction set and is else what chance makes it: as likely as the models find it.
    fn made_up(&self, random: &mut Random) -> Vec<u8> {
        let header = Header {
            memory: MemoryClass::from_exponent(12 + random.below(4) as u8).unwrap(),
            target_bytes: MADE_UP_BYTES_MAX,
            base_bytes: self.base.len() as u32,
            base_digest_prefix: [0; 8],
            target_crc: 0,
            in_place: None,
        };
        let mut bits = Vec::new();
        let mut push = |value: u32, count: u32| bits.extend((0..count).rev().map(|bit| value >> bit & 1));
        push(random.next() as u32, 2);
        push(1, 1);
        push(random.below(7) as u32, 4);
        push(self.isa as u32, 4);
        let layouts = 1 + random.below(2) as u32;
        for turn in 0..layouts {
            let layout = code::layout(self.isa, random.below(2) == 0);
            push(layout.segments().len() as u32 - 1, 3);
            for segment in layout.segments() {
                if segment.offset > 0 {
                    push(segment.offset >> 2, 22);
                }
                push(2, 5);
                push(segment.address >> 2, 30);
            }
            if turn == 0 {
                push(layouts - 1, 1);
            }
        }
        let mut patch = header.to_bytes().to_vec();
        patch.extend(even(&bits, random));
        patch
    }

    fn case(&self, patch: Vec<u8>) -> Case {
        Case {
            base: self.base.clone(),
            patch,
            memory_bytes: MemoryClass::MAX.bytes(),
        }
    }
}

impl Case {
    /// Whether it is worth its time: damaged headers may ask for images of 16 MiB.
    pub(crate) fn is_small(&self) -> bool {
        Header::parse(&self.patch).map_or(true, |header| header.target_bytes <= TARGET_BYTES_MAX)
    }

    /// What the decoder in Rust makes of it: the image or the name of the error.
    pub(crate) fn in_rust(&self) -> Result<Vec<u8>, String> {
        let mut memory = vec![0x5A; self.memory_bytes as usize];
        let header = Header::parse(&self.patch);
        header
            .and_then(|header| support::decode_in(&self.base, &self.patch, 1_000, header, &mut memory))
            .map_err(name)
    }

    /// Panics if the decoder in C makes something else of it.
    pub(crate) fn compare(&self, c: &mut CDecoder, counts: &mut Counts) {
        if !self.is_small() {
            counts.left_out += 1;
            return;
        }
        let c = c.decode(&self.base, &self.patch, self.memory_bytes);
        self.agree(c, counts);
    }

    /// Panics if this is not what the decoder in Rust makes of it, too.
    pub(crate) fn agree(&self, c: Result<Vec<u8>, &str>, counts: &mut Counts) {
        match (self.in_rust(), c) {
            (Ok(rust), Ok(c)) => {
                assert!(rust == c, "Rust and C decode different images");
                counts.decoded += 1;
            }
            (Err(rust), Err(c)) => {
                assert_eq!(rust, c, "Rust and C refuse for different reasons");
                counts.refused += 1;
            }
            (Ok(_), Err(c)) => panic!("Rust decodes what C refuses: {c}"),
            (Err(rust), Ok(_)) => panic!("C decodes what Rust refuses: {rust}"),
        }
    }

    /// Makes the image as long as its triples are, up to the first one that is illegal. `None` if all are.
    fn make_long_enough(&mut self, random: &mut Random) -> Option<()> {
        self.patch.extend((0..TAIL_BYTES).map(|_| random.next() as u8));
        let header = Header::parse(&self.patch).unwrap();
        let mut memory = vec![0; header.memory.bytes() as usize];
        let mut decoder = Decoder::new(header, &mut memory).unwrap();
        let mut out = support::Pieces(Vec::new());
        let mut bytes = 0;
        loop {
            let (mut base, mut patch) = (self.base.as_slice(), self.patch.as_slice());
            let stage = decoder.state().stage;
            if stage == Stage::Bytes || decoder.step(&mut base, &mut patch, &mut out, 1).is_err() {
                break;
            }
            if stage == Stage::Map {
                let triple = decoder.state().triple;
                bytes += triple.copy_bytes + triple.extra_bytes;
            }
        }
        self.patch[4..7].copy_from_slice(&bytes.to_le_bytes()[..3]);
        (bytes > 0).then_some(())
    }

    /// Gives the patch the checksum of what comes out, and the end that the stream has; one that ends early goes on by chance.
    /// `None` if nothing comes out.
    fn make_fit(&mut self, random: &mut Random) -> Option<()> {
        self.patch.extend((0..TAIL_BYTES).map(|_| random.next() as u8));
        let header = Header::parse(&self.patch).ok()?;
        let mut memory = vec![0; header.memory.bytes() as usize];
        let mut decoder = Decoder::new(header, &mut memory).ok()?;
        let mut out = support::Pieces(Vec::new());
        loop {
            let (mut base, mut patch) = (self.base.as_slice(), self.patch.as_slice());
            match decoder.step(&mut base, &mut patch, &mut out, 1_000) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) | Err(DecodeError::TrailingBytes | DecodeError::ResultMismatch) => break,
                Err(_) => return None,
            }
        }
        self.patch.truncate(decoder.state().position as usize);
        self.patch[18..HEADER_BYTES].copy_from_slice(&crc32(&out.0).to_le_bytes());
        Some(())
    }
}

/// The beginning of a stream that decodes to these bits, each with a probability of 1/2.
fn even(bits: &[u32], random: &mut Random) -> Vec<u8> {
    let (mut low, mut range) = (0_u64, u32::MAX);
    let mut stream: Vec<u8> = Vec::new();
    for bit in bits {
        let ones = range >> 1;
        if *bit == 1 {
            range = ones;
        } else {
            low = carried(low + u64::from(ones), &mut stream);
            range -= ones;
        }
        while range < 1 << 24 {
            stream.push((low >> 24) as u8);
            low = (low & 0xFF_FFFF) << 8;
            range <<= 8;
        }
    }
    let code = carried(low + random.below(range as usize) as u64, &mut stream);
    stream.extend((code as u32).to_be_bytes());
    stream
}

/// The lower 32 bits; what is above them is added to the stream.
fn carried(low: u64, stream: &mut [u8]) -> u64 {
    if low >> 32 > 0 {
        for byte in stream.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte > 0 {
                break;
            }
        }
    }
    low & 0xFFFF_FFFF
}

/// An error without what it says about the case.
fn name(error: DecodeError) -> String {
    let mut text = format!("{error:?}");
    text.truncate(text.find(['(', ' ']).unwrap_or(text.len()));
    text
}
