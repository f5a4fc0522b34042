"""Stores in folders of the local filesystem."""

import os
from functools import partial
from typing import Any

from tegula import _tegula
from tegula.stores._base import PathStore
from tegula.stores._path import expanded

__all__ = ["FilesystemStore"]


class FilesystemStore(PathStore):
    """The files below a folder.

    An object is written to a temporary file that is then renamed, so readers, and whoever looks after a crash, see
    the old object or the new one. Writers lock an object with a file ``.tegula-lock`` in the object's folder; the last
    writer removes it. `tegula.validate` finds the files that a killed process left.

    Parameters
    ----------
    path : str or os.PathLike
        The folder. It is created by the first write.
    fsync : bool
        Whether a write returns only after the file and its name are on the disk, so that the object survives a power
        failure. Objects are replaced atomically in either case.
    """

    __slots__ = ("_fsync",)

    _fsync: bool

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self._path = expanded(os.fspath(path))
        self._fsync = fsync
        self._native = _tegula.Store.filesystem(self._path, fsync)

    @property
    def fsync(self) -> bool:
        """Whether a write returns only after the data is on the disk."""
        return self._fsync

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(FilesystemStore, fsync=self._fsync), (os.path.abspath(self._path),)
