//! Executes the reads that `jobs` plans.

use super::jobs::Job;
use super::leaf::{ChunkError, Leaf};
use super::reader::{Counts, Reader};
use super::stored::Stored;
use crate::buffer::{Buffer, to_usize};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Span, run_of};
use crate::view::{Axes, Output, Transfer, swap_words};

impl<'a> Reader<'a> {
    /// Reads the leaves of a group: takes those in a cache or in memory, and reads the others from the store.
    pub(super) fn read_group(
        &self,
        leaves: &[Leaf<'a>],
        output: &Output<'_>,
        counts: &Counts,
    ) -> Result<(), ChunkError> {
        let mut left = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            if !self.take(leaf, output).map_err(|error| leaf.fail(error))? {
                left.push(leaf);
            }
        }
        self.jobs(left, counts)?.into_iter().try_for_each(|job| self.execute(job, output))
    }

    /// Reads one leaf.
    pub(super) fn read_leaf(&self, leaf: &Leaf<'a>, output: &Output<'_>, counts: &Counts) -> Result<()> {
        if self.take(leaf, output)? {
            return Ok(());
        }
        self.execute(self.job(leaf, counts)?, output).map_err(|(_, error)| error)
    }

    /// Places a leaf that is in a cache or in memory; returns false if it must be read.
    fn take(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<bool> {
        if self.take_cached(leaf, output)? {
            return Ok(true);
        }
        let Some(stored) = leaf.stored.slice() else { return Ok(false) };
        self.decode_and_keep(leaf, stored?, output)?;
        Ok(true)
    }

    fn execute(&self, job: Job<'_, 'a>, output: &Output<'_>) -> Result<(), ChunkError> {
        match job {
            Job::Joined { leaves, offset, length } => self.read_joined(&leaves, offset, length, output),
            Job::Whole(leaf) => self.read_whole(leaf, output).map_err(|error| leaf.fail(error)),
            Job::Spans { leaf, spans, axes } => {
                read_spans(leaf, spans, &axes, output).map_err(|error| leaf.fail(error))
            }
            Job::Pieces(leaf, pieces) => {
                let read = match self.read_pieces(leaf, &pieces, output) {
                    // Decoding the whole leaf finds the error again and locates it.
                    Err(error) if error.kind() == ErrorKind::CorruptData => self.read_whole(leaf, output),
                    read => read,
                };
                read.map_err(|error| leaf.fail(error))
            }
        }
    }

    fn read_joined(
        &self,
        leaves: &[&Leaf<'a>],
        offset: u64,
        length: u64,
        output: &Output<'_>,
    ) -> Result<(), ChunkError> {
        let Some(first) = leaves.first() else { return Ok(()) };
        let all = Stored { offset, length, ..first.stored.clone() };
        let bytes = all.read(length).map_err(|error| (first.chunk, error))?;
        for leaf in leaves {
            let stored = &bytes[(leaf.stored.offset - offset) as usize..][..leaf.stored.length as usize];
            self.decode_and_keep(leaf, stored, output).map_err(|error| leaf.fail(error))?;
        }
        Ok(())
    }

    fn read_whole(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<()> {
        let stored = leaf.stored.read(leaf.chain.stored_size().bound())?;
        self.decode_and_keep(leaf, &stored, output)
    }
}

/// Reads the spans of a leaf and places their elements.
fn read_spans(leaf: &Leaf<'_>, spans: Vec<Span>, axes: &Axes, output: &Output<'_>) -> Result<()> {
    let (stored, elements) = (&leaf.stored, leaf.elements);
    leaf.check_size()?;
    for span in spans {
        let axes = span.axes(axes);
        let length = to_usize(span.length)?;
        let transfer = Transfer { from: span.from, to: span.to, axes: &axes, jumps: &span.jumps };
        if let Some(packed) = leaf.chain.array_codecs() {
            let size = elements.item.size as u64;
            let (first, count) = (span.offset / size, span.length / size);
            let part = packed.part(first, count).filter(|part| part.end <= stored.length);
            let part =
                part.ok_or_else(|| Error::corrupt(format!("a chunk of {} bytes is truncated", stored.length)))?;
            let mut bytes = Buffer::new(to_usize(part.end - part.start)?)?;
            stored.read_at(stored.offset + part.start, &mut bytes)?;
            let mut unpacked = Buffer::new(length)?;
            packed.decode_part(&bytes, first, &mut unpacked)?;
            output.place_each(transfer, &unpacked, elements.item)?;
            continue;
        }
        let offset = stored.offset + span.offset;
        let straight = span.jumps.is_empty();
        if straight && run_of(&axes, elements.item).is_some_and(|run| run as u64 == span.length) {
            // SAFETY: the planner gives each element of the output to one leaf and one span.
            if let Some(target) = unsafe { output.slice(span.to, length) } {
                stored.read_at(offset, target)?;
                swap_words(target, elements.item.word);
                continue;
            }
        }
        let mut buffer = Buffer::new(length)?;
        stored.read_at(offset, &mut buffer)?;
        output.place_each(transfer, &buffer, elements.item)?;
    }
    Ok(())
}
