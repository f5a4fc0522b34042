//! The buffer that a read fills, shared by threads.

use std::marker::PhantomData;

use smallvec::SmallVec;

use super::jumps::{Jump, Jumps, Loop, copy_each, extremes, smallest_distance, walk};
use super::strided::{Axes, Axis, Item, copy, odometer, prepare, within};
use crate::error::{Error, Result};
use crate::slot::Keeping;

/// The buffer that a read fills, shared by threads.
pub(crate) struct Output<'a> {
    start: *mut u8,
    length: usize,
    /// Where elements of variable length go.
    keeping: Option<Keeping<'a>>,
    _buffer: PhantomData<&'a mut [u8]>,
}

// SAFETY: `share` demands that no two threads write the same bytes, and nothing here reads them.
unsafe impl Sync for Output<'_> {}
// SAFETY: as above; the buffer itself is borrowed for 'a.
unsafe impl Send for Output<'_> {}

/// The elements of a copy: offsets of the first element on both sides, axes, and lists of further offsets.
#[derive(Clone, Copy)]
pub(crate) struct Transfer<'a> {
    pub(crate) from: isize,
    pub(crate) to: isize,
    pub(crate) axes: &'a [Axis],
    pub(crate) jumps: &'a [Vec<Jump>],
}

impl Transfer<'_> {
    /// Returns whether there are no elements.
    fn is_empty(&self) -> bool {
        self.axes.iter().any(|axis| axis.length == 0) || self.jumps.iter().any(Vec::is_empty)
    }

    /// Checks that every element of `size` bytes is inside both buffers. There must be at least one element.
    fn check(&self, from_length: usize, to_length: usize, size: usize) -> Result<()> {
        let inside = self.is_inside(from_length, self.from, size, |axis| axis.from, |jump| jump.from)
            && self.is_inside(to_length, self.to, size, |axis| axis.to, |jump| jump.to);
        if inside { Ok(()) } else { Err(outside()) }
    }

    fn is_inside(
        &self,
        length: usize,
        start: isize,
        size: usize,
        stride: impl Fn(&Axis) -> isize + Copy,
        offset: impl Fn(&Jump) -> isize + Copy,
    ) -> bool {
        let (mut low, mut high) = (start as i128, start as i128);
        for jumps in self.jumps {
            let (least, most) = extremes(jumps, offset);
            low += least as i128;
            high += most as i128;
        }
        let (Ok(low), Ok(high)) = (isize::try_from(low), isize::try_from(high)) else { return false };
        let axes = || self.axes.iter().map(|axis| (axis.length, stride(axis)));
        within(length, low, size, axes()) && within(length, high, size, axes())
    }
}

fn outside() -> Error {
    Error::corrupt("elements are outside their buffer")
}

impl<'a> Output<'a> {
    /// Shares a buffer among threads.
    ///
    /// # Safety
    /// Different threads must not place or fill the same bytes at once, and no source may overlap the buffer.
    pub(crate) unsafe fn share(buffer: &'a mut [u8]) -> Self {
        Self { start: buffer.as_mut_ptr(), length: buffer.len(), keeping: None, _buffer: PhantomData }
    }

    /// Shares memory of another owner among threads.
    ///
    /// # Safety
    /// As for [`share`](Self::share); also, `length` bytes from `start` must be writable for `'a`.
    pub(crate) unsafe fn from_raw(start: *mut u8, length: usize) -> Self {
        Self { start, length, keeping: None, _buffer: PhantomData }
    }

    /// Returns the buffer with a destination for elements of variable length.
    pub(crate) fn keeping(self, keeping: Option<Keeping<'a>>) -> Self {
        Self { keeping, ..self }
    }

    /// Returns where elements of variable length go.
    pub(crate) fn kept(&self) -> Result<Keeping<'a>> {
        self.keeping.ok_or_else(|| Error::selection("elements of variable length cannot be read into plain memory"))
    }

    /// Copies elements from the offset `from` of `source` to the offset `to`. Both sides are checked.
    pub(crate) fn place(&self, to: isize, axes: &[Axis], source: &[u8], from: isize, item: Item) -> Result<()> {
        let axes = prepare(axes, item);
        let size = item.unit();
        let inside = within(source.len(), from, size, axes.iter().map(|axis| (axis.length, axis.from)))
            && within(self.length, to, size, axes.iter().map(|axis| (axis.length, axis.to)));
        if !inside {
            return Err(outside());
        }
        if axes.iter().all(|axis| axis.length > 0) {
            // SAFETY: `within` checked every offset that the strides reach, on both sides.
            unsafe { copy(source.as_ptr().offset(from), self.start.offset(to), &axes, item) }
        }
        Ok(())
    }

    /// Copies the elements of a transfer. Both sides are checked.
    pub(crate) fn place_each(&self, transfer: Transfer<'_>, source: &[u8], item: Item) -> Result<()> {
        let Transfer { from, to, axes, jumps } = transfer;
        if jumps.is_empty() {
            return self.place(to, axes, source, from, item);
        }
        let axes = prepare(axes, item);
        let transfer = Transfer { axes: &axes, ..transfer };
        if transfer.is_empty() {
            return Ok(());
        }
        transfer.check(source.len(), self.length, item.unit())?;
        // Loops are nested by distance in the output, and the list with the nearest entries is the innermost.
        let mut lists: SmallVec<[(usize, &[Jump]); 2]> =
            jumps.iter().map(|jumps| (smallest_distance(jumps), &jumps[..])).collect();
        lists.sort_by_key(|(distance, _)| std::cmp::Reverse(*distance));
        let Some((nearest, last)) = lists.pop() else { return Ok(()) };
        let cut = axes.partition_point(|axis| axis.to.unsigned_abs() > nearest);
        let (outer, inner) = axes.split_at(cut);
        let mut loops: SmallVec<[(usize, Loop<'_>); 4]> =
            outer.iter().map(|axis| (axis.to.unsigned_abs(), Loop::Axis(*axis))).collect();
        loops.extend(lists.into_iter().map(|(distance, jumps)| (distance, Loop::List(jumps))));
        loops.sort_by_key(|(distance, _)| std::cmp::Reverse(*distance));
        let loops: SmallVec<[Loop<'_>; 4]> = loops.into_iter().map(|(_, one)| one).collect();
        // SAFETY: `check` covers the lowest and the highest combination of jumps with every offset that the strides reach,
        // and so all combinations between them, on both sides.
        unsafe { copy_each(source.as_ptr().offset(from), self.start.offset(to), &loops, last, inner, item) }
        Ok(())
    }

    /// Fills the elements of the axes with a value. Strides in the source are ignored.
    pub(crate) fn fill(&self, to: isize, axes: &[Axis], value: &[u8]) -> Result<()> {
        let axes: Axes = axes.iter().map(|axis| Axis { from: 0, ..*axis }).collect();
        if value.iter().all(|byte| *byte == value[0]) {
            // A value of equal bytes fills a whole run at once.
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
            return Err(outside());
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

    /// Fills the elements of a transfer with a value. Offsets in the source are ignored.
    pub(crate) fn fill_each(&self, transfer: Transfer<'_>, value: &[u8]) -> Result<()> {
        let Transfer { to, axes, jumps, .. } = transfer;
        if jumps.is_empty() {
            return self.fill(to, axes, value);
        }
        let axes: Axes = axes.iter().map(|axis| Axis { from: 0, ..*axis }).collect();
        let fixed = |jumps: &Vec<Jump>| jumps.iter().map(|jump| Jump { from: 0, ..*jump }).collect();
        let jumps: Jumps = jumps.iter().map(fixed).collect();
        let transfer = Transfer { from: 0, to, axes: &axes, jumps: &jumps };
        self.place_each(transfer, value, Item { size: value.len(), word: 1 })
    }

    /// Calls `visit` with the offsets of each element of `size` bytes, in a source of `length` bytes and in the buffer. Both
    /// sides are checked.
    pub(crate) fn each(
        &self,
        transfer: Transfer<'_>,
        length: usize,
        size: usize,
        mut visit: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        if transfer.is_empty() {
            return Ok(());
        }
        transfer.check(length, self.length, size)?;
        let lists = transfer.jumps.iter().map(|jumps| Loop::List(jumps));
        let loops: SmallVec<[Loop<'_>; 6]> = lists.chain(transfer.axes.iter().map(|axis| Loop::Axis(*axis))).collect();
        let mut result = Ok(());
        walk(&loops, transfer.from, transfer.to, &mut |from, to| {
            if result.is_ok() {
                result = visit(from.cast_unsigned(), to.cast_unsigned());
            }
        });
        result
    }

    /// Returns bytes of the buffer, for one thread to write.
    ///
    /// # Safety
    /// No other thread may use these bytes while the slice lives, nor this thread through another slice.
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

#[cfg(test)]
mod tests {
    use super::super::strided::Axis;
    use super::*;

    /// Copies element by element.
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
            // Two random orders of the axes; in the source, some have steps and some run backwards.
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

    fn transfer<'a>(from: isize, to: isize, axes: &'a [Axis], jumps: &'a [Vec<Jump>]) -> Transfer<'a> {
        Transfer { from, to, axes, jumps }
    }

    fn jumps(pairs: &[(isize, isize)]) -> Vec<Jump> {
        pairs.iter().map(|(from, to)| Jump { from: *from, to: *to }).collect()
    }

    #[test]
    fn combinations_are_copied_in_order() {
        let source: Vec<u8> = (0..100).collect();
        // Columns 7, 2, 2 of rows 3, 0, 3 of a 10 by 10 array: blocks of 2 by 2 bytes, reversed or not.
        let lists = [jumps(&[(30, 0), (0, 12), (30, 24)]), jumps(&[(7, 0), (2, 4), (2, 8)])];
        let pair = [Axis { length: 2, from: 10, to: 2 }];
        for word in [1, 2] {
            let mut found = [0u8; 36];
            let item = Item { size: 2, word };
            // SAFETY: one thread.
            unsafe { Output::share(&mut found) }.place_each(transfer(0, 0, &pair, &lists), &source, item).unwrap();
            let mut expected = Vec::new();
            for row in [3u8, 0, 3] {
                for column in [7, 2, 2] {
                    for k in [0, 10] {
                        let first = row * 10 + column + k;
                        expected.extend(if word == 1 { [first, first + 1] } else { [first + 1, first] });
                    }
                }
            }
            assert_eq!(found[..], expected);
        }
        // Of several entries with the same target, the last wins.
        let mut found = [0u8; 2];
        let lists = [jumps(&[(5, 1), (6, 0), (7, 1), (9, 0)])];
        // SAFETY: one thread.
        unsafe { Output::share(&mut found) }
            .place_each(transfer(0, 0, &[], &lists), &source, Item { size: 1, word: 1 })
            .unwrap();
        assert_eq!(found, [9, 7]);
    }

    #[test]
    fn nothing_is_reached_outside() {
        let mut buffer = [0u8; 8];
        // SAFETY: one thread.
        let output = unsafe { Output::share(&mut buffer) };
        let item = Item { size: 2, word: 1 };
        let place =
            |list: &[(isize, isize)], from| output.place_each(transfer(from, 2, &[], &[jumps(list)]), &[1; 6], item);
        assert!(place(&[(0, 0), (4, 4)], 0).is_ok());
        for wrong in [(0, 5), (0, -3), (5, 0), (-1, 0), (isize::MAX, 0), (0, isize::MIN)] {
            assert!(place(&[(0, 0), wrong], 0).is_err(), "{wrong:?}");
            assert!(
                output.each(transfer(0, 2, &[], &[jumps(&[(0, 0), wrong])]), 6, 2, |_, _| Ok(())).is_err(),
                "{wrong:?}"
            );
        }
        assert!(place(&[], 100).is_ok());
        assert!(output.fill_each(transfer(0, 2, &[], &[jumps(&[(0, 0), (9, 5)])]), &[7, 7]).is_err());
        output.fill_each(transfer(0, 2, &[], &[jumps(&[(0, 0), (9, 4)])]), &[7, 8]).unwrap();
        assert_eq!(buffer, [0, 0, 7, 8, 0, 0, 7, 8]);
    }
}
