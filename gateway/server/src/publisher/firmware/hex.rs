//! Intel HEX files.

use ihex::{Reader, ReaderOptions, Record};

use super::{FileFormat, Firmware, FirmwareError, Segment, lay_out};

/// A start code, then digits for length, address and type.
const RECORD_CHARS_MIN: usize = 11;

/// Whether a file begins with a record. A raw image that does is not known to us.
pub(super) fn is_hex(file: &[u8]) -> bool {
    match file.split_at_checked(RECORD_CHARS_MIN) {
        Some(([b':', digits @ ..], _)) => digits.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

/// The image of an Intel HEX file. Where the program starts is of no interest: the image begins at its lowest address.
pub(super) fn read(file: &[u8]) -> Result<Firmware, FirmwareError> {
    let text = str::from_utf8(file).map_err(|error| {
        let before = file[..error.valid_up_to()].iter();
        FirmwareError::DamagedHex {
            line: before.filter(|byte| **byte == b'\n').count() + 1,
            problem: "it is no text".to_owned(),
        }
    })?;
    let mut segments: Vec<Segment<Vec<u8>>> = Vec::new();
    let mut base = 0;
    let options = ReaderOptions {
        stop_after_first_error: true,
        stop_after_eof: true,
    };
    for (at, record) in Reader::new_with_options(text, options).enumerate() {
        let record = record.map_err(|error| FirmwareError::DamagedHex {
            line: at + 1,
            problem: error.to_string(),
        })?;
        match record {
            Record::Data { offset, value } => add(&mut segments, base + u64::from(offset), value),
            Record::ExtendedLinearAddress(upper) => base = u64::from(upper) << 16,
            Record::ExtendedSegmentAddress(segment) => base = u64::from(segment) << 4,
            Record::StartLinearAddress(_) | Record::StartSegmentAddress { .. } => {}
            Record::EndOfFile => return lay_out(segments, FileFormat::Hex, None),
        }
    }
    Err(FirmwareError::HexEndsEarly)
}

/// Continues the last segment, or begins one.
fn add(segments: &mut Vec<Segment<Vec<u8>>>, address: u64, mut data: Vec<u8>) {
    match segments.last_mut() {
        _ if data.is_empty() => {}
        Some(last) if last.address + last.data.len() as u64 == address => last.data.append(&mut data),
        _ => segments.push(Segment { address, data }),
    }
}
