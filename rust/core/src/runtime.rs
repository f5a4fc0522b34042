//! The pool of threads that decode, and other values that exist once per process.
//!
//! After `fork`, a child has the memory of its parent but none of its threads: waiting for the parent's pool would
//! never end. So every value here is kept with the id of the process that made it, and is made again in a child. All
//! use of rayon goes through this module; its global pool is never used.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{process, ptr, thread};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

mod waiting;

pub(crate) use waiting::{gather, gather_map, waiting};
pub use waiting::{requests, set_requests};

/// A value that exists once per process: a forked child makes its own and leaves the parent's alone.
pub(crate) struct PerProcess<T> {
    current: AtomicPtr<(u32, T)>,
    make: fn() -> T,
}

impl<T: Send + Sync> PerProcess<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()), make }
    }

    pub(crate) fn get(&self) -> &T {
        let own = process::id();
        loop {
            let current = self.current.load(Ordering::Acquire);
            // SAFETY: pointers in `current` come from `Box::into_raw` below, and are not freed while `self` is borrowed.
            if let Some((pid, value)) = unsafe { current.as_ref() }
                && *pid == own
            {
                return value;
            }
            let made = Box::into_raw(Box::new((own, (self.make)())));
            match self.current.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
                // The parent's value is not dropped: threads that do not exist in this process may hold its locks.
                // SAFETY: `made` came from `Box::into_raw` and is freed only if it did not become `current`.
                Ok(_) => return unsafe { &(*made).1 },
                // SAFETY: as above; another thread was faster, so nobody has seen `made`.
                Err(_) => drop(unsafe { Box::from_raw(made) }),
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        if current.is_null() {
            return;
        }
        // SAFETY: the pointer came from `Box::into_raw`, and nobody else can use it any more.
        unsafe {
            if (*current).0 == process::id() {
                drop(Box::from_raw(current));
            }
        }
    }
}

/// Locks a mutex, also after a holder panicked: the data are consistent between any two statements that change them.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static POOL: PerProcess<Option<ThreadPool>> = PerProcess::new(|| {
    // Without threads, the caller works alone.
    ThreadPoolBuilder::new().num_threads(threads()).thread_name(|i| format!("tegula-{i}")).build().ok()
});

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of threads of the pool: as set by [`set_threads`], else by `RAYON_NUM_THREADS`, else the number
/// of processors.
pub fn threads() -> usize {
    static DEFAULT: LazyLock<usize> = LazyLock::new(|| {
        let environment = std::env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
        let processors = || thread::available_parallelism().map_or(1, Into::into);
        environment.filter(|threads| *threads > 0).unwrap_or_else(processors)
    });
    match THREADS.load(Ordering::Relaxed) {
        0 => *DEFAULT,
        threads => threads,
    }
}

/// Sets the number of threads of the pool. It has no effect once the first read that needs the pool has created it.
pub fn set_threads(threads: usize) {
    THREADS.store(threads, Ordering::Relaxed);
}

/// Calls `work` on every item, on at most `limit` threads: the caller's and the pool's.
///
/// Threads take items one by one, in order, so that none is left with a long tail. After an error, no further item is
/// started; of several errors, the first item's is returned.
pub(crate) fn parallel<T: Sync>(items: &[T], limit: usize, work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let mut helpers = limit.min(items.len()).saturating_sub(1);
    if helpers > 0 && waiting::has_permit() {
        if waiting::permits_are_free() {
            // A thread with a permit must not wait for threads of the pool, which may be waiting for a permit.
            return waiting(|| parallel(items, limit, work));
        }
        helpers = 0;
    }
    let pool = if helpers > 0 { POOL.get().as_ref() } else { None };
    let Some(pool) = pool else { return items.iter().try_for_each(work) };
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let drain = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            if let Err(error) = work(item) {
                failed.store(true, Ordering::Relaxed);
                let mut first = lock(&first);
                if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    *first = Some((index, error));
                }
            }
        }
    };
    pool.in_place_scope(|scope| {
        for _ in 0..helpers.min(pool.current_num_threads()) {
            scope.spawn(|_| drain());
        }
        drain();
    });
    match lock(&first).take() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Like [`parallel`], but returns the results in the order of the items.
pub(crate) fn parallel_map<T: Sync, R: Send>(
    items: &[T],
    limit: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let slots: Vec<(&T, Mutex<Option<R>>)> = items.iter().map(|item| (item, Mutex::new(None))).collect();
    parallel(&slots, limit, |(item, slot)| {
        *lock(slot) = Some(work(item)?);
        Ok(())
    })?;
    // Without an error, every item has a result.
    Ok(slots.into_iter().filter_map(|(_, slot)| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

/// Like [`parallel`], but passes each result to `take` in the order of the items, one at a time, while the
/// other threads go on. A bounded number of results is held back.
pub(crate) fn parallel_in_order<T: Sync, R: Send>(
    items: &[T],
    limit: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
    take: impl FnMut(R) -> Result<()> + Send,
) -> Result<()> {
    const AHEAD: usize = 8;
    let numbered: Vec<(usize, &T)> = items.iter().enumerate().collect();
    // The number of the next result to take, the results that wait for it, and `take` while no thread is calling it.
    let line = Mutex::new((0, BTreeMap::new(), Some(take)));
    numbered.chunks(AHEAD * limit.max(1)).try_for_each(|numbered| {
        parallel(numbered, limit, |(number, item)| {
            let result = work(item)?;
            let mut held = lock(&line);
            held.1.insert(*number, result);
            while let (next, waiting, take @ Some(_)) = &mut *held
                && let Some(result) = waiting.remove(next)
                && let Some(mut taker) = take.take()
            {
                *next += 1;
                drop(held);
                // After an error, `take` is not put back.
                taker(result)?;
                held = lock(&line);
                held.2 = Some(taker);
            }
            Ok(())
        })
    })
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run whole calls for callers that do not block: each reads by itself and decodes on the pool. A queued
/// call takes only the memory of its closure.
#[derive(Default)]
struct Driver {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Number of threads, without those in `remote`.
    running: usize,
    /// Number of these threads that wait for a job.
    idle: usize,
    /// Number of threads that wait for another machine.
    remote: usize,
}

static DRIVER: PerProcess<Arc<Driver>> = PerProcess::new(Arc::default);

/// Time after which an idle thread ends.
const IDLE: Duration = Duration::from_secs(10);

thread_local! {
    /// The driver that this thread belongs to.
    static CURRENT: RefCell<Option<Arc<Driver>>> = const { RefCell::new(None) };
}

/// Queues a job for a thread of the driver.
pub fn spawn(job: impl FnOnce() + Send + 'static) {
    let driver = DRIVER.get();
    let mut queue = lock(&driver.queue);
    queue.jobs.push_back(Box::new(job));
    driver.start_thread_if_needed(&mut queue);
    drop(queue);
    driver.wake.notify_one();
}

/// Calls `wait`, which waits for another machine. If this thread belongs to the driver, another thread may take its
/// place until then.
fn while_away<T>(wait: impl FnOnce() -> T) -> T {
    struct Back(Option<Arc<Driver>>);
    impl Drop for Back {
        fn drop(&mut self) {
            if let Some(driver) = &self.0 {
                let mut queue = lock(&driver.queue);
                queue.remote -= 1;
                queue.running += 1;
            }
        }
    }
    let driver = CURRENT.with_borrow(Clone::clone);
    if let Some(driver) = &driver {
        let mut queue = lock(&driver.queue);
        queue.remote += 1;
        queue.running -= 1;
        driver.start_thread_if_needed(&mut queue);
    }
    let _back = Back(driver);
    wait()
}

impl Driver {
    /// Starts a thread if jobs wait, no thread is idle and the limit is not reached.
    fn start_thread_if_needed(self: &Arc<Self>, queue: &mut Queue) {
        let below_limit = queue.running < (2 * threads()).max(4) && queue.remote < requests();
        if queue.idle == 0 && !queue.jobs.is_empty() && below_limit {
            let driver = self.clone();
            let started = thread::Builder::new().name("tegula-driver".into()).spawn(move || driver.run());
            queue.running += usize::from(started.is_ok());
        }
    }

    fn run(self: Arc<Self>) {
        CURRENT.set(Some(self.clone()));
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // A job that panics ends without a result, but its thread goes on.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                queue = lock(&self.queue);
                continue;
            }
            queue.idle += 1;
            let (woken, timeout) = self.wake.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if timeout.timed_out() && queue.jobs.is_empty() {
                queue.running -= 1;
                return;
            }
        }
    }
}

/// The result of a call that runs on another thread; see the `async_` methods of [`Array`](crate::Array).
///
/// Any async runtime can await it.
#[derive(Debug)]
pub struct Pending<T>(Arc<Mutex<PendingState<T>>>);

#[derive(Debug)]
struct PendingState<T> {
    result: Option<Result<T>>,
    waker: Option<Waker>,
}

/// Delivers the result, or an error if the job ends without one.
struct Delivery<T>(Arc<Mutex<PendingState<T>>>);

impl<T> Delivery<T> {
    fn deliver(&self, result: Result<T>) {
        let mut state = lock(&self.0);
        state.result.get_or_insert(result);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        self.deliver(Err(Error::store("the call ended without a result")));
    }
}

impl<T: Send + 'static> Pending<T> {
    /// Starts a call on another thread.
    pub fn start(call: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        let state = Arc::new(Mutex::new(PendingState { result: None, waker: None }));
        let delivery = Delivery(state.clone());
        spawn(move || {
            let result = call();
            let mut state = lock(&delivery.0);
            state.result = Some(result);
            drop(state);
            drop(delivery);
        });
        Self(state)
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0);
        if let Some(result) = state.result.take() {
            return Poll::Ready(result);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_returned_and_stops_the_rest() {
        let items: Vec<usize> = (0..1000).collect();
        let done = AtomicUsize::new(0);
        let result = parallel(&items, 4, |item| {
            done.fetch_add(1, Ordering::Relaxed);
            if *item >= 10 { Err(Error::corrupt(item.to_string())) } else { Ok(()) }
        });
        assert_eq!(result.unwrap_err().message(), "10");
        assert!(done.load(Ordering::Relaxed) < 1000);
    }

    #[test]
    fn results_are_taken_in_order_up_to_the_first_error() {
        let items: Vec<u64> = (0..200).collect();
        let slow = |item: &u64| {
            thread::sleep(Duration::from_micros(item * 7 % 50));
            if *item == 150 { Err(Error::corrupt("150")) } else { Ok(*item) }
        };
        for limit in [1, 2, 5] {
            let mut taken = Vec::new();
            let take = |item| {
                taken.push(item);
                Ok(())
            };
            assert_eq!(parallel_in_order(&items, limit, slow, take).unwrap_err().message(), "150");
            assert!(taken.len() <= 150 && taken[..] == items[..taken.len()]);
            let mut taken = Vec::new();
            let take = |item| {
                taken.push(item);
                if item == 20 { Err(Error::store("full")) } else { Ok(()) }
            };
            assert_eq!(parallel_in_order(&items[..100], limit, slow, take).unwrap_err().message(), "full");
            assert!(taken == items[..=20]);
        }
        let mut sum = 0;
        let add = |item: u64| {
            sum += item;
            Ok(())
        };
        parallel_in_order(&items[..150], 3, slow, add).unwrap();
        assert_eq!(sum, 149 * 75);
    }

    #[test]
    fn at_most_the_limit_of_threads_work_at_once() {
        for limit in [1, 2] {
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            parallel(&[(); 64], limit, |()| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_micros(200));
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
            .unwrap();
            assert!(most.load(Ordering::SeqCst) <= limit);
        }
    }

    #[test]
    fn pending_calls_are_polled_to_their_result() {
        struct Unpark(thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(thread::current())).into();
        let mut context = Context::from_waker(&waker);
        for call in [|| Ok(5), || Err(Error::corrupt("x")), || panic!("lost")] {
            let mut pending = Pending::start(call);
            let result = loop {
                match Pin::new(&mut pending).poll(&mut context) {
                    Poll::Ready(result) => break result,
                    Poll::Pending => thread::park(),
                }
            };
            assert!(matches!(result, Ok(5) | Err(_)));
        }
    }
}
