//! The planner: which chunks a selection touches, which part of each, and where that part goes in the output.
//!
//! The same planner splits a selection at the chunks of an array, and a chunk at the inner chunks of a shard. A
//! [`Region`] has the wanted positions along each axis and their strides in the output; each part of a region is a
//! region too. Positions without regular spacing are a [`List`], along one axis or several axes together.

mod list;

use smallvec::SmallVec;

use crate::chunk_grid::ChunkGrid;
use crate::subset::Dims;
use crate::view::{Axes, Axis, Jumps};

use list::Group;
pub(crate) use list::{Columns, List};

/// Evenly spaced positions along one axis, and their stride in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first position.
    pub(crate) start: u64,
    /// Distance from one position to the next; may be negative.
    pub(crate) step: i64,
    /// Number of positions.
    pub(crate) length: u64,
    /// Stride in the output, in bytes.
    pub(crate) stride: isize,
}

impl Run {
    fn position(&self, index: u64) -> u64 {
        self.start.wrapping_add_signed(self.step.wrapping_mul(index as i64))
    }
}

/// A part of an array or of a chunk: all combinations of a [`Run`] along each axis with the entries of lists. A listed
/// axis has a run of one position at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) runs: SmallVec<[Run; 4]>,
    pub(crate) lists: SmallVec<[List; 1]>,
    /// Offset of the first element in the output, in bytes.
    pub(crate) origin: isize,
}

impl Region {
    /// Returns the number of elements.
    pub(crate) fn elements(&self) -> u64 {
        let lengths = self.runs.iter().map(|run| run.length).chain(self.lists.iter().map(|list| list.len() as u64));
        lengths.fold(1, u64::saturating_mul)
    }

    /// Returns whether there are no elements.
    fn is_empty(&self) -> bool {
        self.runs.iter().any(|run| run.length == 0) || self.lists.iter().any(|list| list.len() == 0)
    }

    /// Returns an upper bound of the number of parts that [`split`](Self::split) gives.
    pub(crate) fn parts(&self, grid: &ChunkGrid) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let listed = self.lists.iter().map(|list| list.chunks(grid)).fold(1, u64::saturating_mul);
        self.runs.iter().enumerate().fold(listed, |parts: u64, (axis, run)| {
            let (first, last) = (run.start, run.position(run.length.saturating_sub(1)));
            let chunks = grid.locate(axis, first).0.abs_diff(grid.locate(axis, last).0).saturating_add(1);
            parts.saturating_mul(chunks.min(run.length))
        })
    }

    /// Returns whether the region is all of `shape`, in order.
    pub(crate) fn is_whole(&self, shape: &[u64]) -> bool {
        let whole =
            |(run, length): (&Run, &u64)| run.start == 0 && run.length == *length && (run.step == 1 || run.length <= 1);
        self.lists.is_empty() && self.runs.iter().zip(shape).all(whole)
    }

    /// Returns whether every position of `shape` is in the region.
    pub(crate) fn covers(&self, shape: &[u64]) -> bool {
        let runs = self.runs.iter().zip(shape).enumerate().all(|(axis, (run, length))| {
            if self.lists.iter().any(|list| list.axes.contains(&axis)) {
                return true;
            }
            let dense = run.length <= 1 || run.step.unsigned_abs() == 1;
            let first = if run.step < 0 { run.position(run.length.saturating_sub(1)) } else { run.start };
            dense && first == 0 && run.length >= *length
        });
        runs && self.lists.iter().all(|list| list.covers(shape))
    }

    /// Returns the offset of the first element in a source with strides in bytes, and the axes of the copy to the output.
    pub(crate) fn axes(&self, strides: &[i64]) -> (isize, Axes) {
        let mut from = 0;
        let axes = self.runs.iter().zip(strides).map(|(run, stride)| {
            from += run.start as isize * *stride as isize;
            Axis { length: run.length as usize, from: run.step as isize * *stride as isize, to: run.stride }
        });
        let axes = axes.collect();
        (from, axes)
    }

    /// Returns the offsets of the entries of each list, in a source with strides in bytes and in the output.
    pub(crate) fn jumps(&self, strides: &[i64]) -> Jumps {
        self.lists.iter().map(|list| list.jumps(strides)).collect()
    }

    /// Returns the region with its axes in another order.
    pub(crate) fn permuted(&self, order: &[usize]) -> Self {
        Self {
            runs: order.iter().map(|axis| self.runs[*axis]).collect(),
            lists: self.lists.iter().map(|list| list.permuted(order)).collect(),
            origin: self.origin,
        }
    }

    /// Returns a part of the region along one axis.
    pub(crate) fn narrowed(&self, axis: usize, first: u64, length: u64) -> Self {
        let mut part = self.clone();
        let run = &mut part.runs[axis];
        part.origin += first as isize * run.stride;
        *run = Run { start: run.position(first), length, ..*run };
        part
    }

    /// Splits the region at the chunks of a grid: a region for each chunk, with positions relative to the chunk.
    pub(crate) fn split<'a>(&'a self, grid: &'a ChunkGrid) -> Split<'a> {
        let is_done = self.is_empty();
        let (pieces, groups, at) = (SmallVec::new(), SmallVec::new(), SmallVec::new());
        let mut split = Split { region: self, grid, pieces, groups, at, is_done };
        if !is_done {
            split.pieces = (0..self.runs.len()).map(|axis| split.piece(axis, 0)).collect();
            split.groups = self.lists.iter().map(|list| list.groups(grid)).collect();
            split.at = SmallVec::from_elem(0, self.lists.len());
        }
        split
    }
}

/// The part of a run in one chunk.
#[derive(Clone, Copy, Debug)]
struct Piece {
    chunk: u64,
    /// Index of the first position in the whole run.
    first: u64,
    /// The positions, relative to the chunk.
    run: Run,
}

/// The parts of a [`Region`] chunk by chunk; see [`Region::split`].
pub(crate) struct Split<'a> {
    region: &'a Region,
    grid: &'a ChunkGrid,
    pieces: SmallVec<[Piece; 4]>,
    /// The entries of each list, grouped by chunk.
    groups: SmallVec<[Vec<Group>; 1]>,
    /// The current group of each list.
    at: SmallVec<[usize; 1]>,
    is_done: bool,
}

impl Split<'_> {
    fn piece(&self, axis: usize, first: u64) -> Piece {
        let run = &self.region.runs[axis];
        let position = run.position(first);
        let (chunk, start, length) = self.grid.locate(axis, position);
        let inside = position - start;
        let reach = if run.step >= 0 { length - 1 - inside } else { inside };
        let count = match run.step.unsigned_abs() {
            0 => u64::MAX,
            step => reach / step + 1,
        };
        let length = count.min(run.length - first);
        Piece { chunk, first, run: Run { start: inside, length, ..*run } }
    }
}

impl Iterator for Split<'_> {
    type Item = (Dims, Region);

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let mut chunk: Dims = self.pieces.iter().map(|piece| piece.chunk).collect();
        let origin = self
            .pieces
            .iter()
            .fold(self.region.origin, |origin, piece| origin + piece.first as isize * piece.run.stride);
        let runs = self.pieces.iter().map(|piece| piece.run).collect();
        let mut part = Region { runs, lists: SmallVec::new(), origin };
        for (groups, at) in self.groups.iter().zip(&self.at) {
            let Group { chunk: inside, list } = &groups[*at];
            for (axis, inside) in list.axes.iter().zip(inside) {
                chunk[*axis] = *inside;
            }
            if list.len() > 1 {
                part.lists.push(list.clone());
                continue;
            }
            // A single entry is a run.
            let (positions, to) = list.first();
            for (axis, position) in list.axes.iter().zip(positions) {
                part.runs[*axis].start = position;
            }
            part.origin += to;
        }
        self.is_done = !self.advance();
        Some((chunk, part))
    }
}

impl Split<'_> {
    /// Moves to the next part; returns false if there is none.
    fn advance(&mut self) -> bool {
        for axis in (0..self.pieces.len()).rev() {
            let next = self.pieces[axis].first + self.pieces[axis].run.length;
            if next < self.region.runs[axis].length {
                self.pieces[axis] = self.piece(axis, next);
                return true;
            }
            self.pieces[axis] = self.piece(axis, 0);
        }
        for (groups, at) in self.groups.iter().zip(&mut self.at).rev() {
            *at += 1;
            if *at < groups.len() {
                return true;
            }
            *at = 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Every element of the selection is in exactly one part, at its offset in the output.
    #[test]
    fn parts_cover_the_selection_once() {
        let grid = ChunkGrid::regular(&[17, 10], &[5, 3]).unwrap();
        for (start, step, length) in [(0u64, 1i64, 17u64), (3, 4, 4), (16, -1, 17), (15, -7, 3), (2, 1, 0), (9, 1, 1)] {
            let rows = Run { start, step, length, stride: 100 };
            let columns = Run { start: 9, step: -2, length: 5, stride: 2 };
            let region = Region { runs: SmallVec::from_slice(&[rows, columns]), lists: SmallVec::new(), origin: 7 };
            let mut seen = Vec::new();
            for (chunk, part) in region.split(&grid) {
                for i in 0..part.runs[0].length {
                    for j in 0..part.runs[1].length {
                        let (row, column) = (part.runs[0].position(i), part.runs[1].position(j));
                        assert!(row < 5 && column < 3);
                        let to = part.origin + i as isize * 100 + j as isize * 2;
                        seen.push((to, chunk[0] * 5 + row, chunk[1] * 3 + column));
                    }
                }
            }
            seen.sort_unstable();
            let mut expected = Vec::new();
            for i in 0..length {
                for j in 0..5 {
                    expected.push((7 + i as isize * 100 + j as isize * 2, rows.position(i), columns.position(j)));
                }
            }
            assert_eq!(seen, expected);
        }
    }

    /// Every combination of the entries of lists and of runs is in exactly one part; entries of one chunk stay in order.
    #[test]
    fn lists_are_cut_at_chunks() {
        let grids = [
            ChunkGrid::regular(&[17, 10, 6], &[5, 3, 6]).unwrap(),
            ChunkGrid::regular(&[17, 10, 6], &[20, 20, 20]).unwrap(),
            // More chunks than 64 bits can number.
            ChunkGrid::regular(&[1 << 62, 1 << 62, 6], &[5, 3, 4]).unwrap(),
        ];
        let far = [1 << 61, 3, 16, 0, 1 << 61, 3, 16, 4];
        let near = [16, 3, 16, 0, 7, 3, 16, 4];
        let columns = [9, 0, 9, 9, 2, 1, 9, 8];
        for (number, grid) in grids.iter().enumerate() {
            let rows = if number == 2 { far } else { near };
            let chunk_shape = grid.regular_shape().unwrap();
            let plain = |length: u64, stride| Run { start: 0, step: 1, length, stride };
            // Rows and columns in one list, and in two; planes 5, 3, 1.
            let planes = Run { start: 5, step: -2, length: 3, stride: 1 };
            let runs = SmallVec::from_slice(&[plain(1, 0), plain(1, 0), planes]);
            let together = List::new(&[1, 0], Arc::new(vec![columns.to_vec(), rows.to_vec()]), 100);
            let apart = [
                List::new(&[0], Arc::new(vec![rows.to_vec()]), 1000),
                List::new(&[1], Arc::new(vec![columns.to_vec()]), 10),
            ];
            for lists in [SmallVec::from_iter([together]), SmallVec::from_iter(apart)] {
                let pairs: Vec<(isize, u64, u64)> = if lists.len() == 1 {
                    (0..8).map(|k| (100 * k as isize, rows[k], columns[k])).collect()
                } else {
                    let pair =
                        |k: usize| (1000 * (k / 8) as isize + 10 * (k % 8) as isize, rows[k / 8], columns[k % 8]);
                    (0..64).map(pair).collect()
                };
                let region = Region { runs: runs.clone(), lists, origin: 7 };
                assert_eq!(region.elements(), 3 * pairs.len() as u64);
                let (mut seen, mut parts) = (Vec::new(), 0);
                for (chunk, part) in region.split(grid) {
                    parts += 1;
                    let strides: Vec<i64> = vec![10_000, 100, 1];
                    let (first, axes) = part.axes(&strides);
                    let mut offsets = vec![(first, part.origin)];
                    for jumps in part.jumps(&strides) {
                        assert!(jumps.is_sorted_by_key(|jump| jump.to), "in order");
                        let all = |(from, to)| jumps.iter().map(move |jump| (from + jump.from, to + jump.to));
                        offsets = offsets.into_iter().flat_map(all).collect();
                    }
                    for (from, to) in offsets {
                        crate::view::odometer(&axes, |more, further| {
                            let from = (from + more) as u64;
                            let inside = [from / 10_000, from / 100 % 100, from % 100];
                            assert!(inside.iter().zip(&chunk_shape).all(|(i, length)| i < length));
                            let at = |axis: usize| chunk[axis] * chunk_shape[axis] + inside[axis];
                            seen.push((to + further, at(0), at(1), at(2)));
                        });
                    }
                }
                assert!(parts <= region.parts(grid));
                seen.sort_unstable();
                let place = |(to, row, column): &(isize, u64, u64), k: usize| {
                    (7 + to + k as isize, *row, *column, 5 - 2 * k as u64)
                };
                let expected: Vec<_> = pairs.iter().flat_map(|pair| (0..3).map(|k| place(pair, k))).collect();
                assert_eq!(seen, expected);
            }
        }
    }

    #[test]
    fn lists_cover_shapes_whose_positions_they_all_have() {
        let list = |positions: &[u64]| {
            let run = |length| Run { start: 0, step: 1, length, stride: 0 };
            let lists = SmallVec::from_iter([List::new(&[1], Arc::new(vec![positions.to_vec()]), 1)]);
            Region { runs: SmallVec::from_slice(&[run(2), run(1)]), lists, origin: 0 }
        };
        assert!(list(&[2, 0, 1]).covers(&[2, 3]) && list(&[2, 0, 1, 1, 5]).covers(&[2, 3]));
        assert!(
            !list(&[2, 0, 0]).covers(&[2, 3]) && !list(&[0, 1]).covers(&[2, 3]) && !list(&[2, 0, 1]).covers(&[3, 3])
        );
        assert!(!list(&[0]).is_whole(&[2, 1]) && list(&[0]).covers(&[2, 1]));
    }

    #[test]
    fn a_scalar_is_one_chunk() {
        let grid = ChunkGrid::regular(&[], &[]).unwrap();
        let region = Region { runs: SmallVec::new(), lists: SmallVec::new(), origin: 0 };
        assert_eq!(region.split(&grid).count(), 1);
    }
}
