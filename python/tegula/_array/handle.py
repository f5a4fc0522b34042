"""The base class of `Array`: native array, shape, data type and store."""

import math
from collections.abc import Iterable, Sequence
from types import TracebackType
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


class NativeState:
    """A native array with its shape and data type. It never changes, so threads always see a consistent state."""

    __slots__ = ("dtype", "native", "shape")

    def __init__(self, native: _tegula.Array) -> None:
        self.native = native
        self.shape = native.shape
        self.dtype = native.dtype


class Handle:
    """A native array in a store, loaded when it is first used.

    A subclass that loads its native array lazily leaves `_loaded` as None and overrides `_load`. A subclass with more
    slots copies them in `_like`.
    """

    __slots__ = ("__weakref__", "_cache", "_loaded", "_store")

    _loaded: NativeState | None
    _store: Store
    _cache: ChunkCache | None

    @classmethod
    def _wrap(cls, native: _tegula.Array, store: Store, cache: ChunkCache | None = None) -> Self:
        """Return a handle of a native array."""
        handle = object.__new__(cls)
        handle._store = store
        handle._cache = cache
        handle._loaded = NativeState(native)
        return handle

    def _like(self, native: _tegula.Array) -> Self:
        """Return a handle of another native array with the same store and cache."""
        return self._wrap(native, self._store, self._cache)

    def _deferred(self, done: Answer[Any]) -> Self:
        """Return a handle for one asynchronous call: it returns `done` immediately and passes the result to `done`."""
        return self._like(self._native.deferred(done))

    def _become(self, native: _tegula.Array) -> None:
        """Replace the native array of this handle."""
        self._loaded = NativeState(native)

    def _load(self) -> NativeState:
        """Return the native state; load it if necessary."""
        if self._loaded is None:
            raise TypeError(f"{type(self).__name__} has no native array")
        return self._loaded

    def __enter__(self) -> Self:
        """Return this handle.

        The end of a ``with`` block completes a zip archive that is being written, if this is the array at its root; an
        exception gives it up. Otherwise nothing is open.
        """
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._native.path:
            self._store.__exit__(kind, error, trace)

    def _refuse_mask(self) -> None:
        """Raise an error if the array has a mask, which a copy would lose."""

    @property
    def _native(self) -> _tegula.Array:
        return (self._loaded or self._load()).native

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""
        return (self._loaded or self._load()).shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy data type of the elements, in native byte order.

        Text of variable length has NumPy's ``StringDType``, or ``object`` before NumPy 2. Bytes of variable length,
        lists and JSON have ``object``. See `with_string_dtype`.
        """
        return (self._loaded or self._load()).dtype

    @property
    def name(self) -> str:
        """The store and the path, for messages."""
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
        """The size of the decoded elements in bytes; elements of variable length count with NumPy's item size."""
        return self.size * self.dtype.itemsize
