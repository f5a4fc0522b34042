"""Arrays in nodes that converters of the ``asdf`` library take: of the library's own type, read by tegula."""

import threading
from typing import Any

import numpy as np
from asdf.tags.core.ndarray import NDArrayType
from numpy.typing import DTypeLike, NDArray

from tegula.asdf._array import AsdfArray

__all__ = ["LazyArray"]


class LazyArray(NDArrayType):
    """An array that the library takes for one of its own.

    It is read whole when it is first used, into memory that can be written. Before that, indexing reads no more than it
    asks for, and gives read-only arrays: what is written to a part would not be seen in the whole.

    Parameters
    ----------
    stored : AsdfArray
        The array of the file.
    """

    def __init__(self, stored: AsdfArray) -> None:
        # The library's own attributes, which its other methods use; its constructor wants callbacks of its blocks.
        self._source = 0
        self._data_callback = None
        self._array: NDArray[Any] | None = None
        self._mask = None
        self._shape = list(stored.shape)
        self._dtype = stored.dtype
        self._offset = 0
        self._strides = None
        self._order = "A"
        self._stored = stored
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        # Whoever walks through trees asks for attributes that no array has; the elements need not be read for that.
        if name.startswith("_") and not name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return super().__getattr__(name)

    @property
    def stored(self) -> AsdfArray | None:
        """The array of the file, as long as nothing can have been written to what was read of it."""
        return self._stored if self._array is None else None

    def _make_array(self) -> NDArray[Any]:
        if self._array is None:
            with self._lock:
                if self._array is None:
                    elements = self._stored[...]
                    self._array = elements if elements.flags.writeable else elements.copy()
        return self._array

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        elements = self._make_array()
        if dtype is not None and np.dtype(dtype) != elements.dtype:
            if copy is False:
                raise ValueError("another data type needs a copy")
            return elements.astype(dtype)
        return elements.copy() if copy else elements

    def __getitem__(self, key: Any) -> Any:
        if self._array is not None:
            return self._array[key]
        try:
            part = self._stored[key]
        except (IndexError, NotImplementedError, TypeError):
            return self._make_array()[key]
        if isinstance(part, np.ndarray) and part.flags.writeable:
            part.flags.writeable = False
        return part

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, without reading."""
        return tuple(self._shape) if self._array is None else self._array.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions, without reading."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements, without reading."""
        return int(np.prod(self.shape, dtype=int))
