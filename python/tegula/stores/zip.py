"""Zip archives as stores."""

import os

from tegula import _tegula
from tegula.stores._base import PathStore, Store

__all__ = ["ObjectZipStore", "ZipStore"]


class ZipStore(PathStore):
    """The entries of a zip archive, read-only.

    Uncompressed entries, which zarr-python writes, support partial reads. Compressed entries (deflate, bzip2, zstd,
    lzma) are decompressed whole. If several entries have the same name, the last one counts. An archive that is
    replaced while the store is open is read again.

    Parameters
    ----------
    path : str or os.PathLike
        The archive.

    Raises
    ------
    NotFoundError
        If the file does not exist.
    InvalidMetadataError
        If the file is not a zip archive.
    CorruptDataError
        If the archive is damaged.
    """

    __slots__ = ()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._native = _tegula.Store.zip(self._path)


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
