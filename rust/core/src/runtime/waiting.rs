//! Work that mostly waits for other machines: much of it is under way at once, whatever the number of processors, and
//! no more of it computes at once than there are threads in the pool.
//!
//! Each piece of work has a thread as long as it takes. To compute it needs a *turn*, of which there are as many as the
//! pool has threads; [`waiting`] gives it back until the answer is there. So one code serves stores that answer at once
//! and stores that do not. Who has a turn never waits for one who needs one.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use super::{PerProcess, away, lock, threads};
use crate::error::{Error, Result};

static REQUESTS: AtomicUsize = AtomicUsize::new(64);

/// How many requests to other machines are under way at once in this process, at most: 64, unless it is set otherwise.
pub fn requests() -> usize {
    REQUESTS.load(Ordering::Relaxed)
}

/// Sets how many requests to other machines are under way at once, before the first of them.
pub fn set_requests(requests: usize) {
    REQUESTS.store(requests.max(1), Ordering::Relaxed);
}

/// Of one call, work on more bytes than this is not begun before other work is done.
const BYTES: u64 = 256 << 20;

/// Turns to compute that nobody has.
struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

static TURNS: PerProcess<Turns> =
    PerProcess::new(|| Turns { free: Mutex::new(threads().max(1)), freed: Condvar::new() });

/// Threads beside those of callers.
static HELPERS: PerProcess<AtomicUsize> = PerProcess::new(|| AtomicUsize::new(0));

thread_local! {
    static TURN: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread has a turn.
pub(super) fn has_turn() -> bool {
    TURN.get()
}

/// Whether fewer threads compute than could.
pub(super) fn turns_are_free() -> bool {
    *lock(&TURNS.get().free) > 0
}

fn take() {
    let turns = TURNS.get();
    let mut free = lock(&turns.free);
    while *free == 0 {
        free = turns.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
    }
    *free -= 1;
    TURN.set(true);
}

fn give() {
    let turns = TURNS.get();
    TURN.set(false);
    *lock(&turns.free) += 1;
    turns.freed.notify_one();
}

/// Calls `wait`, which waits for another machine, while others may compute.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    struct Again(bool);
    impl Drop for Again {
        fn drop(&mut self) {
            if self.0 {
                take();
            }
        }
    }
    away(|| {
        let had = has_turn();
        if had {
            give();
        }
        let _again = Again(had);
        wait()
    })
}

/// Computes when it is this thread's turn.
fn in_turn<T>(work: impl FnOnce() -> T) -> T {
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            give();
        }
    }
    take();
    let _done = Done;
    work()
}

/// Threads that a call may start, until this is dropped.
struct Allowance(usize);

impl Allowance {
    fn of(wanted: usize) -> Self {
        let (helpers, mut taken) = (HELPERS.get(), 0);
        // Several calls at once get some each; how many of their requests are under way is limited elsewhere.
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

/// What the threads of a call share.
#[derive(Default)]
struct Progress {
    next: usize,
    bytes: u64,
    failed: Option<(usize, Error)>,
}

/// Bytes that work on an item holds, until it ends, be it in a panic.
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

/// Does `work`, which [waits](waiting), on every item, as many at once as there may be requests under way. `bytes` is
/// about what the work on an item holds in memory.
///
/// As with [`parallel`](super::parallel) items are taken in order, after an error no further item is begun, and of
/// several errors that of the first item is returned.
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
            if let Err(error) = in_turn(|| work(item)) {
                let mut progress = lock(&progress);
                if progress.failed.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    progress.failed = Some((index, error));
                }
            }
        }
    };
    waiting(|| {
        let allowance = Allowance::of(items.len().min(requests()) - 1);
        thread::scope(|scope| {
            for _ in 0..allowance.0 {
                // Where a thread cannot be had, the others do its work.
                if thread::Builder::new().name("tegula-fetch".into()).spawn_scoped(scope, drain).is_err() {
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

/// [`gather`] with results, in the order of the items.
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
                // The answers come only when many have asked.
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
        assert!(begun.elapsed() < Duration::from_secs(60), "they asked one after the other");
        assert!(most.into_inner() <= threads());
    }

    #[test]
    fn work_within_work_comes_to_an_end() {
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
        assert!(!has_turn());
    }
}
