"""Trees as text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tegula._array.array import Array
from tegula._render import NARROW, draw
from tegula.asdf._walk import children, is_collection
from tegula.errors import Error

__all__ = ["MAX_COLS", "MAX_ROWS", "Rows", "entries_of", "render", "render_table"]

MAX_ROWS = 24
"""The largest number of rows that are printed by default."""

MAX_COLS = 120
"""The longest line that is printed by default."""

Rows = int | tuple[int | None, ...] | None
"""The largest number of rows in all, or of the entries of a collection at each depth; None: no limit."""


@dataclass(slots=True)
class _Row:
    label: str
    children: list["_Row"] = field(default_factory=list)


def entries_of(value: Any) -> list[tuple[Any, Any]]:
    """Return keys and values that are shown below a value: of a collection, and of an object that presents one."""
    present = getattr(type(value), "__asdf_traverse__", None)
    return children(value if present is None else present(value))


def render(
    tree: Any,
    max_rows: Rows,
    max_cols: int | None,
    *,
    show_values: bool,
    name: str = "root",
    keep: Callable[[int, Any], bool] | None = None,
) -> str:
    """Draw a tree with a line for each entry. If there are too many, the deepest are left out first.

    Parameters
    ----------
    tree : object
        The tree.
    max_rows, max_cols
        Limits of the text.
    show_values : bool
        Whether numbers and strings are shown.
    name : str
        The name of the tree.
    keep : callable, optional
        Takes the `id` of a collection and the key of an entry; returns whether the entry is shown.
    """
    root = _Row(f"{name} ({_kind(tree)})")
    count = 1
    level: list[tuple[_Row, Any]] = [(root, tree)]
    seen = {id(tree)}
    depth = 0
    while level:
        found = [[entry for entry in entries_of(node) if keep is None or keep(id(node), entry[0])] for _, node in level]
        size = sum(map(len, found))
        if isinstance(max_rows, tuple):
            limit = max_rows[depth] if depth < len(max_rows) else 0
            fits, left = True, size
        else:
            limit = None
            fits = max_rows is None or count + size <= max_rows
            # Each incomplete collection takes a line that says so.
            left = size if max_rows is None or fits else max(max_rows - count - len(level), 0)
        entries: list[tuple[_Row, Any]] = []
        for (row, node), of_row in zip(level, found, strict=True):
            shown = min(left, len(of_row) if limit is None else limit)
            left -= shown
            entries += _add(row, node, of_row[:shown], show_values=show_values)
            if shown < len(of_row):
                row.children.append(_Row(f"... {len(of_row) - shown} more"))
        count += size
        depth += 1
        level = []
        for row, node in entries if fits else ():
            if entries_of(node):
                if id(node) in seen:
                    row.label += " (as above)"
                else:
                    seen.add(id(node))
                    level.append((row, node))
    lines = [root.label, *(f"{guides}{row.label}" for guides, row in draw(root, lambda row: row.children, NARROW))]
    if max_cols is not None:
        lines = [line if len(line) <= max_cols else f"{line[: max_cols - 3]}..." for line in lines]
    return "\n".join(lines)


def render_table(title: str, rows: Iterable[tuple[str, Any]]) -> str:
    """Draw a table of names and values under a title."""
    cells = [(name, str(value)) for name, value in rows]
    name_width = max(len(name) for name, _ in cells) + 2
    value_width = max(len(value) for _, value in cells) + 2
    width = name_width + value_width + 1
    return "\n".join(
        [
            f"┏{'━' * width}┓",
            f"┃{title:^{width}}┃",
            f"┣{'━' * name_width}┯{'━' * value_width}┫",
            *(f"┃ {name:<{name_width - 1}}│{value:^{value_width}}┃" for name, value in cells),
            f"┗{'━' * name_width}┷{'━' * value_width}┛",
        ]
    )


def _add(row: _Row, node: Any, entries: list[tuple[Any, Any]], *, show_values: bool) -> list[tuple[_Row, Any]]:
    """Add rows for entries of a collection; return them with their values."""
    added = []
    for key, value in entries:
        name = f"[{key}]" if is_collection(node) and not isinstance(node, Mapping) else str(key)
        child = _Row(f"{name} ({_kind(value)})")
        if show_values and not isinstance(value, (np.ndarray, Array)) and not _has_entries(value):
            child.label += f": {_text(value)}"
        row.children.append(child)
        added.append((child, value))
    return added


def _has_entries(value: Any) -> bool:
    return is_collection(value) or hasattr(type(value), "__asdf_traverse__")


def _text(value: Any) -> str:
    try:
        return " ".join(str(value).split())
    except Exception as error:  # noqa: BLE001 - of any class of a user
        return f"cannot be shown: {error}"


def _kind(value: Any) -> str:
    tag = getattr(value, "tag", None)
    name = type(value).__name__
    if isinstance(value, (np.ndarray, Array)):
        try:
            name = f"{name}: shape={value.shape}, dtype={value.dtype}"
        except Error as error:
            name = f"{name}: {error}"
    return f"{name} {tag}" if isinstance(tag, str) else name
