"""Where the bytes of arrays are kept: objects under keys, such as ``group/array/zarr.json``."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TypeAlias

from tegula import _tegula
from tegula.errors import NotFoundError

__all__ = ["FilesystemStore", "MappingStore", "MemoryStore", "ReadOnlyStore", "Store", "StoreLike", "ZipStore"]


class Store(MutableMapping[str, bytes]):
    """Objects under keys, as a mapping of strings to bytes.

    This is what `MemoryStore`, `FilesystemStore`, `ZipStore` and `MappingStore` have in common. A key is a path of
    names joined by ``/``.
    """

    __slots__ = ("_native",)
    _native: _tegula.Store

    def __getitem__(self, key: str) -> bytes:
        """Read an object; `NotFoundError`, which is a `KeyError`, where there is none."""
        value = self._native.get(key)
        if value is None:
            raise NotFoundError(f"nothing is stored at {self._native.display(key)}")
        return value

    def __setitem__(self, key: str, value: bytes) -> None:
        """Store an object whole: a reader sees the old one or the new one."""
        self._native.set(key, bytes(value))

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise NotFoundError(f"nothing is stored at {self._native.display(key)}")
        self._native.erase(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._native.exists(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._native.keys(""))

    def __len__(self) -> int:
        return len(self._native.keys(""))

    def __bool__(self) -> bool:
        # An empty store is a store.
        return True


class MemoryStore(Store):
    """Objects in memory.

    A pickled or copied store is a copy of its objects, as a pickled dict is.

    Parameters
    ----------
    objects : mapping of str to bytes, optional
        What it begins with; copied.

    Examples
    --------
    >>> store = tegula.MemoryStore()
    >>> array = tegula.create_array(store, "a", shape=(4,), dtype="uint8")
    >>> sorted(store)
    ['a/zarr.json', 'zarr.json']
    """

    __slots__ = ()

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self._native = _tegula.Store.memory()
        self.update(objects or {})

    def __repr__(self) -> str:
        return f"<tegula.MemoryStore of {len(self)} objects>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> tuple[type["MemoryStore"], tuple[dict[str, bytes]]]:
        return MemoryStore, (dict(self),)


class _PathStore(Store):
    """A store that a path of the filesystem names."""

    __slots__ = ("_path",)

    _path: str

    @property
    def path(self) -> str:
        """The path, as it was given."""
        return self._path

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"tegula.{type(self).__name__}({self._path!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _PathStore) or type(other) is not type(self):
            return NotImplemented
        return os.path.abspath(self._path) == os.path.abspath(other._path)

    def __hash__(self) -> int:
        return hash(os.path.abspath(self._path))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (os.path.abspath(self._path),)


class FilesystemStore(_PathStore):
    """The files below a folder.

    An object is written to a temporary name and renamed: readers, and what is there when a process is killed, see the
    old one or the new one, never a part. Those who change an object lock it, with a file ``.tegula-lock`` that is in
    its folder meanwhile. What a killed process leaves behind, `tegula.validate` finds.

    Parameters
    ----------
    path : str or os.PathLike
        The folder, which need not exist yet.
    fsync : bool
        Whether a write comes back only when the disk has the file and its name, so that it outlives a loss of power.
        Without, files are replaced whole all the same: whatever becomes of this process, a reader sees the old one or
        the new one.
    """

    __slots__ = ("_fsync",)

    _fsync: bool

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self._path = os.fspath(path)
        self._fsync = fsync
        self._native = _tegula.Store.filesystem(self._path, fsync)

    @property
    def fsync(self) -> bool:
        """Whether a write comes back only when the disk has it."""
        return self._fsync

    def __reduce__(self) -> tuple[Any, ...]:
        return _filesystem, (os.path.abspath(self._path), self._fsync)


def _filesystem(path: str, fsync: bool) -> FilesystemStore:
    return FilesystemStore(path, fsync=fsync)


class ZipStore(_PathStore):
    """The entries of a zip archive, to be read.

    Entries that are stored as they are, as zarr-python stores them, are read in part where a part is wanted; others
    (deflate, bzip2, zstd, lzma) are decompressed whole. Of entries with one name the last counts. An archive that is
    replaced is read anew.

    Parameters
    ----------
    path : str or os.PathLike
        The archive.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidMetadataError
        If it is not a zip archive.
    CorruptDataError
        If it is damaged.
    """

    __slots__ = ()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._native = _tegula.Store.zip(self._path)


class MappingStore(Store):
    """A mapping of keys to bytes, such as a dict, as a store.

    Reads and writes go to the mapping, so that what others put there is seen. Each takes the GIL for as long as the
    mapping takes to answer: copy a large dict into a `MemoryStore` to be rid of that.

    A mapping that is no dict may lie where other processes can write to it, and cannot be locked against them. Chunks
    are only written whole to such a one, unless the option ``unlocked_writes`` is set; see `tegula.CodecOptions`.

    Parameters
    ----------
    mapping : mapping of str to bytes
        For writing, a mutable one.
    """

    __slots__ = ("_mapping",)

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self._mapping = mapping
        self._native = _tegula.Store.mapping(mapping)

    @property
    def mapping(self) -> Mapping[str, Any]:
        """The mapping."""
        return self._mapping

    def __repr__(self) -> str:
        return f"<tegula.MappingStore on a {type(self._mapping).__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MappingStore) and self._mapping is other._mapping

    def __hash__(self) -> int:
        return id(self._mapping)

    def __reduce__(self) -> tuple[type["MappingStore"], tuple[Mapping[str, Any]]]:
        return MappingStore, (self._mapping,)


class ReadOnlyStore(Store):
    """Another store, of which nothing may be changed: that of what was opened with mode "r".

    Parameters
    ----------
    store : Store
        The store.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._native = store._native.read_only('it was opened with mode "r"; "r+" allows changes')

    @property
    def store(self) -> Store:
        """The store."""
        return self._store

    def __repr__(self) -> str:
        return f"tegula.stores.ReadOnlyStore({self._store!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReadOnlyStore) and self._store == other._store

    def __hash__(self) -> int:
        return hash(("r", self._store))

    def __reduce__(self) -> tuple[type["ReadOnlyStore"], tuple[Store]]:
        return ReadOnlyStore, (self._store,)


StoreLike: TypeAlias = Store | str | os.PathLike[str] | Mapping[str, Any]
"""A store, the path or URL of a folder or a zip archive, or a mapping of keys to bytes."""


def as_store(store: StoreLike, path: str = "", storage_options: Mapping[str, Any] | None = None) -> tuple[Store, str]:
    """Make a store, and a path in it, of what users give for them."""
    if isinstance(store, (str, os.PathLike)) and "://" in os.fspath(store):
        from tegula.stores.remote import local_path, open_url

        url = os.fspath(store)
        local = local_path(url)
        if local is None:
            resolved, inside = open_url(url, storage_options)
            return resolved, f"{inside}/{path.lstrip('/')}" if inside else path
        store = local
    if storage_options:
        raise TypeError("storage_options are for URLs of other machines")
    if isinstance(store, Store):
        return store, path
    if isinstance(store, (str, os.PathLike)):
        folder = os.fspath(store)
        if found := _archive(folder):
            archive, inside = found
            return ZipStore(archive), f"{inside}/{path.lstrip('/')}"
        return FilesystemStore(folder), path
    get_mapper = getattr(store, "get_mapper", None)
    if get_mapper is not None:
        # A filesystem of fsspec: its root is the store, as a mapping.
        return MappingStore(get_mapper("")), path
    if isinstance(store, Mapping):
        return MappingStore(store), path
    raise TypeError(f"a store is a path, a mapping or a tegula store, not {type(store).__name__}")


def _archive(path: str) -> tuple[str, str] | None:
    """Split a path that leads to a zip archive, or on into one; None if it does not."""
    archive, inside = path, ""
    while archive and not os.path.exists(archive):
        archive, _, name = archive.rpartition("/")
        inside = f"{name}/{inside}" if inside else name
    if not os.path.isfile(archive):
        return None
    if not archive.lower().endswith((".zip", ".ozx")):
        try:
            with open(archive, "rb") as file:
                magic = file.read(4)
        except OSError:
            return None
        if magic not in (b"PK\x03\x04", b"PK\x05\x06"):
            return None
    return archive, inside
