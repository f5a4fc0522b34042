"""Zarr arrays in files that the ``asdf`` library opened.

Tegula opens a local file that is open for reading a second time, and reads parts of it in threads, also after the
library closed it. In all other files the library is asked for blocks, one at a time: its blocks move when it updates a
file, and the holders of their keys are told.
"""

import json
import math
import os
import threading
import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from tegula._array.array import Array
from tegula.asdf import _shim
from tegula.asdf._file import AsdfFile
from tegula.asdf._opened import Opened
from tegula.errors import Error, InvalidMetadataError, UnsupportedError
from tegula.stores import FilesystemStore, MappingStore

__all__ = ["library_blocks", "open_in_library"]

_opened: weakref.WeakKeyDictionary[Any, Opened] = weakref.WeakKeyDictionary()
_locks: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()


class LibraryBlocks(MutableMapping[str, bytes]):
    """Blocks of the library as a store of chunks. Chunks that are written stay in memory until the file is written."""

    def __init__(self, documents: dict[str, bytes], grid: tuple[int, ...], block: int, ctx: Any) -> None:
        self._documents = documents
        self._grid = grid
        self._written: dict[str, bytes | None] = {}
        # The library's blocks share a file with one position.
        self._lock = _locks.setdefault(_shim.block_manager(ctx), threading.Lock())
        key = ctx.generate_block_key()
        with self._lock:
            found = np.frombuffer(ctx.get_block_data_callback(block, key)(), "<i4")
        keys = _shim.key_type(type(key))
        self._map_key = keys()
        ctx.get_block_data_callback(block, self._map_key)
        self._blocks: dict[int, tuple[Any, Any]] = {}
        if found.size != math.prod(grid):
            raise InvalidMetadataError(f"chunk_block_map has {found.size} entries for {math.prod(grid)} chunks")
        for chunk in np.flatnonzero(found >= 0).tolist():
            key = keys()
            self._blocks[chunk] = key, ctx.get_block_data_callback(int(found[chunk]), key)

    def keys_of(self, places: list[int]) -> list[Any]:
        """Return the library's keys of the blocks of chunks, None for new ones, and the key of the map."""
        return [*(self._blocks.get(place, (None,))[0] for place in places), self._map_key]

    def _chunk(self, key: str) -> int | None:
        """Return the index of a chunk in the map."""
        try:
            indices = [int(index) for index in key.split(".")]
            if not self._grid:
                return 0 if indices == [0] else None
            return int(np.ravel_multi_index(tuple(indices), self._grid))
        except ValueError:
            return None

    def __getitem__(self, key: str) -> bytes:
        if key in self._documents:
            return self._documents[key]
        if key in self._written:
            value = self._written[key]
            if value is None:
                raise KeyError(key)
            return value
        chunk = self._chunk(key)
        if chunk is None or chunk not in self._blocks:
            raise KeyError(key)
        data = self._blocks[chunk][1]
        with self._lock:
            return _stored(data)

    def __setitem__(self, key: str, value: bytes) -> None:
        if key in self._documents or self._chunk(key) is None:
            raise UnsupportedError(f"cannot write {key}: metadata of an array in an ASDF file cannot change")
        self._written[key] = bytes(value)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._written[key] = None

    def __iter__(self) -> Iterator[str]:
        yield from self._documents
        stored = {".".join(map(str, np.unravel_index(chunk, self._grid))) or "0" for chunk in self._blocks}
        gone = {key for key, value in self._written.items() if value is None}
        yield from (stored | self._written.keys()) - gone

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _stored(data: Any) -> bytes:
    """Read a block; in a local file without moving its position, which other readers may be using."""
    file, header, offset = _shim.block_data(data)
    try:
        descriptor = file.fileno()
    except (AttributeError, OSError):
        descriptor = None
    if descriptor is None or header["flags"] or header["compression"].strip(b"\0"):
        return bytes(data())
    return os.pread(descriptor, header["used_size"], offset)


def library_blocks(array: Array) -> LibraryBlocks | None:
    """Return the library's blocks that an array is stored in, if any."""
    mapping = array.store.mapping if isinstance(array.store, MappingStore) else None
    return mapping if isinstance(mapping, LibraryBlocks) else None


def open_in_library(node: Any, ctx: Any) -> Array:
    """Open the Zarr array of a node that the library read.

    Parameters
    ----------
    node : mapping
        The node.
    ctx : asdf.extension.SerializationContext
        The library's access to blocks.
    """
    block = node.get("chunk_block_map")
    if not isinstance(block, int):
        raise UnsupportedError("cannot open a Zarr array whose chunks are in another store instead of blocks")
    array = _open_again(block, ctx)
    return _open_blocks(dict(node), block, ctx) if array is None else array


def _open_again(block: int, ctx: Any) -> Array | None:
    """Open the array in a local file that does not change, independently of the library."""
    blocks, file = _shim.block_manager(ctx), _shim.open_file(ctx)
    address = urlsplit(ctx.url or "")
    if file is None or address.scheme != "file":
        return None
    try:
        path = unquote(address.path)
        opened = _opened.get(blocks)
        if opened is None:
            if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return None
            folder, name = os.path.split(path)
            opened = _opened[blocks] = Opened.open(FilesystemStore(folder), name, AsdfFile, memmap=False)
        node = opened.native.zarr_nodes().get(block)
        return None if node is None else opened.array(node)
    except (AttributeError, OSError, Error):
        return None


def _open_blocks(node: dict[str, Any], block: int, ctx: Any) -> Array:
    if "zarr.json" in node:
        metadata = _plain(node["zarr.json"])
        # Chunks have no keys in the file.
        metadata["chunk_key_encoding"] = {"name": "v2", "configuration": {"separator": "."}}
        chunks = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        documents = {"zarr.json": metadata}
    else:
        metadata = _plain(node[".zarray"])
        metadata["dimension_separator"] = "."
        attributes = metadata.pop("attributes", None)
        documents = {".zarray": metadata, ".zattrs": _plain(node.get(".zattrs")) or attributes or {}}
        chunks = metadata["chunks"]
    grid = tuple(-(-length // chunk) for length, chunk in zip(metadata["shape"], chunks, strict=True))
    texts = {name: json.dumps(document).encode() for name, document in documents.items()}
    return Array._open(MappingStore(LibraryBlocks(texts, grid, block, ctx)))


def _plain(value: Any) -> Any:
    """Return a node as JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return str(value) if isinstance(value, str) else value
