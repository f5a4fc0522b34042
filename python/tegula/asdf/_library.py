"""The ``asdf`` library's converters and schemas, for trees that tegula reads and writes."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tegula._array.array import Array
from tegula.asdf import _shim
from tegula.asdf._array import AsdfArray
from tegula.asdf._config import VERSIONS, AsdfConfig, get_config
from tegula.asdf._history import copy_for_writing
from tegula.asdf._tree import Reference, TaggedDict, TaggedList, TaggedString, words
from tegula.asdf._walk import TreeCopier, expanded_size, replace_entry, walk
from tegula.errors import InvalidMetadataError, UnsupportedError

try:
    import asdf
    from asdf import schema
    from asdf.exceptions import AsdfConversionWarning
    from asdf.extension import SerializationContext
    from asdf.tagged import Tagged
    from asdf.tagged import TaggedDict as LibraryDict
    from asdf.tagged import TaggedList as LibraryList
    from asdf.tagged import TaggedString as LibraryString
    from asdf.tags.core import AsdfObject, IntegerType, Stream
    from asdf.tags.core.ndarray import NDArrayType, numpy_dtype_to_asdf_datatype
except ImportError as error:
    raise UnsupportedError("converters and schemas need the asdf library: pip install 'tegula[asdf]'") from error

from tegula.asdf._lazy import LazyArray

if TYPE_CHECKING:
    from tegula.asdf._opened import Opened

__all__ = ["Library"]

_CORE = "tag:stsci.edu:asdf/core/"

_LAST_WITH_DEFAULTS = (1, 5, 0)
"""The last version of the standard whose schemas have defaults."""

_WRITTEN_BY_TEGULA = (
    np.ndarray,
    np.ma.MaskedArray,
    np.memmap,
    np.complex64,
    np.complex128,
    NDArrayType,
    LazyArray,
    IntegerType,
    Stream,
)
"""Types that have converters in the library, and that tegula writes without them."""


class Library:
    """The library, configured for a version of the standard.

    Parameters
    ----------
    version : str
        The version of the standard.
    ignore_unrecognized_tag : bool
        Whether not to warn of tags without a converter.
    extensions : sequence
        Extensions to use besides the installed ones.
    custom_schema : str, optional
        The path of a schema that trees have to match too.
    """

    def __init__(
        self,
        version: str,
        *,
        ignore_unrecognized_tag: bool = False,
        extensions: Sequence[Any] = (),
        custom_schema: str | None = None,
    ) -> None:
        self.is_silent = ignore_unrecognized_tag
        options = {
            "ignore_unrecognized_tag": ignore_unrecognized_tag,
            "extensions": [*extensions, *get_config().extensions],
            "custom_schema": custom_schema,
        }
        if version not in VERSIONS:
            warnings.warn(f"the asdf library does not know version {version} of the standard", stacklevel=4)
        self.file = asdf.AsdfFile(version=version if version in VERSIONS else None, **options)
        self.version = tuple(int(part) for part in self.file.version_string.split("."))

    @property
    def manager(self) -> Any:
        """The library's extension manager, which finds converters by tags and types."""
        return self.file.extension_manager

    def convert(self, tree: Any, source: "Opened | None") -> Any:
        """Replace the tagged nodes of a tree by the objects that converters make of them."""
        reader = _Reader(self, source)
        try:
            with _bounded([]), _configured(), _shim.tree_modification(self.file):
                return reader.convert(tree)
        finally:
            reader.release()

    def change_defaults(self, tree: Any, source: "Opened | None", change: str) -> Any:
        """Apply ``fill_defaults`` or ``remove_defaults`` of the library's schemas to a tree, and return it."""
        simple = _Writer(self, _WriteContext(self)).copy(dict(tree))
        tagged = _LibraryCopier().copy(simple)
        getattr(schema, change)(tagged, self.file)
        return self.convert(_Plain().copy(tagged), source)

    def check_extensions(self, tree: Any, *, strict: bool) -> None:
        """Warn of extensions in the history of a tree that are not installed or older; raise an error if `strict`."""
        try:
            _shim.check_extensions(self.file, _LibraryCopier().copy(tree), strict=strict)
        except RuntimeError as error:
            raise UnsupportedError(str(error)) from error

    def simplify(self, tree: Mapping[Any, Any]) -> tuple[dict[Any, Any], list[Any]]:
        """Convert objects into nodes that tegula can write, and the data of blocks that these nodes refer to.

        The blocks are the first of the file. The extensions that were used are recorded in the history of the tree.
        """
        context = _WriteContext(self)
        writer = _Writer(self, context)
        simple = {key: writer.copy(value) for key, value in tree.items() if key != "history"}
        writer.to_node(AsdfObject())
        history = copy_for_writing(tree)
        _shim.record_extensions(self.file, history, context)
        if "history" in history:
            # The library writes it first.
            simple = {"history": writer.copy(history["history"]), **simple}
        return simple, context.blocks

    def validate(self, tree: Any) -> None:
        """Validate a tree against the schemas of its tags.

        Raises
        ------
        InvalidMetadataError
            If the tree does not match a schema.
        """
        simple = _Writer(self, _WriteContext(self)).copy(dict(tree) if isinstance(tree, dict) else tree)
        tagged = _NodeCopier().copy(simple)
        if isinstance(tagged, dict):
            tagged = LibraryDict(dict(tagged.items()), f"{_CORE}asdf-1.{'1' if self.version >= (1, 2) else '0'}.0")
        try:
            with _bounded(tree):
                schema.validate(tagged, self.file)
        except asdf.ValidationError as error:
            raise InvalidMetadataError(f"the tree does not match its schemas: {error}") from error

    def schema_info(self, tree: Any, key: str, path: str | None, **options: Any) -> Any:
        """Collect an annotation from the schemas of a tree; see ``asdf.AsdfFile.schema_info``."""
        tagged = _LibraryCopier(_TraversableDict).copy(tree)
        with _bounded(tree):
            return _shim.collect_schema_info(key, path, tagged, extension_manager=self.manager, **options)


_MOST_ENTRIES = 1 << 20
"""The largest tree that is passed to the library as a whole. It visits shared nodes as often as they are held."""


@contextmanager
def _bounded(tree: Any) -> Iterator[None]:
    """Refuse trees that are too large or too deep for the library."""
    if expanded_size(tree) > _MOST_ENTRIES:
        raise UnsupportedError(
            f"the tree has more than {_MOST_ENTRIES} entries for the asdf library, which copies aliases"
        )
    try:
        yield
    except RecursionError as error:
        raise UnsupportedError("the tree is nested too deeply for the asdf library") from error


@contextmanager
def _configured() -> Iterator[None]:
    """Apply tegula's configuration to the library, as far as it differs from the default."""
    ours, default = get_config(), AsdfConfig()
    with asdf.config_context() as theirs:
        for name in ("legacy_fill_schema_defaults", "warn_on_failed_conversion"):
            if getattr(ours, name) != getattr(default, name):
                setattr(theirs, name, getattr(ours, name))
        yield


class _Reader:
    """Replaces tagged nodes of tegula's trees."""

    def __init__(self, library: Library, source: "Opened | None") -> None:
        self._library = library
        self._context = _ReadContext(library, source)
        self._copier = _LibraryCopier()
        self._unknown: set[str] = set()
        self._done: dict[int, tuple[Any, Any]] = {}
        has_defaults = library.version <= _LAST_WITH_DEFAULTS
        self._fills_defaults = has_defaults and asdf.get_config().legacy_fill_schema_defaults

    def convert(self, tree: Any) -> Any:
        """Convert a tree in place; return it, or the object that its root became."""
        if self._has_converter(tree):
            tree = self._object(tree)
        for collection, key, value in walk(tree):
            if self._has_converter(value):
                replace_entry(collection, key, self._object(value))
        return tree

    def release(self) -> None:
        """Let go of the file. The library's cycles of functions hold the context until they are collected."""
        self._context.source = None

    def _has_converter(self, value: Any) -> bool:
        if not isinstance(value, (TaggedDict, TaggedList, TaggedString)):
            return False
        if self._library.manager.handles_tag(value.tag):
            return True
        if value.tag not in self._unknown and not self._library.is_silent:
            self._unknown.add(value.tag)
            message = f"{value.tag} has no converter; the node is not converted"
            warnings.warn(message, AsdfConversionWarning, stacklevel=6)
        return False

    def _object(self, value: Any) -> Any:
        """Return the object of a node; the node itself if the converter failed."""
        if id(value) not in self._done:
            node = self._copier.copy(value)
            if self._fills_defaults:
                schema.fill_defaults(node, self._library.file, reading=True)
            made = _shim.to_objects(node, self._library.file, self._context)
            self._done[id(value)] = value, value if isinstance(made, Tagged) else made
        return self._done[id(value)][1]


class _LibraryCopier(TreeCopier):
    """Copies trees of tegula into tagged trees of the library."""

    def __init__(self, mapping: Any = LibraryDict) -> None:
        super().__init__()
        self._mapping = mapping

    def _empty(self, collection: Any) -> Any:
        if isinstance(collection, Mapping):
            return self._mapping({}, collection.tag) if isinstance(collection, TaggedDict) else {}
        return LibraryList([], collection.tag) if isinstance(collection, TaggedList) else []

    def _replace(self, value: Any) -> Any:
        if isinstance(value, TaggedString):
            return _shim.tagged_string(str(value), value.tag)
        if isinstance(value, AsdfArray) and not value.is_zarr:
            return LazyArray(value)
        return value


class _NodeCopier(_LibraryCopier):
    """Copies trees into nodes as schemas describe them: arrays become their nodes too."""

    def _replace(self, value: Any) -> Any:  # noqa: PLR0911 - a table
        if isinstance(value, TaggedString):
            return super()._replace(value)
        if isinstance(value, Reference):
            return {"$ref": value.uri}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, complex):
            return _shim.tagged_string(str(value), f"{_CORE}complex-1.0.0")
        if isinstance(value, Array) and getattr(value, "is_zarr", True):
            return {"chunk_block_map": 0}
        if isinstance(value, Stream):
            node = {"source": -1, "datatype": value._datatype, "byteorder": value._byteorder}
            return LibraryDict({**node, "shape": ["*", *value._shape]}, f"{_CORE}ndarray-1.1.0")
        if isinstance(value, LazyArray):
            value = value._make_array() if value.stored is None else value.stored
        if not isinstance(value, (np.ndarray, AsdfArray)):
            return value
        datatype, order = numpy_dtype_to_asdf_datatype(value.dtype)
        node = {"source": 0, "datatype": datatype, "byteorder": order, "shape": list(value.shape)}
        return LibraryDict(node, f"{_CORE}ndarray-1.1.0")

    def _scalar(self, value: Any) -> Any:
        """Return the copy of a plain number or text; integers that need more than 64 bits become nodes."""
        if type(value) is int and not -(2**63) + 2 <= value < 2**63:
            sign, found, digits = words(value)
            inline = {"data": found, "datatype": "uint32", "shape": [len(found)]}
            node = {"sign": sign, "string": digits, "words": LibraryDict(inline, f"{_CORE}ndarray-1.1.0")}
            return LibraryDict(node, f"{_CORE}integer-1.1.0")
        return super()._scalar(value)


class _Plain(TreeCopier):
    """Copies trees of the library into trees of tegula."""

    def _empty(self, collection: Any) -> Any:
        tag = _shim.tag_of(collection)
        if isinstance(collection, Mapping):
            return {} if tag is None else TaggedDict(tag)
        return [] if tag is None else TaggedList(tag)

    def _replace(self, value: Any) -> Any:
        if isinstance(value, LazyArray):
            return value._make_array() if value.stored is None else value.stored
        tag = _shim.tag_of(value) if isinstance(value, LibraryString) else None
        return value if tag is None else TaggedString(str(value), tag)


class _TraversableDict(LibraryDict):
    """A node whose schema the library looks at, although no converter made an object of it."""

    def __asdf_traverse__(self) -> Any:
        return self.data


class _Writer(TreeCopier):
    """Copies trees, and converts objects that only converters know into nodes."""

    def __init__(self, library: Library, context: "_WriteContext") -> None:
        super().__init__()
        self._file = library.file
        self._manager = _ForeignTypes(library.manager)
        self._context = context

    def _empty(self, collection: Any) -> Any:
        if self._manager.handles_type(type(collection)):
            return None
        tag = _shim.tag_of(collection)
        if isinstance(collection, Mapping):
            return {} if tag is None else TaggedDict(tag)
        return [] if tag is None else TaggedList(tag)

    def _replace(self, value: Any) -> Any:
        if self._manager.handles_type(type(value)):
            return self.to_node(value)
        if isinstance(value, LibraryString):
            tag = _shim.tag_of(value)
            return str(value) if tag is None else TaggedString(str(value), tag)
        return value

    def to_node(self, value: Any) -> Any:
        """Ask a converter."""
        node = _shim.to_tagged(value, self._file, self._context)
        return self.copy(node) if node is not value else value


class _ForeignTypes:
    """An extension manager that ignores types which tegula writes without converters."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def handles_type(self, kind: type) -> bool:
        return (
            kind not in _WRITTEN_BY_TEGULA
            and not issubclass(kind, (Array, Reference, Tagged))
            and kind.__module__.partition(".")[0] not in ("builtins", "zarr")
            and bool(self._manager.handles_type(kind))
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


class _ReadContext(SerializationContext):
    """The context of converters that read."""

    def __init__(self, library: Library, source: "Opened | None") -> None:
        url = None if source is None else source.native.name
        super().__init__(library.file.version_string, library.manager, url, _shim.block_manager(library.file))
        self.source = source

    def get_block_data_callback(self, index: int, key: Any = None) -> Any:  # noqa: ARG002 - blocks do not move
        """Return a callback that reads a block."""
        if self.source is None:
            raise UnsupportedError(f"cannot read block {index}: the tree was not read from a file")
        native = self.source.native

        def data(_attr: str | None = None) -> Any:
            if _attr not in (None, "data", "cached_data"):
                raise AttributeError(f"a block has data, but no {_attr!r}")
            return np.frombuffer(bytearray(native.block(index)), np.uint8)

        return data

    def generate_block_key(self) -> Any:
        """Return a key by which a converter tells blocks apart."""
        return object()


class _WriteContext(SerializationContext):
    """The context of converters that write."""

    def __init__(self, library: Library) -> None:
        manager = _ForeignTypes(library.manager)
        super().__init__(library.file.version_string, manager, None, _shim.block_manager(library.file))
        self.blocks: list[Any] = []

    def find_available_block_index(self, data_callback: Any, key: Any = None) -> int:  # noqa: ARG002 - all are new
        """Return the number of a block. The callback is called when the block is written."""
        for number, known in enumerate(self.blocks):
            if known is data_callback:
                return number
        self.blocks.append(data_callback)
        return len(self.blocks) - 1

    def generate_block_key(self) -> Any:
        """Return a key by which a converter tells blocks apart."""
        return object()
