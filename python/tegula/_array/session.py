"""Sessions of many writes."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.change import behind
from tegula._array.handle import Index, Region
from tegula._array.index import Assigner, Parse, assign, blocks_of
from tegula._array.selection import parse, parse_orthogonal, parse_points
from tegula._async import Answer, then, twin
from tegula._format import byte_size

if TYPE_CHECKING:
    from tegula._array.array import Array

__all__ = ["WriteSession"]


class WriteSession:
    """Writes that come in any order and from many threads, put together to chunks; see `Array.write_session`.

    A chunk (a shard, of a sharded array) is stored as soon as all of its elements in the array are there, once, by the
    thread that brought the last of them. When more is staged than the session's memory allows, the fullest chunks are
    stored early, and what is missing of them is read if it is stored. Besides there are the chunks that are just being
    stored. What one call covers whole is stored at once and not copied.

    Reads of the array do not see what is staged. Of two calls that write the same element the later one counts.

    At the end of the ``with`` block the rest is stored. Where the block is left by an exception, what is not stored yet
    is discarded. Where a chunk cannot be stored, the call that tried raises an error that names it, and what was staged
    stays so: `flush` tries again.
    """

    __slots__ = ("_array", "_native")

    def __init__(self, array: "Array", memory: int | str) -> None:
        self._array = array
        self._native = _tegula.WriteSession(array._native, memory)

    def _deferred(self, done: Answer[Any]) -> Self:
        session = object.__new__(type(self))
        session._array = self._array
        session._native = self._native.deferred(done)
        return session

    @property
    def array(self) -> "Array":
        """The array. It has the new shape when what was appended is stored."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array, with what was appended."""
        return self._native.shape

    @property
    def name(self) -> str:
        """Store and path of the array, for people."""
        return self._array.name

    @property
    def staged(self) -> int:
        """The bytes that are staged."""
        return self._native.staged

    def __repr__(self) -> str:
        return f"<tegula.WriteSession of {self.name} shape={self.shape} staged={byte_size(self.staged)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
        """Orthogonal indices, to be assigned to; see `Array.oindex`.

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
        """Indices of points, to be assigned to; see `Array.vindex`."""
        return Assigner(self, parse_points)

    @property
    def blocks(self) -> Assigner:
        """The elements of chunks, to be assigned to; see `Array.blocks`. What was appended counts."""
        return Assigner(self, blocks_of(self._native.array()))

    def store_chunk(self, chunk: Index, data: Any) -> None:
        """Write a chunk, padding past the array's end included; see `Array.store_chunk`."""
        return self._native.store_region("chunk", chunk, self._data(data))

    async_store_chunk = twin(store_chunk)

    def store_chunk_subset(self, chunk: Index, subset: Region, data: Any) -> None:
        """Write a region of a chunk, as seen from the chunk's first element; see `Array.store_chunk_subset`."""
        return self._native.store_region("chunk_subset", (chunk, subset), self._data(data))

    async_store_chunk_subset = twin(store_chunk_subset)

    def store_array_subset(self, subset: Region, data: Any) -> None:
        """Write a region; see `Array.store_array_subset`."""
        return self._native.store_region("subset", subset, self._data(data))

    async_store_array_subset = twin(store_array_subset)

    def append(self, data: Any, axis: int = 0) -> tuple[int, ...]:
        """Write elements behind the end of an axis.

        The first call asks how large the array is by now. The new shape is stored when all else is: at the end, or by
        `flush`. Nobody else may append to the array meanwhile.

        Parameters
        ----------
        data : array_like
            The elements; along the other axes it is as long as the array.
        axis : int
            The axis.

        Returns
        -------
        tuple of int
            The new shape.

        Raises
        ------
        InvalidSelectionError
            If there is no such axis, or the shape of `data` does not fit.
        """
        return self._native.append(*behind(self._array, self.shape, data, axis))

    async_append = twin(append)

    def flush(self) -> None:
        """Store everything that is staged, and the shape if it changed. The session goes on."""
        return then(self, self._native.flush(), WriteSession._grow)

    async_flush = twin(flush)

    def close(self) -> None:
        """Store everything that is staged, as `flush` does, and end the session. Where that fails, it goes on."""
        return then(self, self._native.finish(), WriteSession._grow)

    async_close = twin(close)

    def discard(self) -> None:
        """End the session without what is not stored yet.

        Chunks that are stored stay so, but for those that lie past the end of the array as it was. A session that has
        ended stays as it is.
        """
        self._native.discard()

    def _grow(self, shape: tuple[int, ...]) -> None:
        if shape != self._array.shape:
            self._array._become(self._native.array())

    def _data(self, data: Any) -> NDArray[Any]:
        return data if isinstance(data, np.ndarray) else np.asarray(data, self._array.dtype)
