//! Timing of work that several threads do concurrently.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Minimum duration of a measurement.
const MIN_DURATION: Duration = Duration::from_millis(250);

/// Minimum number of repeats, also on a slow machine.
const MIN_REPEATS: usize = 3;

/// Time in seconds of each thread's fastest repeat while the others work concurrently: for work that other threads do
/// not slow down. Another program that occupies a core for a while does not affect the result.
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

/// Time in seconds of the fastest repeat of all threads together, from the start of the first to the end of the last:
/// for work on a shared resource. `work` receives the index of its thread.
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

/// The minimum of many measurements.
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

/// Runs `work` on each thread with the index of the thread; returns the results.
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
    fn best_together_runs_all_threads_and_counts_the_slowest() {
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
    fn best_per_thread_reports_one_minimum_per_thread() {
        let calls = AtomicUsize::new(0);
        let slow = MIN_DURATION / 2;
        let seconds = best_per_thread(2, || {
            // The first calls are the slow ones.
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
