"""Names of zarr-python's arrays, for those who come from it."""

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.change import ChangeMethods
from tegula._array.index import IndexMethods
from tegula._array.retrieve import RetrieveMethods
from tegula._format import byte_size
from tegula.errors import InvalidSelectionError
from tegula.stores import ReadOnlyStore

__all__ = ["Info", "ZarrNames"]


class Info(str):
    """A description on several lines. Calling it returns it, and notebooks show its lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def __call__(self) -> "Info":
        return self


class ZarrNames(IndexMethods, RetrieveMethods, ChangeMethods):
    """Methods and properties that zarr-python's arrays have too, with the same meaning."""

    __slots__ = ()

    @property
    def codecs(self) -> list[dict[str, Any]]:
        """The codecs in the order of encoding, each with name and configuration as in Zarr V3."""
        return self._native.codecs()

    def _split_codecs(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the array-to-array, array-to-bytes and bytes-to-bytes codecs; of inner chunks, if sharded."""
        codecs = self.codecs
        while len(codecs) == 1 and codecs[0]["name"] == "sharding_indexed":
            codecs = codecs[0]["configuration"]["codecs"]
        at = next((n for n, codec in enumerate(codecs) if _tegula.is_array_to_bytes(codec["name"])), 0)
        return codecs[:at], codecs[at : at + 1], codecs[at + 1 :]

    @property
    def filters(self) -> tuple[dict[str, Any], ...]:
        """The array-to-array codecs; of inner chunks, if the array is sharded. See `codecs`."""
        return tuple(self._split_codecs()[0])

    @property
    def serializer(self) -> dict[str, Any] | None:
        """The array-to-bytes codec; of inner chunks, if the array is sharded. See `codecs`."""
        return next(iter(self._split_codecs()[1]), None)

    @property
    def compressors(self) -> tuple[dict[str, Any], ...]:
        """The bytes-to-bytes codecs; of inner chunks, if the array is sharded. See `codecs`.

        Examples
        --------
        >>> tegula.zeros(10, compressors="gzip:6").compressors
        ({'name': 'gzip', 'configuration': {'level': 6}},)
        """
        return tuple(self._split_codecs()[2])

    @property
    def compressor(self) -> dict[str, Any] | None:
        """The compressor of a Zarr V2 array, as in its metadata; None if it has none.

        Raises
        ------
        TypeError
            If the array is Zarr V3, which has `compressors`.
        """
        if self._native.zarr_format != 2:
            raise TypeError(f"{self.name} is Zarr V3, which has any number of compressors: use array.compressors")
        found: dict[str, Any] | None = self._native.metadata().get("compressor")
        return found

    @property
    def order(self) -> str:
        """The order of the elements of a chunk: "F" in Zarr V2 arrays that say so, "C" otherwise. See `filters`."""
        return str(self._native.metadata().get("order", "C"))

    @property
    def basename(self) -> str:
        """The last name of the path; empty for the root of the store."""
        return self._native.path.rpartition("/")[2]

    @property
    def store_path(self) -> str:
        """The store and the path; as `name`."""
        return self.name

    @property
    def read_only(self) -> bool:
        """Whether the array was opened with mode "r"."""
        return isinstance(self._store, ReadOnlyStore)

    @property
    def cdata_shape(self) -> tuple[int, ...]:
        """The number of chunks along each axis; of inner chunks, if the array is sharded."""
        return self.inner_chunk_grid_shape

    @property
    def nchunks(self) -> int:
        """The number of chunks, stored or not; of inner chunks, if the array is sharded."""
        return math.prod(self.inner_chunk_grid_shape)

    @property
    def nchunks_initialized(self) -> int:
        """The number of stored chunks. Of a stored shard, all inner chunks count, as in zarr-python; see `explain`.

        Examples
        --------
        >>> array = tegula.zeros(10, chunks=2)
        >>> array[:3] = 1
        >>> array.nchunks_initialized, array.nchunks
        (2, 5)
        """
        stored = self._native.stored_size()[0]
        inner = self._native.inner_chunk_shape
        if inner is None:
            return stored
        lengths = (max(length) if isinstance(length, tuple) else length for length in self._native.grid_chunk_shape)
        inside: int = math.prod(-(-length // part) for length, part in zip(lengths, inner, strict=True))
        return min(stored * inside, self.nchunks)

    def nbytes_stored(self) -> int:
        """Return the size of the stored chunks in bytes, without the metadata."""
        return self._native.stored_size()[1]

    def info_complete(self) -> Info:
        """Return `info` with the number and size of the stored chunks."""
        stored = self.nbytes_stored()
        ratio = f"{self.nbytes / stored:.3g}" if stored else "-"
        rows = [
            ("stored", f"{self.nchunks_initialized:,} of {self.nchunks:,} chunks, {byte_size(stored)}"),
            ("ratio", f"{ratio} (decoded size to stored size)"),
        ]
        return Info("\n".join([self.info, *(f"{label:<12}{text}" for label, text in rows)]))

    @property
    def info(self) -> Info:
        """A description of the array on several lines, from the metadata alone."""
        raise NotImplementedError

    def update_attributes(self, new_attributes: dict[str, Any]) -> Self:
        """Set attributes, and return this array; as ``array.attrs.update(...)``."""
        self.attrs.update(new_attributes)
        return self

    def _selected(self, indexer: Any, selection: Any, out: NDArray[Any] | None, fields: Any) -> Any:
        found = indexer[selection if fields is None else _with_fields(fields, selection)]
        if out is None:
            return found
        if np.shape(out) != np.shape(found) or out.dtype != np.asarray(found).dtype:
            raise InvalidSelectionError(
                f"{self.name}: out has shape {np.shape(out)} and data type {out.dtype}, not {np.shape(found)} and "
                f"{np.asarray(found).dtype}"
            )
        out[...] = found
        return out

    def get_basic_selection(self, selection: Any = ..., *, out: NDArray[Any] | None = None, fields: Any = None) -> Any:
        """Read the elements of an index of integers and slices; as ``array[selection]``.

        Parameters
        ----------
        selection
            The index.
        out : ndarray, optional
            Array to copy the elements into.
        fields : str or list of str, optional
            Fields of structured elements.
        """
        return self._selected(self, selection, out, fields)

    def set_basic_selection(self, selection: Any, value: Any, *, fields: Any = None) -> None:
        """Store elements at an index of integers and slices; as ``array[selection] = value``."""
        self[_with_fields(fields, selection)] = value

    def get_orthogonal_selection(self, selection: Any, *, out: NDArray[Any] | None = None, fields: Any = None) -> Any:
        """Read the elements of an orthogonal index; as ``array.oindex[selection]``."""
        return self._selected(self.oindex, selection, out, fields)

    def set_orthogonal_selection(self, selection: Any, value: Any, *, fields: Any = None) -> None:
        """Store elements at an orthogonal index; as ``array.oindex[selection] = value``."""
        self.oindex[_with_fields(fields, selection)] = value

    def get_coordinate_selection(self, selection: Any, *, out: NDArray[Any] | None = None, fields: Any = None) -> Any:
        """Read single elements by their coordinates; as ``array.vindex[selection]``."""
        return self._selected(self.vindex, selection, out, fields)

    def set_coordinate_selection(self, selection: Any, value: Any, *, fields: Any = None) -> None:
        """Store single elements by their coordinates; as ``array.vindex[selection] = value``."""
        self.vindex[_with_fields(fields, selection)] = value

    def get_mask_selection(self, mask: Any, *, out: NDArray[Any] | None = None, fields: Any = None) -> Any:
        """Read the elements for which a mask of the array's shape is true; as ``array.vindex[mask]``."""
        return self._selected(self.vindex, self._where(mask), out, fields)

    def set_mask_selection(self, mask: Any, value: Any, *, fields: Any = None) -> None:
        """Store elements where a mask of the array's shape is true; as ``array.vindex[mask] = value``."""
        self.vindex[_with_fields(fields, self._where(mask))] = value

    def _where(self, mask: Any) -> NDArray[np.bool_]:
        found = np.asarray(mask)
        if found.dtype != bool or found.shape != self.shape:
            raise InvalidSelectionError(
                f"{self.name}: a mask is an array of bool with shape {self.shape}, not {found.dtype} with shape "
                f"{found.shape}"
            )
        return found

    def get_block_selection(self, selection: Any, *, out: NDArray[Any] | None = None, fields: Any = None) -> Any:
        """Read whole chunks by an index of the chunk grid; as ``array.blocks[selection]``."""
        return self._selected(self.blocks, selection, out, fields)

    def set_block_selection(self, selection: Any, value: Any, *, fields: Any = None) -> None:
        """Store whole chunks by an index of the chunk grid; as ``array.blocks[selection] = value``."""
        self.blocks[_with_fields(fields, selection)] = value


def _with_fields(fields: Any, selection: Any) -> Any:
    """Return an index of some fields."""
    if fields is None or fields == []:
        return selection
    rest = selection if isinstance(selection, tuple) else (selection,)
    return (fields if isinstance(fields, str) else list(fields), *rest)
