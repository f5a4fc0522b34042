"""Methods of `Array` that write chunks and regions."""

from typing import Any

from numpy.typing import NDArray

from tegula._array.handle import Handle, Index, Region
from tegula._async import twin
from tegula._elements import exact_elements
from tegula._guide import guided
from tegula._tegula import PartialEncoder


class StoreMethods(Handle):
    """The ``store_`` and ``erase_`` methods of `Array`, and their ``async_`` twins."""

    __slots__ = ()

    def store_chunk(self, chunk: Index, data: Any) -> None:
        """Store a chunk, including padding past the end of the array.

        A chunk that holds only the fill value is erased instead, unless the option `store_empty_chunks` is set.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk in the chunk grid.
        data : array_like
            The elements, of the chunk's shape. An ndarray must have the array's data type.

        Raises
        ------
        InvalidSelectionError
            If the shape or data type of `data` is wrong. Nothing is stored then.
        """
        return self._native.store_region("chunk", chunk, self._exact(data))

    async_store_chunk = twin(store_chunk)

    def store_chunks(self, chunks: Region, data: Any) -> None:
        """Store a range of chunks, including padding past the end of the array.

        Parameters
        ----------
        chunks : ArraySubset or a slice, range or pair for each dimension
            The range of chunks in the chunk grid.
        data : array_like
            The elements, with the shape of `chunks_subset`. An ndarray must have the array's data type.
        """
        return self._native.store_region("chunks", chunks, self._exact(data))

    async_store_chunks = twin(store_chunks)

    def store_chunk_subset(self, chunk: Index, subset: Region, data: Any) -> None:
        """Store a region of a chunk; see `store_array_subset`.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk in the chunk grid.
        subset : ArraySubset or a slice, range or pair for each dimension
            The region, relative to the first element of the chunk. It may include padding past the end of the array.
        data : array_like
            The elements, of the region's shape. An ndarray must have the array's data type.
        """
        return self._native.store_region("chunk_subset", (chunk, subset), self._exact(data))

    async_store_chunk_subset = twin(store_chunk_subset)

    def store_array_subset(self, subset: Region, data: Any) -> None:
        """Store a region.

        A chunk that the region covers, apart from padding, is stored without reading it. Any other chunk is read,
        changed and stored; of a shard, only the inner chunks that the region touches. Writers of one chunk wait for
        each other, so that no change is lost: threads always, processes if the store is a local folder. On an object
        store, a writer starts again if another process changed the chunk. In a store that cannot exclude other
        processes, such as a mapping that is not a dict, a region that covers chunks partly is refused, unless the
        option `unlocked_writes` is set.

        Parameters
        ----------
        subset : ArraySubset or a slice, range or pair for each dimension
            The region.
        data : array_like
            The elements, of the region's shape. An ndarray must have the array's data type.

        Raises
        ------
        InvalidSelectionError
            If the shape or data type of `data` is wrong, or the region is not inside the array.
        UnsupportedError
            If the region covers chunks partly in a store that cannot exclude other processes. The message names a
            region of whole chunks.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), chunks=(3,), dtype="uint8", fill_value=1)
        >>> array.store_array_subset([(2, 4)], [8, 9])
        >>> array[...]
        array([1, 1, 8, 9], dtype=uint8)
        """
        return self._native.store_region("subset", subset, self._exact(data))

    async_store_array_subset = twin(store_array_subset)

    def store_encoded_chunk(self, chunk: Index, encoded: bytes) -> None:
        """Store the encoded bytes of a chunk without checks; see `retrieve_encoded_chunk`."""
        return self._native.store_encoded_chunk(chunk, encoded)

    async_store_encoded_chunk = twin(store_encoded_chunk)

    def erase_chunk(self, chunk: Index) -> None:
        """Erase a chunk, if it is stored."""
        return self._native.erase_chunk(chunk)

    async_erase_chunk = twin(erase_chunk)

    def erase_chunks(self, chunks: Region) -> None:
        """Erase the stored chunks of a range of chunks."""
        return self._native.erase_chunks(chunks)

    async_erase_chunks = twin(erase_chunks)

    def erase_metadata(self) -> None:
        """Erase the metadata of the array. Its chunks remain in the store."""
        return self._native.erase_metadata()

    async_erase_metadata = twin(erase_metadata)

    def partial_encoder(self, chunk: Index) -> PartialEncoder:
        """Return an encoder that stores several parts of a chunk at once.

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

    @guided
    def compact(self, *, drop_empty: bool = False) -> int:
        """Rewrite the shards that are larger than necessary.

        A shard is rewritten if it has unused bytes, which some writers leave between inner chunks, or if its inner
        chunks are not in the order of the option `inner_chunk_order`. To find such shards, only their indexes are read.

        Parameters
        ----------
        drop_empty : bool
            Whether inner chunks are decoded as well, and removed if they hold only the fill value.

        Returns
        -------
        int
            The number of bytes saved.

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
        """Rewrite one shard, as `compact` does; return the number of bytes saved."""
        return self._native.compact(chunk, drop_empty)

    async_compact_chunk = twin(compact_chunk)

    def _exact(self, data: Any) -> NDArray[Any]:
        return exact_elements(data, self.dtype)
