"""ASDF files."""

import os
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula.asdf import _text, _write
from tegula.asdf._array import AsdfArray
from tegula.asdf._noting import Noting
from tegula.asdf._options import ArraySettings, FileMap
from tegula.asdf._saving import Saving
from tegula.asdf._search import SearchResult, search
from tegula.asdf._tree import Reference
from tegula.stores import FilesystemStore, Store

__all__ = ["AsdfFile"]


class _Family:
    """Files that refer to each other, by their keys; and what they refer to, by key and node."""

    __slots__ = ("allow_external", "files", "targets")

    def __init__(self, *, allow_external: bool) -> None:
        self.allow_external = allow_external
        self.files: dict[str, AsdfFile] = {}
        self.targets: dict[tuple[str, int], Any] = {}


class AsdfFile(Saving, Noting, Mapping[Any, Any]):
    """An ASDF file: a tree of plain data with arrays in it, as a mapping of the names at its root.

    `tegula.asdf.open` opens files. A new one is made of a tree and written with `write_to`.

    Trees consist of dicts, lists, strings, numbers, bools, None, bytes, dates and arrays. Arrays of an opened file are
    `AsdfArray` s, which read when they are used; arrays that are written into the tree itself are ndarrays. What has a
    tag that tegula does not know stays what it is, with an attribute ``tag``, and is written so. Trees can hold one
    object in several places, and themselves.

    Parameters
    ----------
    tree : mapping, optional
        What a new file holds. In it, ndarrays become blocks and tegula arrays become Zarr nodes.

    Examples
    --------
    >>> import tegula.asdf
    >>> tree = {"sky": {"flux": np.arange(12.0).reshape(3, 4)}, "unit": "Jy"}
    >>> tegula.asdf.AsdfFile(tree).write_to("sky.asdf")
    >>> with tegula.asdf.open("sky.asdf") as file:
    ...     print(file["unit"], file["sky"]["flux"][1, 1:3])
    Jy [5. 6.]
    """

    __slots__ = (
        "__weakref__",
        "_arrays",
        "_converters",
        "_family",
        "_key",
        "_mapped",
        "_memmap",
        "_mode",
        "_native",
        "_settings",
        "_store",
        "_tree",
        "_validate",
    )

    # Of an opened file only, but for the tree and what is said of its writing.
    _arrays: dict[int, AsdfArray]
    _family: "_Family"
    _mapped: NDArray[np.uint8] | None
    _memmap: bool
    _native: _tegula.AsdfFile
    _validate: bool

    def __init__(self, tree: Mapping[Any, Any] | None = None) -> None:
        self._tree = {} if tree is None else dict(tree)
        self._converters = None
        self._mode = None
        self._settings = ArraySettings()

    @classmethod
    def _open(
        cls, store: Store, key: str, *, memmap: bool, validate_checksums: bool, allow_external: bool = False
    ) -> "AsdfFile":
        native = _tegula.AsdfFile.open(store._native, key, validate_checksums, allow_external)
        family = _Family(allow_external=allow_external)
        return cls._of(native, store, family, memmap=memmap, validate_checksums=validate_checksums)

    @classmethod
    def _of(
        cls, native: _tegula.AsdfFile, store: Store, family: "_Family", *, memmap: bool, validate_checksums: bool
    ) -> "AsdfFile":
        file = cls.__new__(cls)
        file._arrays = {}
        file._converters = None
        file._mode = None
        file._settings = ArraySettings()
        file._family = family
        file._key = native.key
        file._mapped = None
        file._memmap = memmap
        file._native = native
        file._store = store
        file._validate = validate_checksums
        file._family.files[file._key] = file
        file._tree = native.tree(native.root, file)
        return file

    def _address(self) -> tuple[Store, str, bool, bool, bool]:
        return self._store, self._key, self._memmap, self._validate, self._family.allow_external

    # What the native module asks for while it makes the tree.

    def _array(self, node: int) -> AsdfArray:
        array = self._arrays.get(node)
        if array is None:
            array = self._arrays[node] = AsdfArray._of(self, node)
        return array

    def _inline(self, elements: NDArray[Any]) -> None:
        """Note that an array was in the tree, where it is written again."""
        if isinstance(elements, np.ndarray):
            self._settings.change(elements).storage = "inline"

    def _reference(self, uri: str) -> Reference:
        return Reference(uri, self)

    def _relative(self, native: _tegula.AsdfFile) -> "AsdfFile":
        """Return the file that this one refers to."""
        known = self._family.files.get(native.key)
        if known is not None:
            return known
        return self._of(native, self._store, self._family, memmap=self._memmap, validate_checksums=self._validate)

    def _resolve(self, uri: str) -> Any:
        native, node = self._native.target(uri)
        target = (native.key, node)
        if target not in self._family.targets:
            self._family.targets[target] = self._relative(native)._convert(node)
        return self._family.targets[target]

    def _convert(self, node: int | None) -> Any:
        return None if node is None else self._native.tree(node, self)

    def _memory(self) -> NDArray[np.uint8] | None:
        """Return the bytes of the file, mapped; None where they are not to be had, or are others by now."""
        if self._mapped is None and isinstance(self._store, FilesystemStore):
            path = os.path.join(self._store.path, self._key)
            mapped: NDArray[np.uint8] = FileMap(path, np.uint8, "r")
            # What was mapped is the file that was opened, if that is still there afterwards.
            if self._native.is_current():
                self._mapped = mapped
        return self._mapped

    # What it is.

    @property
    def tree(self) -> Any:
        """The tree; nearly always a dict."""
        return self._tree

    @tree.setter
    def tree(self, tree: Mapping[Any, Any]) -> None:
        self._tree = dict(tree)

    @property
    def version(self) -> str:
        """The version of the ASDF standard that the file follows, or would be written for."""
        return (self._native.standard or "1.0.0") if self._opened else _write.STANDARD

    @property
    def file_format_version(self) -> str:
        """The version of the file format."""
        return self._native.format if self._opened else "1.0.0"

    @property
    def comments(self) -> list[str]:
        """The comments in the header of the file, without those that give versions."""
        return self._native.comments if self._opened else []

    @property
    def uri(self) -> str | None:
        """The name of the opened file."""
        return self._native.name if self._opened else None

    @property
    def _opened(self) -> bool:
        return hasattr(self, "_native")

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The blocks of the opened file, as their headers describe them."""
        names = ("offset", "allocated_size", "used_size", "data_size", "compression")
        return [dict(zip(names, block, strict=True)) for block in self._native.blocks()] if self._opened else []

    def __getitem__(self, key: Any) -> Any:
        return self._tree[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._tree[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._tree[key]

    def __contains__(self, key: object) -> bool:
        return key in self._tree

    def __iter__(self) -> Iterator[Any]:
        return iter(self._tree)

    def __len__(self) -> int:
        return len(self._tree)

    def __bool__(self) -> bool:
        # An empty file is a file.
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<tegula.asdf.AsdfFile {self.uri or 'in memory'}: {', '.join(map(str, list(self._tree)[:8]))}>"

    # Looking around.

    def info(self, max_rows: int | None = 24, max_cols: int | None = 120, *, show_values: bool = True) -> None:
        """Print the tree.

        Parameters
        ----------
        max_rows : int, optional
            No more rows than these; deep parts are left out first. None: all.
        max_cols : int, optional
            No longer lines than this. None: all.
        show_values : bool
            Whether numbers and strings are shown.
        """
        print(self.format_tree(max_rows, max_cols, show_values=show_values))  # noqa: T201 - what it is for

    def format_tree(self, max_rows: int | None = 24, max_cols: int | None = 120, *, show_values: bool = True) -> str:
        """Draw the tree, as `info` prints it."""
        return _text.render(self._tree, max_rows, max_cols, show_values=show_values)

    def search(
        self, key: Any = None, *, type_: type | str | None = None, value: Any = None, filter_: Any = None
    ) -> SearchResult:
        """Find parts of the tree.

        Parameters
        ----------
        key : str or pattern, optional
            A regular expression that is searched in the key, or an index of a list.
        type_ : type or str, optional
            The type of the value, or a regular expression that is searched in the type's name.
        value : optional
            What the value equals; for strings a regular expression.
        filter_ : callable, optional
            Takes the value, or the value and its key, and says whether it is wanted.

        Returns
        -------
        SearchResult
            What was found: ``paths``, ``nodes``, and ``node`` and ``path`` where it is one.
        """
        return search(self._tree, key=key, type_=type_, value=value, filter_=filter_)

    def verify(self) -> None:
        """Compare the checksums of all blocks with their data.

        Raises
        ------
        CorruptDataError
            If one does not fit.
        """
        if self._opened:
            self._native.verify()

    def validate(self) -> None:
        """Ask the schemas of all tags in the tree, which the ``asdf`` library has, as it does when it writes.

        Raises
        ------
        InvalidMetadataError
            If the tree is not as they want it.
        UnsupportedError
            If the library is not installed.
        """
        self._library().validate(self._tree)

    def schema_info(self, key: str = "description", path: Any = None, *, preserve_list: bool = True) -> Any:
        """Return what the schemas of tags say of the tree, by the ``asdf`` library.

        Parameters
        ----------
        key : str
            What of the schemas: ``"description"``, ``"title"`` and the like.
        path : str, optional
            Names and indices that lead to a part of the tree, joined by dots.
        preserve_list : bool
            Whether what belongs to lists is in lists, and not in dicts of indices.

        Raises
        ------
        UnsupportedError
            If the library is not installed.
        """
        return self._library().schema_info(self._tree, key, path, preserve_list=preserve_list)

    def _library(self, *, ignore_unrecognized_tag: bool = True) -> Any:
        from tegula.asdf._library import Library

        return Library(self.version, ignore_unrecognized_tag=ignore_unrecognized_tag)

    def _convert_tree(self, *, ignore_unrecognized_tag: bool) -> None:
        """Let converters make objects of nodes."""
        library = self._library(ignore_unrecognized_tag=ignore_unrecognized_tag)
        self._converters = "asdf"
        self._tree = library.convert(self._tree, self)

    def _load(self) -> None:
        """Put ndarrays into the tree for the arrays that are read as a whole."""
        from concurrent.futures import ThreadPoolExecutor

        arrays = [array for array in list(self._arrays.values()) if not (array.is_zarr or array.is_chunked)]
        with ThreadPoolExecutor(min(_tegula.threads(), 16)) as pool:
            loaded = dict(zip(map(id, arrays), pool.map(_whole, arrays), strict=True))
        for array in arrays:
            elements = loaded[id(array)]
            storage, label = self._native.storage(array._node)
            if storage == "external":
                storage = "internal"
            if label or storage != "internal":
                options = self._settings.change(elements)
                options.storage, options.compression = storage, label or None
        stack, seen = [self._tree], set()
        while stack:
            collection = stack.pop()
            if id(collection) in seen or not isinstance(collection, (dict, list)):
                continue
            seen.add(id(collection))
            for key, value in list(collection.items() if isinstance(collection, dict) else enumerate(collection)):
                if isinstance(value, AsdfArray):
                    collection[key] = loaded.get(id(value), value)
                else:
                    stack.append(value)

    def close(self) -> None:
        """Let go of the file. Tree and arrays can still be used; what they need stays open as long as they do."""
        self._mapped = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._opened:
            return AsdfFile, (self._tree,)
        return _restore, self._address()


def _whole(array: AsdfArray) -> NDArray[Any]:
    elements: NDArray[Any] = array[...]
    return elements


def _restore(store: Store, key: str, memmap: bool, validate_checksums: bool, allow_external: bool) -> AsdfFile:
    return AsdfFile._open(
        store, key, memmap=memmap, validate_checksums=validate_checksums, allow_external=allow_external
    )
