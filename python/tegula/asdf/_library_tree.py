"""Trees that the ``asdf`` library's extensions and schemas are used for."""

from typing import Any, Literal

from tegula.asdf._arrays import ArrayTree
from tegula.asdf._config import STANDARD, checked_version
from tegula.asdf._opened import Opened
from tegula.asdf._search import SearchResult

__all__ = ["LibraryTree"]


class LibraryTree(ArrayTree):
    """The tree of a file, with its version of the standard, extensions and schemas."""

    __slots__ = ("_converters", "_custom_schema", "_extensions", "_ignores_tags", "_source", "_version")

    _converters: Literal["asdf"] | None
    _custom_schema: str | None
    _extensions: list[Any]
    _ignores_tags: bool
    _source: Opened | None
    _version: str | None

    @property
    def version(self) -> str:
        """The version of the ASDF standard that the file follows, or would be written for."""
        if self._version is not None:
            return self._version
        return STANDARD if self._source is None else self._source.native.standard or "1.0.0"

    @version.setter
    def version(self, version: str) -> None:
        self._version = checked_version(version)

    @property
    def version_string(self) -> str:
        """The same as `version`."""
        return self.version

    @property
    def extensions(self) -> list[Any]:
        """Extensions of the ``asdf`` library that this file uses besides the installed ones."""
        return self._extensions

    @extensions.setter
    def extensions(self, extensions: Any) -> None:
        self._extensions = list(extensions) if isinstance(extensions, (list, tuple)) else [extensions]
        if self._extensions:
            self._converters = "asdf"

    @property
    def extension_manager(self) -> Any:
        """The ``asdf`` library's manager of the extensions of this file."""
        return self._library().manager

    def validate(self) -> None:
        """Validate the tree against the schemas of its tags and the custom schema, with the ``asdf`` library.

        Raises
        ------
        InvalidMetadataError
            If the tree does not match a schema.
        UnsupportedError
            If the library is not installed.
        """
        self._library().validate(self._tree)

    def schema_info(
        self,
        key: str = "description",
        path: Any = None,
        preserve_list: bool = True,
    ) -> Any:
        """Collect an annotation from the schemas of the tree's tags, with the ``asdf`` library.

        Parameters
        ----------
        key : str
            The annotation: ``"description"``, ``"title"`` and the like.
        path : str or SearchResult, optional
            Names and indices that lead to a part of the tree, joined by dots; or the result of a search.
        preserve_list : bool
            Whether annotations of lists are returned in lists instead of dicts of indices.

        Raises
        ------
        UnsupportedError
            If the library is not installed.
        """
        if isinstance(path, SearchResult):
            return path.schema_info(key, preserve_list)
        return self._schemas_of(self._tree, key, path, preserve_list=preserve_list)

    def _schemas_of(self, tree: Any, key: str, path: Any = None, **options: Any) -> Any:
        return self._library().schema_info(tree, key, path, **options)

    def fill_defaults(self) -> None:
        """Set entries that the tree lacks to the defaults of the schemas, with the ``asdf`` library."""
        self._tree = self._library().change_defaults(self._tree, self._source, "fill_defaults")

    def remove_defaults(self) -> None:
        """Remove entries of the tree that equal the defaults of the schemas, with the ``asdf`` library."""
        self._tree = self._library().change_defaults(self._tree, self._source, "remove_defaults")

    def _library(self, *, ignore_unrecognized_tag: bool = True) -> Any:
        from tegula.asdf._library import Library

        return Library(
            self.version,
            ignore_unrecognized_tag=ignore_unrecognized_tag,
            extensions=self._extensions,
            custom_schema=self._custom_schema,
        )

    def _convert_tree(self) -> None:
        """Replace tagged nodes by the objects that converters of the ``asdf`` library make."""
        self._converters = "asdf"
        library = self._library(ignore_unrecognized_tag=self._ignores_tags)
        self._tree = library.convert(self._tree, self._source)
