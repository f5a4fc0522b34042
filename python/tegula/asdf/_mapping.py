"""Trees as mappings, which can be searched and printed and have a history."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tegula.asdf import _history
from tegula.asdf._render import render
from tegula.asdf._search import SearchResult, search
from tegula.errors import InvalidMetadataError, NotFoundError

__all__ = ["TreeMapping"]


class TreeMapping(Mapping[Any, Any]):
    """The tree of a file as a mapping of the names at its root."""

    __slots__ = ("_tree",)

    _tree: Any

    @property
    def tree(self) -> Any:
        """The tree; nearly always a dict."""
        return self._tree

    @tree.setter
    def tree(self, tree: Mapping[Any, Any]) -> None:
        self._tree = dict(tree)

    def _collection(self) -> Any:
        """Return the tree; an error if its root is neither a mapping nor a list."""
        if not isinstance(self._tree, (Mapping, Sequence)) or isinstance(self._tree, str):
            raise InvalidMetadataError(
                f"the root of the tree is a {type(self._tree).__name__}, expected a mapping; it is file.tree"
            )
        return self._tree

    def __getitem__(self, key: Any) -> Any:
        tree = self._collection()
        if isinstance(tree, list) and not isinstance(key, (int, slice)):
            raise NotFoundError(f"the root of the tree is a list, which has no {key!r}")
        return tree[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._tree[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._tree[key]

    def __contains__(self, key: object) -> bool:
        return key in self._collection()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._collection())

    def __len__(self) -> int:
        return len(self._collection())

    def __bool__(self) -> bool:
        # A file with an empty tree is a file.
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def info(self, max_rows: int | None = 24, max_cols: int | None = 120, *, show_values: bool = True) -> None:
        """Print the tree.

        Parameters
        ----------
        max_rows : int, optional
            The largest number of rows; the deepest entries are left out first. None: no limit.
        max_cols : int, optional
            The longest line. None: no limit.
        show_values : bool
            Whether numbers and strings are shown.
        """
        print(self.format_tree(max_rows, max_cols, show_values=show_values))  # noqa: T201 - its purpose

    def format_tree(self, max_rows: int | None = 24, max_cols: int | None = 120, *, show_values: bool = True) -> str:
        """Return the text that `info` prints."""
        return render(self._tree, max_rows, max_cols, show_values=show_values)

    def search(
        self, key: Any = None, *, type_: type | str | None = None, value: Any = None, filter_: Any = None
    ) -> SearchResult:
        """Find the values in the tree that meet all given conditions.

        Parameters
        ----------
        key : str or pattern, optional
            A regular expression that is searched in the key, or an index of a list.
        type_ : type or str, optional
            The type of the value, or a regular expression that is searched in the name of the type.
        value : optional
            The value itself; for strings a regular expression.
        filter_ : callable, optional
            Takes the value, or the value and its key; returns whether the value is wanted.

        Returns
        -------
        SearchResult
            The ``paths`` and ``nodes`` that were found; of a single result ``path`` and ``node``.
        """
        return search(self._tree, key=key, type_=type_, value=value, filter_=filter_)

    @property
    def history(self) -> Any:
        """The history in the tree: a dict of entries and extensions; None if there is none."""
        return _history.history_of(self._tree)

    def add_history_entry(
        self, description: str, software: _history.Software | Sequence[_history.Software] | None = None
    ) -> None:
        """Add an entry to the history of the file.

        Parameters
        ----------
        description : str
            What was done.
        software : mapping or sequence of mapping, optional
            The programs that did it: ``name`` and ``version``, optionally ``author`` and ``homepage``. The library
            that writes the file is always recorded.

        Examples
        --------
        >>> file = tegula.AsdfFile({"flux": np.arange(3)})
        >>> file.add_history_entry("Dark current subtracted", {"name": "darks", "version": "1.0"})
        >>> file.get_history_entries()[0]["description"]
        'Dark current subtracted'
        """
        _history.add_entry(self._tree, description, software)

    def get_history_entries(self) -> list[Any]:
        """Return the entries in the history of the file, the oldest first."""
        return _history.entries_of(self._tree)
