//! What the core asks of its shell.

use crate::change::Change;
use crate::identity::{ArtefactDigest, ImageDigest};
use crate::records::ArtefactRecord;
use crate::units::Bytes;
use core::net::SocketAddr;

/// Something the shell must do. Drain with [`crate::Gateway::poll_effect`] before [`crate::Gateway::poll_transmit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store and commit before anything is transmitted.
    Store(Change),
    /// Build artefacts, prove them, and report through [`crate::Gateway::handle_built`].
    Build(BuildRequest),
    /// Remove a file that no row names any more, after the changes before it are committed and before any later build.
    Discard(File),
}

/// A file that the shell keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// An original.
    Image(ImageDigest),
    /// What was made of one.
    Artefact(ArtefactDigest),
}

/// What to build, and at the same time its identity: the core asks once for each, however many devices wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildKey {
    /// What the devices run; `None` for payloads that need no base (`full`, `lz4`).
    pub base: Option<ImageDigest>,
    /// What they should run.
    pub target: ImageDigest,
    /// The formats to build. Never empty.
    pub formats: BuildFormats,
}

/// Formats to build, as one comparable value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildFormats {
    /// Plain image.
    pub full: bool,
    /// lz4.
    pub lz4: bool,
    /// BSDIFF40.
    pub bsdiff: bool,
    /// Our patch for decoders with this much memory.
    pub patch_memory: Option<Bytes>,
    /// That patch is to be applied in place, with this reach. With no base it holds all of the image.
    pub in_place: Option<Bytes>,
}

/// A build to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildRequest {
    /// What to build.
    pub key: BuildKey,
}

/// What came of a build: the artefacts, stored and proven by applying them, or one clause saying why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOutcome {
    /// Which build.
    pub key: BuildKey,
    /// A format may be missing when it makes no sense for this pair; at least one must be there.
    pub result: Result<Vec<ArtefactRecord>, String>,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub peer: SocketAddr,
    /// How.
    pub channel: Channel,
    /// What: of a session the CoAP message, which is protected on its way out; else the UDP payload.
    pub bytes: Vec<u8>,
}

/// How a datagram leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// From the port of `coap://`.
    #[default]
    Plain,
    /// From the port of `coaps://`, protected by the shell's session of this number; for nobody, when that is gone.
    Session(u64),
    /// From the port of `coaps://` as it is: a flight of a handshake.
    Handshake,
}

/// How much longer a record of DTLS 1.2 with AES-128-CCM-8 is than what is in it: header 13, nonce 8, tag 8 (RFC 6347 §4.1, RFC 6655 §3).
pub const DTLS_OVERHEAD_BYTES: u16 = 13 + 8 + 8;

impl Transmit {
    /// How long the UDP payload is.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len() + self.channel.overhead()
    }
}

impl Channel {
    /// What protection adds to a message.
    pub(crate) fn overhead(self) -> usize {
        match self {
            Channel::Session(_) => DTLS_OVERHEAD_BYTES.into(),
            Channel::Plain | Channel::Handshake => 0,
        }
    }
}

/// Reads artefacts, which the shell keeps. Must answer at once from memory or a local disk.
pub trait Payloads {
    /// Reads from byte `offset` until `buffer` is full and says how many bytes were read; fewer only at the end.
    fn read(&self, artefact: &ArtefactDigest, offset: u64, buffer: &mut [u8]) -> Result<usize, PayloadError>;
}

/// A payload could not be read: the peer gets 5.03 and asks again later, and the payload is built again meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("artefact cannot be read: {reason}")]
pub struct PayloadError {
    /// Why, in one clause.
    pub reason: String,
}
