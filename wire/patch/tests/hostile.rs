//! Any bytes end in success or in a named error, within the promised number of steps.

use proptest::prelude::*;
use wire_patch::{DecodeError, Decoder, Header, IoFailed, MemoryClass, Output, Progress};

/// Accepts nothing out of order or out of range.
struct Checked {
    bytes: Vec<u8>,
    target_bytes: usize,
}

impl Output for Checked {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        assert!(!bytes.is_empty() && self.bytes.len().is_multiple_of(wire_patch::OUTPUT_PIECE_BYTES));
        self.bytes.extend(bytes);
        assert!(self.bytes.len() <= self.target_bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        buf.copy_from_slice(&self.bytes[offset as usize..][..buf.len()]);
        Ok(())
    }
}

fn header(target_bytes: u32, base: &[u8]) -> Header {
    Header {
        memory: MemoryClass::MIN,
        target_bytes,
        base_bytes: base.len() as u32,
        base_digest_prefix: [0; 8],
        target_crc: 0,
        in_place: None,
    }
}

/// Decodes one step at a time and counts the steps.
fn decode(mut base: &[u8], mut patch: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let header = Header::parse(patch)?;
    let mut memory = [0xA5; 4096];
    let mut decoder = Decoder::new(header, &mut memory)?;
    let mut out = Checked {
        bytes: Vec::new(),
        target_bytes: header.target_bytes as usize,
    };
    for _ in 0..5 * u64::from(header.target_bytes) + 4 {
        match decoder.step(&mut base, &mut patch, &mut out, 1) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => return Ok(out.bytes),
            Err(error) => {
                assert_eq!(
                    decoder.step(&mut base, &mut patch, &mut out, 1),
                    Err(DecodeError::Poisoned),
                    "a decoder goes on after {error:?}"
                );
                return Err(error);
            }
        }
    }
    panic!("more steps than promised");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_stream_ends(
        base in prop::collection::vec(any::<u8>(), 0..300),
        stream in prop::collection::vec(any::<u8>(), 0..300),
        target_bytes in 0_u32..2_000,
    ) {
        let mut patch = header(target_bytes, &base).to_bytes().to_vec();
        patch.extend(stream);
        let _ = decode(&base, &patch);
    }

    #[test]
    fn streams_of_few_different_bytes_end(
        stream in prop::collection::vec(prop::sample::select(vec![0_u8, 0xFF, 0x80]), 0..100),
        target_bytes in 0_u32..2_000,
    ) {
        let base = [7; 100];
        let mut patch = header(target_bytes, &base).to_bytes().to_vec();
        patch.extend(stream);
        let _ = decode(&base, &patch);
    }

    #[test]
    fn any_bytes_at_all_end(patch in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(&[], &patch);
    }
}

#[test]
fn an_empty_target_needs_no_stream() {
    let patch = header(0, b"base").to_bytes();
    assert_eq!(decode(b"base", &patch), Ok(Vec::new()));
    let mut longer = patch.to_vec();
    longer.extend([0; 4]);
    assert_eq!(
        decode(b"base", &longer),
        Ok(Vec::new()),
        "four bytes are always read"
    );
    longer.push(0);
    assert_eq!(decode(b"base", &longer), Err(DecodeError::TrailingBytes));
}

#[test]
fn a_result_with_another_checksum_is_named() {
    let patch = Header {
        target_crc: 1,
        ..header(0, b"base")
    };
    assert_eq!(
        decode(b"base", &patch.to_bytes()),
        Err(DecodeError::ResultMismatch)
    );
}

#[test]
fn too_little_memory_and_a_base_of_another_length_are_refused_before_anything_is_written() {
    let header = header(10, b"base");
    let mut small = [0; 4095];
    assert_eq!(
        Decoder::new(header, &mut small).unwrap_err(),
        DecodeError::MemoryTooSmall {
            needed: 4096,
            given: 4095
        }
    );
    let mut memory = [0; 4096];
    let mut decoder = Decoder::new(header, &mut memory).unwrap();
    let mut out = Checked {
        bytes: Vec::new(),
        target_bytes: 0,
    };
    assert_eq!(
        decoder.step(&mut &b"bas"[..], &mut &header.to_bytes()[..], &mut out, u32::MAX),
        Err(DecodeError::BaseLength {
            expected: 4,
            found: 3
        })
    );
}

#[test]
fn a_stream_of_ones_names_a_number_that_is_too_large() {
    let mut patch = header(1_000, b"").to_bytes().to_vec();
    // After two ones, for the share of copies, and a zero, for no relocation, a code below every threshold decodes to ones for ever.
    patch.extend([0x1F, 0xFF, 0xFF, 0xFF]);
    patch.extend([0; 100]);
    assert_eq!(decode(b"", &patch), Err(DecodeError::NumberTooLarge));
}

#[test]
fn an_instruction_set_of_tomorrow_is_named() {
    let mut patch = header(1_000, b"").to_bytes().to_vec();
    patch.extend([0; 100]);
    assert_eq!(decode(b"", &patch), Err(DecodeError::UnknownInstructionSet(15)));
}

/// Storage that fails.
struct Broken;

impl wire_patch::ReadAt for Broken {
    fn len(&self) -> u32 {
        50
    }

    fn read_at(&mut self, _offset: u32, _buf: &mut [u8]) -> Result<(), IoFailed> {
        Err(IoFailed)
    }
}

#[test]
fn storage_that_fails_is_named() {
    let mut memory = [0; 4096];
    let mut decoder = Decoder::new(header(10, b"base"), &mut memory).unwrap();
    let mut out = Checked {
        bytes: Vec::new(),
        target_bytes: 0,
    };
    assert_eq!(
        decoder.step(&mut &b"base"[..], &mut Broken, &mut out, 1),
        Err(DecodeError::PatchUnreadable)
    );
}
