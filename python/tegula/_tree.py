"""The tree of a group, as text and as HTML."""

from dataclasses import dataclass, field
from html import escape

from tegula._format import printable
from tegula._render import draw

__all__ = ["Branch", "Tree"]


@dataclass(slots=True)
class Branch:
    """A group or an array in a tree."""

    name: str
    note: str = ""
    is_group: bool = True
    children: list["Branch"] = field(default_factory=list)

    def add(self, path: str, note: str, *, is_group: bool) -> None:
        """Add a node at a path, and the groups on the way. Paths are added in depth-first order."""
        parent = self
        *groups, name = path.split("/")
        for group in groups:
            if not (parent.children and parent.children[-1].name == group):
                parent.children.append(Branch(group))
            parent = parent.children[-1]
        parent.children.append(Branch(name, note, is_group))

    @property
    def label(self) -> str:
        """The name, safe to print; names of groups end with a slash."""
        return f"{printable(self.name)}{'/' if self.is_group else ''}"


class Tree:
    """The groups and arrays below a group. `str` draws the tree; notebooks show it with groups that fold.

    Examples
    --------
    >>> root = tegula.create_group({})
    >>> _ = root.create_array("survey/flux", shape=(4, 6), dtype="float32")
    >>> root.tree()
    /
    └── survey/
        └── flux (4, 6) float32
    """

    __slots__ = ("_root",)

    def __init__(self, root: Branch) -> None:
        self._root = root

    def __str__(self) -> str:
        lines = [printable(self._root.name)]
        for guides, branch in draw(self._root, lambda branch: branch.children):
            note = f" {printable(branch.note)}" if branch.note else ""
            lines.append(f"{guides}{branch.label}{note}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        name = escape(printable(self._root.name))
        return f'<div class="tegula-tree"><strong>{name}</strong>{_list(self._root)}</div>'


def _list(branch: Branch) -> str:
    """Return what is below a branch as an HTML list whose groups fold."""
    items = []
    for child in branch.children:
        label = escape(child.label)
        if child.note:
            label += f" <code>{escape(printable(child.note))}</code>"
        if child.children:
            label = f"<details open><summary>{label}</summary>{_list(child)}</details>"
        items.append(f"<li>{label}</li>")
    return f"<ul>{''.join(items)}</ul>" if items else ""
