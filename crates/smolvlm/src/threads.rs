//! The threads of a model, and whose turn it is to use them.

use crate::Error;
use parking_lot::FairMutex;
use std::cell::Cell;
use std::panic::resume_unwind;

/// Threads that one model computes with. Calls from several threads take turns, first come, first served.
pub(crate) struct Threads {
    /// Those of Burn's operations.
    rayon: rayon::ThreadPool,
    is_limited: bool,
    /// Those of the kernels.
    #[cfg(feature = "flex")]
    kernels: std::sync::Arc<smolvlm_kernels::cpu::Pool>,
    turn: FairMutex<()>,
}

thread_local! {
    /// Address of the [`Threads`] whose turn this thread works in, to detect calls from inside that work.
    static WORKS_FOR: Cell<usize> = const { Cell::new(0) };
}

impl Threads {
    /// Starts `limit` threads, or as many as there are processors.
    pub(crate) fn new(limit: Option<usize>) -> Result<Self, Error> {
        let threads = limit.unwrap_or_else(rayon::current_num_threads);
        Ok(Self {
            rayon: pool(threads)?,
            is_limited: limit.is_some(),
            #[cfg(feature = "flex")]
            kernels: {
                let pool = smolvlm_kernels::cpu::Pool::new(threads);
                std::sync::Arc::new(pool.map_err(|error| Error::Threads { threads, message: error.to_string() })?)
            },
            turn: FairMutex::new(()),
        })
    }

    /// How many work at once.
    pub(crate) fn count(&self) -> usize {
        self.rayon.current_num_threads()
    }

    /// Does work of the model when its turn has come, and gives up the turn after it. Work inside work keeps the turn.
    pub(crate) fn compute<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let own = std::ptr::from_ref(self).addr();
        if WORKS_FOR.get() == own {
            return work();
        }
        apart(|| {
            let _turn = self.turn.lock();
            let work = || {
                let _outer = Outer(WORKS_FOR.replace(own));
                #[cfg(feature = "cubecl")]
                let work = || smolvlm_kernels::gpu::on_stream(work);
                #[cfg(feature = "flex")]
                return self.kernels.enter(work);
                #[cfg(not(feature = "flex"))]
                work()
            };
            // Only one request at a time is in the pool, so what its threads steal is part of that request.
            self.rayon.install(work)
        })
    }

    /// Fetches, decodes and resizes media, beside the work of other requests. A call shares no pool with others: one request
    /// may wait for a server, and others would wait on its stack.
    pub(crate) fn prepare<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        if !self.is_limited && !is_rayon_thread() {
            return Ok(work());
        }
        let pool = pool(self.count())?;
        Ok(apart(|| pool.install(work)))
    }
}

/// Restores which turn a thread works in, also on a panic.
struct Outer(usize);

impl Drop for Outer {
    fn drop(&mut self) {
        WORKS_FOR.set(self.0);
    }
}

/// Does work on a thread that is none of rayon's: one of rayon's that waits runs other work meanwhile, and would run the next
/// request on the stack of this one.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
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

    /// Runs `work` and fails if another call does so at the same time.
    fn alone(inside: &AtomicUsize, work: impl FnOnce()) {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two requests at once");
        work();
        let _ = inside.fetch_sub(1, Ordering::SeqCst);
    }

    #[test]
    fn requests_of_rayon_threads_do_not_run_inside_each_other() {
        for limit in [None, Some(2)] {
            let (threads, inside) = (Threads::new(limit).unwrap(), AtomicUsize::new(0));
            (0..64).into_par_iter().for_each(|_| {
                // Waits for parts that other threads take, which is where rayon looks for other work.
                let sum = || (0..64_u64).into_par_iter().map(|value| value * value).sum::<u64>();
                assert_eq!(threads.prepare(sum).unwrap(), 85_344);
                threads.compute(|| alone(&inside, || assert_eq!(sum(), 85_344)));
            });
        }
    }

    #[test]
    fn turns_are_taken_in_the_order_of_the_calls() {
        let (threads, order) = (Threads::new(Some(1)).unwrap(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            let _turn = threads.turn.lock();
            for number in 0..4 {
                let (threads, order) = (&threads, &order);
                scope.spawn(move || {
                    for _ in 0..3 {
                        threads.compute(|| {
                            order.lock().unwrap().push(number);
                            // Long enough for the previous thread to ask again.
                            std::thread::sleep(Duration::from_millis(30));
                        });
                    }
                });
                // The next one comes later; a busy machine may take a while to start a thread.
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        // Each comes again after all others.
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3].repeat(3));
    }

    #[test]
    fn work_inside_work_keeps_the_turn_and_a_panic_gives_it_up() {
        let (threads, other) = (Threads::new(Some(2)).unwrap(), Threads::new(Some(2)).unwrap());
        assert_eq!(threads.compute(|| threads.compute(|| other.compute(|| threads.count()))), 2);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            threads.compute(|| assert!(threads.count() == 3, "as planned"));
        }));
        assert!(panicked.is_err());
        assert_eq!(threads.compute(|| threads.prepare(|| 7).unwrap()), 7);
    }

    #[cfg(feature = "flex")]
    #[test]
    fn models_with_as_many_threads_have_kernel_threads_of_their_own() {
        let (one, two) = (Threads::new(Some(2)).unwrap(), Threads::new(Some(2)).unwrap());
        let pool = |threads: &Threads| threads.compute(smolvlm_kernels::cpu::Pool::current);
        assert!(std::sync::Arc::ptr_eq(&pool(&one), &pool(&one)));
        assert!(!std::sync::Arc::ptr_eq(&pool(&one), &pool(&two)));
    }
}
