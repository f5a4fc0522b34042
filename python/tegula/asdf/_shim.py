"""Private names of the ``asdf`` library: this module alone uses them.

Tried with the versions in `TRIED`. If another version lacks a name, what needs it raises an error that says so.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from tegula.errors import UnsupportedError

__all__ = [
    "block_data",
    "block_manager",
    "collect_schema_info",
    "key_type",
    "modifying",
    "open_file",
    "record_extensions",
    "set_ndarray",
    "tag_of",
    "tagged_string",
    "to_objects",
    "to_tagged",
]

TRIED = ("6.0.0",)
"""The versions of the library that the tests ran with."""


def _missing(name: str, error: Exception) -> NoReturn:
    found = getattr(import_module("asdf"), "__version__", "of unknown version")
    raise UnsupportedError(
        f"asdf {found} has no {name}, which tegula needs for converters and Zarr arrays in the library's files; "
        f"install asdf {' or '.join(TRIED)}"
    ) from error


def _get(owner: Any, name: str) -> Any:
    """Return a private attribute of an object of the library."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        _missing(f"{type(owner).__name__}.{name}", error)


def _function(module: str, name: str) -> Callable[..., Any]:
    """Return an undocumented function of the library."""
    try:
        function: Callable[..., Any] = getattr(import_module(f"asdf.{module}"), name)
    except (ImportError, AttributeError) as error:
        _missing(f"asdf.{module}.{name}", error)
    return function


# Trees.


def modifying(file: Any) -> Any:
    """Return the context in which trees are converted; in it, objects that contain each other are finished."""
    return _get(file, "_tree_modification_context")


def to_objects(node: Any, file: Any, context: Any) -> Any:
    """Convert tagged nodes into the objects of converters."""
    return _function("yamlutil", "tagged_tree_to_custom_tree")(node, file, _serialization_context=context)


def to_tagged(value: Any, file: Any, context: Any) -> Any:
    """Convert objects of converters into tagged nodes."""
    return _function("yamlutil", "custom_tree_to_tagged_tree")(value, file, _serialization_context=context)


def tagged_string(text: str, tag: str) -> Any:
    """Return a tagged string of the library."""
    string = _function("tagged", "TaggedString")(text)
    string._tag = tag
    return string


def tag_of(node: Any) -> str | None:
    """Return the tag of a node, of the library or of tegula."""
    tag = getattr(node, "_tag", None) or getattr(node, "tag", None)
    return tag if isinstance(tag, str) else None


def record_extensions(file: Any, history: dict[Any, Any], context: Any) -> None:
    """Add the extensions that a context used to a tree's history."""
    _get(file, "_update_extension_history")(history, context)


def collect_schema_info(key: str, path: str | None, tree: Any, *, preserve_list: bool, manager: Any) -> Any:
    """Return annotations of the schemas of a tree."""
    collect = _function("_node_info", "collect_schema_info")
    return collect(key, path, tree, preserve_list=preserve_list, extension_manager=manager)


# Arrays.


def set_ndarray(array: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Set what the methods of an ``NDArrayType`` use; its constructor needs a block of the library."""
    array._source = 0
    array._data_callback = None
    array._array = None
    array._mask = None
    array._shape = list(shape)
    array._dtype = dtype
    array._offset = 0
    array._strides = None
    array._order = "A"


# Blocks. A context or file of the library manages its blocks; converters get callbacks for the data.


def block_manager(owner: Any) -> Any:
    """Return the blocks of a file or a context. The object lives as long as the file."""
    return _get(owner, "_blocks")


def open_file(context: Any) -> Any:
    """Return the file object of a file that is open for reading only, with its descriptor; None if there is none."""
    blocks = _get(block_manager(context), "blocks")
    handle = _get(blocks[0], "_fd")() if len(blocks) else None
    return None if handle is None or handle.mode != "r" else _get(handle, "_fd")


def block_data(callback: Callable[..., Any]) -> tuple[Any, Any, int]:
    """Return the file object of a block, None if it has none; the header; and the offset of the data."""
    try:
        file = getattr(callback(_attr="_fd")(), "_fd", None)
        return file, callback(_attr="header"), callback(_attr="data_offset")
    except (AttributeError, TypeError) as error:
        _missing("attributes of block callbacks", error)


_key_types: dict[Any, Any] = {}


class _Token:
    """The object that a block's key belongs to."""

    __slots__ = ("__weakref__",)


def key_type(base: Any) -> Any:
    """Return a class of keys, each of which belongs to an object of its own.

    After the library moved blocks it finds their readers by the objects that keys belong to, and finds one of several
    keys of the same object only.
    """
    found = _key_types.get(base)
    if found is None:
        if not hasattr(base, "_assign_object"):
            _missing(f"{base.__name__}._assign_object", AttributeError(base.__name__))
        found = _key_types[base] = _own_key_type(base)
    return found


def _own_key_type(base: Any) -> Any:
    class Key(base):
        def __init__(self, obj: Any = None, _key: int | None = None) -> None:
            self.token = _Token() if obj is None else obj
            super().__init__(self.token, _key)

        def _assign_object(self, obj: Any) -> None:  # noqa: ARG002 - the array, not the token
            super()._assign_object(self.token)

    return Key
