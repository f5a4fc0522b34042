"""Methods of `Array` that change attributes and shape."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.handle import Handle
from tegula._async import then, twin
from tegula._attributes import Attributes
from tegula._elements import as_elements
from tegula._guide import guided
from tegula._revision import advance
from tegula.errors import InvalidSelectionError


class ChangeMethods(Handle):
    """The methods of `Array` that change the metadata."""

    __slots__ = ()

    @property
    def attrs(self) -> Attributes:
        """The attributes of the array: a mapping that stores each change immediately."""
        return Attributes(self)

    @guided
    def resize(self, shape: int | Sequence[int], *more: int) -> None:
        """Change the shape; the number of dimensions stays.

        New elements have the fill value. Chunks outside the new shape are erased. Chunks partly outside are kept
        unchanged: their elements reappear if the array grows again. If the array grows past the chunk lengths of a
        rectilinear grid, one chunk is added.

        This handle then has the new shape; other handles keep the old shape until the array is opened again. Writers of
        the metadata wait for each other: threads always, processes if the store is a local folder. On an object store,
        a process starts again if another one changed the metadata.

        Parameters
        ----------
        shape : int or sequence of int
            The new shape.
        *more : int
            More lengths, as in ``array.resize(50, 60)``.

        Raises
        ------
        InvalidSelectionError
            If `shape` has another number of dimensions.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), chunks=(2,), dtype="uint8", fill_value=7)
        >>> array.resize(6)
        >>> array[...]
        array([7, 7, 7, 7, 7, 7], dtype=uint8)
        """
        return then(self, self._native.resize(_as_tuple(shape) + more), advance)

    async_resize = twin(resize)

    @guided
    def append(self, data: Any, axis: int = 0) -> tuple[int, ...]:
        """Append elements along an axis, after the end that is stored now.

        The elements are stored first and the new shape last: readers see the old or the new array, and a
        failed append changes nothing. Concurrent appends get separate positions: threads wait for each other, and so do
        processes if the store is a local folder.

        On an object store, where processes cannot wait, the new shape is stored first, so that no other process appends
        to the same positions. Until the elements are stored, readers find the fill value.

        Parameters
        ----------
        data : array_like
            The elements. Along the other axes, their shape is that of the array.
        axis : int
            The axis that grows.

        Returns
        -------
        tuple of int
            The new shape.

        Raises
        ------
        InvalidSelectionError
            If the axis does not exist, or the shape of `data` does not match.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(0, 2), chunks=(2, 2), dtype="uint8")
        >>> array.append([[1, 2], [3, 4]])
        (2, 2)
        """
        return then(self, self._native.append(*append_arguments(self, self.shape, data, axis)), _finish_append)

    async_append = twin(append)


def _finish_append(array: Handle, native: _tegula.Array) -> tuple[int, ...]:
    advance(array, native)
    return native.shape


def append_arguments(array: Handle, shape: tuple[int, ...], data: Any, axis: int) -> tuple[int, NDArray[Any]]:
    """Return the arguments of a native append: the axis as a non-negative number, and the elements."""
    if not -len(shape) <= axis < len(shape):
        raise InvalidSelectionError(f"{array.name}: axis {axis} is out of bounds for {len(shape)} dimensions")
    return axis % len(shape), as_elements(data, array.dtype)


def _as_tuple(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
