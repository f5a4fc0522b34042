"""Arrays for converters of the ``asdf`` library: of the library's type, read by tegula."""

import threading
from typing import Any

import numpy as np
from asdf.tags.core.ndarray import NDArrayType
from numpy.typing import DTypeLike, NDArray

from tegula.asdf._array import AsdfArray
from tegula.asdf._shim import set_ndarray

__all__ = ["LazyArray"]


class LazyArray(NDArrayType):
    """A stored array that the library treats as one of its own.

    Its first use reads all of it into writable memory. Before that, indexing reads only the selected elements and
    returns read-only arrays, because a write to a part would not show in the whole.

    Parameters
    ----------
    stored : AsdfArray
        The array of the file.
    """

    def __init__(self, stored: AsdfArray) -> None:
        set_ndarray(self, stored.shape, stored.dtype)
        self._stored = stored
        self._lock = threading.Lock()

    # Of the library's class.
    _array: NDArray[Any] | None
    _shape: list[int]

    def __getattr__(self, name: str) -> Any:
        # Code that walks through trees asks for attributes that arrays lack. That must not read the elements.
        if name.startswith("_") and not name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return super().__getattr__(name)

    @property
    def stored(self) -> AsdfArray | None:
        """The array of the file; None once the elements were read, as they may have been written to."""
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
                raise ValueError(f"cannot convert {elements.dtype} to {np.dtype(dtype)} without a copy")
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

    def __deepcopy__(self, memo: dict[int, Any]) -> "LazyArray":
        return _restore(self._stored, None if self._array is None else self._array.copy())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._stored, self._array)

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


def _restore(stored: AsdfArray, elements: NDArray[Any] | None) -> LazyArray:
    array = LazyArray(stored)
    array._array = elements
    return array
