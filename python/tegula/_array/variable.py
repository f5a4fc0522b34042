"""Elements of variable length as bytes and offsets, without a Python object for each."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula

__all__ = ["VariableArray"]


class VariableArray:
    """Text or bytes of variable length: the concatenated bytes of all elements, and their offsets.

    Arrow libraries (pyarrow, polars, duckdb, pandas, ...) use it without a copy, as an array of ``large_string`` or
    ``large_binary`` in C order: ``pyarrow.array(elements)``.

    Attributes
    ----------
    bytes : ndarray of uint8
        The concatenated bytes of all elements, in C order.
    offsets : ndarray of int64, shape (n + 1,)
        The offset of each of the n elements in `bytes`, and the end of the last.
    shape : tuple of int
        The shape of the elements.
    is_text : bool
        Whether the elements are text in UTF-8.

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
        """Return an element by its number in C order."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of bounds for {len(self)} elements")
        index %= len(self)
        element = self.bytes[self.offsets[index] : self.offsets[index + 1]].tobytes()
        return element.decode() if self.is_text else element

    def __eq__(self, other: object) -> bool:
        raise TypeError("elements of variable length are compared as an ndarray, array[...], or by bytes and offsets")

    __ne__ = __eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        kind = "text" if self.is_text else "bytes"
        return f"<tegula.VariableArray of {kind}, shape={self.shape}, {self.bytes.size} bytes>"

    def __arrow_c_schema__(self) -> Any:
        return _tegula.arrow_schema(self.is_text)

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]:
        # The requested schema may be ignored: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
        del requested_schema
        return _tegula.arrow_schema(self.is_text), _tegula.arrow_array(self.offsets, self.bytes)


def from_binary(members: dict[str, Any]) -> Any:
    """Decode a JSON object of the form ``{"$binary": base64}`` to bytes; return any other object unchanged."""
    if len(members) == 1 and isinstance(text := members.get("$binary"), str):
        return base64.b64decode(text)
    return members


def to_binary(value: Any) -> Any:
    """Encode bytes as ``{"$binary": base64}`` for JSON, and NumPy scalars and arrays as Python objects."""
    if isinstance(value, (bytes, bytearray)):
        return {"$binary": base64.b64encode(value).decode()}
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot encode {type(value).__name__} as JSON")
