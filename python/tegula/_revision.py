"""The order of the changes that threads make with one handle."""

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
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def advance(node: _Node, native: _Changed) -> None:
    """Make a handle what came of a change, unless another thread has made it what came of a later one."""
    with _lock:
        if native.revision > node._native.revision:
            node._become(native)
