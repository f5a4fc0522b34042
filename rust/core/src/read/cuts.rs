//! A region split at the borders of windows of decoded bytes.
//!
//! The elements have strides in a sequence of bytes, which arrives in windows, in any order and on any thread. An
//! element that straddles windows is assembled from its parts and placed after all windows.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};

use crate::codec::chain::Elements;
use crate::error::Result;
use crate::fetch::run_of;
use crate::plan::Region;
use crate::runtime::lock;
use crate::view::{Axes, Axis, Item, Output};

/// A region of elements with strides in decoded bytes.
pub(super) struct Cuts {
    /// The axes longer than 1, largest stride first. No stride of the source is negative.
    axes: Axes,
    /// `reach[k]`: bytes from the first element to the end of the last along the axes from `k` on.
    reach: Vec<i64>,
    /// Offset of the first element, in the source and in the output.
    first: (i64, isize),
    is_empty: bool,
    item: Item,
}

type Visit<'v> = dyn FnMut(Cut) -> ControlFlow<Result<()>> + 'v;

/// Elements of a region in a window, with the offset of the first in the source and in the output.
enum Cut {
    /// All elements of some axes.
    Inside(Axes, i64, isize),
    /// One element that straddles the borders of the window.
    Straddling(i64, isize),
}

impl Cuts {
    pub(super) fn new(elements: &Elements, region: &Region) -> Self {
        let (from, axes) = region.axes(&elements.strides);
        let mut first = (from as i64 + elements.offset as i64, region.origin);
        let is_empty = axes.iter().any(|axis| axis.length == 0);
        let mut kept = Axes::new();
        for mut axis in axes.into_iter().filter(|axis| axis.length > 1) {
            if axis.from < 0 {
                let last = axis.length as isize - 1;
                first.0 += (last * axis.from) as i64;
                first.1 += last * axis.to;
                (axis.from, axis.to) = (-axis.from, -axis.to);
            }
            kept.push(axis);
        }
        kept.sort_by_key(|axis| std::cmp::Reverse(axis.from));
        // Axes that continue each other become one.
        let mut axes: Axes = Axes::new();
        for axis in kept {
            match axes.last_mut() {
                Some(outer) if continues(*outer, axis) => {
                    *outer = Axis { length: outer.length * axis.length, ..axis };
                }
                _ => axes.push(axis),
            }
        }
        let item = elements.item;
        let mut reach = vec![item.size as i64; axes.len() + 1];
        for (k, axis) in axes.iter().enumerate().rev() {
            reach[k] = reach[k + 1] + (axis.length as i64 - 1) * axis.from as i64;
        }
        Self { axes, reach, first, is_empty, item }
    }

    /// Returns the range of decoded bytes from the first wanted element to the last.
    pub(super) fn extent(&self) -> Range<u64> {
        let start = self.first.0.max(0) as u64;
        if self.is_empty { 0..0 } else { start..start + self.reach[0] as u64 }
    }

    /// Returns whether a window has bytes of any element.
    pub(super) fn touch(&self, window: &Range<u64>) -> bool {
        self.cut(window, &mut |_| ControlFlow::Break(Ok(()))).is_break()
    }

    /// Returns the offset of a window in the output if all of the window is wanted and contiguous there.
    pub(super) fn all_of(&self, window: &Range<u64>) -> Option<isize> {
        let mut found = None;
        let more = self.cut(window, &mut |cut| match cut {
            Cut::Inside(axes, from, to) if found.is_none() && from == window.start as i64 => {
                found = run_of(&axes, self.item).filter(|run| *run as u64 == window.end - window.start).map(|_| to);
                if found.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(Ok(())) }
            }
            _ => ControlFlow::Break(Ok(())),
        });
        found.filter(|_| more.is_continue())
    }

    /// Places the wanted elements of a window. Keeps the bytes of elements that straddle windows.
    pub(super) fn place(
        &self,
        window: &Range<u64>,
        decoded: &[u8],
        output: &Output<'_>,
        straddling: &Straddling,
    ) -> Result<()> {
        let (start, end) = (window.start as i64, window.end as i64);
        let placed = self.cut(window, &mut |cut| {
            let placed = match cut {
                Cut::Inside(axes, from, to) => output.place(to, &axes, decoded, (from - start) as isize, self.item),
                Cut::Straddling(from, to) => {
                    let part = from.max(start)..(from + self.item.size as i64).min(end);
                    let bytes = &decoded[(part.start - start) as usize..(part.end - start) as usize];
                    straddling.keep(to, self.item.size, (part.start - from) as usize, bytes);
                    Ok(())
                }
            };
            if placed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(placed) }
        });
        placed.break_value().unwrap_or(Ok(()))
    }

    /// Calls `visit` for the elements that have bytes in a window.
    fn cut(&self, window: &Range<u64>, visit: &mut Visit<'_>) -> ControlFlow<Result<()>> {
        if self.is_empty {
            return ControlFlow::Continue(());
        }
        self.cut_axis(0, self.first, (window.start as i64, window.end as i64), visit)
    }

    fn cut_axis(
        &self,
        k: usize,
        (from, to): (i64, isize),
        (start, end): (i64, i64),
        visit: &mut Visit<'_>,
    ) -> ControlFlow<Result<()>> {
        let reach = self.reach[k];
        if from >= end || from + reach <= start {
            return ControlFlow::Continue(());
        }
        if from >= start && from + reach <= end {
            return visit(Cut::Inside(Axes::from_slice(&self.axes[k..]), from, to));
        }
        let Some(axis) = self.axes.get(k) else { return visit(Cut::Straddling(from, to)) };
        let (stride, inner, length) = (axis.from as i64, self.reach[k + 1], axis.length as i64);
        let at = |index: i64| (from + index * stride, to + index as isize * axis.to);
        if stride == 0 {
            return (0..length).try_for_each(|index| self.cut_axis(k + 1, at(index), (start, end), visit));
        }
        // Positions that touch the window, and those that are inside it.
        let first = ((start - inner - from).div_euclid(stride) + 1).max(0);
        let last = (end - from - 1).div_euclid(stride).min(length - 1);
        let first_inside = (start - from + stride - 1).div_euclid(stride).max(first);
        let last_inside = (end - inner - from).div_euclid(stride).min(last);
        let cut_one = |index: i64, visit: &mut Visit<'_>| self.cut_axis(k + 1, at(index), (start, end), visit);
        if first_inside > last_inside {
            return (first..=last).try_for_each(|index| cut_one(index, visit));
        }
        (first..first_inside).try_for_each(|index| cut_one(index, visit))?;
        let mut axes = Axes::from_slice(&self.axes[k..]);
        axes[0].length = (last_inside - first_inside + 1) as usize;
        let (from, to) = at(first_inside);
        visit(Cut::Inside(axes, from, to))?;
        (last_inside + 1..=last).try_for_each(|index| cut_one(index, visit))
    }
}

/// Returns whether the positions of two axes are evenly spaced on both sides.
fn continues(outer: Axis, inner: Axis) -> bool {
    let length = inner.length as isize;
    inner.from.checked_mul(length) == Some(outer.from) && inner.to.checked_mul(length) == Some(outer.to)
}

/// The bytes of elements that straddle windows, by their offset in the output.
#[derive(Default)]
pub(super) struct Straddling(Mutex<BTreeMap<isize, Vec<u8>>>);

impl Straddling {
    fn keep(&self, to: isize, size: usize, at: usize, bytes: &[u8]) {
        let mut elements = lock(&self.0);
        elements.entry(to).or_insert_with(|| vec![0; size])[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Places the elements. Called after all windows.
    pub(super) fn place(self, output: &Output<'_>, item: Item) -> Result<()> {
        let elements = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        elements.into_iter().try_for_each(|(to, bytes)| output.place(to, &[], &bytes, 0, item))
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;
    use crate::plan::Run;

    /// Elements read window by window from 997 bytes equal elements read at once.
    #[allow(clippy::type_complexity)] // a table of cases
    #[test]
    fn windows_give_the_same_as_one_read() {
        let source: Vec<u8> = (0..997u32).map(|i| (i * 7 % 251) as u8).collect();
        let cases: &[(usize, &[i64], u64, &[(u64, i64, u64)])] = &[
            (4, &[40, 4], 0, &[(0, 1, 20), (0, 1, 10)]),
            (4, &[40, 4], 3, &[(2, 3, 5), (8, -2, 4)]),
            (4, &[4, 40], 1, &[(0, 1, 10), (19, -1, 20)]),
            (5, &[-15, 5], 900, &[(0, 1, 30), (0, 1, 3)]),
            (3, &[3], 0, &[(0, 1, 332)]),
            (8, &[0, 8], 5, &[(0, 1, 4), (0, 2, 9)]),
            (4, &[2, 6], 0, &[(0, 1, 50), (0, 1, 50)]),
            (60, &[120, 60, 0], 7, &[(0, 1, 4), (0, 1, 2), (0, 1, 2)]),
            (2, &[], 11, &[]),
            (2, &[2, 2], 11, &[(0, 1, 0), (1, 1, 4)]),
        ];
        for (size, strides, offset, runs) in cases {
            let item = Item { size: *size, word: 1 };
            let elements = Elements { size: 997, offset: *offset, strides: SmallVec::from_slice(strides), item };
            let mut stride = *size as isize;
            let mut region = Region { runs: SmallVec::new(), origin: 0, lists: SmallVec::new() };
            for (start, step, length) in runs.iter().rev() {
                region.runs.insert(0, Run { start: *start, step: *step, length: *length, stride });
                stride *= *length as isize;
            }
            let length = stride as usize;
            let (mut expected, mut found) = (vec![0; length], vec![0; length]);
            let (from, axes) = region.axes(&elements.strides);
            // SAFETY: one thread.
            let output = unsafe { Output::share(&mut expected) };
            output.place(0, &axes, &source, from + *offset as isize, item).unwrap();
            for step in [1, 2, 3, 7, 64, 100, 997] {
                let cuts = Cuts::new(&elements, &region);
                let straddling = Straddling::default();
                found.fill(0);
                // SAFETY: one thread.
                let output = unsafe { Output::share(&mut found) };
                for start in (0..997u64).step_by(step) {
                    let window = start..(start + step as u64).min(997);
                    let bytes = &source[window.start as usize..window.end as usize];
                    if !cuts.touch(&window) {
                        continue;
                    }
                    assert!(cuts.extent().start < window.end && window.start < cuts.extent().end);
                    match cuts.all_of(&window) {
                        Some(to) => output.place(to, &[], bytes, 0, Item { size: bytes.len(), word: 1 }).unwrap(),
                        None => cuts.place(&window, bytes, &output, &straddling).unwrap(),
                    }
                }
                straddling.place(&output, item).unwrap();
                assert!(found == expected, "{size} {strides:?} {runs:?}, windows of {step}");
            }
        }
    }
}
