//! `transpose`: changes the order of the axes. It only changes the strides with which decoded elements are copied.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/transpose/index.html>
//!
//! ```json
//! {"name": "transpose", "configuration": {"order": [1, 0, 2]}}
//! ```

use serde::Deserialize;

use crate::codec::{Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransposeConfiguration {
    order: Vec<usize>,
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let TransposeConfiguration { order } = configure(configuration)?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.iter().enumerate().any(|(expected, axis)| expected != *axis) {
        return Err(Error::metadata(format!("order {order:?} is not a permutation")));
    }
    Ok(Codec::Transpose(order))
}
