"""New arrays: what callers may write for data types, chunks and codecs, in the terms of the metadata."""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from tegula.errors import InvalidMetadataError, UnsupportedError

Codec: TypeAlias = str | Mapping[str, Any]
Codecs: TypeAlias = Codec | Sequence[Codec] | None

AUTO = 1 << 20
"""Chunks whose shape is left to us have at most so many bytes."""

MANY = 10_000
"""An array of more chunks has shards, if both are left to us ..."""

TOGETHER = 64
"""... of so many chunks each."""

DataType: TypeAlias = np.dtype[Any] | str
"""NumPy's data type of elements of fixed size, or Zarr's name of one of variable length."""

VARIABLE = {"string": "string", "str": "string", "bytes": "variable_length_bytes"}
"""What callers may write for elements of variable length."""


def data_type(dtype: DTypeLike) -> DataType:
    """Return the data type of a new array's elements, in this machine's byte order."""
    if dtype is str or dtype is bytes:
        return VARIABLE[dtype.__name__]
    if isinstance(dtype, str) and (name := VARIABLE.get(dtype, dtype)) in VARIABLE.values():
        return name
    try:
        found = np.dtype(dtype)
    except TypeError:
        # Names that NumPy knows once this is imported.
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
            f"arrays of {found} cannot be created; there are booleans, numbers, times, structs, raw bytes, text (U), "
            'bytes (S) of fixed length, "string" and "bytes" of variable length'
        )
    return found.newbyteorder("=")


def item_size(dtype: DataType) -> int:
    """Return the bytes of an element, of variable length a guess."""
    return 16 if isinstance(dtype, str) else dtype.itemsize


def fill_bytes(fill_value: Any, dtype: DataType) -> bytes:
    """Return the bytes of a fill value; None, and the number 0 for what is no number: zero or empty."""
    zero = fill_value is None or (isinstance(fill_value, int) and fill_value == 0)
    if isinstance(dtype, str):
        if zero:
            return b""
        due = str if dtype == "string" else bytes
        if not isinstance(fill_value, due):
            raise InvalidMetadataError(f"a fill value of {dtype} is {due.__name__}, not {type(fill_value).__name__}")
        return fill_value.encode() if isinstance(fill_value, str) else bytes(fill_value)
    if fill_value is None or (zero and dtype.kind in "VSUmM"):
        return bytes(dtype.itemsize)
    value = np.asarray(fill_value, dtype)
    if value.ndim != 0:
        raise InvalidMetadataError(f"a fill value is one element, not an array of shape {value.shape}")
    return value.tobytes()


def chunk_shapes(
    shape: tuple[int, ...], chunks: Any, shards: Any, itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the shapes of chunks and of shards, if there are to be such."""
    whole = tuple(max(length, 1) for length in shape)
    if isinstance(shards, str):
        if shards != "auto":
            raise InvalidMetadataError(f'shards are a shape, "auto" or None, not {shards!r}')
        inner, _ = chunk_shapes(shape, chunks, None, itemsize)
        return inner, _auto_shards(whole, inner) if isinstance(chunks, str) else None
    outer = None if shards is None else _lengths(shards, whole, "shards")
    if isinstance(chunks, str):
        if chunks != "auto":
            raise InvalidMetadataError(f'chunks are a shape or "auto", not {chunks!r}')
        return _auto(whole if outer is None else outer, itemsize, divide=outer is not None), outer
    return _lengths(chunks, whole, "chunks"), outer


def _lengths(given: Any, whole: tuple[int, ...], what: str) -> tuple[int, ...]:
    lengths = (given,) * len(whole) if isinstance(given, (int, np.integer)) else tuple(given)
    if len(lengths) != len(whole):
        raise InvalidMetadataError(f"{what} of shape {lengths} do not fit an array of {len(whole)} dimensions")
    found = tuple(full if length in (None, -1) else int(length) for length, full in zip(lengths, whole, strict=True))
    if any(length < 1 for length in found):
        raise InvalidMetadataError(f"{what} of shape {found} are empty")
    return found


def _auto(lengths: tuple[int, ...], itemsize: int, *, divide: bool) -> tuple[int, ...]:
    """Cut the longest axis, again and again, until the piece is small; `divide`: only into equal parts."""
    piece = list(lengths)
    while math.prod(piece) * itemsize > AUTO and max(piece) > 1:
        axis = piece.index(max(piece))
        parts = next(part for part in range(2, piece[axis] + 1) if piece[axis] % part == 0) if divide else 2
        piece[axis] = -(-piece[axis] // parts)
    return tuple(piece)


def _auto_shards(lengths: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of shards for an array of very many chunks, none for others."""
    counts = [-(-length // piece) for length, piece in zip(lengths, chunk, strict=True)]
    if math.prod(counts) <= MANY:
        return None
    times = [1] * len(counts)
    while math.prod(times) < TOGETHER:
        left = [count / time for count, time in zip(counts, times, strict=True)]
        times[left.index(max(left))] *= 2
    return tuple(piece * time for piece, time in zip(chunk, times, strict=True))


def compressors(given: Codecs, dtype: DataType) -> list[dict[str, Any]]:
    """Return the codecs of bytes that a caller named."""
    if given is None:
        return []
    items = [given] if isinstance(given, (str, Mapping)) else list(given)
    return [_from_text(item, dtype) if isinstance(item, str) else _named(item) for item in items]


def _named(codec: Mapping[str, Any]) -> dict[str, Any]:
    if "name" not in codec:
        raise InvalidMetadataError(f'a codec is named as {{"name": ..., "configuration": ...}}, not {dict(codec)}')
    return {"name": codec["name"], "configuration": dict(codec.get("configuration") or {})}


LEVELS = {
    "zstd": ("zstd", "level", 3),
    "gzip": ("gzip", "level", 5),
    "zlib": ("numcodecs.zlib", "level", 5),
    "bz2": ("numcodecs.bz2", "level", 5),
    "lzma": ("numcodecs.lzma", "preset", 6),
    "lz4": ("numcodecs.lz4", "acceleration", 1),
}
"""Codecs that take one number: their name in metadata, what the number is called, and what it is by default."""


def _from_text(text: str, dtype: DataType) -> dict[str, Any]:
    name, *options = text.split(":")

    def level(default: int) -> int:
        if len(options) > 1:
            raise InvalidMetadataError(f"{text!r}: {name} takes a level and nothing else")
        return _integer(options[0], text) if options else default

    if name in LEVELS:
        named, member, default = LEVELS[name]
        extra = {"checksum": False} if name == "zstd" else {}
        return {"name": named, "configuration": {member: level(default), **extra}}
    if name == "crc32c" and not options:
        return {"name": "crc32c", "configuration": {}}
    if name == "blosc":
        return {"name": "blosc", "configuration": _blosc(options, text, dtype)}
    raise InvalidMetadataError(
        f'{text!r} names no codec; there are "zstd:3", "gzip:5", "zlib:5", "bz2:5", "lzma:6", "lz4", "crc32c" and '
        '"blosc:zstd:5:bitshuffle", the parts behind the name being optional'
    )


def _blosc(options: list[str], text: str, dtype: DataType) -> dict[str, Any]:
    compressor, level, shuffle = [*options, *("zstd", "5", "shuffle")[len(options) :]][:3]
    if len(options) > 3:
        raise InvalidMetadataError(f"{text!r}: blosc takes a compressor, a level and a shuffle")
    # Blosc can name no longer elements.
    typesize = 1 if isinstance(dtype, str) or dtype.itemsize > 255 else dtype.itemsize
    return {
        "cname": compressor,
        "clevel": _integer(level, text),
        "shuffle": shuffle,
        "typesize": typesize,
        "blocksize": 0,
    }


def _integer(text: str, whole: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidMetadataError(f"{whole!r}: {text!r} is no level") from None


def codecs_v3(inner: Sequence[Mapping[str, Any]], chunks: tuple[int, ...], *, sharded: bool) -> list[dict[str, Any]]:
    """Return the codecs of a chunk, put into a shard if there are to be such.

    See https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
    """
    named = [_named(codec) for codec in inner]
    if not sharded:
        return named
    configuration = {
        "chunk_shape": list(chunks),
        "codecs": named,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return [{"name": "sharding_indexed", "configuration": configuration}]


def serializer(dtype: DataType) -> dict[str, Any]:
    """Return the codec that turns elements into bytes."""
    if isinstance(dtype, str):
        return {"name": "vlen-utf8" if dtype == "string" else "vlen-bytes", "configuration": {}}
    # What ml_dtypes adds is of kind V too, but not of this type.
    plain = dtype.itemsize == 1 or dtype.kind == "S" or (dtype.type is np.void and dtype.names is None)
    return {"name": "bytes", "configuration": {} if plain else {"endian": "little"}}


def compressor_v2(codec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a compressor as numcodecs configures it."""
    configuration = dict(codec["configuration"])
    if "shuffle" in configuration:
        configuration["shuffle"] = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}.get(configuration["shuffle"], -1)
        configuration.pop("typesize", None)
    return {"id": codec["name"].removeprefix("numcodecs."), **configuration}
