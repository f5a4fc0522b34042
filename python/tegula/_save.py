"""Saving and loading ndarrays in one call."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._create import check_format, create_array
from tegula._elements import unmasked
from tegula._files import file_target, load_file, write_file
from tegula._group import Group, warn_of_damage
from tegula._guide import guided
from tegula._location import creation, discard_group
from tegula._open import open as open_node
from tegula._progress import Progress, Report, joined, reporting
from tegula.errors import CorruptDataError, InvalidMetadataError
from tegula.stores import Store, StoreLike
from tegula.stores._access import AccessOptions, with_access
from tegula.stores._path import checked_path
from tegula.stores._resolve import target

__all__ = ["load", "save"]


@with_access
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
        As for `tegula.open_array`; a mapping must be mutable. A path says by its name what is written: ``data.zip``
        and ``data.ozx`` a zip archive, ``data.asdf`` an ASDF file, ``data.asdf#path`` a part of one, ``data.npy`` and
        ``data.npz`` a NumPy file, other names a folder.
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
        The stored array or group; of an ASDF file the array, or the `tegula.AsdfFile` if `data` is a mapping; of a
        NumPy file what `numpy.load` returns.

    Raises
    ------
    StoreError
        If something is already there.
    UnsupportedError
        If tegula writes no files of the kind that the name says, or the file cannot hold the data.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.save(store, {"a": np.arange(3), "b/c": np.eye(2)})
    >>> tegula.load(store, "a")
    array([0, 1, 2])
    """
    with reporting(progress, "saving") as report:
        if (file := file_target(store, path)) is not None:
            made: Array = write_file(file, data, overwrite=overwrite, report=report, properties=properties)
            return made
        if not isinstance(data, Mapping):
            given = {"overwrite": overwrite, "progress": report, "storage_options": storage_options, **properties}
            return create_array(store, path, data=data, **given)
        with target(store, path, storage_options, overwrite=overwrite) as (resolved, where):
            return _save_group(resolved, where, data, overwrite=overwrite, report=report, properties=properties)


def _save_group(
    store: Store,
    path: str,
    data: Mapping[str, Any],
    *,
    overwrite: bool,
    report: Report | None,
    properties: Mapping[str, Any],
) -> Group:
    """Store arrays in a new group; if that fails, erase them again."""
    arrays = {name: unmasked(elements) for name, elements in data.items()}
    zarr_format = properties.get("zarr_format", 3)
    check_format(zarr_format)
    total, done = sum(elements.nbytes for elements in arrays.values()), 0
    with creation(store, path, zarr_format, overwrite=overwrite):
        native = _tegula.Group.create(store._native, path, zarr_format, {})
        group, made = Group._wrap(native, store), list[str]()
        try:
            for name, elements in arrays.items():
                group.create_array(name, data=elements, progress=joined(report, done, total), **properties)
                made.append(name)
                done += elements.nbytes
        except BaseException:
            discard_group(store, path, made)
            raise
    return group


@with_access
@guided
def load(
    store: StoreLike,
    path: str = "/",
    *,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Read a whole array, or all arrays below a group.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; or the path of a NumPy file.
    path : str
        The path of the array or group.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Returns
    -------
    ndarray, or dict of str to ndarray
        The elements, masked if the array has a mask. For a group, the keys are the paths of the arrays in it.

    Warns
    -----
    DamagedWarning
        For each member of a group that is damaged. It is left out, and all others are read.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.save(store, {"a": np.arange(3), "b/c": np.eye(2)})
    >>> list(tegula.load(store))
    ['a', 'b/c']
    """
    if checked_path(path).strip("/") == "" and (read := load_file(store)) is not None:
        return read
    node = open_node(store, path, mode="r", storage_options=storage_options)
    if isinstance(node, Group):
        loaded, damaged = {}, []
        for name, array in node.traverse():
            if isinstance(array, Array):
                try:
                    loaded[name] = np.asanyarray(array[...])
                except (CorruptDataError, InvalidMetadataError) as error:
                    damaged.append((name, error))
        warn_of_damage(node.name, damaged)
        return loaded
    elements: NDArray[Any] = np.asanyarray(node[...])
    return elements
