//! A static value that is handed out once, mutably.
#![expect(unsafe_code, reason = "hands out a mutable reference to a static")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value in static memory for whoever takes it first, so that buffers are counted when the program is linked.
pub struct Once<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reachable only through the one reference that `take` gives out.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    /// Holds `value`.
    pub const fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, for the first caller.
    #[expect(clippy::mut_from_ref, reason = "at most one reference is ever given out")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the flag was false, so this is the first and only reference.
        Some(unsafe { &mut *self.value.get() })
    }
}
