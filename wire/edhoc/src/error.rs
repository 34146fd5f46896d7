//! Why a message of a handshake is not taken, and what the other side is told of it.

use core::fmt;

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Bytes that are no such message, or one longer than any that is of use here.
    Malformed,
    /// Legal, and not ours: another method than 3.
    Method,
    /// Legal, and not ours: another cipher suite than 2 is selected.
    Suite,
    /// A public key that is no point of the curve, or a private key that is none.
    Point,
    /// An external authorization data item that is critical: none is known here (RFC 9528 §3.8).
    CriticalEad,
    /// Legal, and not ours: a credential by value, or by something else than a kid.
    CredentialKind,
    /// Not encrypted with the keys of this handshake. It says nothing about who the other side of it is.
    Forged,
    /// Whoever speaks does not hold the private key of that credential.
    Impostor,
    /// Misuse: the two connection identifiers would be the two ids of one OSCORE context (RFC 9528 §3.3.3).
    SameIds,
}

impl Fault {
    /// The EDHOC error message (RFC 9528 §6): a code and what belongs to it. Says no more than the sender knows.
    #[must_use]
    pub const fn message(self) -> &'static [u8] {
        match self {
            // ERR_CODE 2 with SUITES_R, the one that is supported.
            Fault::Suite => &[0x02, 0x02],
            // ERR_CODE 3 and true: the credential that was referenced is not known, or not proven.
            Fault::CredentialKind | Fault::Impostor => &[0x03, 0xF5],
            // ERR_CODE 1 and a text.
            Fault::Method => b"\x01\x68method 3",
            Fault::CriticalEad => b"\x01\x63ead",
            Fault::Malformed | Fault::Point | Fault::Forged | Fault::SameIds => b"\x01\x60",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Malformed => "edhoc message is malformed",
            Fault::Method => "edhoc method is not 3",
            Fault::Suite => "edhoc cipher suite is not 2",
            Fault::Point => "key is not on the curve P-256",
            Fault::CriticalEad => "edhoc message asks for an extension that is not known",
            Fault::CredentialKind => "edhoc credential is not named by a kid",
            Fault::Forged => "edhoc message is not of this handshake",
            Fault::Impostor => "edhoc peer does not hold the key of its credential",
            Fault::SameIds => "edhoc connection identifiers are the same",
        })
    }
}

impl core::error::Error for Fault {}

#[cfg(feature = "responder")]
impl From<lakers::EDHOCError> for Fault {
    fn from(error: lakers::EDHOCError) -> Fault {
        match error {
            lakers::EDHOCError::MacVerificationFailed => Fault::Impostor,
            lakers::EDHOCError::UnsupportedMethod => Fault::Method,
            lakers::EDHOCError::UnsupportedCipherSuite => Fault::Suite,
            _ => Fault::Malformed,
        }
    }
}
