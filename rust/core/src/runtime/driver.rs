//! Threads that run whole calls for callers that do not block, or that go on listening to signals.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::{Call, PerProcess, call, lock, requests, threads};
use crate::error::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run whole calls for callers that do not block: each reads by itself and decodes on the pool. A queued
/// call takes only the memory of its closure.
#[derive(Default)]
struct Driver {
    queue: Mutex<Queue>,
    wake: Condvar,
    unlimited: bool,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Number of threads, without those in `remote`.
    running: usize,
    /// Number of these threads that wait for a job.
    idle: usize,
    /// Number of these threads that were started and have not looked for a job yet.
    starting: usize,
    /// Number of threads that wait for another machine.
    remote: usize,
}

impl Queue {
    /// Whether a job waits for which no thread is free.
    fn is_short(&self) -> bool {
        self.jobs.len() > self.idle + self.starting
    }
}

static DRIVER: PerProcess<Arc<Driver>> = PerProcess::new(Arc::default);

/// A driver without a limit of threads.
static APART: PerProcess<Arc<Driver>> = PerProcess::new(|| Arc::new(Driver { unlimited: true, ..Driver::default() }));

/// Time after which an idle thread ends.
const IDLE: Duration = Duration::from_secs(10);

thread_local! {
    /// The driver that this thread belongs to.
    static CURRENT: RefCell<Option<Arc<Driver>>> = const { RefCell::new(None) };
}

/// Queues a job for a thread of the driver. If no thread can be started, the job runs on this one.
pub fn spawn(job: impl FnOnce() + Send + 'static) {
    if let Some(job) = DRIVER.get().queue(Box::new(job)) {
        run(job);
    }
}

/// Runs a job on a thread of its own, however many calls wait for the driver. If no thread can be started, the job runs
/// on this one.
pub fn run_apart(job: impl FnOnce() + Send + 'static) {
    if let Some(job) = APART.get().queue(Box::new(job)) {
        run(job);
    }
}

/// Runs a job. One that panics ends without a result, but its thread goes on.
fn run(job: Job) {
    let _ = catch_unwind(AssertUnwindSafe(job));
}

/// Ends the calls of all other threads, because the process ends: drops those that have not begun, interrupts the
/// others and waits for them, at most for the given time. After that, this thread works alone.
pub fn end(limit: Duration) {
    call::end();
    let drivers = [DRIVER.get(), APART.get()];
    for driver in drivers {
        drop(std::mem::take(&mut lock(&driver.queue).jobs));
    }
    let begun = Instant::now();
    let is_busy = |driver: &Arc<Driver>| {
        let queue = lock(&driver.queue);
        queue.running > queue.idle || queue.remote > 0
    };
    while drivers.into_iter().any(is_busy) && begun.elapsed() < limit {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Calls `wait`, which waits for another machine. If this thread belongs to the driver, another thread may take its
/// place until then.
pub(super) fn while_away<T>(wait: impl FnOnce() -> T) -> T {
    struct Back(Option<Arc<Driver>>);
    impl Drop for Back {
        fn drop(&mut self) {
            if let Some(driver) = self.0.take() {
                let mut queue = lock(&driver.queue);
                queue.remote -= 1;
                queue.running += 1;
                drop(queue);
                CURRENT.set(Some(driver));
            }
        }
    }
    // Waits within this one do not count again.
    let driver = CURRENT.take();
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
    /// Queues a job; returns it if there is no thread for it.
    fn queue(self: &Arc<Self>, job: Job) -> Option<Job> {
        if call::has_ended() {
            return Some(job);
        }
        let mut queue = lock(&self.queue);
        queue.jobs.push_back(job);
        self.start_thread_if_needed(&mut queue);
        let is_lost = if self.unlimited { queue.is_short() } else { queue.running + queue.remote == 0 };
        let job = if is_lost { queue.jobs.pop_back() } else { None };
        drop(queue);
        self.wake.notify_one();
        job
    }

    /// Starts a thread if more jobs wait than threads are idle, and the limit is not reached.
    fn start_thread_if_needed(self: &Arc<Self>, queue: &mut Queue) {
        let below_limit = self.unlimited || queue.running < (2 * threads()).max(4) && queue.remote < requests();
        if queue.is_short() && below_limit {
            let driver = self.clone();
            if thread::Builder::new().name("tegula-driver".into()).spawn(move || driver.run()).is_ok() {
                queue.running += 1;
                queue.starting += 1;
            }
        }
    }

    fn run(self: Arc<Self>) {
        CURRENT.set(Some(self.clone()));
        let mut queue = lock(&self.queue);
        queue.starting -= 1;
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                run(job);
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
/// Any async runtime can await it. Dropping it before it has a result interrupts the call: one that has not begun is not
/// carried out, and one that has ends between two chunks.
#[derive(Debug)]
pub struct Pending<T> {
    call: Arc<Call>,
    state: Arc<Mutex<PendingState<T>>>,
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.call.interrupt();
    }
}

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
    pub fn start(work: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        let state = Arc::new(Mutex::new(PendingState { result: None, waker: None }));
        let (delivery, call) = (Delivery(state.clone()), Call::new());
        let own = call.clone();
        spawn(move || {
            if !own.is_interrupted() {
                delivery.deliver(own.run(work));
            }
        });
        Self { call, state }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.state);
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
