//! What is asked about a manifest, and what is answered.

use core::fmt;

/// The longest envelope that is looked at; `wire-manifest`'s and `deltagate-flash`'s constants say the same.
pub const ENVELOPE_BYTES_MAX: usize = 512;
/// The most keys of one question: as many as a device is provisioned with.
pub const KEYS_MAX: usize = 4;

/// Whether this envelope is one for this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The envelope as it travels, at most [`ENVELOPE_BYTES_MAX`].
    pub envelope: &'a [u8],
    /// The device's vendor.
    pub vendor_id: &'a [u8; 16],
    /// The device's class.
    pub class_id: &'a [u8; 16],
    /// The raw Ed25519 public keys whose signatures count, at most [`KEYS_MAX`].
    pub keys: &'a [[u8; 32]],
    /// How many of them have to sign; 0 stands for 1.
    pub least: u8,
}

/// A [`Question`] as it is given through the table.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct RawQuestion {
    /// The envelope's first byte.
    pub envelope: *const u8,
    /// Its length.
    pub envelope_bytes: usize,
    /// The vendor's 16 bytes.
    pub vendor_id: *const [u8; 16],
    /// The class's 16 bytes.
    pub class_id: *const [u8; 16],
    /// The first of the keys, 32 bytes each, one after the other.
    pub keys: *const [u8; 32],
    /// How many they are, and in the byte above that how many of them have to sign, if more than one.
    pub keys_count: usize,
}

impl From<&Question<'_>> for RawQuestion {
    fn from(question: &Question<'_>) -> Self {
        Self {
            envelope: question.envelope.as_ptr(),
            envelope_bytes: question.envelope.len(),
            vendor_id: question.vendor_id,
            class_id: question.class_id,
            keys: question.keys.as_ptr(),
            keys_count: match question.least {
                // As bootloaders from before there was more than one know it.
                0..=1 => question.keys.len(),
                least => question.keys.len() | usize::from(least) << 8,
            },
        }
    }
}

/// What a manifest says that a trusted key signed for this vendor and class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct SignedImage {
    /// The manifest's sequence number.
    pub sequence: u32,
    /// The image's length.
    pub bytes: u32,
    /// The lowest sequence number that it may follow; 0: any.
    pub predecessor_min: u32,
    /// The image's SHA-256.
    pub digest: [u8; 32],
}

/// Why an envelope is not one for this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// No trusted key signed it, or something was altered.
    Signature,
    /// It is malformed, or says what the verifier does not know.
    Unsupported,
    /// It is for another vendor's device.
    Vendor,
    /// It is for another class of device.
    Class,
}

impl Refused {
    /// The number that stands for it in the table's contract; 0 stands for none.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Signature => 1,
            Self::Unsupported => 2,
            Self::Vendor => 3,
            Self::Class => 4,
        }
    }

    /// The inverse of [`Refused::code`]. A number of a later version is a refusal all the same.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => None,
            1 => Some(Self::Signature),
            3 => Some(Self::Vendor),
            4 => Some(Self::Class),
            _ => Some(Self::Unsupported),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Signature => "no trusted key signed the manifest",
            Self::Unsupported => "the manifest says what the verifier does not know",
            Self::Vendor => "the image is for another vendor",
            Self::Class => "the image is for another class",
        })
    }
}

impl core::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_back_from_their_codes_and_unknown_ones_refuse() {
        for refused in [
            Refused::Signature,
            Refused::Unsupported,
            Refused::Vendor,
            Refused::Class,
        ] {
            assert_eq!(Refused::from_code(refused.code()), Some(refused));
        }
        assert_eq!(Refused::from_code(0), None);
        for code in 5..100 {
            assert_eq!(Refused::from_code(code), Some(Refused::Unsupported));
        }
        assert_eq!(Refused::from_code(u32::MAX), Some(Refused::Unsupported));
    }
}
