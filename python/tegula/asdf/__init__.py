"""ASDF files: trees of plain data with arrays in blocks, which are read when they are used.

>>> import tegula.asdf
>>> tegula.asdf.AsdfFile({"flux": np.arange(6).reshape(2, 3)}).write_to("a.asdf")
>>> tegula.asdf.open("a.asdf")["flux"][:, 1]
array([1, 4])

The names are those of the ``asdf`` library where it has them, so that ``from tegula import asdf`` often is all that
changes.

See https://asdf-standard.readthedocs.io
"""

import typing as _typing

from tegula._tegula import __version__
from tegula.asdf._array import AsdfArray
from tegula.asdf._chunked import chunked
from tegula.asdf._config import AsdfConfig, config_context, get_config
from tegula.asdf._dump import dump, dumps, load, loads
from tegula.asdf._extension import accelerate
from tegula.asdf._file import AsdfFile
from tegula.asdf._open import info, open, open_node  # noqa: A004 - as in gzip.open
from tegula.asdf._search import AmbiguousResultError, SearchResult
from tegula.asdf._stream import IntegerType, Stream
from tegula.asdf._tree import Reference, TaggedDict, TaggedList, TaggedString
from tegula.errors import InvalidMetadataError as ValidationError

__all__ = [
    "AmbiguousResultError",
    "AsdfArray",
    "AsdfConfig",
    "AsdfFile",
    "IntegerType",
    "Reference",
    "SearchResult",
    "Stream",
    "TaggedDict",
    "TaggedList",
    "TaggedString",
    "ValidationError",
    "__version__",
    "accelerate",
    "chunked",
    "config_context",
    "dump",
    "dumps",
    "get_config",
    "info",
    "load",
    "loads",
    "open",
    "open_node",
]

_OF_LIBRARY = frozenset(
    (
        "ExternalArrayReference",
        "commands",
        "config",
        "constants",
        "entry_points",
        "exceptions",
        "extension",
        "generic_io",
        "lazy_nodes",
        "reference",
        "resource",
        "schema",
        "search",
        "tagged",
        "tags",
        "testing",
        "treeutil",
        "typing",
        "util",
        "versioning",
        "yamlutil",
    )
)


def __getattr__(name: str) -> _typing.NoReturn:
    """Explain the names that only the ``asdf`` library has."""
    if name in _OF_LIBRARY:
        raise AttributeError(
            f"tegula.asdf has no {name}; use that of the asdf library, whose extensions and schemas tegula can use: "
            f"import asdf; asdf.{name}"
        )
    raise AttributeError(f"module 'tegula.asdf' has no attribute {name!r}")
