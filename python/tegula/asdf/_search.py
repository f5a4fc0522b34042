"""Searching trees."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tegula.asdf._walk import walk

__all__ = ["SearchResult", "search"]


class SearchResult:
    """The values that a search found, in the order of the tree."""

    __slots__ = ("_found",)

    def __init__(self, found: list[tuple[str, Any]]) -> None:
        self._found = found

    @property
    def paths(self) -> list[str]:
        """The paths of the values, in Python's notation: ``root['sky']['flux'][0]``."""
        return [path for path, _ in self._found]

    @property
    def nodes(self) -> list[Any]:
        """The values."""
        return [node for _, node in self._found]

    @property
    def path(self) -> str | None:
        """The path of the only result; None if nothing was found.

        Raises
        ------
        LookupError
            If there are several results.
        """
        return self._one()[0] if self._found else None

    @property
    def node(self) -> Any:
        """The only result; None if nothing was found.

        Raises
        ------
        LookupError
            If there are several results.
        """
        return self._one()[1] if self._found else None

    def _one(self) -> tuple[str, Any]:
        if len(self._found) > 1:
            raise LookupError(f"there are {len(self._found)} results: {', '.join(self.paths[:4])}, ...")
        return self._found[0]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.nodes)

    def __repr__(self) -> str:
        return "\n".join(f"{path}: {type(node).__name__}" for path, node in self._found) or "no results"


def search(tree: Any, *, key: Any, type_: type | str | None, value: Any, filter_: Any) -> SearchResult:
    """Find the values that meet all conditions; see `tegula.asdf.AsdfFile.search`."""
    found: list[tuple[str, Any]] = []
    paths = {id(tree): "root"}
    for collection, name, node in walk(tree):
        path = f"{paths[id(collection)]}[{name!r}]"
        if isinstance(node, (dict, list, tuple)):
            paths.setdefault(id(node), path)
        if _fits(name, node, key, type_, value, filter_):
            found.append((path, node))
    return SearchResult(found)


def _fits(name: Any, node: Any, key: Any, type_: type | str | None, value: Any, filter_: Any) -> bool:
    if key is not None and not _matches(key, name):
        return False
    if isinstance(type_, type):
        if not isinstance(node, type_):
            return False
    elif type_ is not None and not re.search(type_, f"{type(node).__module__}.{type(node).__name__}"):
        return False
    if value is not None and not _matches(value, node):
        return False
    return filter_ is None or bool(_call(filter_, node, name))


def _matches(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, (str, re.Pattern)):
        return isinstance(found, str) and re.search(wanted, found) is not None
    return type(wanted) is type(found) and bool(wanted == found)


def _call(filter_: Callable[..., Any], node: Any, name: Any) -> Any:
    try:
        arguments = filter_.__code__.co_argcount
    except AttributeError:
        arguments = 1
    return filter_(node, name) if arguments > 1 else filter_(node)
