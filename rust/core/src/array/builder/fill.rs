//! The fill value of a new array, in the forms that callers may use.

use serde_json::Value;

use crate::array::Element;
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::fill_value::FillValue;
use crate::metadata::{fill_value_from_json, fill_value_to_json};

/// A fill value: an [`Element`], text, JSON as in the metadata of Zarr V3, or the bytes of a [`FillValue`].
#[derive(Clone, Debug)]
pub struct NewFillValue(Given);

#[derive(Clone, Debug)]
enum Given {
    Zero,
    Bytes(FillValue),
    /// An element of the data type with this name.
    Element(&'static str, FillValue),
    Json(Value),
}

impl<E: Element> From<E> for NewFillValue {
    fn from(element: E) -> Self {
        Self(Given::Element(E::DATA_TYPE, FillValue::new(E::bytes(&[element]))))
    }
}

impl From<FillValue> for NewFillValue {
    fn from(fill_value: FillValue) -> Self {
        Self(Given::Bytes(fill_value))
    }
}

impl From<&str> for NewFillValue {
    fn from(text: &str) -> Self {
        Self(Given::Json(text.into()))
    }
}

impl From<Value> for NewFillValue {
    fn from(value: Value) -> Self {
        Self(Given::Json(value))
    }
}

impl NewFillValue {
    pub(super) fn zero() -> Self {
        Self(Given::Zero)
    }

    /// Returns the fill value of an array of a data type. A number of another type is converted; it must be
    /// representable.
    pub(super) fn of(&self, data_type: &DataType) -> Result<FillValue> {
        match &self.0 {
            Given::Zero => Ok(FillValue::zero(data_type)),
            Given::Bytes(value) if value.bytes().len() == data_type.size() || data_type.is_variable() => {
                Ok(value.clone())
            }
            Given::Bytes(value) => Err(Error::metadata(format!(
                "{} bytes are given for {data_type}, which has {}",
                value.bytes().len(),
                data_type.size()
            ))),
            Given::Element(name, value) if *name == data_type.name() => Ok(value.clone()),
            Given::Element(name, value) => {
                fill_value_from_json(&fill_value_to_json(value, &DataType::from_name(name)?), data_type)
            }
            Given::Json(value) => fill_value_from_json(value, data_type),
        }
    }
}
