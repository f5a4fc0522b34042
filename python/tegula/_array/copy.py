"""Copying an array into another."""

from typing import TYPE_CHECKING

from tegula import _tegula
from tegula._array.geometry import Geometry
from tegula._progress import Progress, reporting

if TYPE_CHECKING:
    from tegula._array.array import Array


class Copying(Geometry):
    """The method of an array that copies it."""

    __slots__ = ()

    def copy_to(self, target: "Array", *, max_memory: int | str | None = None, progress: Progress = None) -> None:
        """Copy all elements into another array of the same shape and data type, with whatever chunks and codecs.

        Regions of whole chunks are read and written one after the other, each on all threads. Where chunks, codecs and
        fill value are the same, chunks are copied as they are stored, and not decoded. Chunks that are not stored here
        are not stored there afterwards, where the fill value is the same.

        Parameters
        ----------
        target : Array
            The other array.
        max_memory : int or str, optional
            So many bytes of memory may be used, as a number or like ``"2 GB"``; by default 1 GiB, or what one chunk
            takes, if that is more.
        progress : bool or callable, optional
            True draws a bar, if standard error is a terminal. A callable is called with the bytes that are done and
            those of all, after each region; elements of variable length count as 16 bytes. What it raises ends the
            copy, as Ctrl-C does: chunks of `target` are then as they were, or wholly copied.

        Raises
        ------
        InvalidSelectionError
            If shapes or data types differ, or `max_memory` is less than one chunk takes.

        Examples
        --------
        >>> array = tegula.create_array({}, data=np.arange(6), chunks=2)
        >>> other = tegula.create_array({}, shape=6, dtype="int64", chunks=5, compressors="gzip")
        >>> array.copy_to(other)
        >>> other[...]
        array([0, 1, 2, 3, 4, 5])
        """
        memory = None if max_memory is None else _tegula.bytes_of(max_memory)
        with reporting(progress, "copying") as report:
            _tegula.copy_array(self._native, target._native, max_memory=memory, is_new=False, progress=report)
