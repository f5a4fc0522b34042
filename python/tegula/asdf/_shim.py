"""Access to private names of the ``asdf`` library. No other module uses them.

Tested with the versions in `TESTED_VERSIONS`. If another version lacks a name, its users raise an error that names it.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from tegula.errors import UnsupportedError

__all__ = [
    "block_data",
    "block_manager",
    "check_extensions",
    "collect_schema_info",
    "key_type",
    "open_file",
    "record_extensions",
    "set_ndarray",
    "tag_of",
    "tagged_node",
    "tagged_string",
    "to_objects",
    "to_tagged",
    "tree_modification",
]

TESTED_VERSIONS = ("6.0.0",)
"""The versions of the library that the tests use."""


def _raise_missing(name: str, error: Exception) -> NoReturn:
    found = getattr(import_module("asdf"), "__version__", "(unknown version)")
    raise UnsupportedError(
        f"asdf {found} has no {name}, which tegula needs for converters and Zarr arrays in the library's files; "
        f"install asdf {' or '.join(TESTED_VERSIONS)}"
    ) from error


def _get(owner: Any, name: str) -> Any:
    """Return a private attribute of an object of the library."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        _raise_missing(f"{type(owner).__name__}.{name}", error)


def _function(module: str, name: str) -> Callable[..., Any]:
    """Return an undocumented function of the library."""
    try:
        function: Callable[..., Any] = getattr(import_module(f"asdf.{module}"), name)
    except (ImportError, AttributeError) as error:
        _raise_missing(f"asdf.{module}.{name}", error)
    return function


# Trees.


def tree_modification(file: Any) -> Any:
    """Return the context manager for converting trees; it completes objects that contain each other."""
    return _get(file, "_tree_modification_context")


def to_objects(node: Any, file: Any, context: Any) -> Any:
    """Convert tagged nodes to objects, with converters."""
    return _function("yamlutil", "tagged_tree_to_custom_tree")(node, file, _serialization_context=context)


def to_tagged(value: Any, file: Any, context: Any) -> Any:
    """Convert objects to tagged nodes, with converters."""
    return _function("yamlutil", "custom_tree_to_tagged_tree")(value, file, _serialization_context=context)


def tagged_string(text: str, tag: str) -> Any:
    """Return a tagged string of the library."""
    string = _function("tagged", "TaggedString")(text)
    string._tag = tag
    return string


def tagged_node(value: Any, tag: str) -> Any:
    """Return a dict, list or string as a tagged node of the library."""
    if isinstance(value, str):
        return tagged_string(str(value), tag)
    if isinstance(value, dict):
        return _function("tagged", "TaggedDict")(dict(value), tag)
    return _function("tagged", "TaggedList")(list(value), tag)


def tag_of(node: Any) -> str | None:
    """Return the tag of a node of the library or of tegula; None if it has no tag."""
    tag = getattr(node, "_tag", None) or getattr(node, "tag", None)
    return tag if isinstance(tag, str) else None


def record_extensions(file: Any, history: dict[Any, Any], context: Any) -> None:
    """Add the extensions that a context used to the history of a tree."""
    _get(file, "_update_extension_history")(history, context)


def check_extensions(file: Any, tree: Any, *, strict: bool) -> None:
    """Compare the extensions in the history of a tree with the installed ones."""
    _get(file, "_check_extensions")(tree, strict)


def collect_schema_info(key: str, path: str | None, tree: Any, **options: Any) -> Any:
    """Return annotations of the schemas of a tree."""
    return _function("_node_info", "collect_schema_info")(key, path, tree, **options)


# Arrays.


def set_ndarray(array: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Set the attributes of an ``NDArrayType``, whose constructor needs a block of the library."""
    array._source = 0
    array._data_callback = None
    array._array = None
    array._mask = None
    array._shape = list(shape)
    array._dtype = dtype
    array._offset = 0
    array._strides = None
    array._order = "A"


# Blocks. A context or a file of the library manages the blocks; converters get callbacks for the data.


def block_manager(owner: Any) -> Any:
    """Return the block manager of a file or a context, which lives as long as the file."""
    return _get(owner, "_blocks")


def open_file(context: Any) -> Any:
    """Return the file object of a file that is open for reading only; None if there is none."""
    blocks = _get(block_manager(context), "blocks")
    handle = _get(blocks[0], "_fd")() if len(blocks) else None
    return None if handle is None or handle.mode != "r" else _get(handle, "_fd")


def block_data(callback: Callable[..., Any]) -> tuple[Any, Any, int]:
    """Return the file object of a block (None if it has none), the header, and the offset of the data."""
    try:
        file = getattr(callback(_attr="_fd")(), "_fd", None)
        return file, callback(_attr="header"), callback(_attr="data_offset")
    except (AttributeError, TypeError) as error:
        _raise_missing("attributes of block callbacks", error)


_key_types: dict[Any, Any] = {}


class _Token:
    """The owner of a block key."""

    __slots__ = ("__weakref__",)


def key_type(base: Any) -> Any:
    """Return a class of block keys, each with a different owner.

    After moving blocks, the library finds their readers by the owners of the keys. If several keys have the same owner,
    it finds only one of them.
    """
    found = _key_types.get(base)
    if found is None:
        if not hasattr(base, "_assign_object"):
            _raise_missing(f"{base.__name__}._assign_object", AttributeError(base.__name__))
        found = _key_types[base] = _make_key_type(base)
    return found


def _make_key_type(base: Any) -> Any:
    class Key(base):
        def __init__(self, obj: Any = None, _key: int | None = None) -> None:
            self.token = _Token() if obj is None else obj
            super().__init__(self.token, _key)

        def _assign_object(self, obj: Any) -> None:  # noqa: ARG002 - the token stays the owner
            super()._assign_object(self.token)

    return Key
