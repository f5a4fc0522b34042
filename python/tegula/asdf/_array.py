"""Arrays of ASDF files."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._array.handle import Index, Loaded
from tegula._array.index import Parse, _fields
from tegula._tegula import ChunkCache, CodecOptions
from tegula.asdf._mask import ArrayMask, Mask, ValueMask, awaitable, carrying
from tegula.errors import Error, InvalidSelectionError, NotFoundError, StoreError, UnsupportedError
from tegula.stores import Store

if TYPE_CHECKING:
    from tegula.asdf._file import AsdfFile
    from tegula.asdf._opened import Opened

__all__ = ["AsdfArray"]


class AsdfArray(Array):
    """An array of an ASDF file: an ndarray in a block, a chunked ndarray, or a Zarr array with a block for each chunk.

    It is a `tegula.Array` that cannot be written, and reads nothing before it is used: shape and data type come from
    the tree. From a block that is not compressed only the selected rows are read. If the elements are in a local file
    as they are in memory, indexing returns a read-only view of a memory map, unless the file was opened with
    ``memmap=False``.

    Reads of an array with a mask return masked arrays: indexing, the ``retrieve_`` methods, iteration, `map_chunks` and
    `numpy.asanyarray`. Derived handles, such as those of `with_cache`, and pickled ones keep the mask. Where a mask
    would be lost an error says so, as when a masked array is copied to Zarr.

    From a chunked ndarray (``core/chunked-ndarray-1.0.0``), which is proposed for the standard, only the chunks that
    overlap the selection are read. Where chunks overlap, the later one counts; elements without a chunk are zero. A
    chunked ndarray is written back chunk by chunk.

    The array keeps its file open, and can be used after the `AsdfFile` was closed.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
    """

    __slots__ = ("_description", "_has_options", "_mapped", "_mask_found", "_node", "_source")

    _source: "Opened"
    _node: int
    _description: tuple[tuple[int, ...] | None, np.dtype[Any], int | None] | None
    _mapped: tuple[NDArray[Any] | None] | None
    _mask_found: tuple[Mask | None] | None
    _has_options: bool
    """Whether options or a cache differ from those of the file's array."""

    _baseclass = np.ndarray
    """The class of elements without a mask, for numpy.ma, which otherwise takes that of `__array__`'s result."""

    @classmethod
    def _of(cls, source: "Opened", node: int) -> Self:
        array = object.__new__(cls)
        array._loaded = None
        array._store = source.store
        array._cache = None
        array._source = source
        array._node = node
        array._description = None
        array._mapped = None
        array._mask_found = None
        array._has_options = False
        return array

    def _load(self) -> Loaded:
        if self._loaded is None:
            self._loaded = Loaded(self._source.native.array(self._node))
        return self._loaded

    def _like(self, native: _tegula.Array) -> Self:
        array = super()._like(native)
        array._source = self._source
        array._node = self._node
        array._description = self._description
        array._mapped = (None,)  # options and caches concern reads, not views
        array._mask_found = self._mask_found
        array._has_options = True
        return array

    def _described(self) -> tuple[tuple[int, ...] | None, np.dtype[Any], int | None]:
        """Return shape (None for a stream), data type, and the node of the mask, from the tree."""
        if self._description is None:
            self._description = self._source.native.describe(self._node)
        return self._description

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""
        shape = self._described()[0]
        return self._load().shape if shape is None else shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements, in this machine's byte order."""
        return self._described()[1]

    @property
    def mask(self) -> Any:
        """The mask: an array whose non-zero elements mask ours, or a value that does; None if there is no mask."""
        node = None if self._drops_mask else self._described()[2]
        return None if node is None else self._source.tree(node)

    def without_mask(self) -> Self:
        """Return the same array without its mask: reads return all elements.

        Examples
        --------
        >>> masked = np.ma.array([1, 2, 3], mask=[0, 1, 0])
        >>> tegula.AsdfFile({"masked": masked}).write_to("masked.asdf")
        >>> array = tegula.open_asdf("masked.asdf")["masked"]
        >>> array[1:], array.without_mask()[1:]
        (masked_array(data=[--, 3],
                     mask=[ True, False],
               fill_value=999999), array([2, 3]))
        """
        array = self._of(self._source, self._node)
        for name in ("_cache", "_description", "_has_options", "_loaded", "_mapped"):
            setattr(array, name, getattr(self, name))
        array._mask_found = (None,)
        return array

    @property
    def _masking(self) -> Mask | None:
        if self._mask_found is None:
            found = self.mask
            if found is None:
                self._mask_found = (None,)
            elif isinstance(found, (Array, np.ndarray)):
                self._mask_found = (ArrayMask(found, self.shape),)
            else:
                self._mask_found = (ValueMask(found),)
        return self._mask_found[0]

    @property
    def _drops_mask(self) -> bool:
        return self._mask_found == (None,) and self._described()[2] is not None

    def _refuse_mask(self) -> None:
        if self.mask is not None:
            raise UnsupportedError(
                f"cannot copy {self.name}: its mask would be lost; copy array.without_mask() and array.mask one by one"
            )

    @property
    def _view(self) -> NDArray[Any] | None:
        if self._mapped is None:
            self._mapped = (self._map(),)
        return self._mapped[0]

    def _map(self) -> NDArray[Any] | None:
        """Return a view of the file, if the elements are stored as they are in memory."""
        mapped = self._source.native.mapped(self._native) if self._source.memmap else None
        memory = self._source.memory() if mapped is not None else None
        if mapped is None or memory is None or self.size == 0:
            return None
        offset, strides = mapped
        view: NDArray[Any] = np.ndarray(self.shape, self.dtype, memory, offset, strides)
        return view

    def __getitem__(self, key: Any) -> Any:
        try:
            view, mask = self._view, self._masking
            if view is None or (mask is not None and _fields(key, self.dtype)):
                return super().__getitem__(key)
            return view[key] if mask is None else mask.apply(view[key], lambda where: where[key])
        except MemoryError as error:
            # A few bytes with strides of zero can have any size: the file is to blame.
            raise StoreError(f"{self.name}: {error}") from error
        except IndexError as error:
            if isinstance(error, Error):
                raise
            raise InvalidSelectionError(f"{self.name}: {error}") from None

    def _get(self, key: Any, parse: Parse) -> Any:
        found = super()._get(key, parse)
        # Fields are taken from elements that were read, and masked, by a call of their own.
        if self._masking is None or _fields(key, self.dtype):
            return found
        return self._masking.apply(found, lambda where: where._get(key, parse))

    retrieve_array_subset = carrying(Array.retrieve_array_subset)
    retrieve_array_subsets = carrying(Array.retrieve_array_subsets)
    retrieve_chunk = carrying(Array.retrieve_chunk)
    retrieve_chunk_if_exists = carrying(Array.retrieve_chunk_if_exists)
    retrieve_chunks = carrying(Array.retrieve_chunks)
    retrieve_chunk_subset = carrying(Array.retrieve_chunk_subset)
    retrieve_inner_chunk = carrying(Array.retrieve_inner_chunk)
    retrieve_inner_chunks = carrying(Array.retrieve_inner_chunks)
    async_retrieve_array_subset = awaitable(Array.async_retrieve_array_subset)
    async_retrieve_array_subsets = awaitable(Array.async_retrieve_array_subsets)
    async_retrieve_chunk = awaitable(Array.async_retrieve_chunk)
    async_retrieve_chunk_if_exists = awaitable(Array.async_retrieve_chunk_if_exists)
    async_retrieve_chunks = awaitable(Array.async_retrieve_chunks)
    async_retrieve_chunk_subset = awaitable(Array.async_retrieve_chunk_subset)
    async_retrieve_inner_chunk = awaitable(Array.async_retrieve_inner_chunk)
    async_retrieve_inner_chunks = awaitable(Array.async_retrieve_inner_chunks)

    def partial_decoder(self, chunk: Index) -> _tegula.PartialDecoder:
        """Return a decoder of parts of a chunk, if the array has no mask; see `Array.partial_decoder`."""
        if self.mask is not None:
            raise UnsupportedError(
                f"cannot decode parts of {self.name}: decoders have no masks; use retrieve_chunk_subset, or a decoder "
                "of array.without_mask()"
            )
        return super().partial_decoder(chunk)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        # With a mask, a masked array: numpy.asanyarray keeps it, numpy.asarray does not.
        elements: NDArray[Any] = self[...]
        is_view = self._view is not None
        if copy is False and (not is_view or (dtype is not None and np.dtype(dtype) != elements.dtype)):
            raise ValueError("a stored array cannot become an ndarray without a copy")
        if dtype is not None:
            elements = elements.astype(dtype, copy=False)
        return elements.copy() if copy and is_view else elements

    @property
    def store(self) -> Store:
        """The store that contains the file."""
        return self._store

    @property
    def file(self) -> "AsdfFile":
        """The file that contains the array."""
        return self._source.file

    @property
    def is_zarr(self) -> bool:
        """Whether it is a Zarr array in the file."""
        return self._source.native.is_zarr(self._node)

    @property
    def is_chunked(self) -> bool:
        """Whether it is a chunked ndarray, each chunk of which is in a block."""
        return self._source.native.is_chunked(self._node)

    def _stored_as(self) -> tuple[str, str | None]:
        """Return where the elements are stored; see `AsdfFile.set_array_storage`; and how they are compressed."""
        if self.is_zarr or self.is_chunked:
            return "internal", None
        storage, label = self._source.native.storage(self._node)
        return storage, label or None

    @property
    def path(self) -> str:
        """The path of the array in the tree: names and indices, joined by ``/``."""
        return self._source.native.path_of(self._node)

    @property
    def name(self) -> str:
        """File and path, for people."""
        return f"{self._source.native.name}#{self.path}"

    @property
    def info(self) -> str:
        """A description for people. At most the header of a block is read."""
        plain = "ASDF chunked ndarray" if self.is_chunked else "ASDF ndarray"
        return super().info.replace("Zarr V3", plain).replace("Zarr V2", "Zarr V2 in ASDF")

    def __repr__(self) -> str:
        return f"<tegula.asdf.AsdfArray {self.name} shape={self.shape} dtype={self.dtype}>"

    def __copy__(self) -> Self:
        return self  # it cannot change

    def __reduce__(self) -> tuple[Any, ...]:
        options = (self.options, self._cache) if self._has_options else None
        return _reopen, (self._source, self._node, self.path, self._drops_mask, options)


def _reopen(
    source: "Opened", node: int, path: str, is_unmasked: bool, options: tuple[CodecOptions, ChunkCache | None] | None
) -> AsdfArray:
    """Find a pickled array in its file again."""
    native = source.native
    try:
        same = native.path_of(node) == path and native.is_array(node)
    except IndexError:
        same = False
    if not same:
        raise NotFoundError(f"{native.name} has no array {path!r} any more")
    array = source.array(node)
    if is_unmasked:
        array = array.without_mask()
    return array if options is None else array.with_options(options[0]).with_cache(options[1])
