//! Positions without regular spacing, along one axis or several together, and how they are split at chunks.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::chunk_grid::ChunkGrid;
use crate::view::Jump;

/// The positions along each axis of a [`List`].
pub(crate) type Columns = Vec<Vec<u64>>;

/// Entries with a position along every axis of the list and an offset in the output. Entries are written in order, so
/// the last of several equal positions wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    /// The axes of the array. Each has a run of one position at 0.
    pub(crate) axes: SmallVec<[usize; 4]>,
    columns: Arc<Columns>,
    /// Offset of each entry in the output, in bytes.
    to: Arc<Vec<isize>>,
    /// The entries that are in this list.
    range: Range<usize>,
}

/// The chunk of an entry along each axis of a list: its index and its start.
type Located = SmallVec<[(u64, u64); 4]>;

/// The entries in one chunk, with positions relative to the chunk.
pub(super) struct Group {
    /// Index of the chunk along each axis of the list.
    pub(super) chunk: SmallVec<[u64; 4]>,
    pub(super) list: List,
}

impl List {
    /// Creates a list of entries with one stride in the output.
    pub(crate) fn new(axes: &[usize], columns: Arc<Columns>, stride: isize) -> Self {
        let count = columns.first().map_or(0, Vec::len);
        let to = (0..count as isize).map(|entry| entry.wrapping_mul(stride)).collect();
        Self { axes: axes.into(), columns, to: Arc::new(to), range: 0..count }
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    pub(super) fn column(&self, axis: usize) -> &[u64] {
        &self.columns[axis][self.range.clone()]
    }

    /// Returns the positions of the first entry, and its offset in the output.
    pub(super) fn first(&self) -> (impl Iterator<Item = u64>, isize) {
        (self.columns.iter().map(|column| column[self.range.start]), self.to[self.range.start])
    }

    /// Removes the entries at or past an end along any axis of the list.
    pub(crate) fn clip(&mut self, end: &[u64]) {
        let below =
            |entry: &usize| self.axes.iter().zip(self.columns.iter()).all(|(axis, column)| column[*entry] < end[*axis]);
        let kept: Vec<usize> = self.range.clone().filter(below).collect();
        if kept.len() < self.range.len() {
            let column = |column: &Vec<u64>| kept.iter().map(|entry| column[*entry]).collect();
            let to = kept.iter().map(|entry| self.to[*entry]).collect();
            let columns = Arc::new(self.columns.iter().map(column).collect());
            *self = Self { columns, to: Arc::new(to), range: 0..kept.len(), axes: std::mem::take(&mut self.axes) };
        }
    }

    /// Returns the offsets of each entry in a source with strides in bytes, and in the output.
    pub(super) fn jumps(&self, strides: &[i64]) -> Vec<Jump> {
        let jump = |to: &isize| Jump { from: 0, to: *to };
        let mut jumps: Vec<Jump> = self.to[self.range.clone()].iter().map(jump).collect();
        for (k, axis) in self.axes.iter().enumerate() {
            let stride = strides[*axis] as isize;
            for (jump, position) in jumps.iter_mut().zip(self.column(k)) {
                jump.from = jump.from.wrapping_add((*position as isize).wrapping_mul(stride));
            }
        }
        jumps
    }

    /// Returns whether every position of `shape` along the list's axes is an entry.
    pub(super) fn covers(&self, shape: &[u64]) -> bool {
        let lengths = self.axes.iter().map(|axis| shape[*axis]);
        let count = lengths.clone().try_fold(1u64, u64::checked_mul);
        let Some(count) = count.filter(|count| *count <= self.len() as u64) else { return false };
        let mut seen = vec![false; count as usize];
        for entry in 0..self.len() {
            let mut number = Some(0);
            for (k, length) in lengths.clone().enumerate() {
                let position = self.column(k)[entry];
                number = number.filter(|_| position < length).map(|number| number * length + position);
            }
            if let Some(number) = number {
                seen[number as usize] = true;
            }
        }
        seen.into_iter().all(|seen| seen)
    }

    /// Returns an upper bound of the number of chunks that the entries are in.
    pub(super) fn chunks(&self, grid: &ChunkGrid) -> u64 {
        let chunks = (0..self.axes.len()).fold(1, |chunks: u64, k| {
            let (first, last) = self.ends(k, grid);
            chunks.saturating_mul(last - first + 1)
        });
        chunks.min(self.len() as u64)
    }

    /// Returns the first and the last chunk along an axis of the list, which must not be empty.
    fn ends(&self, k: usize, grid: &ChunkGrid) -> (u64, u64) {
        let (low, high) = self
            .column(k)
            .iter()
            .fold((u64::MAX, 0), |(low, high), position| (low.min(*position), high.max(*position)));
        (grid.locate(self.axes[k], low).0, grid.locate(self.axes[k], high).0)
    }

    /// Groups the entries by chunk. Within a chunk, they keep their order.
    pub(super) fn groups(&self, grid: &ChunkGrid) -> Vec<Group> {
        if self.range.is_empty() {
            return Vec::new();
        }
        let count = self.len();
        // The number of each entry's chunk, among the chunks between the first and the last.
        let mut chunks: SmallVec<[Vec<u64>; 2]> = SmallVec::new();
        let mut cells = Some(1u64);
        let mut keys = vec![0u64; 0];
        for (k, axis) in self.axes.iter().enumerate() {
            let (first, last) = self.ends(k, grid);
            if first == last {
                continue;
            }
            let mut found = (first, 0, 0);
            let locate = |position: &u64| {
                if position.wrapping_sub(found.1) >= found.2 {
                    found = grid.locate(*axis, *position);
                }
                found.0 - first
            };
            let numbers: Vec<u64> = self.column(k).iter().map(locate).collect();
            cells = cells.and_then(|cells| cells.checked_mul(last - first + 1));
            if chunks.is_empty() {
                keys.clone_from(&numbers);
            } else if cells.is_some() {
                keys.iter_mut().zip(&numbers).for_each(|(key, number)| *key = *key * (last - first + 1) + number);
            }
            chunks.push(numbers);
        }
        let order = if let Some(cells) = cells {
            ordered(&keys, cells)
        } else {
            let mut order: Vec<usize> = (0..count).collect();
            let key = |entry: usize| chunks.iter().map(move |numbers| numbers[entry]);
            order.sort_by(|a, b| key(*a).cmp(key(*b)));
            Some(order)
        };
        let entry = |k: usize| order.as_ref().map_or(k, |order| order[k]);
        let mut starts = vec![0];
        if !chunks.is_empty() {
            let apart = |k: &usize| chunks.iter().any(|numbers| numbers[entry(*k - 1)] != numbers[entry(*k)]);
            starts.extend((1..count).filter(apart));
        }
        starts.push(count);

        let mut located: Vec<Located> = Vec::with_capacity(starts.len() - 1);
        for start in &starts[..starts.len() - 1] {
            let locate = |(k, axis): (usize, &usize)| {
                let (chunk, start, _) = grid.locate(*axis, self.column(k)[entry(*start)]);
                (chunk, start)
            };
            located.push(self.axes.iter().enumerate().map(locate).collect());
        }
        let unmoved = order.is_none() && located.len() == 1 && located[0].iter().all(|(_, start)| *start == 0);
        let sorted = if unmoved { self.clone() } else { self.rearranged(order.as_deref(), &starts, &located) };
        let group = |(located, bounds): (Located, &[usize])| Group {
            chunk: located.iter().map(|(chunk, _)| *chunk).collect(),
            list: List { range: sorted.range.start + bounds[0]..sorted.range.start + bounds[1], ..sorted.clone() },
        };
        located.into_iter().zip(starts.windows(2)).map(group).collect()
    }

    /// Returns the entries in another order, with positions relative to their chunks.
    fn rearranged(&self, order: Option<&[usize]>, starts: &[usize], located: &[Located]) -> Self {
        let mut columns: Columns = (0..self.axes.len())
            .map(|k| match order {
                Some(order) => order.iter().map(|entry| self.column(k)[*entry]).collect(),
                None => self.column(k).to_vec(),
            })
            .collect();
        for (k, column) in columns.iter_mut().enumerate() {
            for (bounds, located) in starts.windows(2).zip(located) {
                let start = located[k].1;
                column[bounds[0]..bounds[1]].iter_mut().for_each(|position| *position -= start);
            }
        }
        let to = &self.to[self.range.clone()];
        let to = match order {
            Some(order) => order.iter().map(|entry| to[*entry]).collect(),
            None => to.to_vec(),
        };
        Self { axes: self.axes.clone(), columns: Arc::new(columns), to: Arc::new(to), range: 0..self.len() }
    }

    /// Returns the list for axes in another order: axis `k` was axis `order[k]`.
    pub(super) fn permuted(&self, order: &[usize]) -> Self {
        let axes = self.axes.iter().map(|axis| order.iter().position(|old| old == axis).unwrap_or(*axis)).collect();
        Self { axes, ..self.clone() }
    }
}

/// Returns the stable order that sorts keys, all below `cells`, or `None` if they are sorted.
fn ordered(keys: &[u64], cells: u64) -> Option<Vec<usize>> {
    if keys.is_sorted() {
        return None;
    }
    if cells > 4 * keys.len() as u64 {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|entry| keys[*entry]);
        return Some(order);
    }
    let mut next = vec![0usize; cells as usize + 1];
    for key in keys {
        next[*key as usize + 1] += 1;
    }
    for k in 1..next.len() {
        next[k] += next[k - 1];
    }
    let mut order = vec![0; keys.len()];
    for (entry, key) in keys.iter().enumerate() {
        let position = &mut next[*key as usize];
        order[*position] = entry;
        *position += 1;
    }
    Some(order)
}
