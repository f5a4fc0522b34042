"""Creating and deleting arrays and groups."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._new_array import Codecs, DataType, chunk_lengths, codec_list, data_type, fill_bytes
from tegula._progress import Progress, reporting
from tegula.errors import InvalidMetadataError, NotFoundError, StoreError, UnsupportedError
from tegula.stores import FilesystemStore, Store, StoreLike, as_store

__all__ = ["create_array", "delete"]

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""The files that make arrays and groups of what lies at a path."""


def check_format(zarr_format: int) -> None:
    if zarr_format not in (2, 3):
        raise UnsupportedError(f"there are Zarr V3 and V2, no V{zarr_format}")


def make_room(store: Store, path: str, zarr_format: int, *, overwrite: bool) -> None:
    """See that nothing is at a path, and that groups lead there."""
    where = _tegula.node_path(path)
    names = where.split("/") if where else []
    for depth in range(len(names)):
        above = "/".join(names[:depth])
        try:
            node = _tegula.open_node(store._native, above)
        except NotFoundError:
            _tegula.Group.create(store._native, above, zarr_format, {})
        else:
            if isinstance(node, _tegula.Array):
                raise StoreError(f"{node.name} is an array: nothing can be created in it")
    try:
        _look(store, where)
    except NotFoundError:
        return
    if not overwrite:
        raise StoreError(f"there is something at {store._native.display(where)}; overwrite=True replaces it")
    erase(store, where)


def _look(store: Store, path: str) -> None:
    """See that something is at a path, if nothing that we could open."""
    with suppress(InvalidMetadataError, UnsupportedError):
        _tegula.open_node(store._native, path)


def erase(store: Store, path: str) -> None:
    """Erase the array or group at a path, with all that is in it."""
    where = _tegula.node_path(path)
    _look(store, where)
    # From the first moment on there is no array of which a part is left.
    for name in METADATA:
        store._native.erase(f"{where}/{name}" if where else name)
    store._native.erase_below(where)
    remove_folders(store, where)


def discard(store: Store, native: _tegula.Array) -> None:
    """Erase an array that could not be stored whole, and nothing else that lies there."""
    native.erase_metadata()
    native.erase_chunks([(0, count) for count in native.chunk_grid_shape])
    remove_folders(store, native.path)


def remove_folders(store: Store, where: str) -> None:
    """Remove empty folders, which others take for something."""
    if isinstance(store, FilesystemStore):
        for folder, *_ in os.walk(os.path.join(store.path, where), topdown=False):
            with suppress(OSError):
                os.rmdir(folder)


def delete(store: StoreLike, path: str = "/", *, storage_options: Mapping[str, Any] | None = None) -> None:
    """Delete the array or group at a path of a store, with all that is in it.

    Consolidated metadata of a group above do not learn of it before `tegula.consolidate_metadata` makes them again.

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
    erase(resolved, path)


def new_group(
    store: Store,
    path: str,
    *,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
) -> _tegula.Group:
    """Create a group, and groups that lead to it."""
    check_format(zarr_format)
    make_room(store, path, zarr_format, overwrite=overwrite)
    return _tegula.Group.create(store._native, path, zarr_format, dict(attributes or {}))


def create_array(
    store: StoreLike,
    path: str = "/",
    *,
    shape: int | Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    data: Any = None,
    chunks: int | Sequence[int] | Literal["auto"] = "auto",
    shards: int | Sequence[int] | Literal["auto"] | None = "auto",
    fill_value: Any = 0,
    filters: Codecs = None,
    compressors: Codecs = "zstd",
    codecs: Sequence[Mapping[str, Any]] | None = None,
    dimension_names: Sequence[str | None] | None = None,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Array:
    """Create an array, and groups that lead to it. Its metadata are written, and no chunk unless there are `data`.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path in the store.
    shape : int or sequence of int
        The shape of the array; where there are `data`, theirs.
    dtype : data type
        Booleans, numbers (those of the package ``ml_dtypes`` too), ``datetime64`` and ``timedelta64``, structs, text
        and bytes of fixed length (``U7``, ``S7``), raw bytes (``V4``); of variable length, ``"string"`` (also ``str``
        and ``StringDType``) and ``"bytes"``. It is stored little-endian. Where there are `data`, theirs.
    data : array_like, optional
        The elements. They are stored before the metadata: whoever finds the array finds all of it.
    chunks : sequence of int or "auto"
        The shape of a chunk (of an inner chunk, with `shards`); -1 for all of an axis. "auto": chunks of at most 1 MiB,
        for which the longest axis is halved again and again.
    shards : sequence of int, "auto" or None
        The shape of shards, a multiple of that of chunks: one object holds so many. None: there are no shards. "auto":
        there are none either, unless `chunks` are left to us too and would be more than 10,000. A shard has 64 chunks
        then, the axis with the most chunks being doubled again and again. Zarr V2 has no shards, and where there are
        `codecs`, these say what there is.
    fill_value
        The value of elements that were never stored.
    filters : codec or list of codecs, optional
        Codecs of elements, such as ``{"name": "transpose", "configuration": {"order": [1, 0]}}``; of Zarr V2 as
        numcodecs configures them, such as ``{"id": "delta", "dtype": "<i4"}``, or numcodecs' own objects.
    compressors : codec, list of codecs or None
        Codecs of bytes: names such as ``"zstd"``, ``"zstd:5"``, ``"gzip:6"``, ``"blosc:zstd:5:bitshuffle"`` and
        ``"crc32c"``, or ``{"name": ..., "configuration": ...}`` as in the metadata, ``{"id": ...}`` or an object of
        numcodecs, or a codec of zarr-python; None or ``"none"``: none. Of several in Zarr V2 the last is `compressor`.
    codecs : list of codecs, optional
        All codecs of a chunk as in the metadata of Zarr V3, in place of `filters` and `compressors`.
    dimension_names : sequence of str or None, optional
        The names of the dimensions (Zarr V3).
    attributes : mapping, optional
        What to write beside it: JSON.
    zarr_format : int
        3 or 2.
    overwrite : bool
        Whether to erase an array or group that is there, with all that is in it.
    progress : bool or callable, optional
        How far the storing of `data` is; as for `tegula.save`.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Returns
    -------
    Array
        The array, all of which has the fill value.

    Raises
    ------
    StoreError
        If something is there already.
    TypeError
        If there are neither `data` nor a shape and a data type.
    InvalidMetadataError
        If the properties contradict each other.
    UnsupportedError
        If there is no such data type or codec.

    Examples
    --------
    >>> array = tegula.create_array(
    ...     tegula.MemoryStore(), shape=(100, 100), dtype="uint16", chunks=(10, 10), shards=(50, 50)
    ... )
    >>> array[:50, :50] = 7
    >>> array[0, 0], array[99, 99]
    (np.uint16(7), np.uint16(0))
    """
    resolved, path = as_store(store, path, storage_options)
    check_format(zarr_format)
    lengths, element, elements = _what(shape, dtype, data)
    builder = _tegula.ArrayBuilder(lengths, element)
    builder.zarr_format = zarr_format
    builder.chunks = chunk_lengths(chunks, lengths, "chunks")
    builder.shards = None if shards is None else chunk_lengths(shards, lengths, "shards")
    builder.filters = codec_list(filters)
    builder.compressors = codec_list(compressors)
    if codecs is not None:
        builder.codecs = codec_list(codecs)
    builder.fill_value = fill_bytes(fill_value, element)
    builder.attributes = dict(attributes or {})
    if dimension_names is not None:
        builder.dimension_names = list(dimension_names)
    native = builder.build(resolved._native, path)
    make_room(resolved, path, zarr_format, overwrite=overwrite)
    array = Array._wrap(native, resolved)
    if elements is not None:
        try:
            _fill(array, elements, progress)
        except BaseException:
            discard(resolved, native)
            raise
    native.store_metadata()
    return array


STEP = 64 << 20
"""Elements are stored in regions of so many bytes, if someone wants to know how far that is."""


def _fill(array: Array, elements: NDArray[Any], progress: Progress) -> None:
    """Store all elements."""
    with reporting(progress, "saving") as report:
        if report is None or not array.shape or not elements.size:
            array[...] = elements
        else:
            # Whole rows of chunks, so that none is written twice.
            chunk = array._native.grid_chunk_shape[0]
            row = elements.nbytes // len(elements)
            length = chunk * max(STEP // max(row * chunk, 1), 1)
            for start in range(0, len(elements), length):
                report(start * row, elements.nbytes)
                array[start : start + length] = elements[start : start + length]
        if report is not None:
            report(elements.nbytes, elements.nbytes)


def _what(
    shape: int | Sequence[int] | None, dtype: DTypeLike | None, data: Any
) -> tuple[tuple[int, ...], DataType, NDArray[Any] | None]:
    """Return the shape, the data type and, if there are such, the elements of a new array."""
    given = None if shape is None else (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if data is None:
        if given is None or dtype is None:
            raise TypeError("an array is created of a shape and a data type, or of data")
        return tuple(int(length) for length in given), data_type(dtype), None
    elements = np.asarray(data)
    if given is not None and given != elements.shape:
        raise InvalidMetadataError(f"data of shape {elements.shape} do not fill an array of shape {given}")
    return elements.shape, data_type(elements.dtype if dtype is None else dtype), elements
