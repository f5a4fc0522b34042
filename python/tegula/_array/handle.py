"""The handle that the methods of arrays share: native array, shape, data type and store."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self, SupportsIndex, TypeAlias

import numpy as np

from tegula import _tegula
from tegula._async import Answer
from tegula._tegula import ArraySubset, ChunkCache
from tegula.stores import Store

Index: TypeAlias = SupportsIndex | Iterable[SupportsIndex]
"""The index of a chunk: an integer for each dimension."""

Axis: TypeAlias = slice | range | Sequence[SupportsIndex]

Region: TypeAlias = ArraySubset | slice | range | Sequence[Axis]
"""A region: an `ArraySubset`, or a slice, a range or a pair (start, stop) for each dimension."""


class Loaded:
    """A native array, and what each read asks of it. Never changed, so that threads see shape and chunks that agree."""

    __slots__ = ("dtype", "native", "shape")

    def __init__(self, native: _tegula.Array) -> None:
        self.native = native
        self.shape = native.shape
        self.dtype = native.dtype


class Handle:
    """A native array in a store, loaded when it is first used.

    A subclass whose native array is not there from the start leaves `_loaded` as None and overrides `_load`; one with
    slots of its own copies them in `_like`.
    """

    __slots__ = ("__weakref__", "_cache", "_loaded", "_store")

    _loaded: Loaded | None
    _store: Store
    _cache: ChunkCache | None

    @classmethod
    def _wrap(cls, native: _tegula.Array, store: Store, cache: ChunkCache | None = None) -> Self:
        """Return a handle of a native array."""
        handle = object.__new__(cls)
        handle._store = store
        handle._cache = cache
        handle._loaded = Loaded(native)
        return handle

    def _like(self, native: _tegula.Array) -> Self:
        """Return a handle of another native array, with everything else as in this one."""
        return self._wrap(native, self._store, self._cache)

    def _deferred(self, done: Answer[Any]) -> Self:
        """Return the handle for one call of a twin: the native call returns `done` and leaves the answer to it."""
        return self._like(self._native.deferred(done))

    def _become(self, native: _tegula.Array) -> None:
        """Make this the handle of another native array."""
        self._loaded = Loaded(native)

    def _load(self) -> Loaded:
        """Return what is loaded; load it if it is not."""
        if self._loaded is None:
            raise TypeError(f"{type(self).__name__} has no native array")
        return self._loaded

    def _refuse_mask(self) -> None:
        """Raise if the array has a mask, which a copy would lose."""

    @property
    def _native(self) -> _tegula.Array:
        return (self._loaded or self._load()).native

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""
        return (self._loaded or self._load()).shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements, in this machine's byte order.

        Text of variable length is NumPy's ``StringDType``, before NumPy 2 objects; bytes of variable length, lists and
        JSON are objects. See `with_string_dtype`.
        """
        return (self._loaded or self._load()).dtype

    @property
    def name(self) -> str:
        """Store and path, for people."""
        return self._native.name

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields of structured elements; empty if they have none."""
        return self.dtype.names or ()

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the decoded elements; for elements of variable length, of what NumPy keeps for each."""
        return self.size * self.dtype.itemsize
