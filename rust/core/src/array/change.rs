//! Changes of attributes and shape, and appends.

use super::{Array, InputBuffer};
use crate::error::{Error, Place, Result};
use crate::metadata::{AttributesChange, change_attributes, change_shape, lock_node, refresh_consolidated, revision};
use crate::runtime::parallel_map;
use crate::slot::Slot;
use crate::store::{Exclusion, keys_below};
use crate::subset::{ArraySubset, Dims, tuple};

impl Array {
    /// Changes the stored attributes under the metadata lock; returns the array with all attributes as stored
    /// afterwards.
    pub fn change_attributes(&self, change: &AttributesChange) -> Result<Self> {
        let (store, path, zarr_format) = (&**self.store(), self.path(), self.metadata().zarr_format);
        let _guard = lock_node(store, path)?;
        change_attributes(store, path, zarr_format, change)?;
        refresh_consolidated(store, &[path.to_owned()], Some(zarr_format))?;
        Ok(self.reopen()?.changed())
    }

    /// Returns the array with the next revision. The metadata must be locked.
    fn changed(self) -> Self {
        Self { revision: revision(), ..self }
    }

    /// Changes the stored shape to another of the same rank under the metadata lock; returns the array with that shape.
    ///
    /// Chunks outside the new shape are erased. Chunks at its edge are not changed until the array grows: new elements
    /// have the fill value, also those where an earlier shape or a killed writer left others.
    pub fn resize(&self, shape: &[u64]) -> Result<Self> {
        if shape.len() != self.dimensionality() {
            let message = format!("cannot resize an array of {} dimensions to", self.dimensionality());
            return Err(Error::selection(format!("{message} {}", tuple(shape))).at(self.name()));
        }
        let _guard = lock_node(&**self.store(), self.path()).place(|| self.name())?;
        loop {
            let stored = self.reopen()?;
            let resized = stored.with_shape(shape)?;
            if stored.chunk_grid_shape().iter().zip(&resized.chunk_grid_shape()).any(|(old, new)| new < old) {
                resized.erase_outside()?;
            }
            if stored.shape().iter().zip(shape).any(|(old, new)| new > old) {
                resized.clear_beyond(&stored)?;
            }
            if stored.store_shape_of(&resized)? {
                return Ok(resized.changed());
            }
        }
    }

    /// Stores the shape of `other`; returns false if the stored shape is no longer that of `self`.
    fn store_shape_of(&self, other: &Self) -> Result<bool> {
        change_shape(&**self.store(), self.path(), other.metadata(), self.shape()).place(|| self.name())
    }

    /// Appends elements of a shape along an axis to the array as it is stored now; returns the array with its new
    /// shape.
    ///
    /// The elements are stored first and the new shape last: readers see the old array or the new one, and if elements
    /// cannot be stored, the array keeps its shape. Concurrent appends do not overlap, because each holds the metadata
    /// lock for the whole call.
    ///
    /// If the store compares versions instead of locking, the new shape is stored first, which reserves the region:
    /// readers find the fill value until the elements are stored.
    pub fn append_from(&self, shape: &[u64], axis: usize, input: InputBuffer<'_>) -> Result<Self> {
        if axis >= self.dimensionality() {
            let message = format!("axis {axis} does not exist; the array has {} dimensions", self.dimensionality());
            return Err(Error::selection(message).at(self.name()));
        }
        let _guard = lock_node(&**self.store(), self.path()).place(|| self.name())?;
        let shape_first = self.store().exclusion() == Exclusion::Versions;
        let (stored, grown) = loop {
            let stored = self.reopen()?;
            let grown = stored.grown(shape, axis, input)?;
            if !shape_first || stored.store_shape_of(&grown)? {
                break (stored, grown);
            }
        };
        let store = || {
            grown.store_from_position(axis, stored.shape()[axis], input)?;
            if !shape_first && !stored.store_shape_of(&grown)? {
                let message =
                    format!("another writer changed the shape from {} during an append", tuple(stored.shape()));
                return Err(Error::selection(message).at(self.name()));
            }
            Ok(())
        };
        if let Err(error) = store() {
            // An error of the cleanup must not hide the first one.
            let _ = if shape_first { grown.undo_growth(&stored, axis) } else { grown.erase_new(&stored, axis) };
            return Err(error);
        }
        Ok(grown.changed())
    }

    /// Returns the array grown along an axis by elements of a shape, if the other axes fit.
    fn grown(&self, shape: &[u64], axis: usize, input: InputBuffer<'_>) -> Result<Self> {
        let mut length = Dims::from(self.shape());
        length[axis] = shape.get(axis).copied().unwrap_or_default();
        if *length != *shape || input.strides.len() != shape.len() {
            return Err(Error::selection(format!(
                "cannot append elements of shape {} along axis {axis} of an array of shape {}",
                tuple(shape),
                tuple(self.shape())
            ))
            .at(self.name()));
        }
        length[axis] = self.shape()[axis].checked_add(shape[axis]).ok_or_else(|| {
            Error::selection(format!("axis {axis} would have more than 2^64 elements")).at(self.name())
        })?;
        self.with_shape(&length)
    }

    /// Erases the chunks that a failed append added: they would reappear if the array grew again.
    fn erase_new(&self, stored: &Self, axis: usize) -> Result<()> {
        let mut first = Dims::from_elem(0, self.dimensionality());
        first[axis] = stored.chunk_grid_shape()[axis];
        self.erase_chunks(&ArraySubset::new_with_start_end_exc(&first, &self.chunk_grid_shape())?)
    }

    /// Fills the region of a failed append, and stores the old shape unless another writer has appended since.
    fn undo_growth(&self, stored: &Self, axis: usize) -> Result<()> {
        let mut start = Dims::from_elem(0, self.dimensionality());
        start[axis] = stored.shape()[axis];
        let filled = self.fill_subset(&ArraySubset::new_with_start_end_exc(&start, self.shape())?);
        // If storing failed, filling most likely fails too.
        self.store_shape_of(stored).and(filled)
    }

    /// Stores the fill value in a subset, which may reach into the padding of the last chunks.
    pub(super) fn fill_subset(&self, subset: &ArraySubset) -> Result<()> {
        let slot = [0; Slot::SIZE];
        let bytes = if self.data_type().is_variable() { &slot[..] } else { self.fill_value().bytes() };
        let strides = vec![0; self.dimensionality()];
        self.store_subset_from(subset, InputBuffer { bytes, origin: 0, strides: &strides, heap: &[] })
    }

    /// Stores the elements from a position of an axis onwards. Chunks that begin before the position contain old
    /// elements; they are changed last, when nothing else can fail.
    fn store_from_position(&self, axis: usize, from: u64, input: InputBuffer<'_>) -> Result<()> {
        let end = self.shape()[axis];
        let (_, start, length) = self.chunk_grid().locate(axis, from);
        let middle = if start < from { start.saturating_add(length).min(end) } else { from };
        let part = |first: u64, end: u64| {
            let (mut start, mut shape) = (Dims::from_elem(0, self.dimensionality()), Dims::from(self.shape()));
            (start[axis], shape[axis]) = (first, end - first);
            let origin = input.origin + (first - from) as isize * input.strides[axis];
            ArraySubset::new_with_start_shape(&start, &shape).map(|subset| (subset, InputBuffer { origin, ..input }))
        };
        let parts = [part(middle, end)?, part(from, middle)?];
        let parts = parts.iter().filter(|(subset, _)| !subset.is_empty());
        parts.clone().try_for_each(|(subset, input)| self.check_exclusion(subset, *input))?;
        parts.clone().try_for_each(|(subset, input)| self.store_subset_from(subset, *input))
    }

    /// Erases stored chunks outside the chunk grid.
    pub fn erase_outside(&self) -> Result<()> {
        let counts = self.chunk_grid_shape();
        let outside = |key: &String| {
            let chunk = self.chunk_of_key(key)?;
            chunk.iter().zip(&counts).any(|(index, count)| index >= count).then_some(())
        };
        let mut keys = keys_below(&**self.store(), self.path()).place(|| self.name())?;
        keys.retain(|key| outside(key).is_some());
        parallel_map(&keys, self.options().concurrency(), |key| self.store().erase(key)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ErrorKind;
    use crate::metadata::ArrayMetadata;
    use crate::store::{MemoryStore, WritableStore};

    const DOCUMENT: &str = r#"{"zarr_format": 3, "node_type": "array", "shape": [4, 4], "data_type": "uint8",
        "fill_value": 0, "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}},
        "chunk_key_encoding": "default", "codecs": ["bytes"], "attributes": {"nan": NaN}}"#;

    fn array() -> (Arc<MemoryStore>, Array) {
        let store = Arc::new(MemoryStore::new());
        store.set("a/zarr.json", DOCUMENT.as_bytes()).unwrap();
        store.set("a/c/notes", b"not a chunk").unwrap();
        let array = Array::open(store.clone(), "a").unwrap();
        array.store_array_subset(&ArraySubset::new_with_shape(&[4, 4]), &[7u8; 16][..]).unwrap();
        (store, array)
    }

    fn text(store: &MemoryStore) -> String {
        String::from_utf8(crate::store::get(store, "a/zarr.json", 1 << 20).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_shape_changes() {
        let (store, array) = array();
        let small = array.resize(&[3, 2]).unwrap();
        assert_eq!((small.shape(), array.shape()), (&[3, 2][..], &[4, 4][..]));
        assert_eq!(keys_below(&*store, "a/c").unwrap(), ["a/c/0/0", "a/c/1/0", "a/c/notes"]);
        assert!(text(&store).contains("NaN,") || text(&store).contains("NaN\n"), "{}", text(&store));
        assert_eq!(array.reopen().unwrap().shape(), [3, 2]);
        let large: Vec<u8> =
            small.resize(&[4, 3]).unwrap().retrieve_array_subset(&ArraySubset::new_with_shape(&[4, 3])).unwrap();
        assert_eq!(large, [7, 7, 0, 7, 7, 0, 7, 7, 0, 0, 0, 0]);
        assert_eq!(array.resize(&[4]).unwrap_err().kind(), ErrorKind::InvalidSelection);
    }

    #[test]
    fn appends_are_whole_or_nothing() {
        let (store, array) = array();
        let rows = |count: usize, value: u8| (vec![value; count * 4], [count as u64, 4]);
        let append = |count, value| {
            let (bytes, shape) = rows(count, value);
            array.append_from(&shape, 0, InputBuffer { bytes: &bytes, origin: 0, strides: &[4, 1], heap: &[] })
        };
        assert_eq!(append(1, 1).unwrap().shape(), [5, 4]);
        assert_eq!(append(4, 2).unwrap().shape(), [9, 4]);
        assert_eq!(append(0, 0).unwrap().shape(), [9, 4]);
        let found: Vec<u8> =
            array.reopen().unwrap().retrieve_array_subset(&ArraySubset::new_with_shape(&[9, 4])).unwrap();
        assert_eq!(found, [[7; 16].as_slice(), &[1; 4], &[2; 16]].concat());
        for (shape, axis) in [(vec![1, 5], 0), (vec![4], 0), (vec![1, 4], 2), (vec![1, 4], 1)] {
            let input = InputBuffer { bytes: &[0; 64], origin: 0, strides: &[4, 1][..shape.len()], heap: &[] };
            assert_eq!(array.append_from(&shape, axis, input).unwrap_err().kind(), ErrorKind::InvalidSelection);
        }
        // The memory is too short, so storing fails.
        let before = keys_below(&*store, "a").unwrap();
        let short = InputBuffer { bytes: &[9; 10], origin: 0, strides: &[4, 1], heap: &[] };
        assert!(array.append_from(&[6, 4], 0, short).is_err());
        assert_eq!(keys_below(&*store, "a").unwrap(), before);
        assert_eq!(array.reopen().unwrap().shape(), [9, 4]);
        std::thread::scope(|scope| {
            for value in 10..18 {
                let append = &append;
                scope.spawn(move || (0..5).for_each(|_| drop(append(3, value).unwrap())));
            }
        });
        let all = array.reopen().unwrap();
        let found: Vec<u8> = all.retrieve_array_subset(&all.subset_all()).unwrap();
        assert_eq!(all.shape(), [9 + 8 * 15, 4]);
        let mut rows: Vec<_> = found[9 * 4..].chunks(12).collect();
        rows.sort_unstable();
        assert_eq!(rows.concat(), (10..18).flat_map(|value| [value; 60]).collect::<Vec<u8>>());
    }

    #[test]
    fn concurrent_appends_do_not_overlap() {
        let (store, array) = array();
        std::thread::scope(|scope| {
            for number in 0..8u8 {
                let array = &array;
                scope.spawn(move || {
                    let row = [number; 4];
                    let input = InputBuffer { bytes: &row, origin: 0, strides: &[4, 1], heap: &[] };
                    array.append_from(&[1, 4], 0, input).unwrap();
                });
            }
        });
        let grown = array.reopen().unwrap();
        assert_eq!(grown.shape(), [12, 4]);
        let found: Vec<u8> = grown.retrieve_array_subset(&ArraySubset::new_with_shape(&[12, 4])).unwrap();
        let mut rows: Vec<_> = found.chunks(4).skip(4).map(|row| (row[0], row.iter().all(|e| *e == row[0]))).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..8).map(|number| (number, true)).collect::<Vec<_>>());
        for (shape, axis) in [(&[1, 3][..], 0), (&[1, 4], 2), (&[4], 0)] {
            let input = InputBuffer { bytes: &[0; 4], origin: 0, strides: &[1; 2][..shape.len()], heap: &[] };
            assert_eq!(array.append_from(shape, axis, input).unwrap_err().kind(), ErrorKind::InvalidSelection);
        }
        assert_eq!(keys_below(&*store, "a/c").unwrap().len(), 13);
    }

    #[test]
    fn attributes_change() {
        let (store, array) = array();
        let mut change = AttributesChange::default();
        change.set.insert("unit".into(), "Jy".into());
        let changed = array.change_attributes(&change).unwrap();
        assert_eq!((array.attributes().len(), changed.attributes().len()), (1, 2));
        assert_eq!(changed.metadata().document["attributes"]["unit"], "Jy");
        assert!(text(&store).contains("\"nan\": NaN"), "{}", text(&store));
        let again = ArrayMetadata::from_v3(changed.metadata().document.clone()).unwrap();
        assert_eq!(&again.attributes, changed.attributes());
        change.remove.push("nan".into());
        assert_eq!(array.change_attributes(&change).unwrap().attributes().len(), 1);
        change.clear = true;
        change.set.clear();
        assert!(array.change_attributes(&change).unwrap().attributes().is_empty());
        store.erase("a/zarr.json").unwrap();
        assert_eq!(array.change_attributes(&change).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
