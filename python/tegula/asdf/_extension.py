"""Extensions of the ``asdf`` library, which finds them by the entry point ``asdf.extensions``.

With them ``asdf.open`` returns tegula arrays for Zarr nodes, ``asdf.AsdfFile`` takes arrays of tegula and zarr-python,
which become a block for each chunk, and the library gets the codecs of blocks that it lacks. `accelerate` prefers
tegula's codecs to the library's. If asdf-zarr or asdf-compression is installed, its tags, types and labels come first.
"""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tegula import _tegula
from tegula._array.array import Array
from tegula.asdf import _shim
from tegula.asdf._array import AsdfArray
from tegula.asdf._library_blocks import library_blocks, open_in_library
from tegula.asdf._tree import Reference, TaggedDict, TaggedList, TaggedString
from tegula.asdf._zarr import from_zarr
from tegula.errors import UnsupportedError

__all__ = ["accelerate", "extensions"]

V2_TAG = "asdf://asdf-format.org/zarr/tags/zarr-1.0.0"
"""Tag and extension URI of asdf-zarr 0.0.4 and later."""

OLD_V2_TAG = "asdf://stsci.edu/example-project/tags/zarr-1.0.0"
"""Tag and extension URI of earlier versions of asdf-zarr."""

V3_TAG = "asdf://tegula/zarr/tags/zarr-v3-1.0.0"
"""Tegula's tag of arrays of Zarr V3."""

V3_URI = "asdf://tegula/zarr/extensions/zarr-v3-1.0.0"
COMPRESSION_URI = "asdf://tegula/compression/extensions/compression-1.0.0"
ACCELERATION_URI = "asdf://tegula/compression/extensions/acceleration-1.0.0"

BUILT_IN = ("zlib", "bzp2", "lz4")
"""Labels of the library's codecs. It warns at each block whose label has two codecs."""


class _V2Node:
    """An array that becomes a node of Zarr V2."""

    def __init__(self, array: Array, blocks: _tegula.ZarrBlocks) -> None:
        self.array = array
        self.blocks = blocks


class _V3Node(_V2Node):
    """An array that becomes a node of Zarr V3."""


def _blocks_of(array: Array) -> _tegula.ZarrBlocks:
    """Return an array's blocks: of Zarr V2, which others read, unless it has shards or a data type that V2 lacks."""
    if array.is_sharded:
        return _tegula.ZarrBlocks(array._native, True)
    try:
        return _tegula.ZarrBlocks(array._native, False)
    except UnsupportedError:
        return _tegula.ZarrBlocks(array._native, True)


class _Arrays:
    """Converts arrays into objects that have a tag: Zarr nodes and ndarrays."""

    tags: tuple[str, ...] = ()
    types = (Array, AsdfArray, "zarr.core.array.Array", "tegula.asdf._lazy.LazyArray")

    def select_tag(self, obj: Any, tags: list[str], ctx: Any) -> str | None:
        return None

    def to_yaml_tree(self, obj: Any, tag: str | None, ctx: Any) -> Any:
        if isinstance(obj, AsdfArray) and not obj.is_zarr:
            return obj[...]
        if not isinstance(obj, Array):
            if hasattr(obj, "_make_array"):
                return obj._make_array()
            obj = from_zarr(obj)
        blocks = _blocks_of(obj)
        return (_V2Node if blocks.tag == V2_TAG else _V3Node)(obj, blocks)

    def from_yaml_tree(self, node: Any, tag: str, ctx: Any) -> Any:
        raise NotImplementedError


class _Nodes:
    """Turns tagged nodes and references of tegula's trees into those of the library."""

    tags: tuple[str, ...] = ()
    types = (TaggedDict, TaggedList, TaggedString, Reference)

    def select_tag(self, obj: Any, tags: list[str], ctx: Any) -> str | None:
        return None

    def to_yaml_tree(self, obj: Any, tag: str | None, ctx: Any) -> Any:
        return {"$ref": obj.uri} if isinstance(obj, Reference) else _shim.tagged_node(obj, obj.tag)

    def from_yaml_tree(self, node: Any, tag: str, ctx: Any) -> Any:
        raise NotImplementedError


class _Zarr:
    """Nodes of Zarr arrays."""

    def __init__(self, tag: str, types: tuple[type, ...] = ()) -> None:
        self.tags = (tag,)
        self.types = types

    def to_yaml_tree(self, obj: _V2Node, tag: str, ctx: Any) -> dict[str, Any]:
        blocks, array = obj.blocks, obj.array
        stored = library_blocks(array)
        keys = [None] * len(blocks) if stored is None else stored.keys_of(blocks.places())
        first = None
        for number, key in enumerate(keys):
            index = ctx.find_available_block_index(_Data(blocks, number, first), key or ctx.generate_block_key())
            first = index if first is None else first
            # The map counts on from the first block.
            if index != first + number:
                raise UnsupportedError("cannot write a Zarr array: the library did not number its blocks consecutively")
        return {**blocks.documents(), "chunk_block_map": index}

    def from_yaml_tree(self, node: Any, tag: str, ctx: Any) -> Array:
        return open_in_library(node, ctx)


class _Data:
    """A callback that makes the bytes of a block when it is written."""

    def __init__(self, blocks: _tegula.ZarrBlocks, number: int, first: int | None) -> None:
        self._blocks = blocks
        self._number = number
        self._first = first

    def __call__(self) -> Any:
        return np.frombuffer(self._blocks.block(self._number, self._first or 0), np.uint8)


class _Extension:
    """The attributes that the library needs of an extension."""

    converters: Iterable[Any] = ()
    compressors: Iterable[Any] = ()

    def __init__(self, uri: str, tags: Iterable[str] = ()) -> None:
        self.extension_uri = uri
        self.tags = list(tags)


class _ZarrExtension(_Extension):
    """Zarr arrays under a tag."""

    def __init__(self, uri: str, tag: str, *converters: Any) -> None:
        super().__init__(uri, [tag])
        self.converters = converters


class _CompressionExtension(_Extension):
    """Codecs of blocks."""

    def __init__(self, uri: str, labels: Iterable[str]) -> None:
        super().__init__(uri)
        self.compressors = [Compressor(label) for label in labels]


class Compressor:
    """A codec of blocks for the ``asdf`` library.

    Parameters
    ----------
    label : str
        The label in the header of a block.
    """

    def __init__(self, label: str) -> None:
        self.label = label.encode("ascii")
        self._name = label

    def compress(self, data: memoryview, **options: Any) -> Iterator[bytes]:
        """Encode the data of a block."""
        yield from _tegula.compress_block(self._name, np.frombuffer(data, np.uint8), **options)

    def decompress(self, data: Iterable[Any], out: Any, **options: Any) -> int:
        """Decode the data of a block into memory."""
        into = np.frombuffer(out, np.uint8)
        _tegula.decompress_block(self._name, b"".join(data), into)
        return into.size


def _known_labels() -> set[str]:
    """Return the labels for which the library or another extension has a codec."""
    from importlib.metadata import entry_points

    labels = set(BUILT_IN)
    for point in entry_points(group="asdf.extensions"):
        package = point.dist.name if point.dist is not None else ""
        # These have no codecs, and take long to import.
        if package in ("asdf", "tegula") or point.value.startswith(("asdf_astropy", "gwcs", "asdf._core")):
            continue
        try:
            found = point.load()()
        except Exception:  # noqa: BLE001, S112 - the library warns of it
            continue
        for extension in found if isinstance(found, (list, tuple)) else [found]:
            labels.update(codec.label.decode("ascii") for codec in getattr(extension, "compressors", ()))
    return labels


def extensions() -> list[Any]:
    """Return the extensions, for the ``asdf`` library."""
    known = _known_labels()
    missing = [label for label in _tegula.block_labels() if label not in known]
    return [
        _ZarrExtension(V2_TAG, V2_TAG, _Arrays(), _Nodes(), _Zarr(V2_TAG, (_V2Node,))),
        _ZarrExtension(OLD_V2_TAG, OLD_V2_TAG, _Zarr(OLD_V2_TAG)),
        _ZarrExtension(V3_URI, V3_TAG, _Zarr(V3_TAG, (_V3Node,))),
        _CompressionExtension(COMPRESSION_URI, missing),
    ]


def accelerate() -> None:
    """Make the ``asdf`` library use tegula's codecs for all labels of blocks, including those it has codecs for.

    They use several threads if the format of a label allows it, and decode into the array's memory. Others can read the
    files as before. This changes the library's current configuration: inside ``with asdf.config_context():`` until its
    end, otherwise for the whole process. The library's warning that a label has more than one codec is switched off for
    the process.

    Raises
    ------
    UnsupportedError
        If the ``asdf`` library is not installed.

    Examples
    --------
    >>> import asdf, tegula.asdf
    >>> with asdf.config_context():
    ...     tegula.asdf.accelerate()
    ...     asdf.AsdfFile({"flux": np.zeros(5_000_000)}).write_to("flux.asdf", all_array_compression="lz4")
    """
    try:
        import asdf
        from asdf.exceptions import AsdfWarning
    except ImportError as error:
        raise UnsupportedError("accelerate needs the asdf library: pip install 'tegula[asdf]'") from error
    warnings.filterwarnings("ignore", "Found more than one compressor for", AsdfWarning)
    asdf.get_config().add_extension(_CompressionExtension(ACCELERATION_URI, _tegula.block_labels()))
