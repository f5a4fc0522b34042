"""Masks of arrays in ASDF files.

See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula._array.array import Array
from tegula._create import create_array
from tegula.errors import InvalidMetadataError, InvalidSelectionError
from tegula.stores import MemoryStore

__all__ = ["Mask", "awaitable", "carrying", "mask_of"]


class Mask:
    """Tells which elements of an array are masked."""

    def apply(self, elements: Any, select: Callable[[Array], Any]) -> Any:
        """Return a masked array; of a single element, the element or `numpy.ma.masked`.

        Parameters
        ----------
        elements : ndarray or scalar
            The elements.
        select : callable
            Reads, from an array of truth values that has the shape of the whole array, those of the elements.
        """
        masked = self._masked(elements, select)
        return masked[()] if isinstance(elements, np.generic) else masked

    def _masked(self, elements: Any, select: Callable[[Array], Any]) -> Any:
        raise NotImplementedError


class ValueMask(Mask):
    """Masks the elements that equal a value."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def _masked(self, elements: Any, select: Callable[[Array], Any]) -> Any:  # noqa: ARG002 - values are enough
        if isinstance(self._value, (float, complex)) and np.isnan(self._value):
            return np.ma.array(elements, mask=np.isnan(elements))
        return np.ma.masked_values(elements, self._value, copy=False, shrink=False)


def mask_of(found: Any, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Mask:
    """Return the mask that a node describes: an array that broadcasts to the shape, or a number.

    Parameters
    ----------
    found : object
        What the node became.
    shape, dtype
        Those of the array that is masked.
    name : str
        The name of the array, for messages.

    Raises
    ------
    InvalidMetadataError
        If the node is something else, or an array of another shape or type.
    """
    if isinstance(found, (Array, np.ndarray)):
        _check_array(found, shape, dtype, name)
        return ArrayMask(found, shape)
    if isinstance(found, (bool, int, float, complex)) and dtype.kind in "biufc":
        return ValueMask(found)
    raise InvalidMetadataError(f"{name}: the mask is a {type(found).__name__}, expected an array or a number")


def _check_array(found: Any, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    try:
        fits = np.broadcast_shapes(found.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise InvalidMetadataError(f"{name}: the mask has shape {found.shape}, which does not fit shape {shape}")
    if found.dtype.names is not None:
        parts = np.ma.make_mask_descr(dtype)
        if np.ma.make_mask_descr(found.dtype) != parts:
            raise InvalidMetadataError(f"{name}: the mask has type {found.dtype}, expected {parts}")
    elif found.dtype.kind not in "biufc":
        raise InvalidMetadataError(f"{name}: the mask has type {found.dtype}, expected truth values")


class ArrayMask(Mask):
    """Masks the elements for which another array is not zero.

    Parameters
    ----------
    where : Array or ndarray
        The other array, which is broadcast to the shape.
    shape : tuple of int
        The shape of the array that is masked.
    """

    def __init__(self, where: Any, shape: tuple[int, ...]) -> None:
        # Reads of parts are passed on to an array that has the same shape and, like ours, a single chunk.
        if not isinstance(where, Array) or where.shape != shape or not _is_plain(where):
            found = where[...]
            found = np.ma.getmaskarray(found) if isinstance(found, np.ma.MaskedArray) else _truth(found)
            found = np.ascontiguousarray(np.broadcast_to(found, shape)).reshape(shape)
            chunks = [max(length, 1) for length in shape]
            where = create_array(MemoryStore(), data=found, chunks=chunks, shards=None, compressors=None)
        self._where: Array = where

    def _masked(self, elements: Any, select: Callable[[Array], Any]) -> Any:
        return np.ma.array(elements, mask=_truth(select(self._where)))


def _truth(elements: Any) -> NDArray[Any]:
    """Return the truth of elements; records mask their fields one by one."""
    found = np.asarray(elements)
    return found if found.dtype.names else found != 0


def _is_plain(array: Any) -> bool:
    return not (array.is_zarr or array.is_chunked or array.mask is not None)


def carrying(read: Callable[..., Any]) -> Any:
    """Return a ``retrieve_`` method of `AsdfArray` that masks what a method of `Array` reads."""
    name, signature = read.__name__, inspect.signature(read)

    @functools.wraps(read)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        mask: Mask | None = self._masking
        if mask is None:
            return read(self, *args, **kwargs)
        arguments = signature.bind(self, *args, **kwargs).arguments
        out = arguments.pop("out", None)
        elements = read(**arguments) if out is None else read(**arguments, out=_data(out, self.name))
        if elements is None:
            return None
        region = {key: value for key, value in arguments.items() if key not in ("self", "dtype")}
        masked = mask.apply(elements, lambda where: getattr(where, name)(**region))
        if out is None:
            return masked
        out.mask = np.ma.getmaskarray(masked)
        return out

    return method


def _data(out: Any, name: str) -> NDArray[Any]:
    if not isinstance(out, np.ma.MaskedArray):
        raise InvalidSelectionError(
            f"cannot read {name} into a plain ndarray: it has a mask; pass a numpy.ma.MaskedArray, "
            "or read array.without_mask()"
        )
    return np.ma.getdata(out)


def awaitable(read: Callable[..., Any]) -> Any:
    """Return the ``async_`` twin of a method that `carrying` made."""

    @functools.wraps(read)
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._masking is None:
            return await read(self, *args, **kwargs)
        from asyncio import to_thread

        # Elements and mask are two reads.
        return await to_thread(getattr(self, read.__name__.removeprefix("async_")), *args, **kwargs)

    return method
