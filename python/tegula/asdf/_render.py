"""Trees as text."""

from typing import Any

import numpy as np

from tegula._array.array import Array
from tegula.errors import Error

__all__ = ["render"]


class _Row:
    __slots__ = ("children", "depth", "label", "last")

    def __init__(self, label: str, depth: int) -> None:
        self.label = label
        self.depth = depth
        self.children: list[_Row] = []
        self.last = True


def render(tree: Any, max_rows: int | None, max_cols: int | None, *, show_values: bool) -> str:
    """Draw a tree with a line for each entry. Where these are too many, the deepest are left out first."""
    root = _Row(f"root ({_kind(tree)})", 0)
    count = 1
    level: list[tuple[_Row, Any]] = [(root, tree)]
    seen = {id(tree)}
    while level:
        following: list[tuple[_Row, Any]] = []
        size = sum(len(node) for _, node in level)
        if max_rows is not None and count + size > max_rows:
            room = max(max_rows - count - len(level), 0)
            for row, node in level:
                shown = min(room, len(node))
                room -= shown
                _add(row, node, shown, following, show_values=show_values)
                if shown < len(node):
                    row.children.append(_Row(f"... {len(node) - shown} more", row.depth + 1))
            break
        for row, node in level:
            _add(row, node, len(node), following, show_values=show_values)
        count += size
        level = []
        for row, node in following:
            if isinstance(node, (dict, list, tuple)) and node:
                if id(node) in seen:
                    row.label += " (as above)"
                else:
                    seen.add(id(node))
                    level.append((row, node))
    lines = _lines(root)
    if max_cols is not None:
        lines = [line if len(line) <= max_cols else f"{line[: max_cols - 3]}..." for line in lines]
    return "\n".join(lines)


def _add(row: _Row, node: Any, count: int, following: list[tuple[_Row, Any]], *, show_values: bool) -> None:
    entries = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
    for key, value in entries[:count]:
        name = str(key) if isinstance(node, dict) else f"[{key}]"
        label = f"{name} ({_kind(value)})"
        if show_values and not isinstance(value, (dict, list, tuple, np.ndarray, Array)):
            label += f": {' '.join(str(value).split())}"
        child = _Row(label, row.depth + 1)
        row.children.append(child)
        following.append((child, value))


def _kind(value: Any) -> str:
    tag = getattr(value, "tag", None)
    name = type(value).__name__
    if isinstance(value, (np.ndarray, Array)):
        try:
            name = f"{name}: shape={value.shape}, dtype={value.dtype}"
        except Error as error:
            name = f"{name}: {error}"
    return f"{name} {tag}" if isinstance(tag, str) else name


def _lines(root: _Row) -> list[str]:
    lines = [root.label]

    stack: list[tuple[_Row, str]] = [(row, "") for row in reversed(root.children)]
    last = {id(row.children[-1]) for row in _rows(root) if row.children}
    while stack:
        row, prefix = stack.pop()
        ends = id(row) in last
        lines.append(f"{prefix}{'└─' if ends else '├─'}{row.label}")
        below = prefix + ("  " if ends else "│ ")
        stack.extend((child, below) for child in reversed(row.children))
    return lines


def _rows(root: _Row) -> list[_Row]:
    rows = [root]
    for row in rows:
        rows.extend(row.children)
    return rows
