"""File objects of Python as stores, from which ASDF files are read in parts."""

import io
import os
import threading
from typing import Any

from tegula import _tegula
from tegula.errors import StoreError
from tegula.stores import FilesystemStore, MemoryStore, Store

__all__ = ["FileObjectStore", "beside", "local_path", "open_file_object"]


class FileObjectStore(Store):
    """A binary file object that can seek, as a store of one object. Other keys are files of a folder.

    Parameters
    ----------
    file : file
        The file object. The object begins at its position.
    key : str
        The key of the object.
    folder : str, optional
        The folder of the other files.
    """

    __slots__ = ("_folder", "_key", "_reader")

    def __init__(self, file: Any, key: str, folder: str | None = None) -> None:
        self._key = key
        self._folder = folder
        self._reader = _Reader(file)
        beside = None if folder is None else FilesystemStore(folder)._native
        name = getattr(file, "name", None)
        shown = f"{type(file).__name__} {name}" if isinstance(name, str) and name else f"{type(file).__name__} object"
        self._native = _tegula.Store.file_object(self._reader, key, shown, self._reader.size, beside)

    def replace(self, written: Any) -> None:
        """Write another file in the place of this one. The store keeps the old content, in memory.

        Parameters
        ----------
        written : file
            The new content.
        """
        self._reader.replace(written)

    def __repr__(self) -> str:
        return f"<tegula.asdf.FileObjectStore of {self._reader.file!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileObjectStore) and self._reader is other._reader

    def __hash__(self) -> int:
        return id(self._reader)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._reader.file, self._reader.start, self._key, self._folder)


def _restored(file: Any, start: int, key: str, folder: str | None) -> FileObjectStore:
    file.seek(start)
    return FileObjectStore(file, key, folder)


class _Reader:
    """Reads parts of a file object, one at a time: threads share its position."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.start = file.tell()
        end = file.seek(0, os.SEEK_END)
        self.size = (file.tell() if end is None else end) - self.start
        self._lock = threading.RLock()
        self._old: bytes | None = None
        if self.size <= 0:
            raise StoreError(f"nothing follows position {self.start} of {file!r}: call seek(0) before opening it")

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes; fewer at the end of the file."""
        with self._lock:
            if self._old is not None:
                return self._old[offset : offset + length]
            self.file.seek(self.start + offset)
            data = self.file.read(length)
            while len(data) < length:
                more = self.file.read(length - len(data))
                if not more:
                    break
                data += more
            return bytes(data)

    def replace(self, written: Any) -> None:
        """Write other content over that of the file."""
        with self._lock:
            if hasattr(self.file, "writable") and not self.file.writable():
                raise StoreError(f'cannot write to {self.file!r}: open it for reading and writing, as with mode "r+b"')
            self._old = self.read(0, self.size)
            self.file.seek(self.start)
            while data := written.read(1 << 20):
                self.file.write(data)
            self.file.truncate()
            self.file.flush()


def open_file_object(file: Any, uri: str | None) -> tuple[Store, str]:
    """Return a store for the file object, and the key of the file in it.

    Parameters
    ----------
    file : file
        A binary file object. If it cannot seek, it is read to its end.
    uri : str, optional
        The path that the file has.
    """
    folder, key = beside(uri)
    try:
        can_seek = file.seekable()
    except AttributeError:
        can_seek = hasattr(file, "seek") and hasattr(file, "tell")
    if isinstance(file, io.TextIOBase):
        raise TypeError(f'open the file in binary mode: {file!r} returns text; use mode "rb"')
    if can_seek:
        return FileObjectStore(file, key, folder), key
    data = file.read()
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"open the file in binary mode: reading it returned {type(data).__name__}")
    if folder is None:
        return MemoryStore({key: bytes(data)}), key
    return FileObjectStore(io.BytesIO(data), key, folder), key


def beside(uri: str | None) -> tuple[str | None, str]:
    """Return the folder and the name of a file from its path; no folder if it is not local."""
    if uri is None:
        return None, "memory.asdf"
    folder, name = os.path.split(uri.removeprefix("file://"))
    return (None if "://" in folder else folder or "."), name or "memory.asdf"


def local_path(file: Any) -> str | None:
    """Return the path of a file that Python opened to read and that is at position 0; None for other file objects.

    Other objects may have the name of a file without its content, such as those that decompress it.
    """
    raw = getattr(file, "raw", None) if type(file) is io.BufferedReader else file
    if type(raw) is not io.FileIO or not isinstance(raw.name, str):
        return None
    try:
        is_same = os.path.samestat(os.fstat(raw.fileno()), os.stat(raw.name))
        return os.path.abspath(raw.name) if is_same and not raw.writable() and file.tell() == 0 else None
    except OSError:
        return None
