//! Writing fields of structs, and nothing of the others.

use super::{Array, InputBuffer, WriteSession};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::selection::Selection;
use crate::write::Cut;

impl Array {
    /// Stores some fields of the elements of a selection; the others stay as they are stored, or have the fill value's
    /// bytes. In the input the fields of an element lie one behind the other, in the order of their names here and
    /// without gaps, each as it lies in an element.
    ///
    /// As chunks are changed in part, writers of one chunk wait for each other, and none loses what another wrote; see
    /// [`store_array_subset`](Self::store_array_subset).
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) where there is no such field, or one comes twice.
    pub fn store_fields_from(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()> {
        let cuts = selection.check(self.shape()).and_then(|()| cuts(self.data_type(), fields));
        self.store_from(selection, input, &cuts.place(|| self.name())?)
    }
}

impl WriteSession {
    /// As [`Array::store_fields_from`]. Chunks of which only fields are given are read before they are stored.
    pub fn store_fields_from(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()> {
        let cuts = selection.check(&self.shape()).and_then(|()| cuts(self.base.data_type(), fields));
        self.store_from(selection, input, &cuts.place(|| self.base.name())?)
    }
}

/// Where fields belong in an element, and where they lie in what is given of one.
fn cuts(data_type: &DataType, names: &[&str]) -> Result<Vec<Cut>> {
    let (mut cuts, mut from) = (Vec::with_capacity(names.len()), 0);
    for (number, name) in names.iter().enumerate() {
        let Some(field) = data_type.fields().iter().find(|field| field.name == *name) else {
            let names: Vec<_> = data_type.fields().iter().map(|field| format!("{:?}", field.name)).collect();
            let there = if names.is_empty() { "no fields".to_owned() } else { names.join(", ") };
            return Err(Error::selection(format!("there is no field {name:?}; the elements have {there}")));
        };
        if names[..number].contains(name) {
            return Err(Error::selection(format!("field {name:?} comes twice")));
        }
        cuts.push(Cut { to: field.offset, from, size: field.size() });
        from += field.size();
    }
    if cuts.is_empty() {
        return Err(Error::selection("no field is named"));
    }
    Ok(cuts)
}
