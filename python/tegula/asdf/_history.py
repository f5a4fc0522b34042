"""The history of a file: entries that people add, and the extensions that took part in writing it.

See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/asdf-1.1.0.html
"""

import copy
import datetime as dt
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tegula.asdf._tree import TaggedDict

__all__ = ["Software", "add_entry", "copy_for_writing", "entries_of", "history_of"]

_ENTRY = "tag:stsci.edu:asdf/core/history_entry-1.0.0"
_SOFTWARE = "tag:stsci.edu:asdf/core/software-1.0.0"

Software: TypeAlias = Mapping[str, Any]
"""The name and version of a program, and perhaps its author and homepage."""


def history_of(tree: Any) -> Any:
    """Return the history in a tree: a dict of entries and extensions, before standard 1.2.0 a list of entries."""
    return tree.get("history") if isinstance(tree, dict) else None


def entries_of(tree: Any) -> list[Any]:
    """Return the entries in the history of a tree, the oldest first."""
    history = history_of(tree)
    if isinstance(history, Mapping):
        history = history.get("entries")
    return history if isinstance(history, list) else []


def add_entry(tree: dict[Any, Any], description: str, software: Software | Sequence[Software] | None) -> None:
    """Add an entry with the current time to the history of a tree."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    entry = TaggedDict(_ENTRY, {"description": description, "time": dt.datetime.fromtimestamp(seconds, dt.UTC)})
    if software is not None:
        several = not isinstance(software, Mapping)
        entry["software"] = [_tagged(item) for item in software] if several else _tagged(software)
    history = tree.setdefault("history", {})
    entries = history if isinstance(history, list) else history.setdefault("entries", [])
    entries.append(entry)


def copy_for_writing(tree: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a tree of the history alone, whose extensions can be changed without changing those of the original."""
    if "history" not in tree:
        return {}
    history = copy.copy(tree["history"])
    if isinstance(history, dict) and "extensions" in history:
        history["extensions"] = [copy.copy(extension) for extension in history["extensions"]]
    return {"history": history}


def _tagged(software: Any) -> TaggedDict:
    if not {"name", "version"} <= software.keys():
        raise ValueError("software needs a name and a version")
    return TaggedDict(_SOFTWARE, software)
