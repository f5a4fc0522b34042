"""What files say of their making, and what they refer to."""

import datetime as dt
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tegula.asdf._tree import Reference, TaggedDict, resolve_references
from tegula.errors import UnsupportedError

if TYPE_CHECKING:
    from tegula import _tegula
    from tegula.asdf._file import AsdfFile

__all__ = ["Noting"]

_ENTRY = "tag:stsci.edu:asdf/core/history_entry-1.0.0"
_SOFTWARE = "tag:stsci.edu:asdf/core/software-1.0.0"

_Software = Mapping[str, Any]


class Noting:
    """History and references of a file."""

    __slots__ = ()

    _tree: Any
    _native: "_tegula.AsdfFile"

    @property
    def history(self) -> Any:
        """What the file says of its making: entries and extensions; None where it says nothing."""
        return self._tree.get("history") if isinstance(self._tree, dict) else None

    def add_history_entry(self, description: str, software: _Software | Sequence[_Software] | None = None) -> None:
        """Note a change in the history of the file.

        Parameters
        ----------
        description : str
            What was done.
        software : mapping or sequence of mapping, optional
            What did it: ``name`` and ``version``, and perhaps ``author`` and ``homepage``. The library that writes the
            file is noted anyway.

        Examples
        --------
        >>> file = tegula.AsdfFile({"flux": np.arange(3)})
        >>> file.add_history_entry("Dark current subtracted", {"name": "darks", "version": "1.0"})
        >>> file.get_history_entries()[0]["description"]
        'Dark current subtracted'
        """
        seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
        entry = TaggedDict(_ENTRY, {"description": description, "time": dt.datetime.fromtimestamp(seconds, dt.UTC)})
        if software is not None:
            if isinstance(software, Mapping):
                entry["software"] = _software(software)
            else:
                entry["software"] = [_software(item) for item in software]
        history = self._tree.setdefault("history", {})
        # Before version 1.2 of the standard it was a list of entries.
        entries = history if isinstance(history, list) else history.setdefault("entries", [])
        entries.append(entry)

    def get_history_entries(self) -> list[Any]:
        """Return the changes that the history of the file notes, the oldest first."""
        history = self.history
        if isinstance(history, list):
            return history
        entries = history.get("entries") if isinstance(history, Mapping) else None
        return entries if isinstance(entries, list) else []

    def make_reference(self, path: Sequence[str | int] = ()) -> Reference:
        """Make a reference to a part of this file, for the tree of another one that lies in the same folder.

        Parameters
        ----------
        path : sequence of str and int
            Names and indices that lead to the part; empty: all of the tree.

        Examples
        --------
        >>> tegula.AsdfFile({"a": [1, 2]}).write_to("one.asdf")
        >>> one = tegula.open_asdf("one.asdf")
        >>> one.make_reference(["a", 1])
        Reference('one.asdf#/a/1')
        >>> tegula.AsdfFile({"b": one.make_reference(["a", 1])}).write_to("two.asdf")
        >>> tegula.open_asdf("two.asdf")["b"].resolve()
        2
        """
        names = [str(name).replace("~", "~0").replace("/", "~1") for name in path]
        name = self._key.rpartition("/")[2] if self._opened else ""  # type: ignore[attr-defined]
        return Reference(f"{name}#{''.join(f'/{part}' for part in names)}", self)  # type: ignore[arg-type]

    def find_references(self) -> None:
        """Turn dicts of the form ``{"$ref": uri}`` that were put into the tree into references.

        In the tree of an opened file that is done already.
        """
        stack, seen = [self._tree], set()
        while stack:
            collection = stack.pop()
            if id(collection) in seen:
                continue
            seen.add(id(collection))
            for key, value in list(collection.items() if isinstance(collection, dict) else enumerate(collection)):
                if isinstance(value, dict) and isinstance(value.get("$ref"), str):
                    collection[key] = Reference(value["$ref"], self)  # type: ignore[arg-type]
                elif isinstance(value, (dict, list)):
                    stack.append(value)

    def resolve_references(self) -> None:
        """Put into the tree what references to other files refer to.

        Raises
        ------
        NotFoundError
            If something is not there.
        UnsupportedError
            If something lies neither in the folder of the file nor below.
        """
        resolve_references(self._tree)

    def open_external(self, uri: str) -> "AsdfFile":
        """Open a file that lies beside this one. It is opened once, however often it is asked for.

        Parameters
        ----------
        uri : str
            Its path, relative to the folder of this file. What follows ``#`` is not looked at.

        Raises
        ------
        NotFoundError
            If there is no such file.
        UnsupportedError
            If it lies neither in the folder of the file nor below.
        """
        if not self._opened:  # type: ignore[attr-defined]
            raise UnsupportedError("a file in memory lies in no folder, where others could be found")
        native, _ = self._native.target(uri.partition("#")[0] + "#")
        return self._relative(native)  # type: ignore[attr-defined,no-any-return]

    def copy(self) -> "AsdfFile":
        """Return a file in memory with a copy of the tree: its collections and ndarrays.

        Arrays that lie in files are not copied, as they cannot be written.
        """
        from tegula.asdf._file import AsdfFile

        return AsdfFile(_copied(self._tree, {}))


def _software(software: _Software) -> TaggedDict:
    if not {"name", "version"} <= software.keys():
        raise ValueError("software has a name and a version")
    return TaggedDict(_SOFTWARE, software)


def _copied(value: Any, done: dict[int, Any]) -> Any:
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, np.ndarray):
        done[id(value)] = value.copy()
    elif isinstance(value, (dict, list)):
        tag = getattr(value, "tag", None)
        made: Any = type(value)(tag) if tag is not None else type(value)()
        done[id(value)] = made
        if isinstance(value, dict):
            made.update((key, _copied(item, done)) for key, item in value.items())
        else:
            made.extend(_copied(item, done) for item in value)
    return done.get(id(value), value)
