//! Copies of elements at listed offsets: a strided copy for each combination of the entries of some lists.

use smallvec::SmallVec;

use super::strided::{Axis, Item, copy, unit};

/// The offset of an entry of a list, on both sides, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    pub(crate) from: isize,
    pub(crate) to: isize,
}

/// The entries of each list. Every combination is copied; of several with the same target, the last wins.
pub(crate) type Jumps = SmallVec<[Vec<Jump>; 1]>;

/// One of several nested loops, outermost first.
pub(super) enum Loop<'a> {
    Axis(Axis),
    List(&'a [Jump]),
}

/// Calls `visit` with both offsets of all combinations.
pub(super) fn walk(loops: &[Loop<'_>], from: isize, to: isize, visit: &mut impl FnMut(isize, isize)) {
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

/// Calls `visit` with both offsets of every combination of jumps.
pub(crate) fn combinations(jumps: &[Vec<Jump>], mut visit: impl FnMut(isize, isize)) {
    let loops: SmallVec<[Loop<'_>; 2]> = jumps.iter().map(|jumps| Loop::List(jumps)).collect();
    walk(&loops, 0, 0, &mut visit);
}

/// Returns the lowest and the highest offset of jumps, which must not be empty, on one side.
pub(super) fn extremes(jumps: &[Jump], side: impl Fn(&Jump) -> isize) -> (isize, isize) {
    jumps.iter().map(side).fold((isize::MAX, isize::MIN), |(low, high), offset| (low.min(offset), high.max(offset)))
}

/// Returns the smallest distance of consecutive entries in the output.
pub(super) fn smallest_distance(jumps: &[Jump]) -> usize {
    let distances = jumps.windows(2).map(|pair| pair[1].to.abs_diff(pair[0].to)).filter(|distance| *distance > 0);
    distances.min().unwrap_or(usize::MAX)
}

/// Copies the `inner` axes for each combination of the loops and of the entries of the last list. `inner` comes from
/// [`prepare`](super::strided::prepare), and nothing is empty.
///
/// # Safety
/// Every offset that the copy reaches must be readable from `source` and writable at `target`.
pub(super) unsafe fn copy_each(
    source: *const u8,
    target: *mut u8,
    loops: &[Loop<'_>],
    last: &[Jump],
    inner: &[Axis],
    item: Item,
) {
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
