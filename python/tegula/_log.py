"""The logger ``tegula``, and what happens at the end of the interpreter."""

import atexit
import logging
import os

from tegula import _tegula

logger = logging.getLogger("tegula")
"""Gets requests, retries, fallbacks and waits for locks, at level DEBUG."""

LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


def _update() -> None:
    """Tell native code which events the logger takes."""
    levels = [level for level in LEVELS if logger.isEnabledFor(level)]
    _tegula.set_log_level(levels[0] if levels else logging.CRITICAL + 1)


class _Enabled(dict[int, bool]):
    """The levels that the logger knows to be enabled. `logging` clears them whenever any level changes."""

    def clear(self) -> None:
        super().clear()
        _update()


def handle(level: int, time: float, message: str) -> None:
    """Log an event of native code, which happened some time ago."""
    record = logger.makeRecord(logger.name, level, __file__, 0, message, (), None)
    record.created, record.msecs = time, time % 1 * 1000
    logger.handle(record)


logger.addHandler(logging.NullHandler())
setattr(logger, "_cache", _Enabled())  # noqa: B010 - mypy does not know the attribute
_update()

atexit.register(_tegula.end)
os.register_at_fork(after_in_child=_tegula.after_fork)
