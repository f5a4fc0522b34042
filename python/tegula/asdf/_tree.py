"""What trees are made of that is not plain data.

See https://asdf-standard.readthedocs.io/en/latest/tree.html
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from tegula.asdf._file import AsdfFile

__all__ = ["Reference", "TaggedDict", "TaggedList", "TaggedString"]


class TaggedDict(dict[Any, Any]):
    """A mapping with a tag that tegula does not interpret; it is written with its tag.

    Parameters
    ----------
    tag : str
        The tag, a whole URI.
    data : mapping, optional
        What it begins with.
    """

    __slots__ = ("tag",)

    def __init__(self, tag: str, data: Mapping[Any, Any] | None = None) -> None:
        super().__init__(data or {})
        self.tag = tag

    def __repr__(self) -> str:
        return f"TaggedDict({self.tag!r}, {dict.__repr__(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.tag,), None, None, iter(self.items())


class TaggedList(list[Any]):
    """A list with a tag that tegula does not interpret; it is written with its tag.

    Parameters
    ----------
    tag : str
        The tag, a whole URI.
    data : iterable, optional
        What it begins with.
    """

    __slots__ = ("tag",)

    def __init__(self, tag: str, data: Iterable[Any] = ()) -> None:
        super().__init__(data)
        self.tag = tag

    def __repr__(self) -> str:
        return f"TaggedList({self.tag!r}, {list.__repr__(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.tag,), None, iter(self)


class TaggedString(str):
    """A scalar with a tag that tegula does not interpret; it is written with its tag.

    Parameters
    ----------
    text : str
        The scalar as it is written.
    tag : str
        The tag, a whole URI.
    """

    __slots__ = ("tag",)

    tag: str

    def __new__(cls, text: str, tag: str) -> Self:
        """Make a string with a tag."""
        string = super().__new__(cls, text)
        string.tag = tag
        return string

    def __repr__(self) -> str:
        return f"TaggedString({str.__repr__(self)}, {self.tag!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.tag)


class Reference:
    """A reference to a part of another file, or to what is not there; ``{$ref: "other.asdf#/path"}`` in the tree.

    References within a file need no such object: they are what they refer to.
    """

    __slots__ = ("_file", "uri")

    uri: str
    """The URI, as it is written: relative to the file."""

    def __init__(self, uri: str, file: "AsdfFile | None" = None) -> None:
        self.uri = uri
        self._file = file

    def resolve(self) -> Any:
        """Read what it refers to.

        Raises
        ------
        NotFoundError
            If it is not there.
        UnsupportedError
            If it lies neither in the folder of the file nor below.
        """
        if self._file is None:
            raise TypeError("a reference that belongs to no file cannot be resolved")
        return self._file._resolve(self.uri)

    def __repr__(self) -> str:
        return f"Reference({self.uri!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.uri == other.uri

    def __hash__(self) -> int:
        return hash(self.uri)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.uri, self._file)


def resolve_references(tree: Any) -> None:
    """Put into a tree what references refer to, and so on in what they refer to."""
    seen: set[int] = set()
    stack = [tree]
    while stack:
        collection = stack.pop()
        if id(collection) in seen:
            continue
        seen.add(id(collection))
        entries = collection.items() if isinstance(collection, dict) else enumerate(collection)
        for key, item in list(entries):
            value = item
            if isinstance(value, Reference):
                value = collection[key] = value.resolve()
            if isinstance(value, (dict, list)):
                stack.append(value)


# What the native module calls.

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(Z|([-+])(\d\d?)(?::(\d\d))?))?)?"
)


def timestamp(text: str) -> dt.date | str:
    """Return the date, or date and time, that YAML writes; the text where there is no such date.

    See https://yaml.org/type/timestamp.html
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return text
    year, month, day, hour, minute, second, fraction, zone, sign, hours, minutes = match.groups()
    try:
        if hour is None:
            return dt.date(int(year), int(month), int(day))
        offset = None
        if sign:
            delta = dt.timedelta(hours=int(hours), minutes=int(minutes or 0))
            offset = dt.timezone(-delta if sign == "-" else delta)
        elif zone:
            offset = dt.UTC
        micro = int((fraction or "")[:6].ljust(6, "0"))
        return dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micro, offset)
    except ValueError:
        return text


def integer(digits: str, sign: str | None = None) -> int | str:
    """Return an integer; the text where it has so many digits that Python refuses."""
    try:
        value = int(digits)
    except ValueError:
        return digits
    return -abs(value) if sign == "-" else value


def integer_of_words(words: Any, sign: str | None) -> int:
    """Return the integer that words of 32 bits make, the least significant first.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/integer-1.1.0.html
    """
    magnitude = int.from_bytes(np.asarray(words[...]).astype("<u4").tobytes(), "little")
    return -magnitude if sign == "-" else magnitude
