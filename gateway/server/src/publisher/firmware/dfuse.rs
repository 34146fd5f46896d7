//! DfuSe files (STMicroelectronics UM0391, "DfuSe file format specification") and raw images with the suffix of USB DFU 1.1,
//! appendix B. No crate reads them.
//!
//! ```text
//! all numbers little-endian
//! prefix    0  "DfuSe"   5  version 1   6  bytes of the file, by some writers without its suffix (4)   10  number of targets (1)
//! target    0  "Target"  6  alternate setting (1)   7  whether it has a name (4)   11  name (255)
//!         266  bytes of its elements (4)   270  number of elements (4)
//! element   0  address (4)   4  bytes of data (4)   8  data
//! suffix    0  bcdDevice (2)   2  product (2)   4  vendor (2)   6  bcdDFU (2): 0x011a DfuSe, 0x0100 DFU   8  "UFD"
//!          11  length of the suffix (1): 16   12  CRC-32 of the file up to here, not inverted at its end (4)
//! ```

use crc::{CRC_32_JAMCRC, Crc};

use super::pieces::Pieces;
use super::{Detail, FileFormat, Firmware, FirmwareError, ReadOptions};

const PREFIX: &[u8] = b"DfuSe\x01";
const TARGET: &[u8] = b"Target";
const SUFFIX_BYTES: usize = 16;
const NAME_BYTES: usize = 255;
/// Targets are counted in a byte, and so are alternate settings.
const TARGETS_MAX: usize = 255;

/// Whether a file begins as a DfuSe file does.
pub(super) fn is_dfuse(file: &[u8]) -> bool {
    file.starts_with(PREFIX)
}

/// Whether a file ends in a suffix whose checksum is right: the image in front of it is raw.
pub(super) fn is_dfu(file: &[u8]) -> bool {
    Suffix::split(file).is_ok_and(|(_, suffix)| suffix.is_intact)
}

/// The image of a raw file with a suffix, which goes to no device.
pub(super) fn read_dfu(file: &[u8], options: &ReadOptions) -> Result<Firmware, FirmwareError> {
    let damaged = |problem| damaged(FileFormat::Dfu, problem);
    let (image, suffix) = Suffix::split(file).map_err(damaged)?;
    if !suffix.is_intact {
        return Err(damaged("the checksum in its suffix is wrong"));
    }
    let firmware = Firmware::of_raw(image.to_vec(), options)?;
    Ok(Firmware {
        format: FileFormat::Dfu,
        details: vec![suffix.detail()],
        ..firmware
    })
}

/// The image of one target.
pub(super) fn read_dfuse(file: &[u8], options: &ReadOptions) -> Result<Firmware, FirmwareError> {
    let damaged = |problem| damaged(FileFormat::DfuSe, problem);
    let (body, suffix) = Suffix::split(file).map_err(damaged)?;
    if !suffix.is_intact {
        return Err(damaged("the checksum in its suffix is wrong"));
    }
    let targets = targets(body).map_err(damaged)?;
    let target = choose(&targets, options)?;
    let mut pieces = Pieces::default();
    let mut reader = Reader(target.elements);
    for _ in 0..target.count {
        let (address, data) = reader.element().map_err(damaged)?;
        pieces.add(address.into(), data)?;
    }
    if !reader.0.is_empty() {
        return Err(damaged("a target is longer than its elements"));
    }
    let mut details = vec![suffix.detail(), Detail::new("target", target.name())];
    if targets.len() > 1 {
        details.push(Detail::new(
            "left out",
            format!("{} other targets", targets.len() - 1),
        ));
    }
    Ok(Firmware {
        details,
        ..pieces.lay_out(FileFormat::DfuSe, options)?
    })
}

/// The targets of a file without its suffix.
fn targets(body: &[u8]) -> Result<Vec<Target<'_>>, &'static str> {
    let mut reader = Reader(body);
    if reader.bytes(PREFIX.len())? != PREFIX {
        return Err("it does not begin with DfuSe, version 1");
    }
    let bytes = reader.number()? as usize;
    if ![body.len(), body.len() + SUFFIX_BYTES].contains(&bytes) {
        return Err("its length is not what it says: a part of it is missing");
    }
    let count = usize::from(reader.byte()?);
    let mut targets = Vec::with_capacity(count.min(TARGETS_MAX));
    for _ in 0..count {
        targets.push(reader.target()?);
    }
    match reader.0 {
        [] => Ok(targets),
        _ => Err("there are bytes behind its last target"),
    }
}

fn choose<'a, 'file>(
    targets: &'a [Target<'file>],
    options: &ReadOptions,
) -> Result<&'a Target<'file>, FirmwareError> {
    let found = || {
        let names: Vec<String> = targets.iter().map(Target::name).collect();
        names.join("; ")
    };
    match (options.alternate, targets) {
        (_, []) => Err(FirmwareError::Empty),
        (None, [only]) => Ok(only),
        (None, _) => Err(FirmwareError::Several {
            what: "targets",
            option: "--alternate NUMBER",
            found: found(),
        }),
        (Some(wanted), _) => {
            let mut named = targets.iter().filter(|target| target.alternate == wanted);
            match (named.next(), named.next()) {
                (Some(target), None) => Ok(target),
                (Some(_), Some(_)) => Err(damaged(
                    FileFormat::DfuSe,
                    "two targets have the same alternate setting",
                )),
                (None, _) => Err(FirmwareError::NotThere {
                    wanted: format!("alternate setting {wanted}"),
                    found: found(),
                }),
            }
        }
    }
}

fn damaged(format: FileFormat, problem: &str) -> FirmwareError {
    FirmwareError::Damaged {
        format,
        problem: problem.to_owned(),
    }
}

/// What goes to one alternate setting of a device.
struct Target<'a> {
    alternate: u8,
    name: Option<&'a [u8]>,
    count: u32,
    elements: &'a [u8],
}

impl Target<'_> {
    /// For people; a stranger's name can not move the cursor.
    fn name(&self) -> String {
        match self.name {
            None => format!("alternate setting {}", self.alternate),
            Some(name) => format!(
                "alternate setting {}, \"{}\"",
                self.alternate,
                name.escape_ascii()
            ),
        }
    }
}

/// The end of a file, for whoever downloads it.
struct Suffix {
    device: u16,
    product: u16,
    vendor: u16,
    is_intact: bool,
}

impl Suffix {
    /// What is in front of the suffix, and the suffix.
    fn split(file: &[u8]) -> Result<(&[u8], Suffix), &'static str> {
        const MISSING: &str = "it has no suffix: its end is missing";
        let at = file.len().checked_sub(SUFFIX_BYTES).ok_or(MISSING)?;
        let (body, suffix) = file.split_at(at);
        if suffix[8..12] != *b"UFD\x10" {
            return Err(MISSING);
        }
        let number = |at: usize| u16::from_le_bytes([suffix[at], suffix[at + 1]]);
        let crc = Crc::<u32>::new(&CRC_32_JAMCRC).checksum(&file[..file.len() - 4]);
        let suffix = Suffix {
            device: number(0),
            product: number(2),
            vendor: number(4),
            is_intact: suffix[12..] == crc.to_le_bytes(),
        };
        Ok((body, suffix))
    }

    fn detail(&self) -> Detail {
        let Self {
            device,
            product,
            vendor,
            ..
        } = self;
        Detail::new(
            "USB device",
            format!("{vendor:04x}:{product:04x}, release {device:04x}; checksum good"),
        )
    }
}

/// Bytes not yet read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let split = self.0.split_at_checked(count);
        let (taken, rest) = split.ok_or("a part is longer than what is left of it")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        Ok(self.bytes(1)?[0])
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn target(&mut self) -> Result<Target<'a>, &'static str> {
        if self.bytes(TARGET.len())? != TARGET {
            return Err("a target does not begin as one");
        }
        let alternate = self.byte()?;
        let is_named = self.number()? != 0;
        let name = self.bytes(NAME_BYTES)?.split(|byte| *byte == 0).next();
        let bytes = self.number()? as usize;
        let count = self.number()?;
        Ok(Target {
            alternate,
            name: name.filter(|_| is_named),
            count,
            elements: self.bytes(bytes)?,
        })
    }

    fn element(&mut self) -> Result<(u32, &'a [u8]), &'static str> {
        let address = self.number()?;
        let bytes = self.number()? as usize;
        Ok((address, self.bytes(bytes)?))
    }
}

#[cfg(test)]
mod tests;
