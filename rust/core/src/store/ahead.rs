//! An object with parts of it already in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::{ByteRange, Object, Stat, clipped, reserve, resolve};
use crate::error::{Error, Result};
use crate::runtime::{PerProcess, gather_map, lock};

/// Maximum size of a part read ahead. All announced parts are kept until they are read.
const MOST: u64 = 128 << 10;

/// Maximum total size of the parts kept, without the first ones.
const KEPT: usize = 64 << 20;

type Later = VecDeque<(u64, Arc<Vec<u8>>)>;

/// An object that answers reads of some of its parts from memory.
pub(crate) struct Ahead {
    object: Arc<dyn Object>,
    stat: Stat,
    most: u64,
    /// The parts given to [`new`](Self::new): (offset, bytes).
    first: Vec<(u64, Vec<u8>)>,
    /// Parts read later, the newest first.
    later: PerProcess<Mutex<Later>>,
}

impl Ahead {
    /// Wraps an object and parts of it that were read already: (offset, bytes).
    pub(crate) fn new(object: Arc<dyn Object>, stat: Stat, first: Vec<(u64, Vec<u8>)>) -> Self {
        Self { object, stat, most: MOST, first, later: PerProcess::new(Mutex::default) }
    }

    /// Sets the maximum size of a part read ahead, for a caller that announces only one.
    pub(crate) fn with_most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    /// Reads at most `head` bytes from the start and `tail` bytes from the end of an object, concurrently; `None` if
    /// there is no such object.
    pub(crate) fn ends(object: Arc<dyn Object>, head: u64, tail: u64) -> Result<Option<Self>> {
        let ranges = [ByteRange::Range { offset: 0, length: head }, ByteRange::Suffix(tail)];
        let wanted = &ranges[usize::from(head == 0)..];
        let read = gather_map(wanted, |range| {
            let mut bytes = Vec::new();
            Ok(object.read_most(*range, &mut bytes)?.map(|stat| (clipped(*range, stat.size).0, bytes, stat)))
        })?;
        let Some(parts) = read.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let Some((_, _, stat)) = parts.first() else { return Ok(None) };
        let stat = *stat;
        if parts.iter().any(|(_, _, other)| *other != stat) {
            return Err(Error::store("the object changed while it was read"));
        }
        let first = parts.into_iter().map(|(offset, bytes, _)| (offset, bytes)).collect();
        Ok(Some(Self::new(object, stat, first)))
    }

    /// Calls `take` with bytes if they are in memory; returns false if they are not.
    fn find(&self, offset: u64, length: usize, take: impl FnOnce(&[u8])) -> bool {
        let within = |start: u64, bytes: &[u8]| {
            let from = usize::try_from(offset.checked_sub(start)?).ok()?;
            from.checked_add(length).filter(|end| *end <= bytes.len()).map(|end| from..end)
        };
        for (start, bytes) in &self.first {
            if let Some(range) = within(*start, bytes) {
                take(&bytes[range]);
                return true;
            }
        }
        let later = lock(self.later.get());
        let found = later.iter().find_map(|(start, bytes)| Some((bytes.clone(), within(*start, bytes)?)));
        drop(later);
        found.map(|(bytes, range)| take(&bytes[range])).is_some()
    }
}

impl Object for Ahead {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let (offset, length) = resolve(range, self.stat.size, limit)?;
        if self.find(offset, length, |_| {}) {
            reserve(into, length)?;
            self.find(offset, length, |bytes| into.extend_from_slice(bytes));
            return Ok(Some(self.stat));
        }
        let range = ByteRange::Range { offset, length: length as u64 };
        Ok(self.object.read(range, limit, into)?.map(|_| self.stat))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        if self.find(offset, into.len(), |bytes| into.copy_from_slice(bytes)) {
            return Ok(Some(self.stat));
        }
        Ok(self.object.read_at(offset, into)?.map(|_| self.stat))
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(self.stat))
    }

    fn bytes(&self) -> Option<&[u8]> {
        let whole = |(offset, bytes): &&(u64, Vec<u8>)| *offset == 0 && bytes.len() as u64 == self.stat.size;
        self.first.iter().find(whole).map(|(_, bytes)| bytes.as_slice())
    }

    fn confirm(&self) -> Result<bool> {
        self.object.confirm()
    }

    fn changed(&self) -> bool {
        self.object.changed()
    }

    fn prepare(&self, offset: u64, length: u64) -> Result<()> {
        let (offset, length) = clipped(ByteRange::Range { offset, length }, self.stat.size);
        if length == 0 || length > self.most || self.find(offset, length as usize, |_| {}) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        self.object.read(ByteRange::Range { offset, length }, length, &mut bytes)?;
        let mut later = lock(self.later.get());
        later.push_front((offset, Arc::new(bytes)));
        while later.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > KEPT {
            later.pop_back();
        }
        Ok(())
    }
}
