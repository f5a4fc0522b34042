"""Zarr arrays for the tree of an ASDF file."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tegula._array.array import Array
from tegula._create import create_array
from tegula._elements import unmasked
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
    """Return an array of Zarr V2 in memory, which is written to an ASDF file as a block for each chunk.

    Readers of the file then read and decompress only the chunks they need.

    Parameters
    ----------
    data : Array or array_like
        The elements. Of an `Array`, one row of chunks is read at a time.
    chunks : sequence of int or "auto"
        The shape of a chunk; -1 for a whole axis. "auto": chunks of at most 1 MiB.
    compressor : codec or None
        The compression of chunks: ``"zstd"``, ``"zstd:5"``, ``"zlib:6"``, ``"blosc:lz4:5:shuffle"`` and the like.
    fill_value
        The fill value: chunks with nothing else are not stored.
    attributes : mapping, optional
        Attributes, as for JSON. Only tegula reads them from ASDF files.

    Examples
    --------
    >>> import tegula.asdf
    >>> image = tegula.asdf.chunked(np.arange(10000).reshape(100, 100), chunks=(50, 50))
    >>> tegula.asdf.AsdfFile({"image": image}).write_to("image.asdf")
    >>> tegula.open_array("image.asdf#image")[60, 70:73]
    array([6070, 6071, 6072])
    """
    elements = data if isinstance(data, Array) else unmasked(data)
    if isinstance(elements, Array):
        elements._refuse_mask()
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
