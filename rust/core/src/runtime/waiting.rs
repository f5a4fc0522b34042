//! Work that mostly waits for other machines. Many pieces are under way at once, whatever the number of processors, but
//! at most as many threads compute as the pool has.
//!
//! Each piece of work occupies a thread. To compute, the thread needs a *permit*, and there is one permit per thread of
//! the pool; [`waiting`] gives it back until the answer arrives. So the same code serves stores that answer at once and
//! stores that do not. A thread that has a permit never waits for one that needs a permit.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use super::driver::while_away;
use super::{PerProcess, call, check, current, lock, threads};
use crate::error::{Error, Result};

static REQUESTS: AtomicUsize = AtomicUsize::new(64);

/// Returns the maximum number of requests that this process has under way at once: 64 by default.
pub fn requests() -> usize {
    REQUESTS.load(Ordering::Relaxed)
}

/// Sets the maximum number of requests under way at once. It has no effect after the first request.
pub fn set_requests(requests: usize) {
    REQUESTS.store(requests.max(1), Ordering::Relaxed);
}

/// Maximum total of `bytes` of the items that one call works on at once.
const BYTES: u64 = 256 << 20;

/// The permits to compute that no thread has.
struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

static PERMITS: PerProcess<Permits> =
    PerProcess::new(|| Permits { free: Mutex::new(threads().max(1)), freed: Condvar::new() });

/// Number of threads that calls have started, in addition to those of their callers.
static HELPERS: PerProcess<AtomicUsize> = PerProcess::new(|| AtomicUsize::new(0));

thread_local! {
    static HAS_PERMIT: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread has a permit.
pub(super) fn has_permit() -> bool {
    HAS_PERMIT.get()
}

/// Whether a permit is free.
pub(super) fn permits_are_free() -> bool {
    *lock(&PERMITS.get().free) > 0
}

fn acquire() {
    let permits = PERMITS.get();
    let mut free = lock(&permits.free);
    while *free == 0 {
        free = permits.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
    }
    *free -= 1;
    HAS_PERMIT.set(true);
}

fn release() {
    let permits = PERMITS.get();
    HAS_PERMIT.set(false);
    *lock(&permits.free) += 1;
    permits.freed.notify_one();
}

/// Calls `wait`, which waits for another machine; another thread may compute until it returns.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    struct Again(bool);
    impl Drop for Again {
        fn drop(&mut self) {
            if self.0 {
                acquire();
            }
        }
    }
    while_away(|| {
        let had = has_permit();
        if had {
            release();
        }
        let _again = Again(had);
        wait()
    })
}

/// Calls `work` with a permit.
fn with_permit<T>(work: impl FnOnce() -> T) -> T {
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            release();
        }
    }
    acquire();
    let _done = Done;
    work()
}

/// A number of threads that a call may start, reserved until this is dropped.
struct Allowance(usize);

impl Allowance {
    fn of(wanted: usize) -> Self {
        let (helpers, mut taken) = (HELPERS.get(), 0);
        // If several calls share the limit, each gets some threads. The gate of requests limits how many of these have
        // a request under way.
        let most = 4 * requests();
        let _ = helpers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
            taken = wanted.min(most.saturating_sub(running));
            Some(running + taken)
        });
        Self(taken)
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        HELPERS.get().fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// State that the threads of a call share.
#[derive(Default)]
struct Progress {
    next: usize,
    bytes: u64,
    failed: Option<(usize, Error)>,
}

/// The bytes counted for an item while work on it runs; dropped also if it panics.
struct Held<'a> {
    progress: &'a Mutex<Progress>,
    done: &'a Condvar,
    bytes: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        lock(self.progress).bytes -= self.bytes;
        self.done.notify_all();
    }
}

/// Calls `work`, which [waits](waiting), on every item, on as many threads as requests may be under way. `bytes`
/// estimates how much memory the work on an item takes.
///
/// As in [`parallel`](super::parallel), items are taken in order, no further item is started after an error, and of
/// several errors the first item's is returned.
pub(crate) fn gather<T: Sync>(
    items: &[T],
    bytes: impl Fn(&T) -> u64 + Sync,
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let (progress, done) = (Mutex::<Progress>::default(), Condvar::new());
    let begin = || {
        let mut progress = lock(&progress);
        loop {
            let item = items.get(progress.next).filter(|_| progress.failed.is_none())?;
            let bytes = bytes(item);
            if progress.bytes == 0 || progress.bytes.saturating_add(bytes) <= BYTES {
                progress.bytes = progress.bytes.saturating_add(bytes);
                progress.next += 1;
                return Some((progress.next - 1, item, bytes));
            }
            progress = done.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
    };
    let drain = || {
        while let Some((index, item, bytes)) = begin() {
            let _held = Held { progress: &progress, done: &done, bytes };
            if let Err(error) = check().and_then(|()| with_permit(|| work(item))) {
                let mut progress = lock(&progress);
                if progress.failed.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    progress.failed = Some((index, error));
                }
            }
        }
    };
    let call = current();
    waiting(|| {
        let wanted = if call::has_ended() { 0 } else { items.len().min(requests()) - 1 };
        let allowance = Allowance::of(wanted);
        thread::scope(|scope| {
            for _ in 0..allowance.0 {
                // If no thread can be started, the existing ones do its work.
                if thread::Builder::new().name("tegula-fetch".into()).spawn_scoped(scope, || call.run(drain)).is_err() {
                    break;
                }
            }
            drain();
        });
    });
    match lock(&progress).failed.take() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Like [`gather`], but returns the results in the order of the items.
pub(crate) fn gather_map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let slots: Vec<(&T, Mutex<Option<R>>)> = items.iter().map(|item| (item, Mutex::new(None))).collect();
    gather(
        &slots,
        |_| 0,
        |(item, slot)| {
            *lock(slot) = Some(work(item)?);
            Ok(())
        },
    )?;
    Ok(slots.into_iter().filter_map(|(_, slot)| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn many_wait_and_few_compute() {
        let (now, most, away) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let begun = Instant::now();
        let found = gather_map(&(0..96).collect::<Vec<u32>>(), |number| {
            waiting(|| {
                // Each answer waits until many requests are under way.
                away.fetch_add(1, Ordering::SeqCst);
                while away.load(Ordering::SeqCst) < 32 && begun.elapsed() < Duration::from_secs(60) {
                    thread::sleep(Duration::from_millis(1));
                }
            });
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(*number)
        });
        assert_eq!(found.unwrap(), (0..96).collect::<Vec<_>>());
        assert!(begun.elapsed() < Duration::from_secs(60), "the requests were sent one after the other");
        assert!(most.into_inner() <= threads());
    }

    #[test]
    fn nested_work_ends() {
        let outer: Vec<u64> = (0..200).collect();
        let sum = Mutex::new(0);
        gather(
            &outer,
            |_| 1 << 26,
            |outer| {
                let inner = gather_map(&[1u64, 2, 3], |inner| Ok(waiting(|| outer * inner)))?;
                super::super::parallel(&inner, 8, |number| {
                    *lock(&sum) += number;
                    Ok(())
                })
            },
        )
        .unwrap();
        assert_eq!(sum.into_inner().unwrap(), 6 * 199 * 100);
        let failed =
            gather(&outer, |_| 0, |number| if *number < 7 { Ok(()) } else { Err(Error::corrupt(number.to_string())) });
        assert_eq!(failed.unwrap_err().message(), "7");
        assert!(!has_permit());
    }
}
