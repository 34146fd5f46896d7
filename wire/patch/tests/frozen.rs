//! Patches of this draft, made once: every later decoder of the draft gives the same images.
//!
//! If one of these fails, change the code, never the bytes.

use wire_patch::{Decoder, Header, IoFailed, MemoryClass, Output, Progress};

const BASE: &[u8] = include_bytes!("../../../fixtures/patch/base.bin");
const TARGET: &[u8] = include_bytes!("../../../fixtures/patch/target.bin");
const SMALL: &[u8] = include_bytes!("../../../fixtures/patch/draft2-4096.patch");
const LARGE: &[u8] = include_bytes!("../../../fixtures/patch/draft2-131072.patch");

const THUMB_BASE: &[u8] = include_bytes!("../../../fixtures/patch/thumb-base.bin");
const THUMB_TARGET: &[u8] = include_bytes!("../../../fixtures/patch/thumb-target.bin");
/// Moves addresses: calls, pointers, literal pools.
const THUMB: &[u8] = include_bytes!("../../../fixtures/patch/draft2-thumb-4096.patch");

struct Compared {
    target: &'static [u8],
    produced: usize,
}

impl Output for Compared {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        assert_eq!(
            bytes,
            &self.target[self.produced..self.produced + bytes.len()],
            "after {}",
            self.produced
        );
        self.produced += bytes.len();
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let start = offset as usize;
        assert!(start + buf.len() <= self.produced);
        buf.copy_from_slice(&self.target[start..start + buf.len()]);
        Ok(())
    }
}

fn gives_the_target(mut base: &[u8], target: &'static [u8], mut patch: &[u8], memory: MemoryClass) {
    let header = Header::parse(patch).expect("a frozen header");
    assert_eq!(header.memory, memory);
    let mut tables = vec![0; memory.bytes() as usize];
    let mut decoder = Decoder::new(header, &mut tables).expect("memory as asked for");
    let mut out = Compared { target, produced: 0 };
    while decoder
        .step(&mut base, &mut patch, &mut out, 100)
        .expect("a frozen stream")
        == Progress::More
    {}
    assert_eq!(out.produced, target.len());
}

#[test]
fn draft_2_decodes_in_4_kib() {
    gives_the_target(BASE, TARGET, SMALL, MemoryClass::MIN);
}

#[test]
fn draft_2_decodes_in_128_kib() {
    gives_the_target(BASE, TARGET, LARGE, MemoryClass::MAX);
}

#[test]
fn draft_2_moves_addresses() {
    gives_the_target(THUMB_BASE, THUMB_TARGET, THUMB, MemoryClass::MIN);
}
