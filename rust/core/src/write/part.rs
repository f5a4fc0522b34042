//! Layers: the regions of a chunk that are written, with their elements.

use smallvec::SmallVec;

use super::bits::Bits;
use crate::buffer::to_usize;
use crate::codec::chain::{Chain, Elements};
use crate::error::Result;
use crate::fetch::run_of;
use crate::plan::{Region, Run};
use crate::subset::{Dims, product};
use crate::view::{Axes, Axis, Item, Output, Transfer, c_strides, combinations, odometer};

/// A region of a chunk and its new elements.
#[derive(Clone)]
pub(crate) struct Layer<'a> {
    /// The region of the chunk; its output side gives the offsets in `bytes`.
    pub(crate) region: Region,
    pub(crate) bytes: &'a [u8],
    /// Which elements of `bytes` are written; `None`: all. With a mask, elements are contiguous and the region has no
    /// lists.
    pub(crate) mask: Option<&'a Bits>,
    /// The bytes of each element that are written; if empty, all.
    pub(crate) cuts: &'a [Cut],
}

/// A range of an element's bytes, such as a field of a struct: offset in a stored element, offset in a given element,
/// and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) to: usize,
    pub(crate) from: usize,
    pub(crate) size: usize,
}

/// Layers of new data over a chunk; later layers win.
pub(crate) struct Part<'a> {
    pub(crate) layers: SmallVec<[Layer<'a>; 1]>,
    /// The bytes of elements of variable length.
    pub(crate) heap: &'a [u8],
    /// The chunk shape clipped to the array.
    pub(crate) inside: Dims,
    /// Whether the layers are known to cover `inside`.
    pub(crate) covering: bool,
}

impl<'a> Layer<'a> {
    /// Creates a layer over a whole chunk from `bytes` in C order.
    pub(crate) fn whole(shape: &[u64], size: usize, bytes: &'a [u8]) -> Self {
        let strides = c_strides(shape, size);
        let run = |(length, stride): (&u64, &isize)| Run { start: 0, step: 1, length: *length, stride: *stride };
        let runs = shape.iter().zip(&strides).map(run).collect();
        Self { region: Region { runs, lists: SmallVec::new(), origin: 0 }, bytes, mask: None, cuts: &[] }
    }

    fn with(&self, region: Region) -> Self {
        Self { region, ..self.clone() }
    }

    /// Calls `visit` for each run of written elements, with its offset in the chunk (by `strides`), its offset in
    /// `bytes`, its length and its strides.
    pub(super) fn each_run(
        &self,
        strides: &[i64],
        size: usize,
        mut visit: impl FnMut(isize, isize, Axis) -> Result<()>,
    ) -> Result<()> {
        let (first, mut axes) = self.region.axes(strides);
        if axes.iter().any(|axis| axis.length == 0) {
            return Ok(());
        }
        // As in a read, `from` is the chunk's side. The mask runs along the axis that is contiguous in `bytes`.
        let inner = axes.iter().rposition(|axis| axis.to == size as isize).or(axes.len().checked_sub(1));
        let run = inner.map_or(Axis { length: 1, from: 0, to: size as isize }, |inner| axes.remove(inner));
        let mut result = Ok(());
        let mut visit = |to: isize, from: isize, first: usize, length: usize| {
            if result.is_ok() {
                let first = first as isize;
                let axis = Axis { length, from: run.to, to: run.from };
                result = visit(to + first * run.from, from + first * run.to, axis);
            }
        };
        combinations(&self.region.jumps(strides), |chunk, bytes| {
            let (to, from) = (first + chunk, self.region.origin + bytes);
            odometer(&axes, |chunk, bytes| {
                let (to, from) = (to + chunk, from + bytes);
                let Some(mask) = self.mask else { return visit(to, from, 0, run.length) };
                let bit = |offset: isize| offset.cast_unsigned() / size;
                if run.to == size as isize {
                    let start = bit(from);
                    mask.runs(start, run.length).for_each(|(first, count)| visit(to, from, first - start, count));
                } else {
                    let there = |k: &usize| mask.count(bit(from + *k as isize * run.to), 1) > 0;
                    (0..run.length).filter(there).for_each(|k| visit(to, from, k, 1));
                }
            });
        });
        result
    }

    /// Adds the written elements to a bit set over a shape; returns how many are new.
    pub(super) fn mark(&self, shape: &[u64], size: usize, bits: &mut Bits) -> Result<u64> {
        let strides: Dims<i64> = c_strides(shape, 1).iter().map(|stride| *stride as i64).collect();
        let mut new = 0;
        self.each_run(&strides, size, |to, _, axis| {
            new += match axis.to {
                1 => bits.set(to.cast_unsigned(), axis.length),
                step => (0..axis.length as isize).map(|k| bits.set((to + k * step).cast_unsigned(), 1)).sum(),
            };
            Ok(())
        })?;
        Ok(new)
    }

    /// Whether the layer is known to write every element of a shape, all bytes of each.
    fn covers(&self, shape: &[u64]) -> bool {
        self.mask.is_none() && self.cuts.is_empty() && self.region.covers(shape)
    }

    /// Whether the layer writes nothing.
    fn is_empty(&self, shape: &[u64], size: usize) -> bool {
        let mut empty = true;
        let strides: Dims<i64> = c_strides(shape, 1).iter().map(|stride| *stride as i64).collect();
        let seen = self.each_run(&strides, size, |_, _, axis| {
            empty &= axis.length == 0;
            Ok(())
        });
        seen.is_ok() && empty
    }

    /// Copies the layer into a chunk's elements.
    pub(super) fn place(&self, layout: &Elements, elements: &mut [u8]) -> Result<()> {
        if self.cuts.is_empty() {
            return self.place_cut(Cut { to: 0, from: 0, size: layout.item.size }, layout, elements);
        }
        self.cuts.iter().try_for_each(|cut| self.place_cut(*cut, layout, elements))
    }

    fn place_cut(&self, cut: Cut, layout: &Elements, elements: &mut [u8]) -> Result<()> {
        // SAFETY: one thread writes, and `elements` is borrowed mutably, so the input cannot overlap it.
        let output = unsafe { Output::share(elements) };
        let item = Item { size: cut.size, ..layout.item };
        let (offset, start) = ((layout.offset as usize + cut.to) as isize, cut.from as isize);
        if self.mask.is_some() {
            return self.each_run(&layout.strides, layout.item.size, |to, from, axis| {
                output.place(to + offset, &[axis], self.bytes, from + start, item)
            });
        }
        // As in a read, with source and target exchanged.
        let (to, mut axes) = self.region.axes(&layout.strides);
        for axis in &mut axes {
            std::mem::swap(&mut axis.from, &mut axis.to);
        }
        let mut jumps = self.region.jumps(&layout.strides);
        for jump in jumps.iter_mut().flatten() {
            std::mem::swap(&mut jump.from, &mut jump.to);
        }
        let (from, to) = (self.region.origin + start, to + offset);
        output.place_each(Transfer { from, to, axes: &axes, jumps: &jumps }, self.bytes, item)
    }
}

/// Clips a region to an exclusive end on each axis.
pub(super) fn clipped(region: &Region, end: &[u64]) -> Region {
    let mut clipped = region.clone();
    for list in &mut clipped.lists {
        list.clip(end);
    }
    for (axis, end) in end.iter().enumerate() {
        let run = clipped.runs[axis];
        let step = run.step.unsigned_abs().max(1);
        let (first, length) = if run.step >= 0 {
            (0, end.saturating_sub(run.start).div_ceil(step).min(run.length))
        } else {
            let first = (run.start + 1).saturating_sub(*end).div_ceil(step).min(run.length);
            (first, run.length - first)
        };
        if (first, length) != (0, run.length) {
            clipped = clipped.narrowed(axis, first, length);
        }
    }
    clipped
}

impl<'a> Part<'a> {
    /// Creates a part of one layer that covers a chunk.
    pub(super) fn whole(layer: Layer<'a>, shape: &[u64]) -> Self {
        Self { layers: SmallVec::from_iter([layer]), heap: &[], inside: shape.into(), covering: true }
    }

    /// Whether no stored element is needed. Padding at the array's end does not count, unless the chunk is all padding.
    pub(super) fn covers(&self, chain: &Chain) -> Result<bool> {
        let inside = if self.inside.contains(&0) { chain.shape() } else { &self.inside };
        if self.covering || self.layers.iter().any(|layer| layer.covers(inside)) {
            return Ok(true);
        }
        let wanted = product(inside).unwrap_or(u64::MAX);
        let whole = || self.layers.iter().filter(|layer| layer.cuts.is_empty());
        let most = whole().fold(0, |most: u64, layer| most.saturating_add(layer.region.elements()));
        if most < wanted || (self.layers.len() == 1 && self.layers[0].mask.is_none()) {
            return Ok(false);
        }
        let (mut bits, mut covered) = (Bits::new(wanted)?, 0);
        for layer in whole() {
            let layer = layer.with(clipped(&layer.region, inside));
            covered += layer.mark(inside, chain.data_type().size(), &mut bits)?;
        }
        Ok(covered == wanted)
    }

    /// Whether one layer covers the padding too.
    fn covers_padding(&self, shape: &[u64]) -> bool {
        self.layers.iter().any(|layer| layer.covers(shape))
    }

    pub(super) fn permuted(&self, order: &[usize]) -> Self {
        Self {
            layers: self.layers.iter().map(|layer| layer.with(layer.region.permuted(order))).collect(),
            inside: order.iter().map(|axis| self.inside[*axis]).collect(),
            ..*self
        }
    }

    /// Splits the layers at the inner chunks of a shard; returns the inner chunks that they touch, in no particular
    /// order.
    pub(super) fn split(&self, grid: &crate::chunk_grid::ChunkGrid, inner: &Chain) -> Vec<(Dims, Self)> {
        let mut parts: Vec<(Dims, Self)> = Vec::new();
        let mut found = std::collections::HashMap::new();
        for layer in &self.layers {
            for (index, region) in layer.region.split(grid) {
                let layer = layer.with(region);
                if layer.mask.is_some() && layer.is_empty(inner.shape(), inner.data_type().size()) {
                    continue;
                }
                // A single layer has each inner chunk at most once.
                if self.layers.len() > 1 {
                    if let Some(at) = found.get(&index) {
                        let (_, part): &mut (Dims, Self) = &mut parts[*at];
                        part.layers.push(layer);
                        continue;
                    }
                    found.insert(index.clone(), parts.len());
                }
                let lengths = inner.shape().iter().zip(&index).zip(&self.inside);
                let inside = lengths.map(|((length, i), end)| end.saturating_sub(i * length).min(*length)).collect();
                let layers = SmallVec::from_iter([layer]);
                parts.push((index, Self { layers, heap: self.heap, inside, covering: self.covering }));
            }
        }
        parts
    }

    /// Returns the input bytes if they are exactly the chunk's elements as they are stored.
    pub(super) fn stored_input(&self, layout: &Elements, shape: &[u64]) -> Option<&'a [u8]> {
        let [layer] = &self.layers[..] else { return None };
        if layer.mask.is_some() || !layer.cuts.is_empty() || layout.item.word > 1 || !layer.region.is_whole(shape) {
            return None;
        }
        let (from, axes) = layer.region.axes(&layout.strides);
        let size = to_usize(layout.size).ok()?;
        if from != 0 || layout.offset != 0 || run_of(&axes, layout.item) != Some(size) {
            return None;
        }
        let start = usize::try_from(layer.region.origin).ok()?;
        layer.bytes.get(start..start.checked_add(size)?)
    }

    /// Copies the layers into the elements of a chunk without stored elements; all others get the fill value.
    pub(super) fn place_alone(&self, layout: &Elements, shape: &[u64], fill: &[u8], elements: &mut [u8]) -> Result<()> {
        if !self.covers_padding(shape) {
            let axis = |(length, to): (&u64, &i64)| Axis { length: *length as usize, from: 0, to: *to as isize };
            let axes: Axes = shape.iter().zip(&layout.strides).map(axis).collect();
            // SAFETY: one thread.
            unsafe { Output::share(elements) }.fill(layout.offset as isize, &axes, fill)?;
        }
        self.place(layout, elements)
    }

    /// Copies the layers into the elements of a chunk.
    pub(super) fn place(&self, layout: &Elements, elements: &mut [u8]) -> Result<()> {
        self.layers.iter().try_for_each(|layer| layer.place(layout, elements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, step: i64, length: u64) -> Run {
        Run { start, step, length, stride: 0 }
    }

    #[test]
    fn regions_are_clipped_at_an_end() {
        for (given, end, first, length) in [
            (run(0, 1, 8), 5, 0, 5),
            (run(3, 4, 4), 8, 0, 2),
            (run(3, 4, 4), 7, 0, 1),
            (run(3, 4, 4), 3, 0, 0),
            (run(9, -3, 4), 6, 2, 2),
            (run(9, -3, 4), 7, 1, 3),
            (run(9, -3, 4), 10, 0, 4),
            (run(9, -3, 3), 3, 3, 0),
        ] {
            let region = Region { runs: SmallVec::from_slice(&[given]), lists: SmallVec::new(), origin: 0 };
            let expected =
                if (first, length) == (0, given.length) { region.clone() } else { region.narrowed(0, first, length) };
            assert_eq!(clipped(&region, &[end]), expected, "{given:?} at {end}");
        }
    }
}
