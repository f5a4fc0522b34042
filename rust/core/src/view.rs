//! Strided copies between buffers: the only place where elements move, and where the `unsafe` of moving them lives.
//!
//! The order of the axes, transposition, steps, negative strides and byte order are all of the same nature here: a list
//! of [`Axis`], each with a length and a stride on both sides.

mod jumps;

use std::marker::PhantomData;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::slot::Keeping;
use crate::subset::Dims;

pub(crate) use jumps::{Jump, Jumps, combinations};

/// One axis of a copy. Strides are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) length: usize,
    pub(crate) from: isize,
    pub(crate) to: isize,
}

pub(crate) type Axes = SmallVec<[Axis; 6]>;

/// The buffer that a read fills, shared by the threads that fill it.
pub(crate) struct Output<'a> {
    start: *mut u8,
    length: usize,
    /// Where elements of variable length keep their bytes.
    keeping: Option<Keeping<'a>>,
    _buffer: PhantomData<&'a mut [u8]>,
}

// SAFETY: `share` demands that no two threads write the same bytes, and nothing here reads them.
unsafe impl Sync for Output<'_> {}
// SAFETY: as above; the buffer itself is borrowed for 'a.
unsafe impl Send for Output<'_> {}

impl<'a> Output<'a> {
    /// Shares a buffer among threads.
    ///
    /// # Safety
    /// What is placed and filled through it from different threads at once must not overlap, and nothing placed may
    /// come out of the buffer itself.
    pub(crate) unsafe fn share(buffer: &'a mut [u8]) -> Self {
        Self { start: buffer.as_mut_ptr(), length: buffer.len(), keeping: None, _buffer: PhantomData }
    }

    /// From a pointer, for buffers that others own.
    ///
    /// # Safety
    /// As for [`share`](Self::share); besides, `length` bytes from `start` on must be writable as long as `'a` lasts.
    pub(crate) unsafe fn from_raw(start: *mut u8, length: usize) -> Self {
        Self { start, length, keeping: None, _buffer: PhantomData }
    }

    /// The same buffer, for elements of variable length.
    pub(crate) fn keeping(self, keeping: Option<Keeping<'a>>) -> Self {
        Self { keeping, ..self }
    }

    /// What becomes of elements of variable length.
    pub(crate) fn kept(&self) -> Result<Keeping<'a>> {
        self.keeping.ok_or_else(|| Error::selection("elements of variable length cannot be read into plain memory"))
    }

    /// Copies elements of `item` bytes from `source`, the first of which lies at `from`, to the offset `to`. Each
    /// word of `word` bytes is reversed where `swap` says so. Both sides are checked.
    pub(crate) fn place(&self, to: isize, axes: &[Axis], source: &[u8], from: isize, item: Item) -> Result<()> {
        let axes = prepare(axes, item);
        let size = item.unit();
        let inside = within(source.len(), from, size, axes.iter().map(|axis| (axis.length, axis.from)))
            && within(self.length, to, size, axes.iter().map(|axis| (axis.length, axis.to)));
        if !inside {
            return Err(Error::corrupt("elements lie outside their buffer"));
        }
        if axes.iter().all(|axis| axis.length > 0) {
            // SAFETY: `within` checked every offset that the strides reach, on both sides.
            unsafe { copy(source.as_ptr().offset(from), self.start.offset(to), &axes, item) }
        }
        Ok(())
    }

    /// Fills the elements that the axes reach (their `from` does not count).
    pub(crate) fn fill(&self, to: isize, axes: &[Axis], value: &[u8]) -> Result<()> {
        let axes: Axes = axes.iter().map(|axis| Axis { from: 0, ..*axis }).collect();
        if value.iter().all(|byte| *byte == value[0]) {
            // One byte over and over: runs can be filled at once.
            let item = Item { size: value.len(), word: 1 };
            let axes = prepare(&axes, item);
            if let Some((run, outer)) = axes.split_last()
                && run.to == value.len() as isize
            {
                let length = run.length * value.len();
                let (mut all, row) = (Axes::from_slice(outer), Axis { length, from: 0, to: 1 });
                all.push(row);
                return self.fill_runs(to, &all, value[0]);
            }
        }
        self.place(to, &axes, value, 0, Item { size: value.len(), word: 1 })
    }

    fn fill_runs(&self, to: isize, axes: &[Axis], byte: u8) -> Result<()> {
        if !within(self.length, to, 1, axes.iter().map(|axis| (axis.length, axis.to))) {
            return Err(Error::corrupt("elements lie outside their buffer"));
        }
        let Some((run, outer)) = axes.split_last() else { return Ok(()) };
        if axes.iter().all(|axis| axis.length > 0) {
            odometer(outer, |_, offset| {
                // SAFETY: `within` checked every offset that the strides reach.
                unsafe { self.start.offset(to + offset).write_bytes(byte, run.length) }
            });
        }
        Ok(())
    }

    /// Bytes of the buffer, to be written by one thread.
    ///
    /// # Safety
    /// No other thread may use these bytes while the slice lives, nor this one through another slice.
    #[allow(clippy::mut_from_ref)] // the contract of `share` is what makes it exclusive
    pub(crate) unsafe fn slice(&self, to: isize, length: usize) -> Option<&mut [u8]> {
        let to = usize::try_from(to).ok()?;
        if to.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: in bounds by the check above; exclusive by this function's contract.
        Some(unsafe { std::slice::from_raw_parts_mut(self.start.add(to), length) })
    }
}

/// An element: its size, and the size of a word in it whose bytes are to be reversed (1: none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) size: usize,
    pub(crate) word: usize,
}

impl Item {
    /// What is copied in one go: a word where words are reversed, else the element.
    fn unit(self) -> usize {
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

/// Whether every offset that the strides reach lies in a buffer.
fn within(length: usize, start: isize, item: usize, axes: impl Iterator<Item = (usize, isize)>) -> bool {
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

/// Drops axes of length 1, puts those with the longest strides in the output first and joins those that run on.
fn prepare(axes: &[Axis], item: Item) -> Axes {
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

/// Calls `visit` with the offsets of all combinations of the axes, which are not empty.
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

/// Copies; the axes come from [`prepare`] and none is empty.
///
/// # Safety
/// Every offset that the strides reach must be readable from `source` and writable at `target`.
unsafe fn copy(source: *const u8, target: *mut u8, axes: &[Axis], item: Item) {
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

/// Strides in bytes of elements in C order.
pub(crate) fn c_strides(shape: &[u64], size: usize) -> Dims<isize> {
    let mut strides = Dims::from_elem(0, shape.len());
    let mut stride = size as isize;
    for axis in (0..shape.len()).rev() {
        strides[axis] = stride;
        stride = stride.saturating_mul(shape[axis].max(1) as isize);
    }
    strides
}

/// What a transposition keeps in cache at once: lines of the source, which may all fall into one set of the cache, by
/// the elements in a line.
const TILE: (usize, usize) = (8, 64);

/// # Safety
/// As for [`copy`]; a unit has `N` bytes.
unsafe fn copy_units<const N: usize, const SWAP: bool>(source: *const u8, target: *mut u8, axes: &[Axis]) {
    let mut axes = Axes::from_slice(axes);
    let run = axes.pop().unwrap_or(Axis { length: 1, from: 0, to: 0 });
    // Where the source runs along another axis than the output, tiles over both keep each line in cache until it is
    // used up.
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
                            // Strides that the compiler knows become vector instructions.
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
unsafe fn unit<const N: usize, const SWAP: bool>(source: *const u8, target: *mut u8) {
    // SAFETY: the caller's promise; arrays of bytes need no alignment.
    unsafe {
        let mut value = source.cast::<[u8; N]>().read();
        if SWAP {
            value.reverse();
        }
        target.cast::<[u8; N]>().write(value);
    }
}

/// A vector of zeros, or an error where there is no memory for it.
///
/// The zeros come from the operating system, which makes their pages when they are first touched.
pub(crate) fn zeroed<E: Zeroable>(length: usize) -> Result<Vec<E>> {
    let none = || Error::store(format!("no memory for {length} elements of {} bytes", size_of::<E>()));
    let layout = std::alloc::Layout::array::<E>(length).map_err(|_| none())?;
    if layout.size() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the layout is not empty; all-zero bytes are a value of a `Zeroable`; length and capacity are what was
    // allocated, with the layout that `Vec` frees.
    unsafe {
        let start = std::alloc::alloc_zeroed(layout);
        if start.is_null() {
            return Err(none());
        }
        large_pages(start, layout.size());
        #[allow(clippy::same_length_and_capacity)] // it was allocated for just these
        Ok(Vec::from_raw_parts(start.cast(), length, length))
    }
}

/// Types for which all-zero bytes are a value.
///
/// # Safety
/// They must be, and the type must be free of padding.
pub(crate) unsafe trait Zeroable: Copy {}
// SAFETY: plain bytes.
unsafe impl Zeroable for u8 {}
// SAFETY: plain bytes.
unsafe impl Zeroable for u64 {}

/// Asks for large pages: fewer faults at the first touch of a large buffer.
fn large_pages(start: *mut u8, length: usize) {
    #[cfg(target_os = "linux")]
    if length >= 4 << 20 {
        let page = 4096;
        let skip = start.align_offset(page);
        // SAFETY: advice about memory that is ours; a refusal changes nothing.
        unsafe { libc::madvise(start.add(skip).cast(), length - skip, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, length);
}

/// The bytes of elements.
pub(crate) fn bytes_of<E: Zeroable>(elements: &mut [E]) -> &mut [u8] {
    // SAFETY: `Zeroable` types have no padding, and callers write only whole elements that were checked (bool) or for
    // which any bytes are a value.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

/// The bytes of elements.
pub(crate) fn as_bytes<E: Zeroable>(elements: &[E]) -> &[u8] {
    // SAFETY: `Zeroable` types have no padding, so that each of their bytes has a value.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// The bytes of booleans.
pub(crate) fn bool_bytes(elements: &[bool]) -> &[u8] {
    // SAFETY: a bool is one byte, 0 or 1.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copies element by element, as one would explain it.
    fn naive(target: &mut [u8], to: isize, axes: &[Axis], source: &[u8], from: isize, item: Item) {
        let total: usize = axes.iter().map(|axis| axis.length).product();
        for mut i in 0..total {
            let (mut from, mut to) = (from, to);
            for axis in axes.iter().rev() {
                from += (i % axis.length) as isize * axis.from;
                to += (i % axis.length) as isize * axis.to;
                i /= axis.length;
            }
            let (from, to) = (from as usize, to as usize);
            for word in (0..item.size).step_by(item.unit()) {
                for byte in 0..item.unit() {
                    let other = if item.word > 1 { item.unit() - 1 - byte } else { byte };
                    target[to + word + byte] = source[from + word + other];
                }
            }
        }
    }

    #[test]
    fn copies_as_the_naive_copy_does() {
        let mut random = 12345u64;
        let mut next = move |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        for round in 0..2000 {
            let item = [(1, 1), (2, 1), (2, 2), (4, 4), (8, 1), (8, 4), (16, 8), (3, 1), (16, 1), (6, 3)][next(10)];
            let item = Item { size: item.0, word: item.1 };
            let rank = next(4);
            let shape: Vec<usize> =
                (0..rank).map(|_| if round % 7 == 0 { next(70) + 1 } else { next(6) + 1 }).collect();
            // Two random orders of the axes, with steps on the source, some of them backwards.
            let mut axes: Vec<Axis> = shape.iter().map(|length| Axis { length: *length, from: 0, to: 0 }).collect();
            let (mut from_size, mut to_size, mut from) = (item.size, item.size, 0isize);
            for side in 0..2 {
                let mut order: Vec<usize> = (0..rank).collect();
                for k in 0..rank {
                    order.swap(k, k + next(rank - k));
                }
                for axis in order {
                    if side == 0 {
                        let step = 1 + next(3);
                        let stride = (from_size * step) as isize;
                        axes[axis].from = stride;
                        from_size *= step * shape[axis];
                        if next(3) == 0 {
                            from += stride * (shape[axis] as isize - 1);
                            axes[axis].from = -stride;
                        }
                    } else {
                        axes[axis].to = to_size as isize;
                        to_size *= shape[axis];
                    }
                }
            }
            if from_size > 1 << 22 {
                continue;
            }
            let source: Vec<u8> = (0..from_size).map(|_| next(256) as u8).collect();
            let (mut expected, mut found) = (vec![0; to_size], vec![0; to_size]);
            naive(&mut expected, 0, &axes, &source, from, item);
            // SAFETY: one thread.
            unsafe { Output::share(&mut found) }.place(0, &axes, &source, from, item).unwrap();
            assert_eq!(expected, found, "{axes:?} {item:?}");
        }
    }

    #[test]
    fn nothing_is_placed_outside() {
        let mut buffer = [0u8; 8];
        // SAFETY: one thread.
        let output = unsafe { Output::share(&mut buffer) };
        let item = Item { size: 2, word: 1 };
        let axis = |length, from, to| [Axis { length, from, to }];
        assert!(output.place(0, &axis(5, 2, 2), &[0; 10], 0, item).is_err());
        assert!(output.place(0, &axis(4, 2, 2), &[0; 7], 0, item).is_err());
        assert!(output.place(0, &axis(2, -2, 2), &[0; 8], 0, item).is_err());
        assert!(output.place(8, &axis(0, 2, 2), &[], 0, item).is_ok());
        assert!(output.fill(2, &axis(4, 0, 2), &[1, 2]).is_err());
    }

    #[test]
    fn fills_runs_and_columns() {
        for value in [[7u8, 7], [1, 2]] {
            let mut buffer = [0u8; 12];
            // SAFETY: one thread.
            let output = unsafe { Output::share(&mut buffer) };
            output.fill(2, &[Axis { length: 2, from: 0, to: 6 }, Axis { length: 2, from: 0, to: 2 }], &value).unwrap();
            let [a, b] = value;
            assert_eq!(buffer, [0, 0, a, b, a, b, 0, 0, a, b, a, b]);
        }
    }
}
