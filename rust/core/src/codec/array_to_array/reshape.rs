//! `reshape`: gives the elements another shape; their C order stays the same, so no bytes move.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/reshape>
//!
//! ```json
//! {"name": "reshape", "configuration": {"shape": [[0, 1], [2], -1]}}
//! ```
//!
//! Each entry of the shape is a length, a list of axes of the decoded chunk whose lengths are multiplied, or -1 for the
//! remaining length, at most once.

use serde::Deserialize;

use crate::codec::{Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::subset::{Dims, product, tuple};

/// The shape that `reshape` gives a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape(Vec<Length>);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Length {
    Elements(u64),
    Axes(Vec<usize>),
    Rest(i64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReshapeConfiguration {
    shape: Vec<Length>,
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let ReshapeConfiguration { shape } = configure(configuration)?;
    let rest = shape.iter().filter(|length| matches!(length, Length::Rest(_))).count();
    if rest > 1 || shape.iter().any(|length| matches!(length, Length::Rest(number) if *number != -1)) {
        return Err(Error::metadata("shape must consist of lengths, lists of axes, and at most one -1"));
    }
    Ok(Codec::Reshape(Reshape(shape)))
}

impl Reshape {
    /// Returns the new shape of a chunk.
    pub(crate) fn of(&self, shape: &[u64]) -> Result<Dims> {
        let refused = |why: &str| Error::metadata(format!("chunks of shape {} {why}", tuple(shape)));
        let total = product(shape).ok_or_else(|| refused("are too large"))?;
        let mut found = Dims::new();
        for length in &self.0 {
            found.push(match length {
                Length::Elements(length) => *length,
                Length::Rest(_) => 1,
                Length::Axes(axes) => {
                    let lengths: Option<Dims> = axes.iter().map(|axis| shape.get(*axis).copied()).collect();
                    let lengths = lengths.ok_or_else(|| refused("do not have all of these axes"))?;
                    product(&lengths).ok_or_else(|| refused("are too large"))?
                }
            });
        }
        let others = product(&found).ok_or_else(|| refused("cannot have the new shape"))?;
        if let Some(rest) = self.0.iter().position(|length| matches!(length, Length::Rest(_))) {
            found[rest] = total.checked_div(others).unwrap_or(0);
        }
        if product(&found) != Some(total) {
            return Err(refused(&format!("have {total} elements, not those of shape {}", tuple(&found))));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reshaped(text: &str, shape: &[u64]) -> Result<Vec<u64>> {
        match create(&serde_json::from_str(text).unwrap(), &DataType::from_name("uint8").unwrap())? {
            Codec::Reshape(reshape) => reshape.of(shape).map(|shape| shape.to_vec()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_are_lengths_axes_and_the_rest() {
        for (text, shape) in [
            (r#"{"shape": [[0, 1], 4]}"#, vec![6, 4]),
            (r#"{"shape": [[0], -1]}"#, vec![2, 12]),
            (r#"{"shape": [-1]}"#, vec![24]),
            (r#"{"shape": [1, [0, 1], [], [2]]}"#, vec![1, 6, 1, 4]),
        ] {
            assert_eq!(reshaped(text, &[2, 3, 4]).unwrap(), shape, "{text}");
        }
        for text in [
            r#"{"shape": [5, -1]}"#,
            r#"{"shape": [-1, -1]}"#,
            r#"{"shape": [-2]}"#,
            r#"{"shape": [[3], -1]}"#,
            r#"{"shape": [25]}"#,
            r#"{"shape": [0, -1]}"#,
            r#"{"shape": 24}"#,
            "{}",
        ] {
            assert!(reshaped(text, &[2, 3, 4]).is_err(), "{text}");
        }
        assert_eq!(reshaped(r#"{"shape": []}"#, &[]).unwrap(), [0u64; 0]);
    }
}
