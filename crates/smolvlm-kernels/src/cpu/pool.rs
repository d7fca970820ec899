//! Thread pool whose threads spin while they wait for work.
//!
//! A decoding step is some 150 parallel regions of a few microseconds each. Waking sleeping threads would take longer
//! than the work, so the threads of a [`Pool`] spin for a while before they sleep.

use std::cell::{RefCell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Time that a thread spins before it sleeps.
const SPIN_LIMIT: Duration = Duration::from_micros(300);

/// A pool of threads that run parallel regions of numbered tasks together with the calling thread.
///
/// Each thread starts with its own share of the tasks, the same in every region with as many tasks, so that it finds
/// its rows and weights in its cache, and then takes over tasks of other threads. Tasks must not depend on each other.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// Locked while a region runs.
    busy: Mutex<()>,
}

/// Bit fields of `state`: whether the region is open, the number of threads in it, and a counter of regions.
const OPEN: usize = 1;
const MEMBER: usize = 2;
const MEMBERS: usize = 0xfffe;
const REGION: usize = 0x10000;

type Task<'a> = &'a (dyn Fn(usize) + Sync);

#[derive(Debug)]
struct Shared {
    state: Padded<AtomicUsize>,
    /// Number of tasks taken from the share of each thread.
    taken: Vec<Padded<AtomicUsize>>,
    job: Padded<Job>,
    panicked: AtomicBool,
    stop: AtomicBool,
    asleep: AtomicUsize,
    lock: Mutex<()>,
    condvar: Condvar,
}

/// Padding to separate cache lines, which avoids false sharing.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// The task function and the number of tasks of the open region.
struct Job(UnsafeCell<Option<(Task<'static>, usize)>>);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

#[expect(unsafe_code, reason = "a cell that the protocol of `state` guards")]
// SAFETY: the cell is written only by the holder of `busy` while no thread is a member of a region, and read only by
// members, who joined after the write (the compare-and-swap on `state` acquires it).
unsafe impl Sync for Job {}

impl Pool {
    /// Creates a pool of `threads` threads, one of which is the caller of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// When the system cannot start a thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(threads.max(1)));
        let mut pool = Self { shared, threads: Vec::new(), busy: Mutex::new(()) };
        for number in 1..threads {
            let shared = pool.shared.clone();
            let name = format!("smolvlm-{number}");
            pool.threads.push(std::thread::Builder::new().name(name).spawn(move || shared.worker_loop(number))?);
        }
        Ok(pool)
    }

    /// The pool of the calling thread: the one entered with [`enter`](Self::enter), otherwise a shared one with as many
    /// threads as the current rayon pool. If the system cannot start threads, that pool is single-threaded.
    pub fn current() -> Arc<Self> {
        ENTERED.with_borrow(Clone::clone).unwrap_or_else(|| {
            static SHARED: SharedPools = SharedPools(Mutex::new(Vec::new()));
            SHARED.of(rayon::current_num_threads(), Self::new)
        })
    }

    /// Runs `work` with this pool as the [`current`](Self::current) one of this thread.
    pub fn enter<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let _guard = EnterGuard(ENTERED.replace(Some(self.clone())));
        work()
    }

    fn single_threaded() -> Self {
        Self { shared: Arc::new(Shared::new(1)), threads: Vec::new(), busy: Mutex::new(()) }
    }

    /// Number of threads, including the caller.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Runs `task(0)` to `task(tasks - 1)`, each once, and returns when all are done. Inside a task, or while another
    /// caller uses the pool, all run on the calling thread.
    ///
    /// # Panics
    ///
    /// When a task panics; the other tasks have run or been dropped by then.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.threads.is_empty() {
            return (0..tasks).for_each(task);
        }
        let _busy = match self.busy.try_lock() {
            Ok(busy) => busy,
            // A caller that panicked has closed its region.
            Err(TryLockError::Poisoned(busy)) => busy.into_inner(),
            Err(TryLockError::WouldBlock) => return (0..tasks).for_each(task),
        };
        self.shared.region(tasks, &task);
    }
}

thread_local! {
    /// The pool that this thread has entered.
    static ENTERED: RefCell<Option<Arc<Pool>>> = const { RefCell::new(None) };
}

/// Restores the previously entered pool, also on a panic.
struct EnterGuard(Option<Arc<Pool>>);

impl Drop for EnterGuard {
    fn drop(&mut self) {
        ENTERED.set(self.0.take());
    }
}

/// Pools by the requested number of threads, which may differ from the number of started threads.
struct SharedPools(Mutex<Vec<(usize, Arc<Pool>)>>);

impl SharedPools {
    fn of(&self, threads: usize, start: impl FnOnce(usize) -> std::io::Result<Pool>) -> Arc<Pool> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools.iter().find(|(asked, _)| *asked == threads) {
            return pool.clone();
        }
        let pool = Arc::new(start(threads).unwrap_or_else(|_| Pool::single_threaded()));
        pools.push((threads, pool.clone()));
        pool
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        {
            let _guard = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.condvar.notify_all();
        }
        for thread in self.threads.drain(..) {
            // Threads catch the panics of tasks, so there is none to propagate.
            drop(thread.join());
        }
    }
}

/// Closes the region on drop, also on a panic, and waits for its members to leave.
struct RegionGuard<'a>(&'a Shared);

impl Drop for RegionGuard<'_> {
    fn drop(&mut self) {
        // After a panic, members get no more tasks; after a normal end none are left.
        self.0.taken.iter().for_each(|taken| taken.0.store(usize::MAX / 2, Ordering::Relaxed));
        self.0.state.0.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0_u32;
        while self.0.state.0.load(Ordering::Acquire) & MEMBERS != 0 {
            spins += 1;
            if spins.is_multiple_of(4096) {
                // Lets a preempted member finish when there are more threads than processors.
                std::thread::yield_now();
            } else {
                spin_loop();
            }
        }
    }
}

impl Shared {
    fn new(threads: usize) -> Self {
        Self {
            state: Padded::default(),
            taken: (0..threads).map(|_| Padded::default()).collect(),
            job: Padded(Job(UnsafeCell::new(None))),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            lock: Mutex::new(()),
            condvar: Condvar::new(),
        }
    }

    #[allow(unsafe_code)]
    fn region(&self, tasks: usize, task: Task<'_>) {
        #[expect(unsafe_code, reason = "the region ends before the borrow; see SAFETY")]
        // SAFETY: the lifetime is only lengthened for the cell. Members call the task, and `RegionGuard` waits until no
        // member is left before this function returns or unwinds. Nobody else writes the cell: the caller holds `busy`.
        unsafe {
            *self.job.0.0.get() = Some((std::mem::transmute::<Task<'_>, Task<'static>>(task), tasks));
        }
        self.taken.iter().for_each(|taken| taken.0.store(0, Ordering::Relaxed));
        self.panicked.store(false, Ordering::Relaxed);
        let region = RegionGuard(self);
        // The next region, open, without members.
        let state = self.state.0.load(Ordering::Relaxed);
        self.state.0.store((state & !(REGION - 1)).wrapping_add(REGION) | OPEN, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.condvar.notify_all();
        }
        self.run_tasks(0, tasks, task);
        drop(region);
        if self.panicked.swap(false, Ordering::AcqRel) {
            panic!("a task of a parallel region panicked");
        }
    }

    /// Runs tasks until none is left, starting with those of thread `number`.
    fn run_tasks(&self, number: usize, tasks: usize, task: Task<'_>) {
        let threads = self.taken.len();
        let start = |thread: usize| thread * tasks / threads;
        for thread in (number..threads).chain(0..number) {
            let (first, taken) = (start(thread), &self.taken[thread].0);
            let share = start(thread + 1) - first;
            // The load avoids the more expensive write when no task is left.
            while taken.load(Ordering::Relaxed) < share {
                let next = taken.fetch_add(1, Ordering::Relaxed);
                if next >= share {
                    break;
                }
                task(first + next);
            }
        }
    }

    /// Main loop of a pool thread: joins regions as they open.
    fn worker_loop(&self, number: usize) {
        let mut seen = 0;
        while let Some(state) = self.next_region(seen) {
            let joined = state + MEMBER;
            if self.state.0.compare_exchange(state, joined, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            seen = state & !(REGION - 1);
            #[expect(unsafe_code, reason = "a member reads the job; see `Job`")]
            // SAFETY: this thread is a member of the region, so the caller does not touch the cell.
            let job = unsafe { *self.job.0.0.get() };
            if let Some((task, tasks)) = job
                && catch_unwind(AssertUnwindSafe(|| self.run_tasks(number, tasks, task))).is_err()
            {
                self.panicked.store(true, Ordering::Release);
            }
            self.state.0.fetch_sub(MEMBER, Ordering::AcqRel);
        }
    }

    /// Waits for an open region other than the last one and returns its state; `None` when the pool stops.
    fn next_region(&self, seen: usize) -> Option<usize> {
        let is_new = |state: usize| state & OPEN != 0 && state & !(REGION - 1) != seen;
        let mut since: Option<Instant> = None;
        loop {
            for _ in 0..256 {
                let state = self.state.0.load(Ordering::Acquire);
                if is_new(state) {
                    return Some(state);
                }
                spin_loop();
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let start = *since.get_or_insert_with(Instant::now);
            if start.elapsed() > SPIN_LIMIT {
                let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
                self.asleep.fetch_add(1, Ordering::SeqCst);
                // Checked again after `asleep` is incremented: a caller that opens a region from now on notifies.
                while !is_new(self.state.0.load(Ordering::SeqCst)) && !self.stop.load(Ordering::SeqCst) {
                    guard = self.condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
                }
                self.asleep.fetch_sub(1, Ordering::SeqCst);
                since = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pool, SharedPools};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[test]
    fn failed_pool_is_started_only_once() {
        let (pools, asked) = (SharedPools(Mutex::new(Vec::new())), AtomicUsize::new(0));
        let refuse = |_| {
            let _ = asked.fetch_add(1, Ordering::Relaxed);
            Err(std::io::Error::from(std::io::ErrorKind::WouldBlock))
        };
        let (first, second) = (pools.of(8, refuse), pools.of(8, refuse));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.threads(), asked.into_inner()), (1, 1));
        assert!(!Arc::ptr_eq(&first, &pools.of(1, Pool::new)), "each number of threads has its own pool");
    }

    #[test]
    fn entered_pool_is_current_on_its_thread_only() {
        let (outer, inner) = (Arc::new(Pool::new(2).unwrap()), Arc::new(Pool::new(2).unwrap()));
        let is_current = |pool: &Arc<Pool>| Arc::ptr_eq(&Pool::current(), pool);
        outer.enter(|| {
            assert!(is_current(&outer));
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                inner.enter(|| assert!(!is_current(&inner), "as planned"));
            }));
            assert!(panicked.is_err() && is_current(&outer));
            std::thread::scope(|scope| scope.spawn(|| assert!(!is_current(&outer))).join()).unwrap();
        });
        assert!(!is_current(&outer));
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            for tasks in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, |task| {
                    let _ = counts[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn short_regions_run_before_and_after_sleep() {
        let pool = Pool::new(3).unwrap();
        let sum = AtomicUsize::new(0);
        for round in 0..20_000 {
            pool.run(4, |task| {
                let _ = sum.fetch_add(task, Ordering::Relaxed);
            });
            if round % 5_000 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert_eq!(sum.into_inner(), 20_000 * 6);
    }

    #[test]
    fn nested_and_concurrent_regions_run_every_task() {
        let (pool, sum) = (Pool::new(2).unwrap(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        pool.run(3, |_| {
                            pool.run(5, |task| {
                                let _ = sum.fetch_add(task, Ordering::Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 100 * 3 * 10);
    }

    #[test]
    fn panic_reaches_the_caller_and_the_pool_stays_usable() {
        let pool = Pool::new(2).unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(50, |task| assert!(task != 30, "as planned"));
        }));
        assert!(result.is_err());
        let sum = AtomicUsize::new(0);
        pool.run(10, |task| {
            let _ = sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}
