"""Opening arrays and groups, and creating groups."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

from tegula import _tegula
from tegula._array.array import Array
from tegula._create import create_array, new_group
from tegula._group import Group
from tegula.asdf._open import open_node as open_asdf_node
from tegula.errors import NotFoundError, UnsupportedError
from tegula.stores import ReadOnlyStore, Store, StoreLike, as_store

__all__ = ["consolidate_metadata", "create_group", "open", "open_array", "open_group"]

Mode: TypeAlias = Literal["r", "r+", "a", "w", "w-"]
"""Whether what is there is opened, and what is not is created; see `tegula.open`."""

Node = TypeVar("Node", Array, Group, Array | Group)


def _open_node(store: Store, path: str) -> Array | Group:
    native = _tegula.open_node(store._native, path)
    return Array._wrap(native, store) if isinstance(native, _tegula.Array) else Group._wrap(native, store)


def _asdf(store: StoreLike) -> tuple[str, str] | None:
    """Split what names a node of an ASDF file, such as ``file.asdf#roman/data``."""
    if isinstance(store, Store) or not isinstance(store, (str, os.PathLike)):
        return None
    file, mark, path = os.fspath(store).partition("#")
    name = urlsplit(file).path if "://" in file else file
    return (file, path) if name.endswith(".asdf") and (mark or "://" in file or os.path.isfile(file)) else None


def _open_asdf(file: str, path: str, mode: str, storage_options: Mapping[str, Any] | None) -> Array:
    if mode not in ("r", "r+"):
        raise UnsupportedError(f"{file}: nothing is created in ASDF files; tegula.AsdfFile writes them")
    return open_asdf_node(file, path, storage_options=storage_options)


def _check_mode(mode: str, properties: Mapping[str, Any]) -> None:
    modes = ("r", "r+", "a", "w", "w-")
    if mode not in modes:
        raise ValueError(f"{mode!r} is not a mode; there are {', '.join(modes)}")
    if properties and mode in ("r", "r+"):
        raise TypeError(f"mode {mode!r} creates nothing, of which {next(iter(properties))} could be a property")


def _as_store(store: StoreLike, path: str, mode: str, storage_options: Mapping[str, Any] | None) -> tuple[Store, str]:
    resolved, path = as_store(store, path, storage_options)
    return (ReadOnlyStore(resolved) if mode == "r" else resolved), path


def _existing(mode: str, opened: Callable[[], Node]) -> Node | None:
    """Open what is there, if it is to be opened; None: it is to be created."""
    if mode in ("w", "w-"):
        return None
    try:
        return opened()
    except NotFoundError:
        if mode != "a":
            raise
        return None


def open(  # noqa: A001 - tegula.open is what it is called
    store: StoreLike,
    path: str = "/",
    *,
    mode: Mode = "r+",
    storage_options: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Array | Group:
    """Open the array or group at a path of a store, or create one.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        A folder or a zip archive, or a path that goes on into it (``data.zarr/group/array``,
        ``data.zarr.zip/group/array``), or the URL of one (``s3://bucket/data.zarr/group/array``); a mapping of keys to
        bytes, such as a dict; or a store.
    path : str
        The path in the store.
    mode : str
        "r+", the default: what is there can be read and changed; "r": it can be read, and writing is an error; "a": it
        is created where there is nothing; "w": it is created, and what was there erased; "w-": it is created, and it is
        an error if something is there.
    storage_options : mapping, optional
        Of a URL: how the server is reached, such as ``{"anonymous": True, "region": "us-east-1"}``; see
        `tegula.RemoteStore`.
    **properties
        What is created: an array, where there are `shape` or `data`, else a group; see `tegula.create_array` and
        `tegula.create_group`. Where something is opened, they are not looked at.

    Raises
    ------
    NotFoundError
        If there is nothing.
    StoreError
        If there is something, with mode "w-".
    InvalidMetadataError
        If its metadata are wrong.
    UnsupportedError
        If it needs a codec or data type that is not there.

    Examples
    --------
    >>> store = {}
    >>> tegula.open(store, "a", mode="a", shape=(4,), dtype="uint8")
    <tegula.Array mapping:/a shape=(4,) dtype=uint8 chunks=(4,)>
    >>> tegula.open(store, "a", mode="r")[:2]
    array([0, 0], dtype=uint8)
    """
    _check_mode(mode, properties)
    if target := _asdf(store):
        return _open_asdf(*target, mode, storage_options)
    resolved, path = _as_store(store, path, mode, storage_options)
    found = _existing(mode, lambda: _open_node(resolved, path))
    if found is not None:
        return found
    if properties.get("shape") is None and properties.get("data") is None:
        return create_group(resolved, path, overwrite=mode == "w", **properties)
    return create_array(resolved, path, overwrite=mode == "w", **properties)


def open_array(
    store: StoreLike,
    path: str = "/",
    *,
    mode: Mode = "r+",
    storage_options: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Array:
    """Open the array at a path of a store, of Zarr V3 or V2, or create one.

    Its metadata are read, and nothing else.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        A folder or a zip archive, or a path that goes on into it (``data.zarr/group/array``,
        ``data.zarr.zip/group/array``), or the URL of one (``s3://bucket/data.zarr/group/array``); a mapping of keys to
        bytes, such as a dict; or a store.
    path : str
        The path in the store.
    mode : str
        "r+", the default: what is there can be read and changed; "r": it can be read, and writing is an error; "a": it
        is created where there is nothing; "w": it is created, and what was there erased; "w-": it is created, and it is
        an error if something is there.
    storage_options : mapping, optional
        Of a URL: how the server is reached, such as ``{"anonymous": True, "region": "us-east-1"}``; see
        `tegula.RemoteStore`.
    **properties
        What is created; see `tegula.create_array`. Where an array is opened, they are not looked at.

    Raises
    ------
    NotFoundError
        If there is no array.
    StoreError
        If there is something, with mode "w-", or a group, with mode "a".
    InvalidMetadataError
        If its metadata are wrong.
    UnsupportedError
        If it needs a codec or data type that is not there.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.create_array(store, "a", shape=(4,), dtype="uint8")
    >>> tegula.open_array(store, "a")
    <tegula.Array mapping:/a shape=(4,) dtype=uint8 chunks=(4,)>
    """
    _check_mode(mode, properties)
    if target := _asdf(store):
        return _open_asdf(*target, mode, storage_options)
    resolved, path = _as_store(store, path, mode, storage_options)
    found = _existing(mode, lambda: Array._open(resolved, path))
    if found is not None:
        return found
    return create_array(resolved, path, overwrite=mode == "w", **properties)


def open_group(
    store: StoreLike,
    path: str = "/",
    *,
    mode: Mode = "r+",
    use_consolidated: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Group:
    """Open the group at a path of a store, of Zarr V3 or V2, or create one.

    Consolidated metadata are what a writer noted in a group of the metadata of all that lies below it: where they are
    used, arrays and groups are found and opened without another read, and what was written since is not seen.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`.
    path : str
        The path in the store.
    mode : str
        "r+", the default: what is there can be read and changed; "r": it can be read, and writing is an error; "a": it
        is created where there is nothing; "w": it is created, and what was there erased; "w-": it is created, and it is
        an error if something is there.
    use_consolidated : bool, optional
        Whether to use consolidated metadata. None: where there are such; True: a group without is an error.
    storage_options : mapping, optional
        Of a URL: how the server is reached, such as ``{"anonymous": True, "region": "us-east-1"}``; see
        `tegula.RemoteStore`.
    **properties
        What is created; see `tegula.create_group`. Where a group is opened, they are not looked at.

    Raises
    ------
    NotFoundError
        If there is no group.
    StoreError
        If there is something, with mode "w-", or an array, with mode "a".
    InvalidMetadataError
        If its metadata are wrong, or there are no consolidated ones where they are asked for.
    """
    _check_mode(mode, properties)
    resolved, path = _as_store(store, path, mode, storage_options)
    found = _existing(mode, lambda: _open_group(resolved, path, use_consolidated))
    if found is not None:
        return found
    return create_group(resolved, path, overwrite=mode == "w", **properties)


def _open_group(store: Store, path: str, use_consolidated: bool | None) -> Group:
    return Group._wrap(_tegula.Group.open(store._native, path, use_consolidated), store)


def create_group(
    store: StoreLike,
    path: str = "/",
    *,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Group:
    """Create a group, and groups that lead to it.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path in the store.
    attributes : mapping, optional
        What to write beside it: JSON.
    zarr_format : int
        3 or 2.
    overwrite : bool
        Whether to erase an array or group that is there, with all that is in it.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Raises
    ------
    StoreError
        If something is there already.
    """
    resolved, path = as_store(store, path, storage_options)
    native = new_group(resolved, path, attributes=attributes, zarr_format=zarr_format, overwrite=overwrite)
    return Group._wrap(native, resolved)


def consolidate_metadata(
    store: StoreLike, path: str = "/", *, storage_options: Mapping[str, Any] | None = None
) -> Group:
    """Note in a group the metadata of all that lies below it, so that one read is enough to know them.

    Zarr V3 has them in the group's ``zarr.json``, V2 in a file ``.zmetadata`` beside it. What is created, deleted or
    changed below the group later is not seen by those who use them, until they are made again.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path of the group.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Returns
    -------
    Group
        The group, which uses them.

    Raises
    ------
    NotFoundError
        If there is no group.
    UnsupportedError
        If what lies below is of the other version of Zarr than the group.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.create_array(store, "a/b", shape=(4,), dtype="uint8")
    >>> tegula.consolidate_metadata(store).members(recursive=True)
    {'a': 'group', 'a/b': 'array'}
    """
    resolved, path = as_store(store, path, storage_options)
    group = _tegula.Group.open(resolved._native, path, False)
    return Group._wrap(group.consolidate(), resolved)
