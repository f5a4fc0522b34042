"""The class `Array`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula import _tegula
from tegula._array.explain import CacheInfo, Explanation
from tegula._array.selection import parse
from tegula._array.session import WriteSession
from tegula._array.store import StoreMethods
from tegula._array.zarr_names import Info, ZarrNames
from tegula._format import byte_size
from tegula._guide import guided, missing_array_name
from tegula._operators import Operators
from tegula._options import Options, check_options
from tegula._progress import Progress, reporting
from tegula._tegula import ArraySubset, ChunkCache, CodecOptions
from tegula.errors import InvalidMetadataError, InvalidSelectionError
from tegula.stores import Store

__all__ = ["Array"]

ITERATION_BYTES = 64 << 20
"""Bytes that iteration reads at once if a row of chunks is larger."""


class Array(ZarrNames, StoreMethods, Operators):
    """A chunked array in a store.

    `tegula.open_array` and `tegula.create_array` return arrays. An array is a cheap handle: threads can share it, it
    survives a fork, and it can be pickled. Elements are read when they are accessed. The metadata is read once, when
    the array is opened; changes through this handle update it. Open the array again to see changes by others.

    Indexing follows NumPy, including its errors. The ``retrieve_`` methods read chunks, inner chunks of shards, and
    regions. A region is an `ArraySubset`, or a slice, a range or a pair ``(start, stop)`` for each dimension. A slice
    without a stop ends at the end of the axis. Regions are not clipped as indices are: a region outside the array is an
    error. The argument ``out`` is an ndarray to read into; it must have the shape and data type of the result, and may
    have any strides. Each of these methods has an ``async_`` twin.

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

    __slots__ = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("cannot construct an Array; call tegula.open_array or tegula.create_array")

    @classmethod
    def _open(cls, store: Store, path: str = "/", zarr_format: int | None = None) -> "Array":
        return cls._wrap(_tegula.Array.open(store._native, path, zarr_format), store)

    # Properties.

    @property
    def fill_value(self) -> Any:
        """The value of elements that are not stored: a NumPy scalar, or an object if they have variable lengths.

        If the metadata has a fill value that the data type cannot express, this is an `InvalidMetadataError`, and only
        stored elements can be read.
        """
        value = self._native.fill_value
        return value[()] if isinstance(value, np.ndarray) else np.frombuffer(value, self.dtype)[0]

    @property
    def data_type(self) -> str:
        """The Zarr name of the data type."""
        return self._native.data_type

    @property
    def metadata(self) -> dict[str, Any]:
        """The stored metadata: ``zarr.json``, or ``.zarray`` in Zarr V2."""
        return self._native.metadata()

    @property
    def dimension_names(self) -> tuple[str | None, ...] | None:
        """The names of the dimensions; None if they have no names."""
        names = self._native.dimension_names
        return None if names is None else tuple(names)

    @property
    def zarr_format(self) -> int:
        """The version of Zarr: 3 or 2."""
        return self._native.zarr_format

    @property
    def store(self) -> Store:
        """The store that contains the array."""
        return self._store

    @property
    def path(self) -> str:
        """The path of the array in the store, without slashes at the ends."""
        return self._native.path

    @property
    def info(self) -> Info:
        """A description of the array on several lines, from the metadata alone. `info_complete` adds what is stored."""
        rows = [
            ("name", self.name),
            ("format", f"Zarr V{self.zarr_format}"),
            ("shape", str(self.shape)),
            ("dimensions", ", ".join(str(name) for name in self.dimension_names or ())),
            ("data type", self.data_type if self.data_type == str(self.dtype) else f"{self.data_type} ({self.dtype})"),
            ("chunks", f"{self.chunks} in a grid of {self.inner_chunk_grid_shape}"),
            ("shards", f"{self.shards} in a grid of {self.chunk_grid_shape}" if self.is_sharded else ""),
            ("codecs", ", ".join(_describe(codec) for codec in self.codecs)),
            ("fill value", self._fill_text()),
            ("size", f"{self.size:,} elements, {byte_size(self.nbytes)}"),
        ]
        return Info("\n".join(f"{label:<12}{text}" for label, text in rows if text))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # zarrs calls inner chunks subchunks.
            ours = name.replace("subchunk", "inner_chunk")
            if ours != name and hasattr(type(self), ours):
                return getattr(self, ours)
            raise missing_array_name(self, name)

    def _fill_text(self) -> str:
        try:
            return str(self.fill_value)
        except InvalidMetadataError:
            return f"invalid: {self.metadata.get('fill_value')!r}"

    def __repr__(self) -> str:
        shards = f" shards={self.shards}" if self.is_sharded else ""
        return f"<tegula.Array {self.name} shape={self.shape} dtype={self.dtype} chunks={self.chunks}{shards}>"

    # Options and caches.

    @property
    def options(self) -> CodecOptions:
        """The options of reads and writes."""
        return self._native.options

    def with_options(self, options: CodecOptions | None = None, **changes: Unpack[Options]) -> Self:
        """Return the same array with other options.

        Parameters
        ----------
        options : CodecOptions, optional
            The options to start from; by default those of the array.
        **changes
            Single options to change, named as in `CodecOptions`.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), dtype="uint8")
        >>> array.with_options(validate_checksums=False).options.validate_checksums
        False
        """
        check_options("with_options", changes)
        return self._like(self._native.with_options((options or self.options).replace(**changes)))

    @guided
    def with_cache(self, cache: ChunkCache | int | str | None) -> Self:
        """Return the same array with a cache of chunks.

        Parameters
        ----------
        cache : ChunkCache, int, str or None
            A cache, which several arrays can share; the size of a new cache of decoded chunks, in bytes or as in
            ``"256 MB"``; or None for no cache.

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
        array = self._like(self._native.with_cache(cache))
        array._cache = cache
        return array

    def with_string_dtype(self, dtype: DTypeLike) -> Self:
        """Return the same array with another NumPy data type for text of variable length.

        Parameters
        ----------
        dtype : data type
            ``numpy.dtypes.StringDType()``, or ``object`` for Python strings.

        Raises
        ------
        InvalidSelectionError
            If the elements are not text of variable length, or `dtype` is not one of these.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(2,), dtype="string", fill_value="none")
        >>> array.with_string_dtype(object)[...]
        array(['none', 'none'], dtype=object)
        """
        new = np.dtype(dtype)
        if self.data_type != "string" or new.kind not in "TO":
            raise InvalidSelectionError(f"{self.name}: elements of {self.data_type} cannot be read as {new}")
        return self._like(self._native.with_elements(new))

    @property
    def cache(self) -> ChunkCache | None:
        """The cache of chunks; None if the array has no cache."""
        return self._cache

    def cache_info(self) -> CacheInfo:
        """Return the statistics of the cache; zeros if there is no cache."""
        return CacheInfo(*(self._cache.counts() if self._cache is not None else (0, 0, 0, 0)))

    @guided
    def explain(self, selection: Any = ...) -> Explanation:
        """Return the number of chunks, requests and bytes that a read of a selection takes.

        This reads shard indexes, but no chunks.

        Parameters
        ----------
        selection
            An index as in ``array[...]``, or an `ArraySubset`.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(8, 8), chunks=(4, 4), dtype="uint8")
        >>> array[...] = 7
        >>> array.explain(np.s_[3:5, 0]).chunks
        2
        """
        if isinstance(selection, ArraySubset):
            selection = selection.to_slices()
        parsed = parse(selection, self.shape)
        return Explanation(**self._native.explain(parsed))

    @guided
    def write_session(self, memory: int | str = "256 MB") -> WriteSession:
        """Begin a session that collects writes, in any order and from any thread, into chunks.

        Each chunk or shard is stored once: when it is complete, or at the end. Use a session for many small writes,
        such as rows or tiles that do not match the chunks; without a session, each write reads, changes and stores
        its chunks.

        Parameters
        ----------
        memory : int or str
            Maximum size of the staged elements, in bytes or as in ``"256 MB"``. Beyond it, the fullest chunks are
            stored early.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), chunks=(4, 3), dtype="uint8")
        >>> with array.write_session() as session:
        ...     for row in (3, 0, 2, 1):
        ...         session[row] = row
        ...     session.append(np.full((1, 6), 9, "uint8"))
        (5, 6)
        >>> array[:, 0]
        array([0, 1, 2, 3, 9], dtype=uint8)
        """
        return WriteSession(self, memory)

    @guided
    def copy_to(self, target: "Array", *, max_memory: int | str | None = None, progress: Progress = None) -> None:
        """Copy all elements into another array of the same shape and data type, with any chunks and codecs.

        Regions of whole chunks are read and written one after the other, each on all threads. If chunks, codecs and
        fill value are the same, stored chunks are copied without decoding. If the fill value is the same, missing
        chunks stay missing in the target.

        Parameters
        ----------
        target : Array
            The other array.
        max_memory : int or str, optional
            Memory to use, in bytes or as in ``"2 GB"``; by default 1 GiB, or more if one chunk needs it.
        progress : bool or callable, optional
            True draws a bar if standard error is a terminal. A callable is called after each region with the number of
            copied bytes and the total; an element of variable length counts as 16 bytes. An exception in it ends the
            copy, as Ctrl-C does; each chunk of `target` is then either unchanged or copied.

        Raises
        ------
        InvalidSelectionError
            If shapes or data types differ, or one chunk needs more memory than `max_memory`.

        Examples
        --------
        >>> array = tegula.create_array({}, data=np.arange(6), chunks=2)
        >>> other = tegula.create_array({}, shape=6, dtype="int64", chunks=5, compressors="gzip")
        >>> array.copy_to(other)
        >>> other[...]
        array([0, 1, 2, 3, 4, 5])
        """
        self._refuse_mask()
        memory = None if max_memory is None else _tegula.bytes_of(max_memory)
        with reporting(progress, "copying") as report:
            _tegula.copy_array(self._native, target._native, max_memory=memory, is_new=False, progress=report)

    # NumPy protocols.

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a stored array cannot become an ndarray without a copy")
        elements: NDArray[Any] = np.asarray(self[...])
        return elements if dtype is None else elements.astype(dtype, copy=False)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return self._rows()

    def _rows(self) -> Iterator[Any]:
        chunk = _max_length(self._native.grid_chunk_shape[0])
        row = max(self.nbytes // max(self.shape[0], 1), 1)
        if chunk * row > ITERATION_BYTES:
            inner = _max_length(self.chunks[0])
            chunk = max(ITERATION_BYTES // row // inner, 1) * inner
        for start in range(0, self.shape[0], chunk):
            yield from self[start : start + chunk]

    # Copying and pickling.

    def __copy__(self) -> Self:
        return self._like(self._native)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()  # a handle of the same stored array

    def __reduce__(self) -> tuple[Any, ...]:
        native = self._native
        state = (self._store, native.path, native.zarr_format, native.metadata(), native.attributes())
        strings = self.dtype if self.data_type == "string" else None
        return _restore, (*state, self.options, self._cache, strings)


def _restore(
    store: Store,
    path: str,
    zarr_format: int,
    metadata: dict[str, Any],
    attributes: dict[str, Any],
    options: CodecOptions,
    cache: ChunkCache | None,
    strings: np.dtype[Any] | None = None,
) -> Array:
    """Return an array from its pickled state without reading: the state contains the metadata."""
    native = _tegula.Array.restore(store._native, path, zarr_format, metadata, attributes)
    if strings is not None:
        native = native.with_elements(strings)
    return Array._wrap(native.with_options(options).with_cache(cache), store, cache)


def _describe(codec: dict[str, Any]) -> str:
    inner = codec["configuration"].get("codecs")
    if isinstance(inner, list):
        return f"{codec['name']} of " + " + ".join(named["name"] for named in inner)
    plain = {name: value for name, value in codec["configuration"].items() if not isinstance(value, (dict, list))}
    return f"{codec['name']}({', '.join(f'{name}={value}' for name, value in plain.items())})"


def _max_length(length: int | tuple[int, ...]) -> int:
    return length if isinstance(length, int) else max(length, default=1)
