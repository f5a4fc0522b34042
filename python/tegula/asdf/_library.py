"""The ``asdf`` library's converters and schemas, for trees that tegula reads and writes."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tegula._array.array import Array
from tegula.asdf._array import AsdfArray
from tegula.asdf._history import copy_for_writing
from tegula.asdf._tree import Reference, TaggedDict, TaggedList, TaggedString, words
from tegula.errors import InvalidMetadataError, UnsupportedError

try:
    import asdf
    from asdf import schema, yamlutil
    from asdf.exceptions import AsdfConversionWarning
    from asdf.extension import SerializationContext
    from asdf.tagged import Tagged
    from asdf.tagged import TaggedDict as TheirDict
    from asdf.tagged import TaggedList as TheirList
    from asdf.tagged import TaggedString as TheirString
    from asdf.tags.core import AsdfObject, IntegerType
    from asdf.tags.core.ndarray import NDArrayType, numpy_dtype_to_asdf_datatype
except ImportError as error:
    raise UnsupportedError(
        "converters and schemas are those of the asdf library: pip install 'tegula[asdf]'"
    ) from error

from tegula.asdf._lazy import LazyArray

if TYPE_CHECKING:
    from tegula.asdf._opened import Opened

__all__ = ["Library"]

_CORE = "tag:stsci.edu:asdf/core/"

_LAST_WITH_DEFAULTS = (1, 5, 0)
"""Newer versions of the standard have no defaults in schemas."""

OURS = (np.ndarray, np.ma.MaskedArray, np.memmap, np.complex64, np.complex128, NDArrayType, LazyArray, IntegerType)
"""Types that the library has converters for, and tegula writes by itself."""


class Library:
    """The library, as it is set up for a version of the standard.

    Parameters
    ----------
    version : str
        The version of the standard.
    ignore_unrecognized_tag : bool
        Whether to be silent of tags that have no converter.
    """

    def __init__(self, version: str, *, ignore_unrecognized_tag: bool = False) -> None:
        self._silent = ignore_unrecognized_tag
        try:
            self._file = asdf.AsdfFile(version=version, ignore_unrecognized_tag=ignore_unrecognized_tag)
        except ValueError:
            warnings.warn(f"the asdf library does not know version {version} of the standard", stacklevel=4)
            self._file = asdf.AsdfFile(ignore_unrecognized_tag=ignore_unrecognized_tag)

    @property
    def manager(self) -> Any:
        """The library's extension manager, which knows converters by tags and types."""
        return self._file.extension_manager

    # Reading.

    def convert(self, tree: Any, source: "Opened | None") -> Any:
        """Put into a tree, where nodes have tags that converters know, what these make of them."""
        reader = _Reader(self, source)
        with self._file._tree_modification_context:
            return reader.walk(tree)

    def _version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self._file.version_string.split("."))

    # Writing.

    def simplify(self, tree: dict[Any, Any]) -> "tuple[dict[Any, Any], list[Any]]":
        """Return a tree of what tegula writes by itself, and what converters want in blocks of their own.

        The blocks are the first of the file. The extensions that took part are noted in the tree's history.
        """
        context = _WriteContext(self)
        writer = _Writer(self, context)
        simple = {key: writer.walk(value) for key, value in tree.items() if key != "history"}
        writer.foreign(AsdfObject())
        history = copy_for_writing(tree)
        self._file._update_extension_history(history, context)
        if "history" in history:
            # The library writes it first.
            simple = {"history": writer.walk(history["history"]), **simple}
        return simple, context.blocks

    # Schemas.

    def validate(self, tree: Any) -> None:
        """Ask the schemas of all tags.

        Raises
        ------
        InvalidMetadataError
            If the tree is not as they want it.
        """
        simple = _Writer(self, _WriteContext(self)).walk(dict(tree) if isinstance(tree, dict) else tree)
        tagged = _Down(nodes=True).walk(simple)
        if isinstance(tagged, dict):
            tagged = TheirDict(dict(tagged), f"{_CORE}asdf-1.{'1' if self._version() >= (1, 2) else '0'}.0")
        try:
            schema.validate(tagged, self._file)
        except asdf.ValidationError as error:
            raise InvalidMetadataError(f"the tree is not as its schemas want it: {error}") from error

    def schema_info(self, tree: Any, key: str, path: str | None, *, preserve_list: bool) -> Any:
        """Return what schemas say of a tree; see ``asdf.AsdfFile.schema_info``."""
        from asdf import _node_info

        seen = _Down(nodes=False, mapping=_SeenDict).walk(tree)
        return _node_info.collect_schema_info(
            key, path, seen, preserve_list=preserve_list, extension_manager=self.manager
        )


class _Reader:
    """Walks through a tree of ours."""

    def __init__(self, library: Library, source: "Opened | None") -> None:
        self._library = library
        self._context = _ReadContext(library, source)
        self._down = _Down(nodes=False)
        self._unknown: set[str] = set()
        self._done: dict[int, Any] = {}
        self._defaults = library._version() <= _LAST_WITH_DEFAULTS and asdf.get_config().legacy_fill_schema_defaults

    def walk(self, tree: Any) -> Any:
        """Convert what is below a collection, and itself."""
        if self._is_known(tree):
            tree = self._made(tree)
        stack, seen = [tree], set()
        while stack:
            collection = stack.pop()
            if id(collection) in seen or not isinstance(collection, (dict, list)):
                continue
            seen.add(id(collection))
            entries = collection.items() if isinstance(collection, dict) else enumerate(collection)
            for key, value in list(entries):
                if not self._is_known(value):
                    stack.append(value)
                    continue
                made = collection[key] = self._made(value)
                if made is value:
                    # It has failed. What is in it may be more than plain data all the same.
                    stack.append(value)
        return tree

    def _is_known(self, value: Any) -> bool:
        if not isinstance(value, (TaggedDict, TaggedList, TaggedString)):
            return False
        if self._library.manager.handles_tag(value.tag):
            return True
        if value.tag not in self._unknown and not self._library._silent:
            self._unknown.add(value.tag)
            warnings.warn(f"{value.tag} has no converter: it stays what it is", AsdfConversionWarning, stacklevel=7)
        return False

    def _made(self, value: Any) -> Any:
        if id(value) in self._done:
            return self._done[id(value)][1]
        node = self._down.walk(value)
        if self._defaults:
            schema.fill_defaults(node, self._library._file, reading=True)
        made = yamlutil.tagged_tree_to_custom_tree(node, self._library._file, _serialization_context=self._context)
        # What has failed stays what it was.
        made = value if isinstance(made, Tagged) else made
        self._done[id(value)] = value, made
        return made


class _Down:
    """Makes the library's tagged trees out of ours. With `nodes`, arrays become nodes too, as schemas see them."""

    def __init__(self, *, nodes: bool, mapping: Any = TheirDict) -> None:
        self._nodes = nodes
        self._mapping = mapping
        self._done: dict[int, Any] = {}
        self._kept: list[Any] = []

    def walk(self, value: Any) -> Any:
        if isinstance(value, TaggedString):
            return _their_string(str(value), value.tag)
        if isinstance(value, (dict, list, tuple, AsdfArray)):
            done = self._done.get(id(value))
            return self._container(value) if done is None else done
        return self._node(value) if self._nodes else value

    def _container(self, value: Any) -> Any:
        self._kept.append(value)
        if isinstance(value, AsdfArray):
            made = self._node(value) if self._nodes else value if value.is_zarr else LazyArray(value)
            self._done[id(value)] = made
            return made
        if isinstance(value, dict):
            entries: dict[Any, Any] = {}
            made = self._mapping(entries, value.tag) if isinstance(value, TaggedDict) else entries
            self._done[id(value)] = made
            entries.update((key, self.walk(item)) for key, item in value.items())
            return made
        items: list[Any] = []
        made = TheirList(items, value.tag) if isinstance(value, TaggedList) else items
        self._done[id(value)] = made
        items.extend(self.walk(item) for item in value)
        return made

    def _node(self, value: Any) -> Any:
        """Return the node that an object will be."""
        if isinstance(value, Reference):
            return {"$ref": value.uri}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, complex):
            return _their_string(str(value), f"{_CORE}complex-1.0.0")
        if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) + 2 <= value < 2**63:
            sign, found, digits = words(value)
            inline = TheirDict({"data": found, "datatype": "uint32", "shape": [len(found)]}, f"{_CORE}ndarray-1.1.0")
            return TheirDict({"sign": sign, "string": digits, "words": inline}, f"{_CORE}integer-1.1.0")
        return _array_node(value)


class _SeenDict(TheirDict):
    """A node whose schema the library looks at, although no converter made an object of it."""

    def __asdf_traverse__(self) -> Any:
        return self.data


def _array_node(value: Any) -> Any:
    if isinstance(value, Array) and getattr(value, "is_zarr", True):
        return {"chunk_block_map": 0}
    if isinstance(value, LazyArray):
        value = value.stored or value._make_array()
    if not isinstance(value, (np.ndarray, AsdfArray)):
        return value
    datatype, order = numpy_dtype_to_asdf_datatype(value.dtype)
    node = {"source": 0, "datatype": datatype, "byteorder": order, "shape": list(value.shape)}
    return TheirDict(node, f"{_CORE}ndarray-1.1.0")


def _their_string(text: str, tag: str) -> Any:
    string = TheirString(text)
    string._tag = tag
    return string


class _Writer:
    """Copies a tree, and makes of objects that only converters know what tegula writes."""

    def __init__(self, library: Library, context: "_WriteContext") -> None:
        self._library = library
        self._manager = _Foreign(library.manager)
        self._context = context
        self._done: dict[int, tuple[Any, Any]] = {}

    def walk(self, value: Any) -> Any:
        if type(value) in (str, int, float, bool, type(None)):
            return value
        done = self._done.get(id(value))
        if done is not None:
            return done[1]
        if self._manager.handles_type(type(value)):
            made = self.foreign(value)
        elif isinstance(value, TheirString):
            made = TaggedString(str(value), value._tag) if value._tag else str(value)
        elif isinstance(value, dict):
            tag = getattr(value, "_tag", None) or getattr(value, "tag", None)
            made = TaggedDict(tag) if isinstance(tag, str) else {}
            self._done[id(value)] = value, made
            made.update((key, self.walk(item)) for key, item in value.items())
        elif isinstance(value, (list, tuple)):
            tag = getattr(value, "_tag", None) or getattr(value, "tag", None)
            made = TaggedList(tag) if isinstance(tag, str) else []
            self._done[id(value)] = value, made
            made.extend(self.walk(item) for item in value)
        else:
            return value
        self._done[id(value)] = value, made
        return made

    def foreign(self, value: Any) -> Any:
        """Ask a converter."""
        node = yamlutil.custom_tree_to_tagged_tree(value, self._library._file, _serialization_context=self._context)
        return self.walk(node) if node is not value else value


class _Foreign:
    """An extension manager that leaves alone what tegula writes by itself."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def handles_type(self, kind: type) -> bool:
        return (
            kind not in OURS
            and not issubclass(kind, (Array, Reference, Tagged))
            and kind.__module__.partition(".")[0] not in ("builtins", "zarr")
            and bool(self._manager.handles_type(kind))
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


class _ReadContext(SerializationContext):
    """What converters ask while they read."""

    def __init__(self, library: Library, source: "Opened | None") -> None:
        theirs = library._file
        url = None if source is None else source.native.name
        super().__init__(theirs.version_string, library.manager, url, theirs._blocks)
        self._source = source

    def get_block_data_callback(self, index: int, key: Any = None) -> Any:  # noqa: ARG002 - blocks do not move
        """Return what gives the bytes of a block when it is called."""
        if self._source is None:
            raise UnsupportedError("the tree was not read from a file that has blocks")
        native = self._source.native

        def data(_attr: str | None = None) -> Any:
            if _attr not in (None, "data", "cached_data"):
                raise AttributeError(f"of a block there are its data, and no {_attr!r}")
            return np.frombuffer(bytearray(native.block(index)), np.uint8)

        return data

    def generate_block_key(self) -> Any:
        """Return a key, by which a converter tells blocks apart."""
        return object()


class _WriteContext(SerializationContext):
    """What converters ask while they write."""

    def __init__(self, library: Library) -> None:
        theirs = library._file
        super().__init__(theirs.version_string, _Foreign(library.manager), None, theirs._blocks)
        self.blocks: list[Any] = []

    def find_available_block_index(self, data_callback: Any, key: Any = None) -> int:  # noqa: ARG002 - all are new
        """Return the number of a block, whose bytes will be asked for when it is written."""
        for number, known in enumerate(self.blocks):
            if known is data_callback:
                return number
        self.blocks.append(data_callback)
        return len(self.blocks) - 1

    def generate_block_key(self) -> Any:
        """Return a key, by which a converter tells blocks apart."""
        return object()
