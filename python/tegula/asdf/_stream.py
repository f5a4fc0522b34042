"""Values that are written in a special way, under the names of the ``asdf`` library."""

from collections.abc import Sequence
from typing import Any, Self, SupportsInt

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["IntegerType", "Stream"]


class Stream:
    """An array without rows yet, whose rows are written after the file: the last block can grow.

    Parameters
    ----------
    shape : sequence of int
        The shape of a row.
    dtype : data type
        The data type of the elements.

    Examples
    --------
    >>> with open("rows.asdf", "wb") as out:
    ...     tegula.AsdfFile({"rows": tegula.asdf.Stream([3], "f4")}).write_to(out)
    ...     _ = out.write(np.arange(6, dtype="f4").tobytes())
    >>> tegula.open_asdf("rows.asdf")["rows"].shape
    (2, 3)
    """

    __slots__ = ("dtype", "shape")

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __init__(self, shape: Sequence[int], dtype: DTypeLike, strides: None = None) -> None:
        if strides is not None:
            raise TypeError("a stream has no strides: rows are stored in C order")
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"Stream({list(self.shape)}, {self.dtype})"


class IntegerType(int):
    """An integer of any size. tegula writes every `int` that way, so this is only for code that expects the name.

    Parameters
    ----------
    value : int
        The integer.
    storage_type : str
        Has no effect: integers beyond 64 bits are stored in the tree.
    """

    __slots__ = ()

    def __new__(cls, value: SupportsInt, storage_type: str = "internal") -> Self:  # noqa: ARG004
        """Make an integer."""
        return super().__new__(cls, int(value))
