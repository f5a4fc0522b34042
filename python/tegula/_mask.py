"""Masked elements, which Zarr has no place for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula.errors import UnsupportedError

__all__ = ["unmasked"]


def unmasked(data: Any) -> NDArray[Any]:
    """Return array_like data as an ndarray, if none of its elements is masked."""
    elements = np.asanyarray(data)
    if np.ma.is_masked(elements):
        raise UnsupportedError(
            "cannot store masked elements in a Zarr array, which has no mask: store data.filled(value), or "
            "data.data and data.mask as two arrays"
        )
    return np.asarray(elements)
