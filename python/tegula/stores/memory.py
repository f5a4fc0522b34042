"""Stores in memory."""

from collections.abc import Mapping

from tegula import _tegula
from tegula.stores._base import Store

__all__ = ["MemoryStore"]


class MemoryStore(Store):
    """Objects in memory.

    Pickling or copying a store copies its objects, as for a dict.

    Parameters
    ----------
    objects : mapping of str to bytes, optional
        The initial objects. They are copied.

    Examples
    --------
    >>> store = tegula.MemoryStore()
    >>> array = tegula.create_array(store, "a", shape=(4,), dtype="uint8")
    >>> sorted(store)
    ['a/zarr.json', 'zarr.json']
    """

    __slots__ = ()

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self._native = _tegula.Store.memory()
        self.update(objects or {})

    def __repr__(self) -> str:
        return f"<tegula.MemoryStore of {len(self)} objects>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> tuple[type["MemoryStore"], tuple[dict[str, bytes]]]:
        return MemoryStore, (dict(self),)
