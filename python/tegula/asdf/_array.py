"""Arrays of ASDF files."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._array.handle import Loaded
from tegula.errors import Error, InvalidSelectionError, NotFoundError, StoreError
from tegula.stores import Store

if TYPE_CHECKING:
    from tegula.asdf._file import AsdfFile
    from tegula.asdf._opened import Opened

__all__ = ["AsdfArray"]


class AsdfArray(Array):
    """An array of an ASDF file: an ndarray in a block, a chunked ndarray, or a Zarr array with its chunks in many.

    It is a `tegula.Array` that cannot be written, and reads nothing before it is used: shape and data type come from
    the tree. Of a block that is not compressed only the rows that are wanted are read. Where the elements lie in a
    local file as they are in memory, indexing gives a read-only view of a memory map, unless the file was opened with
    ``memmap=False``. An array with a mask gives masked arrays.

    Of a chunked ndarray (``core/chunked-ndarray-1.0.0``), which is proposed for the standard, only the chunks are read
    that something wanted lies in. Where chunks overlap the later one counts, and what none covers is zero. It is
    written as it is, chunk by chunk.

    The array keeps its file open, and can be used after the `AsdfFile` was closed.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
    """

    __slots__ = ("_description", "_mapped", "_node", "_source")

    _source: "Opened"
    _node: int
    _description: tuple[tuple[int, ...] | None, np.dtype[Any], int | None] | None
    _mapped: tuple[NDArray[Any] | None] | None

    @classmethod
    def _of(cls, source: "Opened", node: int) -> "AsdfArray":
        array = object.__new__(cls)
        array._loaded = None
        array._store = source.store
        array._cache = None
        array._source = source
        array._node = node
        array._description = None
        array._mapped = None
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
        array._mapped = (None,)  # other options and caches apply to reads
        return array

    def _described(self) -> tuple[tuple[int, ...] | None, np.dtype[Any], int | None]:
        """Return what the tree says: shape (None for a stream), data type, and the node of the mask."""
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
    def _mask(self) -> int | None:
        return self._described()[2]

    @property
    def _view(self) -> NDArray[Any] | None:
        if self._mapped is None:
            self._mapped = (self._map(),)
        return self._mapped[0]

    def _map(self) -> NDArray[Any] | None:
        """Return a view of the file, if the elements lie there as they are in memory."""
        mapped = self._source.native.mapped(self._native) if self._source.memmap else None
        memory = self._source.memory() if mapped is not None else None
        if mapped is None or memory is None or self.size == 0:
            return None
        offset, strides = mapped
        view: NDArray[Any] = np.ndarray(self.shape, self.dtype, memory, offset, strides)
        return view

    def __getitem__(self, key: Any) -> Any:
        try:
            data = super().__getitem__(key) if self._view is None else self._view[key]
            return data if self._mask is None else self._masked(data, key)
        except MemoryError as error:
            # Strides of zero make any size out of a few bytes, so that this says something of the file.
            raise StoreError(f"{self.name}: {error}") from error
        except IndexError as error:
            if isinstance(error, Error):
                raise
            raise InvalidSelectionError(f"{self.name}: {error}") from None

    def _masked(self, data: Any, key: Any) -> Any:
        """Mask what the node says: where an array is not zero, or what equals a value."""
        mask = self._source.tree(self._mask)
        if isinstance(mask, (Array, np.ndarray)):
            where = np.ma.getmaskarray(mask) if isinstance(mask, np.ma.MaskedArray) else np.asarray(mask[...]) != 0
            masked = np.ma.array(data, mask=np.broadcast_to(where, self.shape)[key])
        elif isinstance(mask, (float, complex)) and np.isnan(mask):
            masked = np.ma.array(data, mask=np.isnan(data))
        else:
            masked = np.ma.masked_values(data, mask, copy=False, shrink=False)
        return masked[()] if isinstance(data, np.generic) else masked

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        elements: NDArray[Any] = np.ma.getdata(self[...])
        mapped = self._view is not None
        if copy is False and (not mapped or (dtype is not None and np.dtype(dtype) != elements.dtype)):
            raise ValueError("a stored array cannot become an ndarray without a copy")
        if dtype is not None:
            elements = elements.astype(dtype, copy=False)
        return elements.copy() if copy and mapped else elements

    @property
    def store(self) -> Store:
        """The store that the file lies in."""
        return self._store

    @property
    def file(self) -> "AsdfFile":
        """The file it lies in."""
        return self._source.file

    @property
    def is_zarr(self) -> bool:
        """Whether it is a Zarr array in the file, and not one that lies in a block as it is."""
        return self._source.native.is_zarr(self._node)

    @property
    def is_chunked(self) -> bool:
        """Whether it is put together of ndarrays, each in a block of its own."""
        return self._source.native.is_chunked(self._node)

    def _stored_as(self) -> tuple[str, str | None]:
        """Return where the elements are stored; see `AsdfFile.set_array_storage`; and how they are compressed."""
        if self.is_zarr or self.is_chunked:
            return "internal", None
        storage, label = self._source.native.storage(self._node)
        return storage, label or None

    @property
    def path(self) -> str:
        """Where it is in the tree of the file: names and indices, joined by ``/``."""
        return self._source.native.path_of(self._node)

    @property
    def name(self) -> str:
        """File and path, for people."""
        return f"{self._source.native.name}#{self.path}"

    @property
    def info(self) -> str:
        """A description for people. Of the file no more than the header of a block is read for it."""
        plain = "ASDF chunked ndarray" if self.is_chunked else "ASDF ndarray"
        return super().info.replace("Zarr V3", plain).replace("Zarr V2", "Zarr V2 in ASDF")

    def __repr__(self) -> str:
        return f"<tegula.asdf.AsdfArray {self.name} shape={self.shape} dtype={self.dtype}>"

    def __copy__(self) -> Self:
        return self  # nothing changes it

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._source, self._node, self.path)


def _reopen(source: "Opened", node: int, path: str) -> AsdfArray:
    """Find a pickled array in its file again."""
    native = source.native
    try:
        same = native.path_of(node) == path and native.is_array(node)
    except IndexError:
        same = False
    if not same:
        raise NotFoundError(f"{native.name} has no array {path!r} any more")
    return source.array(node)
