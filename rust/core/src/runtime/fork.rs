//! Memory that threads share and that a forked child goes on using.
//!
//! A child has none of its parent's threads: a lock that one of them held would never be free, and what it was changing
//! would stay half changed. So `fork` waits until no thread holds such a lock, and both processes go on with free ones.
//! Locks are held for moments only, and no thread waits for anything while it holds one.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use super::lock;

/// A lock that is free in a forked child.
pub(crate) struct Shared<T: 'static>(Arc<RwLock<T>>);

impl<T: Send + Sync + 'static> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        let shared = Arc::new(RwLock::new(value));
        register(Arc::downgrade(&shared) as Weak<dyn Hold>);
        Self(shared)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default + Send + Sync + 'static> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// A lock that the forking thread holds during a fork.
trait Hold: Send + Sync {
    fn hold(self: Arc<Self>) -> Box<dyn Any>;
}

/// A guard, and what keeps its lock alive; dropped in this order.
struct Held<T: 'static>(#[allow(dead_code)] RwLockWriteGuard<'static, T>, #[allow(dead_code)] Arc<RwLock<T>>);

impl<T: Send + Sync + 'static> Hold for RwLock<T> {
    fn hold(self: Arc<Self>) -> Box<dyn Any> {
        let guard = self.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the guard borrows the lock, which is kept alive until the guard is dropped.
        let guard = unsafe { mem::transmute::<RwLockWriteGuard<'_, T>, RwLockWriteGuard<'static, T>>(guard) };
        Box::new(Held(guard, self))
    }
}

/// The locks of the process, and the length at which those that are gone are removed.
static LOCKS: Mutex<(Vec<Weak<dyn Hold>>, usize)> = Mutex::new((Vec::new(), 64));

thread_local! {
    static HELD: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

fn register(new: Weak<dyn Hold>) {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(|| {
        // SAFETY: the handlers live as long as the process, as this library is never unloaded.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    });
    let mut locks = lock(&LOCKS);
    let (all, limit) = &mut *locks;
    if all.len() >= *limit {
        all.retain(|lock| lock.strong_count() > 0);
        *limit = 64.max(2 * all.len());
    }
    all.push(new);
}

extern "C" fn before() {
    let locks = lock(&LOCKS);
    let _ = HELD.try_with(|held| {
        let mut held = held.borrow_mut();
        held.extend(locks.0.iter().filter_map(Weak::upgrade).map(Hold::hold));
        held.push(Box::new(locks));
    });
}

extern "C" fn after() {
    let _ = HELD.try_with(|held| mem::take(&mut *held.borrow_mut()));
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_child_finds_locks_free() {
        let shared = Arc::new(Shared::new(vec![0u8; 1000]));
        for _ in 0..4 {
            let shared = shared.clone();
            thread::spawn(move || {
                loop {
                    shared.write().iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
                    let _ = shared.read().len();
                }
            });
        }
        for _ in 0..100 {
            // SAFETY: the child calls only functions that need no other thread.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: ends a child that waits for a lock, and a child that does not.
                unsafe {
                    libc::alarm(10);
                    let first = shared.write()[0];
                    libc::_exit(i32::from(shared.read().iter().any(|byte| *byte != first)));
                }
            }
            let mut status = 0;
            // SAFETY: waits for the child.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0, "the child waited for a lock, or found half a change");
        }
    }
}
