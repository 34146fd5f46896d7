//! Option numbers and what they say about themselves, and the values that deserve a type.

use core::fmt;
use core::ops::RangeInclusive;

/// An option number (RFC 7252 §5.4, §12.2). Its low bits carry its properties (§5.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionNumber(pub u16);

impl OptionNumber {
    /// RFC 7252 §5.10.8.1
    pub const IF_MATCH: OptionNumber = OptionNumber(1);
    /// RFC 7252 §5.10.1
    pub const URI_HOST: OptionNumber = OptionNumber(3);
    /// RFC 7252 §5.10.6
    pub const ETAG: OptionNumber = OptionNumber(4);
    /// RFC 7252 §5.10.8.2
    pub const IF_NONE_MATCH: OptionNumber = OptionNumber(5);
    /// RFC 7641
    pub const OBSERVE: OptionNumber = OptionNumber(6);
    /// RFC 7252 §5.10.1
    pub const URI_PORT: OptionNumber = OptionNumber(7);
    /// RFC 7252 §5.10.7
    pub const LOCATION_PATH: OptionNumber = OptionNumber(8);
    /// RFC 8613
    pub const OSCORE: OptionNumber = OptionNumber(9);
    /// RFC 7252 §5.10.1
    pub const URI_PATH: OptionNumber = OptionNumber(11);
    /// RFC 7252 §5.10.3
    pub const CONTENT_FORMAT: OptionNumber = OptionNumber(12);
    /// RFC 7252 §5.10.5
    pub const MAX_AGE: OptionNumber = OptionNumber(14);
    /// RFC 7252 §5.10.1
    pub const URI_QUERY: OptionNumber = OptionNumber(15);
    /// RFC 8768
    pub const HOP_LIMIT: OptionNumber = OptionNumber(16);
    /// RFC 7252 §5.10.4
    pub const ACCEPT: OptionNumber = OptionNumber(17);
    /// RFC 9177
    pub const Q_BLOCK1: OptionNumber = OptionNumber(19);
    /// RFC 7252 §5.10.7
    pub const LOCATION_QUERY: OptionNumber = OptionNumber(20);
    /// RFC 9668
    pub const EDHOC: OptionNumber = OptionNumber(21);
    /// RFC 7959
    pub const BLOCK2: OptionNumber = OptionNumber(23);
    /// RFC 7959
    pub const BLOCK1: OptionNumber = OptionNumber(27);
    /// RFC 7959
    pub const SIZE2: OptionNumber = OptionNumber(28);
    /// RFC 9177
    pub const Q_BLOCK2: OptionNumber = OptionNumber(31);
    /// RFC 7252 §5.10.2
    pub const PROXY_URI: OptionNumber = OptionNumber(35);
    /// RFC 7252 §5.10.2
    pub const PROXY_SCHEME: OptionNumber = OptionNumber(39);
    /// RFC 7252 §5.10.9
    pub const SIZE1: OptionNumber = OptionNumber(60);
    /// RFC 9175
    pub const ECHO: OptionNumber = OptionNumber(252);
    /// RFC 7967
    pub const NO_RESPONSE: OptionNumber = OptionNumber(258);
    /// RFC 9175
    pub const REQUEST_TAG: OptionNumber = OptionNumber(292);

    /// Odd numbers: a recipient that does not understand it answers 4.02 (RFC 7252 §5.4.1).
    pub const fn is_critical(self) -> bool {
        self.0 & 1 != 0
    }

    /// Even numbers: a recipient that does not understand it ignores it (RFC 7252 §5.4.1).
    pub const fn is_elective(self) -> bool {
        !self.is_critical()
    }

    /// Whether the option may occur more than once. Of an option that may not, every occurrence after the first
    /// counts as unrecognized (RFC 7252 §5.4.5). Numbers not listed here are taken as repeatable.
    pub const fn is_repeatable(self) -> bool {
        match self.value_length() {
            None => true,
            Some(_) => matches!(
                self,
                OptionNumber::IF_MATCH
                    | OptionNumber::ETAG
                    | OptionNumber::LOCATION_PATH
                    | OptionNumber::URI_PATH
                    | OptionNumber::URI_QUERY
                    | OptionNumber::LOCATION_QUERY
                    | OptionNumber::Q_BLOCK2
                    | OptionNumber::REQUEST_TAG
            ),
        }
    }

    /// Lengths a value may have, for the numbers listed here. A value of another length makes the option count as
    /// unrecognized (RFC 7252 §5.4.3).
    pub const fn value_length(self) -> Option<RangeInclusive<usize>> {
        Some(match self {
            OptionNumber::IF_MATCH | OptionNumber::REQUEST_TAG => 0..=8,
            OptionNumber::ETAG => 1..=8,
            OptionNumber::IF_NONE_MATCH | OptionNumber::EDHOC => 0..=0,
            OptionNumber::HOP_LIMIT => 1..=1,
            OptionNumber::NO_RESPONSE => 0..=1,
            OptionNumber::URI_PORT | OptionNumber::CONTENT_FORMAT | OptionNumber::ACCEPT => 0..=2,
            OptionNumber::OBSERVE
            | OptionNumber::BLOCK1
            | OptionNumber::BLOCK2
            | OptionNumber::Q_BLOCK1
            | OptionNumber::Q_BLOCK2 => 0..=3,
            OptionNumber::MAX_AGE | OptionNumber::SIZE1 | OptionNumber::SIZE2 => 0..=4,
            OptionNumber::ECHO => 1..=40,
            OptionNumber::URI_HOST | OptionNumber::PROXY_SCHEME => 1..=255,
            OptionNumber::LOCATION_PATH
            | OptionNumber::URI_PATH
            | OptionNumber::URI_QUERY
            | OptionNumber::LOCATION_QUERY
            | OptionNumber::OSCORE => 0..=255,
            OptionNumber::PROXY_URI => 1..=1034,
            _ => return None,
        })
    }

    /// Whether a value of `length` bytes is within the option's definition; true for numbers not listed here.
    pub fn accepts_length(self, length: usize) -> bool {
        self.value_length()
            .is_none_or(|lengths| lengths.contains(&length))
    }
}

impl fmt::Display for OptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a payload is (RFC 7252 §12.3), a number of the CoAP Content-Formats registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentFormat(pub u16);

impl ContentFormat {
    /// text/plain; charset=utf-8
    pub const TEXT: ContentFormat = ContentFormat(0);
    /// application/cose; cose-type="cose-sign1"
    pub const COSE_SIGN1: ContentFormat = ContentFormat(18);
    /// application/link-format (RFC 6690)
    pub const LINK_FORMAT: ContentFormat = ContentFormat(40);
    /// application/octet-stream
    pub const OCTET_STREAM: ContentFormat = ContentFormat(42);
    /// application/json
    pub const JSON: ContentFormat = ContentFormat(50);
    /// application/cbor
    pub const CBOR: ContentFormat = ContentFormat(60);
    /// application/cbor-seq
    pub const CBOR_SEQUENCE: ContentFormat = ContentFormat(63);
    /// application/missing-blocks+cbor-seq (RFC 9177)
    pub const MISSING_BLOCKS: ContentFormat = ContentFormat(272);
}

/// Names one representation of a resource, 1 to 8 bytes (RFC 7252 §5.10.6). Two blocks with different tags belong
/// to different representations and are never put together (RFC 7959 §2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ETag {
    /// Bytes past `length` are zero, so that the derived equality holds.
    bytes: [u8; ETag::LENGTH_MAX],
    length: u8,
}

impl ETag {
    /// RFC 7252 §5.10, Table 4.
    pub const LENGTH_MAX: usize = 8;

    /// `None` when empty or longer than 8 bytes.
    pub fn new(bytes: &[u8]) -> Option<ETag> {
        if bytes.is_empty() {
            return None;
        }
        let mut etag = ETag {
            bytes: [0; ETag::LENGTH_MAX],
            length: bytes.len() as u8,
        };
        etag.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(etag)
    }

    /// The four-byte tag that this gateway derives from content.
    pub const fn from_array(bytes: [u8; 4]) -> ETag {
        let [a, b, c, d] = bytes;
        ETag {
            bytes: [a, b, c, d, 0, 0, 0, 0],
            length: 4,
        }
    }

    /// The bytes as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_are_critical() {
        let critical = [1, 3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 27, 31, 35, 39];
        let elective = [4, 6, 8, 12, 14, 16, 20, 28, 60, 252, 258, 292];
        assert!(critical.iter().all(|n| OptionNumber(*n).is_critical()));
        assert!(elective.iter().all(|n| OptionNumber(*n).is_elective()));
    }

    #[test]
    fn value_lengths_are_those_of_table_4() {
        assert!(!OptionNumber::ETAG.accepts_length(0));
        assert!(OptionNumber::ETAG.accepts_length(8));
        assert!(!OptionNumber::ETAG.accepts_length(9));
        assert!(OptionNumber::BLOCK2.accepts_length(0));
        assert!(!OptionNumber::BLOCK2.accepts_length(4));
        assert!(
            OptionNumber(2049).accepts_length(1000),
            "nothing is known of this number"
        );
    }

    #[test]
    fn path_may_repeat_and_block_may_not() {
        assert!(OptionNumber::URI_PATH.is_repeatable());
        assert!(!OptionNumber::BLOCK2.is_repeatable());
        assert!(!OptionNumber::ACCEPT.is_repeatable());
    }

    #[test]
    fn etag_holds_one_to_eight_bytes() {
        assert_eq!(ETag::new(&[]), None);
        assert_eq!(ETag::new(&[0; 9]), None);
        assert_ne!(ETag::new(&[1]), ETag::new(&[1, 0]));
        assert_eq!(ETag::new(&[1, 2, 3, 4]), Some(ETag::from_array([1, 2, 3, 4])));
        assert_eq!(ETag::from_array([1, 2, 3, 4]).as_bytes(), &[1, 2, 3, 4]);
    }
}
