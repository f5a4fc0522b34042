"""Stored arrays."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, SupportsIndex, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula import _tegula
from tegula._asynchronous import call
from tegula._tegula import ArraySubset, ChunkCache, CodecOptions, PartialDecoder
from tegula.errors import InvalidSelectionError, UnsupportedError
from tegula.explanation import CacheInfo, Explanation, readable
from tegula.indexing import parse
from tegula.stores import Store

__all__ = ["Array"]

T = TypeVar("T")

Index: TypeAlias = SupportsIndex | Iterable[SupportsIndex]
"""The index of a chunk: an integer for each dimension."""

Axis: TypeAlias = slice | range | Sequence[SupportsIndex]

Region: TypeAlias = ArraySubset | slice | range | Sequence[Axis]
"""A region: an `ArraySubset`, or a slice, a range or a pair (start, stop) for each dimension."""

ROWS = 64 << 20
"""Iteration reads no more rows at once than make so many bytes, but at least one chunk of them."""


class Array:
    """A chunked array in a store.

    Nothing is read until it is asked for. `tegula.open_array` and `tegula.create_array` make arrays; there is no other
    way. An array is a handle that never changes, costs little, can be shared by threads, survives a fork and pickles.

    Indexing follows NumPy, and so does what cannot be done. The ``retrieve_`` methods name what they read: chunks,
    inner chunks of shards, and regions. Where they take a region, that is an `ArraySubset`, or a slice, a range or a
    pair ``(start, stop)`` for each dimension; an end that a slice leaves out is that of the axis, and unlike those of
    an index, these bounds are not clipped: what lies outside is an error. Where they take ``out``, elements are read
    into that ndarray, which needs the shape and data type of what is read, but may have any strides. Every one of them
    has an ``async_`` twin.

    Examples
    --------
    >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), chunks=(2, 3), dtype="int32")
    >>> array[...] = np.arange(24).reshape(4, 6)
    >>> array
    <tegula.Array memory:/ shape=(4, 6) dtype=int32 chunks=(2, 3)>
    >>> array[1, ::2]
    array([ 6,  8, 10], dtype=int32)
    >>> array.retrieve_chunk((1, 0))
    array([[12, 13, 14],
           [18, 19, 20]], dtype=int32)
    >>> array.retrieve_array_subset([(0, 2), (4, 6)])
    array([[ 4,  5],
           [10, 11]], dtype=int32)
    """

    __slots__ = ("__weakref__", "_cache", "_dtype", "_native", "_shape", "_store")

    _native: _tegula.Array
    _store: Store
    _cache: ChunkCache | None
    _shape: tuple[int, ...]
    _dtype: np.dtype[Any]

    def __init__(self) -> None:
        raise TypeError("arrays come from tegula.open_array and tegula.create_array")

    @classmethod
    def _wrap(cls, native: _tegula.Array, store: Store, cache: ChunkCache | None = None) -> "Array":
        array = object.__new__(cls)
        array._native = native
        array._store = store
        array._cache = cache
        array._shape = native.shape
        array._dtype = native.dtype
        return array

    # What it is.

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements, in this machine's byte order."""
        return self._dtype

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
        """The bytes of the elements, decoded."""
        return self.size * self._dtype.itemsize

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of the smallest piece that is read on its own: an inner chunk, if the array is sharded."""
        return self._native.inner_chunk_shape or self._native.grid_chunk_shape

    @property
    def shards(self) -> tuple[int, ...] | None:
        """The shape of a shard; None if the array is not sharded."""
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
    def attrs(self) -> dict[str, Any]:
        """What users wrote beside the array. This is a copy: changes to it are not stored."""
        return self._native.attributes()

    @property
    def fill_value(self) -> Any:
        """The value of elements that were never stored, as a NumPy scalar."""
        return np.frombuffer(self._native.fill_value, self._dtype)[0]

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as they are stored: ``zarr.json``, or ``.zarray`` of Zarr V2."""
        return self._native.metadata()

    @property
    def codecs(self) -> list[dict[str, Any]]:
        """The codecs of a chunk in the order of encoding, each a name and a configuration in terms of Zarr V3."""
        return self._native.codecs()

    @property
    def dimension_names(self) -> tuple[str | None, ...] | None:
        """The names of the dimensions, if they have any."""
        names = self._native.dimension_names
        return None if names is None else tuple(names)

    @property
    def zarr_format(self) -> int:
        """The version of Zarr: 3 or 2."""
        return self._native.zarr_format

    @property
    def store(self) -> Store:
        """The store it lies in."""
        return self._store

    @property
    def path(self) -> str:
        """Its path in the store, without a slash at either end."""
        return self._native.path

    @property
    def name(self) -> str:
        """Store and path, for people."""
        return self._native.name

    @property
    def info(self) -> str:
        """A description for people. Nothing is read for it."""
        rows = [
            ("name", self.name),
            ("format", f"Zarr V{self.zarr_format}"),
            ("shape", str(self.shape)),
            ("dimensions", ", ".join(str(name) for name in self.dimension_names or ())),
            ("data type", str(self.dtype)),
            ("chunks", f"{self.chunks} in a grid of {self.inner_chunk_grid_shape}"),
            ("shards", f"{self.shards} in a grid of {self.chunk_grid_shape}" if self.is_sharded else ""),
            ("codecs", ", ".join(_describe(codec) for codec in self.codecs)),
            ("fill value", str(self.fill_value)),
            ("size", f"{self.size:,} elements, {readable(self.nbytes)}"),
        ]
        return "\n".join(f"{label:<12}{text}" for label, text in rows if text)

    def __repr__(self) -> str:
        shards = f" shards={self.shards}" if self.is_sharded else ""
        return f"<tegula.Array {self.name} shape={self.shape} dtype={self.dtype} chunks={self.chunks}{shards}>"

    # How it is read.

    @property
    def options(self) -> CodecOptions:
        """How it is read and written."""
        return self._native.options

    def with_options(
        self,
        options: CodecOptions | None = None,
        *,
        concurrent_target: int | None = None,
        validate_checksums: bool | None = None,
        store_empty_chunks: bool | None = None,
    ) -> "Array":
        """Return the same array, read and written with other options.

        Parameters
        ----------
        options : CodecOptions, optional
            All of them; by default those of the array.
        concurrent_target, validate_checksums, store_empty_chunks : optional
            Changes to these; see `CodecOptions`.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), dtype="uint8")
        >>> array.with_options(validate_checksums=False).options.validate_checksums
        False
        """
        options = (options or self.options).replace(
            concurrent_target=concurrent_target,
            validate_checksums=validate_checksums,
            store_empty_chunks=store_empty_chunks,
        )
        return self._wrap(self._native.with_options(options), self._store, self._cache)

    def with_cache(self, cache: ChunkCache | int | str | None) -> "Array":
        """Return the same array, whose reads keep chunks in a cache.

        Parameters
        ----------
        cache : ChunkCache, int, str or None
            The cache, which several arrays can share; or the bytes of decoded chunks for a new one, as a number or as
            in ``"256 MB"``; None: no cache.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), dtype="uint8")
        >>> array[...] = 7
        >>> array = array.with_cache("1 MB")
        >>> array[0], array[1]
        (np.uint8(7), np.uint8(7))
        >>> array.cache_info()
        CacheInfo(hits=1, misses=1, chunks=1, bytes=4)
        """
        if cache is not None and not isinstance(cache, ChunkCache):
            cache = ChunkCache.decoded(bytes=cache)
        return self._wrap(self._native.with_cache(cache), self._store, cache)

    @property
    def cache(self) -> ChunkCache | None:
        """The cache of its chunks, if it has one."""
        return self._cache

    def cache_info(self) -> CacheInfo:
        """Say how the cache fares; zeros if there is none."""
        return CacheInfo(*(self._cache.counts() if self._cache is not None else (0, 0, 0, 0)))

    def explain(self, selection: Any = ...) -> Explanation:
        """Say what reading a selection would do: chunks, requests and bytes.

        The indexes of shards are read for it, but no chunk.

        Parameters
        ----------
        selection
            What would stand between brackets, or an `ArraySubset`.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(8, 8), chunks=(4, 4), dtype="uint8")
        >>> array[...] = 7
        >>> array.explain(np.s_[3:5, 0]).chunks
        2
        """
        if isinstance(selection, ArraySubset):
            selection = selection.to_slices()
        axes, *_ = parse(selection, self._shape)
        return Explanation(**self._native.explain(axes))

    # Indexing.

    def __getitem__(self, key: Any) -> Any:
        axes, shape, scalar, straight = parse(key, self._shape)
        out: NDArray[Any] = np.empty(shape, self._dtype)
        whole = out if straight else out.reshape([axis[2] for axis in axes])
        self._native.retrieve_selection(axes, whole)
        return out[()] if scalar else out

    def __setitem__(self, key: Any, value: Any) -> None:
        axes, shape, *_ = parse(key, self._shape)
        # As NumPy assigns: converted, and repeated along axes of length 1 and those that are not there.
        data = np.asarray(value, self._dtype)
        while data.ndim > len(shape) and len(data) == 1:
            data = data[0]
        data = np.broadcast_to(data, shape).reshape([axis[2] for axis in axes])
        region = []
        for axis, (start, step, length) in enumerate(axes):
            if step not in (1, -1):
                raise UnsupportedError("regions with steps cannot be written yet: write whole chunks")
            first = start
            if step == -1:
                first = start - length + 1
                data = np.flip(data, axis)
            region.append((first, first + length))
        self._native.store_array_subset(region, data)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a stored array cannot become an ndarray without a copy")
        elements: NDArray[Any] = np.asarray(self[...])
        return elements if dtype is None else elements.astype(dtype, copy=False)

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("len() of unsized object")
        return self._shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self._shape:
            raise TypeError("iteration over a 0-d array")
        return self._rows()

    def _rows(self) -> Iterator[Any]:
        chunk = self._native.grid_chunk_shape[0]
        row = max(self.nbytes // max(self._shape[0], 1), 1)
        if chunk * row > ROWS:
            inner = self.chunks[0]
            chunk = max(ROWS // row // inner, 1) * inner
        for start in range(0, self._shape[0], chunk):
            yield from self[start : start + chunk]

    # Reading.

    def _check(self, dtype: DTypeLike | None) -> None:
        if dtype is not None and np.dtype(dtype) != self._dtype:
            raise InvalidSelectionError(f"{self.name}: the elements are {self._dtype}, not {np.dtype(dtype)}")

    def retrieve_array_subset(
        self, subset: Region, out: NDArray[Any] | None = None, dtype: DTypeLike | None = None
    ) -> NDArray[Any]:
        """Read a region of the array.

        Chunks that are not stored give the fill value.

        Parameters
        ----------
        subset : ArraySubset or a slice, range or pair for each dimension
            The region.
        out : ndarray, optional
            What to read into.
        dtype : optional
            What the elements must be. They are never converted: any other type is an error before anything is read.

        Returns
        -------
        ndarray
            The elements, of the region's shape; `out`, if it was given.

        Raises
        ------
        InvalidSelectionError
            If the region does not lie in the array, or does not fit `out` or `dtype`.
        CorruptDataError
            If a chunk cannot be decoded.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), dtype="int32", fill_value=7)
        >>> array.retrieve_array_subset((slice(1, 3), range(2)))
        array([[7, 7],
               [7, 7]], dtype=int32)
        """
        self._check(dtype)
        return self._native.retrieve_array_subset(subset, out)

    async def async_retrieve_array_subset(
        self, subset: Region, out: NDArray[Any] | None = None, dtype: DTypeLike | None = None
    ) -> NDArray[Any]:
        """Await `retrieve_array_subset`.

        If it is cancelled, `out` may still be written to until the read ends.
        """
        self._check(dtype)
        return await call(self._native.retrieve_array_subset, subset, out)

    def retrieve_array_subsets(self, starts: Any, shape: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read many regions of one shape in one call.

        Parameters
        ----------
        starts : array_like of int, shape (n, ndim)
            The first element of each region.
        shape : sequence of int
            The shape of a region.
        out : ndarray, shape (n, *shape), optional
            What to read into.

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

    async def async_retrieve_array_subsets(
        self, starts: Any, shape: Index, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Await `retrieve_array_subsets`."""
        return await call(self._native.retrieve_array_subsets, self._starts(starts), shape, out)

    def _starts(self, starts: Any) -> NDArray[np.int64]:
        found = np.asarray(starts)
        if found.size == 0:
            return np.empty((0, self.ndim), np.int64)
        if found.dtype.kind not in "iu" or found.ndim != 2:
            raise InvalidSelectionError(
                f"starts are integers of shape (n, {self.ndim}), not {found.dtype} {found.shape}"
            )
        return found.astype(np.int64, copy=False)

    def retrieve_chunk(self, chunk: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a chunk (a shard, if the array is sharded), padding past the array's end included.

        Parameters
        ----------
        chunk : sequence of int
            Its index in the grid of chunks.
        out : ndarray, optional
            What to read into.

        Returns
        -------
        ndarray
            The elements: the fill value, if it is not stored.

        Raises
        ------
        InvalidSelectionError
            If there is no such chunk in the grid.
        CorruptDataError
            If it cannot be decoded.
        """
        return self._native.retrieve_chunk(chunk, out)

    async def async_retrieve_chunk(self, chunk: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Await `retrieve_chunk`."""
        return await call(self._native.retrieve_chunk, chunk, out)

    def retrieve_chunk_if_exists(self, chunk: Index) -> NDArray[Any] | None:
        """Read a chunk as `retrieve_chunk` does, but return None if it is not stored.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), chunks=(2,), dtype="int32")
        >>> array.store_chunk(0, np.array([1, 2], "int32"))
        >>> array.retrieve_chunk_if_exists(0)
        array([1, 2], dtype=int32)
        >>> array.retrieve_chunk_if_exists(1)
        """
        return self._native.retrieve_chunk_if_exists(chunk)

    async def async_retrieve_chunk_if_exists(self, chunk: Index) -> NDArray[Any] | None:
        """Await `retrieve_chunk_if_exists`."""
        return await call(self._native.retrieve_chunk_if_exists, chunk)

    def retrieve_chunks(self, chunks: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a region of chunks as one array, padding past the array's end included.

        Parameters
        ----------
        chunks : ArraySubset or a slice, range or pair for each dimension
            The region, in the grid of chunks.
        out : ndarray, optional
            What to read into.
        """
        return self._native.retrieve_chunks(chunks, out)

    async def async_retrieve_chunks(self, chunks: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Await `retrieve_chunks`."""
        return await call(self._native.retrieve_chunks, chunks, out)

    def retrieve_chunk_subset(self, chunk: Index, subset: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a region of a chunk.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk.
        subset : ArraySubset or a slice, range or pair for each dimension
            The region, as seen from the chunk's first element.
        out : ndarray, optional
            What to read into.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(6,), chunks=(3,), dtype="int32")
        >>> array[...] = np.arange(6)
        >>> array.retrieve_chunk_subset((1,), [(1, 3)])
        array([4, 5], dtype=int32)
        """
        return self._native.retrieve_chunk_subset(chunk, subset, out)

    async def async_retrieve_chunk_subset(
        self, chunk: Index, subset: Region, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Await `retrieve_chunk_subset`."""
        return await call(self._native.retrieve_chunk_subset, chunk, subset, out)

    def retrieve_inner_chunk(self, inner: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read an inner chunk of a sharded array, or a chunk of one that is not.

        Parameters
        ----------
        inner : sequence of int
            Its index in the grid of inner chunks of the whole array.
        out : ndarray, optional
            What to read into.
        """
        return self._native.retrieve_inner_chunk(inner, out)

    async def async_retrieve_inner_chunk(self, inner: Index, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Await `retrieve_inner_chunk`."""
        return await call(self._native.retrieve_inner_chunk, inner, out)

    def retrieve_inner_chunks(self, inner: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a region of inner chunks of a sharded array, or of chunks of one that is not.

        Parameters
        ----------
        inner : ArraySubset or a slice, range or pair for each dimension
            The region, in the grid of inner chunks of the whole array.
        out : ndarray, optional
            What to read into.
        """
        return self._native.retrieve_inner_chunks(inner, out)

    async def async_retrieve_inner_chunks(self, inner: Region, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Await `retrieve_inner_chunks`."""
        return await call(self._native.retrieve_inner_chunks, inner, out)

    def retrieve_encoded_chunk(self, chunk: Index) -> bytes | None:
        """Read a chunk as it is stored; None if it is not.

        Parameters
        ----------
        chunk : sequence of int
            The index of the chunk.
        """
        return self._native.retrieve_encoded_chunk(chunk)

    async def async_retrieve_encoded_chunk(self, chunk: Index) -> bytes | None:
        """Await `retrieve_encoded_chunk`."""
        return await call(self._native.retrieve_encoded_chunk, chunk)

    def retrieve_encoded_chunks(self, chunks: Region) -> list[bytes | None]:
        """Read a region of chunks as they are stored, in C order of their indices.

        Parameters
        ----------
        chunks : ArraySubset or a slice, range or pair for each dimension
            The region, in the grid of chunks.
        """
        return self._native.retrieve_encoded_chunks(chunks)

    async def async_retrieve_encoded_chunks(self, chunks: Region) -> list[bytes | None]:
        """Await `retrieve_encoded_chunks`."""
        return await call(self._native.retrieve_encoded_chunks, chunks)

    def retrieve_encoded_inner_chunk(self, inner: Index) -> bytes | None:
        """Read an inner chunk as it is stored in its shard, or a chunk of an array that is not sharded.

        Parameters
        ----------
        inner : sequence of int
            Its index in the grid of inner chunks of the whole array.
        """
        return self._native.retrieve_encoded_inner_chunk(inner)

    async def async_retrieve_encoded_inner_chunk(self, inner: Index) -> bytes | None:
        """Await `retrieve_encoded_inner_chunk`."""
        return await call(self._native.retrieve_encoded_inner_chunk, inner)

    def partial_decoder(self, chunk: Index) -> PartialDecoder:
        """Return a decoder of parts of a chunk, which keeps what it read between calls.

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
        """Say whether a chunk is stored."""
        return self._native.chunk_exists(chunk)

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
            Is called with the index of a chunk and its elements, as far as they lie in the array.
        chunks : ArraySubset or a slice, range or pair for each dimension, optional
            The chunks (shards, if the array is sharded); by default all.
        concurrency : int
            So many are read and worked on at once, and no more are held.

        Returns
        -------
        list
            What `f` returned, in C order of the chunks' indices.

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
            raise ValueError("concurrency is at least 1")
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

    # Writing.

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
        self._native.store_chunk(chunk, self._data(data))

    async def async_store_chunk(self, chunk: Index, data: Any) -> None:
        """Await `store_chunk`."""
        await call(self._native.store_chunk, chunk, self._data(data))

    def store_array_subset(self, subset: Region, data: Any) -> None:
        """Store a region that consists of whole chunks, as far as these lie in the array.

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
            If the region covers a chunk in part; the message names one that would do.
        """
        self._native.store_array_subset(subset, self._data(data))

    async def async_store_array_subset(self, subset: Region, data: Any) -> None:
        """Await `store_array_subset`."""
        await call(self._native.store_array_subset, subset, self._data(data))

    def erase_chunk(self, chunk: Index) -> None:
        """Erase a chunk, if it is stored."""
        self._native.erase_chunk(chunk)

    async def async_erase_chunk(self, chunk: Index) -> None:
        """Await `erase_chunk`."""
        await call(self._native.erase_chunk, chunk)

    def _data(self, data: Any) -> NDArray[Any]:
        return data if isinstance(data, np.ndarray) else np.asarray(data, self._dtype)

    # The geometry of chunks.

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

    # Copies.

    def __copy__(self) -> "Array":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        native = self._native
        state = (self._store, native.path, native.zarr_format, native.metadata(), native.attributes())
        return _restore, (*state, self.options, self._cache)


def _restore(
    store: Store,
    path: str,
    zarr_format: int,
    metadata: dict[str, Any],
    attributes: dict[str, Any],
    options: CodecOptions,
    cache: ChunkCache | None,
) -> Array:
    """Make a pickled array again. The metadata came along, so that nothing is read."""
    native = _tegula.Array.restore(store._native, path, zarr_format, metadata, attributes)
    return Array._wrap(native.with_options(options).with_cache(cache), store, cache)


def _describe(codec: dict[str, Any]) -> str:
    inner = codec["configuration"].get("codecs")
    if isinstance(inner, list):
        return f"{codec['name']} of " + " + ".join(named["name"] for named in inner)
    plain = {name: value for name, value in codec["configuration"].items() if not isinstance(value, (dict, list))}
    return f"{codec['name']}({', '.join(f'{name}={value}' for name, value in plain.items())})"
