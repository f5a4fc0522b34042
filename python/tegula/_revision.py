"""Which of the changes that threads make through one handle is the latest."""

import os
import threading
from typing import Any, Protocol, TypeVar

Native = TypeVar("Native", bound="_Changed")


class _Changed(Protocol):
    @property
    def revision(self) -> int: ...


class _Node(Protocol):
    @property
    def _native(self) -> Any: ...
    def _become(self, native: Any) -> None: ...


_lock = threading.Lock()


def _renew() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held the lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def advance(node: _Node, native: _Changed) -> None:
    """Give a handle the result of a change, unless it already has the result of a later one."""
    with _lock:
        if native.revision > node._native.revision:
            node._become(native)
