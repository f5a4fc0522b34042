"""Stores from paths, URLs and mappings."""

import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from tegula.errors import StoreError, UnsupportedError
from tegula.stores._access import StorageOptions
from tegula.stores._base import Store
from tegula.stores._path import ARCHIVES, checked_path, expanded, refuse_kind
from tegula.stores.local import FilesystemStore
from tegula.stores.python import MappingStore
from tegula.stores.remote import RemoteStore
from tegula.stores.zip import ObjectZipStore, ZipStore, being_written

__all__ = ["StoreLike", "as_store", "local_path", "locate_file", "target"]

StoreLike: TypeAlias = Store | str | os.PathLike[str] | Mapping[str, Any]
"""A store, the path or URL of a folder or a zip archive, or a mapping of keys to bytes."""

_NO_SERVER = "storage_options are for URLs of other machines"


def as_store(
    store: StoreLike, path: str | None = "", storage_options: StorageOptions | None = None
) -> tuple[Store, str]:
    """Return a store, and the path of a node in it.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        The path or URL of a folder or a zip archive, which may continue inside the archive; a mapping of keys to
        bytes; a filesystem of fsspec; or a store.
    path : str
        The path of the node in `store`.
    storage_options : mapping, optional
        How to reach the server of a URL.
    """
    path = checked_path(path)
    if isinstance(store, (str, os.PathLike)):
        name = os.fspath(store)
        local = local_path(name, storage_options)
        found, inside = _open_url(name, storage_options) if local is None else _open_path(local)
        return found, f"{inside}/{path.lstrip('/')}" if inside else path
    if storage_options:
        raise TypeError(_NO_SERVER)
    if isinstance(store, Store):
        return store, path
    get_mapper = getattr(store, "get_mapper", None)
    if get_mapper is not None:
        # A filesystem of fsspec: its root is the store, as a mapping.
        return MappingStore(get_mapper("")), path
    if isinstance(store, Mapping):
        return MappingStore(store), path
    raise TypeError(
        f"a store is a path, a mapping or a tegula store, not {type(store).__name__}; it comes first, and properties "
        "of new arrays are passed by name: shape=..., dtype=..."
    )


def locate_file(path: str, storage_options: StorageOptions | None = None) -> tuple[Store, str]:
    """Return the store that contains a file, and the file's key in it.

    Parameters
    ----------
    path : str
        The path or URL of the file.
    storage_options : mapping, optional
        How to reach the server of a URL.
    """
    local = local_path(path, storage_options)
    if local is not None:
        folder, key = os.path.split(local)
        return FilesystemStore(folder or "."), key
    parts = urlsplit(path)
    folder, name = posixpath.split(parts.path)
    if not name:
        raise UnsupportedError(f"{parts.scheme}://{parts.hostname or ''}{parts.path} names no file")
    return RemoteStore(_with_path(parts, folder), storage_options), unquote(name)


def local_path(name: str, storage_options: StorageOptions | None = None) -> str | None:
    """Return the path that a path or a ``file://`` URL names; None for the URL of a server.

    In a path, ``~`` and environment variables are replaced.
    """
    if "://" in name:
        parts = urlsplit(name)
        if parts.scheme != "file":
            return None
        if parts.netloc not in ("", "localhost"):
            raise UnsupportedError(f"file://{parts.netloc}: files of another machine")
        # Imports the clients of HTTP and mail.
        from urllib.request import url2pathname

        name = url2pathname(parts.path)
    else:
        name = expanded(name)
    if storage_options:
        raise TypeError(_NO_SERVER)
    return name


def _open_url(url: str, options: StorageOptions | None) -> tuple[Store, str]:
    """Return the store of a URL, and the path inside it if the URL continues into a zip archive."""
    parts = urlsplit(url)
    names = parts.path.split("/")
    for n, name in enumerate(names):
        if name.lower().endswith(ARCHIVES):
            folder = RemoteStore(_with_path(parts, "/".join(names[:n])), options)
            return ObjectZipStore(folder, unquote(name)), unquote("/".join(names[n + 1 :]))
    return RemoteStore(_with_path(parts, parts.path), options), ""


def _with_path(parts: SplitResult, path: str) -> str:
    return urlunsplit(parts._replace(path=path, fragment=""))


def _open_path(path: str) -> tuple[Store, str]:
    """Return the store of a path, and the path inside it if it continues into a zip archive."""
    archive, inside = path, ""
    while archive and not os.path.exists(archive):
        if archive.lower().endswith(ARCHIVES) and (store := being_written(archive)) is not None:
            return store, inside
        archive, _, name = archive.rpartition("/")
        inside = f"{name}/{inside}" if inside else name
    if (store := being_written(archive)) is not None:
        return store, inside
    return (ZipStore(archive), inside) if _is_archive(archive) else (FilesystemStore(path), "")


@contextmanager
def target(
    store: StoreLike,
    path: str = "",
    storage_options: StorageOptions | None = None,
    *,
    overwrite: bool = False,
    is_complete: bool = True,
) -> Iterator[tuple[Store, str]]:
    """Yield the store in which a node is created, and the path of the node in it.

    A path or URL says by its name what is written: a zip archive, a folder, or an error if tegula writes no such files.
    A zip archive is complete when the block ends, and given up if it ends with an error.

    Parameters
    ----------
    store, path, storage_options
        As for `as_store`.
    overwrite : bool
        Whether an archive may be replaced by one with a new root.
    is_complete : bool
        Whether a zip archive is complete when the block ends. Otherwise it stays open until its store is closed.
    """
    path = checked_path(path)
    if not isinstance(store, (str, os.PathLike)):
        yield as_store(store, path, storage_options)
        return
    name = os.fspath(store)
    local = local_path(name, storage_options)
    parts = _new_parts(urlsplit(name).path if local is None else local, is_local=local is not None)
    for above, part in parts:
        if part.lower().endswith(ARCHIVES) and local is not None:
            inside = "/".join(filter(None, [local[len(above) :].strip("/"), path.strip("/")]))
            break
        if part.lower().endswith(ARCHIVES):
            raise UnsupportedError(f"cannot write {name}: write {part} as a local file, and upload it")
        refuse_kind(part, whole=name)
    else:
        yield as_store(store, path, storage_options)
        return
    if (archive := being_written(above)) is not None:
        yield archive, inside
        return
    exists = os.path.exists(above)
    if exists and not inside and not overwrite:
        raise StoreError(f"{above} already exists; overwrite=True replaces it")
    archive = ZipStore(above, "a" if exists and inside else "w")
    try:
        yield archive, inside
        if is_complete:
            archive.close()
    except BaseException:
        archive.discard()
        raise


def _new_parts(path: str, *, is_local: bool) -> Iterator[tuple[str, str]]:
    """Yield the paths and names that are no existing folders along a path."""
    above = ""
    for part in path.split("/"):
        above = f"{above}{part}"
        if part and not (is_local and os.path.isdir(above)):
            yield above, part
        above = f"{above}/"


def _is_archive(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    if path.lower().endswith(ARCHIVES):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False
