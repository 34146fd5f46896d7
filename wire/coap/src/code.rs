//! The values of the fixed header (RFC 7252 §3).

use core::fmt;

/// What a message is to the message layer (RFC 7252 §3, "T").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// CON: repeated until acknowledged or reset.
    Confirmable,
    /// NON: sent once.
    NonConfirmable,
    /// ACK: answers a CON, empty or carrying the response ("piggybacked").
    Acknowledgement,
    /// RST: the peer could not process the message whose id it echoes.
    Reset,
}

impl Kind {
    /// The two bits on the wire; only the low two bits of `bits` count.
    pub const fn from_bits(bits: u8) -> Kind {
        match bits & 0b11 {
            0 => Kind::Confirmable,
            1 => Kind::NonConfirmable,
            2 => Kind::Acknowledgement,
            _ => Kind::Reset,
        }
    }

    /// The two bits on the wire, 0 to 3.
    pub const fn bits(self) -> u8 {
        match self {
            Kind::Confirmable => 0,
            Kind::NonConfirmable => 1,
            Kind::Acknowledgement => 2,
            Kind::Reset => 3,
        }
    }

    /// Whether a message of this kind may carry this code (RFC 7252 §4.2 and §4.3, Table 1).
    ///
    /// A Reset is empty, an Acknowledgement never carries a request, and a Non-confirmable is never empty.
    /// An empty Confirmable is legal: it is a ping.
    pub const fn may_carry(self, code: Code) -> bool {
        match self {
            Kind::Confirmable => true,
            Kind::NonConfirmable => !code.is_empty(),
            Kind::Acknowledgement => !code.is_request(),
            Kind::Reset => code.is_empty(),
        }
    }
}

/// A method or response code: class in the top three bits, detail below (RFC 7252 §3, §12.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

impl Code {
    /// 0.00: an Empty message.
    pub const EMPTY: Code = Code::new(0, 0);
    /// 0.01
    pub const GET: Code = Code::new(0, 1);
    /// 0.02
    pub const POST: Code = Code::new(0, 2);
    /// 0.03
    pub const PUT: Code = Code::new(0, 3);
    /// 0.04
    pub const DELETE: Code = Code::new(0, 4);
    /// 0.05 (RFC 8132)
    pub const FETCH: Code = Code::new(0, 5);
    /// 0.06 (RFC 8132)
    pub const PATCH: Code = Code::new(0, 6);
    /// 0.07 (RFC 8132)
    pub const IPATCH: Code = Code::new(0, 7);

    /// 2.01
    pub const CREATED: Code = Code::new(2, 1);
    /// 2.02
    pub const DELETED: Code = Code::new(2, 2);
    /// 2.03
    pub const VALID: Code = Code::new(2, 3);
    /// 2.04
    pub const CHANGED: Code = Code::new(2, 4);
    /// 2.05
    pub const CONTENT: Code = Code::new(2, 5);
    /// 2.31 (RFC 7959)
    pub const CONTINUE: Code = Code::new(2, 31);

    /// 4.00
    pub const BAD_REQUEST: Code = Code::new(4, 0);
    /// 4.01
    pub const UNAUTHORIZED: Code = Code::new(4, 1);
    /// 4.02
    pub const BAD_OPTION: Code = Code::new(4, 2);
    /// 4.03
    pub const FORBIDDEN: Code = Code::new(4, 3);
    /// 4.04
    pub const NOT_FOUND: Code = Code::new(4, 4);
    /// 4.05
    pub const METHOD_NOT_ALLOWED: Code = Code::new(4, 5);
    /// 4.06
    pub const NOT_ACCEPTABLE: Code = Code::new(4, 6);
    /// 4.08 (RFC 7959)
    pub const REQUEST_ENTITY_INCOMPLETE: Code = Code::new(4, 8);
    /// 4.09 (RFC 8132)
    pub const CONFLICT: Code = Code::new(4, 9);
    /// 4.12
    pub const PRECONDITION_FAILED: Code = Code::new(4, 12);
    /// 4.13
    pub const REQUEST_ENTITY_TOO_LARGE: Code = Code::new(4, 13);
    /// 4.15
    pub const UNSUPPORTED_CONTENT_FORMAT: Code = Code::new(4, 15);
    /// 4.22 (RFC 8132)
    pub const UNPROCESSABLE_ENTITY: Code = Code::new(4, 22);
    /// 4.29 (RFC 8516): Max-Age says when to come again.
    pub const TOO_MANY_REQUESTS: Code = Code::new(4, 29);

    /// 5.00
    pub const INTERNAL_SERVER_ERROR: Code = Code::new(5, 0);
    /// 5.01
    pub const NOT_IMPLEMENTED: Code = Code::new(5, 1);
    /// 5.02
    pub const BAD_GATEWAY: Code = Code::new(5, 2);
    /// 5.03: Max-Age says when to come again.
    pub const SERVICE_UNAVAILABLE: Code = Code::new(5, 3);
    /// 5.04
    pub const GATEWAY_TIMEOUT: Code = Code::new(5, 4);
    /// 5.05
    pub const PROXYING_NOT_SUPPORTED: Code = Code::new(5, 5);
    /// 5.08 (RFC 8768)
    pub const HOP_LIMIT_REACHED: Code = Code::new(5, 8);

    /// Puts a code together; the low three bits of `class` and the low five of `detail` count.
    pub const fn new(class: u8, detail: u8) -> Code {
        Code((class & 0b111) << 5 | detail & 0b1_1111)
    }

    /// 0 request, 2 success, 4 client error, 5 server error.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// 0 to 31.
    pub const fn detail(self) -> u8 {
        self.0 & 0b1_1111
    }

    /// 0.00.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// 0.01 to 0.31, assigned or not: an unknown method is answered with 4.05 (RFC 7252 §5.8).
    pub const fn is_request(self) -> bool {
        self.class() == 0 && !self.is_empty()
    }

    /// 2.00 to 5.31. An unknown one counts as the x.00 of its class (RFC 7252 §5.9).
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2..=5)
    }

    /// 2.00 to 2.31.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// Classes 1, 6 and 7, which a recipient rejects (RFC 7252 §4.2, §12.1).
    pub const fn is_reserved(self) -> bool {
        matches!(self.class(), 1 | 6 | 7)
    }
}

/// `2.05`: the RFC's way of writing it.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

/// Pairs a message with its ACK or RST and exposes duplicates (RFC 7252 §4.4). Never matches a response to a
/// request: that is the [`Token`]'s work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

impl MessageId {
    /// The id after this one, wrapping.
    pub const fn next(self) -> MessageId {
        MessageId(self.0.wrapping_add(1))
    }
}

/// Matches a response to its request, 0 to 8 bytes chosen by the client (RFC 7252 §5.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// Bytes past `length` are zero, so that the derived equality holds.
    bytes: [u8; Token::LENGTH_MAX],
    length: u8,
}

impl Token {
    /// RFC 7252 §3: lengths 9 to 15 are reserved.
    pub const LENGTH_MAX: usize = 8;
    /// The zero-length token.
    pub const EMPTY: Token = Token {
        bytes: [0; Token::LENGTH_MAX],
        length: 0,
    };

    /// `None` when longer than 8 bytes.
    pub fn new(bytes: &[u8]) -> Option<Token> {
        let mut token = Token {
            length: bytes.len() as u8,
            ..Token::EMPTY
        };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    /// A four-byte token, as our own clients use.
    pub const fn from_u32(value: u32) -> Token {
        let [a, b, c, d] = value.to_be_bytes();
        Token {
            bytes: [a, b, c, d, 0, 0, 0, 0],
            length: 4,
        }
    }

    /// The bytes as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// Whether the token has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn code_is_shown_as_class_dot_two_digits() {
        assert_eq!(format!("{}", Code(0x45)), "2.05");
        assert_eq!(format!("{}", Code(0x00)), "0.00");
        assert_eq!(format!("{:?}", Code(0xff)), "Code(7.31)");
    }

    #[test]
    fn every_code_is_exactly_one_of_empty_request_response_reserved() {
        for byte in 0..=u8::MAX {
            let code = Code(byte);
            let kinds = [
                code.is_empty(),
                code.is_request(),
                code.is_response(),
                code.is_reserved(),
            ];
            assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{code}");
            assert_eq!(Code::new(code.class(), code.detail()), code);
        }
    }

    #[test]
    fn kind_and_code_go_together_as_in_table_1() {
        let row = |kind: Kind| [Code::GET, Code::CONTENT, Code::EMPTY].map(|code| kind.may_carry(code));
        assert_eq!(row(Kind::Confirmable), [true, true, true]);
        assert_eq!(row(Kind::NonConfirmable), [true, true, false]);
        assert_eq!(row(Kind::Acknowledgement), [false, true, true]);
        assert_eq!(row(Kind::Reset), [false, false, true]);
    }

    #[test]
    fn token_holds_zero_to_eight_bytes() {
        for length in 0..=8 {
            let bytes = [0xa5; 8];
            assert_eq!(Token::new(&bytes[..length]).unwrap().as_bytes(), &bytes[..length]);
        }
        assert_eq!(Token::new(&[0; 9]), None);
        assert_ne!(
            Token::new(&[0]),
            Token::new(&[0, 0]),
            "length is part of the value (RFC 7252 §5.3.1)"
        );
    }

    #[test]
    fn message_id_wraps() {
        assert_eq!(MessageId(0xffff).next(), MessageId(0));
    }
}
