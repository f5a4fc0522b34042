"""New arrays and groups, in memory unless a store is given: `zeros`, `ones`, `full`, `empty`, `array` and `group`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tegula._array.array import Array
from tegula._create import create_array
from tegula._group import Group
from tegula._guide import guided
from tegula._new_array import like
from tegula._open import open_group
from tegula.stores import MemoryStore, StoreLike

__all__ = ["array", "empty", "empty_like", "full", "full_like", "group", "ones", "ones_like", "zeros", "zeros_like"]

Shape = int | Sequence[int]


def _create(store: StoreLike | None, path: str, **properties: Any) -> Array:
    return create_array(MemoryStore() if store is None else store, path, **properties)


@guided
def full(
    shape: Shape,
    fill_value: Any,
    dtype: DTypeLike | None = None,
    *,
    store: StoreLike | None = None,
    path: str = "/",
    **properties: Any,
) -> Array:
    """Create an array whose elements are all a value, which is stored as the fill value: no chunk is written.

    Parameters
    ----------
    shape : int or sequence of int
        The shape.
    fill_value
        The value.
    dtype : data type, optional
        The data type; by default that of the value.
    store : str, os.PathLike, mapping or Store, optional
        As for `tegula.create_array`; by default a new store in memory.
    path : str
        The path in the store.
    **properties
        More properties; see `tegula.create_array`.

    Examples
    --------
    >>> tegula.full((2, 3), 7, dtype="int16")[...]
    array([[7, 7, 7],
           [7, 7, 7]], dtype=int16)
    """
    if dtype is None:
        dtype = str if isinstance(fill_value, str) else np.asarray(fill_value).dtype
    return _create(store, path, shape=_checked(shape), dtype=dtype, fill_value=fill_value, **properties)


def _checked(shape: Any) -> Any:
    if isinstance(shape, (str, dict)) or not isinstance(shape, (int, np.integer, Sequence)):
        raise TypeError(f"the shape comes first, not {type(shape).__name__}; pass the store by name: store=...")
    return shape


@guided
def zeros(
    shape: Shape, dtype: DTypeLike = "float64", *, store: StoreLike | None = None, path: str = "/", **properties: Any
) -> Array:
    """Create an array of zeros, or of empty text; see `full`.

    Examples
    --------
    >>> tegula.zeros((2, 3), "int32", chunks=(1, 3))
    <tegula.Array memory:/ shape=(2, 3) dtype=int32 chunks=(1, 3)>
    """
    return _create(store, path, shape=_checked(shape), dtype=dtype, **properties)


@guided
def empty(
    shape: Shape, dtype: DTypeLike = "float64", *, store: StoreLike | None = None, path: str = "/", **properties: Any
) -> Array:
    """Create an array without chunks; until they are written, elements are zero. See `full`."""
    return _create(store, path, shape=_checked(shape), dtype=dtype, **properties)


@guided
def ones(
    shape: Shape, dtype: DTypeLike = "float64", *, store: StoreLike | None = None, path: str = "/", **properties: Any
) -> Array:
    """Create an array of ones; see `full`.

    Examples
    --------
    >>> tegula.ones(3)[...]
    array([1., 1., 1.])
    """
    return _create(store, path, shape=_checked(shape), dtype=dtype, fill_value=1, **properties)


@guided
def full_like(
    data: Any, fill_value: Any, *, store: StoreLike | None = None, path: str = "/", **properties: Any
) -> Array:
    """Create an array like another one, whose elements are all a value; see `full`.

    Shape and data type are those of `data`; so are chunks, shards, codecs and dimension names if it is an `Array`.
    Keyword arguments replace them.

    Parameters
    ----------
    data : Array or array_like
        The other array. Elements of an `Array` are not read.
    fill_value
        The value.
    store : str, os.PathLike, mapping or Store, optional
        As for `tegula.create_array`; by default a new store in memory.
    path : str
        The path in the store.
    **properties
        More properties; see `tegula.create_array`.

    Examples
    --------
    >>> tegula.full_like(tegula.zeros((2, 3), chunks=(1, 3)), 7)
    <tegula.Array memory:/ shape=(2, 3) dtype=float64 chunks=(1, 3)>
    """
    return _create(store, path, **like(data, properties, fill_value=fill_value))


@guided
def zeros_like(data: Any, *, store: StoreLike | None = None, path: str = "/", **properties: Any) -> Array:
    """Create an array of zeros like another one; see `full_like`."""
    return _create(store, path, **like(data, properties))


@guided
def empty_like(data: Any, *, store: StoreLike | None = None, path: str = "/", **properties: Any) -> Array:
    """Create an array without chunks like another one; see `full_like`."""
    return _create(store, path, **like(data, properties))


@guided
def ones_like(data: Any, *, store: StoreLike | None = None, path: str = "/", **properties: Any) -> Array:
    """Create an array of ones like another one; see `full_like`."""
    return _create(store, path, **like(data, properties, fill_value=1))


@guided
def array(data: Any, *, store: StoreLike | None = None, path: str = "/", **properties: Any) -> Array:
    """Create an array with elements, in memory unless a store is given.

    Parameters
    ----------
    data : array_like
        The elements.
    store : str, os.PathLike, mapping or Store, optional
        As for `tegula.create_array`; by default a new store in memory.
    path : str
        The path in the store.
    **properties
        More properties; see `tegula.create_array`.

    Examples
    --------
    >>> tegula.array([1, 2, 3], chunks=2)[1:]
    array([2, 3])
    """
    given = like(data, properties, data=data[...]) if isinstance(data, Array) else {**properties, "data": data}
    return _create(store, path, **given)


@guided
def group(store: StoreLike | None = None, path: str = "/", *, overwrite: bool = False, **properties: Any) -> Group:
    """Open the group of a store, or create it; in memory unless a store is given.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store, optional
        As for `tegula.open_group`; by default a new store in memory.
    path : str
        The path in the store.
    overwrite : bool
        Whether to erase what exists, with everything below it.
    **properties
        Properties of a new group; see `tegula.create_group`.

    Examples
    --------
    >>> root = tegula.group()
    >>> root["counts"] = [1, 2, 3]
    >>> list(root)
    ['counts']
    """
    return open_group(MemoryStore() if store is None else store, path, mode="w" if overwrite else "a", **properties)
