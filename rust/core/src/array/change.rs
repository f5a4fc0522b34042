//! Changes of what an array is: its attributes and its shape.

use super::{Array, InputBuffer};
use crate::error::{Error, Place, Result};
use crate::metadata::{AttributesChange, change_attributes, change_shape, lock_node};
use crate::runtime::parallel_map;
use crate::store::keys_below;
use crate::subset::{ArraySubset, Dims, tuple};

impl Array {
    /// Changes the stored attributes, and returns the array with all that there are then.
    pub fn change_attributes(&self, change: &AttributesChange) -> Result<Self> {
        let metadata = self.metadata();
        let attributes = change_attributes(&**self.store(), self.path(), metadata.zarr_format, change)?;
        self.with_metadata(metadata.with_attributes(attributes))
    }

    /// Changes the stored shape to another of the same rank, and returns the array of that shape.
    ///
    /// Chunks of which no element is left are erased; others stay as they are, so that what lay past the new end of
    /// such a chunk is there again when the array grows.
    pub fn resize(&self, shape: &[u64]) -> Result<Self> {
        if shape.len() != self.dimensionality() {
            let message = format!("an array of {} dimensions cannot have the shape", self.dimensionality());
            return Err(Error::selection(format!("{message} {}", tuple(shape))).at(self.name()));
        }
        let _guard = lock_node(&**self.store(), self.path()).place(|| self.name())?;
        let stored = self.reopen()?;
        let resized = stored.with_shape(shape)?;
        if stored.chunk_grid_shape().iter().zip(&resized.chunk_grid_shape()).any(|(old, new)| new < old) {
            resized.erase_outside()?;
        }
        change_shape(&**self.store(), self.path(), resized.metadata()).place(|| self.name())?;
        Ok(resized)
    }

    /// Writes elements of a shape behind the end of an axis, as far as the array is stored by now; returns the array with
    /// them.
    ///
    /// The elements are stored first, and the new shape last: whoever opens the array sees the old or the new one, and
    /// where elements cannot be stored the array stays what it was. Of several who append, each gets a place of its own:
    /// threads wait for each other, and processes where the store can make them.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) where there is no such axis, or the elements are
    /// of another length along the other axes.
    pub fn append_from(&self, shape: &[u64], axis: usize, input: InputBuffer<'_>) -> Result<Self> {
        let _guard = lock_node(&**self.store(), self.path()).place(|| self.name())?;
        let stored = self.reopen()?;
        let old = Dims::from(stored.shape());
        let fits = |(at, (length, due)): (usize, (&u64, &u64))| at == axis || length == due;
        if axis >= old.len() || shape.len() != old.len() || !shape.iter().zip(&old).enumerate().all(fits) {
            let (shape, old) = (tuple(shape), tuple(&old));
            let message = format!("elements of shape {shape} do not fit behind axis {axis} of shape {old}");
            return Err(Error::selection(message).at(self.name()));
        }
        let (mut start, mut longer) = (Dims::from_elem(0, old.len()), old.clone());
        start[axis] = old[axis];
        longer[axis] = old[axis]
            .checked_add(shape[axis])
            .ok_or_else(|| Error::selection("an array of more than 2^64 elements along an axis").at(self.name()))?;
        let grown = stored.with_shape(&longer)?;
        let store = || {
            if !shape.contains(&0) {
                grown.store_subset_from(&ArraySubset::new_with_start_shape(&start, shape)?, input)?;
            }
            change_shape(&**self.store(), self.path(), grown.metadata()).place(|| self.name())
        };
        if let Err(error) = store() {
            // What was stored behind the end belongs to nobody; the error is why it is there.
            let _ = stored.erase_outside();
            return Err(error);
        }
        Ok(grown)
    }

    /// Erases the chunks that are stored outside the grid.
    pub fn erase_outside(&self) -> Result<()> {
        let counts = self.chunk_grid_shape();
        let encoding = &self.metadata().chunk_key_encoding;
        let outside = |key: &String| {
            let below = if self.path().is_empty() { key } else { key.strip_prefix(self.path())?.strip_prefix('/')? };
            let chunk = encoding.read(below, counts.len())?;
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
    use crate::store::{MemoryStore, Store};
    use crate::subset::ArraySubset;

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
        assert_eq!(large, [7, 7, 0, 7, 7, 0, 7, 7, 0, 7, 7, 0]);
        assert_eq!(array.resize(&[4]).unwrap_err().kind(), ErrorKind::InvalidSelection);
    }

    #[test]
    fn all_who_append_have_a_place() {
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
