"""Checks of everything that an ASDF file stores."""

from collections.abc import Iterator
from typing import Any

from tegula import _tegula
from tegula._array.array import Array
from tegula.asdf._array import AsdfArray
from tegula.asdf._file import AsdfFile
from tegula.asdf._opened import Opened
from tegula.errors import Error
from tegula.stores import locate_file

__all__ = ["leftovers", "opened_to_check", "problems"]


def opened_to_check(path: str, storage_options: Any) -> tuple[Opened, AsdfFile]:
    """Open a file, whose tree keeps the arrays; an error if its header or its tree is damaged."""
    opened = Opened.open(*locate_file(path, storage_options), AsdfFile)
    return opened, opened.file


def leftovers(path: str, *, remove: bool) -> list[str]:
    """Find what killed writers of a local file left in its folder, and perhaps remove it."""
    return [str(found) for found in _tegula.asdf_leftovers(path, remove)]


def problems(opened: Opened) -> Iterator[tuple[str, Error | None, Array | None]]:
    """Check blocks and arrays of a file.

    Yields
    ------
    tuple of str, Error or None, Array or None
        A block or array, and what is wrong with it; or an array of Zarr, whose chunks the caller checks.
    """
    native = opened.native
    for number in range(native.block_count()):
        yield f"{native.name}: block {number}", _error(lambda number=number: native.check_block(number)), None
    checked = 0
    # Looking up a mask adds its array.
    while checked < len(arrays := opened.arrays()):
        array = arrays[checked]
        checked += 1
        if array.is_zarr:
            error = _error(lambda array=array: array._load())
            yield array.name, error, None if error else array
        else:
            yield array.name, _error(lambda array=array: _load(array)), None


def _load(array: AsdfArray) -> None:
    """Look up everything but the elements, whose blocks were checked."""
    if array.dtype.itemsize:  # otherwise nothing is stored
        array._load()
    array._masking  # noqa: B018 - reads the mask


def _error(check: Any) -> Error | None:
    try:
        check()
    except Error as error:
        return error
    return None
