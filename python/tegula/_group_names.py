"""Names of zarr-python's and h5py's groups, for those who come from them."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tegula._array.array import Array
from tegula._array.zarr_names import Info
from tegula._format import byte_size
from tegula._guide import guided
from tegula._new_array import data_type, like
from tegula.errors import InvalidMetadataError, NotFoundError, StoreError, UnsupportedError
from tegula.stores import ReadOnlyStore, Store

__all__ = ["GroupNames"]


class GroupNames:
    """Methods and properties that zarr-python's groups have too, with the same meaning."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def path(self) -> str: ...
        @property
        def name(self) -> str: ...
        @property
        def store(self) -> Store: ...
        @property
        def attrs(self) -> Any: ...
        @property
        def info(self) -> Info: ...
        def _path(self, name: str) -> str: ...
        def kinds(self, *, recursive: bool = False) -> dict[str, Any]: ...
        def traverse(self) -> Iterator[tuple[str, Any]]: ...
        def create_array(self, name: str, **properties: Any) -> Array: ...
        def create_group(self, name: str, **properties: Any) -> Self: ...
        def arrays(self) -> Iterator[tuple[str, Array]]: ...
        def groups(self) -> Iterator[tuple[str, Self]]: ...
        def __getitem__(self, name: str) -> Any: ...

    def __enter__(self) -> Self:
        """Return this group.

        The end of a ``with`` block completes a zip archive that is being written, if this is the group at its root; an
        exception gives it up. Otherwise nothing is open.
        """
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.path:
            self.store.__exit__(kind, error, trace)

    @property
    def basename(self) -> str:
        """The last name of the path; empty for the root of the store."""
        return self.path.rpartition("/")[2]

    @property
    def store_path(self) -> str:
        """The store and the path; as `name`."""
        return self.name

    @property
    def read_only(self) -> bool:
        """Whether the group was opened with mode "r"."""
        return isinstance(self.store, ReadOnlyStore)

    @guided
    def nmembers(self, max_depth: int | None = 0) -> int:
        """Return the number of arrays and groups, to a depth below this group; None for all."""
        return len(_above(self.kinds(recursive=max_depth != 0), max_depth))

    def array_values(self) -> Iterator[Array]:
        """Open the arrays in the group, one after the other."""
        return (array for _, array in self.arrays())

    def group_values(self) -> Iterator[Self]:
        """Open the groups in the group, one after the other."""
        return (group for _, group in self.groups())

    def info_complete(self) -> Info:
        """Return `info` with the number and size of everything below the group."""
        arrays = [node for _, node in self.traverse() if isinstance(node, Array)]
        rows = [
            ("below", f"{self.nmembers(None):,} nodes, {len(arrays):,} of them arrays"),
            ("size", byte_size(sum(array.nbytes for array in arrays))),
        ]
        return Info("\n".join([self.info, *(f"{label:<12}{text}" for label, text in rows)]))

    def update_attributes(self, new_attributes: Mapping[str, Any]) -> Self:
        """Set attributes, and return this group; as ``group.attrs.update(...)``."""
        self.attrs.update(new_attributes)
        return self

    def __setitem__(self, name: str, value: Any) -> None:
        """Create an array with elements. An array of this name is replaced; a group is not.

        Examples
        --------
        >>> root = tegula.group()
        >>> root["counts"] = [1, 2, 3]
        >>> root["counts"][1:]
        array([2, 3])
        """
        is_node = isinstance(value, (Array, GroupNames))
        if is_node or isinstance(value, Mapping):
            call = "tegula.copy(node, group.store" if is_node else "tegula.save(group.store, mapping"
            raise TypeError(
                f"cannot assign a {type(value).__name__} to {name!r}: call {call}, {self._path(str(name))!r})"
            )
        existing = self._existing(name)
        if existing is not None and not isinstance(existing, Array):
            raise StoreError(f"{existing.name} is a group; del group[{name!r}] first to replace it by an array")
        self.create_array(name, data=value, overwrite=existing is not None)

    def _existing(self, name: str) -> Any:
        try:
            return self[name]
        except NotFoundError:
            return None

    @guided
    def require_group(self, name: str, *, overwrite: bool = False, **properties: Any) -> Self:
        """Open a group, or create it if nothing is there; with `overwrite`, always create it."""
        existing = None if overwrite else self._existing(name)
        if isinstance(existing, Array):
            raise StoreError(f"{existing.name} is an array, not a group")
        if existing is None:
            return self.create_group(name, overwrite=overwrite, **properties)
        return existing  # type: ignore[no-any-return]

    def require_groups(self, *names: str) -> tuple[Self, ...]:
        """Open or create several groups; see `require_group`."""
        return tuple(self.require_group(name) for name in names)

    @guided
    def require_array(
        self, name: str, *, shape: Any = None, dtype: Any = None, exact: bool = False, **properties: Any
    ) -> Array:
        """Open an array of a shape and data type, or create it if nothing is there.

        Parameters
        ----------
        name : str
            The name or path.
        shape : int or sequence of int
            The shape, which an existing array must have.
        dtype : data type, optional
            The data type, to which the elements of an existing array must be convertible; by default float64.
        exact : bool
            Whether an existing array must have the data type itself.
        **properties
            Properties of a new array; see `tegula.create_array`.

        Raises
        ------
        InvalidMetadataError
            If an array is there with another shape or data type.
        StoreError
            If a group is there.
        """
        existing = self._existing(name)
        if existing is None:
            given = {"shape": shape, "dtype": dtype}
            if properties.get("data") is None and dtype is None:
                given["dtype"] = "float64"
            return self.create_array(name, **given, **properties)
        if not isinstance(existing, Array):
            raise StoreError(f"{existing.name} is a group, not an array")
        if shape is None and properties.get("data") is not None:
            shape = np.shape(properties["data"])
        wanted = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape or ())
        if existing.shape != wanted:
            raise InvalidMetadataError(f"{existing.name} has shape {existing.shape}, not {wanted}")
        other = None if dtype is None else data_type(dtype)
        if isinstance(other, str) or existing._native.is_variable:
            fits = other in (None, existing.data_type)
        else:
            fits = other is None or existing.dtype == other or (not exact and np.can_cast(existing.dtype, other))
        if not fits:
            raise InvalidMetadataError(f"{existing.name} has data type {existing.data_type}, not {other}")
        return existing

    def require_dataset(self, name: str, *, shape: Any = None, dtype: Any = None, **properties: Any) -> Array:
        """Open or create an array; h5py's name of `require_array`."""
        return self.require_array(name, shape=shape, dtype=dtype, **properties)

    def create_dataset(
        self, name: str, shape: Any = None, dtype: Any = None, data: Any = None, **properties: Any
    ) -> Array:
        """Create an array; h5py's name of `create_array`, with h5py's arguments by position.

        Examples
        --------
        >>> tegula.group().create_dataset("counts", (4, 6), "int32")
        <tegula.Array memory:/counts shape=(4, 6) dtype=int32 chunks=(4, 6)>
        """
        if data is None and dtype is None:
            dtype = "float64"
        return self.create_array(name, shape=shape, dtype=dtype, data=data, **properties)

    @guided
    def create_hierarchy(self, nodes: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[tuple[str, Any]]:
        """Create several arrays and groups below the group.

        Parameters
        ----------
        nodes : mapping of str to mapping
            For each path, the properties of an array, as for `tegula.create_array`, or of a group, without `shape` and
            `data`. Groups above them are created too.
        overwrite : bool
            Whether to erase what exists at these paths.

        Returns
        -------
        iterator of (path, Array or Group)
            The new nodes, sorted by path.

        Examples
        --------
        >>> nodes = {"survey": {"attributes": {"band": "F129"}}, "survey/flux": {"shape": 4, "dtype": "float32"}}
        >>> [path for path, _ in tegula.group().create_hierarchy(nodes)]
        ['survey', 'survey/flux']
        """
        for path, properties in nodes.items():
            if not isinstance(properties, Mapping):
                raise TypeError(f"the node {path!r} needs a mapping of properties, not {type(properties).__name__}")
        made = []
        for path, properties in sorted(nodes.items()):
            is_array = properties.get("shape") is not None or properties.get("data") is not None
            create: Any = self.create_array if is_array else self.create_group
            made.append((path, create(path, **{"overwrite": overwrite, **properties})))
        return iter(made)

    def move(self, source: str, dest: str) -> None:
        """Raise an error that names `tegula.copy`: stores cannot rename nodes."""
        raise UnsupportedError(
            f"stores cannot rename nodes: call tegula.copy(group[{source!r}], group.store, {self._path(dest)!r}), then "
            f"del group[{source!r}]"
        )

    def full(self, *, name: str, shape: Any, fill_value: Any, dtype: Any = None, **properties: Any) -> Array:
        """Create an array whose elements are all a value; see `tegula.full`."""
        if dtype is None:
            dtype = str if isinstance(fill_value, str) else np.asarray(fill_value).dtype
        return self.create_array(name, shape=shape, dtype=dtype, fill_value=fill_value, **properties)

    def zeros(self, *, name: str, shape: Any, dtype: Any = "float64", **properties: Any) -> Array:
        """Create an array of zeros; see `tegula.zeros`."""
        return self.create_array(name, shape=shape, dtype=dtype, **properties)

    def empty(self, *, name: str, shape: Any, dtype: Any = "float64", **properties: Any) -> Array:
        """Create an array without chunks; see `tegula.empty`."""
        return self.create_array(name, shape=shape, dtype=dtype, **properties)

    def ones(self, *, name: str, shape: Any, dtype: Any = "float64", **properties: Any) -> Array:
        """Create an array of ones; see `tegula.ones`."""
        return self.create_array(name, shape=shape, dtype=dtype, fill_value=1, **properties)

    # The names are those of zarr-python, which takes them by keyword only.

    def full_like(self, *, name: str, data: Any, fill_value: Any, **properties: Any) -> Array:
        """Create an array like another one, whose elements are all a value; see `tegula.full_like`."""
        return self.create_array(name, **like(data, properties, fill_value=fill_value))

    def zeros_like(self, *, name: str, data: Any, **properties: Any) -> Array:
        """Create an array of zeros like another one; see `tegula.full_like`."""
        return self.create_array(name, **like(data, properties))

    def empty_like(self, *, name: str, data: Any, **properties: Any) -> Array:
        """Create an array without chunks like another one; see `tegula.full_like`."""
        return self.create_array(name, **like(data, properties))

    def ones_like(self, *, name: str, data: Any, **properties: Any) -> Array:
        """Create an array of ones like another one; see `tegula.full_like`."""
        return self.create_array(name, **like(data, properties, fill_value=1))


def _above(kinds: Mapping[str, Any], max_depth: int | None) -> list[str]:
    """Return the paths to a depth: 0 for the members of the group itself."""
    return [path for path in kinds if max_depth is None or path.count("/") <= max_depth]
