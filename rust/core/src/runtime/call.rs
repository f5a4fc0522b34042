//! Calls: what the threads that work for one call of a user have in common.
//!
//! A call can be interrupted. Its threads find out between two pieces of work, with [`check`], and end with an error.
//! A call that a store or a codec makes while it serves another call is nested in that call.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A call that can be interrupted from another thread.
///
/// ```
/// # use std::sync::Arc;
/// # use tegula::{ArrayBuilder, Call, ErrorKind, store::MemoryStore};
/// # let array = ArrayBuilder::new([4], "uint8").create(Arc::new(MemoryStore::new()), "/")?;
/// let call = Call::new();
/// // Usually from another thread.
/// call.interrupt();
/// let stored = call.run(|| array.store_chunk(&[0], &[1u8, 2, 3, 4][..]));
/// assert_eq!(stored.unwrap_err().kind(), ErrorKind::Interrupted);
/// # Ok::<(), tegula::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Call {
    /// The call that this one is nested in.
    outer: Option<Arc<Call>>,
    interrupted: AtomicBool,
    /// Number of threads that are storing an object.
    storing: AtomicUsize,
    /// Number of bytes of elements that were read or stored.
    advanced: AtomicU64,
}

/// The call that a thread works for.
#[derive(Default)]
struct Context {
    active: bool,
    /// Created when another thread or a lock needs to know it.
    call: Option<Arc<Call>>,
    /// Whether [`check`] asks `LISTENER`, and when it does next.
    listens: bool,
    next: Option<Instant>,
}

thread_local! {
    static CONTEXT: RefCell<Context> = const {
        RefCell::new(Context { active: false, call: None, listens: false, next: None })
    };
    /// Whether this thread goes on after [`end`].
    static OUTLIVES: Cell<bool> = const { Cell::new(false) };
}

static LISTENER: OnceLock<fn() -> Result<()>> = OnceLock::new();
static ENDED: AtomicBool = AtomicBool::new(false);

/// Time between two questions to the listener.
const INTERVAL: Duration = Duration::from_millis(50);

impl Call {
    /// Creates a call, nested in the call that the thread works for.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { outer: outer(), ..Self::default() })
    }

    /// Calls `work`; while it runs, the thread works for this call.
    pub fn run<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        within(Context { active: true, call: Some(self.clone()), listens: false, next: None }, work)
    }

    /// Lets the call end with an error of kind [`Interrupted`](crate::ErrorKind::Interrupted). No object is stored from
    /// now on, except those that are [being stored](Self::is_storing).
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
    }

    /// Whether the call, or one that it is nested in, was interrupted.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst) || self.outer.as_ref().is_some_and(|outer| outer.is_interrupted())
    }

    /// Whether a thread of the call is storing an object.
    pub fn is_storing(&self) -> bool {
        self.storing.load(Ordering::SeqCst) > 0
    }

    /// Returns the number of bytes of elements that were read and stored; in a copy, since its last report of progress.
    pub fn advanced(&self) -> u64 {
        self.advanced.load(Ordering::Relaxed)
    }

    /// Whether this call is nested in another one.
    pub(crate) fn is_in(&self, other: &Self) -> bool {
        self.outer.as_deref().is_some_and(|outer| std::ptr::eq(outer, other) || outer.is_in(other))
    }

    fn check(&self) -> Result<()> {
        if self.is_interrupted() { Err(Error::interrupted("the call was interrupted")) } else { Ok(()) }
    }
}

fn within<T>(context: Context, work: impl FnOnce() -> T) -> T {
    struct Back(Context);
    impl Drop for Back {
        fn drop(&mut self) {
            CONTEXT.set(std::mem::take(&mut self.0));
        }
    }
    let _back = Back(CONTEXT.replace(context));
    work()
}

/// Returns the call that the thread works for, if it does.
fn outer() -> Option<Arc<Call>> {
    CONTEXT.with_borrow_mut(|context| {
        if !context.active {
            return None;
        }
        Some(context.call.get_or_insert_default().clone())
    })
}

/// Returns the call that the thread works for; a new one if it works for none.
pub(crate) fn current() -> Arc<Call> {
    outer().unwrap_or_default()
}

/// Whether the thread works for a call: a user's code that runs then belongs to a store or a codec.
pub fn is_active() -> bool {
    CONTEXT.with_borrow(|context| context.active)
}

/// Whether the thread works for a nested call.
pub(crate) fn is_nested() -> bool {
    CONTEXT.with_borrow(|context| context.call.as_ref().is_some_and(|call| call.outer.is_some()))
}

/// Calls `work` as a call of this thread. With `listens`, the [listener](set_listener) is asked from time to time.
pub fn enter<T>(listens: bool, work: impl FnOnce() -> T) -> T {
    let call = outer().map(|outer| Arc::new(Call { outer: Some(outer), ..Call::default() }));
    within(Context { active: true, call, listens, next: None }, work)
}

/// Sets the function that tells whether calls of a listening thread go on. It is called between two pieces of work.
pub fn set_listener(listener: fn() -> Result<()>) {
    let _ = LISTENER.set(listener);
}

/// Interrupts all calls, those of other threads for good.
pub(super) fn end() {
    OUTLIVES.set(true);
    ENDED.store(true, Ordering::SeqCst);
}

/// Whether [`end`] was called. This thread then works alone.
pub(super) fn has_ended() -> bool {
    ENDED.load(Ordering::Relaxed)
}

/// Fails if the call that this thread works for was interrupted.
pub(crate) fn check() -> Result<()> {
    ask(false)
}

/// Like [`check`], after a signal: asks the listener now.
pub(crate) fn check_now() -> Result<()> {
    ask(true)
}

fn ask(now: bool) -> Result<()> {
    if has_ended() && !OUTLIVES.get() {
        return Err(Error::interrupted("the process ends"));
    }
    let is_due = CONTEXT.with_borrow_mut(|context| -> Result<bool> {
        if let Some(call) = &context.call {
            call.check()?;
        }
        if !context.listens {
            return Ok(false);
        }
        let time = Instant::now();
        let is_due = now || context.next.is_some_and(|next| time >= next);
        if is_due || context.next.is_none() {
            context.next = Some(time + INTERVAL);
        }
        Ok(is_due)
    })?;
    match LISTENER.get() {
        Some(listener) if is_due => listener(),
        _ => Ok(()),
    }
}

/// Counts bytes of elements that were read or stored.
pub(crate) fn advance(bytes: u64) {
    CONTEXT.with_borrow(|context| {
        if let Some(call) = &context.call {
            call.advanced.fetch_add(bytes, Ordering::Relaxed);
        }
    });
}

/// Sets the count of bytes to zero.
pub(crate) fn reset_advance() {
    CONTEXT.with_borrow(|context| {
        if let Some(call) = &context.call {
            call.advanced.store(0, Ordering::Relaxed);
        }
    });
}

/// An object is being stored until this is dropped.
#[must_use]
pub(crate) struct Storing(Option<Arc<Call>>);

/// Begins to store an object. Fails if the call was interrupted: after that, nothing more is stored.
pub(crate) fn storing() -> Result<Storing> {
    let call = CONTEXT.with_borrow(|context| context.call.clone());
    if let Some(call) = &call {
        call.storing.fetch_add(1, Ordering::SeqCst);
    }
    let storing = Storing(call);
    if has_ended() && !OUTLIVES.get() {
        return Err(Error::interrupted("the process ends"));
    }
    storing.0.as_ref().map_or(Ok(()), |call| call.check())?;
    Ok(storing)
}

impl Drop for Storing {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            call.storing.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
