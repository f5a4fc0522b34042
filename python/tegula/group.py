"""Groups of arrays and groups, and the functions that open and create both."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from tegula import _tegula, creation
from tegula._tree import Branch, Tree
from tegula.array import Array
from tegula.creation import Codecs
from tegula.errors import Error, InvalidMetadataError, NotFoundError, StoreError, UnsupportedError
from tegula.stores import Store, StoreLike, as_store

__all__ = ["Group", "create_array", "create_group", "open", "open_array", "open_group"]


class Group(Mapping[str, "Array | Group"]):
    """A group of arrays and groups: a mapping of their names, or paths, to them.

    `tegula.open_group` and `tegula.create_group` make groups.

    Examples
    --------
    >>> root = tegula.create_group(tegula.MemoryStore(), attributes={"telescope": "Roman"})
    >>> array = root.create_array("survey/flux", shape=(4, 6), dtype="float32")
    >>> list(root), "survey/flux" in root
    (['survey'], True)
    >>> root["survey"]["flux"].shape
    (4, 6)
    >>> print(root.tree())
    /
    └── survey/
        └── flux (4, 6) float32
    """

    __slots__ = ("__weakref__", "_native", "_store")

    _native: _tegula.Group
    _store: Store

    def __init__(self) -> None:
        raise TypeError("groups come from tegula.open_group and tegula.create_group")

    @classmethod
    def _wrap(cls, native: _tegula.Group, store: Store) -> "Group":
        group = object.__new__(cls)
        group._native = native
        group._store = store
        return group

    @property
    def attrs(self) -> dict[str, Any]:
        """What users wrote beside the group. This is a copy: changes to it are not stored."""
        return self._native.attributes()

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as they are stored: ``zarr.json``, or ``.zgroup`` of Zarr V2."""
        return self._native.metadata()

    @property
    def zarr_format(self) -> int:
        """The version of Zarr: 3 or 2."""
        return self._native.zarr_format

    @property
    def store(self) -> Store:
        """The store it lies in."""
        return self._store

    @property
    def path(self) -> str:
        """Its path in the store, without a slash at either end."""
        return self._native.path

    @property
    def name(self) -> str:
        """Store and path, for people."""
        return self._native.name

    def _path(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def __getitem__(self, name: str) -> "Array | Group":
        """Open an array or group by its name, or by a path from here."""
        if not isinstance(name, str):
            raise TypeError(f"the name of an array or group is a str, not {type(name).__name__}")
        if not name.strip("/"):
            raise NotFoundError(f"{name!r} is not the name of an array or group")
        return self._node(self._native.member(name))

    def _node(self, native: "_tegula.Array | _tegula.Group") -> "Array | Group":
        if isinstance(native, _tegula.Array):
            return Array._wrap(native, self._store)
        return Group._wrap(native, self._store)

    def _open(self, names: list[str]) -> "Iterator[tuple[str, Array | Group]]":
        """Open members together; where one cannot be opened, that is raised when its turn comes."""
        for first in range(0, len(names), _TOGETHER):
            some = names[first : first + _TOGETHER]
            for name, found in zip(some, self._native.open_members(some), strict=True):
                if isinstance(found, BaseException):
                    raise found
                yield name, self._node(found)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        try:
            self[name]
        except NotFoundError:
            return False
        except Error:
            # Something is there, if nothing that we could open.
            return True
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.members())

    def __len__(self) -> int:
        return len(self.members())

    def __bool__(self) -> bool:
        # An empty group is a group.
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def is_consolidated(self) -> bool:
        """Whether what lies below is known from consolidated metadata, the group's own or those of one above it."""
        return self._native.is_consolidated

    def members(self, *, recursive: bool = False) -> dict[str, Literal["array", "group"]]:
        """Return what lies in the group by name, without opening it.

        Parameters
        ----------
        recursive : bool
            Whether to go into groups: names are then paths from here, and groups stand before what is in them.
        """
        return dict(self._native.members(recursive))

    def _keys(self, kind: Literal["array", "group"]) -> list[str]:
        return [name for name, found in self._native.members(False) if found == kind]

    def array_keys(self) -> list[str]:
        """Return the names of the arrays of the group."""
        return self._keys("array")

    def group_keys(self) -> list[str]:
        """Return the names of the groups of the group."""
        return self._keys("group")

    def arrays(self) -> dict[str, Array]:
        """Open the arrays of the group."""
        return {name: node for name, node in self._open(self.array_keys()) if isinstance(node, Array)}

    def groups(self) -> dict[str, "Group"]:
        """Open the groups of the group."""
        return {name: node for name, node in self._open(self.group_keys()) if isinstance(node, Group)}

    def traverse(self) -> "Iterator[tuple[str, Array | Group]]":
        """Open all that lies below, group after group.

        Yields
        ------
        path : str
            The path from here. Names are sorted, and groups stand before what is in them.
        node : Array or Group
            What is there.

        Examples
        --------
        >>> root = tegula.create_group({})
        >>> _ = root.create_array("survey/flux", shape=(4, 6), dtype="float32")
        >>> [(path, type(node).__name__) for path, node in root.traverse()]
        [('survey', 'Group'), ('survey/flux', 'Array')]
        """
        return self._open(list(self.members(recursive=True)))

    def tree(self, *, level: int | None = None) -> Tree:
        """Draw what lies below, with shapes and data types of arrays.

        Parameters
        ----------
        level : int, optional
            How many levels to draw; all, if there is none.

        Returns
        -------
        Tree
            `str` and `print` give text. Notebooks show it so that groups fold.
        """
        members = self._native.members(level != 1)
        shown = [(path, kind) for path, kind in members if level is None or path.count("/") < level]
        opened = iter(self._native.open_members([path for path, kind in shown if kind == "array"]))
        root = Branch(f"/{self.path}")
        for path, kind in shown:
            root.add(path, "" if kind == "group" else _summary(next(opened)), is_group=kind == "group")
        return Tree(root)

    def _repr_html_(self) -> str:
        return self.tree()._repr_html_()

    @property
    def info(self) -> str:
        """A description for people."""
        kinds = list(self.members().values())
        rows = [
            ("name", self.name),
            ("format", f"Zarr V{self.zarr_format}"),
            ("arrays", str(kinds.count("array"))),
            ("groups", str(kinds.count("group"))),
        ]
        return "\n".join(f"{label:<12}{text}" for label, text in rows)

    def _forget(self) -> None:
        if self.is_consolidated:
            self._native = self._native.without_consolidated()

    def create_array(self, name: str, **properties: Any) -> Array:
        """Create an array in the group; see `tegula.create_array` for its properties.

        Consolidated metadata do not learn of it: this group no longer uses them then.
        """
        self._forget()
        return create_array(self._store, self._path(name), **{"zarr_format": self.zarr_format, **properties})

    def create_group(self, name: str, **properties: Any) -> "Group":
        """Create a group in the group; see `tegula.create_group` for its properties.

        Consolidated metadata do not learn of it: this group no longer uses them then.
        """
        self._forget()
        return create_group(self._store, self._path(name), **{"zarr_format": self.zarr_format, **properties})

    def __repr__(self) -> str:
        return f"<tegula.Group {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        use_consolidated = None if self._native.use_consolidated is not False else False
        return _reopen, (self._store, self.path, use_consolidated)


# So many members are opened at a time.
_TOGETHER = 4096


def _reopen(store: Store, path: str, use_consolidated: bool | None) -> Group:
    return open_group(store, path, use_consolidated=use_consolidated)


def _summary(array: "_tegula.Array | _tegula.Group | BaseException") -> str:
    return f"{array.shape} {array.dtype}" if isinstance(array, _tegula.Array) else f"({array})"


def _open_node(store: Store, path: str) -> Array | Group:
    native = _tegula.open_node(store._native, path)
    return Array._wrap(native, store) if isinstance(native, _tegula.Array) else Group._wrap(native, store)


def _asdf(store: StoreLike) -> tuple[str, str] | None:
    """Split what names a node of an ASDF file, such as ``file.asdf#roman/data``."""
    if isinstance(store, Store) or not isinstance(store, (str, os.PathLike)):
        return None
    file, mark, path = os.fspath(store).partition("#")
    return (file, path) if file.endswith(".asdf") and (mark or os.path.isfile(file)) else None


def _open_asdf(file: str, path: str) -> Any:
    try:
        from tegula import asdf  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        raise UnsupportedError(f"{file}: this build of tegula cannot read ASDF files") from None
    return asdf.open_node(file, path)


def open(store: StoreLike, path: str = "/") -> Array | Group:  # noqa: A001 - tegula.open is what it is called
    """Open the array or group at a path of a store.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        A folder or a zip archive, or a path that goes on into it (``data.zarr/group/array``,
        ``data.zarr.zip/group/array``); a mapping of keys to bytes, such as a dict; or a store.
    path : str
        The path in the store.

    Raises
    ------
    NotFoundError
        If there is nothing.
    InvalidMetadataError
        If its metadata are wrong.
    UnsupportedError
        If it needs a codec or data type that is not there.
    """
    if target := _asdf(store):
        return _open_asdf(*target)  # type: ignore[no-any-return]
    return _open_node(*as_store(store, path))


def open_array(store: StoreLike, path: str = "/") -> Array:
    """Open the array at a path of a store, of Zarr V3 or V2.

    Its metadata are read, and nothing else.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        A folder or a zip archive, or a path that goes on into it (``data.zarr/group/array``,
        ``data.zarr.zip/group/array``); a mapping of keys to bytes, such as a dict; or a store.
    path : str
        The path in the store.

    Raises
    ------
    NotFoundError
        If there is no array.
    InvalidMetadataError
        If its metadata are wrong.
    UnsupportedError
        If it needs a codec or data type that is not there.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.create_array(store, "a", shape=(4,), dtype="uint8")
    >>> tegula.open_array(store, "a")
    <tegula.Array mapping:/a shape=(4,) dtype=uint8 chunks=(4,)>
    """
    if target := _asdf(store):
        return _open_asdf(*target)  # type: ignore[no-any-return]
    resolved, path = as_store(store, path)
    return Array._wrap(_tegula.Array.open(resolved._native, path), resolved)


def open_group(store: StoreLike, path: str = "/", *, use_consolidated: bool | None = None) -> Group:
    """Open the group at a path of a store, of Zarr V3 or V2.

    Consolidated metadata are what a writer noted in a group of the metadata of all that lies below it: where they are
    used, arrays and groups are found and opened without another read, and what was written since is not seen.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`.
    path : str
        The path in the store.
    use_consolidated : bool, optional
        Whether to use consolidated metadata. None: where there are such; True: a group without is an error.

    Raises
    ------
    NotFoundError
        If there is no group.
    InvalidMetadataError
        If its metadata are wrong, or there are no consolidated ones where they are asked for.
    """
    resolved, path = as_store(store, path)
    return Group._wrap(_tegula.Group.open(resolved._native, path, use_consolidated), resolved)


def _check_format(zarr_format: int) -> None:
    if zarr_format not in (2, 3):
        raise UnsupportedError(f"there are Zarr V3 and V2, no V{zarr_format}")


def _make_room(store: Store, path: str, zarr_format: int, *, overwrite: bool) -> None:
    """See that nothing is at a path, and that groups lead there."""
    where = _tegula.node_path(path)
    names = where.split("/") if where else []
    for depth in range(len(names)):
        above = "/".join(names[:depth])
        try:
            node = _tegula.open_node(store._native, above)
        except NotFoundError:
            _tegula.Group.create(store._native, above, zarr_format, {})
        else:
            if isinstance(node, _tegula.Array):
                raise StoreError(f"{node.name} is an array: nothing can be created in it")
    try:
        _tegula.open_node(store._native, where)
    except NotFoundError:
        return
    except (InvalidMetadataError, UnsupportedError):
        pass  # also something
    if not overwrite:
        raise StoreError(f"there is something at {store._native.display(where)}; overwrite=True replaces it")
    store._native.erase_below(where)


def create_group(
    store: StoreLike,
    path: str = "/",
    *,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
) -> Group:
    """Create a group, and groups that lead to it.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path in the store.
    attributes : mapping, optional
        What to write beside it: JSON.
    zarr_format : int
        3 or 2.
    overwrite : bool
        Whether to erase an array or group that is there, with all that is in it.

    Raises
    ------
    StoreError
        If something is there already.
    """
    resolved, path = as_store(store, path)
    _check_format(zarr_format)
    _make_room(resolved, path, zarr_format, overwrite=overwrite)
    return Group._wrap(_tegula.Group.create(resolved._native, path, zarr_format, dict(attributes or {})), resolved)


def create_array(
    store: StoreLike,
    path: str = "/",
    *,
    shape: int | Sequence[int],
    dtype: DTypeLike,
    chunks: int | Sequence[int] | Literal["auto"] = "auto",
    shards: int | Sequence[int] | None = None,
    fill_value: Any = 0,
    filters: Codecs = None,
    compressors: Codecs = "zstd",
    codecs: Sequence[Mapping[str, Any]] | None = None,
    dimension_names: Sequence[str | None] | None = None,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
) -> Array:
    """Create an array, and groups that lead to it. Its metadata are written, and no chunk.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`; a mapping must be mutable.
    path : str
        The path in the store.
    shape : int or sequence of int
        The shape of the array.
    dtype : data type
        Booleans, numbers (those of the package ``ml_dtypes`` too), ``datetime64`` and ``timedelta64``, structs, text
        and bytes of fixed length (``U7``, ``S7``), raw bytes (``V4``); of variable length, ``"string"`` (also ``str``
        and ``StringDType``) and ``"bytes"``. It is stored little-endian.
    chunks : sequence of int or "auto"
        The shape of a chunk (of an inner chunk, with `shards`); -1 for all of an axis. "auto": chunks of at most 1 MiB.
    shards : sequence of int, optional
        The shape of shards, a multiple of that of chunks: one object holds so many.
    fill_value
        The value of elements that were never stored.
    filters : codec or list of codecs, optional
        Codecs of elements, such as ``{"name": "transpose", "configuration": {"order": [1, 0]}}``.
    compressors : codec, list of codecs or None
        Codecs of bytes: names such as ``"zstd"``, ``"zstd:5"``, ``"gzip:6"``, ``"blosc:zstd:5:bitshuffle"`` and
        ``"crc32c"``, or ``{"name": ..., "configuration": ...}`` as in the metadata. Zarr V2 takes at most one.
    codecs : list of codecs, optional
        All codecs of a chunk as in the metadata of Zarr V3, in place of `filters` and `compressors`.
    dimension_names : sequence of str or None, optional
        The names of the dimensions (Zarr V3).
    attributes : mapping, optional
        What to write beside it: JSON.
    zarr_format : int
        3 or 2.
    overwrite : bool
        Whether to erase an array or group that is there, with all that is in it.

    Returns
    -------
    Array
        The array, all of which has the fill value.

    Raises
    ------
    StoreError
        If something is there already.
    InvalidMetadataError
        If the properties contradict each other.
    UnsupportedError
        If there is no such data type or codec.

    Examples
    --------
    >>> array = tegula.create_array(
    ...     tegula.MemoryStore(), shape=(100, 100), dtype="uint16", chunks=(10, 10), shards=(50, 50)
    ... )
    >>> array[:50, :50] = 7
    >>> array[0, 0], array[99, 99]
    (np.uint16(7), np.uint16(0))
    """
    resolved, path = as_store(store, path)
    _check_format(zarr_format)
    element = creation.data_type(dtype)
    lengths = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    inner, outer = creation.chunk_shapes(
        tuple(int(length) for length in lengths), chunks, shards, creation.item_size(element)
    )
    compression = creation.compressors(compressors, element)
    if zarr_format == 2:
        if shards is not None or filters or codecs is not None or dimension_names is not None or len(compression) > 1:
            raise UnsupportedError("arrays of Zarr V2 have one compressor, and no shards, filters or dimension names")
        chain = [creation.compressor_v2(codec) for codec in compression]
    else:
        plain = [*creation.compressors(filters, element), creation.serializer(element), *compression]
        chain = creation.codecs_v3(plain if codecs is None else codecs, inner, sharded=outer is not None)
    fill = creation.fill_bytes(fill_value, element)
    native = _tegula.Array.new(
        resolved._native,
        path,
        shape=lengths,
        chunk_shape=outer or inner,
        data_type=element,
        fill_value=fill,
        codecs=chain,
        dimension_names=dimension_names,
        attributes=dict(attributes or {}),
        zarr_format=zarr_format,
    )
    _make_room(resolved, path, zarr_format, overwrite=overwrite)
    native.store_metadata()
    return Array._wrap(native, resolved)
