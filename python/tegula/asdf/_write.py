"""Writing trees."""

import datetime as dt
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.lib import recfunctions
from numpy.typing import NDArray

from tegula import _tegula
from tegula.array import Array
from tegula.asdf._array import AsdfArray
from tegula.asdf._tree import Reference, TaggedDict
from tegula.errors import UnsupportedError

STANDARD = "1.6.0"
"""The version of the ASDF standard that is written."""

_ROOT = "tag:stsci.edu:asdf/core/asdf-1.1.0"
_SOFTWARE = "tag:stsci.edu:asdf/core/software-1.0.0"


def write(tree: Any, path: str, *, compression: str | None, checksums: bool, keep_zarr_v3: bool) -> None:
    """Write a tree; see `tegula.asdf.AsdfFile.write_to`."""
    if not isinstance(tree, dict):
        raise UnsupportedError(f"a tree is a dict, not {type(tree).__name__}")
    options = {"compression": compression, "checksums": checksums, "keep_zarr_v3": keep_zarr_v3}
    _tegula.write_asdf(_Root(tree), path, options)


class _Root(dict[Any, Any]):
    """The tree with what every file has; objects in it that refer to the tree itself stay what they are."""

    tag = _ROOT

    def __init__(self, tree: dict[Any, Any]) -> None:
        try:
            ours = version("tegula")
        except PackageNotFoundError:
            ours = _tegula.__version__
        software = {"author": "The tegula developers", "name": "tegula", "version": ours}
        super().__init__({"asdf_library": TaggedDict(_SOFTWARE, software)})
        self.update((key, value) for key, value in tree.items() if key != "asdf_library")


def simplify(value: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: C901, PLR0911 - a table
    """Say what an object is to be in a file, for the native module: a kind and what belongs to it."""
    if isinstance(value, np.ndarray):
        return "ndarray", _ndarray(value)
    if isinstance(value, np.generic):
        if value.dtype.kind in "biufcSU":
            return "same", (value.item(),)
        return "ndarray", _ndarray(np.asarray(value))
    if isinstance(value, AsdfArray) and not value.is_zarr:
        return "copy", (value._file._native, value._node)
    if isinstance(value, Array):
        return "zarr", (value._native,)
    if isinstance(value, dt.datetime):
        return "timestamp", (value.isoformat(sep=" "),)
    if isinstance(value, dt.date):
        return "timestamp", (value.isoformat(),)
    if isinstance(value, (set, frozenset)):
        return "set", (dict.fromkeys(value),)
    if isinstance(value, Reference):
        return "same", ({"$ref": value.uri},)
    if isinstance(value, int):
        return "same", (int(value),)
    if isinstance(value, (bytearray, memoryview)):
        return "same", (bytes(value),)
    raise UnsupportedError(
        f"{type(value).__module__}.{type(value).__qualname__} cannot be written to an ASDF file: there are dicts, "
        "lists, strings, numbers, bools, None, bytes, dates, sets, ndarrays and tegula arrays"
    )


def _ndarray(array: NDArray[Any]) -> tuple[Any, np.dtype[Any], tuple[int, ...], Any, bool]:
    """Return the bytes of an array, or itself where they are yet to be gathered; data type, shape, mask; which of both.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
    """
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        if array.dtype.names is not None:
            raise UnsupportedError("masked arrays of records cannot be written to an ASDF file")
        mask = None if array.mask is np.ma.nomask else np.ma.getmaskarray(array)
        array = np.ma.getdata(array)
    array = _packed(np.asarray(array))
    whole = bool(array.flags.c_contiguous)
    return (gather(array) if whole else array), array.dtype, array.shape, mask, whole


def _packed(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same elements, without gaps between fields, as a data type that ASDF has."""
    dtype = array.dtype
    if dtype.names is not None:
        packed = recfunctions.repack_fields(np.empty(0, dtype), recurse=True).dtype
        return array if packed == dtype and packed.itemsize == dtype.itemsize else array.astype(packed)
    if dtype.kind in "SU" and dtype.itemsize == 0:
        return array.astype(f"{dtype.kind}1")
    if dtype.kind not in "biufcSU":
        raise UnsupportedError(f"arrays of {dtype} cannot be written to an ASDF file")
    return array


def gather(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of an array in C order; without a copy if they lie so."""
    if array.size == 0:
        return np.empty(0, np.uint8)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def words(value: int) -> tuple[str, list[int], str]:
    """Return the sign of an integer, its words of 32 bits, least significant first, and its decimal digits.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/integer-1.1.0.html
    """
    magnitude = abs(value)
    count = (magnitude.bit_length() + 31) // 32
    found = np.frombuffer(magnitude.to_bytes(4 * count, "little"), "<u4").tolist()
    try:
        digits = str(value)
    except ValueError:
        digits = hex(value)
    return ("-" if value < 0 else "+"), found, digits
