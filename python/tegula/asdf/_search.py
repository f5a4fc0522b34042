"""Searching trees."""

import builtins
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from tegula._array.array import Array
from tegula.asdf._render import MAX_COLS, MAX_ROWS, Rows, entries_of, render
from tegula.asdf._walk import is_collection, replace_entry

__all__ = ["NOT_SET", "AmbiguousResultError", "SearchResult"]


class _NotSet:
    """The type of `NOT_SET`."""

    def __repr__(self) -> str:
        return "NOT_SET"


NOT_SET: Final = _NotSet()
"""Stands for an argument that was not passed, where None is a value."""

Condition = Callable[[Any, Any], bool]
"""Takes a value and its key; returns whether the value is wanted."""


class AmbiguousResultError(LookupError, RuntimeError):
    """`SearchResult.node` or `SearchResult.path` of several results. The ``asdf`` library raises RuntimeError."""


class SearchResult:
    """The values of a tree that meet the conditions of a search, the ones nearest to the root first.

    The tree is searched when the result is used. ``result["name"]`` continues at an entry of the tree, and
    ``result.search(...)`` adds conditions.

    Examples
    --------
    >>> file = tegula.AsdfFile({"sky": {"flux": 3.5, "unit": "Jy"}, "dark": {"flux": 0.5}})
    >>> file.search("flux").paths
    ["root['sky']['flux']", "root['dark']['flux']"]
    >>> file.search("flux")["dark"].node
    0.5
    >>> file.search("flux").search(filter_=lambda value: value > 1)
    root (dict)
    └─sky (dict)
      └─flux (float): 3.5
    """

    __slots__ = ("_conditions", "_layout", "_name", "_node", "_path", "_schema_info")

    def __init__(
        self,
        node: Any,
        *,
        path: str = "root",
        name: Any = "root",
        conditions: tuple[Condition, ...] = (),
        layout: tuple[Rows, int | None, bool] = (MAX_ROWS, MAX_COLS, True),
        schema_info: Callable[..., Any] | None = None,
    ) -> None:
        self._node = node
        self._path = path
        self._name = name
        self._conditions = conditions
        self._layout = layout
        self._schema_info = schema_info

    def _like(self, **changes: Any) -> "SearchResult":
        state = {
            "node": self._node,
            "path": self._path,
            "name": self._name,
            "conditions": self._conditions,
            "layout": self._layout,
            "schema_info": self._schema_info,
        }
        return SearchResult(**{**state, **changes})

    def search(
        self, key: Any = NOT_SET, type_: Any = NOT_SET, value: Any = NOT_SET, filter_: Callable[..., Any] | None = None
    ) -> "SearchResult":
        """Return the results that also meet these conditions; see `AsdfFile.search`."""
        return self._like(conditions=(*self._conditions, _condition(key, type_, value, filter_)))

    def format(self, max_rows: Any = NOT_SET, max_cols: Any = NOT_SET, show_values: Any = NOT_SET) -> "SearchResult":
        """Return the same result with another layout of its text.

        Parameters
        ----------
        max_rows, max_cols, show_values
            As for `AsdfFile.info`; left out: as before.
        """
        given = (max_rows, max_cols, show_values)
        layout = tuple(old if new is NOT_SET else new for new, old in zip(given, self._layout, strict=True))
        return self._like(layout=layout)

    def __getitem__(self, key: Any) -> "SearchResult":
        """Return the results below an entry of the tree, which need not be a result itself."""
        if not is_collection(self._node) and not hasattr(type(self._node), "__asdf_traverse__"):
            raise TypeError(f"{self._path} is a {type(self._node).__name__}, which has no entries")
        for name, value in entries_of(self._node):
            if name == key:
                return self._like(node=value, path=f"{self._path}[{key!r}]", name=key)
        raise KeyError(f"{self._path} has no entry {key!r}")

    def _found(self) -> Iterator[tuple[str, Any, Any, Any, tuple[tuple[int, Any], ...]]]:
        """Yield path, parent, key and value of every result, and the chain of entries that leads to it."""
        level: list[tuple[str, Any, Any, Any, tuple[tuple[int, Any], ...]]]
        level = [(self._path, None, self._name, self._node, ())]
        seen: dict[int, Any] = {}
        while level:
            below = []
            for entry in level:
                path, _, key, node, chain = entry
                if id(node) in seen:
                    continue
                if all(condition(node, key) for condition in self._conditions):
                    yield entry
                entries = entries_of(node)
                if entries:
                    seen[id(node)] = node
                for name, value in entries:
                    below.append((f"{path}[{name!r}]", node, name, value, (*chain, (id(node), name))))
            level = below

    @property
    def paths(self) -> list[str]:
        """The paths of the values, in Python's notation: ``root['sky']['flux'][0]``."""
        return [path for path, *_ in self._found()]

    @property
    def nodes(self) -> list[Any]:
        """The values."""
        return [node for _, _, _, node, _ in self._found()]

    @property
    def path(self) -> str | None:
        """The path of the only result; None if nothing was found.

        Raises
        ------
        AmbiguousResultError
            If there are several results.
        """
        found = self._only()
        return None if found is None else found[0]

    @property
    def node(self) -> Any:
        """The only result; None if nothing was found.

        Raises
        ------
        AmbiguousResultError
            If there are several results.
        """
        found = self._only()
        return None if found is None else found[1]

    def _only(self) -> tuple[str, Any] | None:
        found = [(path, node) for path, _, _, node, _ in self._found()]
        if len(found) > 1:
            shown = ", ".join(path for path, _ in found[:4])
            raise AmbiguousResultError(f"there are {len(found)} results: {shown}{', ...' if len(found) > 4 else ''}")
        return found[0] if found else None

    def replace(self, value: Any) -> None:
        """Put a value in the place of every result.

        Parameters
        ----------
        value : object
            The new value.
        """
        for _, parent, key, _, _ in list(self._found()):
            if parent is None:
                raise ValueError(f"cannot replace {self._path}, where the search began: set file.tree")
            replace_entry(parent, key, value)

    def schema_info(self, key: str = "description", preserve_list: bool = True) -> Any:
        """Collect an annotation from the schemas of the results; see `AsdfFile.schema_info`."""
        if self._schema_info is None:
            raise TypeError("schema_info needs the result of AsdfFile.search")
        return self._schema_info(self._node, key, preserve_list=preserve_list, filters=list(self._conditions))

    def __len__(self) -> int:
        return sum(1 for _ in self._found())

    def __bool__(self) -> bool:
        return next(self._found(), None) is not None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.nodes)

    def __repr__(self) -> str:
        shown = {entry for *_, chain in self._found() for entry in chain}
        if not shown and not self:
            return "No results found."
        rows, cols, show_values = self._layout
        name = str(self._name)
        keep = None if not self._conditions else lambda collection, key: (collection, key) in shown
        return render(self._node, rows, cols, show_values=show_values, name=name, keep=keep)


def _condition(key: Any, type_: Any, value: Any, filter_: Callable[..., Any] | None) -> Condition:
    """Return the conjunction of conditions; see `tegula.asdf.AsdfFile.search`."""
    if not (type_ is NOT_SET or isinstance(type_, (str, re.Pattern, builtins.type))):
        raise TypeError(f"type_ is a type, a regular expression or a pattern, not {type_!r}")
    key, type_, value = (re.compile(given) if isinstance(given, str) else given for given in (key, type_, value))
    wanted = _filter(filter_)

    def fits(node: Any, name: Any) -> bool:
        if key is not NOT_SET and not _matches(key, name):
            return False
        if isinstance(type_, re.Pattern):
            if type_.search(_type_name(node)) is None:
                return False
        elif isinstance(type_, builtins.type) and not isinstance(node, type_):
            return False
        # The text of a collection contains that of its entries, which are tried themselves.
        if isinstance(value, re.Pattern) and (is_collection(node) or isinstance(node, (np.ndarray, Array))):
            return False
        if value is not NOT_SET and not _matches(value, node):
            return False
        return wanted is None or bool(wanted(node, name))

    return fits


def _matches(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return wanted.search(str(found)) is not None
    arrays = [isinstance(value, (np.ndarray, Array)) for value in (wanted, found)]
    if any(arrays):
        # Elements are read only if they can be equal.
        return all(arrays) and wanted.shape == found.shape and bool(np.array_equal(wanted, found))
    try:
        answer = wanted == found
    except Exception:  # noqa: BLE001 - of any class of a user
        return False
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def _type_name(node: Any) -> str:
    kind = type(node)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _filter(filter_: Callable[..., Any] | None) -> Condition | None:
    """Return a callable of a value and its key."""
    if filter_ is None:
        return None
    try:
        count = len(inspect.signature(filter_).parameters)
    except ValueError:
        count = 1  # a builtin without a signature
    if count not in (1, 2):
        raise ValueError(f"filter_ takes the value, or the value and its key, not {count} arguments")
    return filter_ if count == 2 else lambda node, _: filter_(node)
