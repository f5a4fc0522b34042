"""The interface that all stores share."""

import os
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any, Self

from tegula import _tegula
from tegula.errors import NotFoundError

__all__ = ["PathStore", "Store"]


class Store(MutableMapping[str, bytes]):
    """Objects under keys, as a mutable mapping of str to bytes.

    The base of all stores. A key is a path of names joined by ``/``, such as ``group/array/zarr.json``.
    """

    __slots__ = ("_native",)
    _native: _tegula.Store

    def __getitem__(self, key: str) -> bytes:
        """Read an object. Raises `NotFoundError`, which is a `KeyError`, if the key is missing."""
        value = self._native.get(key)
        if value is None:
            raise NotFoundError(f"nothing is stored at {self._native.display(key)}")
        return value

    def __setitem__(self, key: str, value: bytes) -> None:
        """Store an object atomically: readers see the old object or the new one."""
        self._native.set(key, bytes(value))

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise NotFoundError(f"nothing is stored at {self._native.display(key)}")
        self._native.erase(key)

    def close(self) -> None:
        """Complete what is being written: the archive of a `ZipStore`. Other stores hold nothing open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def clear(self) -> None:
        """Remove all objects. Links out of the store are removed, not followed."""
        self._native.erase_below("", ())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._native.exists(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._native.keys(""))

    def __len__(self) -> int:
        return len(self._native.keys(""))

    def __bool__(self) -> bool:
        # `store or default` must not drop an empty store.
        return True


class PathStore(Store):
    """A store at a path of the local filesystem."""

    __slots__ = ("_path",)

    _path: str

    @property
    def path(self) -> str:
        """The path as given."""
        return self._path

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"tegula.{type(self).__name__}({self._path!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PathStore) or type(other) is not type(self):
            return NotImplemented
        return os.path.abspath(self._path) == os.path.abspath(other._path)

    def __hash__(self) -> int:
        return hash(os.path.abspath(self._path))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (os.path.abspath(self._path),)
