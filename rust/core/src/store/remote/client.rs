//! The connection to a server: requests run on threads of their own, and callers wait for them.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use lru::LruCache;
use object_store::path::Path;
use object_store::{ObjectStore, PutResult};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::answer::Seen;
use super::failure::Failure;
use super::options::Spec;
use super::transport::{Connector, Counters, Settings};
use super::whole::Wholes;
use crate::error::{Error, Place, Result};
use crate::runtime::{PerProcess, lock, requests, threads, waiting};

/// The threads that transfer bytes between sockets and memory.
static RUNTIME: PerProcess<Option<Runtime>> = PerProcess::new(|| {
    // A process needs one provider of cryptography for TLS; another library may have installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let workers = threads().clamp(1, 4);
    Builder::new_multi_thread().worker_threads(workers).thread_name("tegula-io").enable_all().build().ok()
});

/// Limits how many requests are under way.
static GATE: PerProcess<Arc<Semaphore>> = PerProcess::new(|| Arc::new(Semaphore::new(requests())));

/// The clients of the process, so that stores on one server share its connections.
static CLIENTS: PerProcess<Mutex<LruCache<Spec, Arc<Client>>>> =
    PerProcess::new(|| Mutex::new(LruCache::new(CLIENTS_KEPT)));
const CLIENTS_KEPT: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Number of objects whose last seen size and version are remembered.
const SEEN: NonZeroUsize = NonZeroUsize::new(1 << 16).unwrap();

/// Number of failures after which ranges from the end are no longer requested.
const SUSPICIONS: i32 = 2;

/// Counts of the requests of a [`RemoteStore`](super::RemoteStore)'s client in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteStats {
    /// Number of requests, including retries.
    pub requests: u64,
    /// Number of these requests that get an object's size and version without reading it (`HEAD`).
    pub heads: u64,
    /// Number of bytes of objects that were read.
    pub bytes_read: u64,
    /// Number of bytes of objects that were stored.
    pub bytes_written: u64,
}

/// The client of a server or of one bucket.
#[derive(Debug)]
pub(super) struct Client {
    store: Arc<dyn ObjectStore>,
    name: String,
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    seen: Mutex<LruCache<Path, Seen>>,
    wholes: Arc<Wholes>,
    /// Failures of ranges from the end; negative after one succeeded.
    suspicions: AtomicI32,
    /// Whether a request for a range got the whole object.
    lacks_ranges: AtomicBool,
}

impl Client {
    /// Returns this process's client for a server or bucket.
    pub(super) fn of(spec: &Spec) -> Result<Arc<Self>> {
        if let Some(client) = lock(CLIENTS.get()).get(spec) {
            return Ok(client.clone());
        }
        // The runtime installs the provider for TLS.
        RUNTIME.get();
        let counters = Arc::new(Counters::default());
        let connect = || {
            let settings = Arc::new(spec.settings()?);
            let store = spec.connect(Connector { settings: settings.clone(), counters: counters.clone() })?;
            Ok((store, settings))
        };
        let (store, settings) = connect().place(|| spec.display())?;
        let client = Arc::new(Self {
            store,
            name: spec.display(),
            settings,
            counters,
            seen: Mutex::new(LruCache::new(SEEN)),
            wholes: Arc::default(),
            // Azure has none.
            suspicions: AtomicI32::new(if spec.has_suffix_ranges() { 0 } else { SUSPICIONS }),
            lacks_ranges: AtomicBool::new(false),
        });
        let mut clients = lock(CLIENTS.get());
        if let Some(faster) = clients.get(spec) {
            return Ok(faster.clone());
        }
        clients.put(spec.clone(), client.clone());
        Ok(client)
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn wholes(&self) -> &Arc<Wholes> {
        &self.wholes
    }

    /// Returns the URL of an object, without secrets.
    pub(super) fn url(&self, path: &Path) -> String {
        format!("{}/{path}", self.name)
    }

    pub(super) fn stats(&self) -> RemoteStats {
        let counters = &self.counters;
        let [requests, heads, bytes_read, bytes_written] =
            [&counters.requests, &counters.heads, &counters.read, &counters.written]
                .map(|counter| counter.load(Ordering::Relaxed));
        RemoteStats { requests, heads, bytes_read, bytes_written }
    }

    /// Returns size and version of an object as it was last read or stored.
    pub(super) fn seen(&self, path: &Path) -> Option<Seen> {
        lock(&self.seen).get(path).cloned()
    }

    pub(super) fn record(&self, path: &Path, seen: Option<Seen>) {
        let mut all = lock(&self.seen);
        match seen {
            Some(seen) => all.put(path.clone(), seen),
            None => all.pop(path),
        };
    }

    pub(super) fn record_written(&self, path: &Path, size: usize, put: PutResult) {
        self.counters.written.fetch_add(size as u64, Ordering::Relaxed);
        let seen = Seen::new(size as u64, put.e_tag, put.version, None);
        self.record(path, Some(seen).filter(|seen| seen.stat.settled));
    }

    /// Whether ranges from the end may be requested.
    pub(super) fn serves_suffixes(&self) -> bool {
        self.suspicions.load(Ordering::Relaxed) < SUSPICIONS
    }

    /// Whether a request for a range from the end has succeeded.
    pub(super) fn suffixes_are_proven(&self) -> bool {
        self.suspicions.load(Ordering::Relaxed) < 0
    }

    pub(super) fn prove_suffixes(&self) {
        self.suspicions.store(i32::MIN / 2, Ordering::Relaxed);
    }

    /// Counts a failed request for a range from the end; after a definite answer there are no more.
    pub(super) fn suspect_suffixes(&self, is_definite: bool) {
        self.suspicions.fetch_add(if is_definite { SUSPICIONS } else { 1 }, Ordering::Relaxed);
    }

    /// Whether no request for a range got the whole object.
    pub(super) fn serves_ranges(&self) -> bool {
        !self.lacks_ranges.load(Ordering::Relaxed)
    }

    /// Notes that the server does not answer requests for ranges; returns whether that is new.
    pub(super) fn forgo_ranges(&self) -> bool {
        !self.lacks_ranges.swap(true, Ordering::Relaxed)
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask<T, F>(self: &Arc<Self>, request: impl FnOnce(Arc<Self>) -> F) -> std::result::Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = std::result::Result<T, Failure>> + Send + 'static,
    {
        let none = || Failure::Wrong(Error::store("cannot start a thread for requests"));
        let runtime = RUNTIME.get().as_ref().ok_or_else(none)?;
        let (request, gate) = (request(self.clone()), GATE.get().clone());
        let (send, receive) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            let _place = gate.acquire().await;
            // The caller may be gone.
            let _ = send.send(request.await);
        });
        let lost = || Failure::Wrong(Error::store("the request ended without an answer"));
        waiting(|| receive.recv()).map_err(|_| lost())?
    }
}
