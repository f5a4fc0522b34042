"""How servers are reached: the keywords of all functions that take a URL."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeAlias, TypedDict, TypeVar

from tegula._guide import unknown_keyword

__all__ = ["ACCESS", "AccessOptions", "StorageOptions", "with_access"]

P = ParamSpec("P")
T = TypeVar("T")

StorageOptions: TypeAlias = Mapping[str, Any]
"""How to reach a server; see `tegula.RemoteStore`."""


class AccessOptions(TypedDict, total=False):
    """The most common options of `tegula.RemoteStore`, as keywords of the functions that take a URL."""

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


ACCESS = tuple(AccessOptions.__annotations__)


def with_access(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that takes `AccessOptions` as keywords, too, and adds them to its `storage_options`.

    Its catch-all parameter is named ``_access`` if it takes no other keywords.
    """
    parameters = inspect.signature(function).parameters
    takes_others = any(each.kind is each.VAR_KEYWORD and name != "_access" for name, each in parameters.items())
    own = [name for name in parameters if name != "_access"]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        given = {name: kwargs.pop(name) for name in ACCESS if name in kwargs}
        if given:
            known: Any = kwargs.get("storage_options") or {}
            kwargs["storage_options"] = {**known, **given}
        if not takes_others:
            for name in kwargs:
                if name not in own:
                    raise unknown_keyword(function.__name__, name, [*own, *ACCESS])
        return function(*args, **kwargs)

    return call
