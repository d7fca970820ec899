//! A limit on the number of compilations at a time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A counting semaphore, shared by its clones.
#[derive(Clone)]
pub(super) struct Slots(Arc<(Mutex<usize>, Condvar)>);

/// One of the slots, which is free again when this is dropped.
pub(super) struct Slot(Slots);

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new((Mutex::new(count), Condvar::new())))
    }

    /// Waits for a free slot; none if there is none within this time.
    pub(super) fn take(&self, time: Duration) -> Option<Slot> {
        let (free, condvar) = &*self.0;
        let free = free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = condvar.wait_timeout_while(free, time, |free| *free == 0);
        let (mut free, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return None;
        }
        *free -= 1;
        Some(Slot(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (free, condvar) = &*self.0.0;
        *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        condvar.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn slots_are_free_again_when_dropped() {
        let slots = Slots::new(1);
        let slot = slots.take(Duration::ZERO).unwrap();
        assert!(slots.clone().take(Duration::from_millis(1)).is_none());
        let other = slots.clone();
        let waiting = thread::spawn(move || other.take(Duration::from_secs(60)).is_some());
        drop(slot);
        assert!(waiting.join().unwrap());
        assert!(slots.take(Duration::ZERO).is_some());
    }
}
