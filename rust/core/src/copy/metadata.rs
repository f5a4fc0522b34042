//! The metadata of copies: those of the source in either version of Zarr, as far as a copy is not to differ.
//!
//! Zarr V2 has no names of dimensions. What xarray writes in their place, the attribute `_ARRAY_DIMENSIONS`, becomes such
//! names in V3, and they become that: <https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html>

use std::sync::Arc;

use serde_json::{Value, json};

use super::fields::{Conversion, packed};
use crate::array::Array;
use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::Named;
use crate::data_type::Field;
use crate::error::{Place, Result};
use crate::fill_value::FillValue;
use crate::group::Group;
use crate::metadata::{ArrayMetadata, Attributes, GroupMetadata, NewArray, Order, stored_attributes};
use crate::options::global_options;
use crate::runtime::parallel;
use crate::store::Store;

const DIMENSIONS: &str = "_ARRAY_DIMENSIONS";

/// How chunks are encoded.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// As the source's: no other metadata differ either.
    Same,
    /// With the codecs of an array of Zarr V3.
    V3(Vec<Named>),
    /// With what an array of Zarr V2 has, as numcodecs configures it.
    V2 {
        /// The filters.
        filters: Vec<Value>,
        /// The compressor.
        compressor: Option<Value>,
        /// The order of axes.
        order: Order,
    },
}

/// What of a copy may differ.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What the elements of the source are; see [`CopyOptions`](crate::CopyOptions).
    pub elements: Option<Field>,
    /// How chunks are encoded, and with that the version of Zarr.
    pub encoding: Encoding,
    /// How the array is cut; `None`: as the source.
    pub chunk_grid: Option<ChunkGrid>,
    /// The value of elements that are not stored; `None`: that of the source.
    pub fill_value: Option<FillValue>,
}

/// The metadata of a copy of an array.
pub fn copied_metadata(source: &Array, layout: &Layout) -> Result<ArrayMetadata> {
    let make = || {
        let old = source.metadata();
        // Metadata of arrays in ASDF files are made up.
        let zarr_format = if old.document.get("zarr_format").is_some() { old.zarr_format } else { 0 };
        let attributes = as_stored(&**source.store(), source.path(), zarr_format, source.attributes())?;
        let known = layout.elements.as_ref();
        let elements = known.map_or(source.data_type(), |field| &field.data_type);
        let data_type = match layout.encoding {
            Encoding::Same => return Ok(old.with_attributes(attributes)),
            Encoding::V3(_) => packed(elements)?,
            Encoding::V2 { .. } => elements.clone(),
        };
        let conversion = Conversion::new(source.data_type(), known, &data_type)?;
        let fill_value = layout.fill_value.as_ref().unwrap_or(source.fill_value());
        let mut new = NewArray {
            chunk_grid: layout.chunk_grid.clone().unwrap_or_else(|| source.chunk_grid().clone()),
            fill_value: FillValue::new(&*conversion.apply(fill_value.bytes())),
            data_type,
            attributes,
        };
        let mut names = old.dimension_names.clone();
        match &layout.encoding {
            Encoding::Same => Ok(old.clone()),
            Encoding::V3(codecs) => {
                if zarr_format == 2 && names.is_none() {
                    names = take_names(&mut new.attributes, source.dimensionality());
                }
                let default = ChunkKeyEncoding::Default { separator: '/' };
                let encoding = if zarr_format == 3 { old.chunk_key_encoding.clone() } else { default };
                ArrayMetadata::new_v3(&new, &encoding, codecs, names.as_deref())
            }
            Encoding::V2 { filters, compressor, order } => {
                if let Some(names) = names.filter(|names| names.iter().all(Option::is_some)) {
                    new.attributes.entry(DIMENSIONS).or_insert_with(|| json!(names));
                }
                let separator = match old.chunk_key_encoding {
                    ChunkKeyEncoding::V2 { separator } if zarr_format == 2 => separator,
                    _ => '.',
                };
                ArrayMetadata::new_v2_filtered(&new, filters, compressor.as_ref(), *order, separator)
            }
        }
    };
    make().place(|| format!("cannot copy {}", source.name()))
}

/// Stores the metadata of many arrays, on all threads.
pub fn store_metadata(arrays: &[Array]) -> Result<()> {
    parallel(arrays, global_options().concurrency(), Array::store_metadata)
}

/// Stores a copy of a group, without what lies in it.
pub fn copied_group(source: &Group, store: Arc<dyn Store>, path: &str, zarr_format: u8) -> Result<Group> {
    let attributes = as_stored(&**source.store(), source.path(), source.zarr_format(), source.attributes())?;
    let metadata = match zarr_format {
        3 => GroupMetadata::new_v3(attributes),
        _ => GroupMetadata::new_v2(attributes),
    };
    Group::create(store, path, metadata)
}

/// Attributes as they are stored, with all numbers that JSON does not have; those that are known, where no metadata are
/// stored, as in the blocks of an ASDF file.
fn as_stored(store: &dyn Store, path: &str, zarr_format: u8, known: &Attributes) -> Result<Attributes> {
    let stored = if zarr_format == 0 { Ok(None) } else { stored_attributes(store, path, zarr_format) };
    // A store of references may take any key for that of a chunk.
    let stored = if store.profile().refers { stored.unwrap_or(None) } else { stored? };
    Ok(stored.unwrap_or_else(|| known.clone()))
}

fn take_names(attributes: &mut Attributes, rank: usize) -> Option<Vec<Option<String>>> {
    let names = attributes.get(DIMENSIONS)?.as_array()?;
    let names: Option<Vec<_>> = names.iter().map(|name| Some(Some(name.as_str()?.to_owned()))).collect();
    let names = names.filter(|names| names.len() == rank)?;
    attributes.shift_remove(DIMENSIONS);
    Some(names)
}
