"""Zarr arrays for the tree of an ASDF file."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tegula._array.array import Array
from tegula._create import create_array
from tegula._new_array import Codec
from tegula.stores import MemoryStore

__all__ = ["chunked"]


def chunked(
    data: Any,
    chunks: int | Sequence[int] | Literal["auto"] = "auto",
    *,
    compressor: Codec | None = "zstd",
    fill_value: Any = 0,
    attributes: Mapping[str, Any] | None = None,
) -> Array:
    """Return a Zarr array of Zarr V2 in memory, which a tree holds as chunks instead of as one block.

    Readers then read, and decompress, only the chunks that they want.

    Parameters
    ----------
    data : ndarray, Array or anything that NumPy makes an array of
        The elements; of an `Array` a row of chunks at a time.
    chunks : sequence of int or "auto"
        The shape of a chunk; -1 for all of an axis. "auto": chunks of at most 1 MiB.
    compressor : codec or None
        How chunks are compressed: ``"zstd"``, ``"zstd:5"``, ``"zlib:6"``, ``"blosc:lz4:5:shuffle"`` and the like.
    fill_value
        The value of chunks that need not be stored, as all of their elements have it.
    attributes : mapping, optional
        What to write beside it: JSON. Other readers than tegula do not know attributes.

    Examples
    --------
    >>> import tegula.asdf
    >>> image = tegula.asdf.chunked(np.arange(10000).reshape(100, 100), chunks=(50, 50))
    >>> tegula.asdf.AsdfFile({"image": image}).write_to("image.asdf")
    >>> tegula.open_array("image.asdf#image")[60, 70:73]
    array([6070, 6071, 6072])
    """
    elements = data if isinstance(data, Array) else np.asanyarray(data)
    array = create_array(
        MemoryStore(),
        shape=elements.shape,
        dtype=elements.dtype,
        chunks=chunks,
        compressors=compressor,
        fill_value=fill_value,
        attributes=attributes,
        zarr_format=2,
    )
    if not isinstance(elements, Array) or not elements.shape:
        array[...] = elements[...]
        return array
    step = array.chunks[0]
    for start in range(0, elements.shape[0], step):
        array[start : start + step] = elements[start : start + step]
    return array
