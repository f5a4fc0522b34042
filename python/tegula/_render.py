"""Trees as lines of text."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

__all__ = ["ASCII", "NARROW", "WIDE", "Guides", "draw"]

T = TypeVar("T")


class Guides(NamedTuple):
    """The line drawing to the left of a node."""

    branch: str
    """Before a node with later siblings."""
    corner: str
    """Before the last child."""
    bar: str
    """Below a node with later siblings."""
    gap: str
    """Below the last child."""


WIDE = Guides("├── ", "└── ", "│   ", "    ")
NARROW = Guides("├─", "└─", "│ ", "  ")
ASCII = Guides("|-- ", "`-- ", "|   ", "    ")


def draw(root: T, children: Callable[[T], Iterable[T]], guides: Guides = WIDE) -> Iterator[tuple[str, T]]:
    """Yield every node below a root, depth first, with the guides to print before it.

    Parameters
    ----------
    root
        The root, which is not yielded.
    children : callable
        Returns the children of a node.
    guides : Guides
        The line drawing.
    """
    stack: list[tuple[str, str, T]] = []

    def push(node: T, indent: str) -> None:
        below = [(guides.branch, guides.bar, child) for child in children(node)]
        if below:
            below[-1] = (guides.corner, guides.gap, below[-1][2])
        stack.extend((indent + mark, indent + line, child) for mark, line, child in reversed(below))

    push(root, "")
    while stack:
        prefix, indent, node = stack.pop()
        yield prefix, node
        push(node, indent)
