"""Groups: nodes that contain arrays and groups."""

import warnings
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from tegula import _tegula
from tegula._array.array import Array
from tegula._array.zarr_names import Info
from tegula._attributes import Attributes
from tegula._create import create_array, new_group
from tegula._group_names import GroupNames
from tegula._guide import guided, missing_group_name
from tegula._location import erase, nearby
from tegula._tree import Branch, Tree
from tegula.errors import DamagedWarning, Error, NotFoundError, StoreError
from tegula.stores import FilesystemStore, ReadOnlyStore, Store

__all__ = ["Group"]

Kind: TypeAlias = Literal["array", "group", "damaged"]


class Group(GroupNames, Mapping[str, "Array | Group"]):
    """A group of arrays and groups, as a mapping of names or paths to nodes.

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

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("groups come from tegula.open_group and tegula.create_group")

    @classmethod
    def _wrap(cls, native: _tegula.Group, store: Store) -> "Group":
        group = object.__new__(cls)
        group._store = store
        group._become(native)
        return group

    def _become(self, native: _tegula.Group) -> None:
        self._native = native

    @property
    def attrs(self) -> Attributes:
        """The attributes, as a mapping. Changes are stored immediately."""
        return Attributes(self)

    @property
    def metadata(self) -> dict[str, Any]:
        """The stored metadata: the contents of ``zarr.json``, or of ``.zgroup`` for Zarr V2."""
        return self._native.metadata()

    @property
    def zarr_format(self) -> int:
        """The Zarr version: 3 or 2."""
        return self._native.zarr_format

    @property
    def store(self) -> Store:
        """The store that contains the group."""
        return self._store

    @property
    def path(self) -> str:
        """The path in the store, without a slash at either end."""
        return self._native.path

    @property
    def name(self) -> str:
        """The store and path, for messages."""
        return self._native.name

    def _path(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def __getitem__(self, name: str) -> "Array | Group":
        """Open an array or group by its name, or by its path relative to this group."""
        if not isinstance(name, str):
            raise TypeError(f"the name of an array or group is a str, not {type(name).__name__}")
        if not name.strip("/"):
            raise NotFoundError(f"{name!r} is not the name of an array or group")
        try:
            return self._node(self._native.member(name))
        except NotFoundError as error:
            if self.is_consolidated:
                raise  # Looking would read the store.
            raise NotFoundError(f"{error}{nearby(self._store, self._path(name))}") from None

    def _node(self, native: "_tegula.Array | _tegula.Group") -> "Array | Group":
        if isinstance(native, _tegula.Array):
            return Array._wrap(native, self._store)
        return Group._wrap(native, self._store)

    def _open(self, names: list[str]) -> "Iterator[tuple[str, Array | Group]]":
        """Open members in batches. Damaged ones are left out; a warning at the end names each of them."""
        damaged = []
        for first in range(0, len(names), _TOGETHER):
            some = names[first : first + _TOGETHER]
            for name, found in zip(some, self._native.open_members(some), strict=True):
                if not isinstance(found, BaseException):
                    yield name, self._node(found)
                elif self._is_damage(found):
                    damaged.append((name, found))
                else:
                    raise found
        warn_of_damage(self.name, damaged)

    def _is_damage(self, error: BaseException) -> bool:
        """Return whether an error concerns one member. A server that fails is no damage of a member."""
        store = self._store
        while isinstance(store, ReadOnlyStore):
            store = store.store
        is_local = isinstance(store, FilesystemStore)
        return isinstance(error, Error) and (is_local or not isinstance(error, (StoreError, NotFoundError)))

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        try:
            self[name]
        except NotFoundError:
            return False
        except Error:
            # A node that cannot be opened is still a member.
            return True
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.kinds())

    def __len__(self) -> int:
        return len(self.kinds())

    def items(self) -> "ItemsView[str, Array | Group]":
        """Return the names and nodes of the members. Damaged members are left out, with a `DamagedWarning`."""
        return _Items(self)

    def values(self) -> "ValuesView[Array | Group]":
        """Return the nodes of the members. Damaged members are left out, with a `DamagedWarning`."""
        return _Values(self)

    def __bool__(self) -> bool:
        # `group or default` must not drop an empty group.
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def is_consolidated(self) -> bool:
        """Whether members come from consolidated metadata, of this group or of one above it."""
        return self._native.is_consolidated

    @overload
    def members(self, max_depth: int | None = 0) -> "tuple[tuple[str, Array | Group], ...]": ...
    @overload
    def members(self, *, recursive: bool) -> dict[str, Kind]: ...
    def members(self, max_depth: int | None = 0, *, recursive: bool | None = None) -> Any:
        """Open the arrays and groups in the group.

        Parameters
        ----------
        max_depth : int, optional
            The depth of the members: 0 for those of the group itself, None for all. Names are then paths relative to
            this group, and a group precedes its members.
        recursive : bool, optional
            Return only the kinds of members, as `kinds` does.

        Returns
        -------
        tuple of (name, Array or Group)
        """
        if recursive is not None:
            return self.kinds(recursive=recursive)
        names = self.kinds(recursive=max_depth != 0)
        return tuple(self._open([name for name in names if max_depth is None or name.count("/") <= max_depth]))

    @guided
    def kinds(self, *, recursive: bool = False) -> dict[str, Kind]:
        """Return the kinds of the members by name, without opening them.

        A member whose metadata is that of neither an array nor a group, such as an empty ``zarr.json``, is "damaged".

        Parameters
        ----------
        recursive : bool
            Whether to include the members of groups. Names are then paths relative to this group, and a group precedes
            its members.
        """
        return dict(self._native.members(recursive))

    def _keys(self, kind: Literal["array", "group"]) -> list[str]:
        return [name for name, found in self._native.members(False) if found == kind]

    def array_keys(self) -> list[str]:
        """Return the names of the arrays in the group."""
        return self._keys("array")

    def group_keys(self) -> list[str]:
        """Return the names of the groups in the group."""
        return self._keys("group")

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Open the arrays in the group, one after the other.

        Examples
        --------
        >>> root = tegula.group()
        >>> root["counts"] = [1, 2, 3]
        >>> [(name, array.shape) for name, array in root.arrays()]
        [('counts', (3,))]
        """
        return ((name, node) for name, node in self._open(self.array_keys()) if isinstance(node, Array))

    def groups(self) -> "Iterator[tuple[str, Group]]":
        """Open the groups in the group, one after the other."""
        return ((name, node) for name, node in self._open(self.group_keys()) if isinstance(node, Group))

    def traverse(self) -> "Iterator[tuple[str, Array | Group]]":
        """Open everything below the group, one node after the other.

        Damaged nodes are left out; a `DamagedWarning` at the end names each of them.

        Yields
        ------
        path : str
            The path relative to this group. Names are sorted, and a group precedes its members.
        node : Array or Group
            The node.

        Examples
        --------
        >>> root = tegula.create_group({})
        >>> _ = root.create_array("survey/flux", shape=(4, 6), dtype="float32")
        >>> [(path, type(node).__name__) for path, node in root.traverse()]
        [('survey', 'Group'), ('survey/flux', 'Array')]
        """
        return self._open(list(self.kinds(recursive=True)))

    @guided
    def tree(self, *, level: int | None = None) -> Tree:
        """Draw everything below the group, with the shapes and data types of arrays.

        Parameters
        ----------
        level : int, optional
            The number of levels to draw; by default all.

        Returns
        -------
        Tree
            `print` shows text; notebooks show groups that fold.
        """
        members, problems = self._native.survey(level != 1)
        shown = [(path, kind) for path, kind in members if level is None or path.count("/") < level]
        opened = iter(self._native.open_members([path for path, kind in shown if kind == "array"]))
        damage = {path: f"(damaged: {message})" for path, message in problems}
        root = Branch(f"/{self.path}")
        for path, kind in shown:
            note = damage.get(path, "") if kind != "array" else _summary(next(opened))
            root.add(path, note, is_group=kind == "group")
        return Tree(root)

    def _repr_html_(self) -> str:
        return self.tree()._repr_html_()

    @property
    def info(self) -> Info:
        """A description on several lines. `info_complete` adds what is below the group."""
        kinds = list(self.kinds().values())
        rows = [
            ("name", self.name),
            ("format", f"Zarr V{self.zarr_format}"),
            ("arrays", str(kinds.count("array"))),
            ("groups", str(kinds.count("group"))),
            ("damaged", str(kinds.count("damaged") or "")),
        ]
        return Info("\n".join(f"{label:<12}{text}" for label, text in rows if text))

    @guided
    def create_array(self, name: str, **properties: Any) -> Array:
        """Create an array in the group; see `tegula.create_array` for its properties."""
        return create_array(self._store, self._path(name), **{"zarr_format": self.zarr_format, **properties})

    @guided
    def create_group(self, name: str, **properties: Any) -> "Group":
        """Create a group in the group; see `tegula.create_group` for its properties."""
        native = new_group(self._store, self._path(name), **{"zarr_format": self.zarr_format, **properties})
        return Group._wrap(native, self._store)

    def __delitem__(self, name: str) -> None:
        """Delete an array or group, by its name or its path relative to this group, with everything below it."""
        if not isinstance(name, str):
            raise TypeError(f"the name of an array or group is a str, not {type(name).__name__}")
        if not name.strip("/"):
            raise NotFoundError(f"{name!r} is not the name of an array or group")
        erase(self._store, self._path(name))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise missing_group_name(self, name)

    def __copy__(self) -> "Group":
        return Group._wrap(self._native, self._store)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Group":
        return self.__copy__()  # a handle of the same stored group

    def __repr__(self) -> str:
        return f"<tegula.Group {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        use_consolidated = None if self._native.use_consolidated is not False else False
        return _reopen, (self._store, self.path, use_consolidated)


class _Items(ItemsView[str, "Array | Group"]):
    """The names and nodes of a group's members."""

    _mapping: Group

    def __iter__(self) -> "Iterator[tuple[str, Array | Group]]":
        return self._mapping._open(list(self._mapping))


class _Values(ValuesView["Array | Group"]):
    """The nodes of a group's members."""

    _mapping: Group

    def __iter__(self) -> "Iterator[Array | Group]":
        return (node for _, node in self._mapping._open(list(self._mapping)))


def warn_of_damage(group: str, damaged: Iterable[tuple[str, BaseException | str]]) -> None:
    """Warn of members of a group that are damaged and were left out."""
    for name, error in damaged:
        warnings.warn(f"{name!r} in {group} is damaged and was left out: {error}", DamagedWarning, stacklevel=3)


# Number of members opened per batch.
_TOGETHER = 4096


def _reopen(store: Store, path: str, use_consolidated: bool | None) -> Group:
    return Group._wrap(_tegula.Group.open(store._native, path, use_consolidated), store)


def _summary(array: "_tegula.Array | _tegula.Group | BaseException") -> str:
    return f"{array.shape} {array.dtype}" if isinstance(array, _tegula.Array) else f"({array})"
