"""Trees as text."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tegula._array.array import Array
from tegula._render import NARROW, draw
from tegula.errors import Error

__all__ = ["render"]


@dataclass(slots=True)
class _Row:
    label: str
    children: list["_Row"] = field(default_factory=list)


def render(tree: Any, max_rows: int | None, max_cols: int | None, *, show_values: bool) -> str:
    """Draw a tree with a line for each entry. If there are too many, the deepest are left out first."""
    root = _Row(f"root ({_kind(tree)})")
    count = 1
    level: list[tuple[_Row, Any]] = [(root, tree)]
    seen = {id(tree)}
    while level:
        size = sum(len(node) for _, node in level)
        fits = max_rows is None or count + size <= max_rows
        # Each incomplete collection takes a line that says so.
        left = size if max_rows is None or fits else max(max_rows - count - len(level), 0)
        entries: list[tuple[_Row, Any]] = []
        for row, node in level:
            shown = min(left, len(node))
            left -= shown
            entries += _add(row, node, shown, show_values=show_values)
            if shown < len(node):
                row.children.append(_Row(f"... {len(node) - shown} more"))
        count += size
        level = []
        for row, node in entries if fits else ():
            if isinstance(node, (dict, list, tuple)) and node:
                if id(node) in seen:
                    row.label += " (as above)"
                else:
                    seen.add(id(node))
                    level.append((row, node))
    lines = [root.label, *(f"{guides}{row.label}" for guides, row in draw(root, lambda row: row.children, NARROW))]
    if max_cols is not None:
        lines = [line if len(line) <= max_cols else f"{line[: max_cols - 3]}..." for line in lines]
    return "\n".join(lines)


def _add(row: _Row, node: Any, count: int, *, show_values: bool) -> list[tuple[_Row, Any]]:
    """Add rows for the first entries of a collection; return them with their values."""
    added = []
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node))[:count]:
        name = str(key) if isinstance(node, dict) else f"[{key}]"
        child = _Row(f"{name} ({_kind(value)})")
        if show_values and not isinstance(value, (dict, list, tuple, np.ndarray, Array)):
            child.label += f": {' '.join(str(value).split())}"
        row.children.append(child)
        added.append((child, value))
    return added


def _kind(value: Any) -> str:
    tag = getattr(value, "tag", None)
    name = type(value).__name__
    if isinstance(value, (np.ndarray, Array)):
        try:
            name = f"{name}: shape={value.shape}, dtype={value.dtype}"
        except Error as error:
            name = f"{name}: {error}"
    return f"{name} {tag}" if isinstance(tag, str) else name
