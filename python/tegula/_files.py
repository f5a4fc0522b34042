"""Targets that are single files: ASDF files, and the files of NumPy."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeAlias
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._create import create_array
from tegula._elements import unmasked
from tegula._group import Group
from tegula._progress import Report
from tegula.asdf._file import AsdfFile
from tegula.asdf._open import open as open_asdf
from tegula.asdf._open import open_node
from tegula.errors import StoreError, UnsupportedError
from tegula.stores import MemoryStore
from tegula.stores._path import checked_path, ending
from tegula.stores._resolve import local_path

__all__ = ["Target", "file_target", "load_file", "write_file"]

Target: TypeAlias = tuple[str, str]
"""The path of a file, and the path of a node in it."""

_LONG_HEADER = 60_000
"""Length of a header for which the first version of NumPy's format has no space."""

STEP = 16 << 20
"""Bytes of an array read at once for a NumPy file."""


def file_target(store: Any, path: str = "") -> Target | None:
    """Return the ASDF file or NumPy file that a path names, with the path in it; None for any other target."""
    if not isinstance(store, (str, os.PathLike)):
        return None
    name, mark, node = os.fspath(store).partition("#")
    node = "/".join(filter(None, [node.strip("/"), checked_path(path).strip("/")]))
    kind = ending(name)
    if kind != ".asdf" and (mark or kind not in (".npy", ".npz")):
        return None
    local = local_path(name)
    if local is None:
        raise UnsupportedError(f"cannot write {name}: write it as a local file, and upload it")
    return None if os.path.isdir(local) else (local, node)


def load_file(store: Any) -> NDArray[Any] | dict[str, NDArray[Any]] | None:
    """Read a NumPy file; None for anything else."""
    target = file_target(store) if isinstance(store, (str, os.PathLike)) and "://" not in os.fspath(store) else None
    if target is None or ending(target[0]) == ".asdf" or not os.path.exists(target[0]):
        return None
    with open(target[0], "rb") as file:
        read = np.load(file, allow_pickle=False)
        return dict(read) if isinstance(read, np.lib.npyio.NpzFile) else np.asarray(read)


def write_file(
    target: Target, data: Any, *, overwrite: bool, report: Report | None, properties: Mapping[str, Any]
) -> Any:
    """Write arrays to an ASDF file or a NumPy file, and return what is there.

    Parameters
    ----------
    target : tuple
        The path of the file, and the path of the node in it.
    data : Array, Group, ndarray or mapping
        The array; or the arrays of a group, by name or path.
    overwrite : bool
        Whether to replace what is there: the file, or in an ASDF file the node.
    report : callable, optional
        Called with the bytes that are written and the total.
    properties : mapping
        Properties of Zarr arrays; see `tegula.create_array`.
    """
    file, node = target
    if ending(file) == ".asdf":
        return _write_asdf(file, node, data, overwrite=overwrite, properties=properties)
    if node:
        raise UnsupportedError(f"cannot write {file}#{node}: a NumPy file has no paths")
    given = [name for name in properties if name != "zarr_format"]
    if given:
        raise UnsupportedError(f"cannot write {file} with {given[0]}: a NumPy file has no {given[0]}")
    if os.path.exists(file) and not overwrite:
        raise StoreError(f"{file} already exists; overwrite=True replaces it")
    if ending(file) == ".npz":
        arrays = _arrays(data)
        with _replaced(file) as opened, zipfile.ZipFile(opened, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _write_npy(member, array, file, report)
        return np.load(file)
    if isinstance(data, (Mapping, Group)):
        raise UnsupportedError(f"cannot write {file}: a file .npy holds one array; a file .npz holds several")
    with _replaced(file) as opened:
        _write_npy(opened, data, file, report)
    return np.load(file, mmap_mode="r")


@contextmanager
def _replaced(path: str) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces a file when the block ends."""
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, _tegula.temporary_name())
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def _write_npy(file: IO[bytes], data: Any, name: str, report: Report | None) -> None:
    """Write an array in NumPy's format, in parts."""
    if isinstance(data, Array):
        data._refuse_mask()
        if data.attrs:
            warn(f"the attributes of {data.name} are not written: {name} has no place for them", stacklevel=4)
    else:
        data = unmasked(data)
    dtype = data.dtype
    described = None if dtype.hasobject or dtype.kind == "T" else np.lib.format.dtype_to_descr(dtype)
    if described is None or np.lib.format.descr_to_dtype(described) != dtype:
        raise UnsupportedError(f"cannot write {name}: NumPy files have no {dtype}")
    header = {"descr": described, "fortran_order": False, "shape": tuple(data.shape)}
    is_long = len(repr(header)) > _LONG_HEADER
    (np.lib.format.write_array_header_2_0 if is_long else np.lib.format.write_array_header_1_0)(file, header)
    total = int(np.prod(data.shape, dtype=object)) * dtype.itemsize
    if not data.shape or not total:
        file.write(np.ascontiguousarray(data[...]).tobytes())
        return
    chunk = data._native.grid_chunk_shape[0] if isinstance(data, Array) else 1
    row = total // data.shape[0]
    length = chunk * max(STEP // max(row * chunk, 1), 1)
    for start in range(0, data.shape[0], length):
        if report is not None:
            report(start * row, total)
        file.write(np.ascontiguousarray(data[start : start + length]).reshape(-1).view(np.uint8).data)
    if report is not None:
        report(total, total)


def _arrays(data: Any) -> dict[str, Any]:
    """Return arrays by their names or paths."""
    if isinstance(data, Group):
        if data.attrs:
            warn(f"the attributes of {data.name} are not written: NumPy files have none", stacklevel=4)
        return {name: node for name, node in data.traverse() if isinstance(node, Array)}
    return dict(data) if isinstance(data, Mapping) else {"arr_0": data}


def _write_asdf(file: str, node: str, data: Any, *, overwrite: bool, properties: Mapping[str, Any]) -> Any:
    """Add arrays to an ASDF file, or write a new one."""
    is_tree = isinstance(data, (Mapping, Group))
    new = _asdf_tree(data, file, properties) if is_tree else _asdf_value(data, properties)
    options: dict[str, Any] = {"keep_zarr_v3": True} if properties.get("zarr_format") == 3 else {}
    exists = os.path.exists(file)
    if exists and not node and not overwrite:
        raise StoreError(f'{file} already exists; "{file}#path" adds to it, and overwrite=True replaces it')
    if exists and node:
        with open_asdf(file, mode="rw") as opened:
            _insert(opened, node, new, file, overwrite=overwrite)
            opened.update(**options)
    else:
        if not is_tree:
            node = node or "data"
        tree: dict[str, Any] = {} if node else new
        if node:
            _insert(tree, node, new, file)
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
        AsdfFile(tree).write_to(file, **options)
    return open_asdf(file) if is_tree else open_node(file, node)


def _asdf_value(data: Any, properties: Mapping[str, Any]) -> Any:
    """Return an array as it is in a tree: an ndarray, or a Zarr array if it is one or has properties of one."""
    if isinstance(data, Array):
        data._refuse_mask()
        return data
    if not properties:
        return np.asanyarray(data)
    return create_array(MemoryStore(), data=data, **properties)


def _asdf_tree(data: Mapping[str, Any], file: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays of a mapping or a group, and the attributes of groups, as a tree."""
    tree: dict[str, Any] = {}
    if not isinstance(data, Group):
        for name, elements in data.items():
            _insert(tree, name, _asdf_value(elements, properties), file)
        return tree
    places: list[tuple[dict[str, Any], Group]] = [(tree, data)]
    for name, found in data.traverse():
        value = {} if isinstance(found, Group) else _asdf_value(found, properties)
        _insert(tree, name, value, file)
        if isinstance(found, Group):
            places.append((value, found))
    for place, group in places:
        for key, value in group.attrs.items():
            _insert(place, key, value, file, parts=[key])
    return tree


def _insert(
    tree: Any, node: str, value: Any, file: str, *, overwrite: bool = False, parts: list[str] | None = None
) -> None:
    """Add a value at a path of a tree; mappings on the way are made."""
    *above, last = parts or node.split("/")  # the name of an attribute may contain a slash
    for name in above:
        if name not in tree:
            tree[name] = {}
        tree = tree[name]
        if not isinstance(tree, Mapping):
            raise StoreError(f"cannot write {file}#{node}: {name} is a {type(tree).__name__}, not a mapping")
    if last in tree and not overwrite:
        raise StoreError(f"{file}#{node} already exists; overwrite=True replaces it")
    tree[last] = value
