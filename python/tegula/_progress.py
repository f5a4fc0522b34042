"""Progress of long operations: a bar on a terminal, or calls of the caller's function."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO, TypeAlias

from tegula._format import byte_size, count

__all__ = ["Progress", "Report", "joined", "reporting"]

Report: TypeAlias = Callable[[int, int], object]
"""Called with the amount that is done and the total."""

Progress: TypeAlias = bool | Report | None
"""What callers may pass: True draws a bar on the terminal, a callable is called, False and None do nothing."""

INTERVAL = 0.1
"""Seconds between two updates of the line."""


@contextmanager
def reporting(
    progress: Progress, what: str, stream: TextIO | None = None, *, unit: Literal["byte", "chunk"] = "byte"
) -> Iterator[Report | None]:
    """Yield the function that reports progress inside the block, or None if nobody is interested.

    Parameters
    ----------
    progress : bool, callable or None
        What the caller asked for. True draws a bar if the stream is a terminal: a bar of the package ``rich`` if it is
        installed, otherwise a line.
    what : str
        The name of the operation.
    stream : file, optional
        Where the bar is drawn; by default standard error.
    unit : {"byte", "chunk"}
        What is counted.
    """
    screen = sys.stderr if stream is None else stream
    if callable(progress):
        yield progress
    elif not progress or screen is None or not screen.isatty():
        yield None
    else:
        try:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )
            from rich.progress import Progress as Bar
        except ImportError:
            with _line(what, unit, screen) as report:
                yield report
            return
        amount: list[Any] = [DownloadColumn(), TransferSpeedColumn()] if unit == "byte" else [MofNCompleteColumn()]
        columns = [TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn()]
        with Bar(*columns, console=Console(file=screen)) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _line(what: str, unit: str, stream: TextIO) -> Iterator[Report]:
    """Draw one line, again and again."""
    drawn = float("-inf")

    def report(done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn >= INTERVAL or done == total:
            drawn = now
            percent = 100 * done // total if total else 100
            stream.write(f"\r{what} {percent:3} % of {byte_size(total) if unit == 'byte' else count(total, unit)}")
            stream.flush()

    try:
        yield report
    finally:
        stream.write("\n")
        stream.flush()


def joined(report: Report | None, before: int, total: int) -> Report | None:
    """Return the report of a part of an operation, which starts after `before` of `total`."""
    return None if report is None else lambda done, _: report(before + done, total)
