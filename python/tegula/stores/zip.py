"""Zip archives as stores."""

import atexit
import os
import sys
import weakref
from types import TracebackType
from typing import Any, Literal

from tegula import _tegula
from tegula.errors import StoreError
from tegula.stores._base import PathStore, Store
from tegula.stores._path import expanded

__all__ = ["ObjectZipStore", "ZipStore"]

_OPEN: "weakref.WeakValueDictionary[str, ZipStore]" = weakref.WeakValueDictionary()
"""The archives that this process is writing, by their real paths."""


class ZipStore(PathStore):
    """The entries of a zip archive.

    Uncompressed entries, which tegula and zarr-python write, support partial reads. Compressed entries (deflate, bzip2,
    zstd, lzma) are decompressed whole. If several entries have the same name, the last one counts. An archive that is
    replaced while the store is open is read again.

    An archive is written whole: its entries are collected in a temporary file, and `close` or the end of a ``with``
    block gives it the archive's name. Until then, the file that was there stays as it was. A complete archive is
    read-only. An archive whose name ends with ``.ozx`` follows RFC 9 of OME-Zarr.

    Parameters
    ----------
    path : str or os.PathLike
        The archive.
    mode : {"r", "w", "w-", "a"}
        "r": read an archive; "w": write a new one, which replaces an old one; "w-": write a new one, and fail if there
        is one; "a": write a new one that begins with the entries of the old one, if there is one.

    Raises
    ------
    NotFoundError
        If the file does not exist.
    InvalidMetadataError
        If the file is not a zip archive.
    CorruptDataError
        If the archive is damaged.
    StoreError
        If the archive exists, with mode "w-", or is being written already.

    Examples
    --------
    >>> with tegula.ZipStore("survey.zarr.zip", mode="w") as store:
    ...     group = tegula.create_group(store)
    ...     flux = group.create_array("flux", data=np.arange(4))
    >>> tegula.open_array("survey.zarr.zip/flux")[2]
    np.int64(2)
    """

    __slots__ = ("__weakref__", "_archive", "_complete", "_process")

    _archive: _tegula.ZipArchive | None
    _complete: Any
    _process: int

    def __init__(self, path: str | os.PathLike[str], mode: Literal["r", "w", "w-", "a"] = "r") -> None:
        if mode not in ("r", "w", "w-", "a"):
            raise ValueError(f'unknown mode {mode!r}; the modes are "r", "w", "w-" and "a"')
        self._path = expanded(os.fspath(path))
        self._process = os.getpid()
        if mode == "r":
            self._archive = None
            self._native = _tegula.Store.zip(self._path)
            return
        if mode == "w-" and os.path.exists(self._path):
            raise StoreError(f'{self._path} already exists; mode "w" replaces it, and "a" adds to it')
        self._archive = _tegula.ZipArchive(self._path, mode == "a" and os.path.exists(self._path))
        self._native = self._archive.store()
        # An archive that nobody closes is completed when the last array in it is gone.
        self._complete = weakref.finalize(self, _finish, self._archive, os.getpid())
        self._complete.atexit = False
        _OPEN[os.path.realpath(self._path)] = self

    @property
    def is_open(self) -> bool:
        """Whether the archive is being written."""
        return self._archive is not None and self._archive.is_open

    def close(self) -> None:
        """Complete an archive that is being written. Its arrays and groups can then be read, also by others."""
        if self._archive is not None:
            self._complete.detach()
            self._archive.finish()

    def discard(self) -> None:
        """Give up an archive that is being written. The file of its name stays as it was."""
        if self._archive is not None:
            self._archive.discard()
            self._complete.detach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.discard()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.is_open:
            raise StoreError(f"cannot pickle the store of {self._path} while the archive is being written; close it")
        return ZipStore, (os.path.abspath(self._path),)


def _finish(archive: _tegula.ZipArchive, process: int) -> None:
    # A forked child has a copy of the store.
    if process == os.getpid():
        archive.finish()


def being_written(path: str) -> ZipStore | None:
    """Return the store that writes an archive in this process."""
    store = _OPEN.get(os.path.realpath(path))
    return store if store is not None and store.is_open else None


@atexit.register
def _complete_all() -> None:
    """Complete the archives that are still being written, unless an error ends the program."""
    failed = hasattr(sys, "last_value") and not hasattr(sys, "ps1")
    for store in list(_OPEN.values()):
        if not store.is_open or store._process != os.getpid():
            continue
        if failed:
            sys.stderr.write(f"tegula: {store.path} was not written: an error ended the program before it was closed\n")
            store.discard()
        else:
            store.close()


class ObjectZipStore(Store):
    """The entries of a zip archive that is an object of another store, read-only.

    Parameters
    ----------
    store : Store
        The store that contains the archive.
    key : str
        The archive's key.
    """

    __slots__ = ("_archive", "_store")

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._archive = key
        self._native = _tegula.Store.zip_in(store._native, key)

    def __repr__(self) -> str:
        return f"tegula.stores.ObjectZipStore({self._store!r}, {self._archive!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectZipStore) and (self._store, self._archive) == (other._store, other._archive)

    def __hash__(self) -> int:
        return hash((self._store, self._archive))

    def __reduce__(self) -> tuple[type["ObjectZipStore"], tuple[Store, str]]:
        return ObjectZipStore, (self._store, self._archive)
