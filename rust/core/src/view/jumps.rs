//! Copies of elements that lie at offsets that follow no rule: for each combination of the entries of some lists, a
//! strided copy.

use smallvec::SmallVec;

use super::{Axes, Axis, Item, Output, copy, prepare, unit};
use crate::error::{Error, Result};

/// How far an entry of a list lies from where it would be without the list, on both sides, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    pub(crate) from: isize,
    pub(crate) to: isize,
}

/// The entries of each list. Every combination is copied, in the order in which they are where they go to one place.
pub(crate) type Jumps = SmallVec<[Vec<Jump>; 1]>;

/// What is gone through, outermost first.
enum Loop<'a> {
    Axis(Axis),
    List(&'a [Jump]),
}

/// Calls `visit` with the offsets of all combinations.
fn walk(loops: &[Loop<'_>], from: isize, to: isize, visit: &mut impl FnMut(isize, isize)) {
    match loops.split_first() {
        None => visit(from, to),
        Some((Loop::Axis(axis), inner)) => {
            for k in 0..axis.length as isize {
                walk(inner, from + k * axis.from, to + k * axis.to, visit);
            }
        }
        Some((Loop::List(jumps), inner)) => {
            for jump in *jumps {
                walk(inner, from + jump.from, to + jump.to, visit);
            }
        }
    }
}

/// Calls `visit` with the offsets of every combination of jumps.
pub(crate) fn combinations(jumps: &[Vec<Jump>], mut visit: impl FnMut(isize, isize)) {
    let loops: SmallVec<[Loop<'_>; 2]> = jumps.iter().map(|jumps| Loop::List(jumps)).collect();
    walk(&loops, 0, 0, &mut visit);
}

/// The lowest and the highest offset that jumps reach; there are some.
fn reach(jumps: &[Jump], side: impl Fn(&Jump) -> isize) -> (isize, isize) {
    jumps.iter().map(side).fold((isize::MAX, isize::MIN), |(low, high), offset| (low.min(offset), high.max(offset)))
}

/// Whether every offset that axes and lists reach lies in a buffer; no list is empty.
fn within(
    length: usize,
    start: isize,
    item: usize,
    axes: impl Iterator<Item = (usize, isize)>,
    jumps: &[Vec<Jump>],
    side: impl Fn(&Jump) -> isize + Copy,
) -> bool {
    let (mut low, mut high) = (start as i128, start as i128);
    for jumps in jumps {
        let (least, most) = reach(jumps, side);
        low += least as i128;
        high += most as i128;
    }
    let (Ok(low), Ok(high)) = (isize::try_from(low), isize::try_from(high)) else { return false };
    let axes: SmallVec<[(usize, isize); 6]> = axes.collect();
    super::within(length, low, item, axes.iter().copied()) && super::within(length, high, item, axes.into_iter())
}

/// How far apart neighbouring entries lie in the output at least.
fn gap(jumps: &[Jump]) -> usize {
    let apart = jumps.windows(2).map(|pair| pair[1].to.abs_diff(pair[0].to)).filter(|gap| *gap > 0);
    apart.min().unwrap_or(usize::MAX)
}

impl Output<'_> {
    /// As [`place`](Self::place), for every combination of jumps.
    pub(crate) fn place_each(
        &self,
        to: isize,
        axes: &[Axis],
        jumps: &[Vec<Jump>],
        source: &[u8],
        from: isize,
        item: Item,
    ) -> Result<()> {
        if jumps.is_empty() {
            return self.place(to, axes, source, from, item);
        }
        let axes = prepare(axes, item);
        if axes.iter().any(|axis| axis.length == 0) || jumps.iter().any(Vec::is_empty) {
            return Ok(());
        }
        let size = item.unit();
        let strides = |side: fn(&Axis) -> isize| axes.iter().map(move |axis| (axis.length, side(axis)));
        let inside = within(source.len(), from, size, strides(|axis| axis.from), jumps, |jump| jump.from)
            && within(self.length, to, size, strides(|axis| axis.to), jumps, |jump| jump.to);
        if !inside {
            return Err(Error::corrupt("elements lie outside their buffer"));
        }
        // What lies farther apart in the output is gone through outside of what lies nearer, and the list whose entries
        // lie nearest is the innermost.
        let mut lists: SmallVec<[(usize, &[Jump]); 2]> = jumps.iter().map(|jumps| (gap(jumps), &jumps[..])).collect();
        lists.sort_by_key(|(gap, _)| std::cmp::Reverse(*gap));
        let Some((nearest, last)) = lists.pop() else { return Ok(()) };
        let cut = axes.partition_point(|axis| axis.to.unsigned_abs() > nearest);
        let (outer, inner) = axes.split_at(cut);
        let mut loops: SmallVec<[(usize, Loop<'_>); 4]> =
            outer.iter().map(|axis| (axis.to.unsigned_abs(), Loop::Axis(*axis))).collect();
        loops.extend(lists.into_iter().map(|(gap, jumps)| (gap, Loop::List(jumps))));
        loops.sort_by_key(|(gap, _)| std::cmp::Reverse(*gap));
        let loops: SmallVec<[Loop<'_>; 4]> = loops.into_iter().map(|(_, one)| one).collect();
        // SAFETY: `within` checked the lowest and the highest combination of jumps with every offset that the strides
        // reach, and so all that lie between, on both sides.
        unsafe { copy_each(source.as_ptr().offset(from), self.start.offset(to), &loops, last, inner, item) }
        Ok(())
    }

    /// As [`fill`](Self::fill), for every combination of jumps.
    pub(crate) fn fill_each(&self, to: isize, axes: &[Axis], jumps: &[Vec<Jump>], value: &[u8]) -> Result<()> {
        if jumps.is_empty() {
            return self.fill(to, axes, value);
        }
        let axes: Axes = axes.iter().map(|axis| Axis { from: 0, ..*axis }).collect();
        let still = |jumps: &Vec<Jump>| jumps.iter().map(|jump| Jump { from: 0, ..*jump }).collect();
        let jumps: Jumps = jumps.iter().map(still).collect();
        self.place_each(to, &axes, &jumps, value, 0, Item { size: value.len(), word: 1 })
    }

    /// Calls `visit` for each element of the axes and each combination of jumps with its offset in a source of `length`
    /// bytes and in the buffer; both are checked.
    #[allow(clippy::too_many_arguments)] // both sides of a copy
    pub(crate) fn each(
        &self,
        to: isize,
        axes: &[Axis],
        jumps: &[Vec<Jump>],
        length: usize,
        from: isize,
        size: usize,
        mut visit: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        if axes.iter().any(|axis| axis.length == 0) || jumps.iter().any(Vec::is_empty) {
            return Ok(());
        }
        let strides = |side: fn(&Axis) -> isize| axes.iter().map(move |axis| (axis.length, side(axis)));
        let inside = within(length, from, size, strides(|axis| axis.from), jumps, |jump| jump.from)
            && within(self.length, to, size, strides(|axis| axis.to), jumps, |jump| jump.to);
        if !inside {
            return Err(Error::corrupt("elements lie outside their buffer"));
        }
        let lists = jumps.iter().map(|jumps| Loop::List(jumps));
        let loops: SmallVec<[Loop<'_>; 6]> = lists.chain(axes.iter().map(|axis| Loop::Axis(*axis))).collect();
        let mut result = Ok(());
        walk(&loops, from, to, &mut |from, to| {
            if result.is_ok() {
                result = visit(from.cast_unsigned(), to.cast_unsigned());
            }
        });
        result
    }
}

/// Copies for each combination of the loops and the entries of the last list; `inner` comes from [`prepare`], and
/// nothing is empty.
///
/// # Safety
/// Every offset that is reached must be readable from `source` and writable at `target`.
unsafe fn copy_each(source: *const u8, target: *mut u8, loops: &[Loop<'_>], last: &[Jump], inner: &[Axis], item: Item) {
    let (size, swap) = (item.unit(), item.word > 1);
    // SAFETY: the caller's promise, for each width.
    unsafe {
        match (inner, size, swap) {
            ([], 1, _) => units::<1, false>(source, target, loops, last),
            ([], 2, false) => units::<2, false>(source, target, loops, last),
            ([], 4, false) => units::<4, false>(source, target, loops, last),
            ([], 8, false) => units::<8, false>(source, target, loops, last),
            ([], 16, false) => units::<16, false>(source, target, loops, last),
            ([], 2, true) => units::<2, true>(source, target, loops, last),
            ([], 4, true) => units::<4, true>(source, target, loops, last),
            ([], 8, true) => units::<8, true>(source, target, loops, last),
            _ => walk(loops, 0, 0, &mut |from, to| {
                for jump in last {
                    copy(source.offset(from + jump.from), target.offset(to + jump.to), inner, item);
                }
            }),
        }
    }
}

/// # Safety
/// As for [`copy_each`]; a unit has `N` bytes.
unsafe fn units<const N: usize, const SWAP: bool>(
    source: *const u8,
    target: *mut u8,
    loops: &[Loop<'_>],
    last: &[Jump],
) {
    walk(loops, 0, 0, &mut |from, to| {
        for jump in last {
            // SAFETY: the caller's promise.
            unsafe { unit::<N, SWAP>(source.offset(from + jump.from), target.offset(to + jump.to)) }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jumps(pairs: &[(isize, isize)]) -> Vec<Jump> {
        pairs.iter().map(|(from, to)| Jump { from: *from, to: *to }).collect()
    }

    #[test]
    fn combinations_are_copied_in_order() {
        let source: Vec<u8> = (0..100).collect();
        // Rows 3, 0 and 3 of 10 by 10, of which columns 7, 2, 2, two by two bytes, which are reversed or not.
        let lists = [jumps(&[(30, 0), (0, 12), (30, 24)]), jumps(&[(7, 0), (2, 4), (2, 8)])];
        let pair = [Axis { length: 2, from: 10, to: 2 }];
        for word in [1, 2] {
            let mut found = [0u8; 36];
            let item = Item { size: 2, word };
            // SAFETY: one thread.
            unsafe { Output::share(&mut found) }.place_each(0, &pair, &lists, &source, 0, item).unwrap();
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
        // Of those that go to one place, the last stays.
        let mut found = [0u8; 2];
        let lists = [jumps(&[(5, 1), (6, 0), (7, 1), (9, 0)])];
        // SAFETY: one thread.
        unsafe { Output::share(&mut found) }.place_each(0, &[], &lists, &source, 0, Item { size: 1, word: 1 }).unwrap();
        assert_eq!(found, [9, 7]);
    }

    #[test]
    fn nothing_is_reached_outside() {
        let mut buffer = [0u8; 8];
        // SAFETY: one thread.
        let output = unsafe { Output::share(&mut buffer) };
        let item = Item { size: 2, word: 1 };
        let place = |list: &[(isize, isize)], from| output.place_each(2, &[], &[jumps(list)], &[1; 6], from, item);
        assert!(place(&[(0, 0), (4, 4)], 0).is_ok());
        for wrong in [(0, 5), (0, -3), (5, 0), (-1, 0), (isize::MAX, 0), (0, isize::MIN)] {
            assert!(place(&[(0, 0), wrong], 0).is_err(), "{wrong:?}");
            assert!(output.each(2, &[], &[jumps(&[(0, 0), wrong])], 6, 0, 2, |_, _| Ok(())).is_err(), "{wrong:?}");
        }
        assert!(place(&[], 100).is_ok());
        assert!(output.fill_each(2, &[], &[jumps(&[(0, 0), (9, 5)])], &[7, 7]).is_err());
        output.fill_each(2, &[], &[jumps(&[(0, 0), (9, 4)])], &[7, 8]).unwrap();
        assert_eq!(buffer, [0, 0, 7, 8, 0, 0, 7, 8]);
    }
}
