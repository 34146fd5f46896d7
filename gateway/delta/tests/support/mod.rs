//! Images and decoding for the tests.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod damage;

use wire_patch::{DecodeError, Decoder, Header, IoFailed, OUTPUT_PIECE_BYTES, Output, Progress};

/// Bytes that do not compress; the same for the same seed.
pub(crate) fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let mut x = seed;
    let mut next = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Two images that differ as builds do: something inserted, something removed, and addresses behind it moved.
pub(crate) fn images_like_firmware(bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let mut base = noise(bytes, 9);
    for (at, word) in base
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .enumerate()
        .skip(5)
        .step_by(40)
    {
        *word = (0x0800_0000 + at as u32 * 4).to_le_bytes();
    }
    let mut target = base.clone();
    for word in target.as_chunks_mut::<4>().0.iter_mut().skip(5).step_by(40) {
        *word = (u32::from_le_bytes(*word) + 24).to_le_bytes();
    }
    target.splice(bytes / 3..bytes / 3, noise(100, 10));
    target.drain(bytes / 2..bytes / 2 + 76);
    (base, target)
}

/// Where [`thumb_images`] run.
pub(crate) const THUMB_ADDRESS: u32 = 0x0800_4000;

/// An image of Thumb functions that call each other and load pointers to the image and to RAM, and a table of pointers to
/// them. `sizes` are the instructions of each function; the same function has the same body in every image.
pub(crate) fn thumb_image_at(address: u32, sizes: &[(u32, u32)]) -> Vec<u8> {
    let bytes_of = |size: u32| 2 + size * 2 + (1 - size % 2) * 2 + 8 + 8 + 8;
    let mut starts = std::collections::BTreeMap::new();
    let mut at = 0;
    for (name, size) in sizes {
        starts.insert(*name, at);
        at += bytes_of(*size);
    }
    let names: Vec<u32> = sizes.iter().map(|(name, _)| *name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let mut image: Vec<u8> = Vec::new();
    let half = |image: &mut Vec<u8>, half: u32| image.extend((half as u16).to_le_bytes());
    for (name, size) in sizes {
        let body = noise(*size as usize * 2, *name);
        half(&mut image, 0xB510); // push {r4, lr}
        for pair in body.as_chunks::<2>().0 {
            half(
                &mut image,
                0x1800 | u32::from(pair[0]) | u32::from(pair[1] & 3) << 8,
            ); // adds, subs
        }
        if size % 2 == 0 {
            half(&mut image, 0xBF00); // nop
        }
        for turn in [3, 5] {
            let other = (name * turn + 7) % 1_000;
            let callee = sorted[sorted.partition_point(|name| *name < other) % sorted.len()];
            let offset = starts[&callee].wrapping_sub(image.len() as u32 + 4);
            half(&mut image, 0xF000 | offset >> 12 & 0x7FF); // bl
            half(&mut image, 0xF800 | offset >> 1 & 0x7FF);
        }
        for instruction in [0x4801, 0x4902, 0xBD10, 0xBF00] {
            half(&mut image, instruction); // ldr r0, pool; ldr r1, pool + 4; pop {r4, pc}; nop
        }
        image.extend((address + starts[name] + 1).to_le_bytes());
        image.extend((0x2000_0000 + name * 8).to_le_bytes());
    }
    for name in &sorted {
        image.extend((address + starts[name] + 1).to_le_bytes());
    }
    image
}

/// Two such images: functions removed, added and grown, so that every call and pointer behind them changes.
pub(crate) fn thumb_images() -> (Vec<u8>, Vec<u8>) {
    thumb_images_at(THUMB_ADDRESS)
}

/// The same, for another place.
pub(crate) fn thumb_images_at(address: u32) -> (Vec<u8>, Vec<u8>) {
    let base: Vec<(u32, u32)> = (0..120).map(|name| (name * 8, 10 + name % 23)).collect();
    let mut target = base.clone();
    target.remove(90);
    target.insert(40, (325, 31));
    target[10].1 += 5;
    (thumb_image_at(address, &base), thumb_image_at(address, &target))
}

/// Output that insists on whole pieces in order.
pub(crate) struct Pieces(pub(crate) Vec<u8>);

impl Output for Pieces {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        assert!(bytes.len() <= OUTPUT_PIECE_BYTES && self.0.len().is_multiple_of(OUTPUT_PIECE_BYTES));
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        buf.copy_from_slice(
            self.0
                .get(offset as usize..offset as usize + buf.len())
                .ok_or(IoFailed)?,
        );
        Ok(())
    }
}

/// The result of a patch, decoded at once.
pub(crate) fn apply(base: &[u8], patch: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decode(base, patch, u32::MAX)
}

/// The result of a patch, decoded `budget` units at a time, in exactly the memory it asks for.
pub(crate) fn decode(base: &[u8], patch: &[u8], budget: u32) -> Result<Vec<u8>, DecodeError> {
    let header = Header::parse(patch)?;
    let mut memory = vec![0; header.memory.bytes() as usize];
    decode_in(base, patch, budget, header, &mut memory)
}

/// As [`decode`], in given memory. Panics if it takes more steps than the format promises.
pub(crate) fn decode_in(
    mut base: &[u8],
    mut patch: &[u8],
    budget: u32,
    header: Header,
    memory: &mut [u8],
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(header, memory)?;
    let mut out = Pieces(Vec::new());
    let steps = (5 * u64::from(header.target_bytes) + 4).div_ceil(u64::from(budget.max(1)));
    for _ in 0..steps {
        if decoder.step(&mut base, &mut patch, &mut out, budget)? == Progress::Done {
            assert_eq!(decoder.produced() as usize, out.0.len());
            return Ok(out.0);
        }
    }
    panic!("more than {steps} steps");
}
