//! Decides how leaves are read: which together, and whether whole, in rows or in pieces. `execute` runs the jobs, and
//! `explain` adds up their costs.

use std::sync::Arc;

use super::leaf::{ChunkError, Leaf};
use super::pieces::PieceReads;
use super::reader::{Counts, Reader};
use crate::error::Result;
use crate::fetch::{Merged, Span, merge, spans};
use crate::view::Axes;

/// A read or several reads of the store, and what is decoded from them.
pub(super) enum Job<'l, 'a> {
    /// One read of neighboring leaves. Each leaf is decoded from its part.
    Joined { leaves: Vec<&'l Leaf<'a>>, offset: u64, length: u64 },
    /// One read of all stored bytes of a leaf, which is decoded whole.
    Whole(&'l Leaf<'a>),
    /// A read of each span of a leaf of plain elements, or of elements that can be unpacked in parts.
    Spans { leaf: &'l Leaf<'a>, spans: Vec<Span>, axes: Axes },
    /// Reads of some pieces of a compressed leaf.
    Pieces(&'l Leaf<'a>, PieceReads),
}

/// Requests and bytes of a job.
pub(super) struct Cost {
    pub(super) requests: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_decoded: u64,
}

impl<'l, 'a> Reader<'a> {
    /// Sorts leaves by object and offset, and groups those that are close enough for one read. The `parts` of a group
    /// are indices into `leaves`.
    pub(super) fn group(&self, leaves: &mut [Leaf<'a>]) -> Vec<Merged> {
        leaves.sort_by_key(|leaf| (Arc::as_ptr(&leaf.stored.object).addr(), leaf.stored.offset));
        let total: u64 = leaves.iter().map(|leaf| leaf.stored.length).fold(0, u64::saturating_add);
        let largest = self.largest_read(total);
        let mut groups = Vec::new();
        let mut first = 0;
        for object in leaves.chunk_by(|a, b| Arc::ptr_eq(&a.stored.object, &b.stored.object)) {
            let ranges = object.iter().map(|leaf| (leaf.stored.offset, leaf.stored.length));
            let merged = merge(ranges, self.source.store.profile().merge_gap, largest);
            groups.extend(
                merged
                    .into_iter()
                    .map(|group| Merged { parts: group.parts.start + first..group.parts.end + first, ..group }),
            );
            first += object.len();
        }
        groups
    }

    /// Decides how the leaves of a group are read; reads layouts of pieces for that.
    pub(super) fn jobs(&self, leaves: Vec<&'l Leaf<'a>>, counts: &Counts) -> Result<Vec<Job<'l, 'a>>, ChunkError> {
        let Some(first) = leaves.first() else { return Ok(Vec::new()) };
        let offset = first.stored.offset;
        let end = leaves.iter().map(|leaf| leaf.stored.offset + leaf.stored.length).max().unwrap_or(offset);
        if leaves.len() > 1 && !self.are_apart(&leaves, end - offset) {
            return Ok(vec![Job::Joined { leaves, offset, length: end - offset }]);
        }
        leaves.into_iter().map(|leaf| self.job(leaf, counts).map_err(|error| leaf.fail(error))).collect()
    }

    /// Decides how one leaf is read.
    pub(super) fn job(&self, leaf: &'l Leaf<'a>, counts: &Counts) -> Result<Job<'l, 'a>> {
        if let Some(reads) = self.piece_reads(leaf, counts)? {
            return Ok(Job::Pieces(leaf, reads));
        }
        if !self.reads_parts(leaf) {
            return Ok(Job::Whole(leaf));
        }
        let (gap, largest) = (self.source.store.profile().merge_gap, self.joined_size().most);
        let (spans, axes) = spans(leaf.elements, &leaf.region, gap, largest);
        Ok(Job::Spans { leaf, spans, axes })
    }

    /// Returns whether leaves of plain elements are better read one by one, because less than a quarter of the `length`
    /// bytes from the first to the last is wanted.
    fn are_apart(&self, leaves: &[&Leaf<'a>], length: u64) -> bool {
        // In a remote store, one large read is faster than many small ones.
        if self.source.store.profile().remote {
            return false;
        }
        let wanted = leaves.iter().map(|leaf| leaf.region.elements() * leaf.elements.item.size as u64).sum::<u64>();
        wanted < length / 4 && leaves.iter().all(|leaf| self.reads_parts(leaf) && !leaf.is_whole())
    }
}

impl Job<'_, '_> {
    /// Returns the cost of the job if nothing is cached.
    pub(super) fn cost(&self, reader: &Reader<'_>) -> Cost {
        let cost =
            |requests: usize, bytes_read, bytes_decoded| Cost { requests: requests as u64, bytes_read, bytes_decoded };
        match self {
            Job::Joined { leaves, length, .. } => cost(1, *length, leaves.iter().map(|leaf| leaf.elements.size).sum()),
            Job::Whole(leaf) => cost(1, leaf.stored.length, leaf.elements.size),
            Job::Spans { leaf, spans, .. } => {
                cost(spans.len(), spans.iter().map(|span| span.length).sum(), leaf.elements.size)
            }
            Job::Pieces(_, pieces) => {
                let reads = pieces.merged(reader, pieces.wanted());
                let bytes = reads.iter().map(|read| read.length).sum();
                cost(reads.len(), bytes, pieces.decoded_size(pieces.wanted()))
            }
        }
    }
}
