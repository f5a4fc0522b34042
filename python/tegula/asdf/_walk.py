"""Walking through trees: mappings and sequences that may hold one object in several places, and themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tegula.errors import UnsupportedError

__all__ = ["TreeCopier", "children", "expanded_size", "is_collection", "replace_entry", "walk"]

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


def expanded_size(tree: Any) -> int:
    """Return the number of entries that a tree has when each collection counts as often as it is held."""
    sizes: dict[int, int] = {id(tree): 1}
    kept = [tree]
    stack = [(tree, iter(children(tree)))]
    while stack:
        collection, entries = stack[-1]
        for _, value in entries:
            if is_collection(value) and id(value) not in sizes:
                sizes[id(value)] = 1
                kept.append(value)
                stack.append((value, iter(children(value))))
                break
            sizes[id(collection)] += sizes[id(value)] if is_collection(value) else 1
        else:
            stack.pop()
            if stack:
                sizes[id(stack[-1][0])] += sizes[id(collection)]
    return sizes[id(tree)]


class TreeCopier:
    """Copies trees. Subclasses decide what becomes of each object; every object is copied once."""

    def __init__(self) -> None:
        # Originals are kept: another object could get the address of one that is gone.
        self._copies: dict[int, tuple[Any, Any]] = {}

    def copy(self, value: Any) -> Any:
        """Copy an object and everything below it."""
        # A stack, as trees can be deeper than Python's calls.
        copied, inner = self._started(value)
        stack = [] if inner is None else [inner]
        while stack:
            collection, entries = stack[-1]
            for key, item in entries:
                made, inner = self._started(item)
                if isinstance(collection, list):
                    collection.append(made)
                else:
                    collection[key] = made
                if inner is not None:
                    stack.append(inner)
                    break
            else:
                stack.pop()
        return copied

    def _started(self, value: Any) -> tuple[Any, tuple[Any, Iterator[tuple[Any, Any]]] | None]:
        """Return the copy of an object; with it, of a new collection, the copy and the entries to copy into it."""
        known = self._copies.get(id(value))
        if known is not None:
            return known[1], None
        copied = self._scalar(value)
        if copied is not None or value is None:
            return copied, None
        copied = self._empty(value) if is_collection(value) else None
        is_new = copied is not None
        if not is_new:
            copied = self._replace(value)
        # Entered before its entries, so that a collection can hold itself.
        self._copies[id(value)] = value, copied
        return copied, (copied, iter(children(value))) if is_new else None

    def _scalar(self, value: Any) -> Any:
        """Return the copy of a plain number or text; None for other objects."""
        return value if type(value) in (str, int, float, bool) else None

    def _empty(self, collection: Any) -> Any:
        """Return an empty collection for the copies of the entries; None if `_replace` copies the collection."""
        raise NotImplementedError

    def _replace(self, value: Any) -> Any:
        """Return what stands for an object that is no collection."""
        return value
