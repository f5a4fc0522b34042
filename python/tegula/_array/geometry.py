"""Shapes of arrays and of their chunks."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from tegula import _tegula
from tegula._tegula import ArraySubset

Index: TypeAlias = SupportsIndex | Iterable[SupportsIndex]
"""The index of a chunk: an integer for each dimension."""

Axis: TypeAlias = slice | range | Sequence[SupportsIndex]

Region: TypeAlias = ArraySubset | slice | range | Sequence[Axis]
"""A region: an `ArraySubset`, or a slice, a range or a pair (start, stop) for each dimension."""


class Geometry:
    """What an array knows of its shape and of its chunks without reading anything."""

    __slots__ = ("_dtype", "_native", "_shape")

    _native: _tegula.Array
    _shape: tuple[int, ...]
    _dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements, in this machine's byte order.

        Text of variable length is NumPy's ``StringDType``, before NumPy 2 objects; bytes of variable length, lists and
        JSON are objects. See `with_string_dtype`.
        """
        return self._dtype

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields of structured elements; empty: they have none."""
        return self._dtype.names or ()

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self._shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the elements, decoded; of elements of variable length, those that NumPy keeps for each."""
        return self.size * self._dtype.itemsize

    @property
    def chunks(self) -> tuple[Any, ...]:
        """The shape of the smallest piece that is read on its own: an inner chunk, if the array is sharded.

        Along an axis where chunks differ in length, this is a tuple of their lengths, as dask has it.
        """
        return self._native.inner_chunk_shape or self._native.grid_chunk_shape

    @property
    def shards(self) -> tuple[Any, ...] | None:
        """The shape of a shard; None if the array is not sharded. Where shards differ, as `chunks`."""
        return self._native.grid_chunk_shape if self.is_sharded else None

    @property
    def chunk_grid_shape(self) -> tuple[int, ...]:
        """The number of chunks along each axis: of shards, if the array is sharded."""
        return self._native.chunk_grid_shape

    @property
    def is_sharded(self) -> bool:
        """Whether chunks are shards of inner chunks."""
        return self._native.inner_chunk_shape is not None

    @property
    def inner_chunk_shape(self) -> tuple[int, ...] | None:
        """The shape of an inner chunk; None if the array is not sharded."""
        return self._native.inner_chunk_shape

    @property
    def inner_chunk_grid_shape(self) -> tuple[int, ...]:
        """The number of inner chunks along each axis; of chunks, if the array is not sharded."""
        return self._native.inner_chunk_grid_shape

    @property
    def name(self) -> str:
        """Store and path, for people."""
        return self._native.name

    def chunk_origin(self, chunk: Index) -> tuple[int, ...]:
        """Return the first element of a chunk."""
        return self._native.chunk_origin(chunk)

    def chunk_shape(self, chunk: Index) -> tuple[int, ...]:
        """Return the shape of a chunk, padding past the array's end included."""
        return self._native.chunk_shape(chunk)

    def chunk_subset(self, chunk: Index) -> ArraySubset:
        """Return the elements of a chunk, which may reach past the array's end.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(5,), chunks=(3,), dtype="int32")
        >>> array.chunk_subset(1), array.chunk_subset_bounded(1)
        (ArraySubset([3:6]), ArraySubset([3:5]))
        """
        return self._native.chunk_subset(chunk)

    def chunk_subset_bounded(self, chunk: Index) -> ArraySubset:
        """Return the elements of a chunk that lie in the array."""
        return self._native.chunk_subset_bounded(chunk)

    def chunks_subset(self, chunks: Region) -> ArraySubset:
        """Return the elements of a region of chunks, which may reach past the array's end."""
        return self._native.chunks_subset(chunks)

    def chunks_subset_bounded(self, chunks: Region) -> ArraySubset:
        """Return the elements of a region of chunks that lie in the array."""
        return self._native.chunks_subset_bounded(chunks)

    def chunks_in_array_subset(self, subset: Region) -> ArraySubset:
        """Return the region of chunks that a region of the array touches.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(9, 9), chunks=(3, 3), dtype="int32")
        >>> array.chunks_in_array_subset([(2, 4), (6, 9)])
        ArraySubset([0:2, 2:3])
        """
        return self._native.chunks_in_array_subset(subset)

    def subset_all(self) -> ArraySubset:
        """Return the whole array as a region."""
        return self._native.subset_all()

    def chunk_key(self, chunk: Index) -> str:
        """Return the key of a chunk in the store."""
        return self._native.chunk_key(chunk)
