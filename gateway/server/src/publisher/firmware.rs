//! Firmware files: raw images as they are, ELF files flattened to the bytes a programmer would write to flash.

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use thiserror::Error;
use wire_manifest::IMAGE_BYTES_MAX;

/// What erased flash reads as; fills the gaps between segments.
const ERASED: u8 = 0xff;

/// Most program headers we look at; linkers write fewer than twenty.
const SEGMENTS_MAX: usize = 256;

/// An image, ready to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The image's bytes.
    pub image: Vec<u8>,
    /// Where an ELF file's first byte goes; `None` for a raw image.
    pub base_address: Option<u64>,
    /// What no segment covers, in ascending order.
    pub gaps: Vec<Gap>,
}

/// A stretch of an image that no segment of the ELF file covers, filled with 0xff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Physical address of its first byte.
    pub address: u64,
    /// Its length.
    pub bytes: u64,
}

impl Firmware {
    /// Takes a file: an ELF by its magic, anything else as a raw image.
    pub fn read(file: Vec<u8>) -> Result<Self, FirmwareError> {
        let firmware = if file.starts_with(b"\x7fELF") {
            flatten_elf(&file)?
        } else {
            Self {
                image: file,
                base_address: None,
                gaps: Vec::new(),
            }
        };
        match firmware.image.len() as u64 {
            0 => Err(FirmwareError::Empty),
            bytes if bytes > u64::from(IMAGE_BYTES_MAX) => Err(FirmwareError::TooLarge { bytes }),
            _ => Ok(firmware),
        }
    }
}

/// Why a file can not become an image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FirmwareError {
    /// There is nothing in it to load.
    #[error("it has no bytes to load")]
    Empty,
    /// The image, gaps included, exceeds [`IMAGE_BYTES_MAX`].
    #[error("image would have {bytes} bytes, more than {IMAGE_BYTES_MAX}")]
    TooLarge {
        /// What it would have.
        bytes: u64,
    },
    /// The ELF file is broken.
    #[error("ELF file is damaged: {0}")]
    Damaged(String),
    /// Two segments go to the same place.
    #[error("ELF segments overlap at address {address:#x}")]
    Overlap {
        /// The first address that both want.
        address: u64,
    },
    /// More than 256 program headers.
    #[error("ELF file has {0} program headers")]
    TooManySegments(usize),
}

impl FirmwareError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => {
                Some("sign a raw image: objcopy -O binary -j SECTION … firmware.elf firmware.bin".to_owned())
            }
            _ => None,
        }
    }
}

struct Segment<'a> {
    address: u64,
    data: &'a [u8],
}

fn flatten_elf(file: &[u8]) -> Result<Firmware, FirmwareError> {
    // e_ident[EI_CLASS]: 2 is ELFCLASS64.
    let mut segments = match file.get(4) {
        Some(2) => loadable::<FileHeader64<Endianness>>(file)?,
        _ => loadable::<FileHeader32<Endianness>>(file)?,
    };
    segments.sort_by_key(|segment| segment.address);
    let Some(first) = segments.first() else {
        return Err(FirmwareError::Empty);
    };
    let base = first.address;
    let mut firmware = Firmware {
        image: Vec::new(),
        base_address: Some(base),
        gaps: Vec::new(),
    };
    for Segment { address, data } in segments {
        let end = base + firmware.image.len() as u64;
        if address < end {
            return Err(FirmwareError::Overlap { address });
        }
        let span = (address - base).saturating_add(data.len() as u64);
        if span > u64::from(IMAGE_BYTES_MAX) {
            return Err(FirmwareError::TooLarge { bytes: span });
        }
        if address > end {
            firmware.gaps.push(Gap {
                address: end,
                bytes: address - end,
            });
            firmware.image.resize((address - base) as usize, ERASED);
        }
        firmware.image.extend_from_slice(data);
    }
    Ok(firmware)
}

/// The segments with bytes to load, by their physical addresses: where they lie before the program runs.
fn loadable<Elf: FileHeader<Endian = Endianness>>(file: &[u8]) -> Result<Vec<Segment<'_>>, FirmwareError> {
    let damaged = |error: object::Error| FirmwareError::Damaged(error.to_string());
    let header = Elf::parse(file).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let headers = header.program_headers(endian, file).map_err(damaged)?;
    if headers.len() > SEGMENTS_MAX {
        return Err(FirmwareError::TooManySegments(headers.len()));
    }
    let wanted = headers.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
    let segments = wanted.map(|segment| match segment.data(endian, file) {
        Ok(data) => Ok(Segment {
            address: segment.p_paddr(endian).into(),
            data,
        }),
        Err(()) => Err(FirmwareError::Damaged("segment lies outside the file".to_owned())),
    });
    let mut segments: Vec<_> = segments.collect::<Result<_, _>>()?;
    segments.retain(|segment| !segment.data.is_empty());
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little-endian 32-bit ARM ELF of these segments: (type, physical address, bytes).
    fn elf(segments: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
        let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
        half(&mut file, 2);
        half(&mut file, 40);
        // version, entry, program header offset, section header offset, flags
        [1, 0, 52, 0, 0].iter().for_each(|value| word(&mut file, *value));
        // header size, program header size and count, section header size, count and names
        [52, 32, segments.len() as u16, 40, 0, 0]
            .iter()
            .for_each(|value| half(&mut file, *value));
        let mut offset = 52 + 32 * segments.len() as u32;
        for (kind, address, data) in segments {
            let len = data.len() as u32;
            // The virtual address differs, so that a test can tell them apart.
            [*kind, offset, 0x2000_0000, *address, len, len + 8, 5, 4]
                .iter()
                .for_each(|value| word(&mut file, *value));
            offset += len;
        }
        segments
            .iter()
            .for_each(|(_, _, data)| file.extend_from_slice(data));
        file
    }

    #[test]
    fn a_raw_image_is_taken_as_it_is() {
        let firmware = Firmware::read(vec![1, 2, 3]).unwrap();
        assert_eq!((firmware.image, firmware.base_address), (vec![1, 2, 3], None));
    }

    #[test]
    fn segments_are_laid_out_by_physical_address_with_erased_gaps() {
        let file = elf(&[
            (PT_LOAD, 0x1008, &[4, 5]),
            (PT_LOAD, 0x1000, &[1, 2, 3]),
            (4, 0x0, &[9; 40]),
        ]);
        let firmware = Firmware::read(file).unwrap();
        assert_eq!(firmware.image, [1, 2, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 5]);
        assert_eq!(firmware.base_address, Some(0x1000));
        assert_eq!(
            firmware.gaps,
            [Gap {
                address: 0x1003,
                bytes: 5
            }]
        );
    }

    #[test]
    fn segments_without_bytes_load_nothing() {
        let firmware = Firmware::read(elf(&[(PT_LOAD, 0x1000, &[1]), (PT_LOAD, 0x2000_0000, &[])])).unwrap();
        assert_eq!(firmware.image, [1]);
        assert_eq!(firmware.gaps, []);
    }

    #[test]
    fn overlapping_segments_are_refused() {
        let file = elf(&[(PT_LOAD, 0x1000, &[1, 2, 3]), (PT_LOAD, 0x1002, &[4])]);
        assert_eq!(
            Firmware::read(file),
            Err(FirmwareError::Overlap { address: 0x1002 })
        );
    }

    #[test]
    fn an_image_past_the_bound_is_refused_before_it_is_made() {
        let file = elf(&[(PT_LOAD, 0, &[1]), (PT_LOAD, 0xffff_fff0, &[2])]);
        assert_eq!(
            Firmware::read(file),
            Err(FirmwareError::TooLarge { bytes: 0xffff_fff1 })
        );
        let raw = vec![0; IMAGE_BYTES_MAX as usize + 1];
        assert_eq!(
            Firmware::read(raw),
            Err(FirmwareError::TooLarge {
                bytes: (16 << 20) + 1
            })
        );
        assert!(Firmware::read(vec![0; IMAGE_BYTES_MAX as usize]).is_ok());
    }

    #[test]
    fn nothing_to_load_is_no_image() {
        assert_eq!(Firmware::read(vec![]), Err(FirmwareError::Empty));
        assert_eq!(Firmware::read(elf(&[])), Err(FirmwareError::Empty));
    }

    #[test]
    fn no_truncation_or_altered_header_byte_panics() {
        let whole = elf(&[(PT_LOAD, 0x1000, &[1, 2, 3]), (PT_LOAD, 0x1008, &[4, 5])]);
        for len in 4..whole.len() {
            assert!(Firmware::read(whole[..len].to_vec()).is_err(), "{len}");
        }
        for at in 4..whole.len() {
            for to in [0, 1, 0x7f, 0xff] {
                let mut altered = whole.clone();
                altered[at] = to;
                if let Ok(firmware) = Firmware::read(altered) {
                    assert!(firmware.image.len() <= IMAGE_BYTES_MAX as usize);
                }
            }
        }
    }
}
