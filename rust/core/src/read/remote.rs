//! The same steps where each answer takes a round trip: nothing is asked that a read tells, and much at once.
//!
//! A chunk is one request, whose answer may be that it is not stored; of plain elements only a range is asked for. A
//! shard is one for its index, from the end of the object, and then one for all that lies near each other. What is known
//! of an object from before (an index, a cached chunk) is used, and confirmed by the next read of it: each read asks
//! for the version that is known. Where it is another by now, the chunk is read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::resolve::{Counts, InnerPath, Leaf, Stored, UNKNOWN};
use super::{Caching, Reader};
use crate::codec::chain::Shard;
use crate::codec::{IndexLocation, Size};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::plan::Region;
use crate::runtime::{gather, lock};
use crate::store::{Ahead, ByteRange, Object, Stat};
use crate::subset::Dims;
use crate::view::Output;

/// What is wanted of the object that a chunk is stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To know whether it is there, and how large; of a shard, its index too.
    Stat,
    /// To read the chunk: the index of a shard, or all.
    Chunk,
    /// All of it.
    Whole,
}

/// So often a chunk is read when it changes while it is read.
const TRIES: usize = 3;

/// Chunks of a batch that changed while they were read, and what was said of it.
type Changed = Mutex<BTreeMap<usize, Error>>;

impl Reader<'_> {
    /// Asks for what is needed of the object of a chunk; `None`: there is none. What was read is in `stored.object`
    /// then.
    pub(super) fn ask(&self, stored: &mut Stored, chunk: &[u64], need: Need) -> Result<Option<Stat>> {
        let chain = self.source.chain_of(chunk)?;
        match chain.open_shard() {
            Some(shard) if need != Need::Whole => self.ask_index(stored, shard),
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

    fn ask_index(&self, stored: &mut Stored, shard: &Shard) -> Result<Option<Stat>> {
        // A handle that has recalled what the object was reads nothing else.
        let recalled: Arc<dyn Object> = self.source.store.open(&stored.key)?.into();
        if let Some(stat) = recalled.recall() {
            let known = Stored { length: stat.size, stat, ..stored.clone() };
            if self.knows_index(&known, shard) {
                stored.object = recalled;
                return Ok(Some(stat));
            }
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

    /// About how many bytes are held to open a chunk.
    pub(super) fn weight(&self, chunk: &[u64], need: Need) -> u64 {
        let Some(chain) = self.source.likely_chain(chunk) else { return 0 };
        match chain.open_shard() {
            Some(shard) => shard.index_size,
            None if need == Need::Stat => 0,
            None => chain.decoded_size(),
        }
    }

    /// Reads a batch of chunks, those again that change meanwhile.
    pub(super) fn read_remote(&self, batch: &[(Dims, Region)], output: &Output<'_>, counts: &Counts) -> Result<()> {
        let mut again: Vec<(Dims, Region)>;
        let mut batch = batch;
        for last in (0..TRIES).map(|tried| tried + 1 == TRIES) {
            let changed = Changed::default();
            if self.source.chain.shard().is_none() && !self.source.store.profile().refers {
                self.read_chunks(batch, output, counts, &changed)?;
            } else {
                self.read_leaves(batch, output, counts, &changed)?;
            }
            let mut changed = changed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            match changed.pop_first() {
                None => return Ok(()),
                Some((chunk, error)) if last => return Err(error.at(self.place(&batch[chunk].0))),
                Some((chunk, _)) => {
                    again = [chunk].into_iter().chain(changed.into_keys()).map(|chunk| batch[chunk].clone()).collect();
                    batch = &again;
                }
            }
        }
        Ok(())
    }

    /// Reads chunks that are objects.
    fn read_chunks(
        &self,
        batch: &[(Dims, Region)],
        output: &Output<'_>,
        counts: &Counts,
        changed: &Changed,
    ) -> Result<()> {
        let numbered: Vec<_> = batch.iter().enumerate().collect();
        let bytes = |(_, (chunk, _)): &(usize, &(Dims, Region))| self.weight(chunk, Need::Chunk);
        gather(&numbered, bytes, |(number, (chunk, part))| {
            let object: Arc<dyn Object> = self.source.store.open(&self.source.key(chunk))?.into();
            match self.read_chunk(chunk, part, &object, output) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    counts.missing.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    self.fill(part, output)
                }
                Err(error) if object.changed() => {
                    lock(changed).insert(*number, error);
                    Ok(())
                }
                Err(error) => Err(error.at(self.place(chunk))),
            }
        })
    }

    /// Reads a chunk that is an object; false: there is none.
    fn read_chunk(&self, chunk: &[u64], part: &Region, object: &Arc<dyn Object>, output: &Output<'_>) -> Result<bool> {
        let chain = self.source.chain_of(chunk)?;
        let Some(elements) = chain.elements() else { return Ok(true) };
        let stored = Stored {
            object: object.clone(),
            store: self.source.store.profile().identity,
            key: self.source.key(chunk).into(),
            offset: 0,
            length: 0,
            stat: UNKNOWN,
            lasting: true,
        };
        let leaf = |stored| Leaf { chunk: 0, inner: InnerPath::new(), stored, chain, elements, region: part.clone() };
        // Plain elements: a part of what must be there, if anything is.
        if let Size::Exact(size) = chain.stored_size() {
            let leaf = leaf(Stored { length: size, stat: Stat { size, ..UNKNOWN }, ..stored.clone() });
            if self.reads_parts(&leaf) && !part.is_whole(chain.shape()) {
                return match self.read_leaf(&leaf, output) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                    read => sized(object, size).and(read).map(|()| true),
                };
            }
        }
        // What is kept of it is placed, and confirmed.
        if !matches!(self.cache, Caching::Off) {
            let recalled: Arc<dyn Object> = self.source.store.open(&stored.key)?.into();
            if let Some(stat) = recalled.recall()
                && self.take_cached(&leaf(Stored { length: stat.size, stat, ..stored.clone() }), output)?
                && recalled.confirm()?
            {
                return Ok(true);
            }
        }
        let mut bytes = Vec::new();
        let Some(stat) = object.read(ByteRange::All, chain.stored_size().bound(), &mut bytes)? else {
            return Ok(false);
        };
        let stored = Stored { length: stat.size, stat, ..stored };
        self.decode_and_keep(&leaf(stored), &bytes, output)?;
        Ok(true)
    }

    /// Reads chunks that are shards, or that lie in objects with others.
    fn read_leaves(
        &self,
        batch: &[(Dims, Region)],
        output: &Output<'_>,
        counts: &Counts,
        changed: &Changed,
    ) -> Result<()> {
        lock(&counts.recalled).clear();
        let mut leaves = self.resolve(batch, usize::MAX, Some(output), counts)?;
        let jobs = self.jobs(&mut leaves);
        let leaves = &leaves[..];
        gather(
            &jobs,
            |(_, length, _)| *length,
            |(_, _, range)| {
                let leaves = &leaves[range.clone()];
                match self.read_job(leaves, output) {
                    Err((_, error)) if leaves[0].stored.object.changed() => {
                        lock(changed).extend(leaves.iter().map(|leaf| (leaf.chunk, error.clone())));
                        Ok(())
                    }
                    read => read.map_err(|(chunk, error)| error.at(self.place(&batch[chunk].0))),
                }
            },
        )?;
        // Only objects of which nothing was read are asked about.
        let recalled = std::mem::take(&mut *lock(&counts.recalled));
        gather(
            &recalled,
            |_| 0,
            |(chunk, object)| {
                if !object.confirm().place(|| self.place(&batch[*chunk].0))? {
                    let error = Error::store("the object changed while it was read");
                    lock(changed).entry(*chunk).or_insert(error);
                }
                Ok(())
            },
        )
    }
}

/// Checks the size of an object that was read.
fn sized(object: &Arc<dyn Object>, size: u64) -> Result<()> {
    match object.recall() {
        Some(stat) if stat.size != size => {
            Err(Error::corrupt(format!("{} bytes are stored instead of {size}", stat.size)))
        }
        _ => Ok(()),
    }
}
