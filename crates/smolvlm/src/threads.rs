//! The thread pools of a model, used by one request at a time.

use crate::Error;
use parking_lot::FairMutex;
use std::cell::Cell;
use std::panic::resume_unwind;

/// The thread pools of one model. Calls from several threads run one at a time, in FIFO order.
pub(crate) struct Threads {
    /// The pool of Burn's operations.
    rayon: rayon::ThreadPool,
    is_limited: bool,
    /// The pool of this project's kernels.
    #[cfg(feature = "flex")]
    kernels: std::sync::Arc<smolvlm_kernels::cpu::Pool>,
    /// The stream of all GPU operations of the model.
    #[cfg(feature = "cubecl")]
    stream: smolvlm_kernels::gpu::GpuStream,
    lock: FairMutex<()>,
}

/// Number of threads that a model uses unless [`Options::threads`](crate::Options::threads) is set: one per physical
/// core, and not more than the process may use. Two hyper-threads of a core share its arithmetic units, which one
/// thread of a matrix product fills.
pub fn default_threads() -> usize {
    let cores = sysinfo::System::physical_core_count().unwrap_or(usize::MAX);
    rayon::current_num_threads().min(cores).max(1)
}

thread_local! {
    /// Address of the [`Threads`] whose lock the current work holds, to detect reentrant calls.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

impl Threads {
    /// Starts `limit` threads, or [`default_threads`].
    pub(crate) fn new(limit: Option<usize>) -> Result<Self, Error> {
        let threads = limit.unwrap_or_else(default_threads);
        Ok(Self {
            rayon: pool(threads)?,
            is_limited: limit.is_some(),
            #[cfg(feature = "flex")]
            kernels: {
                let pool = smolvlm_kernels::cpu::Pool::new(threads);
                std::sync::Arc::new(pool.map_err(|error| Error::Threads { threads, message: error.to_string() })?)
            },
            #[cfg(feature = "cubecl")]
            stream: smolvlm_kernels::gpu::GpuStream::allocate(),
            lock: FairMutex::new(()),
        })
    }

    /// Number of threads.
    pub(crate) fn count(&self) -> usize {
        self.rayon.current_num_threads()
    }

    /// Runs a closure in the pools while holding the lock. Reentrant: a nested call runs directly.
    pub(crate) fn compute<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if self.is_inside() {
            return work();
        }
        let own = std::ptr::from_ref(self).addr();
        outside_rayon(|| {
            let _guard = self.lock.lock();
            let work = || {
                let _outer = RestoreCurrent(CURRENT.replace(own));
                #[cfg(feature = "cubecl")]
                let work = || self.stream.run(work);
                #[cfg(feature = "flex")]
                return self.kernels.enter(work);
                #[cfg(not(feature = "flex"))]
                work()
            };
            // Only one request at a time uses the pool, so its threads only steal work of the same request.
            self.rayon.install(work)
        })
    }

    /// Whether this thread runs work of [`compute`](Self::compute), and would wait forever for other work in it.
    pub(crate) fn is_inside(&self) -> bool {
        CURRENT.get() == std::ptr::from_ref(self).addr()
    }

    /// Runs a closure that fetches, decodes and resizes media, concurrently with other requests. Calls do not share a
    /// pool: with work stealing, a request could run on the stack of one that waits for a server.
    pub(crate) fn prepare<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        if !self.is_limited && !is_rayon_thread() {
            return Ok(work());
        }
        let pool = pool(self.count())?;
        Ok(outside_rayon(|| pool.install(work)))
    }
}

/// Restores the previous [`CURRENT`] on drop, also on a panic.
struct RestoreCurrent(usize);

impl Drop for RestoreCurrent {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs a closure on a thread outside of rayon: a rayon thread that waits runs other work meanwhile, and would run the
/// next request on the stack of this one.
fn outside_rayon<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !is_rayon_thread() {
        return work();
    }
    let joined = std::thread::scope(|scope| scope.spawn(work).join());
    joined.unwrap_or_else(|panic| resume_unwind(panic))
}

fn is_rayon_thread() -> bool {
    rayon::current_thread_index().is_some()
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Error::Threads { threads, message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::Threads;
    use rayon::prelude::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Runs `work` and fails if another call runs at the same time.
    fn assert_exclusive(inside: &AtomicUsize, work: impl FnOnce()) {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two requests at once");
        work();
        let _ = inside.fetch_sub(1, Ordering::SeqCst);
    }

    #[test]
    fn requests_from_rayon_threads_do_not_overlap() {
        for limit in [None, Some(2)] {
            let (threads, inside) = (Threads::new(limit).unwrap(), AtomicUsize::new(0));
            (0..64).into_par_iter().for_each(|_| {
                // Waits for parts on other threads; meanwhile rayon steals other work.
                let sum = || (0..64_u64).into_par_iter().map(|value| value * value).sum::<u64>();
                assert_eq!(threads.prepare(sum).unwrap(), 85_344);
                threads.compute(|| assert_exclusive(&inside, || assert_eq!(sum(), 85_344)));
            });
        }
    }

    #[test]
    fn concurrent_calls_run_in_fifo_order() {
        let (threads, order) = (Threads::new(Some(1)).unwrap(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            let _guard = threads.lock.lock();
            for number in 0..4 {
                let (threads, order) = (&threads, &order);
                scope.spawn(move || {
                    for _ in 0..3 {
                        threads.compute(|| {
                            order.lock().unwrap().push(number);
                            // Long enough for the previous thread to call again.
                            std::thread::sleep(Duration::from_millis(30));
                        });
                    }
                });
                // Starts the threads one after the other; a busy machine may take a while to start one.
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        // Each thread runs again after all others.
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3].repeat(3));
    }

    #[test]
    fn nested_calls_keep_the_lock_and_a_panic_releases_it() {
        let (threads, other) = (Threads::new(Some(2)).unwrap(), Threads::new(Some(2)).unwrap());
        assert_eq!(threads.compute(|| threads.compute(|| other.compute(|| threads.count()))), 2);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            threads.compute(|| assert!(threads.count() == 3, "expected panic"));
        }));
        assert!(panicked.is_err());
        assert_eq!(threads.compute(|| threads.prepare(|| 7).unwrap()), 7);
    }

    #[cfg(feature = "flex")]
    #[test]
    fn models_with_the_same_thread_count_have_separate_kernel_pools() {
        let (one, two) = (Threads::new(Some(2)).unwrap(), Threads::new(Some(2)).unwrap());
        let pool = |threads: &Threads| threads.compute(smolvlm_kernels::cpu::Pool::current);
        assert!(std::sync::Arc::ptr_eq(&pool(&one), &pool(&one)));
        assert!(!std::sync::Arc::ptr_eq(&pool(&one), &pool(&two)));
    }
}
