"""Saving and loading ndarrays in one call."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula._array.array import Array
from tegula._create import create_array, new_group
from tegula._elements import unmasked
from tegula._group import Group
from tegula._guide import guided
from tegula._open import open as open_node
from tegula._progress import Progress, joined, reporting
from tegula.stores import StoreLike, as_store

__all__ = ["load", "save"]


@guided
def save(
    store: StoreLike,
    data: Any,
    path: str = "/",
    *,
    overwrite: bool = False,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Array | Group:
    """Store an ndarray as an array, or a dict of ndarrays as a group of arrays.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    data : array_like, or mapping of str to array_like
        The elements. The keys of a mapping are the names of the arrays, or their paths in the group.
    path : str
        The path of the array or group.
    overwrite : bool
        Whether to erase an existing array or group, with everything below it.
    progress : bool or callable, optional
        True draws a bar if standard error is a terminal. A callable is called repeatedly with the number of bytes that
        are stored and the total. An exception that it raises, like Ctrl-C, ends the call and erases the array.
    storage_options : mapping, optional
        As for `tegula.open_array`.
    **properties
        Properties of the arrays; see `tegula.create_array`.

    Returns
    -------
    Array or Group
        The stored array or group.

    Raises
    ------
    StoreError
        If something is already there.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.save(store, {"a": np.arange(3), "b/c": np.eye(2)})
    >>> tegula.load(store, "a")
    array([0, 1, 2])
    """
    with reporting(progress, "saving") as report:
        resolved, path = as_store(store, path, storage_options)
        if not isinstance(data, Mapping):
            return create_array(resolved, path, data=data, overwrite=overwrite, progress=report, **properties)
        native = new_group(resolved, path, zarr_format=properties.get("zarr_format", 3), overwrite=overwrite)
        group = Group._wrap(native, resolved)
        arrays = {name: unmasked(elements) for name, elements in data.items()}
        total, done = sum(elements.nbytes for elements in arrays.values()), 0
        for name, elements in arrays.items():
            group.create_array(name, data=elements, progress=joined(report, done, total), **properties)
            done += elements.nbytes
        return group


@guided
def load(
    store: StoreLike, path: str = "/", *, storage_options: Mapping[str, Any] | None = None
) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Read a whole array, or all arrays below a group.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`.
    path : str
        The path of the array or group.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Returns
    -------
    ndarray, or dict of str to ndarray
        The elements, masked if the array has a mask. For a group, the keys are the paths of the arrays in it.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.save(store, {"a": np.arange(3), "b/c": np.eye(2)})
    >>> list(tegula.load(store))
    ['a', 'b/c']
    """
    node = open_node(store, path, mode="r", storage_options=storage_options)
    if isinstance(node, Group):
        return {name: np.asanyarray(array[...]) for name, array in node.traverse() if isinstance(array, Array)}
    elements: NDArray[Any] = np.asanyarray(node[...])
    return elements
