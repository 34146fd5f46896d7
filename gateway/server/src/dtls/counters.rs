//! What happened on the port of `coaps://`.

use super::association::Ended;
use super::hello::Unfit;

/// Counted since the start, but for the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DtlsCounters {
    /// Sessions that there are.
    pub sessions: u64,
    /// Handshakes that are not complete.
    pub handshakes: u64,
    /// Hellos without a good cookie, which were sent one.
    pub hellos: u64,
    /// Handshakes that began: a cookie came back.
    pub begun: u64,
    /// Handshakes that became sessions.
    pub completed: u64,
    /// Handshakes with a wrong key or an unknown identity.
    pub refused: u64,
    /// Handshakes that nobody went on with.
    pub timed_out: u64,
    /// Handshakes that broke the protocol.
    pub failed: u64,
    /// Handshakes that went because there were too many.
    pub crowded_out: u64,
    /// Hellos of clients that do not offer DTLS 1.2.
    pub unfit_version: u64,
    /// Hellos that do not offer the suite.
    pub unfit_suite: u64,
    /// Hellos that do not offer the extended master secret.
    pub unfit_master_secret: u64,
    /// Sessions that went for another of the same device or from the same address.
    pub replaced: u64,
    /// Sessions that went because there were too many.
    pub evicted: u64,
    /// Sessions that their device closed.
    pub closed: u64,
    /// Sessions that the gateway ended: their key counts no more.
    pub ended: u64,
    /// Datagrams that are no records, or a hello that cannot be read.
    pub malformed: u64,
    /// Datagrams of nobody with a handshake or a session.
    pub strangers: u64,
    /// Records that were replayed or held back.
    pub late: u64,
    /// Records of sessions that nothing came of: forged, altered, replayed.
    pub undecryptable: u64,
    /// Associations that ended in a fault of the library.
    pub broken: u64,
}

impl DtlsCounters {
    pub(super) fn unfit(&mut self, unfit: Unfit) {
        *match unfit {
            Unfit::Version => &mut self.unfit_version,
            Unfit::Suite => &mut self.unfit_suite,
            Unfit::MasterSecret => &mut self.unfit_master_secret,
        } += 1;
    }

    pub(super) fn ended_by(&mut self, ended: &Ended) {
        use dimpl::{Error, SecurityError};
        *match ended {
            Ended::Broken => &mut self.broken,
            Ended::By(Error::Timeout(_)) => &mut self.timed_out,
            // A last message under another key does not decrypt, or is not the one that was expected.
            Ended::By(
                Error::SecurityError(SecurityError::ClientFinishedVerificationFailed) | Error::CryptoError(_),
            ) => &mut self.refused,
            Ended::By(_) => &mut self.failed,
        } += 1;
    }
}
