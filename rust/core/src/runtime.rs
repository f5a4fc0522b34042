//! The pool of threads that decode, and other values that exist once per process.
//!
//! After `fork`, a child has the memory of its parent but none of its threads: waiting for the parent's pool would
//! never end. So every value here is kept with the id of the process that made it, and is made again in a child. All
//! use of rayon goes through this module; its global pool is never used.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::{process, ptr, thread};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

mod call;
mod driver;
mod fork;
mod waiting;

pub use call::{Call, enter, is_active, set_listener};
pub(crate) use call::{advance, check, check_now, current, reset_advance, storing};
pub use driver::{Pending, end, run_apart, spawn};
pub(crate) use fork::Shared;

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
/// started; of several errors, the first item's is returned. An interrupted call starts no further item.
pub(crate) fn parallel<T: Sync>(items: &[T], limit: usize, work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let mut helpers = limit.min(items.len()).saturating_sub(1);
    if call::is_nested() || call::has_ended() {
        // Threads of the pool may be waiting for a lock of the call that this one is nested in. When the process ends,
        // they can no longer call Python.
        helpers = 0;
    }
    if helpers > 0 && waiting::has_permit() {
        if waiting::permits_are_free() {
            // A thread with a permit must not wait for threads of the pool, which may be waiting for a permit.
            return waiting(|| parallel(items, limit, work));
        }
        helpers = 0;
    }
    let pool = if helpers > 0 { POOL.get().as_ref() } else { None };
    let Some(pool) = pool else {
        return items.iter().enumerate().try_for_each(|(index, item)| {
            if index > 0 {
                check()?;
            }
            work(item)
        });
    };
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let drain = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            if let Err(error) = check().and_then(|()| work(item)) {
                failed.store(true, Ordering::Relaxed);
                let mut first = lock(&first);
                if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    *first = Some((index, error));
                }
            }
        }
    };
    let call = current();
    pool.in_place_scope(|scope| {
        for _ in 0..helpers.min(pool.current_num_threads()) {
            scope.spawn(|_| call.run(drain));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
