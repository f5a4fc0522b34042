"""Objects in trees that are not plain data, and conversions of scalars.

See https://asdf-standard.readthedocs.io/en/latest/tree.html
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self

import numpy as np

from tegula.errors import InvalidMetadataError

__all__ = ["Reference", "TaggedDict", "TaggedList", "TaggedString"]


class TaggedDict(dict[Any, Any]):
    """A mapping with a tag that tegula does not interpret. The tag is written back.

    Parameters
    ----------
    tag : str
        The full URI of the tag.
    data : mapping, optional
        The initial content.
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
    """A list with a tag that tegula does not interpret. The tag is written back.

    Parameters
    ----------
    tag : str
        The full URI of the tag.
    data : iterable, optional
        The initial content.
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
    """A scalar with a tag that tegula does not interpret. The tag is written back.

    Parameters
    ----------
    text : str
        The text of the scalar.
    tag : str
        The full URI of the tag.
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


class Resolver(Protocol):
    """Finds what references lead to: the file that contains them."""

    def resolve(self, uri: str) -> Any:
        """Return the part of a tree that a URI names, relative to the file."""


class Reference:
    """A reference to a part of another file: ``{$ref: "other.asdf#/path"}`` in the tree.

    References within a file are replaced when the file is opened, unless they lead nowhere.
    """

    __slots__ = ("_file", "uri")

    uri: str
    """The URI as it is stored, relative to the file that contains the reference."""

    def __init__(self, uri: str, file: Resolver | None = None) -> None:
        self.uri = uri
        self._file = file

    def resolve(self) -> Any:
        """Read the part of the other file's tree.

        Raises
        ------
        NotFoundError
            If the file or the part does not exist.
        UnsupportedError
            If the other file is outside the folder of this one.
        """
        if self._file is None:
            raise TypeError(
                f"cannot resolve {self!r}: it belongs to no file; AsdfFile.make_reference makes one that does"
            )
        return self._file.resolve(self.uri)

    def __repr__(self) -> str:
        return f"Reference({self.uri!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.uri == other.uri

    def __hash__(self) -> int:
        return hash(self.uri)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.uri, self._file)


_CORE = "tag:stsci.edu:asdf/core/"

_TAGS_OF_LIBRARY = {
    "ExtensionMetadata": f"{_CORE}extension_metadata-1.0.0",
    "HistoryEntry": f"{_CORE}history_entry-1.0.0",
    "Software": f"{_CORE}software-1.0.0",
    "SubclassMetadata": f"{_CORE}subclass_metadata-1.0.0",
}


# The native module calls these.


def tag_of(value: Any) -> str | None:
    """Return the tag of a collection or string, of tegula or of the ``asdf`` library; None if it has no tag."""
    kind = type(value)
    if kind.__module__.partition(".")[0] == "asdf":
        tag = _TAGS_OF_LIBRARY.get(kind.__name__) or getattr(value, "_tag", None)
    else:
        # An attribute of this name of other classes can mean anything.
        tag = value.tag if isinstance(value, (TaggedDict, TaggedList, TaggedString)) else None
    return tag if isinstance(tag, str) else None


_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(Z|([-+])(\d\d?)(?::(\d\d))?))?)?"
)


def timestamp(text: str) -> dt.date | str:
    """Parse a timestamp of YAML; return the text itself if there is no such date.

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
    """Parse an integer; return the text itself if it has more digits than Python converts."""
    try:
        value = int(digits)
    except ValueError:
        return digits
    return -abs(value) if sign == "-" else value


def integer_of_words(words: Any, sign: str | None) -> int:
    """Combine 32-bit words, least significant first, into an integer.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/integer-1.1.0.html
    """
    found = np.asarray(words[...])
    if found.dtype.kind not in "iu":
        raise InvalidMetadataError(f"the words of an integer are {found.dtype}, expected uint32")
    magnitude = int.from_bytes(found.astype("<u4").tobytes(), "little")
    return -magnitude if sign == "-" else magnitude


def words(value: int) -> tuple[str, list[int], str]:
    """Split an integer into its sign, its 32-bit words, least significant first, and its decimal digits.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/integer-1.1.0.html
    """
    magnitude = abs(value)
    count = (magnitude.bit_length() + 31) // 32
    found = np.frombuffer(magnitude.to_bytes(4 * count, "little"), "<u4").tolist()
    try:
        digits = str(value)
    except ValueError:
        digits = hex(value)
    return ("-" if value < 0 else "+"), found, digits
