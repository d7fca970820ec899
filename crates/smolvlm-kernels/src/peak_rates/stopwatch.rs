//! Time of work that several threads do at once.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How long a measurement goes on.
const MIN_DURATION: Duration = Duration::from_millis(250);

/// Repeats that a slow machine makes, too.
const MIN_REPEATS: usize = 3;

/// Seconds that each thread's quickest repeat takes while the others work, too: for work that no other thread slows down. A
/// program that takes a core away from one thread for a while takes nothing from these.
pub(super) fn best_per_thread(threads: usize, work: impl Fn() + Sync) -> Vec<f64> {
    let start = Barrier::new(threads);
    on_threads(threads, |_| {
        start.wait();
        repeated(|| {
            let clock = Instant::now();
            work();
            clock.elapsed().as_secs_f64()
        })
    })
}

/// Seconds that the quickest repeat of all threads together takes, from the start of the first one to the end of the last:
/// for work on what they share. `work` gets the number of its thread.
pub(super) fn best_together(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    repeated(|| once(threads, &work))
}

fn once(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    let start = Barrier::new(threads);
    let spans = on_threads(threads, |thread| {
        start.wait();
        let from = Instant::now();
        work(thread);
        (from, Instant::now())
    });
    let (first, last) = (spans.iter().map(|span| span.0).min(), spans.iter().map(|span| span.1).max());
    first.zip(last).map_or(f64::INFINITY, |(first, last)| (last - first).as_secs_f64())
}

/// The least of many measurements.
fn repeated(seconds: impl Fn() -> f64) -> f64 {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut repeats = 0;
    while repeats < MIN_REPEATS || begin.elapsed() < MIN_DURATION {
        best = best.min(seconds());
        repeats += 1;
    }
    best
}

/// What the threads give, each of which gets its number.
fn on_threads<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{MIN_DURATION, MIN_REPEATS, best_per_thread, once};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn together_all_threads_work_and_the_slowest_counts() {
        let seen = AtomicUsize::new(0);
        let seconds = once(3, |thread| {
            seen.fetch_add(1 << (8 * thread), Ordering::Relaxed);
            if thread == 1 {
                sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(seen.into_inner(), 0x01_01_01);
        assert!(seconds >= 0.02, "{seconds}");
    }

    #[test]
    fn each_thread_has_its_own_best() {
        let calls = AtomicUsize::new(0);
        let slow = MIN_DURATION / 2;
        let seconds = best_per_thread(2, || {
            // The slow ones are the first.
            if calls.fetch_add(1, Ordering::Relaxed) < 2 {
                sleep(slow);
            } else {
                sleep(Duration::from_millis(5));
            }
        });
        assert_eq!(seconds.len(), 2);
        assert!(seconds.iter().all(|&best| best >= 0.005 && best < slow.as_secs_f64()), "{seconds:?}");
        assert!(calls.into_inner() >= 2 * MIN_REPEATS);
    }
}
