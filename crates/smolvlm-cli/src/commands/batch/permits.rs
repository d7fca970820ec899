//! A counting semaphore.

use smolvlm::Cancel;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Interval at which waiting threads check for cancellation.
const CHECK: Duration = Duration::from_millis(50);

/// A number of permits.
#[derive(Debug)]
pub struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A permit, which is returned on drop.
#[derive(Debug)]
pub struct Permit<'a>(&'a Permits);

impl Permits {
    /// So many permits.
    pub fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a permit; none after `stop` was cancelled.
    pub fn acquire(&self, stop: &Cancel) -> Option<Permit<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            if stop.is_cancelled() {
                return None;
            }
            free = self.freed.wait_timeout(free, CHECK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Permit(self))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::Permits;
    use smolvlm::Cancel;

    #[test]
    fn permits_are_limited_until_cancelled() {
        let (permits, stop) = (Permits::new(1), Cancel::new());
        let held = permits.acquire(&stop).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| permits.acquire(&stop).is_some());
            drop(held);
            assert!(waiting.join().unwrap());
            let held = permits.acquire(&stop).unwrap();
            let waiting = scope.spawn(|| permits.acquire(&stop).is_none());
            stop.cancel();
            assert!(waiting.join().unwrap());
            drop(held);
        });
    }
}
