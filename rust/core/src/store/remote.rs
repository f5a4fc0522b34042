//! Objects over HTTP(S), S3, Google Cloud Storage and Azure, with the crate
//! [`object_store`](https://docs.rs/object_store).
//!
//! Opening a handle sends no request; the first read finds out whether the object exists. Size and version (the etag)
//! of an object come with each answer. A handle reads one version: after its first read it requests that version
//! (`If-Match`), and an answer with another version is an error.
//!
//! [`WritableStore::set_if`] excludes other writers by comparing etags. HTTP servers are read-only and cannot be
//! listed.

mod answer;
mod client;
mod collect;
mod connect;
mod failure;
mod options;
mod patience;
mod reading;
mod transport;
mod whole;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};

use self::answer::Seen;
use self::client::Client;
pub use self::client::RemoteStats;
use self::failure::Failure;
pub use self::options::RemoteOptions;
use self::options::Spec;
use self::transport::Service;
use super::{ByteRange, Exclusion, Identity, Listing, Object, Profile, Stat, Store, WritableStore, check_key};
use crate::error::{Error, Result};
use crate::runtime::lock;

/// The objects of a server below a URL.
///
/// The process has one client for each server or bucket and set of options, which all stores on it share; a forked
/// child makes its own.
#[derive(Clone)]
pub struct RemoteStore {
    spec: Arc<Spec>,
    /// Prefix of all keys: empty, or a path and `/`.
    prefix: String,
    /// The URL without secrets, for messages.
    name: Arc<str>,
    profile: Profile,
}

impl RemoteStore {
    /// Opens the store of the objects below a URL: `https://host/path`, `s3://bucket/path`, `gs://bucket/path`,
    /// `az://container/path`. Sends no request.
    pub fn new(url: &str, options: &RemoteOptions) -> Result<Self> {
        let (spec, path) = Spec::parse(url, options)?;
        let profile = Profile {
            identity: Identity::of(("remote", &spec, &path)),
            remote: true,
            // About as many bytes as arrive in the time of a round trip.
            merge_gap: 1 << 20,
            exclusion: Exclusion::Versions,
            ..Profile::default()
        };
        let base = spec.display();
        let name = if path.is_empty() { base } else { format!("{base}/{path}") };
        // Reports errors of the options now.
        Client::of(&spec)?;
        let prefix = if path.is_empty() { path } else { path + "/" };
        Ok(Self { spec: spec.into(), prefix, name: name.into(), profile })
    }

    /// Returns the URL without secrets.
    pub fn url(&self) -> &str {
        &self.name
    }

    /// Returns the counts of this process's client, which all stores on this server or bucket share.
    pub fn stats(&self) -> Result<RemoteStats> {
        Ok(Client::of(&self.spec)?.stats())
    }

    fn path(&self, key: &str) -> Result<Path> {
        let full = format!("{}{key}", self.prefix);
        Path::parse(&full).map_err(|_| Error::store(format!("{key:?} is not a key of a store")))
    }

    /// Returns the error that callers get for a failed request.
    fn failed(&self, client: &Client, key: &str, failure: Failure) -> Error {
        failure.into_error(client.settings()).at(self.display(key))
    }

    /// Stores an object; returns false if the condition is not met.
    fn put(&self, key: &str, value: &[u8], mode: PutMode) -> Result<bool> {
        check_key(key)?;
        let (path, client) = (self.path(key)?, Client::of(&self.spec)?);
        let (payload, size) = (PutPayload::from(value.to_vec()), value.len());
        let conditional = !matches!(mode, PutMode::Overwrite);
        let (options, to) = (PutOptions::from(mode), path.clone());
        let put = client.ask(|client| async move { Ok(client.store().put_opts(&to, payload, options).await?) });
        match put {
            Ok(put) => {
                client.record_written(&path, size, put);
                Ok(true)
            }
            Err(Failure::Answer(
                object_store::Error::Precondition { .. }
                | object_store::Error::AlreadyExists { .. }
                | object_store::Error::NotModified { .. }
                | object_store::Error::NotFound { .. },
            )) if conditional => {
                client.record(&path, None);
                Ok(false)
            }
            Err(failure) => {
                // After an error the object may be stored anyway.
                client.record(&path, None);
                Err(self.failed(&client, key, failure))
            }
        }
    }
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

struct RemoteObject {
    client: Arc<Client>,
    path: Path,
    /// The name of the object, for messages.
    place: Box<str>,
    /// The version that this handle reads.
    held: Mutex<Option<Seen>>,
    /// Whether an answer has confirmed that version.
    sure: AtomicBool,
    changed: AtomicBool,
}

impl RemoteObject {
    /// Checks the version of an answer; `None` if there is no such object.
    fn answer<T>(&self, answer: std::result::Result<(T, Seen), Failure>) -> Result<Option<(T, Stat)>> {
        match answer {
            Ok((value, seen)) => {
                let mut held = lock(&self.held);
                // Two concurrent first reads may have received different versions.
                if held.as_ref().is_some_and(|held| held.stat != seen.stat) {
                    drop(held);
                    return self.answer(Err(Failure::Changed));
                }
                let stat = seen.stat;
                *held = Some(seen);
                self.sure.store(true, Ordering::Relaxed);
                Ok(Some((value, stat)))
            }
            Err(Failure::Missing(_)) if lock(&self.held).is_none() => {
                self.client.record(&self.path, None);
                Ok(None)
            }
            Err(failure) => {
                let gone = matches!(failure, Failure::Missing(_));
                let failure = if gone { Failure::Changed } else { failure };
                if matches!(failure, Failure::Changed) {
                    if gone {
                        self.client.record(&self.path, None);
                    }
                    self.changed.store(true, Ordering::Relaxed);
                }
                Err(failure.into_error(self.client.settings()).at(&self.place))
            }
        }
    }

    /// Reads the part of a range that is inside the object.
    fn most(&self, range: ByteRange, limit: u64) -> Result<Option<(Vec<u8>, Stat)>> {
        let limit = match range {
            ByteRange::All => limit,
            // HTTP has no empty ranges.
            ByteRange::Range { length: 0, .. } | ByteRange::Suffix(0) => {
                return Ok(self.stat()?.map(|stat| (Vec::new(), stat)));
            }
            ByteRange::Range { length, .. } | ByteRange::Suffix(length) => length,
        };
        let (path, held) = (self.path.clone(), lock(&self.held).clone());
        let get = |client: Arc<Client>| async move { client.get(&path, range, held.as_ref(), limit).await };
        self.answer(self.client.ask(get))
    }
}

impl Object for RemoteObject {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let Some((bytes, stat)) = self.most(range, limit)? else { return Ok(None) };
        let length = match range {
            ByteRange::All => stat.size,
            ByteRange::Range { length, .. } | ByteRange::Suffix(length) => length,
        };
        if bytes.len() as u64 != length {
            let what = format!("cannot read {range:?} of an object of {} bytes", stat.size);
            return Err(Error::corrupt(what).at(&self.place));
        }
        if into.is_empty() {
            *into = bytes;
        } else {
            super::reserve(into, bytes.len())?;
            into.extend_from_slice(&bytes);
        }
        Ok(Some(stat))
    }

    fn read_most(&self, range: ByteRange, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let Some((bytes, stat)) = self.most(range, u64::MAX)? else { return Ok(None) };
        super::reserve(into, bytes.len())?;
        into.extend_from_slice(&bytes);
        Ok(Some(stat))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let mut bytes = Vec::new();
        let range = ByteRange::Range { offset, length: into.len() as u64 };
        let stat = self.read(range, u64::MAX, &mut bytes)?;
        if stat.is_some() {
            into.copy_from_slice(&bytes);
        }
        Ok(stat)
    }

    fn stat(&self) -> Result<Option<Stat>> {
        if self.sure.load(Ordering::Relaxed)
            && let Some(held) = &*lock(&self.held)
        {
            return Ok(Some(held.stat));
        }
        let path = self.path.clone();
        let head = self.client.ask(|client| async move { Ok(((), client.head(&path).await?)) });
        Ok(self.answer(head)?.map(|((), stat)| stat))
    }

    fn recall(&self) -> Option<Stat> {
        let mut held = lock(&self.held);
        if held.is_none() {
            *held = self.client.seen(&self.path);
        }
        held.as_ref().map(|held| held.stat)
    }

    fn confirm(&self) -> Result<bool> {
        match self.stat() {
            Err(_) if self.changed() => Ok(false),
            Err(error) => Err(error),
            Ok(stat) => Ok(stat.is_some() && !self.changed()),
        }
    }

    fn changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }
}

impl Store for RemoteStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(Box::new(RemoteObject {
            client: Client::of(&self.spec)?,
            path: self.path(key)?,
            place: self.display(key).into(),
            held: Mutex::default(),
            sure: AtomicBool::new(false),
            changed: AtomicBool::new(false),
        }))
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        if key.is_empty() { self.name.to_string() } else { format!("{}/{key}", self.name) }
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        if self.spec.service == Service::Http {
            return Err(Error::unsupported(format!(
                "{self:?} cannot be listed, because HTTP has no listings: open arrays by their paths, or consolidate the \
                 metadata on the server"
            )));
        }
        let path = if prefix.is_empty() { self.path("")? } else { self.path(prefix)? };
        let (client, below) = (Client::of(&self.spec)?, path.clone());
        let root = below.as_ref().is_empty();
        let list = client.ask(|client| async move {
            Ok(client.store().list_with_delimiter(if root { None } else { Some(&below) }).await?)
        });
        let found = list.map_err(|failure| self.failed(&client, prefix, failure))?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        let mut keys: Vec<_> = found.objects.iter().filter_map(|object| name(&object.location)).collect();
        let mut prefixes: Vec<_> = found.common_prefixes.iter().filter_map(name).collect();
        keys.sort();
        prefixes.sort();
        Ok(Listing { keys, prefixes })
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        if self.spec.service == Service::Http {
            return Err(Error::unsupported("HTTP servers are read-only"));
        }
        Ok(self)
    }
}

impl WritableStore for RemoteStore {
    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.put(key, value, PutMode::Overwrite).map(|_| ())
    }

    fn set_if(&self, key: &str, value: Option<&[u8]>, version: Option<u64>) -> Result<bool> {
        let Some(value) = value else {
            return Err(Error::unsupported(format!(
                "{self:?} cannot remove an object on the condition that it is unchanged"
            )));
        };
        let Some(version) = version else { return self.put(key, value, PutMode::Create) };
        match Client::of(&self.spec)?.seen(&self.path(key)?).filter(|seen| seen.stat.version == version) {
            // A later read has seen another version.
            None => Ok(false),
            Some(Seen { etag: None, version: None, .. }) => {
                Err(Error::store("the server returns no etags, which are needed to exclude other writers")
                    .at(self.display(key)))
            }
            Some(Seen { etag: e_tag, version, .. }) => {
                self.put(key, value, PutMode::Update(UpdateVersion { e_tag, version }))
            }
        }
    }

    fn erase(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let (path, client) = (self.path(key)?, Client::of(&self.spec)?);
        client.record(&path, None);
        match client.ask(|client| async move { Ok(client.store().delete(&path).await?) }) {
            Ok(()) | Err(Failure::Answer(object_store::Error::NotFound { .. })) => Ok(()),
            Err(failure) => Err(self.failed(&client, key, failure)),
        }
    }
}
