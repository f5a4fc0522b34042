"""Elements of variable length as they lie in memory, without a Python object for each."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula

__all__ = ["VariableArray"]


class VariableArray:
    """Text or bytes of variable length: all of them one after the other, and where each begins.

    Libraries that know Arrow (pyarrow, polars, duckdb, pandas ...) take it as it is, without a copy, as an array of
    ``large_string`` or ``large_binary`` in C order: ``pyarrow.array(elements)``.

    Attributes
    ----------
    bytes : ndarray of uint8
        The bytes of all elements.
    offsets : ndarray of int64, of one more than there are elements
        Where each element begins, and where the last ends.
    shape : tuple of int
        The shape of the elements.
    is_text : bool
        Whether they are text in UTF-8.

    Examples
    --------
    >>> array = tegula.create_array(tegula.MemoryStore(), shape=(2,), dtype="string", fill_value="a")
    >>> array[...] = ["one", "three"]
    >>> elements = array.retrieve_variable()
    >>> elements.bytes.tobytes(), elements.offsets
    (b'onethree', array([0, 3, 8]))
    >>> elements[1]
    'three'
    """

    __slots__ = ("bytes", "is_text", "offsets", "shape")

    bytes: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    shape: tuple[int, ...]
    is_text: bool

    def __init__(
        self,
        bytes: NDArray[np.uint8],  # noqa: A002 - as the attribute
        offsets: NDArray[np.int64],
        shape: tuple[int, ...],
        *,
        is_text: bool,
    ) -> None:
        self.bytes = bytes
        self.offsets = offsets
        self.shape = shape
        self.is_text = is_text

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Any:
        """Return an element, counted in C order."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of bounds for {len(self)} elements")
        index %= len(self)
        element = self.bytes[self.offsets[index] : self.offsets[index + 1]].tobytes()
        return element.decode() if self.is_text else element

    def __repr__(self) -> str:
        kind = "text" if self.is_text else "bytes"
        return f"<tegula.VariableArray of {kind}, shape={self.shape}, {self.bytes.size} bytes>"

    def __arrow_c_schema__(self) -> Any:
        return _tegula.arrow_schema(self.is_text)

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]:
        # What is asked for is a wish: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
        del requested_schema
        return _tegula.arrow_schema(self.is_text), _tegula.arrow_array(self.offsets, self.bytes)


def from_binary(members: dict[str, Any]) -> Any:
    """Return the bytes that an object of one member spells."""
    if len(members) == 1 and isinstance(text := members.get("$binary"), str):
        return base64.b64decode(text)
    return members


def to_binary(value: Any) -> Any:
    """Spell bytes for JSON, and what NumPy has as Python's own."""
    if isinstance(value, (bytes, bytearray)):
        return {"$binary": base64.b64encode(value).decode()}
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"JSON has no {type(value).__name__}")
