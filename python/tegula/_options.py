"""Options for all arrays."""

from types import TracebackType

from tegula import _tegula
from tegula._tegula import CodecOptions

__all__ = ["Config", "config"]


class Config:
    """The options that arrays take when they are opened: `tegula.config`.

    Attributes can be set one by one, or several at once with `set`, whose changes a ``with`` statement takes back.

    Examples
    --------
    >>> with tegula.config.set(concurrent_target=1, validate_checksums=False):
    ...     tegula.config.concurrent_target
    1
    >>> tegula.config.validate_checksums
    True
    """

    __slots__ = ()

    @property
    def concurrent_target(self) -> int:
        """At most so many chunks are decoded at once; 0: as many as there are threads."""
        return _tegula.global_options().concurrent_target

    @concurrent_target.setter
    def concurrent_target(self, value: int) -> None:
        self.set(concurrent_target=value)

    @property
    def validate_checksums(self) -> bool:
        """Whether a checksum that does not fit is an error."""
        return _tegula.global_options().validate_checksums

    @validate_checksums.setter
    def validate_checksums(self, value: bool) -> None:
        self.set(validate_checksums=value)

    @property
    def store_empty_chunks(self) -> bool:
        """Whether chunks of nothing but the fill value are stored; otherwise they are erased."""
        return _tegula.global_options().store_empty_chunks

    @store_empty_chunks.setter
    def store_empty_chunks(self, value: bool) -> None:
        self.set(store_empty_chunks=value)

    @property
    def inner_chunk_order(self) -> str:
        """In which order inner chunks lie in the shards that are written: "C" or "morton"."""
        return _tegula.global_options().inner_chunk_order

    @inner_chunk_order.setter
    def inner_chunk_order(self, value: str) -> None:
        self.set(inner_chunk_order=value)

    @property
    def unlocked_writes(self) -> bool:
        """Whether chunks are changed in part where the store cannot keep other processes from doing the same."""
        return _tegula.global_options().unlocked_writes

    @unlocked_writes.setter
    def unlocked_writes(self, value: bool) -> None:
        self.set(unlocked_writes=value)

    @property
    def threads(self) -> int:
        """The threads that decode: those of ``RAYON_NUM_THREADS``, or as many as there are processors.

        To be set before the first read, which starts them.
        """
        return _tegula.threads()

    @threads.setter
    def threads(self, value: int) -> None:
        _tegula.set_threads(value)

    @property
    def requests(self) -> int:
        """How many requests to other machines are under way at once, at most; 64.

        To be set before the first of them.
        """
        return _tegula.requests()

    @requests.setter
    def requests(self, value: int) -> None:
        _tegula.set_requests(value)

    def set(
        self,
        *,
        concurrent_target: int | None = None,
        validate_checksums: bool | None = None,
        store_empty_chunks: bool | None = None,
        inner_chunk_order: str | None = None,
        unlocked_writes: bool | None = None,
        threads: int | None = None,
    ) -> "Changed":
        """Change some options.

        Parameters
        ----------
        concurrent_target, validate_checksums, store_empty_chunks, inner_chunk_order, unlocked_writes, threads
            As the attributes.

        Returns
        -------
        context manager
            At its end the options are as they were, but for `threads`.
        """
        before = _tegula.global_options()
        options = before.replace(
            concurrent_target=concurrent_target,
            validate_checksums=validate_checksums,
            store_empty_chunks=store_empty_chunks,
            inner_chunk_order=inner_chunk_order,
            unlocked_writes=unlocked_writes,
        )
        _tegula.set_global_options(options)
        if threads is not None:
            _tegula.set_threads(threads)
        return Changed(before)

    def __repr__(self) -> str:
        options = _tegula.global_options()
        return f"<tegula.config: {options!r}, threads={self.threads}>"


class Changed:
    """Options that were changed, to be changed back."""

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
