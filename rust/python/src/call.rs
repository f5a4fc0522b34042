//! Calls of the core, without the GIL: on this thread, beside it while it listens to signals or, for asyncio, on a thread
//! of the driver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tegula::{Call, Result};

use crate::ending::{attach, detach, is_main};
use crate::errors::{OrRaise, exception, wrapped};
use crate::logging;
use crate::progress::Progress;

/// A result, or the message of a panic. Panics must not cross into Python.
type Guarded<T> = std::result::Result<Result<T>, String>;

fn catch_panics<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("internal error in tegula, please report it: {}", message.unwrap_or("a panic without a message"))
    })
}

fn or_raise<T>(py: Python<'_>, result: Guarded<T>) -> PyResult<T> {
    logging::deliver(py);
    result.map_err(|message| exception(py, "Error", &message))?.or_raise(py)
}

/// Calls the core with the GIL, for work without I/O.
pub(crate) fn attached<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    or_raise(py, catch_panics(work))
}

/// Calls the core without the GIL, on this thread. Python's main thread listens to signals between pieces of work.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let listens = is_main(py);
    let result = detach(py, || catch_panics(|| tegula::enter(listens, work)));
    or_raise(py, result)
}

/// Runs the handlers of signals, on the main thread of Python, which waits in the core.
fn listen() -> Result<()> {
    attach(|py| {
        logging::deliver(py);
        py.check_signals().map_err(|error| wrapped(py, error, tegula::Error::interrupted))
    })?
}

/// Registers the listener of the core.
pub(crate) fn register() {
    tegula::set_listener(listen);
}

/// Time between two looks at signals and progress.
const INTERVAL: Duration = Duration::from_millis(50);

/// Time that an interrupted call has to end, and that it has if it is storing an object.
const GRACE: Duration = Duration::from_millis(250);
const STORING: Duration = Duration::from_secs(5);

/// Calls the core without the GIL for work that may take long without a pause. In Python's main thread, another thread
/// does the work, and this one listens to signals. After an exception of a handler, the work stores nothing more; if a
/// piece of it takes long, it ends after this function returns.
pub(crate) fn apart<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> PyResult<T> {
    // A store or codec that calls back may rely on its thread.
    if tegula::is_active() || !is_main(py) { detached(py, work) } else { watched(py, work, |_, _| Ok(())) }
}

/// Calls the core without the GIL for work that mostly waits for a store: apart if another machine has its objects.
pub(crate) fn reaching<T: Send + 'static>(
    py: Python<'_>,
    store: &Arc<dyn tegula::store::Store>,
    work: impl FnOnce(&Arc<dyn tegula::store::Store>) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let given = store.clone();
    if store.profile().remote { apart(py, move || work(&given)) } else { detached(py, move || work(&given)) }
}

/// Like [`apart`], on any thread, and calls `watch` from time to time. An exception of `watch` interrupts the work, too.
pub(crate) fn watched<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
    mut watch: impl FnMut(Python<'_>, &Call) -> PyResult<()>,
) -> PyResult<T> {
    let call = Call::new();
    let answer = Arc::new((Mutex::new(None), Condvar::new()));
    let (own, given) = (call.clone(), answer.clone());
    tegula::run_apart(move || {
        let result = catch_panics(|| own.run(work));
        *given.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        given.1.notify_one();
    });
    let wait = |limit: Duration| {
        let result = answer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = answer.1.wait_timeout_while(result, limit, |result| result.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    };
    loop {
        if let Some(result) = detach(py, || wait(INTERVAL)) {
            return or_raise(py, result);
        }
        logging::deliver(py);
        if let Err(error) = py.check_signals().and_then(|()| watch(py, &call)) {
            call.interrupt();
            let ended = detach(py, || {
                let begun = Instant::now();
                loop {
                    let (ended, elapsed) = (wait(Duration::from_millis(5)), begun.elapsed());
                    if ended.is_some() || elapsed > if call.is_storing() { STORING } else { GRACE } {
                        return ended;
                    }
                }
            });
            if ended.is_none() {
                tegula::store::remove_temporaries(Some(&call));
            }
            return Err(error);
        }
    }
}

/// The call of an asynchronous method.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct AsyncCall(Arc<Call>);

#[pymethods]
impl AsyncCall {
    /// Drops the call if it has not begun; otherwise it ends between two chunks.
    fn interrupt(&self) {
        self.0.interrupt();
    }
}

/// Return value of a method that can be deferred: the result, or `done` if another thread passes it the result.
pub(crate) type Answer = PyResult<Py<PyAny>>;

/// Calls the core without the GIL and returns the answer; with `is_long`, [apart] from the main thread. With `done`,
/// another thread does the work and then calls `done(answer, None)` or `done(None, error)`; this function returns `done`
/// immediately, unless it is a [`Progress`].
pub(crate) fn perform<T: Send + 'static>(
    py: Python<'_>,
    done: Option<&Py<PyAny>>,
    is_long: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
    answer: impl FnOnce(Python<'_>, T) -> Answer + Send + 'static,
) -> Answer {
    let Some(done) = done else {
        return answer(py, if is_long { apart(py, work) } else { detached(py, work) }?);
    };
    if let Ok(progress) = done.bind(py).cast::<Progress>() {
        let progress = progress.get();
        progress.tell(py, 0)?;
        let value = watched(py, work, |py, call| progress.tell(py, call.advanced()))?;
        progress.finish(py)?;
        return answer(py, value);
    }
    let (called, call) = (done.clone_ref(py), Call::new());
    done.setattr(py, "call", AsyncCall(call.clone()))?;
    tegula::spawn(move || {
        if call.is_interrupted() {
            return;
        }
        let result = catch_panics(|| call.run(work));
        // If the interpreter is shutting down, nothing waits for the answer.
        let _ = attach(|py| {
            let answered = catch_panics(|| or_raise(py, result).and_then(|value| answer(py, value)));
            let tell = |answered: Answer| match answered {
                Ok(value) => called.call1(py, (value, py.None())),
                Err(error) => called.call1(py, (py.None(), error.into_value(py))),
            };
            let told = tell(answered.unwrap_or_else(|message| Err(exception(py, "Error", &message))));
            // Without memory for the answer, there may be some for the error.
            if let Err(error) = told.or_else(|error| tell(Err(error))) {
                error.write_unraisable(py, None);
            }
        });
    });
    Ok(done.clone_ref(py))
}
