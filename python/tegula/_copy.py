"""Copies of arrays and groups: unchanged, in the other Zarr version, or with other chunks and codecs."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from tempfile import TemporaryDirectory
from types import EllipsisType
from typing import Any, Literal, Unpack

import numpy as np

from tegula import _tegula
from tegula._array.array import Array
from tegula._create import check_format, create_array
from tegula._elements import unmasked
from tegula._files import Target, file_target, write_file
from tegula._group import Group, warn_of_damage
from tegula._guide import guided
from tegula._location import creation, discard, discard_group
from tegula._new_array import Codecs, DataType, chunk_lengths, codec_list, fill_bytes
from tegula._open import open as open_node
from tegula._progress import Progress, Report, joined, reporting
from tegula.errors import CorruptDataError, InvalidMetadataError, StoreError, UnsupportedError
from tegula.stores import FilesystemStore, ReadOnlyStore, Store, StoreLike
from tegula.stores._access import AccessOptions, with_access
from tegula.stores._resolve import target

__all__ = ["copy", "rechunk"]

SLOT = 16
"""Bytes that a variable-length element counts for."""


@with_access
@guided
def copy(
    source: Any,
    store: StoreLike,
    path: str = "/",
    *,
    compressors: Codecs | EllipsisType = ...,
    zarr_format: int | None = None,
    overwrite: bool = False,
    max_memory: int | str | None = None,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> Array | Group:
    """Copy an array, or a group with everything below it, including attributes and consolidated metadata.

    Chunks whose encoding does not change are copied without decoding. With other compressors or in the other Zarr
    version, arrays keep their chunk shapes and fill values, except that inner chunks of shards become the chunks of a
    Zarr V2 array. Dimension names are converted between xarray's attribute of Zarr V2 and the metadata of V3.

    Parameters
    ----------
    source : Array, Group, str, os.PathLike, mapping, Store or array_like
        What to copy, or its location as for `tegula.open`; ``"file.asdf#path"`` is an array in an ASDF file, which must
        have no mask. An ndarray becomes an array; see `tegula.save`.
    store : str, os.PathLike, mapping or Store
        The store of the copy, as for `tegula.save`; a mapping must be mutable.
    path : str
        The path in the store.
    compressors : codec, list of codecs or None
        The compressors of all arrays, as for `tegula.create_array`; filters are then dropped. By default, all codecs
        are kept.
    zarr_format : int, optional
        3 or 2; by default the version of the source.
    overwrite : bool
        Whether to erase an existing array or group, with everything below it.
    max_memory : int or str, optional
        The memory limit in bytes, as a number or text such as ``"2 GB"``; by default 1 GiB, or the memory for one chunk
        if that is more.
    progress : bool or callable, optional
        True draws a bar if standard error is a terminal. A callable is called with the number of bytes that are copied
        and the total; variable-length elements count as 16 bytes. An exception that it raises, like Ctrl-C, ends the
        copy.
    storage_options : mapping, optional
        For the URLs of source and copy, as for `tegula.open_array`. If both are URLs of different kinds, they are for
        the copy; pass an opened source then.

    Returns
    -------
    Array or Group
        The copy. Its metadata is stored last, so nobody sees an incomplete copy. A copy that fails is erased.

    Warns
    -----
    DamagedWarning
        For each member of a group that is damaged. It is left out, and all others are copied.

    Raises
    ------
    NotFoundError
        If the source does not exist.
    StoreError
        If something is already there, or if the source or the copy contains the other.
    InvalidSelectionError
        If `max_memory` is too small for one chunk.
    UnsupportedError
        If the other Zarr version cannot express a codec or data type.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.save(store, {"a": np.arange(3), "b/c": np.eye(2)})
    >>> tegula.copy(store, "copy.zarr", zarr_format=2)["b/c"].zarr_format
    2
    """
    if zarr_format is not None:
        check_format(zarr_format)
    node, storage_options = _opened(source, store, storage_options)
    how: dict[str, Any] = {"overwrite": overwrite, "max_memory": _memory(max_memory)}
    given: dict[str, Any] = {} if compressors is ... else {"compressors": compressors}
    if (file := file_target(store, path)) is not None:
        given |= {} if zarr_format is None else {"zarr_format": zarr_format}
        made: Array = _copy_to_file(node, file, partial(copy, **given), progress, overwrite=overwrite, given=given)
        return made
    if isinstance(node, np.ndarray):
        given |= {"zarr_format": 3 if zarr_format is None else zarr_format}
        given |= {"overwrite": overwrite, "progress": progress, "storage_options": storage_options}
        return create_array(store, path, data=node, **given)
    with (
        reporting(progress, "copying") as report,
        target(store, path, storage_options, overwrite=overwrite) as (resolved, where),
    ):
        if isinstance(node, Array):
            native = _copied(node, resolved, where, compressors, zarr_format)
            return _store_array(node, native, resolved, report=report, **how)
        version = zarr_format or node.zarr_format
        return _store_group(node, resolved, where, compressors, version, report=report, **how)


@with_access
@guided
def rechunk(
    source: Any,
    store: StoreLike,
    path: str = "/",
    *,
    chunks: int | Sequence[int | Sequence[int]] | Literal["auto"] | bool = "auto",
    shards: int | Sequence[int] | Literal["auto"] | bool | None = "auto",
    filters: Codecs = None,
    compressors: Codecs | EllipsisType = ...,
    fill_value: Any = ...,
    zarr_format: int = 3,
    overwrite: bool = False,
    max_memory: int | str | None = None,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> Array:
    """Copy an array with other chunks, codecs or another fill value, in bounded memory.

    Regions of whole chunks of the copy are read and written one after the other, each on all threads. They are chosen
    to decode as few chunks as possible more than once. Attributes and dimension names are copied too.

    Parameters
    ----------
    source : Array, str, os.PathLike, mapping, Store or array_like
        The array, as for `tegula.copy`.
    store : str, os.PathLike, mapping or Store
        The store of the copy, as for `tegula.save`; a mapping must be mutable.
    path : str
        The path in the store.
    chunks, shards
        The shapes of chunks and shards, as for `tegula.create_array`.
    filters, compressors : codec, list of codecs or None
        The codecs, as for `tegula.create_array`. By default, all codecs of the source are kept.
    fill_value
        The value of elements that are not stored; by default the source's. The elements themselves do not change.
    zarr_format : int
        3 or 2.
    overwrite : bool
        Whether to erase an existing array or group, with everything below it.
    max_memory, progress, storage_options
        As for `tegula.copy`.

    Returns
    -------
    Array
        The copy. Its metadata is stored last, so nobody sees an incomplete copy. A copy that fails is erased.

    Raises
    ------
    NotFoundError
        If the source does not exist.
    StoreError
        If something is already there, or if the source or the copy contains the other.
    InvalidSelectionError
        If `max_memory` is too small for one chunk.
    UnsupportedError
        If the source is a group, or if the other Zarr version cannot express a codec or data type.

    Examples
    --------
    >>> cube = tegula.create_array({}, data=np.zeros((64, 64, 64)), chunks=(1, 64, 64))
    >>> balanced = tegula.rechunk(cube, "cube.zarr", chunks=(8, 8, 8), shards=(64, 64, 64), compressors="zstd:5")
    >>> balanced.chunks, balanced.shards
    ((8, 8, 8), (64, 64, 64))
    """
    check_format(zarr_format)
    node, storage_options = _opened(source, store, storage_options)
    given = {"compressors": compressors, "fill_value": fill_value}
    given = {name: value for name, value in given.items() if value is not ...}
    given |= {"chunks": chunks, "shards": shards, "filters": filters, "zarr_format": zarr_format}
    if (file := file_target(store, path)) is not None:
        given["max_memory"] = max_memory
        made: Array = _copy_to_file(node, file, partial(rechunk, **given), progress, overwrite=overwrite, given=given)
        return made
    if isinstance(node, np.ndarray):
        given |= {"overwrite": overwrite, "progress": progress, "storage_options": storage_options}
        return create_array(store, path, data=node, **given)
    if not isinstance(node, Array):
        raise UnsupportedError(
            f"cannot rechunk {node.name}: it is a group; rechunk its arrays one by one, or use tegula.copy"
        )
    fill = None if fill_value is ... else fill_bytes(fill_value, _element(node))
    builder = _tegula.ArrayBuilder.copied(node._native, zarr_format=zarr_format, fill_value=fill)
    builder.chunks = chunk_lengths(chunks, node.shape, "chunks")
    builder.shards = None if shards is None or shards is False else chunk_lengths(shards, node.shape, "shards")
    if listed := codec_list(filters):
        builder.filters = listed
    if compressors is not ...:
        builder.compressors = codec_list(compressors)
    how: dict[str, Any] = {"overwrite": overwrite, "max_memory": _memory(max_memory)}
    with (
        reporting(progress, "rechunking") as report,
        target(store, path, storage_options, overwrite=overwrite) as (resolved, where),
    ):
        return _store_array(node, builder.build(resolved._native, where), resolved, report=report, **how)


def _copy_to_file(
    node: Any,
    file: Target,
    recode: Callable[..., Any],
    progress: Progress,
    *,
    overwrite: bool,
    given: Mapping[str, Any],
) -> Any:
    """Copy an array or a group to an ASDF file or a NumPy file.

    Parameters
    ----------
    node : Array, Group or ndarray
        The source.
    file : tuple
        The file, and the path in it.
    recode : callable
        Copies the source to a store, with other chunks or codecs.
    progress : bool, callable or None
        As for `copy`.
    overwrite : bool
        Whether to replace what is there.
    given : mapping
        The properties of the copy that were given.
    """
    is_recoded = isinstance(node, (Array, Group)) and not file[0].lower().endswith((".npy", ".npz"))
    with TemporaryDirectory() if is_recoded and set(given) - {"zarr_format"} else nullcontext() as folder:
        if folder is not None:
            node, progress = recode(node, os.path.join(folder, "copy"), progress=progress), None
            given = {name: value for name, value in given.items() if name == "zarr_format"}
        with reporting(progress, "copying") as report:
            return write_file(file, node, overwrite=overwrite, report=report, properties=given)


def _memory(given: int | str | None) -> int | None:
    return None if given is None else _tegula.bytes_of(given)


def _opened(source: Any, target: StoreLike, storage_options: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """Return the source of a copy (an array, a group or an ndarray) and the options of its target."""
    if not isinstance(source, Group) and isinstance(source, (str, os.PathLike, Mapping, Store)):
        kind, other = _scheme(source), _scheme(target)
        options = storage_options if kind and other in ("", kind) else None
        source = open_node(source, mode="r", storage_options=options)
        if kind and not other:
            storage_options = None
    if isinstance(source, Array):
        source._refuse_mask()
    return source if isinstance(source, (Array, Group)) else unmasked(source), storage_options


def _scheme(store: Any) -> str:
    """Return the scheme of the URL of a server, such as "s3"; "" for anything else."""
    scheme, mark, _ = str(store).partition("://") if isinstance(store, (str, os.PathLike)) else ("", "", "")
    return scheme.lower() if mark and scheme.lower() != "file" else ""


def _is_zarr(array: Array) -> bool:
    return "zarr_format" in array.metadata


def _element(array: Array) -> DataType:
    return array.data_type if array._native.is_variable else array.dtype


def _item_size(array: Array) -> int:
    return SLOT if array._native.is_variable else array.dtype.itemsize


def _size(array: Array) -> int:
    return array.size * _item_size(array)


def _copied(
    array: Array, store: Store, path: str, compressors: Codecs | EllipsisType, zarr_format: int | None
) -> _tegula.Array:
    """Return the copy of an array with the same chunks, before anything is stored."""
    builder = _tegula.ArrayBuilder.copied(array._native, zarr_format=zarr_format)
    if compressors is not ...:
        builder.compressors = codec_list(compressors)
    return builder.build(store._native, path)


def _store_array(
    source: Array,
    native: _tegula.Array,
    store: Store,
    *,
    overwrite: bool,
    max_memory: int | None,
    report: Report | None,
) -> Array:
    """Store the copy of an array: first the chunks, then the metadata."""
    _refuse_overlap(source, store, native.path)
    with creation(store, native.path, native.zarr_format, overwrite=overwrite, arrays=[native]):
        try:
            _tegula.copy_array(source._native, native, max_memory=max_memory, is_new=True, progress=report)
            native.store_metadata()
        except BaseException:
            discard(store, native)
            raise
    return Array._wrap(native, store)


def _store_group(
    source: Group,
    store: Store,
    path: str,
    compressors: Codecs | EllipsisType,
    zarr_format: int,
    *,
    overwrite: bool,
    max_memory: int | None,
    report: Report | None,
) -> Group:
    """Store the copy of a group: all chunks, then the metadata of arrays, then of groups, the outermost last."""
    path = _tegula.node_path(path)
    _refuse_overlap(source, store, path)
    members, damaged = _members(source)
    unread = {name for name, _ in damaged}
    arrays = [(name, node) for name, node in members.items() if isinstance(node, Array)]
    groups = [(name, node) for name, node in members.items() if isinstance(node, Group)]
    copies = [_copied(node, store, f"{path}/{name}", compressors, zarr_format) for name, node in arrays]
    total = sum(_size(node) for _, node in arrays)
    with creation(store, path, zarr_format, overwrite=overwrite, arrays=copies):
        done = 0
        whole = []
        try:
            for (name, array), copied in zip(arrays, copies, strict=True):
                how: dict[str, Any] = {
                    "max_memory": max_memory,
                    "is_new": True,
                    "progress": joined(report, done, total),
                }
                try:
                    _tegula.copy_array(array._native, copied, **how)
                    whole.append(copied)
                except (CorruptDataError, InvalidMetadataError) as error:
                    discard(store, copied)
                    damaged.append((name, error))
                done += _size(array)
            _tegula.store_metadata(whole)
            for name, group in [*reversed(groups), ("", source)]:
                place = f"{path}/{name}"
                if name in unread:
                    native = _tegula.Group.create(store._native, place, zarr_format, {})
                else:
                    native = _tegula.copied_group(group._native, store._native, place, zarr_format)
                if group.is_consolidated and (not name or not source.is_consolidated):
                    native = native.consolidate()
        except BaseException:
            for copied in copies:
                discard(store, copied)
            discard_group(store, path, list(members))
            raise
    warn_of_damage(source.name, damaged)
    return Group._wrap(native, store)


def _members(group: Group) -> tuple[dict[str, Array | Group], list[tuple[str, BaseException | str]]]:
    """Open everything below a group; also return what is damaged. A damaged node with members counts as a group.

    If the store can be listed, consolidated metadata is not used.
    """
    native = group._native
    if native.is_consolidated:
        listed = native.without_consolidated()
        try:
            members, problems = listed.survey(True)
            native = listed
        except UnsupportedError:
            members, problems = native.survey(True)
    else:
        members, problems = native.survey(True)
    damaged: dict[str, BaseException | str] = dict(problems)
    opened: dict[str, Array | Group] = {}
    names = [name for name, _ in members]
    above = {name[:end] for name in names for end, letter in enumerate(name) if letter == "/"}
    for name, node in zip(names, native.open_members(names), strict=True):
        if not isinstance(node, BaseException):
            opened[name] = group._node(node)
        elif not group._is_damage(node):
            raise node
        else:
            damaged.setdefault(name, node)
            if name in above:
                opened[name] = Group._wrap(_tegula.Group.unread(group.store._native, group._path(name)), group.store)
    return opened, list(damaged.items())


def _refuse_overlap(source: Array | Group, store: Store, path: str) -> None:
    """Make sure that neither the source nor the copy contains the other."""
    if isinstance(source, Array) and not _is_zarr(source):
        return
    (one, here), (other, there) = _place(source.store, source.path), _place(store, path)
    if one == other and os.path.commonpath([here, there]) in (here, there):
        raise StoreError(f"{source.name} cannot be copied to {store._native.display(path)}: one contains the other")


def _place(store: Store, path: str) -> tuple[Any, str]:
    """Return the identity of a store, and a path in it. Paths of local files are absolute."""
    while isinstance(store, ReadOnlyStore):
        store = store.store
    if isinstance(store, FilesystemStore):
        return None, os.path.realpath(os.path.join(store.path, path))
    return store, f"/{path}".rstrip("/") or "/"
