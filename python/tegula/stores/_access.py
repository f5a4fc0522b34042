"""How servers are reached: the keywords that all functions with a URL take."""

import difflib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

__all__ = ["AccessOptions", "StorageOptions", "access_options", "split_access"]

StorageOptions: TypeAlias = Mapping[str, Any]
"""How to reach a server; see `tegula.RemoteStore`."""


class AccessOptions(TypedDict, total=False):
    """The most common of the options of `tegula.RemoteStore`, as keywords of functions that take a URL."""

    anonymous: bool
    endpoint: str
    region: str
    headers: Mapping[str, str]
    allow_http: bool
    access_key_id: str
    secret_access_key: str
    session_token: str
    timeout: float
    connect_timeout: float
    retries: int
    retry_timeout: float
    missing_statuses: Sequence[int]
    max_download: int | str


KEYWORDS = tuple(AccessOptions.__annotations__)


def access_options(storage_options: StorageOptions | None, given: Mapping[str, Any]) -> StorageOptions | None:
    """Join `storage_options` and the keywords of a function. A keyword that is none is the function's TypeError."""
    for name in given:
        if name not in KEYWORDS:
            raise unexpected(name)
    return {**(storage_options or {}), **given} if given else storage_options


def split_access(storage_options: StorageOptions | None, given: dict[str, Any]) -> StorageOptions | None:
    """Take the options of servers out of the keywords of a function, and join them to `storage_options`."""
    return access_options(storage_options, {name: given.pop(name) for name in KEYWORDS if name in given})


def unexpected(name: str, more: Sequence[str] = ()) -> TypeError:
    """Return the error for an unknown keyword of the function that called the caller, with the nearest known one."""
    code = sys._getframe(2).f_code
    names = [*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], *KEYWORDS, *more]
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return TypeError(f"{code.co_name}() got an unexpected keyword argument {name!r}{hint}")
