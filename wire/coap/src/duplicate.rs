//! Message deduplication (RFC 7252 §4.5).

use crate::code::MessageId;

/// Remembers the last `N` messages by peer and message id, each for a lifetime, and tells duplicates from new ones.
///
/// `K` identifies the peer: an address and port, or a number standing for them. A message is known by the slot, 0 to
/// `N − 1`, that it was given, so that a server can keep the reply of each in an array of its own and send it again.
///
/// Bounded: with more than `N` messages within the lifetime the oldest is forgotten, and its late duplicate is taken
/// for a new message. RFC 7252 §4.5 allows that for idempotent requests, so `N` is chosen for the others. One call
/// looks at up to `N` entries; for a large `N` a map suits better.
#[derive(Clone, Debug)]
pub struct DuplicateWindow<K, const N: usize> {
    entries: [Option<Entry<K>>; N],
    /// Slot of the next new message: the free or the oldest one.
    next: usize,
    lifetime_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    peer: K,
    message_id: MessageId,
    expires_ms: u64,
}

/// Whether a message was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Observed {
    /// A new message. Whatever the caller keeps under this slot belongs to a forgotten message.
    New {
        /// 0 to `N − 1`.
        slot: usize,
    },
    /// The message under this slot once more. Its lifetime still counts from the first copy.
    Duplicate {
        /// 0 to `N − 1`.
        slot: usize,
    },
}

impl<K: Copy + Eq, const N: usize> DuplicateWindow<K, N> {
    const HAS_ROOM: () = assert!(N > 0, "a window of no messages cannot tell duplicates");

    /// An empty window; `lifetime_ms` is EXCHANGE_LIFETIME for Confirmables and NON_LIFETIME for the others
    /// (RFC 7252 §4.8.2), see [`crate::TransmissionParameters`].
    pub const fn new(lifetime_ms: u64) -> DuplicateWindow<K, N> {
        const { Self::HAS_ROOM }
        DuplicateWindow {
            entries: [const { None }; N],
            next: 0,
            lifetime_ms,
        }
    }

    /// Looks a message up and remembers it if it is new.
    pub fn observe(&mut self, now_ms: u64, peer: K, message_id: MessageId) -> Observed {
        if let Some(slot) = self.find(now_ms, peer, message_id) {
            return Observed::Duplicate { slot };
        }
        let slot = self.next;
        self.next = (slot + 1) % N;
        let expires_ms = now_ms.saturating_add(self.lifetime_ms);
        if let Some(entry) = self.entries.get_mut(slot) {
            *entry = Some(Entry {
                peer,
                message_id,
                expires_ms,
            });
        }
        Observed::New { slot }
    }

    /// The slot of a message seen within the lifetime; remembers nothing.
    pub fn find(&self, now_ms: u64, peer: K, message_id: MessageId) -> Option<usize> {
        self.entries.iter().position(|entry| {
            entry.is_some_and(|entry| {
                entry.peer == peer && entry.message_id == message_id && now_ms < entry.expires_ms
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME_MS: u64 = 247_000;

    #[test]
    fn second_copy_is_a_duplicate_of_the_same_slot() {
        let mut window = DuplicateWindow::<u64, 4>::new(LIFETIME_MS);
        assert_eq!(window.observe(0, 1, MessageId(7)), Observed::New { slot: 0 });
        assert_eq!(window.observe(1, 1, MessageId(8)), Observed::New { slot: 1 });
        assert_eq!(
            window.observe(2, 1, MessageId(7)),
            Observed::Duplicate { slot: 0 }
        );
    }

    #[test]
    fn same_id_from_another_peer_is_new() {
        let mut window = DuplicateWindow::<u64, 4>::new(LIFETIME_MS);
        assert_eq!(window.observe(0, 1, MessageId(7)), Observed::New { slot: 0 });
        assert_eq!(window.observe(0, 2, MessageId(7)), Observed::New { slot: 1 });
    }

    #[test]
    fn lifetime_counts_from_the_first_copy() {
        let mut window = DuplicateWindow::<u64, 4>::new(LIFETIME_MS);
        assert_eq!(window.observe(0, 1, MessageId(7)), Observed::New { slot: 0 });
        assert_eq!(
            window.observe(LIFETIME_MS - 1, 1, MessageId(7)),
            Observed::Duplicate { slot: 0 }
        );
        assert_eq!(
            window.observe(LIFETIME_MS, 1, MessageId(7)),
            Observed::New { slot: 1 }
        );
        assert_eq!(
            window.observe(LIFETIME_MS + 1, 1, MessageId(7)),
            Observed::Duplicate { slot: 1 }
        );
    }

    #[test]
    fn full_window_forgets_the_oldest() {
        let mut window = DuplicateWindow::<u64, 3>::new(LIFETIME_MS);
        for id in 0..4 {
            assert_eq!(
                window.observe(0, 1, MessageId(id)),
                Observed::New {
                    slot: usize::from(id) % 3
                }
            );
        }
        assert_eq!(window.find(0, 1, MessageId(0)), None);
        for id in 1..4 {
            assert_eq!(window.find(0, 1, MessageId(id)), Some(usize::from(id) % 3));
        }
    }
}
