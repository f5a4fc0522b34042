"""Output: colors on a terminal if rich is installed, plain text elsewhere."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from tegula._format import printable
from tegula._render import ASCII, WIDE, Guides

if TYPE_CHECKING:
    from rich.console import Console

Styled = tuple[str, str]  # text and a style of rich

NAME = "bold cyan"
LABEL = "dim"
VALUE = ""
NOTE = "italic dim"
GOOD = "green"
BAD = "red"


class Screen:
    """Prints lines of styled text. A terminal and a pipe get the same words."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.console = terminal(stream)

    @property
    def guides(self) -> Guides:
        """The line drawing that the stream's encoding allows."""
        return WIDE if (self.stream.encoding or "").lower().replace("-", "").startswith("utf") else ASCII

    def line(self, *parts: str | Styled) -> None:
        """Print a line."""
        styled = [(part, VALUE) if isinstance(part, str) else part for part in parts]
        pieces = [(printable(text), style) for text, style in styled]
        if self.console is None:
            encoding = self.stream.encoding or "ascii"
            text = "".join(text for text, _ in pieces).rstrip()
            print(text.encode(encoding, "backslashreplace").decode(encoding), file=self.stream)
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
        """Show on a terminal what the block is doing."""
        if self.console is None:
            yield
        else:
            with self.console.status(what):
                yield


def terminal(stream: TextIO) -> "Console | None":
    """Return rich's console if the stream is a terminal, colors are wanted and rich is installed."""
    if not stream.isatty() or "NO_COLOR" in os.environ:
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False, soft_wrap=True)
