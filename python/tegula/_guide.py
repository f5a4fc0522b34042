"""Errors that name what to call instead of another library's name."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import numpy as np

__all__ = ["guided", "missing_array_name", "missing_group_name", "missing_name", "unknown_keyword"]

P = ParamSpec("P")
T = TypeVar("T")

KEYWORDS = {
    "attrs": "attributes",
    "cache_attrs": "a handle keeps the attributes that it read, so this is not needed",
    "cache_metadata": "a handle keeps the metadata that it read, so this is not needed",
    "chunk_shape": "chunks",
    "chunk_store": "chunks are in the store of the metadata",
    "component": "path",
    "compression": "compressors",
    "compression_opts": 'pass the level with the name: compressors="zstd:5"',
    "compressor": "compressors",
    "config": "call array.with_options(...), or set tegula.config",
    "dimension_separator": 'pass chunk_key_encoding={"name": "v2", "separator": "/"}',
    "dims": "dimension_names",
    "exist_ok": "overwrite=True replaces what exists",
    "group": "path",
    "maxshape": "every array can be resized, so this is not needed",
    "meta_array": "elements are NumPy arrays",
    "mode": "it always creates; overwrite=True replaces what exists, and tegula.open_array has modes",
    "modes": "mode",
    "name": "path",
    "object_codec": 'pass dtype="string" or dtype="bytes"',
    "prototype": "elements are NumPy arrays",
    "read_only": 'mode="r"',
    "synchronizer": "writers of one chunk wait for each other, so this is not needed",
    "write_empty_chunks": "call array.with_options(store_empty_chunks=True)",
}
"""What to pass instead of keywords of zarr-python, h5py and xarray: a keyword, or advice."""

MODULE = {
    "ArrayBuilder": "tegula.create_array",
    "AsyncArray": "the async_ methods of an array, such as array.async_retrieve_array_subset",
    "AsyncGroup": "tegula.open_group; the arrays of a group have async_ methods",
    "Blosc": 'compressors="blosc:zstd:5:bitshuffle"',
    "CodecChain": "array.codecs",
    "DirectoryStore": "tegula.FilesystemStore",
    "FSStore": "tegula.RemoteStore, or a URL",
    "FsspecStore": "tegula.RemoteStore, a URL, or the filesystem of fsspec itself",
    "KVStore": "a dict",
    "LocalStore": "tegula.FilesystemStore",
    "NestedDirectoryStore": "tegula.FilesystemStore",
    "ObjectStore": "tegula.RemoteStore, a URL, or the store of obstore itself",
    "ProcessSynchronizer": "nothing: writers of one chunk wait for each other",
    "ThreadSynchronizer": "nothing: writers of one chunk wait for each other",
    "copy_all": "tegula.copy(group, store)",
    "copy_store": "tegula.copy(store, other_store)",
    "create": "tegula.create_array(store, shape=..., dtype=...)",
    "create_hierarchy": "group.create_hierarchy({path: properties})",
    "from_array": "tegula.copy(array, store), or tegula.rechunk for other chunks",
    "open_consolidated": "tegula.open_group(store, use_consolidated=True)",
    "open_like": "tegula.open_array(store, mode='a', shape=other.shape, dtype=other.dtype)",
    "open_zarr": "tegula.open(store)",
    "print_debug_info": "tegula.show_versions()",
    "save_array": "tegula.save(store, data)",
    "save_group": "tegula.save(store, {name: data})",
    "savez": "tegula.save(store, {name: data})",
    "set_format": "the keyword zarr_format",
    "set_log_level": "logging.getLogger('tegula').setLevel(...)",
    "storage": "tegula.stores",
    "tree": "group.tree()",
}
"""What to use instead of other libraries' modules, classes and functions."""

ARRAY = {
    "async_array": "its async_ methods, such as array.async_retrieve_array_subset",
    "chunk_grid": "array.chunks and array.chunk_grid_shape",
    "chunk_store": "array.store",
    "chunksize": "array.chunks",
    "compression": "array.compressors",
    "config": "array.options",
    "dims": "array.dimension_names",
    "fill": "array[...] = value",
    "itemset": "array[index] = value",
    "maxshape": "array.resize(shape): every array can be resized",
    "numblocks": "array.chunk_grid_shape",
    "object_codec": "array.serializer",
    "partition": "array[...] = numpy.partition(array, kth)",
    "put": "array[...] = values, or array.vindex[indices] = values",
    "read_chunk_sizes": "array.chunks",
    "setfield": "array[field] = values",
    "sort": "array[...] = numpy.sort(array)",
    "synchronizer": "nothing: writers of one chunk wait for each other",
    "value": "array[...]",
    "values": "array[...]",
    "with_config": "array.with_options(...)",
    "write_chunk_sizes": "array.shards",
    "write_empty_chunks": "array.options.store_empty_chunks",
}
"""What to use instead of attributes of other libraries' arrays."""

GROUP = {
    "array": "group.create_array(name, data=...)",
    "chunk_store": "group.store",
    "create": "group.create_array(name, shape=..., dtype=...)",
    "file": "group.store",
    "get_array": "group[name]",
    "get_group": "group[name]",
    "name_or_path": "group.path",
    "parent": 'tegula.open_group(group.store, "path/of/the/parent")',
    "synchronizer": "nothing: writers of one chunk wait for each other",
    "update_attributes_async": "group.update_attributes(...)",
    "visit": "group.traverse()",
    "visititems": "group.traverse()",
    "visitkeys": "group.traverse()",
    "visitvalues": "group.traverse()",
}
"""What to use instead of attributes of other libraries' groups."""

SUFFIXES = ("_opt", "_elements", "_ndarray", "_into")
"""Ends of the methods of zarrs for other types and options."""


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like another one, if one is like it."""
    import difflib

    found = difflib.get_close_matches(name, list(names), 1, 0.6)
    return found[0] if found else None


def unknown_keyword(function: str, name: str, known: Iterable[str]) -> TypeError:
    """Return the error of a keyword that a function does not have."""
    names = [other for other in known if not other.startswith("_")]
    hint = KEYWORDS.get(name)
    if hint == "mode" and hint not in names:
        hint = KEYWORDS[hint]
    if hint is None or hint.isidentifier():
        meant = hint if hint in names else closest(name, names)
        hint = f"the keywords are {', '.join(names)}" if meant is None else f"did you mean {meant!r}?"
    return TypeError(f"{function}() got an unexpected keyword argument {name!r}: {hint}")


def guided(function: Callable[P, T], name: str | None = None) -> Callable[P, T]:
    """Return a function whose errors about its own arguments name the arguments that it has.

    Parameters
    ----------
    function : callable
        The function.
    name : str, optional
        The name in these errors; by default that of the function.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            # A frame below this one means that the arguments fitted.
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            raise _misuse(function, name or function.__name__, args, kwargs, error) from None

    return call


def _misuse(
    function: Callable[..., Any], called: str, args: tuple[Any, ...], kwargs: Any, error: TypeError
) -> TypeError:
    parameters = inspect.signature(function).parameters.values()
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    places = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    shown = [name for name in names if name != "self"]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    for name in kwargs:
        if name not in names and not takes_any:
            return unknown_keyword(called, name, shown)
    if len(args) > len(places):
        positional = ", ".join(name for name in places if name != "self")
        others = names[len(places) :] or ["shape", "dtype"]
        listed = ", ".join(f"{name}=..." for name in others[:4]) + (", ..." if len(others) > 4 else "")
        return TypeError(f"{called}({positional}) takes its other arguments by name: {listed}")
    return error


def missing_name(name: str, known: Iterable[str]) -> AttributeError:
    """Return the error of a name that the package `tegula` does not have."""
    return _missing("module 'tegula'", name, MODULE.get(name), known)


def missing_array_name(array: Any, name: str) -> AttributeError:
    """Return the error of an attribute that an array does not have."""
    hint = ARRAY.get(name)
    if hint is None and not name.startswith("_") and hasattr(np.ndarray, name):
        what = f"array[...].{name}{'(...)' if callable(getattr(np.ndarray, name)) else ''}"
        hint = f"{what}, which reads all elements first"
    for suffix in SUFFIXES:
        base = name.removesuffix(suffix)
        if hint is None and base != name and hasattr(type(array), base):
            hint = f"array.{base}, which returns an ndarray"
    return _missing(f"{type(array).__name__!r} object", name, hint, dir(type(array)))


def missing_group_name(group: Any, name: str) -> AttributeError:
    """Return the error of an attribute that a group does not have."""
    return _missing(f"{type(group).__name__!r} object", name, GROUP.get(name), dir(type(group)))


def _missing(owner: str, name: str, hint: str | None, known: Iterable[str]) -> AttributeError:
    message = f"{owner} has no attribute {name!r}"
    if name.startswith("_"):
        return AttributeError(message)
    if hint is None and (close := closest(name, (other for other in known if not other.startswith("_")))):
        hint = f"{close}"
        return AttributeError(f"{message}; did you mean {hint!r}?")
    return AttributeError(f"{message}; use {hint}" if hint else message)
