"""Stores: where arrays keep their bytes, as objects under keys such as ``group/array/zarr.json``."""

from tegula.stores._access import StorageOptions
from tegula.stores._base import Store
from tegula.stores._resolve import StoreLike, as_store, locate_file
from tegula.stores.local import FilesystemStore
from tegula.stores.memory import MemoryStore
from tegula.stores.python import MappingStore
from tegula.stores.read_only import ReadOnlyStore
from tegula.stores.remote import RemoteStore
from tegula.stores.zip import ObjectZipStore, ZipStore

__all__ = [
    "FilesystemStore",
    "MappingStore",
    "MemoryStore",
    "ObjectZipStore",
    "ReadOnlyStore",
    "RemoteStore",
    "StorageOptions",
    "Store",
    "StoreLike",
    "ZipStore",
    "as_store",
    "locate_file",
]
