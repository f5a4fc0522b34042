"""Trees as mappings, which can be searched and printed and have a history."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tegula.asdf import _history
from tegula.asdf._render import MAX_COLS, MAX_ROWS, Rows, render, render_table
from tegula.asdf._search import NOT_SET, SearchResult
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
        if not isinstance(tree, Mapping):
            raise TypeError(
                f"a tree is a mapping, not {type(tree).__name__}; to open a file, call tegula.asdf.open(path)"
            )
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

    def info(
        self,
        max_rows: Rows = MAX_ROWS,
        max_cols: int | None = MAX_COLS,
        show_values: bool = True,
        show_blocks: bool = False,
    ) -> None:
        """Print the tree.

        Parameters
        ----------
        max_rows : int or tuple, optional
            The largest number of rows; the deepest entries are left out first. A tuple: the largest number of entries
            of a collection at each depth. None: no limit.
        max_cols : int, optional
            The longest line. None: no limit.
        show_values : bool
            Whether numbers and strings are shown.
        show_blocks : bool
            Whether the headers of the blocks are shown too.
        """
        print(self.format_tree(max_rows, max_cols, show_values=show_values))  # noqa: T201 - its purpose
        for number, block in enumerate(self.blocks if show_blocks else ()):
            rows = [(name, "None" if value == "" else value) for name, value in block.items()]
            print(render_table(f"Block #{number}", rows))  # noqa: T201

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The blocks of the opened file, as their headers describe them."""
        return []

    def format_tree(
        self, max_rows: Rows = MAX_ROWS, max_cols: int | None = MAX_COLS, *, show_values: bool = True
    ) -> str:
        """Return the text that `info` prints."""
        return render(self._tree, max_rows, max_cols, show_values=show_values)

    def search(
        self, key: Any = NOT_SET, type_: Any = NOT_SET, value: Any = NOT_SET, filter_: Callable[..., Any] | None = None
    ) -> SearchResult:
        """Find the values in the tree that meet all given conditions.

        Mappings and sequences of any class are searched, and objects with the method ``__asdf_traverse__``.

        Parameters
        ----------
        key : str, pattern or object, optional
            A regular expression that is searched in the key or index; anything else must equal the key.
        type_ : type, str or pattern, optional
            The type of the value, or a regular expression that is searched in the name of the type with its module,
            such as ``numpy.ndarray``; types of Python itself have no module.
        value : object, optional
            A regular expression that is searched in the text of a value that is no collection; anything else, also
            None, must equal the value. Arrays are equal if their shapes and elements are.
        filter_ : callable, optional
            Takes the value, or the value and its key; returns whether the value is wanted.

        Returns
        -------
        SearchResult
            The ``paths`` and ``nodes`` that were found; of a single result ``path`` and ``node``.
        """
        return SearchResult(self._tree, schema_info=self._schemas_of).search(key, type_, value, filter_)

    def _schemas_of(self, tree: Any, key: str, path: Any = None, **options: Any) -> Any:
        raise NotImplementedError

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
