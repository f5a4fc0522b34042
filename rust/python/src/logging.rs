//! The logger `tegula` of Python gets the events of the core.
//!
//! Events are kept until a thread with the GIL delivers them: at the end of each call, and while a long call runs. No
//! thread waits for the GIL because of an event.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

/// Maximum number of events that wait.
const MOST: usize = 10_000;

struct Event {
    level: Level,
    time: f64,
    message: String,
}

struct Events {
    waiting: Mutex<VecDeque<Event>>,
    any: AtomicBool,
}

static EVENTS: Events = Events { waiting: Mutex::new(VecDeque::new()), any: AtomicBool::new(false) };

impl Events {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries below have events, too.
        metadata.target().starts_with("tegula")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let event = Event { level: record.level(), time, message: record.args().to_string() };
        let mut waiting = self.lock();
        if waiting.len() < MOST {
            waiting.push_back(event);
        }
        self.any.store(true, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

/// Returns Python's number of a level.
fn number(level: Level) -> u8 {
    match level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug | Level::Trace => 10,
    }
}

/// Registers the logger of the core. It is off until [`set_log_level`].
pub(crate) fn register() {
    let _ = log::set_logger(&EVENTS);
}

/// Sets the least level of events, as a number of Python's `logging`.
#[pyfunction]
pub(crate) fn set_log_level(level: u32) {
    log::set_max_level(match level {
        0..=10 => LevelFilter::Debug,
        11..=20 => LevelFilter::Info,
        21..=30 => LevelFilter::Warn,
        31..=40 => LevelFilter::Error,
        _ => LevelFilter::Off,
    });
}

/// Passes the waiting events to Python's logger.
pub(crate) fn deliver(py: Python<'_>) {
    if EVENTS.any.load(Ordering::Relaxed) {
        deliver_all(py);
    }
}

#[cold]
fn deliver_all(py: Python<'_>) {
    EVENTS.any.store(false, Ordering::Relaxed);
    let events = std::mem::take(&mut *EVENTS.lock());
    let deliver = || -> PyResult<()> {
        let handle = py.import("tegula._log")?.getattr("handle")?;
        events.iter().try_for_each(|event| handle.call1((number(event.level), event.time, &event.message)).map(drop))
    };
    if let Err(error) = deliver() {
        error.write_unraisable(py, None);
    }
}
