//! Partial IVs, and the sender's sequence numbers that they are made of: none is ever used twice, whatever becomes of the power.
//!
//! RFC 8613 Appendix B.1.1 stores a number now and then and skips ahead after a restart. [`SenderSequence`] stores the end of a
//! reservation *before* the first number of it is used, which is the same with K + F already added:
//!
//! ```text
//! stored   0        64                128
//! used      0 1 2 …  64 65 66 ✂        128 129 …      ✂: the power went; 67 to 127 are never used
//! ```

use core::fmt;

/// A Partial IV (RFC 8613 §5): the sequence number that a message's nonce is made of, below 2^40.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartialIv {
    /// Big-endian, padded with zeros in front, as the nonce has it (RFC 8613 §5.2): they are ordered as the numbers are.
    padded: [u8; PartialIv::BYTES_MAX],
}

impl PartialIv {
    /// On the wire, bytes.
    pub(crate) const BYTES_MAX: usize = 5;
    /// RFC 8613 §7.2.1: sequence numbers are less than 2^40, which is what the nonce has room for.
    pub const MAX: PartialIv = PartialIv {
        padded: [0xFF; PartialIv::BYTES_MAX],
    };

    /// `None` above [`PartialIv::MAX`].
    pub const fn new(value: u64) -> Option<PartialIv> {
        match value.to_be_bytes() {
            [0, 0, 0, a, b, c, d, e] => Some(PartialIv {
                padded: [a, b, c, d, e],
            }),
            _ => None,
        }
    }

    /// 0 to 2^40 − 1.
    pub const fn value(self) -> u64 {
        let [a, b, c, d, e] = self.padded;
        u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    }

    /// As in a nonce.
    pub(crate) const fn padded(&self) -> &[u8; PartialIv::BYTES_MAX] {
        &self.padded
    }

    /// As on the wire, without the zeros in front; 0 is one zero byte (RFC 8613 §5).
    #[inline(never)]
    pub(crate) fn trimmed(&self) -> &[u8] {
        let mut trimmed = self.padded.as_slice();
        while let [0, rest @ ..] = trimmed
            && !rest.is_empty()
        {
            trimmed = rest;
        }
        trimmed
    }

    /// Reads what is on the wire; `None` for no bytes, more than five, or a zero in front that is not all there is: a sender
    /// removes those (RFC 8613 §5), and of two spellings one would escape the check for replays of somebody.
    pub(crate) fn decode(bytes: &[u8]) -> Option<PartialIv> {
        match bytes {
            [] | [0, _, ..] => None,
            _ => {
                let mut padded = [0; PartialIv::BYTES_MAX];
                let zeros = PartialIv::BYTES_MAX.checked_sub(bytes.len())?;
                padded.get_mut(zeros..)?.copy_from_slice(bytes);
                Some(PartialIv { padded })
            }
        }
    }
}

impl fmt::Debug for PartialIv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartialIv").field(&self.value()).finish()
    }
}

/// A Partial IV that no message was protected with yet. It can be made once and used once: there is no copying it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a sequence number that is taken and not used is lost"]
pub struct FreshPartialIv(PartialIv);

impl FreshPartialIv {
    /// For test vectors: the caller answers for it that this number is never used twice with these keys. Where it is, whoever
    /// listened can read both messages and forge others.
    pub const fn dangerous(value: PartialIv) -> FreshPartialIv {
        FreshPartialIv(value)
    }

    pub(crate) const fn spend(self) -> PartialIv {
        self.0
    }
}

/// The Sender Sequence Number of one context, handed out from a reservation that is stored first (RFC 8613 Appendix B.1.1).
///
/// Ask [`SenderSequence::reservation`] before a number is wanted; write what it says where it survives a power cut, then call
/// [`SenderSequence::reserved`]. After a restart begin with [`SenderSequence::resume`] and the number stored last.
#[derive(Debug, PartialEq, Eq)]
pub struct SenderSequence {
    next: u64,
    /// Numbers below it are stored as used.
    end: u64,
}

impl SenderSequence {
    /// First number that can be no Partial IV.
    const LIMIT: u64 = PartialIv::MAX.value() + 1;

    /// Goes on after what is stored: 0 for keys that were never used. No number can be had before one is reserved.
    #[must_use]
    pub const fn resume(stored_end: u64) -> SenderSequence {
        SenderSequence {
            next: stored_end,
            end: stored_end,
        }
    }

    /// The end to store so that `chunk` numbers more can be had, when fewer than `spare` are left; `None` while there are
    /// enough, or when the keys are used up and there is none to reserve.
    #[must_use]
    pub const fn reservation(&self, spare: u32, chunk: u32) -> Option<u64> {
        if self.end.saturating_sub(self.next) >= spare as u64 || self.end >= Self::LIMIT {
            return None;
        }
        let wanted = self.end.saturating_add(chunk as u64);
        Some(if wanted > Self::LIMIT { Self::LIMIT } else { wanted })
    }

    /// The numbers below `end` may be used: that is stored. An end below what was reserved before changes nothing.
    pub const fn reserved(&mut self, end: u64) {
        if end > self.end {
            self.end = if end > Self::LIMIT { Self::LIMIT } else { end };
        }
    }

    /// The next number; `None` when the reservation is used up: store another first. Whether the keys are used up as well,
    /// [`SenderSequence::is_exhausted`] says.
    pub const fn take(&mut self) -> Option<FreshPartialIv> {
        if self.next >= self.end {
            return None;
        }
        match PartialIv::new(self.next) {
            Some(next) => {
                self.next += 1;
                Some(FreshPartialIv(next))
            }
            None => None,
        }
    }

    /// Whether 2^40 numbers are gone: these keys protect nothing any more (RFC 8613 §7.2.1).
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        self.next >= Self::LIMIT
    }

    /// What to begin with after a restart: the numbers below it may have been used.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many can be taken before another reservation.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_iv_is_as_short_as_it_can_be_and_zero_has_one_byte() {
        for (value, bytes) in [
            (0, 1),
            (255, 1),
            (256, 2),
            (65_536, 3),
            (PartialIv::MAX.value(), 5),
        ] {
            let partial_iv = PartialIv::new(value).unwrap();
            let encoded = partial_iv.trimmed();
            assert_eq!(encoded.len(), bytes, "{value}");
            assert_eq!(PartialIv::decode(encoded), Some(partial_iv));
        }
        assert_eq!(PartialIv::new(1 << 40), None);
    }

    #[test]
    fn a_partial_iv_has_one_spelling() {
        assert_eq!(PartialIv::decode(&[]), None);
        assert_eq!(PartialIv::decode(&[0]), PartialIv::new(0));
        assert_eq!(PartialIv::decode(&[0, 1]), None);
        assert_eq!(PartialIv::decode(&[1, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn nothing_is_handed_out_that_is_not_stored() {
        let mut sequence = SenderSequence::resume(0);
        assert_eq!(sequence.take(), None);
        assert_eq!(sequence.reservation(1, 3), Some(3));
        assert_eq!(sequence.take(), None, "asking is not storing");
        sequence.reserved(3);
        let taken: std::vec::Vec<u64> =
            std::iter::from_fn(|| sequence.take().map(|fresh| fresh.spend().value())).collect();
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(sequence.left(), 0);
    }

    #[test]
    fn a_restart_goes_on_at_the_stored_end() {
        let mut before = SenderSequence::resume(0);
        before.reserved(64);
        let _used = before.take();
        let mut after = SenderSequence::resume(64);
        assert_eq!(after.take(), None);
        after.reserved(128);
        assert_eq!(after.take().map(|fresh| fresh.spend().value()), Some(64));
    }

    #[test]
    fn an_older_reservation_takes_nothing_back() {
        let mut sequence = SenderSequence::resume(10);
        sequence.reserved(5);
        assert_eq!(sequence, SenderSequence::resume(10));
    }

    #[test]
    fn the_last_number_is_the_last() {
        let mut sequence = SenderSequence::resume(PartialIv::MAX.value() - 1);
        assert_eq!(sequence.reservation(1, 64), Some(1 << 40));
        sequence.reserved(u64::MAX);
        assert_eq!(sequence.left(), 2);
        assert!(sequence.take().is_some() && sequence.take().is_some());
        assert_eq!(sequence.take(), None);
        assert!(sequence.is_exhausted());
        assert_eq!(sequence.reservation(1, 64), None);
    }
}
