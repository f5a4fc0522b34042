"""Writing by chunks and regions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula._array.handle import Handle, Index, Region
from tegula._async import twin
from tegula._tegula import PartialEncoder


class Storing(Handle):
    """The ``store_`` and ``erase_`` methods of an array, and their ``async_`` twins."""

    __slots__ = ()

    def store_chunk(self, chunk: Index, data: Any) -> None:
        """Store a chunk, padding past the array's end included.

        A chunk of nothing but the fill value is erased instead, unless the option `store_empty_chunks` is set.

        Parameters
        ----------
        chunk : sequence of int
            Its index in the grid of chunks.
        data : array_like
            The elements, of the chunk's shape. An ndarray must have the array's data type.

        Raises
        ------
        InvalidSelectionError
            If shape or data type are others, before anything is stored.
        """
        return self._native.store_region("chunk", chunk, self._data(data))

    async_store_chunk = twin(store_chunk)

    def store_chunks(self, chunks: Region, data: Any) -> None:
        """Store a region of chunks, padding past the array's end included.

        Parameters
        ----------
        chunks : ArraySubset or a slice, range or pair for each dimension
            The region of the grid of chunks.
        data : array_like
            The elements, of the shape of `chunks_subset`. An ndarray must have the array's data type.
        """
        return self._native.store_region("chunks", chunks, self._data(data))

    async_store_chunks = twin(store_chunks)

    def store_chunk_subset(self, chunk: Index, subset: Region, data: Any) -> None:
        """Store a region of a chunk, as seen from the chunk's first element; see `store_array_subset`.

        Parameters
        ----------
        chunk : sequence of int
            The chunk's index in the grid of chunks.
        subset : ArraySubset or a slice, range or pair for each dimension
            The region, which may reach into the padding past the array's end.
        data : array_like
            The elements, of the region's shape. An ndarray must have the array's data type.
        """
        return self._native.store_region("chunk_subset", (chunk, subset), self._data(data))

    async_store_chunk_subset = twin(store_chunk_subset)

    def store_array_subset(self, subset: Region, data: Any) -> None:
        """Store a region.

        Chunks that the region covers, as far as they lie in the array, are stored without a look at what is there.
        Others are read, changed and stored again; of shards, no more than the inner chunks that are touched. Writers
        that touch the same chunk wait for each other, so that none loses what another wrote: threads always, processes
        where the store is a local folder; on an object store, one that meets another's change begins again. Where
        processes cannot be made to wait, as in a mapping that is no dict, a region that cuts chunks is refused, unless
        the option `unlocked_writes` is set.

        Parameters
        ----------
        subset : ArraySubset or a slice, range or pair for each dimension
            The region.
        data : array_like
            The elements, of the region's shape. An ndarray must have the array's data type.

        Raises
        ------
        InvalidSelectionError
            If shape or data type are others, or the region does not lie in the array.
        UnsupportedError
            If the region cuts chunks that other processes could write meanwhile; it names one that does not.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), chunks=(3,), dtype="uint8", fill_value=1)
        >>> array.store_array_subset([(2, 4)], [8, 9])
        >>> array[...]
        array([1, 1, 8, 9], dtype=uint8)
        """
        return self._native.store_region("subset", subset, self._data(data))

    async_store_array_subset = twin(store_array_subset)

    def store_encoded_chunk(self, chunk: Index, encoded: bytes) -> None:
        """Store a chunk that is encoded already, as `retrieve_encoded_chunk` gives it. Its bytes are not looked at."""
        return self._native.store_encoded_chunk(chunk, encoded)

    async_store_encoded_chunk = twin(store_encoded_chunk)

    def erase_chunk(self, chunk: Index) -> None:
        """Erase a chunk, if it is stored."""
        return self._native.erase_chunk(chunk)

    async_erase_chunk = twin(erase_chunk)

    def erase_chunks(self, chunks: Region) -> None:
        """Erase those of a region of chunks that are stored."""
        return self._native.erase_chunks(chunks)

    async_erase_chunks = twin(erase_chunks)

    def erase_metadata(self) -> None:
        """Erase the array's metadata. Chunks stay in the store, where nobody finds them as an array."""
        return self._native.erase_metadata()

    async_erase_metadata = twin(erase_metadata)

    def partial_encoder(self, chunk: Index) -> PartialEncoder:
        """Return an encoder of parts of a chunk, which stores several at once.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(6,), chunks=(6,), dtype="int32")
        >>> array.partial_encoder((0,)).partial_encode([([(0, 2)], [1, 2]), ([(5, 6)], [3])])
        >>> array[...]
        array([1, 2, 0, 0, 0, 3], dtype=int32)
        """
        return self._native.partial_encoder(chunk)

    def compact(self, *, drop_empty: bool = False) -> int:
        """Rewrite the shards that are larger than they need be.

        Those are rewritten that have bytes which no inner chunk needs, as some writers leave them behind, or whose
        inner chunks lie in another order than the option `inner_chunk_order` says. Others stay as they are, as do
        chunks that are no shards. For that only the indexes of shards are read.

        Parameters
        ----------
        drop_empty : bool
            Whether inner chunks are decoded, too, and go if they hold nothing but the fill value.

        Returns
        -------
        int
            How many bytes shorter the shards are in all.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(8,), chunks=(2,), shards=(8,), dtype="uint8")
        >>> array[...] = 1
        >>> array.compact()
        0
        """
        return self._native.compact(None, drop_empty)

    async_compact = twin(compact)

    def compact_chunk(self, chunk: Index, *, drop_empty: bool = False) -> int:
        """Rewrite the shard that a chunk is, as `compact` does; return how many bytes shorter it is."""
        return self._native.compact(chunk, drop_empty)

    async_compact_chunk = twin(compact_chunk)

    def _data(self, data: Any) -> NDArray[Any]:
        return data if isinstance(data, np.ndarray) else np.asarray(data, self.dtype)
