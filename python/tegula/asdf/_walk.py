"""Walking through trees: dicts and lists that may hold one object in several places, and themselves."""

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["TreeCopier", "copy_tree", "walk"]

_COLLECTIONS = (dict, list, tuple)


def walk(tree: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield collection, key and value of every entry of a tree, in the order of the tree.

    Each collection is entered once. The caller may replace the value in its collection before it asks for the next
    entry: then the new value is entered.
    """
    if not isinstance(tree, _COLLECTIONS):
        return
    seen = {id(tree): tree}
    stack = [(tree, iter(_entries(tree)))]
    while stack:
        collection, entries = stack[-1]
        for key, value in entries:
            yield collection, key, value
            inner = collection[key]
            if isinstance(inner, _COLLECTIONS) and id(inner) not in seen:
                seen[id(inner)] = inner
                stack.append((inner, iter(_entries(inner))))
                break
        else:
            stack.pop()


def _entries(collection: Any) -> list[tuple[Any, Any]]:
    return list(collection.items() if isinstance(collection, dict) else enumerate(collection))


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
        copy = self._empty(value) if isinstance(value, _COLLECTIONS) else None
        if copy is None:
            copy = self._replace(value)
            self._copies[id(value)] = value, copy
            return copy
        # Entered before its entries, so that a collection can hold itself.
        self._copies[id(value)] = value, copy
        if isinstance(value, dict):
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


class _MemoryCopier(TreeCopier):
    def _empty(self, collection: Any) -> Any:
        tag = getattr(collection, "tag", None)
        if isinstance(collection, tuple):
            return None
        return type(collection)() if tag is None else type(collection)(tag)

    def _replace(self, value: Any) -> Any:
        return value.copy() if isinstance(value, np.ndarray) else value


def copy_tree(tree: Any) -> Any:
    """Copy the collections and ndarrays of a tree."""
    return _MemoryCopier().copy(tree)
