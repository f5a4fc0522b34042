//! Opening the objects of chunks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::reader::{Counts, Reader};
use super::stored::{Stored, UNKNOWN};
use crate::codec::IndexLocation;
use crate::codec::chain::Shard;
use crate::error::{Error, Place, Result};
use crate::runtime::lock;
use crate::store::{Ahead, ByteRange, Identity, Location, Object, Stat, Store};
use crate::subset::tuple;

/// What is needed of the object of a chunk. A remote store can then answer with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Whether it exists, and its size; of a shard, its index too.
    Stat,
    /// To read the chunk: the index of a shard, or all bytes.
    Chunk,
    /// All bytes.
    Whole,
}

/// Objects that hold several chunks, each opened once per call.
#[derive(Default)]
pub(super) struct Handles(Mutex<HashMap<(Identity, String), Arc<dyn Object>>>);

impl Handles {
    fn open(&self, store: &dyn Store, key: &str) -> Result<Arc<dyn Object>> {
        let mut handles = lock(&self.0);
        let id = (store.profile().identity, key.to_owned());
        if let Some(object) = handles.get(&id) {
            return Ok(object.clone());
        }
        let object: Arc<dyn Object> = store.open(key)?.into();
        handles.insert(id, object.clone());
        Ok(object)
    }
}

impl Reader<'_> {
    /// Opens the object of a chunk in a store without references; `None` if the chunk is not stored.
    pub(crate) fn open(&self, chunk: &[u64], need: Need) -> Result<Option<Stored>> {
        self.open_key(&*self.source.store, self.source.key(chunk), chunk, need)
    }

    /// Opens the object, or the part of an object, that holds a chunk; `None` if the chunk is not stored.
    pub(super) fn open_located(&self, chunk: &[u64], need: Need, handles: &Handles) -> Result<Option<Stored>> {
        let key = self.source.key(chunk);
        let Some(Location { store, key, part }) = self.source.store.locate(&key)? else {
            return self.open_key(&*self.source.store, key, chunk, need);
        };
        let Some((offset, length)) = part else { return self.open_key(&*store, key, chunk, need) };
        let object = handles.open(&*store, &key)?;
        let end = offset.checked_add(length);
        let found = if store.profile().remote {
            // The size is not known before a read. Nor need it be.
            let unknown = Stat { size: end.unwrap_or(u64::MAX), ..UNKNOWN };
            Some(object.recall().unwrap_or(unknown))
        } else {
            object.stat().place(|| self.describe(chunk))?
        };
        let Some(stat) = found else { return Ok(None) };
        if end.is_none_or(|end| end > stat.size) {
            let size = stat.size;
            let message = format!("{length} bytes at byte {offset} are outside an object of {size} bytes");
            return Err(Error::corrupt(message).at(self.describe(chunk)));
        }
        Ok(Some(Stored { offset, length, ..Stored::unknown(object, store.profile().identity, key.into()).whole(stat) }))
    }

    fn open_key(&self, store: &dyn Store, key: String, chunk: &[u64], need: Need) -> Result<Option<Stored>> {
        let mut stored = Stored::unknown(store.open(&key)?.into(), store.profile().identity, key.into());
        let found =
            if store.profile().remote { self.ask(store, &mut stored, chunk, need) } else { stored.object.stat() };
        Ok(found.place(|| self.describe(chunk))?.map(|stat| stored.whole(stat)))
    }

    /// Asks a remote store for what is needed of the object of a chunk; `None` if there is no object. What was read is in
    /// `stored.object` afterwards.
    fn ask(&self, store: &dyn Store, stored: &mut Stored, chunk: &[u64], need: Need) -> Result<Option<Stat>> {
        let chain = self.source.chain_of(chunk)?;
        match chain.open_shard() {
            Some(shard) if need != Need::Whole => self.ask_index(store, stored, shard),
            _ if need == Need::Stat || stored.object.bytes().is_some() => stored.object.stat(),
            _ => {
                let limit = if chain.shard().is_some() { u64::MAX } else { chain.stored_size().bound() };
                let mut bytes = Vec::new();
                let stat = stored.object.read(ByteRange::All, limit, &mut bytes)?;
                Ok(stat.inspect(|stat| {
                    stored.object = Arc::new(Ahead::new(stored.object.clone(), *stat, vec![(0, bytes)]));
                }))
            }
        }
    }

    fn ask_index(&self, store: &dyn Store, stored: &mut Stored, shard: &Shard) -> Result<Option<Stat>> {
        // A handle that has recalled a version reads no other, so the first handle stays as it is.
        let recalled: Arc<dyn Object> = store.open(&stored.key)?.into();
        if let Some(stat) = recalled.recall()
            && self.has_cached_index(&stored.clone().whole(stat), shard)
        {
            stored.object = recalled;
            return Ok(Some(stat));
        }
        let range = match shard.index_location {
            IndexLocation::Start => ByteRange::Range { offset: 0, length: shard.index_size },
            IndexLocation::End => ByteRange::Suffix(shard.index_size),
        };
        let mut bytes = Vec::new();
        let Some(stat) = stored.object.read_most(range, &mut bytes)? else { return Ok(None) };
        let offset = if shard.index_location == IndexLocation::Start { 0 } else { stat.size - bytes.len() as u64 };
        stored.object = Arc::new(Ahead::new(stored.object.clone(), stat, vec![(offset, bytes)]));
        Ok(Some(stat))
    }

    /// Estimates the bytes of memory that an open chunk takes.
    pub(super) fn open_memory(&self, chunk: &[u64], need: Need) -> u64 {
        let Some(chain) = self.source.likely_chain(chunk) else { return 0 };
        match chain.open_shard() {
            Some(shard) => shard.index_size,
            None if need == Need::Stat => 0,
            None => chain.decoded_size(),
        }
    }

    /// Returns the number of bytes stored of a chunk; `None` if it is not stored.
    pub(crate) fn stored_length(&self, chunk: &[u64]) -> Result<Option<u64>> {
        Ok(self.open_located(chunk, Need::Stat, &Handles::default())?.map(|stored| stored.length))
    }

    /// Reads the stored bytes of a chunk, or of an inner chunk of a shard; `None` if they are not stored.
    pub(crate) fn encoded(&self, chunk: &[u64], inner: Option<&[u64]>) -> Result<Option<Vec<u8>>> {
        let counts = Counts::default();
        let read = || {
            let need = if inner.is_some() { Need::Chunk } else { Need::Whole };
            let Some(stored) = self.open_located(chunk, need, &Handles::default())? else { return Ok(None) };
            let chain = self.source.chain_of(chunk)?;
            let (Some(inner), Some(shard)) = (inner, chain.shard()) else {
                return match stored.slice() {
                    Some(bytes) => bytes.map(|bytes| Some(bytes.to_vec())),
                    None => stored.read(u64::MAX).map(|bytes| Some(bytes.to_vec())),
                };
            };
            let stored =
                if chain.open_shard().is_some() { stored } else { self.decoded_shard(&stored, chain, &counts)? };
            let Some(entry) = self.index(&stored, shard, &counts)?.get(inner, &shard.grid) else { return Ok(None) };
            stored.inner(inner, entry)?.read(u64::MAX).map(|bytes| Some(bytes.to_vec()))
        };
        read().place(|| format!("cannot read chunk {} of {}", tuple(chunk), self.source.name))
    }
}
