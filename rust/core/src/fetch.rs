//! Decides which bytes of an object are read together.

use std::borrow::Cow;
use std::ops::Range;

use crate::codec::chain::Elements;
use crate::plan::Region;
use crate::view::{Axes, Axis, Item, Jump, Jumps, odometer};

/// One read of plain elements: a byte range, and how its elements are placed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Offset in the object, in bytes.
    pub(crate) offset: u64,
    /// Number of bytes.
    pub(crate) length: u64,
    /// Offset of the first element in the span.
    pub(crate) from: isize,
    /// Offset of the first element in the output.
    pub(crate) to: isize,
    /// Further offsets of elements without regular spacing.
    pub(crate) jumps: Jumps,
    /// Length of the first axis, if the span is shorter than the others.
    pub(crate) first: Option<usize>,
}

impl Span {
    /// Returns the axes of this span, from those of all spans.
    pub(crate) fn axes<'a>(&self, all: &'a Axes) -> Cow<'a, [Axis]> {
        let mut axes = Cow::Borrowed(&all[..]);
        if let Some(first) = self.first
            && let Some(axis) = axes.to_mut().first_mut()
        {
            axis.length = first;
        }
        axes
    }
}

/// Byte ranges that one read covers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Indices of the ranges.
    pub(crate) parts: Range<usize>,
}

/// Maximum size of a read straight into the output, in bytes.
const STRAIGHT: u64 = 64 << 20;

/// Listed elements with a smaller average distance, in bytes, are read at once: a read costs about as much as such a
/// gap.
const SPARSE: u64 = 4 << 10;

/// Maximum size of a read of listed elements at once, in bytes.
const WHOLE: u64 = 256 << 20;

/// Returns the reads of a region of plain elements, and their axes. Rows with gaps of at most `gap` bytes are read
/// together. Reads have at most `largest` bytes, so that elements are placed while they are in the CPU's cache.
pub(crate) fn spans(elements: &Elements, region: &Region, gap: u64, largest: u64) -> (Vec<Span>, Axes) {
    if !region.lists.is_empty() {
        return listed_spans(elements, region, gap, largest);
    }
    let (from, mut axes) = region.axes(&elements.strides);
    let from = from + elements.offset as isize;
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.from.unsigned_abs()));
    if axes.iter().any(|axis| axis.length == 0) {
        return (Vec::new(), axes);
    }
    // From the innermost axis outwards, as many axes as fit into one read.
    let mut extent = elements.item.size as u64;
    let mut inner = axes.len();
    // Number of steps of the next axis that one read takes.
    let mut part = 1;
    for (k, axis) in axes.iter().enumerate().rev() {
        let step = axis.from.unsigned_abs() as u64;
        let reach = (axis.length as u64 - 1).saturating_mul(step).saturating_add(extent);
        if axis.length > 1 {
            let straight = run_of(&axes[k..], elements.item).is_some_and(|run| run as u64 == reach);
            let largest = if straight { largest.max(STRAIGHT) } else { largest };
            if step.saturating_sub(extent) > gap {
                break;
            }
            if reach > largest.max(extent) {
                part = largest.saturating_sub(extent) / step.max(1) + 1;
                break;
            }
        }
        (extent, inner) = (reach, k);
    }
    let (outer, inner) = axes.split_at(inner);
    // With negative strides, the first element is not at the lowest offset.
    let back: isize = inner.iter().map(|axis| (axis.length as isize - 1) * axis.from.min(0)).sum();
    let jumps = Jumps::new;
    let (Some((cut, outer)), 2..) = (outer.split_last(), part) else {
        let mut spans = Vec::with_capacity(outer.iter().map(|axis| axis.length).product());
        odometer(outer, |source, to| {
            let (offset, to) = ((from + source + back) as u64, region.origin + to);
            spans.push(Span { offset, length: extent, from: -back, to, jumps: jumps(), first: None });
        });
        return (spans, Axes::from_slice(inner));
    };
    let part = usize::try_from(part).unwrap_or(usize::MAX).min(cut.length);
    let mut spans = Vec::new();
    odometer(outer, |source, to| {
        for start in (0..cut.length).step_by(part) {
            let count = part.min(cut.length - start);
            let back = back + (count as isize - 1) * cut.from.min(0);
            let offset = (from + source + start as isize * cut.from + back) as u64;
            let length = (count as u64 - 1) * cut.from.unsigned_abs() as u64 + extent;
            let to = region.origin + to + start as isize * cut.to;
            let first = (count < part).then_some(count);
            spans.push(Span { offset, length, from: -back, to, jumps: jumps(), first });
        }
    });
    let mut axes = Axes::from_slice(&[Axis { length: part, ..*cut }]);
    axes.extend_from_slice(inner);
    (spans, axes)
}

/// Does the same for a region with lists: one read of all elements, or reads of the wanted runs.
fn listed_spans(elements: &Elements, region: &Region, gap: u64, largest: u64) -> (Vec<Span>, Axes) {
    let (from, mut axes) = region.axes(&elements.strides);
    let from = from + elements.offset as isize;
    if region.elements() == 0 {
        return (Vec::new(), axes);
    }
    let all = axes.clone();
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.from.unsigned_abs()));
    let mut extent = elements.item.size as u64;
    let mut inner = axes.len();
    for (k, axis) in axes.iter().enumerate().rev() {
        if axis.length > 1 && axis.from.unsigned_abs() as u64 != extent {
            break;
        }
        (extent, inner) = (extent.saturating_mul(axis.length as u64), k);
    }
    let jumps = region.jumps(&elements.strides);
    let runs = axes[..inner].iter().map(|axis| axis.length).chain(jumps.iter().map(Vec::len));
    let runs = runs.fold(1, |runs: u64, length| runs.saturating_mul(length as u64));
    if elements.size <= WHOLE && runs.saturating_mul(gap.max(SPARSE).max(extent)) >= elements.size {
        let span = Span { offset: 0, length: elements.size, from, to: region.origin, jumps, first: None };
        return (vec![span], all);
    }
    let (outer, inner) = axes.split_at(inner);
    let back: isize = inner.iter().map(|axis| (axis.length as isize - 1) * axis.from.min(0)).sum();
    let mut runs = vec![Jump { from: from + back, to: region.origin }];
    let axis = |axis: &Axis| -> Vec<Jump> {
        (0..axis.length as isize).map(|k| Jump { from: k * axis.from, to: k * axis.to }).collect()
    };
    for more in jumps.into_iter().chain(outer.iter().map(axis)) {
        let mut all = Vec::with_capacity(runs.len().saturating_mul(more.len()));
        for run in &runs {
            all.extend(more.iter().map(|jump| Jump { from: run.from + jump.from, to: run.to + jump.to }));
        }
        runs = all;
    }
    runs.sort_by_key(|run| run.from);
    let together = merge(runs.iter().map(|run| (run.from as u64, extent)), gap, largest.max(extent));
    let span = |Merged { offset, length, parts }| {
        let inside = |run: &Jump| Jump { from: run.from - offset as isize, to: run.to };
        let jumps: Vec<Jump> = runs[parts].iter().map(inside).collect();
        match jumps[..] {
            [Jump { from, to }] => Span { offset, length, from: from - back, to, jumps: Jumps::new(), first: None },
            _ => Span { offset, length, from: -back, to: 0, jumps: Jumps::from_iter([jumps]), first: None },
        }
    };
    let inner = Axes::from_slice(inner);
    (together.into_iter().map(span).collect(), inner)
}

/// Returns the length of the axes in bytes if they are contiguous on both sides.
pub(crate) fn run_of(axes: &[Axis], item: Item) -> Option<usize> {
    let mut sorted: Axes = axes.iter().copied().filter(|axis| axis.length != 1).collect();
    sorted.sort_by_key(|axis| axis.to.unsigned_abs());
    let mut run = item.size;
    for axis in sorted {
        if axis.from != run as isize || axis.to != run as isize {
            return None;
        }
        run = run.checked_mul(axis.length)?;
    }
    Some(run)
}

/// Merges ranges (offset, length), sorted by offset, into reads of at most `largest` bytes, across gaps of at most `gap`.
pub(crate) fn merge(ranges: impl IntoIterator<Item = (u64, u64)>, gap: u64, largest: u64) -> Vec<Merged> {
    let mut reads: Vec<Merged> = Vec::new();
    for (k, (offset, length)) in ranges.into_iter().enumerate() {
        let end = offset.saturating_add(length);
        if let Some(read) = reads.last_mut() {
            let read_end = read.offset + read.length;
            if offset <= read_end.saturating_add(gap) && end.max(read_end) - read.offset <= largest {
                read.length = end.max(read_end) - read.offset;
                read.parts.end = k + 1;
                continue;
            }
        }
        reads.push(Merged { offset, length, parts: k..k + 1 });
    }
    reads
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;
    use crate::plan::Run;

    const LARGEST: u64 = 1 << 20;

    #[test]
    fn near_ranges_become_one_read() {
        let merged = merge([(0, 10), (10, 10), (25, 5), (100, 50), (120, 10)], 5, 1000);
        let first = Merged { offset: 0, length: 30, parts: 0..3 };
        assert_eq!(merged, [first, Merged { offset: 100, length: 50, parts: 3..5 }]);
        assert_eq!(merge([(0, 10), (10, 10)], 5, 15).len(), 2);
        assert_eq!(merge([], 5, 15), []);
    }

    #[test]
    fn rows_are_read_one_by_one_or_together() {
        let elements =
            Elements { size: 800, offset: 0, strides: SmallVec::from_slice(&[80, 8]), item: Item { size: 8, word: 1 } };
        let rows = Run { start: 2, step: 1, length: 3, stride: 16 };
        let columns = Run { start: 5, step: -1, length: 2, stride: 8 };
        let region = Region { runs: SmallVec::from_slice(&[rows, columns]), lists: SmallVec::new(), origin: 0 };
        let (found, axes) = spans(&elements, &region, 0, LARGEST);
        assert_eq!(
            found.iter().map(|span| (span.offset, span.length)).collect::<Vec<_>>(),
            [(192, 16), (272, 16), (352, 16)]
        );
        assert_eq!((found[1].from, found[1].to, axes.len()), (8, 16, 1));
        let (found, axes) = spans(&elements, &region, 64, LARGEST);
        assert_eq!(found, [Span { offset: 192, length: 176, from: 8, to: 0, jumps: Jumps::new(), first: None }]);
        assert_eq!(axes.len(), 2);
    }

    #[test]
    fn long_axes_are_read_in_large_parts() {
        let size = 100 << 20;
        let elements =
            Elements { size, offset: 0, strides: SmallVec::from_slice(&[4]), item: Item { size: 4, word: 1 } };
        for (step, stride, parts, largest) in [(1i64, 4, 2, STRAIGHT), (2, 4, 100, LARGEST), (-1, 4, 100, LARGEST)] {
            let length = (size / 4 / step.unsigned_abs()) as usize;
            let start = if step < 0 { length as u64 - 1 } else { 0 };
            let run = Run { start, step, length: length as _, stride };
            let region = Region { runs: SmallVec::from_slice(&[run]), lists: SmallVec::new(), origin: 0 };
            let (found, axes) = spans(&elements, &region, 64, LARGEST);
            assert!((parts..parts + 2).contains(&found.len()), "{step}: {}", found.len());
            assert!(found.iter().all(|span| span.length <= largest));
            let places: usize = found.iter().map(|span| span.axes(&axes)[0].length).sum();
            assert_eq!(places, length);
            for span in &found {
                let source = span.offset as isize + span.from;
                assert_eq!((source / 4 - start as isize) / step as isize, span.to / 4, "{step}");
            }
        }
    }
}
