"""Methods of `Array` that read chunks and regions."""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula._array.geometry import Geometry
from tegula._array.handle import Handle, Index, Region
from tegula._array.selection import parse
from tegula._array.variable import VariableArray
from tegula._async import then, twin
from tegula._guide import guided
from tegula._tegula import ArraySubset, PartialDecoder
from tegula.errors import InvalidSelectionError

T = TypeVar("T")


class RetrieveMethods(Geometry):
    """The ``retrieve_`` methods of `Array`, and their ``async_`` twins."""

    __slots__ = ()

    def _check_dtype(self, dtype: DTypeLike | None) -> None:
        if dtype is not None and np.dtype(dtype) != self.dtype:
            raise InvalidSelectionError(f"{self.name}: the elements are {self.dtype}, not {np.dtype(dtype)}")

    def retrieve_array_subset(
        self, subset: Region, out: NDArray[Any] | None = None, dtype: DTypeLike | None = None
    ) -> NDArray[Any]:
        """Read a region of the array.

        The elements of chunks that are not stored are the fill value.

        Parameters
        ----------
        subset : ArraySubset or a slice, range or pair for each dimension
            The region.
        out : ndarray, optional
            Array to read into, of the shape and data type of the result.
        dtype : optional
            The expected data type. Elements are never converted: any other data type is an error.

        Returns
        -------
        ndarray
            The elements, of the region's shape; `out` if it is given.

        Raises
        ------
        InvalidSelectionError
            If the region is not inside the array, or does not fit `out` or `dtype`. Nothing is read then.
        CorruptDataError
            If a chunk cannot be decoded.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), dtype="int32", fill_value=7)
        >>> array.retrieve_array_subset((slice(1, 3), range(2)))
        array([[7, 7],
               [7, 7]], dtype=int32)
        """
        self._check_dtype(dtype)
        return self._native.retrieve_region("subset", subset, out)

    async_retrieve_array_subset = twin(retrieve_array_subset)

    def retrieve_array_subsets(self, starts: Any, shape: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read many regions of the same shape in one call.

        Parameters
        ----------
        starts : array_like of int, shape (n, ndim)
            The first element of each region.
        shape : sequence of int
            The shape of each region.
        out : ndarray, shape (n, *shape), optional
            Array to read into, of the shape and data type of the result.

        Returns
        -------
        ndarray, shape (n, *shape)
            The regions.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), dtype="int32")
        >>> array[...] = np.arange(24).reshape(4, 6)
        >>> array.retrieve_array_subsets([(0, 0), (2, 3)], (1, 3))
        array([[[ 0,  1,  2]],
        <BLANKLINE>
               [[15, 16, 17]]], dtype=int32)
        """
        return self._native.retrieve_array_subsets(self._starts(starts), shape, out)

    async_retrieve_array_subsets = twin(retrieve_array_subsets)

    def _starts(self, starts: Any) -> NDArray[np.int64]:
        array = np.asarray(starts)
        if array.size == 0:
            return np.empty((0, self.ndim), np.int64)
        if array.dtype.kind not in "iu" or array.ndim != 2:
            raise InvalidSelectionError(
                f"starts must be integers of shape (n, {self.ndim}), not {array.dtype} of shape {array.shape}"
            )
        return array.astype(np.int64, copy=False)

    def retrieve_variable(self, selection: Any = ...) -> VariableArray:
        """Read elements of variable length as bytes and offsets, without an object for each element.

        Parameters
        ----------
        selection
            An index as in ``array[...]``, or an `ArraySubset`.

        Returns
        -------
        VariableArray
            The elements: text for the data type ``string`` and for JSON, otherwise bytes. Lists are returned as stored.

        Raises
        ------
        InvalidSelectionError
            If the elements have a fixed size, or the selection is not inside the array.
        CorruptDataError
            If a chunk cannot be decoded.
        """
        if isinstance(selection, ArraySubset):
            selection = selection.to_slices()
        parsed = parse(selection, self.shape)
        is_text = self._native.data_type in ("string", "object")

        def variable(_: Handle, parts: Any) -> VariableArray:
            elements, offsets = parts
            return VariableArray(elements, offsets, parsed.shape, is_text=is_text)

        return then(self, self._native.with_elements(None).retrieve_selection(parsed), variable)

    async_retrieve_variable = twin(retrieve_variable)

    def retrieve_chunk(self, chunk: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a chunk, including padding past the end of the array; a shard, if the array is sharded.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk in the chunk grid.
        out : ndarray, optional
            Array to read into, of the shape and data type of the result.

        Returns
        -------
        ndarray
            The elements, of the chunk's shape; the fill value if the chunk is not stored.

        Raises
        ------
        InvalidSelectionError
            If the chunk is outside the chunk grid.
        CorruptDataError
            If the chunk cannot be decoded.
        """
        return self._native.retrieve_region("chunk", chunk, out)

    async_retrieve_chunk = twin(retrieve_chunk)

    def retrieve_chunk_if_exists(self, chunk: Index) -> NDArray[Any] | None:
        """Read a chunk like `retrieve_chunk`, but return None if it is not stored.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), chunks=(2,), dtype="int32")
        >>> array.store_chunk(0, np.array([1, 2], "int32"))
        >>> array.retrieve_chunk_if_exists(0)
        array([1, 2], dtype=int32)
        >>> array.retrieve_chunk_if_exists(1)
        """
        return self._native.retrieve_chunk_if_exists(chunk)

    async_retrieve_chunk_if_exists = twin(retrieve_chunk_if_exists)

    def retrieve_chunks(self, chunks: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a range of chunks as one array, including padding past the end of the array.

        Parameters
        ----------
        chunks : ArraySubset or a slice, range or pair for each dimension
            The range of chunks in the chunk grid.
        out : ndarray, optional
            Array to read into, of the shape and data type of the result.
        """
        return self._native.retrieve_region("chunks", chunks, out)

    async_retrieve_chunks = twin(retrieve_chunks)

    def retrieve_chunk_subset(self, chunk: Index, subset: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a region of a chunk.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk.
        subset : ArraySubset or a slice, range or pair for each dimension
            The region, relative to the first element of the chunk.
        out : ndarray, optional
            Array to read into, of the shape and data type of the result.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(6,), chunks=(3,), dtype="int32")
        >>> array[...] = np.arange(6)
        >>> array.retrieve_chunk_subset((1,), [(1, 3)])
        array([4, 5], dtype=int32)
        """
        return self._native.retrieve_region("chunk_subset", (chunk, subset), out)

    async_retrieve_chunk_subset = twin(retrieve_chunk_subset)

    def retrieve_inner_chunk(self, inner: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read an inner chunk; a chunk, if the array is not sharded.

        Parameters
        ----------
        inner : sequence of int
            The index of the inner chunk in the array's grid of inner chunks.
        out : ndarray, optional
            Array to read into, of the shape and data type of the result.
        """
        return self._native.retrieve_region("inner_chunk", inner, out)

    async_retrieve_inner_chunk = twin(retrieve_inner_chunk)

    def retrieve_inner_chunks(self, inner: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a range of inner chunks; of chunks, if the array is not sharded.

        Parameters
        ----------
        inner : ArraySubset or a slice, range or pair for each dimension
            The range of inner chunks in the array's grid of inner chunks.
        out : ndarray, optional
            Array to read into, of the shape and data type of the result.
        """
        return self._native.retrieve_region("inner_chunks", inner, out)

    async_retrieve_inner_chunks = twin(retrieve_inner_chunks)

    def retrieve_encoded_chunk(self, chunk: Index) -> bytes | None:
        """Read the stored bytes of a chunk; return None if it is not stored.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk.
        """
        return self._native.retrieve_encoded_chunk(chunk)

    async_retrieve_encoded_chunk = twin(retrieve_encoded_chunk)

    def retrieve_encoded_chunks(self, chunks: Region) -> list[bytes | None]:
        """Read the stored bytes of a range of chunks, in C order of their indices.

        Parameters
        ----------
        chunks : ArraySubset or a slice, range or pair for each dimension
            The range of chunks in the chunk grid.
        """
        return self._native.retrieve_encoded_chunks(chunks)

    async_retrieve_encoded_chunks = twin(retrieve_encoded_chunks)

    def retrieve_encoded_inner_chunk(self, inner: Index) -> bytes | None:
        """Read the stored bytes of an inner chunk; of a chunk, if the array is not sharded.

        Parameters
        ----------
        inner : sequence of int
            The index of the inner chunk in the array's grid of inner chunks.
        """
        return self._native.retrieve_encoded_inner_chunk(inner)

    async_retrieve_encoded_inner_chunk = twin(retrieve_encoded_inner_chunk)

    def partial_decoder(self, chunk: Index) -> PartialDecoder:
        """Return a decoder that reads parts of a chunk and caches decoded data between calls.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(6,), chunks=(3,), dtype="int32")
        >>> array[...] = np.arange(6)
        >>> array.partial_decoder((1,)).partial_decode([[(0, 1)], [(1, 3)]])
        [array([3], dtype=int32), array([4, 5], dtype=int32)]
        """
        return self._native.partial_decoder(chunk)

    def chunk_exists(self, chunk: Index) -> bool:
        """Return whether a chunk is stored."""
        return self._native.chunk_exists(chunk)

    @guided
    def map_chunks(
        self,
        f: Callable[[tuple[int, ...], NDArray[Any]], T],
        chunks: Region | None = None,
        concurrency: int = 4,
    ) -> list[T]:
        """Call a function with each chunk, in threads.

        Parameters
        ----------
        f : callable
            Called with the index of a chunk and its elements, without padding.
        chunks : ArraySubset or a slice, range or pair for each dimension, optional
            The chunks (shards, if the array is sharded); by default all chunks.
        concurrency : int
            The number of chunks that are read and processed at once.

        Returns
        -------
        list
            The results of `f`, in C order of the chunk indices.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(5,), chunks=(2,), dtype="int32")
        >>> array[...] = np.arange(5)
        >>> array.map_chunks(lambda index, elements: (index, int(elements.sum())))
        [((0,), 1), ((1,), 5), ((2,), 4)]
        """
        from concurrent.futures import Future, ThreadPoolExecutor

        def work(chunk: tuple[int, ...]) -> T:
            return f(chunk, self.retrieve_array_subset(self.chunk_subset_bounded(chunk)))

        region = (
            ArraySubset.new_with_shape(self.chunk_grid_shape) if chunks is None else self._native.grid_region(chunks)
        )
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        results: list[T] = []
        waiting: deque[Future[T]] = deque()
        with ThreadPoolExecutor(concurrency, "tegula-map") as pool:
            try:
                for chunk in region.indices():
                    if len(waiting) >= 2 * concurrency:
                        results.append(waiting.popleft().result())
                    waiting.append(pool.submit(work, chunk))
                results.extend(future.result() for future in waiting)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return results
