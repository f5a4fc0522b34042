"""How far something is: a bar on a terminal, or calls of whatever a caller gave."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeAlias

Report: TypeAlias = Callable[[int, int], object]
"""Is called with the bytes that are done, and those of all."""

Progress: TypeAlias = bool | Report | None
"""What callers may ask for: True, a bar on the terminal; a callable, to be called; False or None, nothing."""

INTERVAL = 0.1
"""A line is drawn again after so many seconds."""


@contextmanager
def reporting(progress: Progress, what: str, stream: TextIO | None = None) -> Iterator[Report | None]:
    """Give what is to be called while something goes on; None: nobody wants to know.

    Parameters
    ----------
    progress : bool, callable or None
        What the caller asked for. True draws a bar, if the stream is a terminal: that of the package ``rich`` if it is
        installed, else a line.
    what : str
        What goes on, for the bar.
    stream : file, optional
        Where the bar is drawn; by default standard error.
    """
    screen = sys.stderr if stream is None else stream
    if callable(progress):
        yield progress
    elif not progress or screen is None or not screen.isatty():
        yield None
    else:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
            from rich.progress import Progress as Bar
        except ImportError:
            with _line(what, screen) as report:
                yield report
            return
        columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), DownloadColumn()]
        columns += [TransferSpeedColumn(), TimeRemainingColumn()]
        with Bar(*columns, console=Console(file=screen)) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _line(what: str, stream: TextIO) -> Iterator[Report]:
    """Draw a line again and again."""
    drawn = float("-inf")

    def report(done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn >= INTERVAL or done == total:
            drawn = now
            percent = 100 * done // total if total else 100
            stream.write(f"\r{what} {percent:3} % of {total / 1e6:,.1f} MB")
            stream.flush()

    try:
        yield report
    finally:
        stream.write("\n")
        stream.flush()


def joined(report: Report | None, before: int, total: int) -> Report | None:
    """Make of the report of a whole that of a part, before which so many bytes were done."""
    return None if report is None else lambda done, _: report(before + done, total)
