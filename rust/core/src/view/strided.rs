//! Strided copies: axes with a stride on both sides.

use smallvec::SmallVec;

use crate::subset::Dims;

/// One axis of a copy: its length, and its stride on both sides, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) length: usize,
    pub(crate) from: isize,
    pub(crate) to: isize,
}

pub(crate) type Axes = SmallVec<[Axis; 6]>;

/// The size of an element, and the size of its words whose bytes are reversed (1: none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) size: usize,
    pub(crate) word: usize,
}

impl Item {
    /// Returns the number of bytes that are copied at once: a word if words are reversed, else an element.
    pub(super) fn unit(self) -> usize {
        if self.word > 1 { self.word } else { self.size }
    }
}

/// Reverses the bytes of each word in place.
pub(crate) fn swap_words(bytes: &mut [u8], word: usize) {
    match word {
        0 | 1 => {}
        2 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.reverse()),
        4 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse()),
        8 => bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|word| word.reverse()),
        _ => bytes.chunks_exact_mut(word).for_each(<[u8]>::reverse),
    }
}

/// Returns the strides of elements in C order, in bytes.
pub(crate) fn c_strides(shape: &[u64], size: usize) -> Dims<isize> {
    let mut strides = Dims::from_elem(0, shape.len());
    let mut stride = size as isize;
    for axis in (0..shape.len()).rev() {
        strides[axis] = stride;
        stride = stride.saturating_mul(shape[axis].max(1) as isize);
    }
    strides
}

/// Returns whether every element of the axes (length, stride) is inside a buffer.
pub(super) fn within(length: usize, start: isize, item: usize, axes: impl Iterator<Item = (usize, isize)>) -> bool {
    let (mut low, mut high) = (start as i128, start as i128 + item as i128);
    for (length, stride) in axes {
        if length == 0 {
            return true;
        }
        let reach = (length as i128 - 1) * stride as i128;
        if reach < 0 { low += reach } else { high += reach }
    }
    low >= 0 && high <= length as i128
}

/// Drops axes of length 1, sorts the others by stride in the output, largest first, and merges adjacent axes that are
/// evenly spaced on both sides.
pub(super) fn prepare(axes: &[Axis], item: Item) -> Axes {
    let mut axes: Axes = axes.iter().copied().filter(|axis| axis.length != 1).collect();
    if item.word > 1 && item.word < item.size {
        let word = item.word as isize;
        axes.push(Axis { length: item.size / item.word, from: word, to: word });
    }
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.to.unsigned_abs()));
    let mut joined = Axes::new();
    for axis in axes {
        if let Some(last) = joined.last_mut() {
            let length = axis.length as isize;
            if last.from == axis.from * length && last.to == axis.to * length {
                *last = Axis { length: last.length * axis.length, ..axis };
                continue;
            }
        }
        joined.push(axis);
    }
    joined
}

/// Calls `visit` with both offsets of every element of the axes. No axis may be empty.
pub(crate) fn odometer(axes: &[Axis], mut visit: impl FnMut(isize, isize)) {
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, axes.len());
    let (mut from, mut to) = (0, 0);
    loop {
        visit(from, to);
        let mut k = axes.len();
        loop {
            let Some(next) = k.checked_sub(1) else { return };
            k = next;
            index[k] += 1;
            from += axes[k].from;
            to += axes[k].to;
            if index[k] < axes[k].length {
                break;
            }
            from -= axes[k].from * axes[k].length as isize;
            to -= axes[k].to * axes[k].length as isize;
            index[k] = 0;
        }
    }
}

/// Copies elements. The axes come from [`prepare`], and no axis may be empty.
///
/// # Safety
/// Every offset that the strides reach must be readable from `source` and writable at `target`.
pub(super) unsafe fn copy(source: *const u8, target: *mut u8, axes: &[Axis], item: Item) {
    let unit = item.unit();
    let swap = item.word > 1;
    if let ([outer @ .., run], false) = (axes, swap)
        && run.from == unit as isize
        && run.to == unit as isize
    {
        let bytes = run.length * unit;
        return odometer(outer, |from, to| {
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(source.offset(from), target.offset(to), bytes) }
        });
    }
    // SAFETY: the caller's promise, for each width.
    unsafe {
        match (unit, swap) {
            (1, _) => copy_units::<1, false>(source, target, axes),
            (2, false) => copy_units::<2, false>(source, target, axes),
            (4, false) => copy_units::<4, false>(source, target, axes),
            (8, false) => copy_units::<8, false>(source, target, axes),
            (16, false) => copy_units::<16, false>(source, target, axes),
            (2, true) => copy_units::<2, true>(source, target, axes),
            (4, true) => copy_units::<4, true>(source, target, axes),
            (8, true) => copy_units::<8, true>(source, target, axes),
            _ => odometer(axes, |from, to| {
                std::ptr::copy_nonoverlapping(source.offset(from), target.offset(to), unit);
                if swap {
                    std::slice::from_raw_parts_mut(target.offset(to), unit).reverse();
                }
            }),
        }
    }
}

/// The tile of a transposition, which fits in the CPU's cache: lines of the source (few, as they may all map to one
/// cache set) and bytes per line.
const TILE: (usize, usize) = (8, 64);

/// # Safety
/// As for [`copy`]; a unit has `N` bytes.
unsafe fn copy_units<const N: usize, const SWAP: bool>(source: *const u8, target: *mut u8, axes: &[Axis]) {
    let mut axes = Axes::from_slice(axes);
    let run = axes.pop().unwrap_or(Axis { length: 1, from: 0, to: 0 });
    // If source and output have different innermost axes, tiles over both keep each cache line in the cache until all
    // of it is used.
    let crossing =
        if run.from.unsigned_abs() > 4 * N { axes.iter().position(|axis| axis.from.unsigned_abs() <= N) } else { None };
    let cross = crossing.map_or(Axis { length: 1, from: 0, to: 0 }, |k| axes.remove(k));
    let (width, height) = if cross.length > 1 { (TILE.0, (TILE.1 / N).max(8)) } else { (run.length, 1) };
    odometer(&axes, |from, to| {
        for rows in (0..cross.length).step_by(height) {
            for columns in (0..run.length).step_by(width) {
                let end = run.length.min(columns.saturating_add(width));
                for row in rows..cross.length.min(rows + height) {
                    let from = from + row as isize * cross.from;
                    let to = to + row as isize * cross.to;
                    // SAFETY: the caller's promise; the loops stay within the axes' lengths.
                    unsafe {
                        if run.to == N as isize && run.from == N as isize {
                            // With constant strides, the compiler uses vector instructions.
                            for column in columns..end {
                                unit::<N, SWAP>(source.offset(from).add(column * N), target.offset(to).add(column * N));
                            }
                        } else {
                            for column in columns..end {
                                let column = column as isize;
                                let (from, to) = (from + column * run.from, to + column * run.to);
                                unit::<N, SWAP>(source.offset(from), target.offset(to));
                            }
                        }
                    }
                }
            }
        }
    });
}

/// # Safety
/// `N` bytes must be readable at `source` and writable at `target`.
#[inline]
pub(super) unsafe fn unit<const N: usize, const SWAP: bool>(source: *const u8, target: *mut u8) {
    // SAFETY: the caller's promise; arrays of bytes need no alignment.
    unsafe {
        let mut value = source.cast::<[u8; N]>().read();
        if SWAP {
            value.reverse();
        }
        target.cast::<[u8; N]>().write(value);
    }
}
