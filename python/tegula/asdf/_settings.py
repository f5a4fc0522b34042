"""How the arrays of a file will be written, as users set it for each array."""

import weakref
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from tegula import _tegula
from tegula.errors import UnsupportedError

__all__ = ["ArrayOptions", "ArraySettings", "FileMap", "Storage", "checked_label", "checked_storage", "is_mapped"]

Storage: TypeAlias = Literal["internal", "inline", "external", "streamed"]
"""Where elements are stored: in a block, in the tree, in a separate file, in a last block that can grow."""

STORAGES = get_args(Storage)


@dataclass
class ArrayOptions:
    """How one array will be written; the defaults leave it as it is."""

    storage: str | None = None
    compression: str | None = "input"
    """A label; None: not compressed; "input": as the array is stored, not compressed if it is in memory."""
    compression_kwargs: dict[str, Any] = field(default_factory=dict)
    save_base: bool | None = None


class FileMap(np.memmap[Any, np.dtype[np.uint8]]):
    """The memory map of an ASDF file. Arrays of the file are views of it, but do not share their settings."""


def _owner(array: Any) -> Any:
    """Return the array that owns the memory of an array; all views of it share their settings."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray) and not isinstance(array.base, FileMap):
        array = array.base
    return array


def is_mapped(array: Any) -> bool:
    """Return whether the memory of an array is that of an ASDF file."""
    return isinstance(getattr(_owner(array), "base", None), FileMap)


class ArraySettings:
    """The options of arrays, kept as long as the arrays live."""

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[weakref.ref[Any], ArrayOptions]] = {}

    def find(self, array: Any) -> ArrayOptions | None:
        """Return the options of an array; None if nothing was set."""
        owner = _owner(array)
        known = self._by_id.get(id(owner))
        return known[1] if known is not None and known[0]() is owner else None

    def of(self, array: Any) -> ArrayOptions:
        """Return the options of an array, by default new ones. Use `change` to change them."""
        return self.find(array) or ArrayOptions()

    def change(self, array: Any) -> ArrayOptions:
        """Return the options of an array, which the caller may change."""
        owner = _owner(array)
        options = self.find(owner)
        if options is None:
            number = id(owner)
            options = ArrayOptions()
            entries = self._by_id

            def forget(_: Any) -> None:
                # Another array may get the address.
                entries.pop(number, None)

            entries[number] = weakref.ref(owner, forget), options
        return options

    def set_storage(self, array: Any, storage: Storage) -> None:
        """Set where the elements of an array will be stored. A file has at most one streamed array."""
        checked_storage(storage)
        if storage == "streamed":
            owner = _owner(array)
            for known, options in list(self._by_id.values()):
                if options.storage == "streamed" and known() is not None and known() is not owner:
                    raise ValueError("cannot set the storage to 'streamed': a file has one streamed array at most")
        self.change(array).storage = storage


def checked_storage(storage: Storage | None) -> Storage | None:
    """Return a storage, if there is such."""
    if storage not in (None, *STORAGES):
        raise ValueError(f"unknown array storage {storage!r}; use one of {', '.join(STORAGES)}")
    return storage


def checked_label(label: str | None) -> str | None:
    """Return the label of a compression, None for no compression, or "input"."""
    if label in (None, "", "input") or label in _tegula.block_labels():
        return label or None
    raise UnsupportedError(f"unknown block compression {label!r}; use one of {', '.join(_tegula.block_labels())}")
