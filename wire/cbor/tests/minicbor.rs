//! Reader and writer agree with minicbor, an independent implementation, wherever both read the same kinds of items.

use minicbor::data::{Tag, Type};
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};
use proptest::prelude::*;
use wire_cbor::{Reader, Writer};

/// A definite length that 32 bits count: everything else we refuse.
fn definite(result: Result<Option<u64>, Error>) -> Option<u32> {
    u32::try_from(result.ok().flatten()?).ok()
}

fn assert_all_reads_agree(bytes: &[u8]) {
    let (reader, decoder) = (|| Reader::new(bytes), || Decoder::new(bytes));
    let indefinite = matches!(decoder().datatype(), Ok(Type::BytesIndef | Type::StringIndef));
    assert_eq!(reader().uint().ok(), decoder().u64().ok());
    assert_eq!(reader().int().ok(), decoder().i64().ok());
    if !indefinite {
        assert_eq!(reader().bytes().ok(), decoder().bytes().ok());
        assert_eq!(reader().text().ok(), decoder().str().ok());
    }
    assert_eq!(reader().array().ok(), definite(decoder().array()));
    assert_eq!(reader().map().ok(), definite(decoder().map()));
    assert_eq!(reader().tag().ok(), decoder().tag().map(|tag| tag.as_u64()).ok());
    assert_eq!(reader().bool().ok(), decoder().bool().ok());
    assert_eq!(reader().null().ok(), decoder().null().ok());
}

/// What the strict reader passes over is what the other one passes over, but for texts that are not UTF-8, which the other one reads.
fn assert_skips_agree(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if let Ok(skipped) = reader.skip() {
        let mut decoder = Decoder::new(bytes);
        match decoder.skip() {
            Ok(()) => assert_eq!(decoder.position(), skipped.len(), "{bytes:02x?}"),
            Err(error) => assert!(error.to_string().contains("utf-8"), "{error}: {bytes:02x?}"),
        }
    }
}

#[test]
fn every_first_byte_is_read_alike() {
    for first in 0..=255 {
        for length in 0..12 {
            for filler in [0x00, 0x17, 0x61, 0xFF] {
                let mut bytes = vec![filler; length];
                if let Some(byte) = bytes.first_mut() {
                    *byte = first;
                }
                assert_all_reads_agree(&bytes);
                assert_skips_agree(&bytes);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_alike(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        assert_all_reads_agree(&bytes);
        assert_skips_agree(&bytes);
    }

    #[test]
    fn heads_are_written_alike(value: u64, shift in 0u32..64, text in ".{0,30}", bytes: Vec<u8>, flag: bool) {
        let value = value >> shift;
        let signed = (value >> 1) as i64 ^ -i64::from(flag);
        let mut buffer = [0; 512];
        let mut writer = Writer::new(&mut buffer);
        writer.uint(value).int(signed).array(value).map(value).tag(value).bool(flag).null();
        writer.bytes(&bytes).text(&text);
        let mut other = Encoder::new(Vec::new());
        other.u64(value).unwrap().i64(signed).unwrap().array(value).unwrap().map(value).unwrap();
        other.tag(Tag::new(value)).unwrap().bool(flag).unwrap().null().unwrap();
        other.bytes(&bytes).unwrap().str(&text).unwrap();
        prop_assert_eq!(writer.finish().unwrap(), other.into_writer());
    }
}
