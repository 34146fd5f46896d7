//! Why a message was not protected, or not believed.

use core::fmt;

use wire_coap::{Code, OptionNumber, ParseError, WriteError};

use crate::option::OptionFault;

/// Why a message was not protected. All are misuse by the caller, except a buffer that the link made too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtectError {
    /// The protected message did not fit: it is up to [`crate::OVERHEAD_BYTES_MAX`] longer than the plain one.
    Write(WriteError),
    /// Code, options and payload have more than 65,535 bytes.
    TooLong,
    /// An option that cannot be protected: see [`crate::class()`].
    Option(OptionNumber),
    /// A request where a response belongs, or the other way round, or an empty message, which is never protected.
    Code(Code),
    /// The request's nonce is spent, or was never to be had: what is to be protected needs a Partial IV of its own. So do
    /// notifications, further responses, and whatever answers a request that may be a replay.
    OwnPartialIvNeeded,
}

impl From<WriteError> for ProtectError {
    fn from(error: WriteError) -> Self {
        ProtectError::Write(error)
    }
}

impl fmt::Display for ProtectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtectError::Write(error) => error.fmt(f),
            ProtectError::TooLong => f.write_str("message is longer than 65535 bytes"),
            ProtectError::Option(number) => write!(f, "option {number} cannot be protected"),
            ProtectError::Code(code) => write!(f, "a message with code {code} is not to be protected here"),
            ProtectError::OwnPartialIvNeeded => {
                f.write_str("the request's nonce is spent; the response needs a partial iv of its own")
            }
        }
    }
}

impl core::error::Error for ProtectError {}

/// Why a message is not believed. Nothing was changed by it: no window, no exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnprotectError {
    /// Malformed: no CoAP message at all.
    Coap(ParseError),
    /// No OSCORE option, or a response where a request belongs: a plain message.
    NotProtected,
    /// Malformed: the option's value.
    Option(OptionFault),
    /// Malformed: more than one OSCORE option; a request without Partial IV or kid, or a response with a kid or a kid context,
    /// which is Group OSCORE's; a text too short to have a tag, or too long.
    Malformed,
    /// Unsupported: an option outside that asks for a proxy, or says that the message is a piece of one (RFC 8613 §4.1.3.4.2).
    Unsupported(OptionNumber),
    /// The kid, or the kid context, is not this context's.
    OtherContext,
    /// Misbehaved: this Partial IV came already, or is behind the window; of a notification, one as new came already; or
    /// the request was answered before.
    Replayed,
    /// The tag is wrong: forged, altered, or from other keys. The datagram is as it came.
    Forged,
    /// Misbehaved: authentic, but what is inside is no request (or no response), or says of an exchange what it is not.
    Inner,
}

impl UnprotectError {
    /// What a server may answer, plain and with Max-Age 0 (RFC 8613 §8.2): code and diagnostic payload. `None`: nothing.
    ///
    /// Anybody can cause it, so that it is worth less than the airtime on a slow link.
    #[must_use]
    pub const fn answer(&self) -> Option<(Code, &'static str)> {
        match self {
            UnprotectError::Coap(_) | UnprotectError::NotProtected => None,
            UnprotectError::Option(_) | UnprotectError::Malformed => {
                Some((Code::BAD_OPTION, "Failed to decode COSE"))
            }
            UnprotectError::Unsupported(_) => Some((Code::BAD_OPTION, "")),
            UnprotectError::OtherContext => Some((Code::UNAUTHORIZED, "Security context not found")),
            UnprotectError::Replayed => Some((Code::UNAUTHORIZED, "Replay detected")),
            UnprotectError::Forged => Some((Code::BAD_REQUEST, "Decryption failed")),
            UnprotectError::Inner => Some((Code::BAD_REQUEST, "")),
        }
    }
}

impl From<OptionFault> for UnprotectError {
    fn from(fault: OptionFault) -> Self {
        UnprotectError::Option(fault)
    }
}

impl fmt::Display for UnprotectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnprotectError::Coap(error) => error.fmt(f),
            UnprotectError::Option(fault) => fault.fmt(f),
            UnprotectError::NotProtected => f.write_str("message is not protected"),
            UnprotectError::Malformed => f.write_str("protected message is malformed"),
            UnprotectError::Unsupported(number) => {
                write!(
                    f,
                    "protected message has option {number} outside, which is not supported"
                )
            }
            UnprotectError::OtherContext => f.write_str("message belongs to another security context"),
            UnprotectError::Replayed => f.write_str("message came before, or is too old to tell"),
            UnprotectError::Forged => f.write_str("message is forged, altered, or from other keys"),
            UnprotectError::Inner => f.write_str("authentic message has no proper content"),
        }
    }
}

impl core::error::Error for UnprotectError {}
