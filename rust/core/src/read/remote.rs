//! Reading from a remote store: many concurrent requests, and none whose answer comes with a read anyway.
//!
//! A chunk takes one request, and status 404 means that it is not stored; of plain elements only a range is requested.
//! A shard takes one request for its index, from the end of the object, and one for all wanted inner chunks that are
//! close together. If an index or a chunk is cached, it is used first and confirmed afterwards: each request requires
//! the version that is known. If the object has changed, the chunk is read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::leaf::{InnerPath, Leaf};
use super::open::Need;
use super::reader::{Caching, Counts, Reader};
use super::resolve::Purpose;
use super::stored::{Stored, UNKNOWN};
use crate::codec::Size;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::plan::Region;
use crate::runtime::{gather, lock};
use crate::store::{ByteRange, Object, Stat};
use crate::subset::Dims;
use crate::view::Output;

/// Maximum number of reads of a chunk that changes while it is read.
const TRIES: usize = 3;

/// Chunks of a batch that changed while they were read, each with the error of that read.
type Changed = Mutex<BTreeMap<usize, Error>>;

/// The output of a remote batch, with the missing and the changed chunks.
#[derive(Clone, Copy)]
struct RemoteRead<'r> {
    output: &'r Output<'r>,
    counts: &'r Counts,
    changed: &'r Changed,
}

impl Reader<'_> {
    /// Reads a batch of chunks. Chunks that change during the read are read again.
    pub(super) fn read_remote(&self, batch: &[(Dims, Region)], output: &Output<'_>, counts: &Counts) -> Result<()> {
        let mut again: Vec<(Dims, Region)>;
        let mut batch = batch;
        for is_last in (0..TRIES).map(|tried| tried + 1 == TRIES) {
            let changed = Changed::default();
            let read = RemoteRead { output, counts, changed: &changed };
            if self.chunks_are_objects() {
                self.read_remote_objects(batch, read)?;
            } else {
                self.read_remote_leaves(batch, read)?;
            }
            let mut changed = changed.into_inner().unwrap_or_else(PoisonError::into_inner);
            match changed.pop_first() {
                None => return Ok(()),
                Some((chunk, error)) if is_last => return Err(error.at(self.describe(&batch[chunk].0))),
                Some((chunk, _)) => {
                    again = [chunk].into_iter().chain(changed.into_keys()).map(|chunk| batch[chunk].clone()).collect();
                    batch = &again;
                }
            }
        }
        Ok(())
    }

    fn read_remote_objects(&self, batch: &[(Dims, Region)], read: RemoteRead<'_>) -> Result<()> {
        let numbered: Vec<_> = batch.iter().enumerate().collect();
        let bytes = |(_, (chunk, _)): &(usize, &(Dims, Region))| self.open_memory(chunk, Need::Chunk);
        gather(&numbered, bytes, |(number, (chunk, part))| {
            let object: Arc<dyn Object> = self.source.store.open(&self.source.key(chunk))?.into();
            match self.read_remote_object(chunk, part, &object, read) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    read.counts.add_missing();
                    self.check_missing(chunk)?;
                    self.fill(part, read.output)
                }
                Err(error) if object.changed() => {
                    lock(read.changed).insert(*number, error);
                    Ok(())
                }
                Err(error) => Err(error.at(self.describe(chunk))),
            }
        })
    }

    /// Reads a chunk that is an object; returns false if it is not stored.
    fn read_remote_object(
        &self,
        chunk: &[u64],
        part: &Region,
        object: &Arc<dyn Object>,
        RemoteRead { output, counts, .. }: RemoteRead<'_>,
    ) -> Result<bool> {
        let chain = self.source.chain_of(chunk)?;
        let Some(elements) = chain.elements() else { return Ok(true) };
        let stored =
            Stored::unknown(object.clone(), self.source.store.profile().identity, self.source.key(chunk).into());
        let leaf = |stored| Leaf { chunk: 0, inner: InnerPath::new(), stored, chain, elements, region: part.clone() };
        // The size of plain elements is known, so a part can be requested before the object's size is.
        if let Size::Exact(size) = chain.stored_size() {
            let leaf = leaf(stored.clone().whole(Stat { size, ..UNKNOWN }));
            if self.reads_parts(&leaf) && !leaf.is_whole() {
                return match self.read_leaf(&leaf, output, counts) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                    read => check_size(object, size).and(read).map(|()| true),
                };
            }
        }
        // A cached chunk is placed at once and confirmed afterwards.
        if !matches!(self.cache, Caching::Off) {
            let recalled: Arc<dyn Object> = self.source.store.open(&stored.key)?.into();
            if let Some(stat) = recalled.recall()
                && self.take_cached(&leaf(stored.clone().whole(stat)), output)?
                && recalled.confirm()?
            {
                return Ok(true);
            }
        }
        let mut bytes = Vec::new();
        let Some(stat) = object.read(ByteRange::All, chain.stored_size().bound(), &mut bytes)? else {
            return Ok(false);
        };
        self.decode_and_keep(&leaf(stored.whole(stat)), &bytes, output)?;
        Ok(true)
    }

    /// Reads chunks that are shards or share objects with others.
    fn read_remote_leaves(&self, batch: &[(Dims, Region)], read: RemoteRead<'_>) -> Result<()> {
        let RemoteRead { output, counts, changed } = read;
        let mut resolved = self.resolve(batch, usize::MAX, Purpose::Read(output), counts)?;
        let groups = self.group(&mut resolved.leaves);
        let leaves = &resolved.leaves[..];
        gather(
            &groups,
            |group| group.length,
            |group| {
                let leaves = &leaves[group.parts.clone()];
                match self.read_group(leaves, output, counts) {
                    Err((_, error)) if leaves[0].stored.object.changed() => {
                        lock(changed).extend(leaves.iter().map(|leaf| (leaf.chunk, error.clone())));
                        Ok(())
                    }
                    read => read.map_err(|(chunk, error)| error.at(self.describe(&batch[chunk].0))),
                }
            },
        )?;
        // Only objects that were not read at all take a request.
        gather(
            &resolved.objects,
            |_| 0,
            |(chunk, object)| {
                if !object.confirm().place(|| self.describe(&batch[*chunk].0))? {
                    let error = Error::store("the object changed while it was read");
                    lock(changed).entry(*chunk).or_insert(error);
                }
                Ok(())
            },
        )
    }
}

/// Checks the size of an object that was read.
fn check_size(object: &Arc<dyn Object>, size: u64) -> Result<()> {
    match object.recall() {
        Some(stat) if stat.size != size => {
            Err(Error::corrupt(format!("{} bytes are stored instead of {size}", stat.size)))
        }
        _ => Ok(()),
    }
}
