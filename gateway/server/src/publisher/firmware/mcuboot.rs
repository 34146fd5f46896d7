//! Images that were signed for MCUboot (`imgtool sign`; docs/design.md and boot/bootutil/include/bootutil/image.h of
//! github.com/mcu-tools/mcuboot). No crate reads them.
//!
//! The whole file is the image: on a device with MCUboot the header lies at the first byte of the slot, the trailer behind the
//! code, and both are read at every boot. So nothing is taken off; what is said here is said beside the bytes.
//!
//! ```text
//! all numbers little-endian
//! header   0  0x96f3b83d   4  load address   8  bytes of the header (2)   10  bytes of the protected TLVs (2)   12  bytes of code
//!         16  flags       20  version: major (1) minor (1) revision (2) build (4)                             28  0
//! code    behind the header
//! TLVs    0  0x6907, protected ones 0x6908 (2)   2  bytes of them, these four among them (2)
//!         then each of them   0  type (2)   2  bytes (2)   4  value
//! ```

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// What an image of this kind begins with.
const MAGIC: [u8; 4] = 0x96f3_b83d_u32.to_le_bytes();
const HEADER_BYTES: usize = 32;
const TLV_MAGIC: u16 = 0x6907;
const PROTECTED_TLV_MAGIC: u16 = 0x6908;
/// More than `imgtool` writes, however many signatures and dependencies there are.
const TLVS_MAX: usize = 64;
/// Last bytes of a slot that was padded (`imgtool sign --pad`) so that MCUboot takes it for a test without being asked; on flash with
/// writes of more than 8 bytes the second, behind the size of a write.
const TRAILER_MAGIC: [u8; 16] = [
    0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80,
];
const TRAILER_MAGIC_WIDE: [u8; 14] = [
    0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a,
];

const ENCRYPTED: u32 = 0x04 | 0x08;
const RAM_LOAD: u32 = 0x20;
const ROM_FIXED: u32 = 0x100;
const COMPRESSED: u32 = 0x200 | 0x400;

/// What an image says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mcuboot {
    /// As `imgtool` takes it.
    pub version: String,
    /// Bytes in front of the code.
    pub header_bytes: u16,
    /// Bytes of code.
    pub code_bytes: u32,
    /// Its flags.
    pub flags: u32,
    /// Where the first byte must lie when it runs, if the flags say that there is such a place.
    pub load_address: Option<u32>,
    /// What follows the code.
    pub tlvs: Vec<Tlv>,
    /// Whether header and code are those that were signed. MCUboot compares it before any signature.
    pub hash: HashCheck,
    /// Bytes behind the last TLV: an image that was padded to the length of its slot.
    pub padding_bytes: u64,
    /// The padding ends as that of `imgtool sign --pad` does.
    pub is_padded_for_test: bool,
}

/// One value behind the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tlv {
    /// Its type.
    pub number: u16,
    /// What the type stands for, where that is known.
    pub name: Option<&'static str>,
    /// Its length.
    pub bytes: u16,
    /// Covered by the hash.
    pub is_protected: bool,
}

/// What the hash of an image came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HashCheck {
    /// It is that of header, code and protected TLVs.
    Good,
    /// It is another: MCUboot will not start the image.
    Bad,
    /// There is none of a kind that we know.
    Missing,
    /// The image is encrypted, and the hash that of its plain bytes.
    Unknown,
}

/// Why an image that begins as one is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage(&'static str);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What is said by an image that begins as those for MCUboot do; `None` is any other.
pub(super) fn read(image: &[u8]) -> Option<Result<Mcuboot, Damage>> {
    image.starts_with(&MAGIC).then(|| parse(image))
}

fn parse(image: &[u8]) -> Result<Mcuboot, Damage> {
    let mut reader = Reader { image, at: 4 };
    let load_address = reader.word()?;
    let (header_bytes, protected_bytes) = (reader.half()?, reader.half()?);
    let (code_bytes, flags) = (reader.word()?, reader.word()?);
    let [major, minor] = reader.array::<2>()?;
    let (revision, build) = (reader.half()?, reader.word()?);
    if usize::from(header_bytes) < HEADER_BYTES {
        return Err(Damage("its header is shorter than 32 bytes"));
    }
    reader.at = usize::from(header_bytes);
    reader.skip(code_bytes as usize)?;
    let mut tlvs = Tlvs::default();
    if protected_bytes > 0 && tlvs.read(&mut reader, PROTECTED_TLV_MAGIC)? != protected_bytes {
        return Err(Damage("its protected TLVs are not as long as its header says"));
    }
    let hashed = &image[..reader.at];
    tlvs.read(&mut reader, TLV_MAGIC)?;
    let padding = &image[reader.at..];
    Ok(Mcuboot {
        version: match build {
            0 => format!("{major}.{minor}.{revision}"),
            build => format!("{major}.{minor}.{revision}+{build}"),
        },
        header_bytes,
        code_bytes,
        flags,
        load_address: (flags & (RAM_LOAD | ROM_FIXED) != 0).then_some(load_address),
        hash: match flags & ENCRYPTED {
            0 => tlvs.check(hashed),
            _ => HashCheck::Unknown,
        },
        tlvs: tlvs.rows,
        padding_bytes: padding.len() as u64,
        is_padded_for_test: padding.ends_with(&TRAILER_MAGIC) || padding.ends_with(&TRAILER_MAGIC_WIDE),
    })
}

/// The values behind the code, and the hash among them.
#[derive(Default)]
struct Tlvs<'a> {
    rows: Vec<Tlv>,
    hash: Option<(u16, &'a [u8])>,
}

impl<'a> Tlvs<'a> {
    /// Reads values behind their heading, and says how long all of it is.
    fn read(&mut self, reader: &mut Reader<'a>, magic: u16) -> Result<u16, Damage> {
        let start = reader.at;
        if reader.half()? != magic {
            return Err(Damage("there are no TLVs behind its code"));
        }
        let bytes = reader.half()?;
        let end = start + usize::from(bytes);
        while reader.at < end {
            let (number, bytes) = (reader.half()?, reader.half()?);
            let value = reader.skip(usize::from(bytes))?;
            if self.rows.len() == TLVS_MAX {
                return Err(Damage("it has more than 64 TLVs"));
            }
            let is_protected = magic == PROTECTED_TLV_MAGIC;
            if matches!(number, SHA256 | SHA384 | SHA512) && !is_protected {
                self.hash = Some((number, value));
            }
            self.rows.push(Tlv {
                number,
                name: name(number),
                bytes,
                is_protected,
            });
        }
        match reader.at == end {
            true => Ok(bytes),
            false => Err(Damage("its TLVs are not as long as they say")),
        }
    }

    fn check(&self, hashed: &[u8]) -> HashCheck {
        let is_good = match self.hash {
            None => return HashCheck::Missing,
            Some((SHA256, value)) => Sha256::digest(hashed).as_slice() == value,
            Some((SHA384, value)) => Sha384::digest(hashed).as_slice() == value,
            Some((_, value)) => Sha512::digest(hashed).as_slice() == value,
        };
        match is_good {
            true => HashCheck::Good,
            false => HashCheck::Bad,
        }
    }
}

const SHA256: u16 = 0x10;
const SHA384: u16 = 0x11;
const SHA512: u16 = 0x12;

fn name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x01 => "key hash",
        0x02 => "public key",
        SHA256 => "SHA-256",
        SHA384 => "SHA-384",
        SHA512 => "SHA-512",
        0x20 => "RSA-2048 signature",
        0x22 => "ECDSA signature",
        0x23 => "RSA-3072 signature",
        0x24 => "Ed25519 signature",
        0x30..=0x33 => "encryption key",
        0x40 => "dependency",
        0x50 => "security counter",
        0x60 => "boot record",
        _ => return None,
    })
}

impl Mcuboot {
    /// Why MCUboot would not start the image, as one clause.
    pub fn obstacle(&self) -> Option<&'static str> {
        match self.hash {
            HashCheck::Bad => Some("its hash is not that of its bytes"),
            HashCheck::Missing => Some("it has no hash"),
            HashCheck::Good | HashCheck::Unknown => None,
        }
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let hash = match self.hash {
            HashCheck::Good => "hash good",
            HashCheck::Bad => "hash BAD: MCUboot will not start it",
            HashCheck::Missing => "NO hash: MCUboot will not start it",
            HashCheck::Unknown => "hash of its plain bytes, not compared",
        };
        let mut lines = vec![
            format!("signed for MCUboot, version {}, {hash}", self.version),
            format!(
                "header {} bytes, code {} bytes, {}; the whole of it goes into the slot",
                self.header_bytes,
                self.code_bytes,
                self.tlv_names()
            ),
        ];
        if self.flags & ENCRYPTED != 0 {
            lines.push("encrypted: a delta would be as large as the image".to_owned());
        }
        if self.flags & COMPRESSED != 0 {
            lines.push("compressed: deltas will be large; sign it without --compression".to_owned());
        }
        if self.padding_bytes > 0 {
            let asks = if self.is_padded_for_test {
                ", which asks for a test by itself"
            } else {
                ""
            };
            lines.push(format!(
                "padded with {} bytes{asks}: sign it without --pad, so that a delta finds room in the slot",
                self.padding_bytes
            ));
        }
        lines
    }

    fn tlv_names(&self) -> String {
        let names = self.tlvs.iter().map(|tlv| match tlv.name {
            Some(name) => name.to_owned(),
            None => format!("TLV {:#06x}", tlv.number),
        });
        match names.collect::<Vec<_>>() {
            names if names.len() > NAMES_SHOWN_MAX => format!("{} TLVs", names.len()),
            names => names.join(", "),
        }
    }
}

/// TLVs whose names are shown to people.
const NAMES_SHOWN_MAX: usize = 6;

/// Bytes of an image, taken in order.
struct Reader<'a> {
    image: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, bytes: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(bytes);
        let taken = end.and_then(|end| self.image.get(self.at..end));
        let taken = taken.ok_or(Damage(
            "it is shorter than its header says: a part of it is missing",
        ))?;
        self.at += bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let bytes = self.skip(N)?.first_chunk::<N>();
        Ok(*bytes.expect("so many bytes were taken"))
    }

    fn half(&mut self) -> Result<u16, Damage> {
        self.array().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
