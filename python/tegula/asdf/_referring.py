"""Trees that refer to parts of other files."""

import os
from collections.abc import Mapping, Sequence

from tegula.asdf._library_tree import LibraryTree
from tegula.asdf._tree import Reference
from tegula.asdf._walk import replace_entry, walk

__all__ = ["ReferringTree"]


class ReferringTree(LibraryTree):
    """The tree of a file, with the path that its references are relative to."""

    __slots__ = ("_uri",)

    _uri: str | None

    @property
    def uri(self) -> str | None:
        """The path or URL of the file; None if it has none."""
        if self._uri is not None or self._source is None:
            return self._uri
        return self._source.native.name if self._source.is_named else None

    def resolve_uri(self, uri: str) -> str:
        """Return the path or URL that a path or URL in this file leads to.

        Parameters
        ----------
        uri : str
            A path relative to the folder of this file, or a path or URL that does not depend on it.
        """
        base = self.uri
        if base is None or "://" in uri or uri.startswith("/"):
            return uri
        if not uri or uri.startswith("#"):
            return base + uri
        from urllib.parse import urljoin

        return urljoin(base, uri) if "://" in base else os.path.normpath(os.path.join(os.path.dirname(base), uri))

    def make_reference(self, path: Sequence[str | int] | None = None) -> Reference:
        """Make a reference to a part of this file, for the tree of another file in the same folder.

        Parameters
        ----------
        path : sequence of str and int, optional
            Names and indices that lead to the part; left out or empty: the whole tree.

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
        names = [str(name).replace("~", "~0").replace("/", "~1") for name in path or ()]
        file = os.path.basename(self.uri or "")
        return Reference(f"{file}#{''.join(f'/{name}' for name in names)}", self._source)

    def find_references(self) -> None:
        """Replace dicts of the form ``{"$ref": uri}`` by references.

        In the tree of an opened file that has already happened.
        """
        for collection, key, value in walk(self._tree):
            if isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
                replace_entry(collection, key, Reference(value["$ref"], self._source))

    def resolve_references(self) -> None:
        """Replace references to other files by what they lead to.

        Raises
        ------
        NotFoundError
            If a file or a part of it does not exist.
        UnsupportedError
            If a file is outside the folder of this one.
        """
        for collection, key, value in walk(self._tree):
            if isinstance(value, Reference):
                replace_entry(collection, key, value.resolve())
