"""Functions that open ASDF files."""

import io
import os
from collections.abc import Mapping
from typing import Any, Literal, Unpack

from tegula._array.array import Array
from tegula.asdf._config import get_config
from tegula.asdf._defaults import fill_defaults
from tegula.asdf._file import AsdfFile
from tegula.asdf._file_object import beside, local_path, open_file_object
from tegula.asdf._opened import Opened
from tegula.asdf._render import MAX_COLS, MAX_ROWS, Rows, render
from tegula.asdf._walk import is_collection
from tegula.errors import NotFoundError, UnsupportedError
from tegula.stores import FilesystemStore, MemoryStore, Store, locate_file
from tegula.stores._access import AccessOptions, with_access

__all__ = ["info", "open", "open_node"]


@with_access
def open(  # noqa: A001 - called as tegula.asdf.open
    fd: Any,
    key: str | None = None,
    *,
    mode: Literal["r", "rw"] | None = None,
    memmap: bool | None = None,
    lazy_load: bool = True,
    copy_arrays: bool | None = None,
    validate_checksums: bool = False,
    allow_external: bool = False,
    validate: bool | None = None,
    converters: Literal["asdf"] | None = None,
    extensions: Any = None,
    custom_schema: str | os.PathLike[str] | None = None,
    ignore_unrecognized_tag: bool = False,
    strict_extension_check: bool = False,
    ignore_missing_extensions: bool = True,
    lazy_tree: bool = False,  # noqa: ARG001 - converters run at once
    legacy_defaults: bool = False,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> AsdfFile:
    """Open an ASDF file. This reads the tree, but no blocks.

    Parameters
    ----------
    fd : str, os.PathLike, Store, bytes or file
        The path or URL of the file; the store that contains it, with `key`; its bytes; or a binary file object, which
        is read in parts from its position on if it can seek, and must stay open. A local file that Python opened with
        mode "rb" is opened again by its path.
    key : str, optional
        The key of the file in a store.
    mode : {None, "r", "rw"}
        "r" makes `AsdfFile.update` and `AsdfFile.append` raise an error; "rw" also lets `AsdfFile.update` write to a
        file object. Assignments to arrays change them in memory; `AsdfFile.update` stores them.
    memmap : bool, optional
        Whether arrays with the same layout in the file and in memory are read-only views of a memory map, as by
        default. Otherwise their elements are read into new memory.
    lazy_load : bool
        Whether arrays are read when they are used. Otherwise all ndarrays are read now, by several threads, and the
        tree contains NumPy arrays. Zarr arrays are always read when they are used.
    copy_arrays : bool, optional
        The opposite of `memmap`, as earlier versions of the ``asdf`` library have it.
    validate_checksums : bool
        Whether the first read of a block verifies its checksum, which takes a read of the whole block.
    allow_external : bool
        Whether files and Zarr stores outside the folder of the file may be opened if it refers to them: by a path with
        ``..``, an absolute path or a ``file://`` URL. The files themselves may refer to others too.
    validate : bool, optional
        Whether the tree is validated with the ``asdf`` library's schemas; see `AsdfFile.validate`. By default only if
        there is a `custom_schema`, or the configuration says so.
    converters : {None, "asdf"}
        "asdf": the converters that are installed for the ``asdf`` library (asdf-astropy, gwcs, ...) convert tagged
        nodes to objects. Arrays in such nodes are the library's lazy arrays. Converters are code of other packages,
        which runs on the content of the file.
    extensions : extension or list, optional
        Extensions of the ``asdf`` library that are used besides the installed ones, which implies
        ``converters="asdf"``.
    custom_schema : str or os.PathLike, optional
        The path of a schema that the tree has to match too.
    ignore_unrecognized_tag : bool
        With converters: whether to suppress the warning about tags without a converter. Their nodes are not converted.
    strict_extension_check : bool
        Whether it is an error if an extension that took part in writing the file is not installed.
    ignore_missing_extensions : bool
        Whether not to warn of such extensions.
    lazy_tree : bool
        Has no effect: converters run when the file is opened.
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
    store, key = _locate(fd, key, uri, mode, storage_options)
    options = {
        "memmap": _maps(memmap, copy_arrays),
        "validate_checksums": validate_checksums,
        "allow_external": allow_external,
    }
    file = Opened.open(store, key, AsdfFile, **options).file
    file._mode, file._uri, file._ignores_tags = mode, uri, ignore_unrecognized_tag
    file._custom_schema = None if custom_schema is None else os.fspath(custom_schema)
    if extensions is not None:
        file.extensions = extensions
    if legacy_defaults:
        fill_defaults(file.tree, file.version)
    if custom_schema is not None or (get_config().validate_on_read if validate is None else validate):
        file.validate()
    if strict_extension_check or not ignore_missing_extensions:
        file._library().check_extensions(file.tree, strict=strict_extension_check)
    if not lazy_load:
        file._load()
    if converters is not None or file._converters is not None:
        file._convert_tree()
    return file


def _maps(memmap: bool | None, copy_arrays: bool | None) -> bool:
    if memmap is None:
        return not copy_arrays
    if memmap == copy_arrays:
        raise ValueError(f"memmap={memmap} and copy_arrays={copy_arrays} contradict each other; pass memmap alone")
    return memmap


def _locate(
    fd: Any, key: str | None, uri: str | None, mode: str | None, storage_options: Mapping[str, Any] | None
) -> tuple[Store, str]:
    """Return the store and the key of a file."""
    if isinstance(fd, Store):
        if key is None:
            raise TypeError("cannot open a store as a file: pass the key of the file in the store")
        return fd, key
    if key is not None:
        hint = f"mode={key!r}" if key in ("r", "rw") else f"uri={key!r}"
        raise TypeError(f"the second argument is the key of a file in a store; did you mean {hint}?")
    if isinstance(fd, AsdfFile):
        raise TypeError("this is an AsdfFile already; file.copy() copies it")
    if isinstance(fd, (bytes, bytearray, memoryview)):
        folder, name = beside(uri)
        return (MemoryStore({name: bytes(fd)}), name) if folder is None else open_file_object(io.BytesIO(fd), uri)
    if not hasattr(fd, "read") and not isinstance(fd, (str, os.PathLike)) and hasattr(fd, "open"):
        # A file that is still to be opened, of fsspec or zipfile.Path.
        fd = fd.open() if hasattr(fd, "fs") else fd.open("rb")
    if hasattr(fd, "read"):
        path = local_path(fd)
        if path is None or (uri is not None and mode != "rw"):
            return open_file_object(fd, uri)
        fd = path
    path = os.fspath(fd)
    store, name = locate_file(path, storage_options)
    if isinstance(store, FilesystemStore) and os.path.isdir(os.path.join(store.path, name)):
        raise UnsupportedError(_about_folder(path))
    return store, name


def _about_folder(path: str) -> str:
    """Return the error message for a folder that should be an ASDF file."""
    members = ("zarr.json", ".zgroup", ".zarray")
    if any(os.path.isfile(os.path.join(path.removeprefix("file://"), member)) for member in members):
        return f"{path} is a Zarr store, not an ASDF file: open it with tegula.open({path!r})"
    return f"{path} is a folder, not an ASDF file: pass the path of the file in it"


def info(
    node_or_path: Any,
    max_rows: Rows = MAX_ROWS,
    max_cols: int | None = MAX_COLS,
    show_values: bool = True,
    show_blocks: bool = False,
) -> None:
    """Print the tree of a file, or a part of a tree.

    Parameters
    ----------
    node_or_path : str, os.PathLike, bytes, file, AsdfFile, mapping or sequence
        The file, or a collection of its tree.
    max_rows, max_cols, show_values, show_blocks
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
    if isinstance(node_or_path, AsdfFile):
        node_or_path.info(max_rows, max_cols, show_values, show_blocks)
    elif is_collection(node_or_path):
        print(render(node_or_path, max_rows, max_cols, show_values=show_values))  # noqa: T201 - its purpose
    else:
        with open(node_or_path) as file:
            file.info(max_rows, max_cols, show_values, show_blocks)


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
