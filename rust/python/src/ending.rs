//! The end of the interpreter, which threads of tegula and daemon threads outlive.
//!
//! A thread that enters Python while the interpreter is finalized is ended by unwinding, which aborts the process. So
//! threads pass a gate before they enter or come back; `end`, which Python calls at exit, closes it and waits for those
//! inside.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tegula::{Error, Result};

use crate::logging;

/// Whether the gate is closed, and the number of threads inside.
static CLOSED: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Time that `end` waits for calls, and for threads inside Python.
const CALLS: Duration = Duration::from_secs(2);
const PYTHON: Duration = Duration::from_secs(10);

thread_local! {
    /// Whether this thread ends the interpreter.
    static ENDS: Cell<bool> = const { Cell::new(false) };
    /// Number of passes of this thread.
    static PASSES: Cell<usize> = const { Cell::new(0) };
    /// Whether this is Python's main thread, which signal handlers run on.
    static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
}

struct Pass;

impl Pass {
    /// Passes the gate; `None` if it is closed.
    fn new() -> Option<Self> {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        PASSES.set(PASSES.get() + 1);
        let pass = Self;
        if CLOSED.load(Ordering::SeqCst) && !ENDS.get() { None } else { Some(pass) }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        PASSES.set(PASSES.get() - 1);
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Calls a function with the GIL, on any thread. Fails if the interpreter is shutting down.
pub(crate) fn attach<T>(call: impl FnOnce(Python<'_>) -> T) -> Result<T> {
    let pass = Pass::new();
    let called = if pass.is_some() { Python::try_attach(call) } else { None };
    drop(pass);
    called.ok_or_else(|| Error::interrupted("the Python interpreter is shutting down"))
}

/// Calls a function without the GIL. If the interpreter is shut down meanwhile, a daemon thread stays here.
pub(crate) fn detach<T: Send>(py: Python<'_>, call: impl FnOnce() -> T + Send) -> T {
    let value = py.detach(|| {
        let value = call();
        if let Some(pass) = Pass::new() {
            // Kept until this thread has the GIL again.
            std::mem::forget(pass);
            return value;
        }
        loop {
            thread::park();
        }
    });
    drop(Pass);
    value
}

/// Whether this is Python's main thread.
pub(crate) fn is_main(py: Python<'_>) -> bool {
    IS_MAIN.get().unwrap_or_else(|| {
        let is_main = || -> PyResult<bool> {
            let threading = py.import("threading")?;
            threading.call_method0("get_ident")?.eq(threading.call_method0("main_thread")?.getattr("ident")?)
        };
        let is_main = is_main().unwrap_or(false);
        IS_MAIN.set(Some(is_main));
        is_main
    })
}

/// Ends the calls of all other threads before the interpreter is finalized. Later calls of this thread work alone.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) {
    logging::deliver(py);
    ENDS.set(true);
    CLOSED.store(true, Ordering::SeqCst);
    py.detach(|| {
        tegula::end(CALLS);
        tegula::store::remove_temporaries(None);
        let begun = Instant::now();
        while INSIDE.load(Ordering::SeqCst) > 0 && begun.elapsed() < PYTHON {
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Adjusts what is known of threads to a forked child, which has only this one.
#[pyfunction]
pub(crate) fn after_fork() {
    INSIDE.store(PASSES.get(), Ordering::SeqCst);
    IS_MAIN.set(Some(true));
}
