//! Writing some fields of structured elements.

use super::{Array, InputBuffer, WriteSession};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::selection::Selection;
use crate::write::Cut;

impl Array {
    /// Stores some fields of the elements of a selection. The other fields keep their stored bytes, or get those of the
    /// fill value. An element of the input has the named fields in this order, without padding.
    ///
    /// Chunks are changed in part, so writers of one chunk wait for each other; see
    /// [`store_array_subset`](Self::store_array_subset).
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if a field does not exist or is named twice.
    pub fn store_fields_from(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()> {
        let cuts = selection.check(self.shape()).and_then(|()| cuts(self.data_type(), fields));
        self.store_from(selection, input, &cuts.place(|| self.name())?)
    }
}

impl WriteSession {
    /// Stages some fields, as [`Array::store_fields_from`]. Incomplete chunks are read before they are stored.
    pub fn store_fields_from(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()> {
        let cuts = selection.check(&self.shape()).and_then(|()| cuts(self.base.data_type(), fields));
        self.store_from(selection, input, &cuts.place(|| self.base.name())?)
    }
}

/// Returns the offsets of fields in a stored element and in an element of the input.
fn cuts(data_type: &DataType, names: &[&str]) -> Result<Vec<Cut>> {
    let (mut cuts, mut from) = (Vec::with_capacity(names.len()), 0);
    for (number, name) in names.iter().enumerate() {
        let Some(field) = data_type.fields().iter().find(|field| field.name == *name) else {
            let names: Vec<_> = data_type.fields().iter().map(|field| format!("{:?}", field.name)).collect();
            let existing = if names.is_empty() { "no fields".to_owned() } else { names.join(", ") };
            return Err(Error::selection(format!("there is no field {name:?}; the elements have {existing}")));
        };
        if names[..number].contains(name) {
            return Err(Error::selection(format!("field {name:?} is named twice")));
        }
        cuts.push(Cut { to: field.offset, from, size: field.size() });
        from += field.size();
    }
    if cuts.is_empty() {
        return Err(Error::selection("no fields are given"));
    }
    Ok(cuts)
}
