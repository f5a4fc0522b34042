"""The drawing of what lies below a group, as text and as HTML."""

from dataclasses import dataclass, field
from html import escape

__all__ = ["Tree"]


@dataclass(slots=True)
class Branch:
    """A group or an array of a tree."""

    name: str
    note: str = ""
    is_group: bool = True
    children: list["Branch"] = field(default_factory=list)

    def add(self, path: str, note: str, *, is_group: bool) -> None:
        """Add what lies at a path below, after the groups that lead there."""
        above = self
        *leading, name = path.split("/")
        for group in leading:
            if not (above.children and above.children[-1].name == group):
                above.children.append(Branch(group))
            above = above.children[-1]
        above.children.append(Branch(name, note, is_group))


class Tree:
    """What lies below a group: `str` draws it, and notebooks show it so that groups fold.

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
        return "\n".join([plain(self._root.name), *lines(self._root, "")])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<div class="tegula-tree"><strong>{markup(self._root.name)}</strong>{folds(self._root)}</div>'


def plain(name: str) -> str:
    """Spell out what a terminal would not print, or take for a command: names come from outside."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)


def markup(name: str) -> str:
    """Write a name as HTML."""
    return escape(plain(name))


def lines(branch: Branch, indent: str) -> list[str]:
    """Draw what is below a branch."""
    found = []
    for child in branch.children:
        last = child is branch.children[-1]
        end = "/" if child.is_group else ""
        note = f" {plain(child.note)}" if child.note else ""
        found.append(f"{indent}{'└── ' if last else '├── '}{plain(child.name)}{end}{note}")
        found += lines(child, indent + ("    " if last else "│   "))
    return found


def folds(branch: Branch) -> str:
    """Write what is below a branch as HTML."""
    if not branch.children:
        return ""
    items = []
    for child in branch.children:
        label = f"{markup(child.name)}/" if child.is_group else markup(child.name)
        note = f" <code>{markup(child.note)}</code>" if child.note else ""
        below = folds(child)
        items.append(
            f"<li><details open><summary>{label}{note}</summary>{below}</details></li>"
            if below
            else f"<li>{label}{note}</li>"
        )
    return f"<ul>{''.join(items)}</ul>"
