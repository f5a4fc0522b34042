"""Walking through trees: mappings and sequences that may hold one object in several places, and themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tegula.errors import UnsupportedError

__all__ = ["TreeCopier", "children", "is_collection", "replace_entry", "walk"]

_SCALARS = frozenset((str, int, float, bool, complex, bytes, bytearray, memoryview, range, type(None), np.ndarray))


def is_collection(value: Any) -> bool:
    """Return whether a value is a mapping or a sequence of values, by protocol and not by type."""
    if type(value) in _SCALARS:
        return False
    if isinstance(value, (dict, list, tuple, Mapping)):
        return True
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview, range))


def children(value: Any) -> list[tuple[Any, Any]]:
    """Return keys or indices with the values of a collection; of other values, none."""
    if not is_collection(value):
        return []
    return list(value.items() if isinstance(value, Mapping) else enumerate(value))


def replace_entry(collection: Any, key: Any, value: Any) -> None:
    """Set an entry of a collection, which may be one that cannot change."""
    try:
        collection[key] = value
    except TypeError:
        raise UnsupportedError(
            f"cannot replace entry {key!r} of a {type(collection).__name__}, which cannot change: use a dict or a list"
        ) from None


def walk(tree: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield collection, key and value of every entry of a tree, in the order of the tree.

    Each collection is entered once. The caller may replace the value in its collection before it asks for the next
    entry: then the new value is entered.
    """
    seen = {id(tree): tree}
    stack = [(tree, iter(children(tree)))]
    while stack:
        collection, entries = stack[-1]
        for key, value in entries:
            yield collection, key, value
            inner = collection[key]
            if is_collection(inner) and id(inner) not in seen:
                seen[id(inner)] = inner
                stack.append((inner, iter(children(inner))))
                break
        else:
            stack.pop()


class TreeCopier:
    """Copies trees. Subclasses decide what becomes of each object; every object is copied once."""

    def __init__(self) -> None:
        # Originals are kept: another object could get the address of one that is gone.
        self._copies: dict[int, tuple[Any, Any]] = {}

    def copy(self, value: Any) -> Any:
        """Copy an object and everything below it."""
        if type(value) in (str, int, float, bool, type(None)):
            return value
        known = self._copies.get(id(value))
        if known is not None:
            return known[1]
        copy = self._empty(value) if is_collection(value) else None
        if copy is None:
            copy = self._replace(value)
            self._copies[id(value)] = value, copy
            return copy
        # Entered before its entries, so that a collection can hold itself.
        self._copies[id(value)] = value, copy
        if isinstance(value, Mapping):
            copy.update((key, self.copy(item)) for key, item in value.items())
        else:
            copy.extend(self.copy(item) for item in value)
        return copy

    def _empty(self, collection: Any) -> Any:
        """Return an empty collection for the copies of the entries; None if `_replace` copies the collection."""
        raise NotImplementedError

    def _replace(self, value: Any) -> Any:
        """Return what stands for an object that is no collection."""
        return value
