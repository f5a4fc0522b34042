"""Shapes of arrays and of their chunks."""

from typing import Any

from tegula._array.handle import Handle, Index, Region
from tegula._tegula import ArraySubset


class Geometry(Handle):
    """The properties and methods of an array that tell its chunks without reading anything."""

    __slots__ = ()

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

    def chunk_origin(self, chunk: Index) -> tuple[int, ...]:
        """Return the first element of a chunk."""
        return self._native.region("chunk", chunk).start

    def chunk_shape(self, chunk: Index) -> tuple[int, ...]:
        """Return the shape of a chunk, padding past the array's end included."""
        return self._native.region("chunk", chunk).shape

    def chunk_subset(self, chunk: Index) -> ArraySubset:
        """Return the elements of a chunk, which may reach past the array's end.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(5,), chunks=(3,), dtype="int32")
        >>> array.chunk_subset(1), array.chunk_subset_bounded(1)
        (ArraySubset([3:6]), ArraySubset([3:5]))
        """
        return self._native.region("chunk", chunk)

    def chunk_subset_bounded(self, chunk: Index) -> ArraySubset:
        """Return the elements of a chunk that lie in the array."""
        return self._native.region("chunk", chunk).bound(self.shape)

    def chunks_subset(self, chunks: Region) -> ArraySubset:
        """Return the elements of a region of chunks, which may reach past the array's end."""
        return self._native.region("chunks", chunks)

    def chunks_subset_bounded(self, chunks: Region) -> ArraySubset:
        """Return the elements of a region of chunks that lie in the array."""
        return self._native.region("chunks", chunks).bound(self.shape)

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
        return ArraySubset.new_with_shape(self.shape)

    def chunk_key(self, chunk: Index) -> str:
        """Return the key of a chunk in the store."""
        return self._native.chunk_key(chunk)
