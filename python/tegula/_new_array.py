"""Properties of new arrays: data types, chunks and codecs as callers write them, in the terms of the metadata."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from tegula._array.array import Array
from tegula._elements import as_elements
from tegula.errors import InvalidMetadataError, UnsupportedError

Codec: TypeAlias = Any
"""A shorthand such as "zstd:5", a mapping as in metadata or a configuration of numcodecs, or a codec object."""

Codecs: TypeAlias = Codec | Sequence[Codec] | None

DataType: TypeAlias = np.dtype[Any] | str
"""NumPy's data type for elements of fixed size, or Zarr's name for a variable-length type."""

NAMED = ("name", "configuration")

VARIABLE = {"string": "string", "str": "string", "bytes": "variable_length_bytes"}
"""Zarr's names of variable-length types, by the names that callers use."""


def data_type(dtype: DTypeLike) -> DataType:
    """Return the data type of a new array's elements, in native byte order."""
    if dtype is str or dtype is bytes:
        return VARIABLE[dtype.__name__]
    if isinstance(dtype, str) and (name := VARIABLE.get(dtype, dtype)) in VARIABLE.values():
        return name
    try:
        found = np.dtype(dtype)
    except TypeError:
        # The package ml_dtypes registers more names with NumPy.
        if not isinstance(dtype, str) or importlib.util.find_spec("ml_dtypes") is None:
            raise
        import ml_dtypes

        if not hasattr(ml_dtypes, dtype):
            raise
        found = np.dtype(getattr(ml_dtypes, dtype))
    if found.kind == "T":
        return "string"
    if found.hasobject or found.subdtype is not None or found.itemsize == 0:
        raise UnsupportedError(
            f"arrays of {found} cannot be created; the data types are booleans, numbers, times, structs, raw bytes, "
            'fixed-length text (U) and bytes (S), and variable-length "string" and "bytes"'
        )
    return found.newbyteorder("=")


def like(other: Any, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the properties of an array like another one, replaced by those that the caller gives."""
    found = other if hasattr(other, "shape") and hasattr(other, "dtype") else np.asanyarray(other)
    same: dict[str, Any] = {"shape": found.shape, "dtype": found.dtype}
    if isinstance(other, Array) and "zarr_format" in other.metadata:
        if other._native.is_variable:
            same["dtype"] = other.data_type
        same |= {"filters": other.filters, "compressors": other.compressors, "zarr_format": other.zarr_format}
        if "shape" not in properties:
            same |= {"chunks": other.chunks, "shards": other.shards, "dimension_names": other.dimension_names}
        if "chunks" in properties:
            same.pop("shards", None)
    return {**same, **more, **properties}


def fill_bytes(fill_value: Any, dtype: DataType) -> bytes:
    """Return the bytes of a fill value. None, and 0 for types other than numbers, give zero bytes or an empty value."""
    zero = fill_value is None or (isinstance(fill_value, int) and fill_value == 0)
    if isinstance(dtype, str):
        if zero:
            return b""
        expected = str if dtype == "string" else bytes
        if not isinstance(fill_value, expected):
            raise InvalidMetadataError(
                f"a fill value of {dtype} is {expected.__name__}, not {type(fill_value).__name__}"
            )
        return fill_value.encode() if isinstance(fill_value, str) else bytes(fill_value)
    if fill_value is None or (zero and dtype.kind in "VSUmM"):
        return bytes(dtype.itemsize)
    value = as_elements(fill_value, dtype)
    if value.ndim != 0:
        raise InvalidMetadataError(f"a fill value is one element, not an array of shape {value.shape}")
    return value.tobytes()


def chunk_lengths(given: Any, shape: tuple[int, ...], what: str) -> Any:
    """Return "auto", the shape of `what` (chunks or shards), or the lengths of each chunk along each axis."""
    if isinstance(given, (bool, np.bool_)):
        given = "auto" if given else -1
    if isinstance(given, str):
        if given != "auto":
            raise InvalidMetadataError(f'{what}: {given!r} is neither a shape nor "auto"')
        return given
    lengths: tuple[Any, ...] = (given,) * len(shape) if isinstance(given, (int, np.integer)) else tuple(given)
    if len(lengths) != len(shape):
        raise InvalidMetadataError(f"{what} of shape {lengths} do not fit an array of {len(shape)} dimensions")
    if any(np.ndim(length) == 1 for length in lengths):
        return [_axis_lengths(length, full) for length, full in zip(lengths, shape, strict=True)]
    found = tuple(
        max(full, 1) if length in (None, -1) else int(length) for length, full in zip(lengths, shape, strict=True)
    )
    if any(length < 1 for length in found):
        raise InvalidMetadataError(f"{what} of shape {found} are empty")
    return found


def _axis_lengths(given: Any, full: int) -> list[int]:
    """Return the lengths of all chunks along an axis, given as a list or as one length."""
    if np.ndim(given) == 1:
        return [int(length) for length in given]
    length = full if given in (None, -1) else int(given)
    return [length] * max(-(-full // max(length, 1)), 1)


def codec_list(given: Codecs) -> list[str | dict[str, Any]]:
    """Return codecs as shorthands and JSON. Objects of numcodecs and zarr-python give their configurations."""
    items = [given] if not isinstance(given, Sequence) or isinstance(given, str) else given
    return [_described(item) for item in items if item is not None]


def key_encoding(given: Any) -> str | dict[str, Any]:
    """Return a chunk key encoding as JSON. zarr-python has the separator beside the name."""
    if isinstance(given, str):
        return given
    if isinstance(given, Sequence):
        given = dict(zip(("name", "separator"), given, strict=False))
    found = dict(given if isinstance(given, Mapping) else given.to_dict())
    configuration = {**found.get("configuration", {}), **{k: v for k, v in found.items() if k not in NAMED}}
    return {"name": found.get("name", "default"), "configuration": configuration}


def _described(codec: Codec) -> str | dict[str, Any]:
    for method in ("get_config", "to_dict"):
        if not isinstance(codec, Mapping) and hasattr(codec, method):
            codec = getattr(codec, method)()
    if isinstance(codec, str):
        return codec
    if not isinstance(codec, Mapping):
        raise InvalidMetadataError(
            f'{codec!r} is not a codec: pass a name such as "zstd:5", {{"name": ..., "configuration": ...}}, '
            "or a codec of numcodecs or zarr-python"
        )
    return dict(codec)
