//! A value that threads share and wait on: what tests use in place of sleeping.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A shared value with waiting. Clones share it.
#[derive(Debug, Default)]
pub struct Watched<T> {
    inner: Arc<(Mutex<T>, Condvar)>,
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> Watched<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        Self {
            inner: Arc::new((Mutex::new(value), Condvar::new())),
        }
    }

    /// Changes the value and wakes whoever waits for it.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.inner.1.notify_all();
        result
    }

    /// Looks at the value.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Waits until `find` finds something in the value, or gives `None` after `patience`.
    pub fn wait_for<R>(&self, patience: Duration, mut find: impl FnMut(&T) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + patience;
        let mut guard = self.lock();
        loop {
            if let Some(found) = find(&guard) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            guard = self
                .inner
                .1
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The lock. A thread that panicked left the value whole: every change here is one assignment
    /// or one push.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Watched<T> {
    /// A copy of the value.
    pub fn get(&self) -> T {
        self.lock().clone()
    }

    /// Waits until the value satisfies `fact`, or gives `None` after `patience`.
    pub fn wait_until(&self, patience: Duration, mut fact: impl FnMut(&T) -> bool) -> Option<T> {
        self.wait_for(patience, |value| fact(value).then(|| value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_wakes_the_waiting_thread() {
        let watched = Watched::new(0);
        let other = watched.clone();
        let thread = std::thread::spawn(move || other.update(|value| *value = 7));
        let found = watched.wait_until(Duration::from_secs(60), |value| *value == 7);
        assert_eq!(found, Some(7));
        thread.join().unwrap();
    }

    #[test]
    fn patience_ends() {
        let watched = Watched::new(0);
        assert_eq!(watched.wait_until(Duration::ZERO, |value| *value == 7), None);
    }
}
