"""Writing by chunks and regions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula._asynchronous import call
from tegula._geometry import Geometry, Index, Region


class Storing(Geometry):
    """The ``store_`` and ``erase_`` methods of an array, and their ``async_`` twins."""

    __slots__ = ()

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
