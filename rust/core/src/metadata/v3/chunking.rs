//! JSON forms of chunk grids and chunk key encodings in Zarr V3.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/chunk-grids/index.html>,
//! <https://github.com/zarr-developers/zarr-extensions/tree/main/chunk-grids/rectilinear> and
//! <https://zarr-specs.readthedocs.io/en/latest/v3/chunk-key-encodings/index.html>

use serde_json::{Value, json};

use super::data_type::refuse_others;
use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::{ChunkKeyEncoding, check_suffix};
use crate::codec::{Named, parse_named};
use crate::error::{Error, Place, Result};
use crate::json::{lengths, list, read, show, string};

/// Maximum number of listed chunk lengths, over all axes: run-length encoding lets a few bytes list any number.
const MAX_LENGTHS: u64 = 1 << 24;

pub(super) fn chunk_grid_from_json(value: &Value, shape: &[u64]) -> Result<ChunkGrid> {
    let Named { name, configuration } = parse_named(value)?;
    match &*name {
        "regular" => {
            let chunk_shape = read(&configuration, "chunk_shape", lengths)?;
            refuse_others(&configuration, &["chunk_shape"])?;
            ChunkGrid::regular(shape, &chunk_shape)
        }
        "rectilinear" => {
            read(&configuration, "kind", |kind| match string(kind)? {
                "inline" => Ok(()),
                other => Err(Error::unsupported(format!("unknown kind {other:?}; the only known kind is inline"))),
            })?;
            refuse_others(&configuration, &["kind", "chunk_shapes"])?;
            let mut left = MAX_LENGTHS;
            let axes = read(&configuration, "chunk_shapes", |axes| {
                list(axes)?.iter().map(|axis| edges(axis, &mut left)).collect::<Result<Vec<_>>>()
            })?;
            ChunkGrid::rectilinear(shape, axes)
        }
        _ => Err(Error::unsupported(format!("unknown chunk grid {name:?}; known are regular and rectilinear"))),
    }
}

/// Parses the chunk lengths along an axis: one length for all chunks, or a list of lengths and `[length, count]` pairs.
fn edges(value: &Value, left: &mut u64) -> Result<Result<Vec<u64>, u64>> {
    let refused = |value: &Value| Error::metadata(format!("{} is not a chunk length", show(value)));
    let Value::Array(runs) = value else { return value.as_u64().ok_or_else(|| refused(value)).map(Err) };
    let mut edges = Vec::new();
    for run in runs {
        let (length, count) = match run {
            Value::Array(_) => match lengths(run)?[..] {
                [length, count] if count > 0 => (length, count),
                _ => return Err(refused(run)),
            },
            _ => (run.as_u64().ok_or_else(|| refused(run))?, 1),
        };
        *left = left
            .checked_sub(count)
            .ok_or_else(|| Error::unsupported(format!("more than {MAX_LENGTHS} chunk lengths are listed")))?;
        edges.extend(std::iter::repeat_n(length, count as usize));
    }
    Ok(Ok(edges))
}

pub(super) fn chunk_grid_to_json(grid: &ChunkGrid) -> Value {
    if let Some(shape) = grid.regular_shape() {
        return json!({"name": "regular", "configuration": {"chunk_shape": &shape[..]}});
    }
    let axes: Vec<Value> = grid.edges().into_iter().map(runs).collect();
    json!({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": axes}})
}

fn runs(edges: Result<Vec<u64>, u64>) -> Value {
    let run = |run: &[u64]| if run.len() == 1 { json!(run[0]) } else { json!([run[0], run.len()]) };
    match edges {
        Err(length) => length.into(),
        Ok(edges) => edges.chunk_by(|a, b| a == b).map(run).collect(),
    }
}

/// Reads a chunk key encoding: its name, or an object with name and configuration.
pub fn chunk_key_encoding_from_json(value: &Value) -> Result<ChunkKeyEncoding> {
    let Named { name, configuration } = parse_named(value)?;
    let separator = |default| match configuration.get("separator") {
        None => Ok(default),
        Some(value) => separator(value).place(|| "separator"),
    };
    let (encoding, members) = match &*name {
        "default" => (ChunkKeyEncoding::Default { separator: separator('/')? }, &["separator"][..]),
        "v2" => (ChunkKeyEncoding::V2 { separator: separator('.')? }, &["separator"][..]),
        "zarrs.default_suffix" => {
            let suffix = read(&configuration, "suffix", |suffix| {
                let suffix = string(suffix)?;
                check_suffix(suffix).map(|()| suffix.to_owned())
            })?;
            (ChunkKeyEncoding::DefaultSuffix { separator: separator('/')?, suffix }, &["separator", "suffix"][..])
        }
        _ => {
            return Err(Error::unsupported(format!(
                "unknown chunk key encoding {name:?}; known are default, v2 and zarrs.default_suffix"
            )));
        }
    };
    refuse_others(&configuration, members)?;
    Ok(encoding)
}

pub(super) fn chunk_key_encoding_to_json(encoding: &ChunkKeyEncoding) -> Value {
    match encoding {
        ChunkKeyEncoding::Default { separator } => {
            json!({"name": "default", "configuration": {"separator": separator}})
        }
        ChunkKeyEncoding::V2 { separator } => json!({"name": "v2", "configuration": {"separator": separator}}),
        ChunkKeyEncoding::DefaultSuffix { separator, suffix } => {
            json!({"name": "zarrs.default_suffix", "configuration": {"separator": separator, "suffix": suffix}})
        }
    }
}

/// Parses the separator between the indices in a chunk key.
pub(crate) fn separator(value: &Value) -> Result<char> {
    match value.as_str() {
        Some("/") => Ok('/'),
        Some(".") => Ok('.'),
        _ => Err(Error::metadata(format!("{} is not a separator; use \"/\" or \".\"", show(value)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn rectilinear(axes: &Value) -> Value {
        json!({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": axes}})
    }

    #[test]
    fn lengths_of_chunks_are_read_and_spelled() {
        let read = |axes: Value| chunk_grid_from_json(&rectilinear(&axes), &[6; 5]).unwrap();
        let grid = read(json!([4, [1, 2, 3], [[4, 2]], [[1, 3], 3], [4, 4, 4]]));
        assert_eq!(&grid.shape()[..], [2, 3, 2, 4, 2]);
        assert_eq!(grid.chunk_lengths(3).collect::<Vec<_>>(), [1, 1, 1, 3]);
        let spelled = json!([4, [1, 2, 3], [[4, 2]], [[1, 3], 3], [[4, 3]]]);
        assert_eq!(chunk_grid_to_json(&grid), rectilinear(&spelled));
        assert_eq!(read(spelled), grid);
        let regular = json!({"name": "regular", "configuration": {"chunk_shape": [4, 2]}});
        assert_eq!(chunk_grid_to_json(&chunk_grid_from_json(&regular, &[9, 9]).unwrap()), regular);
    }

    #[test]
    fn a_grid_grows_by_a_chunk() {
        let read = |axes: Value, shape: &[u64]| chunk_grid_from_json(&rectilinear(&axes), shape).unwrap();
        let grid = read(json!([[3, 4], 5]), &[7, 9]);
        assert_eq!(grid.resized(&[20, 100]).unwrap(), read(json!([[3, 4, 13], 5]), &[20, 100]));
        assert_eq!(grid.resized(&[2, 2]).unwrap(), read(json!([[3, 4], 5]), &[2, 2]));
        assert!(grid.resized(&[2]).is_err());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (axes, kind) in [
            (json!([[3, 2]]), ErrorKind::InvalidMetadata),
            (json!([[3, 0, 6]]), ErrorKind::InvalidMetadata),
            (json!([[[3, 0], 6]]), ErrorKind::InvalidMetadata),
            (json!([[[3, 2, 1]]]), ErrorKind::InvalidMetadata),
            (json!([[[3]]]), ErrorKind::InvalidMetadata),
            (json!([[-6]]), ErrorKind::InvalidMetadata),
            (json!([0]), ErrorKind::InvalidMetadata),
            (json!(["6"]), ErrorKind::InvalidMetadata),
            (json!([[6], [6]]), ErrorKind::InvalidMetadata),
            (json!([[[u64::MAX, 2]]]), ErrorKind::InvalidMetadata),
            (json!([[[1, u64::MAX]]]), ErrorKind::Unsupported),
            (json!([[[1, MAX_LENGTHS], 1]]), ErrorKind::Unsupported),
        ] {
            let error = chunk_grid_from_json(&rectilinear(&axes), &[6]).unwrap_err();
            assert_eq!(error.kind(), kind, "{axes}: {error}");
        }
        for (configuration, kind) in [
            (json!({"chunk_shapes": [6]}), ErrorKind::InvalidMetadata),
            (json!({"kind": "inline"}), ErrorKind::InvalidMetadata),
            (json!({"kind": "inline", "chunk_shapes": [6], "x": 1}), ErrorKind::InvalidMetadata),
            (json!({"kind": "reference", "chunk_shapes": "a"}), ErrorKind::Unsupported),
        ] {
            let value = json!({"name": "rectilinear", "configuration": configuration});
            assert_eq!(chunk_grid_from_json(&value, &[6]).unwrap_err().kind(), kind, "{value}");
        }
    }

    #[test]
    fn key_encodings_are_read_and_spelled() {
        for value in [
            json!({"name": "default", "configuration": {"separator": "."}}),
            json!({"name": "v2", "configuration": {"separator": "/"}}),
            json!({"name": "zarrs.default_suffix", "configuration": {"separator": "/", "suffix": ".tif"}}),
        ] {
            assert_eq!(chunk_key_encoding_to_json(&chunk_key_encoding_from_json(&value).unwrap()), value);
        }
        for (value, same) in [
            (json!("default"), json!({"name": "default", "configuration": {"separator": "/"}})),
            (json!({"name": "v2"}), json!({"name": "v2", "configuration": {"separator": "."}})),
        ] {
            assert_eq!(chunk_key_encoding_to_json(&chunk_key_encoding_from_json(&value).unwrap()), same);
        }
        for configuration in
            [json!({}), json!({"suffix": "/../x"}), json!({"suffix": 1}), json!({"suffix": "", "x": 1})]
        {
            let value = json!({"name": "zarrs.default_suffix", "configuration": configuration});
            assert!(chunk_key_encoding_from_json(&value).is_err(), "{value}");
        }
    }
}
