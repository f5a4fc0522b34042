"""New arrays: what callers may write for data types, chunks and codecs, in the terms of the metadata."""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from tegula.errors import InvalidMetadataError, UnsupportedError

Codec: TypeAlias = Any
"""A name, such as "zstd:5"; a mapping, as in metadata or as numcodecs configures a codec; an object of numcodecs."""

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
    """Return the codecs that a caller named; those of numcodecs under the names that they have in Zarr V3."""
    items = [given] if not isinstance(given, Sequence) or isinstance(given, str) else list(given)
    return [_named(item, dtype) for item in items if item is not None and item != "none"]


def _named(codec: Any, dtype: DataType) -> dict[str, Any]:
    if isinstance(codec, str):
        return _from_text(codec, dtype)
    # The objects of numcodecs and those of zarr-python tell what they are.
    for tell in ("get_config", "to_dict"):
        if not isinstance(codec, Mapping) and hasattr(codec, tell):
            codec = getattr(codec, tell)()
    if not isinstance(codec, Mapping) or not {"name", "id"} & set(codec):
        raise InvalidMetadataError(
            f'a codec is named as {{"name": ..., "configuration": ...}} or, by numcodecs, {{"id": ...}}, not {codec!r}'
        )
    if "name" in codec:
        return {"name": codec["name"], "configuration": dict(codec.get("configuration") or {})}
    rest = {member: value for member, value in codec.items() if member != "id"}
    return {"name": f"numcodecs.{codec['id']}", "configuration": rest}


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
        f'{text!r} names no codec; there are "none", "zstd:3", "gzip:5", "zlib:5", "bz2:5", "lzma:6", "lz4", "crc32c" '
        'and "blosc:zstd:5:bitshuffle", the parts behind the name being optional'
    )


def _blosc(options: list[str], text: str, dtype: DataType) -> dict[str, Any]:
    compressor, level, shuffle = [*options, *("zstd", "5", "shuffle")[len(options) :]][:3]
    if len(options) > 3:
        raise InvalidMetadataError(f"{text!r}: blosc takes a compressor, a level and a shuffle")
    return {
        "cname": compressor,
        "clevel": _integer(level, text),
        "shuffle": shuffle,
        "typesize": _typesize(dtype),
        "blocksize": 0,
    }


def _typesize(dtype: DataType) -> int:
    # Blosc can name no longer elements.
    return 1 if isinstance(dtype, str) or dtype.itemsize > 255 else dtype.itemsize


def _integer(text: str, whole: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidMetadataError(f"{whole!r}: {text!r} is no level") from None


PLAIN = ("zstd", "gzip", "blosc", "crc32c")
"""Codecs that Zarr V3 has of its own, and that numcodecs calls the same."""

OURS = ("zlib", "bz2", "lzma", "lz4", "shuffle", "crc32", "adler32", "fletcher32", "jenkins_lookup3", "base64")
"""Codecs that Zarr V3 has from numcodecs, and that go without its name in the terms in which V2 is read."""

SERIALIZERS = ("bytes", "vlen-utf8", "vlen-bytes", "vlen-array", "categorize", "json2", "msgpack2", "pcodec", "zfpy")
"""Codecs from elements to bytes that numcodecs has, and that of plain elements."""

PLAIN_BYTES: dict[str, Any] = {"name": "bytes", "configuration": {}}
"""The codec of plain elements, which Zarr V2 does not name."""

SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")


def codec_v3(codec: Mapping[str, Any], dtype: DataType) -> dict[str, Any]:
    """Return a codec as the metadata of Zarr V3 name it."""
    name, configuration = codec["name"], dict(codec["configuration"])
    bare = name.removeprefix("numcodecs.")
    if bare == "crc32c" and configuration.get("location") == "end":
        del configuration["location"]
    if bare in PLAIN and not (bare == "crc32c" and configuration):
        name = bare
    elif name in OURS:
        name = f"numcodecs.{name}"
    if bare == "blosc":
        shuffle = configuration.get("shuffle", 1)
        if isinstance(shuffle, int):
            automatic = 2 if item_size(dtype) == 1 else 1
            configuration["shuffle"] = SHUFFLES[shuffle if 0 <= shuffle < len(SHUFFLES) else automatic]
        configuration.setdefault("typesize", _typesize(dtype))
    if bare == "zstd":
        configuration = {"level": 0, "checksum": False, **configuration}
    return {"name": name, "configuration": configuration}


def codecs_v3(inner: Sequence[Any], chunks: tuple[int, ...], dtype: DataType, *, sharded: bool) -> list[dict[str, Any]]:
    """Return the codecs of a chunk, put into a shard if there are to be such.

    See https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
    """
    named = [codec_v3(_named(codec, dtype), dtype) for codec in inner]
    if not sharded:
        return named
    configuration = {
        "chunk_shape": list(chunks),
        "codecs": named,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return [{"name": "sharding_indexed", "configuration": configuration}]


def inner_codecs(codecs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the codecs of a chunk, or of an inner chunk if it is a shard."""
    found: list[Mapping[str, Any]] = []
    for codec in codecs:
        if codec["name"] == "sharding_indexed":
            return [*found, *inner_codecs([_named(inner, "string") for inner in codec["configuration"]["codecs"]])]
        found.append(codec)
    return found


def serializer(dtype: DataType) -> dict[str, Any]:
    """Return the codec that turns elements into bytes."""
    if isinstance(dtype, str):
        return {"name": "vlen-utf8" if dtype == "string" else "vlen-bytes", "configuration": {}}
    # What ml_dtypes adds is of kind V too, but not of this type.
    plain = dtype.itemsize == 1 or dtype.kind == "S" or (dtype.type is np.void and dtype.names is None)
    return {"name": "bytes", "configuration": {} if plain else {"endian": "little"}}


def chain_v2(codecs: Sequence[Mapping[str, Any]], rank: int) -> tuple[list[dict[str, Any] | None], str]:
    """Return the filters and, last, the compressor of Zarr V2 for the codecs of a chunk, and the order of axes.

    What follows the codec that turns elements into bytes is compressed or checked; the last of it is the compressor.
    """
    filters: list[dict[str, Any]] = []
    order, compressed = "C", 0
    for codec in codecs:
        name, configuration = codec["name"].removeprefix("numcodecs."), codec["configuration"]
        if name == "transpose" and not filters and list(configuration["order"]) == [*reversed(range(rank))]:
            order = "F" if rank > 1 else "C"
            continue
        if name not in SERIALIZERS and name not in PLAIN and name not in OURS and name == codec["name"]:
            raise UnsupportedError(f"Zarr V2 has no {name}; there are the codecs of numcodecs")
        if compressed or name in SERIALIZERS:
            compressed += 1
        if name != "bytes":
            filters.append(_numcodec(name, configuration))
    last = filters.pop() if compressed > 1 else None
    return [*filters, last], order


def _numcodec(name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return a codec as numcodecs configures it."""
    configuration = dict(configuration)
    if name == "blosc" and isinstance(configuration.get("shuffle"), str):
        configuration["shuffle"] = SHUFFLES.index(configuration["shuffle"])
    if name == "blosc":
        configuration.pop("typesize", None)
    # The default of numcodecs, which others do not know.
    if name == "zstd" and not configuration.get("checksum", True):
        del configuration["checksum"]
    return {"id": name, **configuration}
