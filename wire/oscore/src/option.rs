//! The value of the OSCORE option: the compressed COSE object (RFC 8613 §6.1).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+------------------+--------+-----------------+----------
//! |0 0 0|h|k|  n  | Partial IV, n    | s if h | kid context, s  | kid if k
//! +-+-+-+-+-+-+-+-+------------------+--------+-----------------+----------
//! ```
//!
//! An option without flags has no bytes at all.

use core::fmt;

use wire_cbor::Writer;

use crate::id::{Id, IdContext};
use crate::sequence::PartialIv;

const RESERVED: u8 = 0b1110_0000;
const HAS_KID_CONTEXT: u8 = 1 << 4;
const HAS_KID: u8 = 1 << 3;
const PARTIAL_IV_BYTES: u8 = 0b111;

/// What the option says, before anyone knows whether it is true. A server finds the context by `kid` and `kid_context`; the
/// sender's address has no part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OscoreOption<'a> {
    /// The number of the message's nonce. A request has one.
    pub partial_iv: Option<PartialIv>,
    /// The ID Context. Any bytes, up to 255.
    pub kid_context: Option<&'a [u8]>,
    /// The Sender ID. A request has one. Any bytes, to the end of the option: those of no [`Id`] belong to no context.
    pub kid: Option<&'a [u8]>,
}

impl<'a> OscoreOption<'a> {
    /// Reads the value of the option.
    pub fn parse(value: &'a [u8]) -> Result<OscoreOption<'a>, OptionFault> {
        let Some((&flags, rest)) = value.split_first() else {
            return Ok(OscoreOption::default());
        };
        if flags & RESERVED != 0 {
            return Err(OptionFault::ReservedFlag);
        }
        if flags == 0 {
            return Err(OptionFault::NoFlags);
        }
        let (partial_iv, rest) = match flags & PARTIAL_IV_BYTES {
            0 => (None, rest),
            length => {
                let (bytes, rest) = take(rest, length)?;
                let partial_iv = PartialIv::decode(bytes).ok_or(OptionFault::PartialIv)?;
                (Some(partial_iv), rest)
            }
        };
        let (kid_context, rest) = if flags & HAS_KID_CONTEXT == 0 {
            (None, rest)
        } else {
            let (&length, rest) = rest.split_first().ok_or(OptionFault::Truncated)?;
            let (bytes, rest) = take(rest, length)?;
            (Some(bytes), rest)
        };
        let kid = if flags & HAS_KID != 0 {
            Some(rest)
        } else if rest.is_empty() {
            None
        } else {
            return Err(OptionFault::TrailingBytes);
        };
        Ok(OscoreOption {
            partial_iv,
            kid_context,
            kid,
        })
    }
}

fn take(bytes: &[u8], length: u8) -> Result<(&[u8], &[u8]), OptionFault> {
    bytes
        .split_at_checked(usize::from(length))
        .ok_or(OptionFault::Truncated)
}

/// Why the value is no compressed COSE object. All are malformed bytes; a server answers 4.02 (RFC 8613 §8.2 step 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionFault {
    /// One of the three upper bits is set: a later version's, or Group OSCORE's.
    ReservedFlag,
    /// A flag byte of zero, in whose place the option would be empty.
    NoFlags,
    /// The value ends within a field.
    Truncated,
    /// Six or seven bytes of Partial IV, which are reserved, or a zero in front.
    PartialIv,
    /// Bytes behind the last field that the flags announce.
    TrailingBytes,
}

impl fmt::Display for OptionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OptionFault::ReservedFlag => "oscore option has a reserved flag",
            OptionFault::NoFlags => "oscore option has a flag byte without flags",
            OptionFault::Truncated => "oscore option ends within a field",
            OptionFault::PartialIv => "oscore option has no proper partial iv",
            OptionFault::TrailingBytes => "oscore option has bytes behind its last field",
        })
    }
}

impl core::error::Error for OptionFault {}

/// The longest that is sent: flags, Partial IV, length and kid context, wrapped as in Appendix B.2, kid.
pub(crate) const SENT_BYTES_MAX: usize =
    1 + PartialIv::BYTES_MAX + 1 + (1 + IdContext::BYTES_MAX) + Id::BYTES_MAX;

/// A kid context as it is sent.
#[derive(Clone, Copy)]
pub(crate) struct KidContext<'c> {
    pub(crate) bytes: &'c [u8],
    /// Within a CBOR byte string: what Appendix B.2 does with its random ones.
    pub(crate) is_wrapped: bool,
}

/// What a kid context wraps in a CBOR byte string of less than 24 bytes.
pub(crate) fn unwrapped(kid_context: &[u8]) -> Option<&[u8]> {
    let (head, bytes) = kid_context.split_first()?;
    (bytes.len() < 24 && *head == 0x40 | bytes.len() as u8).then_some(bytes)
}

/// An option as it is sent.
pub(crate) fn encode<'r>(
    partial_iv: Option<PartialIv>,
    kid_context: Option<KidContext<'_>>,
    kid: Option<&Id>,
    room: &'r mut [u8; SENT_BYTES_MAX],
) -> &'r [u8] {
    let partial_iv = partial_iv.as_ref().map_or(&[][..], PartialIv::trimmed);
    let flags = partial_iv.len() as u8
        | if kid_context.is_some() { HAS_KID_CONTEXT } else { 0 }
        | if kid.is_some() { HAS_KID } else { 0 };
    if flags == 0 {
        return &[];
    }
    let mut writer = Writer::new(room);
    writer.raw(&[flags]).raw(partial_iv);
    if let Some(KidContext { bytes, is_wrapped }) = kid_context {
        writer.raw(&[bytes.len() as u8 + u8::from(is_wrapped)]);
        if is_wrapped {
            writer.bytes_head(bytes.len() as u64);
        }
        writer.raw(bytes);
    }
    writer.raw(kid.map_or(&[], Id::as_bytes));
    writer.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_no_sender_writes() {
        for (value, fault) in [
            (&[0x29, 1][..], OptionFault::ReservedFlag),
            (&[0x89, 1], OptionFault::ReservedFlag),
            (&[0], OptionFault::NoFlags),
            (&[0x02, 1], OptionFault::Truncated),
            (&[0x11, 1], OptionFault::Truncated),
            (&[0x19, 1, 2, 9], OptionFault::Truncated),
            (&[0x0e, 1, 2, 3, 4, 5, 6], OptionFault::PartialIv),
            (&[0x0f, 1, 2, 3, 4, 5, 6, 7], OptionFault::PartialIv),
            (&[0x0a, 0, 1], OptionFault::PartialIv),
            (&[0x01, 1, 2], OptionFault::TrailingBytes),
        ] {
            assert_eq!(OscoreOption::parse(value), Err(fault), "{value:02x?}");
        }
    }

    #[test]
    fn an_empty_option_says_nothing_and_an_empty_kid_is_one() {
        assert_eq!(OscoreOption::parse(&[]), Ok(OscoreOption::default()));
        let option = OscoreOption::parse(&[0x09, 0x14]).unwrap();
        assert_eq!(option.kid, Some(&[][..]));
        assert_eq!(option.partial_iv, PartialIv::new(0x14));
    }

    proptest! {
        #[test]
        fn what_is_parsed_has_one_spelling(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(option) = OscoreOption::parse(&value) {
                let kid = option.kid.map(Id::new);
                let is_sent = option.kid_context.is_none_or(|bytes| bytes.len() <= 1 + IdContext::BYTES_MAX);
                if kid != Some(None) && is_sent {
                    let kid_context = option.kid_context.map(|bytes| KidContext { bytes, is_wrapped: false });
                    let mut room = [0; SENT_BYTES_MAX];
                    let encoded = encode(option.partial_iv, kid_context, kid.flatten().as_ref(), &mut room);
                    prop_assert_eq!(encoded, value);
                }
            }
        }
    }
}
