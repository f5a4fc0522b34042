"""Python objects as stores."""

from collections.abc import Mapping
from typing import Any

from tegula import _tegula
from tegula.stores._base import Store

__all__ = ["MappingStore"]


class MappingStore(Store):
    """A mapping of keys to bytes, such as a dict, as a store.

    Reads and writes go to the mapping, so changes that others make to it are seen. Each call holds the GIL until the
    mapping returns; copy a large dict into a `MemoryStore` to avoid that.

    A mapping other than a dict may be shared with other processes, which cannot be locked out. Chunks are then only
    written whole, unless the option ``unlocked_writes`` is set; see `tegula.CodecOptions`.

    Parameters
    ----------
    mapping : mapping of str to bytes
        The mapping. Writing requires a mutable one.
    """

    __slots__ = ("_mapping",)

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self._mapping = mapping
        self._native = _tegula.Store.mapping(mapping)

    @property
    def mapping(self) -> Mapping[str, Any]:
        """The mapping."""
        return self._mapping

    def __repr__(self) -> str:
        return f"<tegula.MappingStore on a {type(self._mapping).__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MappingStore) and self._mapping is other._mapping

    def __hash__(self) -> int:
        return id(self._mapping)

    def __reduce__(self) -> tuple[type["MappingStore"], tuple[Mapping[str, Any]]]:
        return MappingStore, (self._mapping,)
