"""Zarr arrays in files that the ``asdf`` library has opened.

A file of the local filesystem that is only read is opened again by tegula, which then reads by itself: in parts, in
threads, and after the library closed it. Of all others the library is asked for blocks, one at a time: its blocks move
when it updates a file, and it tells who holds the keys to them.
"""

import functools
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
from tegula.asdf._file import AsdfFile
from tegula.asdf._opened import Opened
from tegula.errors import Error, InvalidMetadataError, UnsupportedError
from tegula.stores import FilesystemStore, MappingStore

__all__ = ["lent_array", "open_lent"]

_opened: weakref.WeakKeyDictionary[Any, Opened] = weakref.WeakKeyDictionary()
_locks: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()


class _Token:
    """What stands for a block where the library moves it."""

    __slots__ = ("__weakref__",)


@functools.cache
def _own_keys(base: Any) -> Any:
    """Return the library's class of keys, changed so that each key belongs to an object of its own.

    When the library has moved blocks it finds who reads them by the object that their keys belong to. Of several keys
    of one object it finds the first only.
    """

    class Key(base):  # type: ignore[misc]
        def __init__(self, obj: Any = None, _key: int | None = None) -> None:
            self.token = _Token() if obj is None else obj
            super().__init__(self.token, _key)

        def _assign_object(self, obj: Any) -> None:  # noqa: ARG002 - that is the array
            super()._assign_object(self.token)

    return Key


class LentBlocks(MutableMapping[str, bytes]):
    """Blocks of the library as a store of chunks. What is written stays in memory, until the file is written."""

    def __init__(self, documents: dict[str, bytes], grid: tuple[int, ...], block: int, ctx: Any) -> None:
        self._documents = documents
        self._grid = grid
        self._written: dict[str, bytes | None] = {}
        # The library's blocks share a file with one position.
        self._lock = _locks.setdefault(ctx._blocks, threading.Lock())
        key = ctx.generate_block_key()
        with self._lock:
            found = np.frombuffer(ctx.get_block_data_callback(block, key)(), "<i4")
        keys = _own_keys(type(key))  # type: ignore[arg-type]
        self._map_key = keys()
        ctx.get_block_data_callback(block, self._map_key)
        self._blocks: dict[int, tuple[Any, Any]] = {}
        if found.size != math.prod(grid):
            raise InvalidMetadataError(f"the map has {found.size} entries for {math.prod(grid)} chunks")
        for chunk in np.flatnonzero(found >= 0).tolist():
            key = keys()
            self._blocks[chunk] = key, ctx.get_block_data_callback(int(found[chunk]), key)

    def keys_of(self, places: list[int]) -> list[Any]:
        """Return the library's keys to blocks that are written again, and to the map; None for new ones."""
        return [*(self._blocks.get(place, (None,))[0] for place in places), self._map_key]

    def _chunk(self, key: str) -> int | None:
        """Return the place of a chunk in the map."""
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
            raise UnsupportedError("metadata of an array in an ASDF file cannot be changed")
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
    """Read a block; of a file of the system without its position, which whoever else reads may be using."""
    file = getattr(data(_attr="_fd")(), "_fd", None)
    header = data(_attr="header")
    try:
        number = file.fileno()  # type: ignore[union-attr]
    except (AttributeError, OSError):
        number = None
    if number is None or header["flags"] or header["compression"].strip(b"\0"):
        return bytes(data())
    return os.pread(number, header["used_size"], data(_attr="data_offset"))


def lent_array(array: Array) -> LentBlocks | None:
    """Return the library's blocks that an array lies in, if it does."""
    mapping = array.store.mapping if isinstance(array.store, MappingStore) else None
    return mapping if isinstance(mapping, LentBlocks) else None


def open_lent(node: Any, ctx: Any) -> Array:
    """Open the array of a node that the library has read.

    Parameters
    ----------
    node : mapping
        The node.
    ctx : asdf.extension.SerializationContext
        The library's way to blocks.
    """
    block = node.get("chunk_block_map")
    if not isinstance(block, int):
        raise UnsupportedError("the chunks are in another store, not in blocks")
    own = _own(block, ctx)
    return _lent(dict(node), block, ctx) if own is None else own


def _own(block: int, ctx: Any) -> Array | None:
    """Open an array in a file that does not change under the library."""
    blocks = ctx._blocks.blocks
    handle = blocks[0]._fd() if len(blocks) else None
    address = urlsplit(ctx.url or "")
    if handle is None or handle.mode != "r" or address.scheme != "file":
        return None
    try:
        path = unquote(address.path)
        known = _opened.get(ctx._blocks)
        if known is None:
            if not os.path.samestat(os.fstat(handle._fd.fileno()), os.stat(path)):
                return None
            folder, name = os.path.split(path)
            known = Opened.open(FilesystemStore(folder), name, AsdfFile, memmap=False)
            _opened[ctx._blocks] = known
        found = known.native.zarr_nodes().get(block)
        return None if found is None else known.array(found)
    except (AttributeError, OSError, Error):
        return None


def _lent(node: dict[str, Any], block: int, ctx: Any) -> Array:
    if "zarr.json" in node:
        metadata = _plain(node["zarr.json"])
        # The chunks have no keys in the file.
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
    return Array._open(MappingStore(LentBlocks(texts, grid, block, ctx)))


def _plain(value: Any) -> Any:
    """Return what JSON can say of a node."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return str(value) if isinstance(value, str) else value
