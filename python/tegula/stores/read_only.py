"""Read-only views of stores."""

from tegula.stores._base import Store

__all__ = ["ReadOnlyStore"]


class ReadOnlyStore(Store):
    """Another store without its writing side: the store of an array or group that was opened with mode "r".

    Parameters
    ----------
    store : Store
        The store.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._native = store._native.read_only('it was opened with mode "r"; "r+" allows changes')

    @property
    def store(self) -> Store:
        """The store."""
        return self._store

    def __repr__(self) -> str:
        return f"tegula.stores.ReadOnlyStore({self._store!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReadOnlyStore) and self._store == other._store

    def __hash__(self) -> int:
        return hash(("r", self._store))

    def __reduce__(self) -> tuple[type["ReadOnlyStore"], tuple[Store]]:
        return ReadOnlyStore, (self._store,)
