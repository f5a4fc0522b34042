"""Options for all arrays: `tegula.config`."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload

from tegula import _tegula
from tegula._guide import guided, unknown_keyword
from tegula._tegula import CodecOptions

__all__ = ["Config", "config"]

T = TypeVar("T")


class Options(TypedDict, total=False):
    """The options of `CodecOptions`, by name."""

    concurrent_target: int | None
    validate_checksums: bool | None
    store_empty_chunks: bool | None
    inner_chunk_order: str | None
    unlocked_writes: bool | None
    missing_chunks: str | None


def check_options(function: str, options: Mapping[str, Any]) -> None:
    """Raise an error that names a similar option if an option is unknown."""
    known = [*Options.__annotations__, *(["threads"] if function == "set" else [])]
    for name in options:
        if name not in known:
            raise unknown_keyword(function, name, known)


class Option(Generic[T]):
    """An attribute of `Config` that reads and changes the option of the same name. `CodecOptions` documents it."""

    def __set_name__(self, owner: type["Config"], name: str) -> None:
        self.name = name
        self.__doc__ = getattr(CodecOptions, name).__doc__

    @overload
    def __get__(self, instance: None, owner: type["Config"]) -> "Option[T]": ...
    @overload
    def __get__(self, instance: "Config", owner: type["Config"]) -> T: ...
    def __get__(self, instance: "Config | None", owner: type["Config"]) -> Any:
        return self if instance is None else getattr(_tegula.global_options(), self.name)

    def __set__(self, instance: "Config", value: T) -> None:
        _change({self.name: value})


class Config:
    """The options that arrays take when they are opened: `tegula.config`.

    Set attributes one by one, or several at once with `set`. A ``with`` statement restores what `set` changed.

    Examples
    --------
    >>> with tegula.config.set(concurrent_target=1, validate_checksums=False):
    ...     tegula.config.concurrent_target
    1
    >>> tegula.config.validate_checksums
    True
    """

    __slots__ = ()

    concurrent_target = Option[int]()
    validate_checksums = Option[bool]()
    store_empty_chunks = Option[bool]()
    inner_chunk_order = Option[str]()
    unlocked_writes = Option[bool]()
    missing_chunks = Option[str]()

    @property
    def threads(self) -> int:
        """The number of threads that decode; by default ``RAYON_NUM_THREADS``, or the number of processors.

        It can be set before the first read, which starts the threads.
        """
        return _tegula.threads()

    @threads.setter
    def threads(self, value: int) -> None:
        _tegula.set_threads(value)

    @property
    def requests(self) -> int:
        """The maximum number of concurrent requests to servers; by default 64.

        It can be set before the first request.
        """
        return _tegula.requests()

    @requests.setter
    def requests(self, value: int) -> None:
        _tegula.set_requests(value)

    @guided
    def set(self, *, threads: int | None = None, **options: Unpack[Options]) -> "Changed":
        """Change several options.

        Parameters
        ----------
        threads
            As the attribute of this name.
        **options
            concurrent_target, validate_checksums, store_empty_chunks, inner_chunk_order, unlocked_writes,
            missing_chunks: as the attributes of these names.

        Returns
        -------
        context manager
            Leaving it restores the options, except `threads`.
        """
        check_options("set", options)
        before = _change(options)
        if threads is not None:
            _tegula.set_threads(threads)
        return Changed(before)

    def __repr__(self) -> str:
        return f"<tegula.config: {_tegula.global_options()!r}, threads={self.threads}>"


def _change(options: Any) -> CodecOptions:
    """Change global options, and return the options before."""
    before = _tegula.global_options()
    _tegula.set_global_options(before.replace(**options))
    return before


class Changed:
    """Restores the options when its ``with`` statement ends."""

    __slots__ = ("_before",)

    def __init__(self, before: CodecOptions) -> None:
        self._before = before

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _tegula.set_global_options(self._before)


config = Config()
"""The options that arrays take when they are opened; see `Config`."""
