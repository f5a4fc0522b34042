"""The location of a node in a store: made free for a new node, or erased."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tegula import _tegula
from tegula.errors import Error, InvalidMetadataError, NotFoundError, StoreError, UnsupportedError
from tegula.stores import FilesystemStore, ReadOnlyStore, RemoteStore, Store
from tegula.stores._path import hint, near

__all__ = ["METADATA", "creation", "discard", "discard_group", "erase", "nearby", "orphans"]

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""The names of metadata objects, which make a path an array or a group."""

_CHUNK = re.compile(r"(^|/)(c(/\d+)*|c(\.\d+)+|\d+([./]\d+)*)$")
"""The end of a chunk's key."""


@contextmanager
def creation(
    store: Store, path: str, zarr_format: int, *, overwrite: bool, arrays: Sequence[_tegula.Array] = ()
) -> Iterator[None]:
    """Make sure that a path is free, create the groups above it, and exclude other creators inside the block.

    Parameters
    ----------
    store : Store
        The store.
    path : str
        The path of the new node.
    zarr_format : int
        The version of Zarr of the groups above.
    overwrite : bool
        Whether to erase what is at the path.
    arrays : sequence of _tegula.Array
        The new arrays. Chunks that a killed writer left would become their elements.
    """
    where = _tegula.node_path(path)
    store._native.check_writable(where)
    if isinstance(store, FilesystemStore):
        # Before a lock makes the folder of a node that cannot be created. Chunks may be those of a running creator.
        _refuse(store, where, overwrite=overwrite, arrays=())
        if overwrite and _is_link(store, where):
            store._native.erase_below(where, ())
    # Locks of groups above are taken first, by all creators.
    _make_groups_above(store, where, zarr_format)
    with _locked(store, where):
        try:
            _refuse(store, where, overwrite=overwrite, arrays=arrays)
            if overwrite:
                if _is_node(store, where):
                    _erase(store, where)
                    _tegula.refresh_consolidated(store._native, where)
                for array in arrays:
                    array.erase_all_chunks()
            yield
        except BaseException:
            remove_folders(store, where)
            raise


@contextmanager
def _locked(store: Store, where: str) -> Iterator[None]:
    """Exclude other creators of the node at a path: threads, and other processes if the store can."""
    key, delay = f"{where}/creation".lstrip("/"), 0.001
    while (lock := store._native.try_lock(key)) is None:
        time.sleep(delay)
        delay = min(2 * delay, 0.05)
    try:
        yield
    finally:
        lock.close()
        if isinstance(store, FilesystemStore):
            # If nothing was created, only the lock file was in the folder.
            with suppress(OSError):
                os.rmdir(os.path.join(store.path, where))


def _above(where: str) -> list[str]:
    """Return the paths of the groups above a node, the root first."""
    names = where.split("/") if where else []
    return ["/".join(names[:depth]) for depth in range(len(names))]


def _refuse(store: Store, where: str, *, overwrite: bool, arrays: Sequence[_tegula.Array]) -> None:
    """Raise an error if no node can be created at a path."""
    for above in _above(where):
        with suppress(NotFoundError):
            node = _tegula.open_node(store._native, above)
            if isinstance(node, _tegula.Array):
                raise StoreError(f"cannot create a node in {node.name}: it is an array")
    if overwrite:
        return
    if _is_node(store, where):
        raise StoreError(f"{store._native.display(where)} already exists; overwrite=True replaces it")
    for array in arrays:
        for key in array.chunk_keys(1):
            raise StoreError(
                f"{store._native.display(key)} would become a chunk of the new array: a write or deletion that was "
                "interrupted left it; overwrite=True and tegula.delete erase such chunks"
            )


def _make_groups_above(store: Store, where: str, zarr_format: int) -> None:
    """Create the groups above a path that are missing."""
    for above in _above(where):
        if not _is_node(store, above):
            with _locked(store, above):
                if not _is_node(store, above):
                    _tegula.Group.create(store._native, above, zarr_format, {})


def _is_node(store: Store, path: str) -> bool:
    """Whether a node is at a path. It may be one that cannot be opened."""
    try:
        with suppress(InvalidMetadataError, UnsupportedError):
            _tegula.open_node(store._native, path)
    except NotFoundError:
        return False
    return True


def erase(store: Store, path: str) -> None:
    """Erase the array or group at a path, with everything below it, or what is left of one."""
    where = _tegula.node_path(path)
    store._native.check_writable(where)
    if not _is_node(store, where) and not _is_link(store, where) and not orphans(store, where):
        raise NotFoundError(f"no array or group at {store._native.display(where)}")
    _erase(store, where)
    _tegula.refresh_consolidated(store._native, where)


def _erase(store: Store, where: str) -> None:
    """Erase everything at a path, in an order in which an interruption leaves no wrong nodes.

    Metadata of an array go first, so that nobody sees missing chunks. Members of a group go before the group: they
    would be members of the next group at the path.
    """
    members: list[str] = []
    if not _is_link(store, where):
        with suppress(Error):
            group = _tegula.Group.open(store._native, where, None)
            # Consolidated metadata would still show the members.
            members = [] if group.is_consolidated else store._native.list_dir(where)[1]
    for name in members:
        _erase(store, f"{where}/{name}".lstrip("/"))
    store._native.erase_below(where, METADATA)


def _is_link(store: Store, where: str) -> bool:
    return isinstance(store, FilesystemStore) and os.path.islink(os.path.join(store.path, where).rstrip("/"))


def orphans(store: Store, path: str) -> list[str]:
    """Return the keys of chunks below a path without a node, which a killed writer left.

    The list is empty if there are other objects, which may be anything.
    """
    if _is_link(store, path):
        return []
    try:
        keys = store._native.keys(path)
    except UnsupportedError:
        return []
    names = [key.removeprefix(path).lstrip("/") for key in keys]
    known = all(_CHUNK.search(name) or name.rpartition("/")[2] in METADATA for name in names)
    return keys if known else []


def nearby(store: Store, path: str) -> str:
    """Return what may help if no node is at a path, as the end of a message."""
    where = path.strip("/")
    while isinstance(store, ReadOnlyStore):
        store = store.store
    if isinstance(store, RemoteStore):
        return ""  # Looking would take requests.
    with suppress(Error):
        _tegula.open_node(store._native, where)
        return ""  # It is there, but is of the other kind.
    if isinstance(store, FilesystemStore):
        return hint(os.path.join(store.path, where))
    while where:
        where, _, missing = where.rpartition("/")
        with suppress(Error):
            return near(missing, [name for name, _ in _tegula.Group.open(store._native, where, None).members(False)])
    return ""


def discard(store: Store, native: _tegula.Array) -> None:
    """Erase an array that was not stored completely, and nothing else at its path."""
    native.erase_metadata()
    native.erase_all_chunks()
    remove_folders(store, native.path)


def discard_group(store: Store, path: str, names: Sequence[str]) -> None:
    """Erase a group that was not stored completely, and nothing else at its path.

    Parameters
    ----------
    store : Store
        The store.
    path : str
        The path of the group.
    names : sequence of str
        The paths of its arrays in it, and of groups without arrays.
    """
    where = _tegula.node_path(path)
    below = {_tegula.node_path(f"{where}/{name}") for name in names}
    for place in below:
        with suppress(NotFoundError):
            if isinstance(_tegula.open_node(store._native, place), _tegula.Array):
                erase(store, place)
    above = {"/".join(place.split("/")[:depth]) for place in below for depth in range(place.count("/") + 1)}
    groups = {place for place in below | above if len(place) > len(where)} | {where}
    for place in sorted(groups, key=len, reverse=True):
        for name in METADATA:
            store._native.erase(f"{place}/{name}".lstrip("/"))
    _tegula.refresh_consolidated(store._native, where)
    remove_folders(store, where)


def remove_folders(store: Store, where: str) -> None:
    """Remove empty folders, which other libraries take for groups."""
    if isinstance(store, FilesystemStore):
        for folder, *_ in os.walk(os.path.join(store.path, where), topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
