"""Chunked n-dimensional arrays as NumPy arrays: Zarr V3 and V2, ASDF, and Zarr inside ASDF.

>>> import tegula
>>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), dtype="int32", fill_value=7)
>>> array[1:3, ::4]
array([[7, 7],
       [7, 7]], dtype=int32)
"""

import typing as _typing

from tegula import _guide
from tegula import _log as _log
from tegula._array.array import Array
from tegula._array.explain import CacheInfo, Explanation
from tegula._array.session import WriteSession
from tegula._array.variable import VariableArray
from tegula._copy import copy, rechunk
from tegula._create import create_array, delete
from tegula._group import Group
from tegula._new import array, empty, empty_like, full, full_like, group, ones, ones_like, zeros, zeros_like
from tegula._open import (
    consolidate_metadata,
    create_group,
    open,  # noqa: A004 - as in gzip.open
    open_array,
    open_group,
)
from tegula._options import config
from tegula._save import load, save
from tegula._tegula import ArraySubset, ChunkCache, CodecOptions, PartialDecoder, PartialEncoder, __version__
from tegula._validate import Validation, validate
from tegula._versions import show_versions
from tegula.asdf import AsdfFile
from tegula.asdf import open as open_asdf
from tegula.codecs import register_codec
from tegula.errors import (
    CorruptDataError,
    DamagedWarning,
    Error,
    InterruptedError,  # noqa: A004 - a subclass of the built-in one
    InvalidMetadataError,
    InvalidSelectionError,
    NotFoundError,
    OutOfMemoryError,
    StoreError,
    UnsupportedError,
)
from tegula.stores import FilesystemStore, MemoryStore, RemoteStore, ZipStore

__all__ = [
    "Array",
    "ArraySubset",
    "AsdfFile",
    "CacheInfo",
    "ChunkCache",
    "CodecOptions",
    "CorruptDataError",
    "DamagedWarning",
    "Error",
    "Explanation",
    "FilesystemStore",
    "Group",
    "InterruptedError",
    "InvalidMetadataError",
    "InvalidSelectionError",
    "MemoryStore",
    "NotFoundError",
    "OutOfMemoryError",
    "PartialDecoder",
    "PartialEncoder",
    "RemoteStore",
    "StoreError",
    "UnsupportedError",
    "Validation",
    "VariableArray",
    "WriteSession",
    "ZipStore",
    "__version__",
    "array",
    "config",
    "consolidate_metadata",
    "copy",
    "create_array",
    "create_group",
    "delete",
    "empty",
    "empty_like",
    "full",
    "full_like",
    "group",
    "load",
    "ones",
    "ones_like",
    "open",
    "open_array",
    "open_asdf",
    "open_group",
    "rechunk",
    "register_codec",
    "save",
    "show_versions",
    "validate",
    "zeros",
    "zeros_like",
]

if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> _typing.Any:
        raise _guide.missing_name(name, __all__)
