//! Names of things that are told apart by their digest.

use core::fmt;

/// SHA-256 of a raw image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageDigest(pub [u8; 32]);

/// SHA-256 of an artefact's payload bytes as served. For the `full` format it equals the image digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtefactDigest(pub [u8; 32]);

/// UUIDv5 of the vendor's domain, as the signed manifest and the check-in name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VendorId(pub [u8; 16]);

/// UUIDv5 of the class's name within the vendor, as the signed manifest and the check-in name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub [u8; 16]);

impl ImageDigest {
    /// The first 8 bytes: what `/i/<16 hex digits>` names.
    pub fn short(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }

    /// Lower-case hex of the first 8 bytes, as commands accept it.
    pub fn short_hex(&self) -> String {
        hex(&self.short())
    }
}

impl ArtefactDigest {
    /// The `ETag` of every block: the first 4 bytes.
    pub fn etag(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String never fails");
            text
        })
}

macro_rules! shown_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex(&self.0))
            }
        }
    )*};
}

macro_rules! shown_as_uuid {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&uuid(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), uuid(&self.0))
            }
        }
    )*};
}

/// RFC 9562 §4: five groups of lower-case hex.
fn uuid(bytes: &[u8; 16]) -> String {
    let groups = [
        &bytes[..4],
        &bytes[4..6],
        &bytes[6..8],
        &bytes[8..10],
        &bytes[10..],
    ];
    groups.map(hex).join("-")
}

shown_as_hex!(ImageDigest, ArtefactDigest);
shown_as_uuid!(VendorId, ClassId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_shown_as_uuids_and_digests_as_hex() {
        let bytes = core::array::from_fn(|at| at as u8);
        assert_eq!(ClassId(bytes).to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(ImageDigest([0xAB; 32]).short_hex(), "ab".repeat(8));
    }
}
