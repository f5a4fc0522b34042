"""Opening ASDF files."""

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


def open(  # noqa: A001 - tegula.asdf.open is what it is called
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
    """Open an ASDF file. Its tree is read, and no block.

    Parameters
    ----------
    fd : str, os.PathLike, Store, bytes or file
        The file, or its URL; a store that it lies in, under `key`; its bytes; or what is open for reading bytes. Of a
        file of the system that is open at its beginning the path is opened again; anything else is read whole, from
        its position.
    key : str, optional
        The key of the file in a store.
    mode : {None, "r", "rw"}
        "r": `AsdfFile.update` is refused. Arrays of files are never written in place: what is to change is replaced in
        the tree, and the file written by `AsdfFile.update`.
    memmap : bool
        Whether arrays whose elements lie in the file as they are in memory are read-only views of the file.
        Otherwise they are read into memory of their own.
    lazy_load : bool
        Whether arrays are read when they are used. Otherwise all ndarrays are read now, by several threads, and the
        tree holds NumPy's ndarrays. Zarr arrays are read when they are used in any case.
    validate_checksums : bool
        Whether the checksum of a block is compared with its data when the block is first touched. This reads it whole.
    allow_external : bool
        Whether Zarr stores beside the file may be anywhere, as it names them. Otherwise only those in its folder are
        opened.
    validate : bool
        Whether the ``asdf`` library's schemas are asked about the tree; see `AsdfFile.validate`.
    converters : {None, "asdf"}
        "asdf": nodes with tags are given to the converters that are installed for the ``asdf`` library, which make
        objects of them: those of asdf-astropy, gwcs, ... Arrays in such nodes are the library's lazy arrays.
        Converters are other people's code, which runs on what the file says.
    ignore_unrecognized_tag : bool
        With converters: whether to be silent about tags that have none. These nodes stay what they are.
    legacy_defaults : bool
        Whether the tree of a file that follows version 1.5 of the standard, or an older one, gets the values that their
        schemas give to what is left out.
    uri : str, optional
        For bytes and open files: the path that stands for the file, from which it finds files that it refers to.
    storage_options : mapping, optional
        Of a URL: how the server is reached; see `tegula.RemoteStore`.

    Returns
    -------
    AsdfFile
        A context manager; but leaving it ends nothing that arrays need.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidMetadataError
        If it is not an ASDF file, or its tree is not YAML, or not what its schemas want.
    UnsupportedError
        If converters or schemas are asked for, and the ``asdf`` library is not installed.

    Examples
    --------
    >>> import io, tegula.asdf
    >>> buffer = io.BytesIO()
    >>> tegula.asdf.AsdfFile({"flux": np.arange(4)}).write_to(buffer)
    >>> tegula.asdf.open(buffer.getvalue(), lazy_load=False)["flux"]
    array([0, 1, 2, 3])
    """
    if mode not in (None, "r", "rw"):
        raise ValueError(f'{mode!r} is not a mode; there are "r" and "rw"')
    if converters not in (None, "asdf"):
        raise ValueError(f'{converters!r} names no converters; there are those of "asdf"')
    store, key = _place(fd, key, uri, storage_options)
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


def _place(fd: Any, key: str | None, uri: str | None, storage_options: Mapping[str, Any] | None) -> tuple[Store, str]:
    """Return the store and the key of what is to be opened."""
    if isinstance(fd, Store):
        if key is None:
            raise TypeError("a file in a store has a key")
        return fd, key
    if isinstance(fd, (bytes, bytearray, memoryview)):
        return _held(bytes(fd), uri)
    if hasattr(fd, "read"):
        path = _path_of(fd)
        if path is None:
            data = fd.read()
            if not isinstance(data, bytes):
                raise TypeError(f"a file is open for reading bytes, not {type(data).__name__}")
            return _held(data, uri)
        fd = path
    return locate_file(os.fspath(fd), storage_options)


def _path_of(file: Any) -> str | None:
    """Return the path of an open file, if it is still there and nothing was read of it."""
    try:
        name = file.name
        if isinstance(name, str) and file.tell() == 0 and os.path.samestat(os.fstat(file.fileno()), os.stat(name)):
            return os.path.abspath(name)
    except (AttributeError, OSError, ValueError):
        pass
    return None


def _held(data: bytes, uri: str | None) -> tuple[Store, str]:
    """Return a store of bytes."""
    folder, name = os.path.split("" if uri is None else uri.removeprefix("file://"))
    name = name or "memory.asdf"
    if uri is None or "://" in folder:
        return MemoryStore({name: data}), name
    return MappingStore(_Beside(folder or ".", name, data)), name


class _Beside(Mapping[str, bytes]):
    """The files of a folder, one of which is not read from there."""

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
        As for `AsdfFile.info`.

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
    """Open the array at a path of a file's tree; what ``tegula.open_array("file.asdf#path")`` does.

    Parameters
    ----------
    path : str or os.PathLike
        The file, or its URL.
    node : str
        Names and indices, joined by ``/``.
    storage_options : mapping, optional
        As for `open`.

    Raises
    ------
    NotFoundError
        If there is no array.
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
