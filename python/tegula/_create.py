"""Creating and deleting arrays and groups."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._elements import unmasked
from tegula._guide import guided
from tegula._location import creation, discard, erase
from tegula._new_array import Codecs, DataType, chunk_lengths, codec_list, data_type, fill_bytes, key_encoding
from tegula._progress import Progress, reporting
from tegula.errors import InvalidMetadataError, UnsupportedError
from tegula.stores import Store, StoreLike, ZipStore, as_store
from tegula.stores._access import AccessOptions, with_access
from tegula.stores._resolve import target

__all__ = ["create_array", "delete"]


def check_format(zarr_format: int) -> None:
    if zarr_format not in (2, 3):
        raise UnsupportedError(f"Zarr V{zarr_format} is not supported; the formats are V3 and V2")


@with_access
@guided
def delete(
    store: StoreLike,
    path: str = "/",
    *,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> None:
    """Delete the array or group at a path of a store, with everything below it.

    Links are removed, not followed. Chunks that an interrupted write or deletion left without metadata are deleted too.
    Of a zip archive, only the whole can be deleted.

    Consolidated metadata of the groups above is updated.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path in the store.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Raises
    ------
    NotFoundError
        If there is no array or group.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.create_array(store, "a", shape=(4,), dtype="uint8")
    >>> tegula.delete(store, "a")
    >>> list(store)
    ['zarr.json']
    """
    resolved, path = as_store(store, path, storage_options)
    if isinstance(resolved, ZipStore) and not resolved.is_open and not path.strip("/"):
        os.remove(resolved.path)
        return
    erase(resolved, path)


def _new_group(
    store: Store,
    path: str,
    *,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
) -> _tegula.Group:
    """Create a group, and the groups above it."""
    check_format(zarr_format)
    with creation(store, path, zarr_format, overwrite=overwrite):
        return _tegula.Group.create(store._native, path, zarr_format, dict(attributes or {}))


new_group = guided(_new_group, "create_group")


@with_access
@guided
def create_array(
    store: StoreLike,
    path: str = "/",
    *,
    shape: int | Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    data: Any = None,
    chunks: int | Sequence[int | Sequence[int]] | Literal["auto"] | bool = "auto",
    shards: int | Sequence[int] | Literal["auto"] | bool | None = "auto",
    fill_value: Any = 0,
    filters: Codecs = None,
    compressors: Codecs = "zstd",
    serializer: Any = "auto",
    order: Literal["C", "F"] = "C",
    chunk_key_encoding: str | Mapping[str, Any] | None = None,
    codecs: Sequence[Mapping[str, Any]] | None = None,
    dimension_names: Sequence[str | None] | None = None,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> Array:
    """Create an array, and the groups above it. Chunks are written only if `data` is given.

    Nobody else can create a node at the path meanwhile. A new zip archive is complete when this returns if `data` is
    given, otherwise when its store is closed; see `tegula.ZipStore`.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path in the store.
    shape : int or sequence of int
        The shape of the array; by default the shape of `data`.
    dtype : data type
        The data type of the elements; by default the type of `data`. Booleans, numbers (including those of
        ``ml_dtypes``), ``datetime64`` and ``timedelta64``, structs, fixed-length text and bytes (``U7``, ``S7``), raw
        bytes (``V4``), and the variable-length types ``"string"`` (also ``str`` and ``StringDType``) and ``"bytes"``.
        Elements are stored little-endian.
    data : array_like, optional
        The elements. They are stored before the metadata, so nobody sees an incomplete array.
    chunks : sequence of int or "auto"
        The chunk shape, or with `shards` the shape of inner chunks. -1 is the full length of an axis. "auto" or True
        halves the longest axis until a chunk has at most 1 MiB; False is one chunk. For chunks of different lengths,
        the item of an axis is the list of their lengths, such as ``[[5, 10, 10], [4, 4]]``.
    shards : sequence of int, "auto" or None
        The shard shape, a multiple of the chunk shape: one object stores a whole shard. None: no shards. "auto": no
        shards either, unless `chunks` is "auto" too and gives more than 10,000 chunks. A shard then has 64 chunks, by
        doubling the axis with the most chunks. With Zarr V2 or `codecs`, "auto" means no shards.
    fill_value
        The value of elements that are not stored.
    filters : codec or list of codecs, optional
        Array-to-array codecs, such as ``{"name": "transpose", "configuration": {"order": [1, 0]}}``. For Zarr V2,
        configurations or objects of numcodecs, such as ``{"id": "delta", "dtype": "<i4"}``.
    compressors : codec, list of codecs or None
        Bytes-to-bytes codecs: names such as ``"zstd"``, ``"zstd:5"``, ``"gzip:6"``, ``"blosc:zstd:5:bitshuffle"`` and
        ``"crc32c"``; ``{"name": ..., "configuration": ...}`` as in the metadata; ``{"id": ...}`` or an object of
        numcodecs; or a codec of zarr-python. None or ``"none"``: no compressors. In Zarr V2, the last one becomes
        ``compressor`` and the others become filters.
    serializer : codec or "auto"
        The array-to-bytes codec of Zarr V3, such as ``{"name": "bytes", "configuration": {"endian": "big"}}``.
    order : {"C", "F"}
        The order in which the elements of a chunk are stored: ``order`` in Zarr V2, the codec ``transpose`` in V3.
    chunk_key_encoding : str or mapping, optional
        The keys of chunks: "default" (``c/0/1``) or "v2" (``0.1``), or with a separator, as in
        ``{"name": "v2", "separator": "/"}``.
    codecs : list of codecs, optional
        The complete codec chain, as in the metadata of Zarr V3, in place of `filters`, `serializer` and `compressors`.
    dimension_names : sequence of str or None, optional
        The names of the dimensions (Zarr V3).
    attributes : mapping, optional
        Attributes of the array, as JSON values.
    zarr_format : int
        3 or 2.
    overwrite : bool
        Whether to erase an existing array or group, with everything below it.
    progress : bool or callable, optional
        Reports the progress of storing `data`; as for `tegula.save`.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Returns
    -------
    Array
        The array.

    Raises
    ------
    StoreError
        If something is already there.
    TypeError
        If neither `data` nor both `shape` and `dtype` are given.
    InvalidMetadataError
        If the properties contradict each other.
    UnsupportedError
        If the data type or a codec is not supported.

    Examples
    --------
    >>> array = tegula.create_array(
    ...     tegula.MemoryStore(), shape=(100, 100), dtype="uint16", chunks=(10, 10), shards=(50, 50)
    ... )
    >>> array[:50, :50] = 7
    >>> array[0, 0], array[99, 99]
    (np.uint16(7), np.uint16(0))
    """
    check_format(zarr_format)
    lengths, element, elements = _what(shape, dtype, data)
    builder = _tegula.ArrayBuilder(lengths, element)
    builder.zarr_format = zarr_format
    builder.chunks = chunk_lengths(chunks, lengths, "chunks")
    builder.shards = None if shards is None or shards is False else chunk_lengths(shards, lengths, "shards")
    builder.filters = codec_list(filters)
    builder.compressors = codec_list(compressors)
    if serializer not in ("auto", None):
        (builder.serializer,) = codec_list(serializer)
    if order not in ("C", "F"):
        raise InvalidMetadataError(f'order: {order!r} is neither "C" nor "F"')
    if order == "F":
        builder.order = order
    if chunk_key_encoding is not None:
        builder.chunk_key_encoding = key_encoding(chunk_key_encoding)
    if codecs is not None:
        builder.codecs = codec_list(codecs)
    builder.fill_value = fill_bytes(fill_value, element)
    builder.attributes = dict(attributes or {})
    if dimension_names is not None:
        builder.dimension_names = list(dimension_names)
    has_data = elements is not None
    with target(store, path, storage_options, overwrite=overwrite, is_complete=has_data) as (resolved, where):
        native = builder.build(resolved._native, where)
        array = Array._wrap(native, resolved)
        with creation(resolved, where, zarr_format, overwrite=overwrite, arrays=[native]):
            try:
                if elements is not None:
                    _fill(array, elements, progress)
                native.store_metadata()
            except BaseException:
                discard(resolved, native)
                raise
    return array


def _fill(array: Array, elements: NDArray[Any], progress: Progress) -> None:
    """Store all elements."""
    with reporting(progress, "saving") as report:
        if report is None:
            array[...] = elements
        elif not elements.size:
            report(0, 0)
        else:
            array._like(array._native.deferred(_tegula.Progress(report, elements.nbytes)))[...] = elements


def _what(
    shape: int | Sequence[int] | None, dtype: DTypeLike | None, data: Any
) -> tuple[tuple[int, ...], DataType, NDArray[Any] | None]:
    """Return the shape, the data type and, if given, the elements of a new array."""
    given = None if shape is None else (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if data is None:
        if given is None or dtype is None:
            raise TypeError("create_array needs a shape and a dtype by name, or data: shape=..., dtype=...")
        return tuple(int(length) for length in given), data_type(dtype), None
    elements = unmasked(data)
    if dtype is None and elements.dtype.kind == "O" and str in map(type, elements.ravel()):
        dtype = str
    if given is not None and given != elements.shape:
        raise InvalidMetadataError(f"data of shape {elements.shape} does not fit an array of shape {given}")
    return elements.shape, data_type(elements.dtype if dtype is None else dtype), elements
