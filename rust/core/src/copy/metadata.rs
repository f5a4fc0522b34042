//! Metadata of copies, in either version of Zarr. Between the versions, [`conventions`] are translated.

use std::sync::Arc;

use super::conventions;
use super::fields::{Conversion, packed};
use crate::array::{Array, ArrayBuilder};
use crate::data_type::Field;
use crate::error::{Place, Result};
use crate::fill_value::FillValue;
use crate::group::Group;
use crate::metadata::{Attributes, GroupMetadata, refresh_consolidated, stored_attributes, write_files};
use crate::options::global_options;
use crate::runtime::parallel;
use crate::store::Store;

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
        match (from, to) {
            (2, 3) => {
                if let Some(names) = conventions::take_names(old, &mut attributes) {
                    builder.dimension_names(names.iter().map(Option::as_deref));
                    conventions::put_missing(old, &mut attributes);
                }
            }
            (3 | 0, 2) => {
                if conventions::has_names(old) && fill_value.is_none() {
                    match conventions::take_missing(old, &mut attributes) {
                        Some(missing) => drop(builder.fill_value(missing)),
                        None if conventions::is_harmless(source.fill_value(), source.data_type()) => {}
                        None => drop(builder.without_fill_value()),
                    }
                }
                builder.without_dimension_names();
                conventions::put_names(old, &mut attributes);
            }
            _ => {}
        }
        builder.attributes(attributes);
        Ok(builder)
    };
    make().place(|| format!("cannot copy {}", source.name()))
}

/// Stores the metadata of many arrays of one store, on all threads.
pub fn store_metadata(arrays: &[Array]) -> Result<()> {
    let write = |array: &Array| write_files(&**array.store(), array.path(), &array.metadata().files());
    parallel(arrays, global_options().concurrency(), |array| write(array).place(|| array.name().to_owned()))?;
    let paths: Vec<_> = arrays.iter().map(|array| array.path().to_owned()).collect();
    arrays.first().map_or(Ok(()), |array| refresh_consolidated(&**array.store(), &paths, None))
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
