"""Indexing of arrays with brackets, and with `oindex`, `vindex` and `blocks`."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.handle import Handle
from tegula._array.selection import ParsedIndex, parse, parse_blocks, parse_orthogonal, parse_points
from tegula._elements import as_elements
from tegula.errors import InvalidSelectionError

Parse = Callable[[Any, tuple[int, ...]], ParsedIndex]


class Assignable(Protocol):
    """An array or a session of writes."""

    def _set(self, key: Any, value: Any, parse: Parse) -> None: ...


class Assigner:
    """Writes selections by one kind of index; see `WriteSession.oindex`."""

    __slots__ = ("_array", "_parse")

    def __init__(self, array: Assignable, parse: Parse) -> None:
        self._array = array
        self._parse = parse

    def __setitem__(self, key: Any, value: Any) -> None:
        """Broadcast a value to the selection and store it."""
        self._array._set(key, value, self._parse)

    def __repr__(self) -> str:
        return f"<indices of {self._array!r}>"


class Indexer(Assigner):
    """Reads and writes selections by one kind of index; see `Array.oindex`, `Array.vindex` and `Array.blocks`."""

    __slots__ = ()

    _array: "IndexMethods"

    def __init__(self, array: "IndexMethods", parse: Parse) -> None:
        super().__init__(array, parse)

    def __getitem__(self, key: Any) -> Any:
        """Read the selected elements."""
        return self._array._get(key, self._parse)


class IndexMethods(Handle):
    """The methods of `Array` for indexing with brackets."""

    __slots__ = ()

    @property
    def oindex(self) -> Indexer:
        """Orthogonal indices: each item selects along one axis.

        An item is an integer, a slice, a one-dimensional list or array of integers, or a mask as long as the axis. All
        combinations are selected, as in ``array[numpy.ix_(...)]``. An integer drops its axis.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), chunks=(2, 3), dtype="int32")
        >>> array[...] = np.arange(24).reshape(4, 6)
        >>> array.oindex[[3, 0], [1, -1]]
        array([[19, 23],
               [ 1,  5]], dtype=int32)
        >>> array.oindex[[True, False, False, True], ::5] = 0
        >>> array[3]
        array([ 0, 19, 20, 21, 22,  0], dtype=int32)
        """
        return Indexer(self, parse_orthogonal)

    @property
    def vindex(self) -> Indexer:
        """Vectorized indices: lists and arrays of integers, broadcast together, and masks, as in NumPy.

        Each element of the broadcast arrays selects one element. With slices, the dimensions of the arrays always come
        first; in ``array[...]``, adjacent arrays keep their position.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), chunks=(2, 3), dtype="int32")
        >>> array[...] = np.arange(24).reshape(4, 6)
        >>> array.vindex[[3, 0], [1, -1]]
        array([19,  5], dtype=int32)
        >>> array.vindex[[3, 0], [1, -1]] = [7, 8]
        >>> array[:, 1]
        array([ 1,  7, 13,  7], dtype=int32)
        """
        return Indexer(self, parse_points)

    @property
    def blocks(self) -> Indexer:
        """Chunks by integers and slices of the chunk grid; shards, if the array is sharded.

        Chunks are clipped at the end of the array.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 5), chunks=(2, 3), dtype="int32")
        >>> array.blocks[1, 1] = 7
        >>> array[...]
        array([[0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0],
               [0, 0, 0, 7, 7],
               [0, 0, 0, 7, 7]], dtype=int32)
        >>> array.blocks[:, 1].shape
        (4, 2)
        """
        return Indexer(self, blocks_of(self._native))

    def __getitem__(self, key: Any) -> Any:
        return self._get(key, parse)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._set(key, value, parse)

    def _set(self, key: Any, value: Any, parse: Parse) -> None:
        assign(self._native, self.shape, self.dtype, key, value, parse)

    def _get(self, key: Any, parse: Parse) -> Any:
        loaded = self._loaded or self._load()
        if names := _fields(key, loaded.dtype):
            rest = key[1:] if isinstance(key, tuple) else ...
            return self._get(rest, parse)[names]
        parsed = parse(key, loaded.shape)
        if 0 in parsed.shape:
            return np.empty(parsed.shape, loaded.dtype)
        elements = loaded.native.retrieve_selection(parsed)
        return elements[()] if parsed.scalar else elements


def blocks_of(native: _tegula.Array) -> Parse:
    """Return the parser of ``blocks`` indices of an array."""
    lengths, grid = native.grid_chunk_shape, native.chunk_grid_shape
    return lambda key, shape: parse_blocks(key, shape, lengths, grid)


def assign(
    native: _tegula.Array | _tegula.WriteSession,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    key: Any,
    value: Any,
    parse: Parse,
) -> None:
    """Broadcast a value to the selection, and store it in an array or stage it in a session."""
    names = _fields(key, dtype)
    if names:
        key = key[1:] if isinstance(key, tuple) else ...
    parsed = parse(key, shape)
    # As NumPy does, drop leading axes of length 1 that the selection lacks.
    data = _records(dtype, names, value) if names else as_elements(value, dtype)
    while data.ndim > len(parsed.shape) and len(data) == 1:
        data = data[0]
    data = np.broadcast_to(data, parsed.shape)
    if 0 in parsed.shape:
        return
    data = data if parsed.inner is None else data.reshape(parsed.inner)
    native.store_selection(parsed, data, list(data.dtype.names or ()) if names else None)


def _fields(key: Any, dtype: np.dtype[Any]) -> str | list[str] | None:
    """Return the fields that the first item of an index names; None if it names no fields."""
    first = key[0] if isinstance(key, tuple) and key else key
    names = [first] if isinstance(first, str) else first
    if not (dtype.fields and isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        return None
    for number, name in enumerate(names):
        if name not in dtype.fields:
            raise InvalidSelectionError(f"unknown field {name!r}; the fields are {', '.join(map(repr, dtype.fields))}")
        if name in names[:number]:
            raise InvalidSelectionError(f"field {name!r} is named twice")
    return first if isinstance(first, str) else list(names)


def _records(dtype: np.dtype[Any], names: str | list[str], value: Any) -> NDArray[Any]:
    """Convert a value for some fields to packed records of these fields."""
    fields: Mapping[str, Any] = dtype.fields or {}
    chosen = [names] if isinstance(names, str) else names
    records = np.dtype({"names": chosen, "formats": [fields[name][0] for name in chosen]})
    if not isinstance(names, str):
        return as_elements(value, records)
    field = fields[names][0]
    given = as_elements(value, field.base)
    # The last axes of the value belong to a field that is an array.
    data = np.empty(given.shape[: max(given.ndim - field.ndim, 0)], records)
    data[names] = given
    return data
