"""Functions that open ASDF files."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tegula._array.array import Array
from tegula.asdf._defaults import fill_defaults
from tegula.asdf._file import AsdfFile
from tegula.asdf._opened import Opened
from tegula.errors import NotFoundError
from tegula.stores import FilesystemStore, MappingStore, MemoryStore, Store, locate_file

__all__ = ["info", "open", "open_node"]


def open(  # noqa: A001 - called as tegula.asdf.open
    fd: Any,
    key: str | None = None,
    *,
    mode: Literal["r", "rw"] | None = None,
    memmap: bool = True,
    lazy_load: bool = True,
    validate_checksums: bool = False,
    allow_external: bool = False,
    validate: bool = False,
    converters: Literal["asdf"] | None = None,
    ignore_unrecognized_tag: bool = False,
    legacy_defaults: bool = False,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> AsdfFile:
    """Open an ASDF file. This reads the tree, but no blocks.

    Parameters
    ----------
    fd : str, os.PathLike, Store, bytes or file
        The path or URL of the file; the store that contains it, with `key`; its bytes; or a binary file object. If the
        object is a local file at position 0, it is opened again by its path; otherwise it is read to its end.
    key : str, optional
        The key of the file in a store.
    mode : {None, "r", "rw"}
        "r" makes `AsdfFile.update` and `AsdfFile.append` raise an error. Arrays are never written in place: replace
        them in the tree, and write the file with `AsdfFile.update`.
    memmap : bool
        Whether arrays with the same layout in the file and in memory are read-only views of a memory map. Otherwise
        their elements are read into new memory.
    lazy_load : bool
        Whether arrays are read when they are used. Otherwise all ndarrays are read now, by several threads, and the
        tree contains NumPy arrays. Zarr arrays are always read when they are used.
    validate_checksums : bool
        Whether the first read of a block verifies its checksum, which takes a read of the whole block.
    allow_external : bool
        Whether Zarr stores with absolute paths may be opened. Otherwise only stores in the folder of the file may.
    validate : bool
        Whether the tree is validated with the ``asdf`` library's schemas; see `AsdfFile.validate`.
    converters : {None, "asdf"}
        "asdf": the converters that are installed for the ``asdf`` library (asdf-astropy, gwcs, ...) convert tagged
        nodes to objects. Arrays in such nodes are the library's lazy arrays. Converters are code of other packages,
        which runs on the content of the file.
    ignore_unrecognized_tag : bool
        With converters: whether to suppress the warning about tags without a converter. Their nodes are not converted.
    legacy_defaults : bool
        Whether to fill in the defaults of the schemas, if the file follows version 1.5 of the standard or earlier.
    uri : str, optional
        For bytes and binary files: the path of the file. Paths of other files are relative to its folder.
    storage_options : mapping, optional
        For a URL: options of the connection; see `tegula.RemoteStore`.

    Returns
    -------
    AsdfFile
        The file, which is a context manager. Arrays remain usable after the file was closed.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidMetadataError
        If it is not an ASDF file, its tree is not YAML, or the tree does not match its schemas.
    UnsupportedError
        If converters or schemas are needed and the ``asdf`` library is not installed.

    Examples
    --------
    >>> import io, tegula.asdf
    >>> buffer = io.BytesIO()
    >>> tegula.asdf.AsdfFile({"flux": np.arange(4)}).write_to(buffer)
    >>> tegula.asdf.open(buffer.getvalue(), lazy_load=False)["flux"]
    array([0, 1, 2, 3])
    """
    if mode not in (None, "r", "rw"):
        raise ValueError(f'unknown mode {mode!r}; use "r" or "rw"')
    if converters not in (None, "asdf"):
        raise ValueError(f'unknown converters {converters!r}; use "asdf" or None')
    store, key = _locate(fd, key, uri, storage_options)
    options = {"memmap": memmap, "validate_checksums": validate_checksums, "allow_external": allow_external}
    file = Opened.open(store, key, AsdfFile, **options).file
    file._mode = mode
    if legacy_defaults:
        fill_defaults(file.tree, file.version)
    if validate:
        file.validate()
    if not lazy_load:
        file._load()
    if converters is not None:
        file._convert_tree(ignore_unrecognized_tag=ignore_unrecognized_tag)
    return file


def _locate(fd: Any, key: str | None, uri: str | None, storage_options: Mapping[str, Any] | None) -> tuple[Store, str]:
    """Return the store and the key of a file."""
    if isinstance(fd, Store):
        if key is None:
            raise TypeError("cannot open a store as a file: pass the key of the file in the store")
        return fd, key
    if isinstance(fd, (bytes, bytearray, memoryview)):
        return _bytes_store(bytes(fd), uri)
    if hasattr(fd, "read"):
        path = _path_of(fd)
        if path is None:
            data = fd.read()
            if not isinstance(data, bytes):
                raise TypeError(f"open the file in binary mode: reading it returned {type(data).__name__}")
            return _bytes_store(data, uri)
        fd = path
    return locate_file(os.fspath(fd), storage_options)


def _path_of(file: Any) -> str | None:
    """Return the path of a local file object at position 0; None if the path no longer leads to that file."""
    try:
        name = file.name
        if isinstance(name, str) and file.tell() == 0 and os.path.samestat(os.fstat(file.fileno()), os.stat(name)):
            return os.path.abspath(name)
    except (AttributeError, OSError, ValueError):
        pass
    return None


def _bytes_store(data: bytes, uri: str | None) -> tuple[Store, str]:
    """Return a store that contains the bytes of a file, and the key of the file."""
    folder, name = os.path.split("" if uri is None else uri.removeprefix("file://"))
    name = name or "memory.asdf"
    if uri is None or "://" in folder:
        return MemoryStore({name: data}), name
    return MappingStore(_Folder(folder or ".", name, data)), name


class _Folder(Mapping[str, bytes]):
    """The files of a folder; one more file is in memory."""

    def __init__(self, folder: str, name: str, data: bytes) -> None:
        self._folder = FilesystemStore(folder)
        self._name = name
        self._data = data

    def __getitem__(self, key: str) -> bytes:
        return self._data if key == self._name else self._folder[key]

    def __iter__(self) -> Iterator[str]:
        yield self._name

    def __len__(self) -> int:
        return 1


def info(fd: Any, **options: Any) -> None:
    """Print the tree of a file.

    Parameters
    ----------
    fd : str, os.PathLike, bytes, file or AsdfFile
        The file.
    **options
        Arguments of `AsdfFile.info`.

    Examples
    --------
    >>> import tegula.asdf
    >>> tegula.asdf.AsdfFile({"flux": np.arange(4)}).write_to("a.asdf")
    >>> tegula.asdf.info("a.asdf", max_cols=60)
    root (dict)
    ├─asdf_library (TaggedDict tag:stsci.edu:asdf/core/softwa...
    │ ├─author (str): The tegula developers
    │ ├─name (str): tegula
    │ └─version (str): 0.1.0
    └─flux (AsdfArray: shape=(4,), dtype=int64)
    """
    (fd if isinstance(fd, AsdfFile) else open(fd)).info(**options)


def open_node(path: str | os.PathLike[str], node: str, *, storage_options: Mapping[str, Any] | None = None) -> Array:
    """Open the array at a path in the tree of a file, as ``tegula.open_array("file.asdf#path")`` does.

    Parameters
    ----------
    path : str or os.PathLike
        The path or URL of the file.
    node : str
        The path in the tree: names and indices, joined by ``/``.
    storage_options : mapping, optional
        For a URL: options of the connection; see `tegula.RemoteStore`.

    Raises
    ------
    NotFoundError
        If there is no array at the path.
    """
    source = Opened.open(*locate_file(os.fspath(path), storage_options), AsdfFile)
    native = source.native
    if not node.strip("/"):
        raise NotFoundError(f"{native.name} is an ASDF file, not an array; open it with tegula.open_asdf")
    found = native.find(node)
    if not native.is_array(found):
        raise NotFoundError(f"there is no array at {native.name}#{node.strip('/')}")
    other, target = native.target_of(found)
    return (source if other is None else source.related(other)).array(target)
