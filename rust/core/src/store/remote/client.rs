//! The connection to a server: requests that are under way on threads of their own, and who waits for them.

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

/// The threads that move bytes between sockets and memory.
static RUNTIME: PerProcess<Option<Runtime>> = PerProcess::new(|| {
    // TLS needs one provider of cryptography in a process; another library may have chosen it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let workers = threads().clamp(1, 4);
    Builder::new_multi_thread().worker_threads(workers).thread_name("tegula-io").enable_all().build().ok()
});

/// How many requests may be under way.
static GATE: PerProcess<Arc<Semaphore>> = PerProcess::new(|| Arc::new(Semaphore::new(requests())));

/// The clients of the process, so that a server is connected to once.
static CLIENTS: PerProcess<Mutex<LruCache<Spec, Arc<Client>>>> =
    PerProcess::new(|| Mutex::new(LruCache::new(CLIENTS_KEPT)));
const CLIENTS_KEPT: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Of so many objects it is known what they were when they were last read.
const SEEN: NonZeroUsize = NonZeroUsize::new(1 << 16).unwrap();

/// What is taken into memory before there is any of it.
const FIRST: u64 = 16 << 20;

/// What a [`RemoteStore`](super::RemoteStore)'s client has done in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteStats {
    /// Requests, those that were tried again included.
    pub requests: u64,
    /// Of these, those that ask about an object without reading it (`HEAD`).
    pub heads: u64,
    /// Bytes of objects that were read.
    pub bytes_read: u64,
    /// Bytes of objects that were stored.
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

/// What an answer tells of its object.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) stat: Stat,
    pub(super) etag: Option<String>,
    /// What some services have in place of an etag.
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

    /// What can be asked for in a request: an etag that is not only similar.
    pub(super) fn strong(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// Why there is no answer of use.
#[derive(Debug)]
pub(super) enum Failure {
    /// The answer, or that there was none.
    Answer(object_store::Error),
    /// The object is of another version than was asked for.
    Changed,
    /// What was answered cannot be right.
    Wrong(Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Answer(error)
    }
}

/// A server, or a bucket there.
#[derive(Debug)]
pub(super) struct Client {
    store: Arc<dyn ObjectStore>,
    counters: Arc<Counters>,
    seen: Mutex<LruCache<Path, Seen>>,
}

impl Client {
    /// The client of this process.
    pub(super) fn of(spec: &Spec) -> Result<Arc<Self>> {
        if let Some(client) = lock(CLIENTS.get()).get(spec) {
            return Ok(client.clone());
        }
        // The runtime knows about TLS.
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

    /// What an object was when it was last read.
    pub(super) fn seen(&self, path: &Path) -> Option<Seen> {
        lock(&self.seen).get(path).cloned()
    }

    pub(super) fn note(&self, path: &Path, seen: Option<Seen>) {
        let mut all = lock(&self.seen);
        match seen {
            Some(seen) => all.put(path.clone(), seen),
            None => all.pop(path),
        };
    }

    pub(super) fn note_written(&self, path: &Path, size: usize, put: PutResult) {
        self.counters.written.fetch_add(size as u64, Ordering::Relaxed);
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: size as u64,
            e_tag: put.e_tag,
            version: put.version,
        };
        self.note(path, Some(Seen::new(meta)).filter(|seen| seen.stat.settled));
    }

    /// Waits for a request.
    pub(super) fn ask<T, F>(self: &Arc<Self>, request: impl FnOnce(Arc<Self>) -> F) -> std::result::Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = std::result::Result<T, Failure>> + Send + 'static,
    {
        let none = || Failure::Wrong(Error::store("no thread can be had for requests"));
        let runtime = RUNTIME.get().as_ref().ok_or_else(none)?;
        let (request, gate) = (request(self.clone()), GATE.get().clone());
        let (send, receive) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            let _place = gate.acquire().await;
            // Whoever waited may be gone.
            let _ = send.send(request.await);
        });
        let lost = || Failure::Wrong(Error::store("the request ended without an answer"));
        waiting(|| receive.recv()).map_err(|_| lost())?
    }

    /// Asks what an object is, without reading it.
    pub(super) async fn head(self: Arc<Self>, path: Path) -> std::result::Result<Seen, Failure> {
        let seen = Seen::new(self.store.head(&path).await?);
        self.note(&path, Some(seen.clone()));
        Ok(seen)
    }

    /// Reads a range of an object, of the version that was seen if one is given; of more than `most` bytes none.
    pub(super) async fn get(
        self: Arc<Self>,
        path: Path,
        range: Option<GetRange>,
        held: Option<Seen>,
        most: u64,
    ) -> std::result::Result<(Vec<u8>, Seen), Failure> {
        let if_match = held.as_ref().and_then(Seen::strong).map(str::to_owned);
        let options = GetOptions { range, if_match, ..GetOptions::default() };
        let result = match self.store.get_opts(&path, options).await {
            Err(object_store::Error::Precondition { .. }) => {
                self.note(&path, None);
                return Err(Failure::Changed);
            }
            result => result?,
        };
        let seen = Seen::new(result.meta.clone());
        self.note(&path, Some(seen.clone()));
        if held.is_some_and(|held| held.stat != seen.stat) {
            return Err(Failure::Changed);
        }
        let length = result.range.end.saturating_sub(result.range.start);
        if length > most {
            let what = format!("{length} bytes are stored where at most {most} can belong");
            return Err(Failure::Wrong(Error::corrupt(what)));
        }
        let mut bytes = Vec::new();
        // A size that is not true costs no more than what really comes.
        let no_memory = || Failure::Wrong(Error::store(format!("no memory for {length} bytes")));
        bytes.try_reserve_exact(length.min(FIRST) as usize).map_err(|_| no_memory())?;
        let mut stream = result.into_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            self.counters.read.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if bytes.len() as u64 + piece.len() as u64 > length {
                return Err(Failure::Wrong(Error::store("the server sends more than it said")));
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
