"""ASDF files: trees of plain data with arrays in blocks, which are read when they are used.

>>> import tegula.asdf
>>> tegula.asdf.AsdfFile({"flux": np.arange(6).reshape(2, 3)}).write_to("a.asdf")
>>> tegula.asdf.open("a.asdf")["flux"][:, 1]
array([1, 4])

See https://asdf-standard.readthedocs.io
"""

from tegula.asdf._array import AsdfArray
from tegula.asdf._chunked import chunked
from tegula.asdf._extension import accelerate
from tegula.asdf._file import AsdfFile
from tegula.asdf._open import info, open, open_node  # noqa: A004 - as in gzip.open
from tegula.asdf._search import SearchResult
from tegula.asdf._tree import Reference, TaggedDict, TaggedList, TaggedString

__all__ = [
    "AsdfArray",
    "AsdfFile",
    "Reference",
    "SearchResult",
    "TaggedDict",
    "TaggedList",
    "TaggedString",
    "accelerate",
    "chunked",
    "info",
    "open",
    "open_node",
]
