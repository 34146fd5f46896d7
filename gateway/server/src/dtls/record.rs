//! Records as they lie in a datagram (RFC 6347 §4.1), as far as anybody may read them.
//!
//! ```text
//! type 1 ‖ version 2 ‖ epoch 2 ‖ number 6 ‖ length 2 ‖ that many bytes
//! ```

/// Of a record.
pub(super) const HEADER_BYTES: usize = 13;
/// Content types: RFC 5246 §6.2.1.
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
/// DTLS 1.2.
pub(super) const VERSION_1_2: [u8; 2] = [0xFE, 0xFD];
/// DTLS 1.0, which first records say for the sake of old servers.
pub(super) const VERSION_1_0: [u8; 2] = [0xFE, 0xFF];
/// RFC 5246 §7.2: nothing of what is offered is ours.
pub(super) const HANDSHAKE_FAILURE: u8 = 40;
/// RFC 4279 §2: what is said where an unknown identity is not to be told from a wrong key.
pub(super) const DECRYPT_ERROR: u8 = 51;

/// A record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    /// 48 bits.
    pub(super) number: u64,
    pub(super) fragment: &'a [u8],
    /// All of it.
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of a datagram, and what is behind it.
    pub(super) fn read(datagram: &'a [u8]) -> Option<(Record<'a>, &'a [u8])> {
        let (header, behind) = datagram.split_first_chunk::<HEADER_BYTES>()?;
        let [content_type, v0, v1, e0, e1, n0, n1, n2, n3, n4, n5, l0, l1] = *header;
        if ![VERSION_1_0, VERSION_1_2].contains(&[v0, v1]) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (fragment, rest) = behind.split_at_checked(length)?;
        let record = Record {
            content_type,
            epoch: u16::from_be_bytes([e0, e1]),
            number: u64::from_be_bytes([0, 0, n0, n1, n2, n3, n4, n5]),
            fragment,
            bytes: datagram.get(..HEADER_BYTES + length)?,
        };
        Some((record, rest))
    }

    pub(super) fn first(datagram: &'a [u8]) -> Option<Record<'a>> {
        Record::read(datagram).map(|(record, _)| record)
    }

    /// Every whole record, as far as they can be read.
    pub(super) fn all(mut datagram: &'a [u8]) -> impl Iterator<Item = Record<'a>> {
        std::iter::from_fn(move || {
            let (record, rest) = Record::read(datagram)?;
            datagram = rest;
            Some(record)
        })
    }

    /// Whether a handshake has records like this: what is in the clear, and its last message.
    pub(super) fn is_of_handshake(&self) -> bool {
        self.epoch == 0 || (self.epoch == 1 && self.content_type == HANDSHAKE)
    }
}

/// A fatal alert in the clear.
pub(super) fn alert(number: u64, description: u8) -> Vec<u8> {
    record(ALERT, VERSION_1_2, number, &[2, description])
}

/// A record of epoch 0.
pub(super) fn record(content_type: u8, version: [u8; 2], number: u64, fragment: &[u8]) -> Vec<u8> {
    let mut bytes = vec![content_type, version[0], version[1], 0, 0];
    bytes.extend_from_slice(&number.to_be_bytes()[2..]);
    // What is made here is short.
    bytes.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
    bytes.extend_from_slice(fragment);
    bytes
}

/// Adds to the number of every record of epoch 0: numbers there are nobody's to protect, and a client takes none twice.
pub(super) fn shift(datagram: &mut [u8], by: u64) {
    let mut at = 0;
    while let Some(record) = datagram.get(at..).and_then(Record::first) {
        let (length, epoch, number) = (record.bytes.len(), record.epoch, record.number);
        if epoch == 0 {
            let shifted = number.wrapping_add(by).to_be_bytes();
            datagram[at + 5..at + 11].copy_from_slice(&shifted[2..]);
        }
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_far_as_they_are_whole() {
        let two = [
            alert(7, DECRYPT_ERROR),
            record(HANDSHAKE, VERSION_1_0, 1 << 40, b"abc"),
        ]
        .concat();
        let read: Vec<_> = Record::all(&two)
            .map(|record| (record.content_type, record.number))
            .collect();
        assert_eq!(read, [(ALERT, 7), (HANDSHAKE, 1 << 40)]);
        for end in 0..two.len() {
            let whole = usize::from(end >= 15);
            assert_eq!(Record::all(&two[..end]).count(), whole, "{end}");
        }
        let mut other = two.clone();
        other[1] = 3;
        assert!(Record::first(&other).is_none());
    }

    #[test]
    fn numbers_of_the_first_epoch_are_shifted() {
        let mut flight = [alert(7, 0), alert(8, 0), alert(0, 0)].concat();
        flight[15 + 4] = 1;
        shift(&mut flight, 3);
        let read: Vec<_> = Record::all(&flight)
            .map(|record| (record.epoch, record.number))
            .collect();
        assert_eq!(read, [(0, 10), (1, 8), (0, 3)]);
    }
}
