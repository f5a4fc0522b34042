"""Arrays of zarr-python as arrays of tegula."""

from collections.abc import Iterator, Mapping
from typing import Any

from tegula._array.array import Array
from tegula.errors import UnsupportedError
from tegula.stores import FilesystemStore, MappingStore, ReadOnlyStore, Store

__all__ = ["from_zarr", "is_zarr_python"]


def is_zarr_python(value: Any) -> bool:
    """Return whether something is an array of zarr-python."""
    kind = type(value)
    return kind.__name__ == "Array" and kind.__module__.partition(".")[0] == "zarr"


def from_zarr(array: Any) -> Array:
    """Open an array of zarr-python for reading, in its store.

    Parameters
    ----------
    array : zarr.Array
        An array of zarr-python 3.
    """
    store = getattr(array, "store", None)
    if not hasattr(store, "get") or not hasattr(array, "store_path"):
        raise UnsupportedError("cannot write an array of zarr-python 2 to an ASDF file; use zarr-python 3")
    root = getattr(store, "root", None)
    objects: Store
    if type(store).__name__ == "LocalStore" and root is not None:
        objects = FilesystemStore(root)
    else:
        objects = MappingStore(_Objects(store))
    return Array._open(ReadOnlyStore(objects), array.path)


class _Objects(Mapping[str, bytes]):
    """A store of zarr-python as a mapping."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getitem__(self, key: str) -> bytes:
        from zarr.core.buffer import default_buffer_prototype
        from zarr.core.sync import sync

        value = sync(self._store.get(key, default_buffer_prototype()))
        if value is None:
            raise KeyError(key)
        return bytes(value.to_bytes())

    def __iter__(self) -> Iterator[str]:
        from zarr.core.sync import sync

        return iter(sync(_listed(self._store)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


async def _listed(store: Any) -> list[str]:
    return [key async for key in store.list()]
