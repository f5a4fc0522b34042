"""Opening ASDF files."""

import os

from tegula.array import Array
from tegula.asdf._defaults import fill_defaults
from tegula.asdf._file import AsdfFile
from tegula.errors import NotFoundError, UnsupportedError
from tegula.stores import FilesystemStore, Store

__all__ = ["open", "open_node"]


def open(  # noqa: A001 - tegula.asdf.open is what it is called
    path: str | os.PathLike[str] | Store,
    key: str | None = None,
    *,
    memmap: bool = True,
    validate_checksums: bool = False,
    legacy_defaults: bool = False,
) -> AsdfFile:
    """Open an ASDF file. Its tree is read, and no block.

    Parameters
    ----------
    path : str, os.PathLike or Store
        The file; or a store that it lies in, under `key`.
    key : str, optional
        The key of the file in a store.
    memmap : bool
        Whether arrays whose elements lie in the file as they are in memory are read-only views of the file.
        Otherwise they are read into memory of their own.
    validate_checksums : bool
        Whether the checksum of a block is compared with its data when the block is first touched. This reads it whole.
    legacy_defaults : bool
        Whether the tree of a file that follows version 1.5 of the standard, or an older one, gets the values that their
        schemas give to what is left out.

    Returns
    -------
    AsdfFile
        A context manager; but leaving it ends nothing that arrays need.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidMetadataError
        If it is not an ASDF file, or its tree is not YAML.
    """
    if isinstance(path, Store):
        if key is None:
            raise TypeError("a file in a store has a key")
        store = path
    else:
        text = os.fspath(path)
        if "://" in text:
            raise UnsupportedError(f"{text}: URLs are still to come; there are files and stores")
        folder, key = os.path.split(text)
        store = FilesystemStore(folder or ".")
    file = AsdfFile._open(store, key, memmap=memmap, validate_checksums=validate_checksums)
    if legacy_defaults:
        fill_defaults(file.tree, file.version)
    return file


_recent: dict[tuple[Store, str, bool, bool], AsdfFile] = {}
_MOST_RECENT = 8


def shared(store: Store, key: str, *, memmap: bool, validate_checksums: bool) -> AsdfFile:
    """Open a file, or return one that was opened lately and has not changed since."""
    address = (store, key, memmap, validate_checksums)
    file = _recent.pop(address, None)
    if file is None or not file._native.is_current():
        file = AsdfFile._open(store, key, memmap=memmap, validate_checksums=validate_checksums)
    while len(_recent) >= _MOST_RECENT:
        _recent.pop(next(iter(_recent)), None)
    _recent[address] = file
    return file


def open_node(path: str | os.PathLike[str], node: str) -> Array:
    """Open the array at a path of a file's tree; what ``tegula.open_array("file.asdf#path")`` does.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    node : str
        Names and indices, joined by ``/``.

    Raises
    ------
    NotFoundError
        If there is no array.
    """
    file = open(path)
    if not node.strip("/"):
        raise NotFoundError(f"{file._native.name} is an ASDF file, not an array; tegula.open_asdf opens it")
    found = file._native.find(node)
    if not file._native.is_array(found):
        raise NotFoundError(f"there is no array at {file._native.name}#{node.strip('/')}")
    native, target = file._native.target_of(found)
    return (file if native is None else file._relative(native))._array(target)
