"""Where text goes: colours and progress bars on a terminal (with rich, if it is there), plain text elsewhere."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
Styled = tuple[str, str]  # text and a style of rich's

NAME = "bold cyan"
LABEL = "dim"
VALUE = ""
NOTE = "italic dim"
GOOD = "green"
BAD = "red"


class Screen:
    """Print lines of styled text. The same words on a terminal and in a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.console = terminal(stream)

    @property
    def unicode(self) -> bool:
        """Whether lines and dots can be drawn."""
        return (self.stream.encoding or "").lower().replace("-", "").startswith("utf")

    def line(self, *parts: str | Styled) -> None:
        """Print a line."""
        styled = [(part, VALUE) if isinstance(part, str) else part for part in parts]
        pieces = [(printable(text), style) for text, style in styled]
        if self.console is None:
            text = "".join(text for text, _ in pieces)
            if not self.unicode:
                encoding = self.stream.encoding or "ascii"
                text = text.encode(encoding, "backslashreplace").decode(encoding)
            print(text.rstrip(), file=self.stream)
        else:
            from rich.text import Text

            self.console.print(Text.assemble(*pieces))

    def pairs(self, pairs: Iterable[tuple[str, str]], indent: str = "  ") -> None:
        """Print names and values in two columns."""
        rows = list(pairs)
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.line(indent, (name.ljust(width), LABEL), "  ", value)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Say on a terminal what goes on while the block runs."""
        if self.console is None:
            yield
        else:
            with self.console.status(what):
                yield

    def progress(self, items: Sequence[T], what: str) -> Iterator[T]:
        """Go through items, with a bar on a terminal."""
        if self.console is None:
            yield from items
            return
        from rich.progress import track

        yield from track(items, description=what, console=self.console, transient=True)


def terminal(stream: TextIO) -> "Console | None":
    """Return what draws on a terminal, if the stream is one and rich is there."""
    if not stream.isatty() or "NO_COLOR" in os.environ:
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """Escape what would steer a terminal: names and values in a file are anyone's."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def count(n: int, what: str) -> str:
    """Write a number of things: `1 chunk`, `12,000 chunks`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def size(n: int) -> str:
    """Write a number of bytes, with three digits."""
    if n < 1000:
        return count(n, "byte")
    units = ["kB", "MB", "GB", "TB", "PB", "EB"]
    value, unit = n / 1000, units.pop(0)
    while value >= 999.5 and units:
        value, unit = value / 1000, units.pop(0)
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.3g} {unit}"


def share(part: int, whole: int) -> str:
    """Write a ratio as a percentage that is never rounded to nothing."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 9.95 or not part else f"{percent:.2g} %"
