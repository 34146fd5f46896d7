//! Which options are encrypted and which stay outside (RFC 8613 §4.1, Figure 5, and what later documents added).

use wire_coap::OptionNumber;

/// Where an option of the plain message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// E: encrypted. Of options that may also stand outside, ours go inside: what is outside is a proxy's business.
    Inner,
    /// U: stays outside, for anybody to read and change.
    Outer,
    /// Observe: inside what counts, outside for intermediaries (§4.1.3.5).
    Both,
    /// Not for us to protect: the OSCORE option itself (§4.1.3.7), and Proxy-Uri, which is to be taken apart first (§4.1.3.3).
    Refused,
}

/// The table. Numbers not listed are class E (§4.1).
///
/// | No. | option | E | U | ours |
/// |---|---|---|---|---|
/// | 1 | If-Match | x | | Inner |
/// | 3 | Uri-Host | | x | Outer |
/// | 4 | ETag | x | | Inner |
/// | 5 | If-None-Match | x | | Inner |
/// | 6 | Observe | x | x | Both |
/// | 7 | Uri-Port | | x | Outer |
/// | 8 | Location-Path | x | | Inner |
/// | 9 | OSCORE | | x | Refused |
/// | 11 | Uri-Path | x | | Inner |
/// | 12 | Content-Format | x | | Inner |
/// | 14 | Max-Age | x | x | Inner |
/// | 15 | Uri-Query | x | | Inner |
/// | 16 | Hop-Limit (RFC 8768) | | x | Outer |
/// | 17 | Accept | x | | Inner |
/// | 19 | Q-Block1 (RFC 9177) | x | x | Inner |
/// | 20 | Location-Query | x | | Inner |
/// | 21 | EDHOC (RFC 9668) | | x | Outer |
/// | 23 | Block2 | x | x | Inner |
/// | 27 | Block1 | x | x | Inner |
/// | 28 | Size2 | x | x | Inner |
/// | 31 | Q-Block2 (RFC 9177) | x | x | Inner |
/// | 35 | Proxy-Uri | | x | Refused |
/// | 39 | Proxy-Scheme | | x | Outer |
/// | 60 | Size1 | x | x | Inner |
/// | 252 | Echo (RFC 9175) | x | x | Inner |
/// | 258 | No-Response | x | x | Inner |
/// | 292 | Request-Tag (RFC 9175) | x | x | Inner |
#[must_use]
pub const fn class(number: OptionNumber) -> Class {
    match number {
        OptionNumber::URI_HOST
        | OptionNumber::URI_PORT
        | OptionNumber::HOP_LIMIT
        | OptionNumber::EDHOC
        | OptionNumber::PROXY_SCHEME => Class::Outer,
        OptionNumber::OBSERVE => Class::Both,
        OptionNumber::OSCORE | OptionNumber::PROXY_URI => Class::Refused,
        _ => Class::Inner,
    }
}

/// Whether a protected message may have this option outside. What may be inside is discarded outside (§8.2 step 1), and so are
/// Uri-Host and Uri-Port: whoever has the keys is meant, whatever it is called (§4.1.3.2). Refused are the options that
/// ask for a proxy or for a key exchange first, and pieces of a message that was cut outside (§4.1.3.4.2), which is neither.
pub(crate) const fn may_stand_outside(number: OptionNumber) -> bool {
    !matches!(
        number,
        OptionNumber::PROXY_URI
            | OptionNumber::PROXY_SCHEME
            | OptionNumber::EDHOC
            | OptionNumber::BLOCK1
            | OptionNumber::BLOCK2
            | OptionNumber::Q_BLOCK1
            | OptionNumber::Q_BLOCK2
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figure 5 in the form in which it was typed the second time: numbers that have a cross under E.
    #[test]
    fn the_table_is_figure_5() {
        let inner = [1, 4, 5, 8, 11, 12, 14, 15, 17, 20, 23, 27, 28, 60, 258];
        let outer = [3, 7, 39];
        assert!(inner.iter().all(|n| class(OptionNumber(*n)) == Class::Inner));
        assert!(outer.iter().all(|n| class(OptionNumber(*n)) == Class::Outer));
        assert_eq!(class(OptionNumber(6)), Class::Both);
        assert_eq!(class(OptionNumber(9)), Class::Refused);
        assert_eq!(class(OptionNumber(35)), Class::Refused);
        assert_eq!(class(OptionNumber(65_001)), Class::Inner, "unknown: class E");
    }
}
