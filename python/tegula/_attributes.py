"""Attributes of arrays and groups."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from tegula._revision import advance

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

__all__ = ["Attributes"]


class _Node(Protocol):
    @property
    def _native(self) -> Any: ...
    def _become(self, native: Any) -> None: ...


class Attributes(MutableMapping[str, Any]):
    """The attributes of an array or a group: a mapping of names to JSON values.

    Each change is stored at once; `update` and `put` store all their changes in one write. The stored document is read
    again first, so that changes by others are kept. Writers of one document wait for each other: threads always,
    processes if the store is a local folder. On an object store, a writer that finds a change of another process starts
    again. The handle takes the shape that is stored. A value that is a list or a dict is a copy: change it and set it
    again. Consolidated metadata of the groups above are updated.

    Examples
    --------
    >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4,), dtype="uint8", attributes={"unit": "Jy"})
    >>> array.attrs["band"] = "F129"
    >>> array.attrs.update(unit="MJy/sr", offset=[0, 1.5])
    >>> del array.attrs["band"]
    >>> array.attrs
    {'unit': 'MJy/sr', 'offset': [0, 1.5]}
    """

    __slots__ = ("_node",)

    def __init__(self, node: _Node) -> None:
        self._node = node

    def __getitem__(self, name: str) -> Any:
        if not isinstance(name, str):
            raise KeyError(name)
        return self._node._native.attribute(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._change({name: value})

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._change({}, [name])

    def __contains__(self, name: object) -> bool:
        return name in self._node._native.attribute_names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._node._native.attribute_names())

    def __len__(self) -> int:
        return len(self._node._native.attribute_names())

    def __repr__(self) -> str:
        return repr(self.asdict())

    def __reduce__(self) -> tuple[type["Attributes"], tuple[_Node]]:
        return Attributes, (self._node,)

    def asdict(self) -> dict[str, Any]:
        """Return a copy as a dict. Changes of it are not stored."""
        attributes: dict[str, Any] = self._node._native.attributes()
        return attributes

    def update(
        self, other: "SupportsKeysAndGetItem[str, Any] | Iterable[tuple[str, Any]]" = (), /, **attributes: Any
    ) -> None:
        """Set several attributes in one write.

        Parameters
        ----------
        other : mapping or pairs
            The attributes to set.
        **attributes
            More attributes to set.
        """
        self._change(dict(other, **attributes))

    def put(self, attributes: Mapping[str, Any]) -> None:
        """Replace all attributes in one write.

        Parameters
        ----------
        attributes : mapping
            The new attributes.
        """
        self._change(dict(attributes), clear=True)

    def clear(self) -> None:
        """Remove all attributes in one write."""
        self.put({})

    def _change(self, attributes: dict[Any, Any], remove: Iterable[str] = (), *, clear: bool = False) -> None:
        if wrong := [name for name in attributes if not isinstance(name, str)]:
            raise TypeError(f"the name of an attribute is a str, not {type(wrong[0]).__name__}")
        advance(self._node, self._node._native.change_attributes(attributes, list(remove), clear))
