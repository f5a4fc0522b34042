//! Metadata of copies, in either version of Zarr.
//!
//! Zarr V2 has no dimension names; xarray stores them in the attribute `_ARRAY_DIMENSIONS`. Copies translate between
//! that attribute and the dimension names of V3: <https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html>

use std::sync::Arc;

use serde_json::json;

use super::fields::{Conversion, packed};
use crate::array::{Array, ArrayBuilder};
use crate::data_type::Field;
use crate::error::{Place, Result};
use crate::fill_value::FillValue;
use crate::group::Group;
use crate::metadata::{Attributes, GroupMetadata, stored_attributes};
use crate::options::global_options;
use crate::runtime::parallel;
use crate::store::Store;

const DIMENSIONS: &str = "_ARRAY_DIMENSIONS";

/// Returns a builder of a copy of an array, with the currently stored attributes. Its version of Zarr defaults to that
/// of the source, or to V3 for ASDF arrays that are not Zarr's.
///
/// `elements` describes the elements of the source as in [`CopyOptions`](crate::CopyOptions). `fill_value` is in the
/// form of these elements and defaults to the source's fill value.
pub fn copied(
    source: &Array,
    zarr_format: Option<u8>,
    elements: Option<&Field>,
    fill_value: Option<&FillValue>,
) -> Result<ArrayBuilder> {
    let make = || {
        let old = source.metadata();
        // Arrays in ASDF files have made-up metadata.
        let is_zarr = old.document.get("zarr_format").is_some();
        let from = if is_zarr { old.zarr_format } else { 0 };
        let to = zarr_format.unwrap_or(if is_zarr { from } else { 3 });
        let mut attributes = as_stored(&**source.store(), source.path(), from, source.attributes())?;
        let mut builder = source.builder();
        builder.zarr_format(to);
        let known = elements.map_or(source.data_type(), |field| &field.data_type);
        let data_type = if to == 3 { packed(known)? } else { known.clone() };
        if data_type != *source.data_type() || fill_value.is_some() {
            let conversion = Conversion::new(source.data_type(), elements, &data_type)?;
            let fill_value = fill_value.unwrap_or(source.fill_value());
            builder.fill_value(FillValue::new(&*conversion.apply(fill_value.bytes()))).data_type(data_type);
        }
        match (&old.dimension_names, to) {
            (None, 3) if from == 2 => {
                if let Some(names) = take_names(&mut attributes, source.dimensionality()) {
                    builder.dimension_names(names.iter().map(String::as_str));
                }
            }
            (Some(names), 2) => {
                builder.without_dimension_names();
                if names.iter().all(Option::is_some) {
                    attributes.entry(DIMENSIONS).or_insert_with(|| json!(names));
                }
            }
            _ => {}
        }
        builder.attributes(attributes);
        Ok(builder)
    };
    make().place(|| format!("cannot copy {}", source.name()))
}

/// Stores the metadata of many arrays, on all threads.
pub fn store_metadata(arrays: &[Array]) -> Result<()> {
    parallel(arrays, global_options().concurrency(), Array::store_metadata)
}

/// Stores a copy of a group without its members.
pub fn copied_group(source: &Group, store: Arc<dyn Store>, path: &str, zarr_format: u8) -> Result<Group> {
    let attributes = as_stored(&**source.store(), source.path(), source.zarr_format(), source.attributes())?;
    let metadata = match zarr_format {
        3 => GroupMetadata::new_v3(attributes),
        _ => GroupMetadata::new_v2(attributes),
    };
    Group::create(store, path, metadata)
}

/// Returns the stored attributes with literal numbers, which JSON may lack; the known attributes if no metadata are
/// stored, as in the blocks of an ASDF file.
fn as_stored(store: &dyn Store, path: &str, zarr_format: u8, known: &Attributes) -> Result<Attributes> {
    let stored = if zarr_format == 0 { Ok(None) } else { stored_attributes(store, path, zarr_format) };
    // A reference store may treat any key as that of a chunk.
    let stored = if store.profile().refers { stored.unwrap_or(None) } else { stored? };
    Ok(stored.unwrap_or_else(|| known.clone()))
}

fn take_names(attributes: &mut Attributes, rank: usize) -> Option<Vec<String>> {
    let names = attributes.get(DIMENSIONS)?.as_array()?;
    let names: Option<Vec<_>> = names.iter().map(|name| Some(name.as_str()?.to_owned())).collect();
    let names = names.filter(|names| names.len() == rank)?;
    attributes.shift_remove(DIMENSIONS);
    Some(names)
}
