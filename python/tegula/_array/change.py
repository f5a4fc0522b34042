"""Changing what an array is: its attributes and its shape."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.handle import Handle
from tegula._async import then, twin
from tegula._attributes import Attributes
from tegula._revision import advance
from tegula.errors import InvalidSelectionError


class Changing(Handle):
    """The methods of an array that change its metadata."""

    __slots__ = ()

    @property
    def attrs(self) -> Attributes:
        """What users wrote beside the array: a mapping, whose changes are stored at once."""
        return Attributes(self)

    def resize(self, shape: int | Sequence[int]) -> None:
        """Change the shape to another of as many dimensions.

        Where the array grows, it has the fill value. Where it shrinks, chunks of which nothing is left are erased;
        those that are cut stay as they are stored, so that what lay past the end is there again when the array grows.
        Where the lengths of chunks are listed one by one (rectilinear grids), and do not reach as far as the array
        grows, there is one more chunk.

        This array has the new shape then; others that were opened before keep the old one until they are opened again.
        Others that change the array's metadata wait: threads always, processes where the store is a local folder. On an
        object store a process that meets another's change begins again.

        Parameters
        ----------
        shape : int or sequence of int
            The new shape.

        Raises
        ------
        InvalidSelectionError
            If it has another number of dimensions.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), chunks=(2,), dtype="uint8", fill_value=7)
        >>> array.resize(6)
        >>> array[...]
        array([7, 7, 7, 7, 7, 7], dtype=uint8)
        """
        return then(self, self._native.resize(_lengths(shape)), advance)

    async_resize = twin(resize)

    def append(self, data: Any, axis: int = 0) -> tuple[int, ...]:
        """Write elements behind the end of an axis, as far as the array is stored by now.

        The elements are stored first, and the new shape last: whoever opens the array sees the old or the new one.
        Where elements cannot be stored, the array stays what it was. Of several who append at once, each gets a place
        of its own: threads wait for each other, and processes where the store is a local folder.

        On an object store, where processes cannot wait, the new shape is stored first, so that no other process appends
        to the same place: until the elements are stored, who reads them finds the fill value.

        Parameters
        ----------
        data : array_like
            The elements; along the other axes it is as long as the array.
        axis : int
            The axis.

        Returns
        -------
        tuple of int
            The new shape, of which the last positions of the axis are those of `data`.

        Raises
        ------
        InvalidSelectionError
            If there is no such axis, or the shape of `data` does not fit.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(0, 2), chunks=(2, 2), dtype="uint8")
        >>> array.append([[1, 2], [3, 4]])
        (2, 2)
        """
        return then(self, self._native.append(*behind(self, self.shape, data, axis)), _grow)

    async_append = twin(append)


def _grow(array: Handle, native: _tegula.Array) -> tuple[int, ...]:
    advance(array, native)
    return native.shape


def behind(array: Handle, shape: tuple[int, ...], data: Any, axis: int) -> tuple[int, NDArray[Any]]:
    """Return what is appended, as the native module takes it: the axis, counted from 0, and the elements."""
    if not -len(shape) <= axis < len(shape):
        raise InvalidSelectionError(f"{array.name}: there is no axis {axis} of {len(shape)}")
    return axis % len(shape), np.asarray(data, array.dtype)


def _lengths(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
