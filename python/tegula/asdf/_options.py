"""How arrays are to be written: what is said of one array, and of all."""

import weakref
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

__all__ = ["STORAGES", "ArrayOptions", "ArraySettings", "FileMap", "Storage", "in_file"]

Storage: TypeAlias = Literal["internal", "inline", "external", "streamed"]
"""Where elements can be: in a block, in the tree, in a file of their own, in a last block that can grow."""

STORAGES = get_args(Storage)


@dataclass
class ArrayOptions:
    """What is said of one array; None: nothing."""

    storage: str | None = None
    compression: str | None = "input"
    """A label; None: none; "input": as it is stored, and none of what is not."""
    compression_kwargs: dict[str, Any] = field(default_factory=dict)
    save_base: bool | None = None


class FileMap(np.memmap[Any, np.dtype[np.uint8]]):
    """The memory map of an ASDF file. Arrays of the file share it without sharing what is said of them."""


def _base(array: Any) -> Any:
    """Return the array whose memory it is: its views share what is said of it."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray) and not isinstance(array.base, FileMap):
        array = array.base
    return array


def in_file(array: Any) -> bool:
    """Return whether the memory of an array is that of an ASDF file."""
    return isinstance(getattr(_base(array), "base", None), FileMap)


class ArraySettings:
    """What is said of arrays, as long as they live."""

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[weakref.ref[Any], ArrayOptions]] = {}

    def of(self, array: Any) -> ArrayOptions | None:
        """Return what is said of an array."""
        base = _base(array)
        known = self._by_id.get(id(base))
        return known[1] if known is not None and known[0]() is base else None

    def change(self, array: Any) -> ArrayOptions:
        """Return what is said of an array, to be changed."""
        base = _base(array)
        options = self.of(base)
        if options is None:
            number = id(base)
            options = ArrayOptions()
            entries = self._by_id

            def gone(_: Any) -> None:
                # Another array may have its address later.
                entries.pop(number, None)

            entries[number] = weakref.ref(base, gone), options
        return options

    def check_stream(self, array: Any) -> None:
        """Refuse a second stream."""
        base = _base(array)
        for known, options in list(self._by_id.values()):
            if options.storage == "streamed" and known() is not None and known() is not base:
                raise ValueError("a file has one streamed array, and there is another one already")
