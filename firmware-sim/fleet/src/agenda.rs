//! What happens when: a queue of things to come, in order of time and then of entry.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Things to come. Two things of one time come in the order in which they were entered.
#[derive(Debug)]
pub struct Agenda<T> {
    heap: BinaryHeap<Entry<T>>,
    entered: u64,
}

impl<T> Agenda<T> {
    /// An empty agenda.
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            entered: 0,
        }
    }

    /// Enters `item` for `at_us`.
    pub fn push(&mut self, at_us: u64, item: T) {
        let order = self.entered;
        self.entered += 1;
        self.heap.push(Entry { at_us, order, item });
    }

    /// When the next thing comes.
    pub fn next_at_us(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at_us)
    }

    /// The next thing, whenever it comes.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.heap.pop().map(|entry| (entry.at_us, entry.item))
    }

    /// The next thing, if it is due at `now_us`.
    pub fn pop_due(&mut self, now_us: u64) -> Option<T> {
        if self.next_at_us()? > now_us {
            return None;
        }
        self.pop().map(|(_, item)| item)
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Entry<T> {
    at_us: u64,
    order: u64,
    item: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// Reversed: the heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.order).cmp(&(self.at_us, self.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_order_of_time_then_of_entry() {
        let mut agenda = Agenda::new();
        for (at_us, name) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            agenda.push(at_us, name);
        }
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop())
            .map(|(_, name)| name)
            .collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_is_not_due_stays() {
        let mut agenda = Agenda::new();
        agenda.push(5, ());
        assert_eq!(agenda.pop_due(4), None);
        assert_eq!(agenda.pop_due(5), Some(()));
    }
}
