//! Motorola S-record files, written from the format's published description. The crate `srec` has not moved since 2018 and keeps no
//! record of lines, so the reader is ours: strict, and nothing is skipped.
//!
//! ```text
//! 'S' type count address data checksum            all behind the type in pairs of hex digits
//!      type      0 header  1 2 3 data, with an address of 2 3 4 bytes  5 6 number of data records so far, in 2 3 bytes
//!                7 8 9 end, with the address to start at in 4 3 2 bytes
//!      count     bytes that follow, the checksum among them
//!      checksum  ones' complement of the sum of count, address and data
//! ```

use super::pieces::Pieces;
use super::{FileFormat, Firmware, FirmwareError, ReadOptions};

/// Digits behind the type of the shortest record: count, an address of two bytes, checksum.
const RECORD_DIGITS_MIN: usize = 8;

/// Whether a file begins with a record.
pub(super) fn is_srec(file: &[u8]) -> bool {
    match file.split_at_checked(2 + RECORD_DIGITS_MIN) {
        Some(([b'S', kind, digits @ ..], _)) => {
            address_bytes(*kind).is_some() && digits.iter().all(u8::is_ascii_hexdigit)
        }
        _ => false,
    }
}

/// The image of an S-record file. Where the program starts is of no interest: the image begins at its lowest address.
pub(super) fn read(file: &[u8], options: &ReadOptions) -> Result<Firmware, FirmwareError> {
    let mut pieces = Pieces::default();
    let mut data_records = 0;
    let mut has_ended = false;
    for (at, line) in file.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let damaged = |problem: &str| FirmwareError::DamagedLine {
            format: FileFormat::Srec,
            line: at + 1,
            problem: problem.to_owned(),
        };
        if has_ended {
            return Err(damaged("it comes after the end record"));
        }
        let record = Record::parse(line).map_err(damaged)?;
        match record.kind {
            b'1'..=b'3' => {
                data_records += 1;
                pieces.add(record.address, record.data())?;
            }
            b'0' if at > 0 => return Err(damaged("a header record is the first or none")),
            b'5' | b'6' if record.address != data_records => return Err(damaged("a data record is missing")),
            b'7'..=b'9' => has_ended = true,
            _ => {}
        }
    }
    match has_ended {
        true => pieces.lay_out(FileFormat::Srec, options),
        false => Err(FirmwareError::EndsEarly {
            format: FileFormat::Srec,
        }),
    }
}

/// Bytes of a record's address; `None`: there is no such record.
fn address_bytes(kind: u8) -> Option<usize> {
    match kind {
        b'0' | b'1' | b'5' | b'9' => Some(2),
        b'2' | b'6' | b'8' => Some(3),
        b'3' | b'7' => Some(4),
        _ => None,
    }
}

/// A record whose length and checksum are right.
struct Record {
    kind: u8,
    address: u64,
    /// Data, in front of the rest of the buffer.
    buffer: [u8; 255],
    data: core::ops::Range<usize>,
}

impl Record {
    fn parse(line: &[u8]) -> Result<Self, &'static str> {
        let [b'S', kind, digits @ ..] = line else {
            return Err("it does not begin with S");
        };
        let address_bytes = address_bytes(*kind).ok_or("there is no record of this type")?;
        let mut buffer = [0; 255];
        let (count, digits) = digits.split_first_chunk::<2>().ok_or("it is too short")?;
        let count = byte(*count).ok_or(NO_DIGIT)?;
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err("it has an odd number of digits");
        };
        if pairs.len() != usize::from(count) || pairs.len() <= address_bytes {
            return Err("its length is not what it says");
        }
        let mut sum = count;
        for (to, pair) in buffer.iter_mut().zip(pairs) {
            *to = byte(*pair).ok_or(NO_DIGIT)?;
            sum = sum.wrapping_add(*to);
        }
        if sum != 0xff {
            return Err("its checksum is wrong");
        }
        let address = buffer[..address_bytes].iter();
        Ok(Self {
            kind: *kind,
            address: address.fold(0, |address, byte| address << 8 | u64::from(*byte)),
            buffer,
            data: address_bytes..pairs.len() - 1,
        })
    }

    fn data(&self) -> &[u8] {
        &self.buffer[self.data.clone()]
    }
}

const NO_DIGIT: &str = "it has a character that is no hex digit";

fn byte(digits: [u8; 2]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    Some((digit(digits[0])? << 4 | digit(digits[1])?) as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Gap;
    use super::*;

    fn record(kind: u8, address: u32, data: &[u8]) -> String {
        let address = address.to_be_bytes();
        let address = &address[4 - address_bytes(kind).unwrap()..];
        let mut bytes = vec![(address.len() + data.len() + 1) as u8];
        bytes.extend_from_slice(address);
        bytes.extend_from_slice(data);
        bytes.push(!bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("S{}{digits}\r\n", char::from(kind))
    }

    fn read(text: &str) -> Result<Firmware, FirmwareError> {
        Firmware::read(text.as_bytes().to_vec())
    }

    #[test]
    fn a_record_from_the_literature_is_read() {
        // Wikipedia, "SREC (file format)", its example of a whole file.
        let text = "S00F000068656C6C6F202020202000003C\n\
                    S11F00007C0802A6900100049421FFF07C6C1B787C8C23783C6000003863000026\n\
                    S11F001C4BFFFFE5398000007D83637880010014382100107C0803A64E800020E9\n\
                    S111003848656C6C6F20776F726C642E0A0042\n\
                    S5030003F9\nS9030000FC\n";
        let firmware = read(text).unwrap();
        assert_eq!(firmware.format, FileFormat::Srec);
        assert_eq!((firmware.image.len(), firmware.base_address), (0x46, Some(0)));
        assert!(firmware.image.ends_with(b"Hello world.\n\0"));
    }

    #[test]
    fn records_of_every_width_are_laid_out_with_erased_gaps() {
        let text = [
            record(b'0', 0, b"name"),
            record(b'3', 0x0800_0006, &[9]),
            record(b'3', 0x0800_0000, &[1, 2]),
            record(b'7', 0x0800_00c1, &[]),
        ];
        let firmware = read(&text.concat()).unwrap();
        assert_eq!(firmware.image, [1, 2, 0xff, 0xff, 0xff, 0xff, 9]);
        assert_eq!(firmware.base_address, Some(0x0800_0000));
        let gap = Gap {
            address: 0x0800_0002,
            bytes: 4,
        };
        assert_eq!(firmware.gaps, [gap]);
        let wide = [
            record(b'2', 0x01_0000, &[1]),
            record(b'6', 1, &[]),
            record(b'8', 0, &[]),
        ];
        assert_eq!(read(&wide.concat()).unwrap().base_address, Some(0x01_0000));
    }

    #[test]
    fn a_damaged_or_unfinished_file_is_refused_by_its_line() {
        let (one, two, end) = (
            record(b'1', 0, &[1, 2]),
            record(b'1', 2, &[3]),
            record(b'9', 0, &[]),
        );
        let line_of = |text: &str| match read(text).unwrap_err() {
            FirmwareError::DamagedLine { line, .. } => line,
            other => panic!("{other}"),
        };
        assert!(read(&[one.as_str(), &two, &end].concat()).is_ok());
        assert_eq!(
            read(&[one.as_str(), &two].concat()),
            Err(FirmwareError::EndsEarly {
                format: FileFormat::Srec
            })
        );
        assert_eq!(line_of(&[&one, "S10400020 3F6\n", &end].concat()), 2);
        assert_eq!(line_of(&[&one, "S104000203F7\n", &end].concat()), 2, "checksum");
        assert_eq!(line_of(&[&one, "S105000203F6\n", &end].concat()), 2, "length");
        assert_eq!(line_of(&[&one, "S40300000000\n", &end].concat()), 2, "type");
        assert_eq!(line_of(&[&one, "S10\n", &end].concat()), 2, "cut");
        assert_eq!(line_of(&[one.as_str(), &end, &two].concat()), 3, "after the end");
        assert_eq!(
            line_of(&[&one, "S0040002 03F6\n".replace(' ', "").as_str(), &end].concat()),
            2,
            "header"
        );
        assert_eq!(
            line_of(&[one.as_str(), &record(b'5', 2, &[]), &end].concat()),
            2,
            "count"
        );
        let twice = [one.as_str(), &record(b'1', 1, &[3]), &end].concat();
        assert_eq!(read(&twice), Err(FirmwareError::Overlap { address: 1 }));
        let far = [one.as_str(), &record(b'3', 0xffff_ffff, &[3]), &end].concat();
        assert!(matches!(
            read(&far),
            Err(FirmwareError::TooFar {
                address: 0xffff_ffff,
                ..
            })
        ));
    }

    #[test]
    fn text_that_begins_with_an_s_stays_raw() {
        let raw = b"S0me text of more than ten bytes".to_vec();
        assert_eq!(Firmware::read(raw.clone()).unwrap().image, raw);
    }

    proptest! {
        /// Whatever data in whatever records, in any order: the image is theirs.
        #[test]
        fn what_is_written_is_read(
            data in proptest::collection::vec(any::<u8>(), 1..2_000),
            width in 1_usize..250,
            address in 0_u32..0xffff_0000,
            turned in any::<bool>(),
        ) {
            let mut lines: Vec<String> = data
                .chunks(width)
                .enumerate()
                .map(|(at, chunk)| record(b'3', address + (at * width) as u32, chunk))
                .collect();
            if turned {
                lines.reverse();
            }
            lines.push(record(b'7', 0, &[]));
            let firmware = read(&lines.concat()).unwrap();
            prop_assert_eq!(firmware.image, data);
            prop_assert_eq!(firmware.base_address, Some(u64::from(address)));
            prop_assert!(firmware.gaps.is_empty());
        }

        /// No file panics, and no altered byte of a good one makes another image, but for the type, which no checksum covers.
        #[test]
        fn hostile_files_are_refused(at in 0_usize..60, to in any::<u8>()) {
            let good = [record(b'1', 0, &[1, 2, 3]), record(b'1', 3, &[4]), record(b'9', 0, &[])].concat();
            let mut bytes = good.clone().into_bytes();
            let at = at % bytes.len();
            prop_assume!(at == 0 || bytes[at - 1] != b'S');
            bytes[at] = to;
            let options = ReadOptions { format: Some(FileFormat::Srec), ..ReadOptions::default() };
            if let Ok(firmware) = Firmware::read_with(bytes, &options) {
                // The case of a digit or a trailing blank.
                prop_assert_eq!(firmware.image, [1, 2, 3, 4]);
            }
        }
    }
}
