//! Intel HEX files.

use ihex::{Reader, ReaderOptions, Record};

use super::pieces::Pieces;
use super::{FileFormat, Firmware, FirmwareError, ReadOptions};

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
pub(super) fn read(file: &[u8], options: &ReadOptions) -> Result<Firmware, FirmwareError> {
    let text = str::from_utf8(file).map_err(|error| {
        let before = file[..error.valid_up_to()].iter();
        damaged(before.filter(|byte| **byte == b'\n').count() + 1, "it is no text")
    })?;
    let mut pieces = Pieces::default();
    let mut base = Base::Linear(0);
    let reader = ReaderOptions {
        stop_after_first_error: true,
        stop_after_eof: true,
    };
    for (at, record) in Reader::new_with_options(text, reader).enumerate() {
        match record.map_err(|error| damaged(at + 1, error))? {
            Record::Data { offset, value } => {
                let address = base.address(offset, value.len());
                let address =
                    address.ok_or_else(|| damaged(at + 1, "data runs over the end of its segment"))?;
                pieces.add(address, &value)?;
            }
            Record::ExtendedLinearAddress(upper) => base = Base::Linear(u64::from(upper) << 16),
            Record::ExtendedSegmentAddress(segment) => base = Base::Segment(u64::from(segment) << 4),
            Record::StartLinearAddress(_) | Record::StartSegmentAddress { .. } => {}
            Record::EndOfFile => return pieces.lay_out(FileFormat::Hex, options),
        }
    }
    Err(FirmwareError::EndsEarly {
        format: FileFormat::Hex,
    })
}

/// What the offsets of data records count from.
enum Base {
    /// They go on beyond 64 KiB.
    Linear(u64),
    /// They would begin again, and no tool means that.
    Segment(u64),
}

impl Base {
    fn address(&self, offset: u16, bytes: usize) -> Option<u64> {
        match self {
            Self::Linear(base) => Some(base + u64::from(offset)),
            Self::Segment(base) => (usize::from(offset) + bytes <= 1 << 16).then(|| base + u64::from(offset)),
        }
    }
}

fn damaged(line: usize, problem: impl ToString) -> FirmwareError {
    FirmwareError::DamagedLine {
        format: FileFormat::Hex,
        line,
        problem: problem.to_string(),
    }
}
