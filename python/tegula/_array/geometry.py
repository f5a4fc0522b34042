"""Shapes of arrays and of their chunks."""

from typing import Any

from tegula._array.handle import Handle, Index, Region
from tegula._tegula import ArraySubset


class Geometry(Handle):
    """The properties and methods of `Array` that describe its chunk grid. None of them reads from the store."""

    __slots__ = ()

    @property
    def chunks(self) -> tuple[Any, ...]:
        """The shape of a chunk; of an inner chunk, if the array is sharded.

        For an axis along which lengths vary, the item is a tuple of the lengths, as in dask.
        """
        return self._native.inner_chunk_shape or self._native.grid_chunk_shape

    @property
    def shards(self) -> tuple[Any, ...] | None:
        """The shape of a shard; None if the array is not sharded. For varying lengths, see `chunks`."""
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
        """Return the index of the first element of a chunk."""
        return self._native.region("chunk", chunk).start

    def chunk_shape(self, chunk: Index) -> tuple[int, ...]:
        """Return the shape of a chunk, including padding past the end of the array."""
        return self._native.region("chunk", chunk).shape

    def chunk_subset(self, chunk: Index) -> ArraySubset:
        """Return the region of a chunk, including padding past the end of the array.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(5,), chunks=(3,), dtype="int32")
        >>> array.chunk_subset(1), array.chunk_subset_bounded(1)
        (ArraySubset([3:6]), ArraySubset([3:5]))
        """
        return self._native.region("chunk", chunk)

    def chunk_subset_bounded(self, chunk: Index) -> ArraySubset:
        """Return the region of a chunk, clipped to the array."""
        return self._native.region("chunk", chunk).bound(self.shape)

    def chunks_subset(self, chunks: Region) -> ArraySubset:
        """Return the region of a range of chunks, including padding past the end of the array."""
        return self._native.region("chunks", chunks)

    def chunks_subset_bounded(self, chunks: Region) -> ArraySubset:
        """Return the region of a range of chunks, clipped to the array."""
        return self._native.region("chunks", chunks).bound(self.shape)

    def chunks_in_array_subset(self, subset: Region) -> ArraySubset:
        """Return the range of chunks that a region of the array touches.

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
