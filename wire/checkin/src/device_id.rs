//! The name a device gives itself.

use core::fmt;
use core::str::FromStr;

/// Longest device id in bytes: an EUI-64, a MAC address or a UUID fits.
pub const DEVICE_ID_BYTES_MAX: usize = 16;

/// The id a device checks in with: 1 to 16 bytes that the device's maker keeps unique (a MAC address, an EUI-64).
///
/// It identifies, it does not authenticate. Displayed and parsed as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    // Unused bytes stay zero, and the length comes second, so that the derived order is that of the byte strings.
    bytes: [u8; DEVICE_ID_BYTES_MAX],
    len: u8,
}

impl DeviceId {
    /// The id made of these bytes, or `None` when there are none or more than [`DEVICE_ID_BYTES_MAX`].
    pub const fn new(id: &[u8]) -> Option<Self> {
        if id.is_empty() || id.len() > DEVICE_ID_BYTES_MAX {
            return None;
        }
        let mut bytes = [0; DEVICE_ID_BYTES_MAX];
        let mut at = 0;
        while at < id.len() {
            bytes[at] = id[at];
            at += 1;
        }
        Some(Self {
            bytes,
            len: id.len() as u8,
        })
    }

    /// The id's bytes, as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

/// The text is not a device id: 2 to 32 hex digits, an even number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADeviceId;

impl fmt::Display for NotADeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a device id is an even number of 2 to 32 hex digits")
    }
}

impl core::error::Error for NotADeviceId {}

impl FromStr for DeviceId {
    type Err = NotADeviceId;

    fn from_str(text: &str) -> Result<Self, NotADeviceId> {
        let mut bytes = [0; DEVICE_ID_BYTES_MAX];
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) || digits.len() > 2 * DEVICE_ID_BYTES_MAX {
            return Err(NotADeviceId);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Self::new(&bytes[..digits.len() / 2]).ok_or(NotADeviceId)
    }
}

fn hex_digit(digit: u8) -> Result<u8, NotADeviceId> {
    char::from(digit)
        .to_digit(16)
        .map(|value| value as u8)
        .ok_or(NotADeviceId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_device_id_has_one_to_sixteen_bytes() {
        assert_eq!(DeviceId::new(&[]), None);
        assert_eq!(DeviceId::new(&[0; 17]), None);
        assert_eq!(DeviceId::new(&[9; 16]).unwrap().as_bytes(), [9; 16]);
    }

    #[test]
    fn hex_is_read_back_and_shown_in_lower_case() {
        let id: DeviceId = "52540012ABcd".parse().unwrap();
        assert_eq!(id.to_string(), "52540012abcd");
        assert_eq!(id.as_bytes(), [0x52, 0x54, 0x00, 0x12, 0xab, 0xcd]);
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in ["", "5", "5g", "525", "é9", &"00".repeat(17)] {
            assert_eq!(text.parse::<DeviceId>(), Err(NotADeviceId), "{text:?}");
        }
    }

    #[test]
    fn trailing_zero_bytes_make_another_id() {
        assert_ne!(DeviceId::new(&[1]), DeviceId::new(&[1, 0]));
        assert!(DeviceId::new(&[1]) < DeviceId::new(&[1, 0]));
    }
}
