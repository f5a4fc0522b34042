"""Opening arrays and groups, and creating groups."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any, Literal, TypeAlias, TypeVar, Unpack
from urllib.parse import urlsplit

from tegula import _tegula
from tegula._array.array import Array
from tegula._create import check_format, create_array, new_group
from tegula._group import Group
from tegula._guide import guided, unknown_keyword
from tegula._location import nearby
from tegula.asdf._open import open_node as open_asdf_node
from tegula.errors import Error, NotFoundError, StoreError, UnsupportedError
from tegula.stores import ReadOnlyStore, Store, StoreLike, as_store
from tegula.stores._access import ACCESS, AccessOptions, with_access
from tegula.stores._resolve import local_path, target

__all__ = ["consolidate_metadata", "create_group", "open", "open_array", "open_group"]

Mode: TypeAlias = Literal["r", "r+", "a", "w", "w-"]
"""Whether to open an existing node or to create one; see `tegula.open`."""

Node = TypeVar("Node", Array, Group, Array | Group)


def _open_node(store: Store, path: str, zarr_format: int | None = None) -> Array | Group:
    native = _tegula.open_node(store._native, path, zarr_format)
    return Array._wrap(native, store) if isinstance(native, _tegula.Array) else Group._wrap(native, store)


def _asdf(store: StoreLike) -> tuple[str, str] | None:
    """Split the name of a node in an ASDF file, such as ``file.asdf#roman/data``; None for anything else."""
    if isinstance(store, Store) or not isinstance(store, (str, os.PathLike)):
        return None
    file, mark, path = os.fspath(store).partition("#")
    local = local_path(file)
    name = urlsplit(file).path if local is None else local
    is_file = bool(mark) or local is None or os.path.isfile(local)
    return (file, path) if name.lower().endswith(".asdf") and is_file else None


def _open_asdf(file: str, path: str, mode: str, storage_options: Mapping[str, Any] | None) -> Array:
    if mode not in ("r", "r+"):
        raise UnsupportedError(f"cannot open {file} with mode {mode!r}: use tegula.AsdfFile to write ASDF files")
    return open_asdf_node(file, path, storage_options=storage_options)


MODES = ("r", "r+", "a", "w", "w-")


def _check_mode(
    function: Callable[..., Any], create: tuple[Callable[..., Any], ...], mode: str, properties: Mapping[str, Any]
) -> None:
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; the modes are {', '.join(MODES)}")
    if not properties:
        return
    known = dict.fromkeys(name for each in (function, *create) for name in signature(each).parameters)
    known = {name: None for name in (*known, *ACCESS) if name not in ("properties", "_access")}
    for name in properties:
        if name not in known:
            raise unknown_keyword(function.__name__, name, known)
    if mode in ("r", "r+"):
        raise TypeError(
            f"{next(iter(properties))} is a property of new nodes, but mode {mode!r} only opens: "
            'mode="a" opens or creates, mode="w-" creates'
        )


def _positional_mode(
    store: StoreLike, path: str, mode: str | None, storage_options: Mapping[str, Any] | None
) -> tuple[str, str]:
    """Return path and mode. As in zarr-python 2, the second argument can be a mode, if no node has such a path."""
    if mode is not None or path not in MODES:
        return path, "r+" if mode is None else mode
    if not _asdf(store):
        resolved, where = as_store(store, path, storage_options)
        try:
            _tegula.open_node(resolved._native, where)
        except NotFoundError:
            pass
        except Error:
            return path, "r+"  # a node that cannot be opened
        else:
            return path, "r+"
    if path == "w":
        raise TypeError('pass the mode by name: mode="w" erases what is there')
    return "/", path


def _existing(
    store: StoreLike,
    path: str,
    mode: str,
    storage_options: Mapping[str, Any] | None,
    opened: Callable[[Store, str], Node],
) -> Node | None:
    """Open a node if the mode allows and the node exists; None means to create it."""
    if mode in ("w", "w-"):
        return None
    resolved, path = as_store(store, path, storage_options)
    try:
        return opened(ReadOnlyStore(resolved) if mode == "r" else resolved, path)
    except NotFoundError as error:
        if mode != "a":
            raise NotFoundError(f"{error}{nearby(resolved, path)}") from None
        return None


def _created(
    store: StoreLike,
    path: str,
    mode: str,
    create: Callable[..., Node],
    properties: dict[str, Any],
    opened: Callable[[Store, str], Node],
) -> Node:
    """Create a node; with mode "a", open it if another process was faster."""
    try:
        return create(store, path, **properties)
    except StoreError:
        if mode != "a":
            raise
        try:
            return opened(*as_store(store, path, properties["storage_options"]))
        except NotFoundError:
            pass
        raise


@with_access
@guided
def open(  # noqa: A001 - as in gzip.open
    store: StoreLike,
    path: str = "/",
    *,
    mode: Mode | None = None,
    zarr_format: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Array | Group:
    """Open the array or group at a path of a store, or create one.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        The path or URL of a folder or a zip archive, which may continue to a node inside it
        (``data.zarr/group/array``, ``data.zarr.zip/group/array``, ``s3://bucket/data.zarr/group/array``); a mapping of
        keys to bytes, such as a dict; or a store.
    path : str
        The path in the store.
    mode : str
        "r+" (default): open for reading and writing; "r": open for reading; "a": open, or create if nothing is there;
        "w": create, and erase what is there; "w-": create, and fail if something is there. As in zarr-python, a mode
        other than "w" can also be the second argument, if no node has such a path.
    zarr_format : int, optional
        3 or 2: only a node of this version is opened, without looking for one of the other. By default, either is; new
        nodes have version 3.
    storage_options : mapping, optional
        For a URL: how to reach the server, such as ``{"anonymous": True, "region": "us-east-1"}``; see
        `tegula.RemoteStore`. The common options can also be keywords: ``anonymous=True``.
    **properties
        Properties of a new node: of an array if `shape` or `data` is given, otherwise of a group; see
        `tegula.create_array` and `tegula.create_group`. They are ignored if a node is opened.

    Raises
    ------
    NotFoundError
        If there is no array or group.
    StoreError
        If something is there, with mode "w-".
    InvalidMetadataError
        If the metadata is invalid.
    UnsupportedError
        If a codec or data type is not supported.

    Examples
    --------
    >>> store = {}
    >>> tegula.open(store, "a", mode="a", shape=(4,), dtype="uint8")
    <tegula.Array mapping:/a shape=(4,) dtype=uint8 chunks=(4,)>
    >>> tegula.open(store, "a", mode="r")[:2]
    array([0, 0], dtype=uint8)
    """
    if zarr_format is not None:
        check_format(zarr_format)
    path, how = _positional_mode(store, path, mode, storage_options)
    _check_mode(open, (create_array, create_group), how, properties)
    if located := _asdf(store):
        return _open_asdf(*located, how, storage_options)
    opened = partial(_open_node, zarr_format=zarr_format)
    found = _existing(store, path, how, storage_options, opened)
    if found is not None:
        return found
    properties |= {"overwrite": how == "w", "storage_options": storage_options}
    if zarr_format is not None:
        properties["zarr_format"] = zarr_format
    is_group = properties.get("shape") is None and properties.get("data") is None
    create: Callable[..., Array | Group] = create_group if is_group else create_array
    return _created(store, path, how, create, properties, _open_node)


@with_access
@guided
def open_array(
    store: StoreLike,
    path: str = "/",
    *,
    mode: Mode | None = None,
    zarr_format: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Array:
    """Open the array at a path of a store (Zarr V3 or V2), or create one.

    Only the metadata is read.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        The path or URL of a folder or a zip archive, which may continue to a node inside it
        (``data.zarr/group/array``, ``data.zarr.zip/group/array``, ``s3://bucket/data.zarr/group/array``); a mapping of
        keys to bytes, such as a dict; or a store.
    path : str
        The path in the store.
    mode : str
        "r+" (default): open for reading and writing; "r": open for reading; "a": open, or create if nothing is there;
        "w": create, and erase what is there; "w-": create, and fail if something is there. As in zarr-python, a mode
        other than "w" can also be the second argument, if no node has such a path.
    zarr_format : int, optional
        3 or 2: only a node of this version is opened, without looking for one of the other. By default, either is; new
        nodes have version 3.
    storage_options : mapping, optional
        For a URL: how to reach the server, such as ``{"anonymous": True, "region": "us-east-1"}``; see
        `tegula.RemoteStore`. The common options can also be keywords: ``anonymous=True``.
    **properties
        Properties of a new array; see `tegula.create_array`. They are ignored if an array is opened.

    Raises
    ------
    NotFoundError
        If there is no array.
    StoreError
        If something is there, with mode "w-", or if a group is there, with mode "a".
    InvalidMetadataError
        If the metadata is invalid.
    UnsupportedError
        If a codec or data type is not supported.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.create_array(store, "a", shape=(4,), dtype="uint8")
    >>> tegula.open_array(store, "a")
    <tegula.Array mapping:/a shape=(4,) dtype=uint8 chunks=(4,)>
    """
    if zarr_format is not None:
        check_format(zarr_format)
    path, how = _positional_mode(store, path, mode, storage_options)
    _check_mode(open_array, (create_array,), how, properties)
    if located := _asdf(store):
        return _open_asdf(*located, how, storage_options)
    opened = partial(Array._open, zarr_format=zarr_format)
    found = _existing(store, path, how, storage_options, opened)
    if found is not None:
        return found
    properties |= {"overwrite": how == "w", "storage_options": storage_options}
    if zarr_format is not None:
        properties["zarr_format"] = zarr_format
    return _created(store, path, how, create_array, properties, Array._open)


@with_access
@guided
def open_group(
    store: StoreLike,
    path: str = "/",
    *,
    mode: Mode | None = None,
    use_consolidated: bool | None = None,
    zarr_format: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Group:
    """Open the group at a path of a store (Zarr V3 or V2), or create one.

    Consolidated metadata is a copy, kept in the group, of the metadata of everything below it. With it, members are
    found and opened without further reads. Changes by this process are seen, and later changes by others are not.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`.
    path : str
        The path in the store.
    mode : str
        "r+" (default): open for reading and writing; "r": open for reading; "a": open, or create if nothing is there;
        "w": create, and erase what is there; "w-": create, and fail if something is there. As in zarr-python, a mode
        other than "w" can also be the second argument, if no node has such a path.
    use_consolidated : bool, optional
        Whether to use consolidated metadata. None: if the group has it; True: a group without it is an error.
    zarr_format : int, optional
        3 or 2: only a node of this version is opened, without looking for one of the other. By default, either is; new
        nodes have version 3.
    storage_options : mapping, optional
        For a URL: how to reach the server, such as ``{"anonymous": True, "region": "us-east-1"}``; see
        `tegula.RemoteStore`. The common options can also be keywords: ``anonymous=True``.
    **properties
        Properties of a new group; see `tegula.create_group`. They are ignored if a group is opened.

    Raises
    ------
    NotFoundError
        If there is no group.
    StoreError
        If something is there, with mode "w-", or if an array is there, with mode "a".
    InvalidMetadataError
        If the metadata is invalid, or if `use_consolidated` is True and the group has no consolidated metadata.
    """
    if zarr_format is not None:
        check_format(zarr_format)
    path, how = _positional_mode(store, path, mode, storage_options)
    _check_mode(open_group, (create_group,), how, properties)
    opened = partial(_open_group, use_consolidated=use_consolidated, zarr_format=zarr_format)
    found = _existing(store, path, how, storage_options, opened)
    if found is not None:
        return found
    properties |= {"overwrite": how == "w", "storage_options": storage_options}
    if zarr_format is not None:
        properties["zarr_format"] = zarr_format
    return _created(store, path, how, create_group, properties, _open_group)


def _open_group(store: Store, path: str, use_consolidated: bool | None = None, zarr_format: int | None = None) -> Group:
    return Group._wrap(_tegula.Group.open(store._native, path, use_consolidated, zarr_format), store)


@with_access
@guided
def create_group(
    store: StoreLike,
    path: str = "/",
    *,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> Group:
    """Create a group, and the groups above it.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path in the store.
    attributes : mapping, optional
        Attributes of the group, as JSON values.
    zarr_format : int
        3 or 2.
    overwrite : bool
        Whether to erase an existing array or group, with everything below it.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Raises
    ------
    StoreError
        If something is already there.
    """
    with target(store, path, storage_options, overwrite=overwrite, is_complete=False) as (resolved, where):
        native = new_group(resolved, where, attributes=attributes, zarr_format=zarr_format, overwrite=overwrite)
    return Group._wrap(native, resolved)


@with_access
@guided
def consolidate_metadata(
    store: StoreLike,
    path: str = "/",
    *,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> Group:
    """Copy the metadata of everything below a group into the group, so that one read fetches it all.

    Zarr V3 keeps the copy in the group's ``zarr.json``, V2 in the object ``.zmetadata``. When tegula later creates,
    deletes or changes a node below the group, it updates the copy. After changes by other writers, call this again.

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
        The group, which uses the consolidated metadata.

    Raises
    ------
    NotFoundError
        If there is no group.
    UnsupportedError
        If a member has another Zarr version than the group.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.create_array(store, "a/b", shape=(4,), dtype="uint8")
    >>> tegula.consolidate_metadata(store).kinds(recursive=True)
    {'a': 'group', 'a/b': 'array'}
    """
    resolved, path = as_store(store, path, storage_options)
    group = _tegula.Group.open(resolved._native, path, False)
    return Group._wrap(group.consolidate(), resolved)
