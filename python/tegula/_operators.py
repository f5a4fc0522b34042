"""Operators and protocols that make a stored array look like an ndarray to NumPy and to other libraries."""

import sys
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

__all__ = ["Operators", "refuse_in_place"]


class Operators(NDArrayOperatorsMixin):
    """Comparison, arithmetic, truth, ``in``, DLPack and Pillow's interface of a stored array, by reading its elements.

    Operators and universal functions return ndarrays. Those that would change the array, such as ``array += 1``, raise
    a `TypeError` that names ``array[...] += 1``. Handles are hashed by identity, as tensors of PyTorch are.
    """

    __slots__ = ()

    shape: Any
    dtype: Any

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def _elements(self) -> Any:
        """Read all elements: an ndarray, or a masked array if the array has a mask."""
        return np.asanyarray(self[...])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(target, Operators) for target in kwargs.get("out", ())) or (
            method == "at" and isinstance(inputs[0], Operators)
        ):
            refuse_in_place(self)
        return getattr(ufunc, method)(*map(elements_of, inputs), **kwargs)

    # NumPy compares structured elements and other types in operators only, not in `numpy.equal`.
    def __eq__(self, other: object) -> Any:
        return self._elements() == elements_of(other)

    def __ne__(self, other: object) -> Any:
        return self._elements() != elements_of(other)

    # Units of astropy and pint are not array_like: `numpy.multiply` would make an array of objects of them.
    def __mul__(self, other: Any) -> Any:
        return self._elements() * elements_of(other)

    def __truediv__(self, other: Any) -> Any:
        return self._elements() / elements_of(other)

    def __lshift__(self, other: Any) -> Any:
        return self._elements() << elements_of(other)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        if (size := np.prod(self.shape, dtype=object)) != 1:
            raise ValueError(
                f"the truth value of an array with {size} elements is ambiguous: use array[...].any() or "
                "array[...].all(), or `array is not None` to ask whether there is an array"
            )
        return bool(self._elements())

    def __contains__(self, value: object) -> bool:
        return bool((self == value).any())

    def __int__(self) -> int:
        return int(self._elements())

    def __float__(self) -> float:
        return float(self._elements())

    def __complex__(self) -> complex:
        return complex(self._elements())

    def __index__(self) -> int:
        return self._elements().__index__()  # type: ignore[no-any-return]

    def __dlpack__(self, **options: Any) -> Any:
        """Return the elements as a DLPack capsule in the memory of the CPU."""
        if options.get("copy") is False:
            raise BufferError("a stored array cannot be exported without a copy")
        elements = self._plain_elements("DLPack")
        return elements.__dlpack__(**{name: value for name, value in options.items() if value is not None})

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    @property
    def __array_interface__(self) -> dict[str, Any]:
        # NumPy prefers this to `__array__`, and would lose masks and data types that it cannot describe. Pillow knows
        # nothing else, and takes the elements from `tobytes`.
        if sys._getframe(1).f_globals.get("__name__") != "PIL.Image":
            raise AttributeError("__array_interface__")
        return {"version": 3, "shape": self.shape, "typestr": np.dtype(self.dtype).str, "strides": ()}

    def tobytes(self, order: Any = "C") -> bytes:
        """Read all elements as bytes, as `numpy.ndarray.tobytes` does."""
        return self._plain_elements("a bytes object").tobytes(order)

    def _plain_elements(self, target: str) -> NDArray[Any]:
        """Read all elements as a writable ndarray."""
        elements = self._elements()
        if np.ma.is_masked(elements):
            raise BufferError(f"{target} has no masks: pass array[...].filled(value)")
        return np.require(np.asarray(elements), requirements="W")


def elements_of(value: Any) -> Any:
    """Return the elements of a stored array; any other value as it is."""
    return value._elements() if isinstance(value, Operators) else value


def refuse_in_place(array: Any) -> NoReturn:
    """Raise the error of an operation that would change a stored array, as ``array += 1`` would."""
    raise TypeError(
        f"cannot change {getattr(array, 'name', 'a stored array')} in place: array[...] += 1 reads, computes and "
        "stores all elements; array[...] = numpy.add(array, 1) does the same"
    )
