"""Chunked n-dimensional arrays as NumPy arrays: Zarr V3 and V2, ASDF, and Zarr inside ASDF.

>>> import tegula
>>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), dtype="int32", fill_value=7)
>>> array[1:3, ::4]
array([[7, 7],
       [7, 7]], dtype=int32)
"""

from tegula._tegula import ArraySubset, ChunkCache, CodecOptions, PartialDecoder, PartialEncoder, __version__
from tegula.array import Array
from tegula.asdf import AsdfFile
from tegula.asdf import open as open_asdf
from tegula.codecs import register_codec
from tegula.copying import copy, rechunk
from tegula.creating import create_array, delete
from tegula.errors import (
    CorruptDataError,
    Error,
    InvalidMetadataError,
    InvalidSelectionError,
    NotFoundError,
    StoreError,
    UnsupportedError,
)
from tegula.explanation import CacheInfo, Explanation
from tegula.group import Group
from tegula.opening import (
    consolidate_metadata,
    create_group,
    load,
    open,  # noqa: A004 - as in gzip.open
    open_array,
    open_group,
    save,
)
from tegula.options import Config
from tegula.remote import RemoteStore
from tegula.session import WriteSession
from tegula.stores import FilesystemStore, MemoryStore, ZipStore
from tegula.validation import Validation, validate
from tegula.variable import VariableArray

config = Config()
"""The options that arrays take when they are opened; see `Config`."""

__all__ = [
    "Array",
    "ArraySubset",
    "AsdfFile",
    "CacheInfo",
    "ChunkCache",
    "CodecOptions",
    "CorruptDataError",
    "Error",
    "Explanation",
    "FilesystemStore",
    "Group",
    "InvalidMetadataError",
    "InvalidSelectionError",
    "MemoryStore",
    "NotFoundError",
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
    "config",
    "consolidate_metadata",
    "copy",
    "create_array",
    "create_group",
    "delete",
    "load",
    "open",
    "open_array",
    "open_asdf",
    "open_group",
    "rechunk",
    "register_codec",
    "save",
    "validate",
]
