//! The connection to a server: requests run on threads of their own, and callers wait for them.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures_util::StreamExt;
use lru::LruCache;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutResult};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::options::Spec;
use crate::error::{Error, Place, Result};
use crate::runtime::{PerProcess, lock, requests, threads, waiting};
use crate::store::Stat;

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

/// Maximum number of bytes allocated before any of them has arrived.
const FIRST: u64 = 16 << 20;

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

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    heads: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

/// Counts requests.
#[derive(Debug)]
struct Counted {
    client: HttpClient,
    counters: Arc<Counters>,
}

impl HttpService for Counted {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        self.counters.heads.fetch_add((request.method().as_str() == "HEAD").into(), Ordering::Relaxed);
        Box::pin(self.client.execute(request))
    }
}

#[derive(Debug)]
struct Counting(Arc<Counters>);

impl HttpConnector for Counting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Counted { client, counters: self.0.clone() }))
    }
}

/// Size and version of an object, from the headers of an answer.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) stat: Stat,
    pub(super) etag: Option<String>,
    /// The version that some services give instead of an etag.
    pub(super) version: Option<String>,
}

impl Seen {
    fn new(meta: ObjectMeta) -> Self {
        let mut hasher = DefaultHasher::new();
        match &meta.e_tag {
            Some(etag) => etag.hash(&mut hasher),
            None => (meta.last_modified.timestamp_nanos_opt(), meta.size).hash(&mut hasher),
        }
        let stat = Stat { size: meta.size, version: hasher.finish(), settled: meta.e_tag.is_some() };
        Self { stat, etag: meta.e_tag, version: meta.version }
    }

    /// Returns the etag if it is a strong one, which a request may require.
    pub(super) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// Why a request has no usable answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error status, or no answer.
    Answer(object_store::Error),
    /// The object no longer has the required version.
    Changed,
    /// An answer that contradicts itself or is too large.
    Wrong(Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Answer(error)
    }
}

/// The client of a server or of one bucket.
#[derive(Debug)]
pub(super) struct Client {
    store: Arc<dyn ObjectStore>,
    counters: Arc<Counters>,
    seen: Mutex<LruCache<Path, Seen>>,
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
        let store = spec.connect(Counting(counters.clone())).place(|| spec.display())?;
        let client = Arc::new(Self { store, counters, seen: Mutex::new(LruCache::new(SEEN)) });
        let mut clients = lock(CLIENTS.get());
        if let Some(faster) = clients.get(spec) {
            return Ok(faster.clone());
        }
        clients.put(spec.clone(), client.clone());
        Ok(client)
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
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: size as u64,
            e_tag: put.e_tag,
            version: put.version,
        };
        self.record(path, Some(Seen::new(meta)).filter(|seen| seen.stat.settled));
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

    /// Gets size and version of an object without reading it.
    pub(super) async fn head(self: Arc<Self>, path: Path) -> std::result::Result<Seen, Failure> {
        let seen = Seen::new(self.store.head(&path).await?);
        self.record(&path, Some(seen.clone()));
        Ok(seen)
    }

    /// Reads a range of an object, in the version `held` if one is given; fails before reading if the range has more
    /// than `most` bytes.
    pub(super) async fn get(
        self: Arc<Self>,
        path: Path,
        range: Option<GetRange>,
        held: Option<Seen>,
        most: u64,
    ) -> std::result::Result<(Vec<u8>, Seen), Failure> {
        let if_match = held.as_ref().and_then(Seen::strong_etag).map(str::to_owned);
        let options = GetOptions { range, if_match, ..GetOptions::default() };
        let result = match self.store.get_opts(&path, options).await {
            Err(object_store::Error::Precondition { .. }) => {
                self.record(&path, None);
                return Err(Failure::Changed);
            }
            result => result?,
        };
        let seen = Seen::new(result.meta.clone());
        self.record(&path, Some(seen.clone()));
        if held.is_some_and(|held| held.stat != seen.stat) {
            return Err(Failure::Changed);
        }
        let length = result.range.end.saturating_sub(result.range.start);
        if length > most {
            let what = format!("the object has {length} bytes, more than the {most} that it can have");
            return Err(Failure::Wrong(Error::corrupt(what)));
        }
        let mut bytes = Vec::new();
        // A false length costs no more memory than the bytes that arrive.
        let no_memory = || Failure::Wrong(Error::memory(format_args!("{length} bytes")));
        bytes.try_reserve_exact(length.min(FIRST) as usize).map_err(|_| no_memory())?;
        let mut stream = result.into_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            self.counters.read.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if bytes.len() as u64 + piece.len() as u64 > length {
                return Err(Failure::Wrong(Error::store("the answer is longer than its header gives")));
            }
            bytes.try_reserve(piece.len()).map_err(|_| no_memory())?;
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() as u64 != length {
            let what = format!("the answer ends after {} bytes of {length}", bytes.len());
            return Err(Failure::Wrong(Error::store(what)));
        }
        Ok((bytes, seen))
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }
}
