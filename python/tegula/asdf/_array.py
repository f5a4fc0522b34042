"""Arrays of ASDF files."""

import threading
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._array.handle import Index, NativeState
from tegula._array.index import Parse, _fields
from tegula._array.zarr_names import Info
from tegula._create import create_array
from tegula._tegula import ChunkCache, CodecOptions
from tegula.asdf._mask import ArrayMask, Mask, awaitable, carrying, mask_of
from tegula.asdf._ndarray import NdarrayMethods
from tegula.errors import Error, InvalidSelectionError, NotFoundError, StoreError, UnsupportedError
from tegula.stores import MemoryStore, Store

if TYPE_CHECKING:
    from tegula.asdf._file import AsdfFile
    from tegula.asdf._opened import Opened

__all__ = ["AsdfArray"]

_LARGE_ITEM = 1 << 20
"""Arrays without elements, whose elements would be larger than this, are not opened."""

_owning = threading.Lock()
"""Held while elements are read to be changed, so that two threads do not change two copies."""


class AsdfArray(NdarrayMethods, Array):
    """An array of an ASDF file: an ndarray in a block, a chunked ndarray, or a Zarr array with a block for each chunk.

    It is a `tegula.Array` that is loaded when it is first used: shape and data type come from the tree. Only
    the selected rows of an uncompressed block are read. If the elements have the same layout in a local file and in
    memory, indexing returns a read-only view of a memory map, unless the file was opened with ``memmap=False``.

    Methods and attributes of ndarrays, such as ``array.mean()`` and ``array.T``, read all elements. The first
    assignment, such as ``array[0] = 1`` or ``array += 1``, reads all elements of an ndarray into memory; from then on
    the array is what is in memory. `AsdfFile.update` and `AsdfFile.write_to` store the change. Chunked ndarrays and
    Zarr arrays cannot be assigned to. ``str(array)`` says *unloaded* until elements have been read.

    Reads of an array with a mask return masked arrays: indexing, the ``retrieve_`` methods, iteration, `map_chunks` and
    `numpy.asanyarray`. Derived handles, such as those of `with_cache`, and pickled handles keep the mask. An operation
    that would lose the mask, such as a copy to Zarr, raises an error.

    Only the chunks of a chunked ndarray (``core/chunked-ndarray-1.0.0``, which is proposed for the standard) that
    overlap the selection are read. If chunks overlap, the later chunk wins; elements without a chunk are zero. A
    chunked ndarray is written back chunk by chunk.

    The array keeps its file open, so it can be used after the `AsdfFile` was closed.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
    """

    __slots__ = (
        "_changed",
        "_description",
        "_has_options",
        "_is_read",
        "_mapped",
        "_mask_found",
        "_node",
        "_source",
    )

    _source: "Opened"
    _node: int
    _description: tuple[tuple[int, ...] | None, np.dtype[Any], int | None, bool] | None
    _mapped: tuple[NDArray[Any] | None] | None
    _mask_found: tuple[Mask | None] | None
    _has_options: bool
    """Whether options or the cache were changed after the array was opened."""
    _changed: NDArray[Any] | None
    """All elements, if the array was assigned to; other states then describe what is in the file."""
    _is_read: bool
    """Whether elements have been read."""

    _baseclass = np.ndarray
    """The class of elements without a mask. numpy.ma otherwise uses the class of the result of `__array__`."""

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
        array._changed = None
        array._is_read = False
        return array

    def _load(self) -> NativeState:
        if self._changed is not None:
            # Not kept, as the elements can change at any time.
            data = np.ma.getdata(self._changed)
            chunks = tuple(max(length, 1) for length in data.shape)
            store = MemoryStore()
            create_array(store, data=data, chunks=chunks, shards=None, compressors=None)
            reason = f"assign to {self._source.native.name}#{self.path} as to an ndarray"
            return NativeState(_tegula.Array.open(store._native.read_only(reason), ""))
        if self._loaded is None:
            self._loaded = NativeState(self._source.native.array(self._node))
        return self._loaded

    def _like(self, native: _tegula.Array) -> Self:
        array = super()._like(native)
        array._source = self._source
        array._node = self._node
        array._description = self._description
        array._mapped = (None,)  # options and caches apply to reads, not to views
        array._mask_found = self._mask_found
        array._has_options = True
        array._changed = self._changed
        array._is_read = self._is_read
        return array

    def _described(self) -> tuple[tuple[int, ...] | None, np.dtype[Any], int | None, bool]:
        """Return the shape (None for a stream), the data type, the mask's node, and whether elements are null."""
        if self._description is None:
            self._description = self._source.native.describe(self._node)
        return self._description

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""
        if self._changed is not None:
            return self._changed.shape
        shape = self._described()[0]
        return self._load().shape if shape is None else shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy data type of the elements, in native byte order."""
        return self._described()[1]

    @property
    def mask(self) -> Any:
        """The mask: an array whose non-zero elements mark masked elements, or the masked value; None without a mask."""
        if self._changed is not None:
            return np.ma.getmaskarray(self._changed) if isinstance(self._changed, np.ma.MaskedArray) else None
        if self._drops_mask:
            return None
        _, _, node, has_nulls = self._described()
        found = None if node is None else self._source.tree(node)
        nulls = self._source.native.nulls(self._node) if has_nulls else None
        if nulls is None:
            return found
        where = nulls.reshape(self.shape)
        if found is None:
            return where
        mask = mask_of(found, self.shape, self.dtype, self.name)
        return where | np.ma.getmaskarray(mask.apply(self.without_mask()[...], lambda array: array[...]))

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
        if self._changed is not None:
            array._changed = np.ma.getdata(self._changed)
        for name in ("_cache", "_description", "_has_options", "_loaded", "_mapped"):
            setattr(array, name, getattr(self, name))
        array._mask_found = (None,)
        return array

    @property
    def _masking(self) -> Mask | None:
        if self._changed is not None:
            mask = self.mask
            return None if mask is None else ArrayMask(mask, self.shape)
        if self._mask_found is None:
            found = self.mask
            self._mask_found = (None if found is None else mask_of(found, self.shape, self.dtype, self.name),)
        return self._mask_found[0]

    @property
    def _drops_mask(self) -> bool:
        return self._changed is None and self._mask_found == (None,) and self._has_mask

    @property
    def _has_mask(self) -> bool:
        """Whether the file says that the array has a mask, or null elements."""
        _, _, node, has_nulls = self._described()
        return node is not None or has_nulls

    def _refuse_mask(self) -> None:
        if self.mask is not None:
            raise UnsupportedError(
                f"cannot copy {self.name}: its mask would be lost; copy array.without_mask() and array.mask separately"
            )

    @property
    def _view(self) -> NDArray[Any] | None:
        if self._changed is not None:
            return np.ma.getdata(self._changed)
        if self._mapped is None:
            self._mapped = (self._map(),)
        return self._mapped[0]

    def _map(self) -> NDArray[Any] | None:
        """Return a view of the memory map, if the layout in the file is that in memory."""
        if self.dtype.itemsize == 0 or (self.dtype.itemsize > _LARGE_ITEM and self.size == 0):
            return np.empty(self.shape, self.dtype)  # nothing is stored
        mapped = self._source.native.mapped(self._native) if self._source.memmap else None
        memory = self._source.memory() if mapped is not None else None
        if mapped is None or memory is None or self.size == 0:
            return None
        offset, strides = mapped
        view: NDArray[Any] = np.ndarray(self.shape, self.dtype, memory, offset, strides)
        return view

    @property
    def base(self) -> Any:
        """The memory map that the elements are part of; None if they are read or assigned into memory of their own."""
        return None if self._changed is not None or self._view is None else self._view.base

    def _elements(self) -> NDArray[Any]:
        elements: NDArray[Any] = np.asanyarray(self[...])
        return elements

    def _shared(self) -> NDArray[Any]:
        if self._changed is not None:
            return self._changed
        elements = self._elements()
        elements.flags.writeable = False
        return elements

    def _own(self) -> NDArray[Any]:
        with _owning:
            if self._changed is None:
                if self.is_zarr or self.is_chunked:
                    raise UnsupportedError(
                        f"cannot assign to {self.name}: arrays with chunks in an ASDF file are read-only; put a new "
                        "array into the tree, such as tegula.asdf.chunked(elements), and call update or write_to"
                    )
                self._changed = np.array(self[...], subok=True)
                self._loaded = None
        return self._changed

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        targets = kwargs.get("out", ())
        if any(isinstance(target, AsdfArray) for target in targets):
            kwargs["out"] = tuple(_own(target) for target in targets)
            super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
            return targets[0] if len(targets) == 1 else targets
        if method == "at":
            inputs = (_own(inputs[0]), *inputs[1:])
        return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    def __setitem__(self, key: Any, value: Any) -> None:
        own = self._own()
        try:
            own[key] = value
        except IndexError as error:
            raise InvalidSelectionError(f"{self.name}: {error}") from None

    def resize(self, *shape: Any) -> NoReturn:
        """Raise an error: an array of an ASDF file keeps its shape."""
        raise UnsupportedError(
            f"cannot resize {self.name} to {shape}: arrays of ASDF files keep their shape; put "
            "numpy.resize(array, shape) into the tree instead of the array, and call update"
        )

    def append(self, data: Any, axis: int = 0) -> NoReturn:  # noqa: ARG002
        """Raise an error: an array of an ASDF file keeps its shape, unless it is streamed; see `AsdfFile.append`."""
        raise UnsupportedError(
            f"cannot append to {self.name}: AsdfFile.append adds rows to streamed arrays; otherwise put "
            "numpy.append(array, rows, axis=0) into the tree instead of the array, and call update"
        )

    def __getitem__(self, key: Any) -> Any:
        self._is_read = True
        if self._changed is not None:
            try:
                return self._changed[key]
            except IndexError as error:
                raise InvalidSelectionError(f"{self.name}: {error}") from None
        try:
            view, mask = self._view, self._masking
            if view is None or (mask is not None and _fields(key, self.dtype)):
                return super().__getitem__(key)
            return view[key] if mask is None else mask.apply(view[key], lambda where: where[key])
        except MemoryError as error:
            # A corrupt file can describe an array of any size: with strides of zero, it needs few bytes.
            raise StoreError(f"{self.name}: {error}") from error
        except IndexError as error:
            if isinstance(error, Error):
                raise
            raise InvalidSelectionError(f"{self.name}: {error}") from None

    def _get(self, key: Any, parse: Parse) -> Any:
        self._is_read = True
        found = super()._get(key, parse)
        # For fields, the base class calls `_get` again, and that call applies the mask.
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
        """Return a decoder of parts of a chunk; an error if the array has a mask. See `Array.partial_decoder`."""
        if self.mask is not None:
            raise UnsupportedError(
                f"cannot decode parts of {self.name}: partial decoders do not support masks; call "
                "retrieve_chunk_subset, or array.without_mask().partial_decoder"
            )
        return super().partial_decoder(chunk)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        # This can be a masked array: numpy.asanyarray keeps the mask, numpy.asarray drops it.
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
        """Whether the node is a Zarr array."""
        return self._source.native.is_zarr(self._node)

    @property
    def is_chunked(self) -> bool:
        """Whether the node is a chunked ndarray, with one block for each chunk."""
        return self._source.native.is_chunked(self._node)

    @property
    def is_changed(self) -> bool:
        """Whether the array was assigned to: its elements are in memory, and those in the file are others."""
        return self._changed is not None

    def _stored_as(self) -> tuple[str, str | None]:
        """Return the kind of storage (see `AsdfFile.set_array_storage`) and the compression."""
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
        """The file and the path, for messages."""
        return f"{self._source.native.name}#{self.path}"

    @property
    def info(self) -> Info:
        """A description on several lines. At most the header of a block is read."""
        plain = "ASDF chunked ndarray" if self.is_chunked else "ASDF ndarray"
        return Info(super().info.replace("Zarr V3", plain).replace("Zarr V2", "Zarr V2 in ASDF"))

    def __repr__(self) -> str:
        return f"<tegula.asdf.AsdfArray {self.name} shape={self.shape} dtype={self.dtype}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Methods of masked arrays, such as `filled`.
            if not name.startswith("_") and hasattr(np.ma.MaskedArray, name) and self.mask is not None:
                return getattr(self._elements(), name)
            return super().__getattr__(name)

    def __str__(self) -> str:
        if self._changed is not None:
            return str(self._changed)
        if not self._is_read:
            kind = "array" if self.mask is None else "masked array"
            return f"<{kind} (unloaded) shape: {list(self.shape)} dtype: {self.dtype}>"
        if self._view is not None or self.size <= np.get_printoptions()["threshold"]:
            return str(self[...])
        # Printed are the edges alone, so read no more.
        edge = np.get_printoptions()["edgeitems"]
        shown = [n if n <= 2 * edge else [*range(edge + 1), *range(n - edge, n)] for n in self.shape]
        part = self.oindex[tuple(slice(None) if isinstance(axis, int) else axis for axis in shown)]
        with np.printoptions(threshold=0):
            return str(part)

    def __format__(self, spec: str) -> str:
        return format(self[()], spec) if spec and not self.shape else format(str(self), spec)

    def __copy__(self) -> Self:
        if self._changed is None:
            return self  # read-only
        copy = self._like(self._source.native.array(self._node))
        copy._changed = self._changed.copy()
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        options = (self.options, self._cache) if self._has_options else None
        return _reopen, (self._source, self._node, self.path, self._drops_mask, options, self._changed)


def _own(array: Any) -> Any:
    return array._own() if isinstance(array, AsdfArray) else array


def _reopen(
    source: "Opened",
    node: int,
    path: str,
    is_unmasked: bool,
    options: tuple[CodecOptions, ChunkCache | None] | None,
    changed: NDArray[Any] | None = None,
) -> AsdfArray:
    """Return a pickled array from its reopened file."""
    native = source.native
    try:
        same = native.path_of(node) == path and native.is_array(node)
    except IndexError:
        same = False
    if not same:
        raise NotFoundError(f"{native.name} no longer has an array at {path!r}")
    array = source.array(node)
    if is_unmasked:
        array = array.without_mask()
    if options is not None:
        array = array.with_options(options[0]).with_cache(options[1])
    if changed is not None:
        # The file's other users see what is stored.
        array = array._like(native.array(node))
        array._changed = changed
    return array
