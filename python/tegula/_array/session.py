"""Write sessions: many small writes, collected into chunks."""

import os
import warnings
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.change import append_arguments
from tegula._array.handle import Index, Region
from tegula._array.index import Assigner, Parse, assign, blocks_of
from tegula._array.selection import parse, parse_orthogonal, parse_points
from tegula._async import Answer, then, twin
from tegula._elements import exact_elements
from tegula._format import byte_size

if TYPE_CHECKING:
    from tegula._array.array import Array

__all__ = ["WriteSession"]


class WriteSession:
    """Collects writes, in any order and from many threads, into chunks; see `Array.write_session`.

    A chunk (a shard, if the array is sharded) is stored once, when its last element is written, by the thread that
    wrote it. If the staged elements exceed the memory limit, the fullest chunks are stored early; their missing
    elements are read if they are stored. Chunks that are being stored do not count against the limit. A chunk that one
    call covers completely is stored immediately, without staging.

    Reads of the array do not see staged elements. If two calls write the same element, the later call wins.

    The end of the ``with`` block stores the rest. If the block ends with an exception, staged elements are discarded.
    If a chunk cannot be stored, the call raises an error that names the chunk, and its elements stay staged: `flush`
    tries again.

    A session that is neither closed nor discarded stores the rest when it is garbage collected, or when the interpreter
    ends, and warns: with a `ResourceWarning`, or with a `RuntimeWarning` if the elements are lost.
    """

    __slots__ = ("__weakref__", "_array", "_native", "_rest")

    def __init__(self, array: "Array", memory: int | str) -> None:
        self._array = array
        self._native = _tegula.WriteSession(array._native, memory)
        self._rest = weakref.finalize(self, _store_rest, self._native, array.name, os.getpid())

    def _deferred(self, done: Answer[Any]) -> Self:
        session = object.__new__(type(self))
        session._array = self._array
        session._native = self._native.deferred(done)
        return session

    @property
    def array(self) -> "Array":
        """The array. It gets the new shape when appended elements are stored."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array, including appended elements."""
        return self._native.shape

    @property
    def name(self) -> str:
        """The store and the path of the array, for messages."""
        return self._array.name

    @property
    def staged(self) -> int:
        """The size of the staged elements in bytes."""
        return self._native.staged

    def __repr__(self) -> str:
        return f"<tegula.WriteSession of {self.name} shape={self.shape} staged={byte_size(self.staged)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Whatever is lost from here on, an exception tells.
        self._rest.detach()
        if kind is None:
            self.close()
        else:
            self.discard()

    def __setitem__(self, key: Any, value: Any) -> None:
        self._set(key, value, parse)

    def _set(self, key: Any, value: Any, parse: Parse) -> None:
        assign(self._native, self.shape, self._array.dtype, key, value, parse)

    @property
    def oindex(self) -> Assigner:
        """Orthogonal indices, for assignment; see `Array.oindex`.

        Examples
        --------
        >>> array = tegula.create_array(tegula.MemoryStore(), shape=(4, 6), chunks=(2, 3), dtype="int32")
        >>> with array.write_session() as session:
        ...     session.oindex[[3, 0], [1, -1]] = [[1, 2], [3, 4]]
        ...     session.vindex[[1, 2], [5, 5]] = 7
        ...     session.blocks[1, 0] = 9
        >>> array[...]
        array([[0, 3, 0, 0, 0, 4],
               [0, 0, 0, 0, 0, 7],
               [9, 9, 9, 0, 0, 7],
               [9, 9, 9, 0, 0, 2]], dtype=int32)
        """
        return Assigner(self, parse_orthogonal)

    @property
    def vindex(self) -> Assigner:
        """Vectorized indices, for assignment; see `Array.vindex`."""
        return Assigner(self, parse_points)

    @property
    def blocks(self) -> Assigner:
        """Chunks, for assignment; see `Array.blocks`. The grid includes appended elements."""
        return Assigner(self, blocks_of(self._native.array()))

    def store_chunk(self, chunk: Index, data: Any) -> None:
        """Write a chunk, including padding past the end of the array; see `Array.store_chunk`."""
        return self._native.store_region("chunk", chunk, self._exact(data))

    async_store_chunk = twin(store_chunk)

    def store_chunk_subset(self, chunk: Index, subset: Region, data: Any) -> None:
        """Write a region of a chunk, relative to the first element of the chunk; see `Array.store_chunk_subset`."""
        return self._native.store_region("chunk_subset", (chunk, subset), self._exact(data))

    async_store_chunk_subset = twin(store_chunk_subset)

    def store_array_subset(self, subset: Region, data: Any) -> None:
        """Write a region; see `Array.store_array_subset`."""
        return self._native.store_region("subset", subset, self._exact(data))

    async_store_array_subset = twin(store_array_subset)

    def append(self, data: Any, axis: int = 0) -> tuple[int, ...]:
        """Append elements along an axis.

        The first call reads the current shape of the array. The new shape is stored last: by `flush`, or at the end.
        Nothing else may append to the array during the session.

        Parameters
        ----------
        data : array_like
            The elements. Along the other axes, their shape is that of the array.
        axis : int
            The axis that grows.

        Returns
        -------
        tuple of int
            The new shape.

        Raises
        ------
        InvalidSelectionError
            If the axis does not exist, or the shape of `data` does not match.
        """
        return self._native.append(*append_arguments(self._array, self.shape, data, axis))

    async_append = twin(append)

    def flush(self) -> None:
        """Store all staged elements, and the shape if it changed. The session stays open."""
        return then(self, self._native.flush(), WriteSession._update_shape)

    async_flush = twin(flush)

    def close(self) -> None:
        """Store all staged elements, as `flush` does, and end the session. If that fails, the session stays open."""
        return then(self, self._native.finish(), WriteSession._update_shape)

    async_close = twin(close)

    def discard(self) -> None:
        """End the session and discard staged elements.

        Chunks that were already stored remain, except those past the original end of the array. Does nothing if the
        session has ended.
        """
        self._native.discard()

    def _update_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self._array.shape:
            self._array._become(self._native.array())

    def _exact(self, data: Any) -> NDArray[Any]:
        return exact_elements(data, self._array.dtype)


def _store_rest(native: _tegula.WriteSession, name: str, process: int) -> None:
    """Store what a session that was not closed has staged."""
    if os.getpid() != process or not native.has_unsaved:
        return
    staged = byte_size(native.staged)
    try:
        native.finish()
    except Exception as error:  # noqa: BLE001 - at the end, nobody is left to catch it
        message = f"a write session of {name} was not closed, and its staged elements ({staged}) are lost: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    else:
        message = f"a write session of {name} was not closed; its staged elements were stored at its end"
        warnings.warn(message, ResourceWarning, stacklevel=2)
