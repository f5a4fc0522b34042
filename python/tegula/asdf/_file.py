"""ASDF files."""

import copy
import io
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from tegula import _tegula
from tegula._array.array import Array
from tegula.asdf import _write
from tegula.asdf._array import AsdfArray
from tegula.asdf._config import STANDARD, VERSIONS, checked_version, get_config
from tegula.asdf._file_object import FileObjectStore
from tegula.asdf._opened import Opened
from tegula.asdf._referring import ReferringTree
from tegula.asdf._search import NOT_SET
from tegula.asdf._settings import ArraySettings, Storage
from tegula.asdf._walk import walk
from tegula.errors import InvalidSelectionError, StoreError, UnsupportedError
from tegula.stores import FilesystemStore
from tegula.stores._resolve import local_path

__all__ = ["AsdfFile"]


class AsdfFile(ReferringTree):
    """An ASDF file: a tree of plain data and arrays, as a mapping of the names at its root.

    `tegula.asdf.open` opens files. To make a file, pass a tree and call `write_to`.

    Trees consist of dicts, lists, strings, numbers, bools, None, bytes, dates and arrays. Arrays of an opened file are
    `AsdfArray` s, which are read when they are used; arrays whose elements are stored in the tree are ndarrays.
    Objects with a tag that tegula does not know have an attribute ``tag`` and are written back with it. Trees can hold
    one object in several places, and themselves.

    Parameters
    ----------
    tree : mapping, optional
        The content of a new file. Its ndarrays become blocks, its tegula arrays become Zarr nodes.
    uri : str, optional
        The path that the file will have. Paths of other files are relative to its folder.
    extensions : extension or list, optional
        Extensions of the ``asdf`` library that are used besides the installed ones, which implies
        ``converters="asdf"``.
    version : str, optional
        The version of the ASDF standard to follow; by default that of the configuration, see
        `tegula.asdf.get_config`.
    ignore_unrecognized_tag : bool
        Whether to suppress warnings about tags without a converter.
    memmap, lazy_load : bool
        Have no effect on a new file; see `tegula.asdf.open`.
    custom_schema : str or os.PathLike, optional
        The path of a schema that the tree has to match too when it is validated or written, with the ``asdf`` library.

    Examples
    --------
    >>> import tegula.asdf
    >>> tree = {"sky": {"flux": np.arange(12.0).reshape(3, 4)}, "unit": "Jy"}
    >>> tegula.asdf.AsdfFile(tree).write_to("sky.asdf")
    >>> with tegula.asdf.open("sky.asdf") as file:
    ...     print(file["unit"], file["sky"]["flux"][1, 1:3])
    Jy [5. 6.]
    """

    __slots__ = ("__weakref__", "_mode", "_others")

    _mode: Literal["r", "rw"] | None
    _others: dict[str, "AsdfFile"]

    def __init__(
        self,
        tree: Mapping[Any, Any] | None = None,
        uri: str | None = None,
        extensions: Any = None,
        version: str | None = None,
        ignore_unrecognized_tag: bool = False,
        memmap: bool = True,  # noqa: ARG002
        lazy_load: bool = True,  # noqa: ARG002
        custom_schema: str | os.PathLike[str] | None = None,
    ) -> None:
        self._tree = {}
        if tree is not None:
            self.tree = tree
        self._uri = uri
        self._source = None
        self._settings = ArraySettings()
        self._converters = None
        self._extensions = []
        self._ignores_tags = ignore_unrecognized_tag
        self._custom_schema = None if custom_schema is None else os.fspath(custom_schema)
        self._mode = None
        self._others = {}
        self._version = checked_version(get_config().default_version if version is None else version)
        if extensions is not None:
            self.extensions = extensions

    @classmethod
    def _from_source(cls, source: Opened) -> Self:
        file = cls()
        file._source = source
        file._settings = source.settings
        file._tree = source.tree()
        file._version = None
        return file

    # Facts.

    @property
    def file_format_version(self) -> str:
        """The version of the file format."""
        return "1.0.0" if self._source is None else self._source.native.format

    @property
    def comments(self) -> list[str]:
        """The comments in the header of the file, without those that give versions."""
        return [] if self._source is None else self._source.native.comments

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The blocks of the opened file, as their headers describe them."""
        if self._source is None:
            return []
        names = ("offset", "allocated_size", "used_size", "data_size", "compression")
        return [dict(zip(names, block, strict=True)) for block in self._source.native.blocks()]

    def __repr__(self) -> str:
        names = map(str, list(self._tree)[:8]) if isinstance(self._tree, dict) else [type(self._tree).__name__]
        return f"<tegula.asdf.AsdfFile {self.uri or 'in memory'}: {', '.join(names)}>"

    # Checks.

    def verify(self) -> None:
        """Compare the checksums of all blocks with their data.

        Raises
        ------
        CorruptDataError
            If a checksum does not match.
        """
        if self._source is not None:
            self._source.native.verify()

    # References.

    def open_external(self, uri: str) -> "AsdfFile":
        """Open another file that this one refers to. Each file is opened once.

        Parameters
        ----------
        uri : str
            The path relative to the folder of this file. The part after ``#`` is ignored.

        Raises
        ------
        NotFoundError
            If there is no such file.
        UnsupportedError
            If it is outside the folder of this file, which was opened without ``allow_external``.
        """
        file = uri.partition("#")[0]
        if not file:
            return self
        if self._source is None:
            raise UnsupportedError(f"cannot open {uri!r}: a file in memory is in no folder; open the file by its path")
        native, _ = self._source.native.target(file + "#")
        if native.name == self._source.native.name:
            return self
        return self._others.setdefault(native.name, self._source.related(native).file)

    # Writing.

    def write_to(
        self,
        fd: Any,
        *,
        all_array_storage: Storage | None = None,
        all_array_compression: Any = NOT_SET,
        compression_kwargs: Mapping[str, Any] | None = None,
        pad_blocks: bool | float = False,
        include_block_index: bool = True,
        version: str | None = None,
        write_checksums: bool = True,
        keep_zarr_v3: bool = False,
        converters: Literal["asdf", "input"] | None = "input",
    ) -> None:
        """Write the tree with its arrays to a file.

        The file gets its name when it is complete, so a file can be read from and written to at the same time. Arrays
        of an opened file are copied as they are stored. An object that is in the tree twice is written once.

        Parameters
        ----------
        fd : str, os.PathLike or file
            The path; or a binary file that is open for writing, at its current position.
        all_array_storage : {None, "internal", "inline", "external", "streamed"}
            Where the elements of ndarrays are stored: in blocks of the file; in its tree; each in a file beside it
            that is named ``<stem>0000.asdf`` and so on; or in a last block that can grow. None: as set by
            `set_array_storage`, by default as the configuration says, else in blocks; see `tegula.asdf.get_config`.
        all_array_compression : {"input", None, "zlib", "bzp2", "lz4", "zstd", "blsc", "bls2", "lz4f", "xz"}
            The compression of blocks of ndarrays; by default that of the configuration, "input": as set by
            `set_array_compression`; by default arrays of files keep theirs and others are not compressed. "zlib" and
            "bzp2" are part of the standard, the Python library also reads "lz4", and needs extensions for the rest.
            Zarr arrays keep their compression.
        compression_kwargs : mapping, optional
            Options of the compression, such as ``level``. Instead of zstd's levels 2 to 8, arrays of 64 MiB and more
            get a lower level if that makes samples of them no larger.
        pad_blocks : bool or float
            Whether blocks are padded so that they can grow, and to which multiple of their size; True: 1.1.
        include_block_index : bool
            Whether the file ends with an index of its blocks.
        version : str, optional
            The version of the ASDF standard to follow; by default that of the opened file, or ``"1.6.0"``.
        write_checksums : bool
            Whether blocks get MD5 checksums.
        keep_zarr_v3 : bool
            Whether arrays of Zarr V3 stay V3, with their shards, under a tag that only tegula knows. By default they
            are written as Zarr V2, which others can read.
        converters : {"input", "asdf", None}
            "asdf": objects that tegula does not know are passed to the converters of the ``asdf`` library, which are
            recorded in the history; "input": as the file was opened.

        Raises
        ------
        UnsupportedError
            If the tree contains something that ASDF, or this version of it, does not have.
        StoreError
            If the file cannot be written, or is a directory or a pipe.
        """
        if isinstance(fd, io.TextIOBase):
            raise TypeError(f'cannot write to {fd!r}, which takes text: open the file in binary mode, "wb"')
        # A file of fsspec that is still to be opened.
        is_pending = hasattr(fd, "fs") and not hasattr(fd, "write") and not isinstance(fd, os.PathLike)
        job = self._job(
            has_path=not (hasattr(fd, "write") or is_pending),
            all_array_storage=all_array_storage,
            all_array_compression=all_array_compression,
            compression_kwargs=compression_kwargs,
            pad_blocks=pad_blocks,
            include_block_index=include_block_index,
            version=version,
            write_checksums=write_checksums,
            keep_zarr_v3=keep_zarr_v3,
            converters=converters,
        )
        if job.has_path:
            local = local_path(os.fspath(fd))
            if local is None:
                raise UnsupportedError(f"cannot write {fd}: write a local file, and upload it")
            if ".asdf#" in local:
                raise UnsupportedError(
                    f"cannot write {fd}: it names a node of a file; write the whole file, or update it"
                )
            self._perform(job, os.path.abspath(local))
            return
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file.asdf")
            job.write(self._tree, path)
            with open(path, "rb") as written, fd if is_pending else nullcontext(fd) as out:
                shutil.copyfileobj(written, out, 1 << 20)

    def _perform(self, job: _write.WriteJob, path: str) -> None:
        version = job.write(self._tree, path)
        source = self._source
        if source is None or not isinstance(source.store, FilesystemStore):
            return
        if path == os.path.abspath(os.path.join(source.store.path, source.key)):
            # What this file wrote itself, the next update may replace.
            source.version = version

    def _job(self, **options: Any) -> _write.WriteJob:
        if self._custom_schema is not None:
            self.validate()
        version = self.version if self.version in VERSIONS else STANDARD
        return _write.WriteJob.of(self._settings, version, self._converters, self._extensions, **options)

    def update(self, *arguments: Any, **options: Any) -> None:
        """Write the tree to the file it came from. Arrays that were read before do not change.

        The new file is written beside the old one and replaces it when it is complete, so a crash leaves one of them.
        It keeps the permissions of the old one. If the path is a link, the file it leads to is replaced.

        A file object that was opened with ``mode="rw"`` is overwritten. Arrays then read its old content from memory.

        Parameters
        ----------
        **options
            As for `write_to`.

        Raises
        ------
        StoreError
            If others changed the file since it was opened, or since its last update. It stays as it is.
        """
        if arguments:
            raise TypeError(
                "AsdfFile.update stores the tree in its file, and takes options of write_to; file.tree.update(...) "
                "changes the tree"
            )
        if self._source is not None and isinstance(self._source.store, FileObjectStore):
            self._update_file_object(self._source.store, options)
            return
        _, path = self._writable()
        job = self._job(**options)
        if self._source is not None:
            job.expected = self._source.version
        self._perform(job, path)

    def _update_file_object(self, store: FileObjectStore, options: dict[str, Any]) -> None:
        if self._mode != "rw":
            raise StoreError(f'cannot update {store!r}: it was opened to read; use mode="rw", or write_to')
        with tempfile.TemporaryFile() as written:
            self.write_to(written, **options)
            written.seek(0)
            store.replace(written)

    def append(self, node: str, rows: Any) -> int:
        """Append rows to a streamed array of the file, without changing anything else.

        Arrays that were opened before keep the number of rows they had.

        Parameters
        ----------
        node : str
            The path of the array in the tree: names and indices, joined by ``/``.
        rows : array_like
            The rows, of the shape of the array except for its first axis.

        Returns
        -------
        int
            The new number of rows.

        Raises
        ------
        UnsupportedError
            If the array is not streamed.

        Examples
        --------
        >>> file = tegula.AsdfFile({"rows": np.zeros((0, 3), "f4")})
        >>> file.set_array_storage(file["rows"], "streamed")
        >>> file.write_to("rows.asdf")
        >>> tegula.open_asdf("rows.asdf").append("rows", [[1, 2, 3], [4, 5, 6]])
        2
        >>> tegula.open_asdf("rows.asdf")["rows"][:, 1]
        array([2., 5.], dtype=float32)
        """
        native, path = self._writable()
        dtype, shape = native.stored(native.find(node))
        elements = np.asarray(rows, dtype)
        if elements.shape[1:] != shape[1:] or elements.ndim != len(shape):
            raise InvalidSelectionError(
                f"cannot append to {node!r}, an array of shape {shape}: the rows have shape {elements.shape}"
            )
        return _tegula.append_asdf(path, node, np.ascontiguousarray(elements))

    def _writable(self) -> tuple[_tegula.AsdfFile, str]:
        """Return the opened file and its path, if the file may be changed."""
        source = self._source
        if source is None or not isinstance(source.store, FilesystemStore):
            raise StoreError("cannot update: the tree was not read from a local file; pass a path to write_to")
        if self._mode == "r":
            raise StoreError(f'cannot write to {source.native.name}: it was opened with mode="r"; use mode="rw"')
        return source.native, os.path.join(source.store.path, source.key)

    # Life.

    def _load(self) -> None:
        """Read all ndarrays, and put them into the tree in place of the stored arrays."""
        if self._source is not None:
            loaded = self._source.load()
            for collection, key, value in walk(self._tree):
                if id(value) in loaded:
                    collection[key] = loaded[id(value)]

    def copy(self) -> "AsdfFile":
        """Return a file in memory with a deep copy of the tree, the settings of its arrays, and all options.

        Arrays of opened files are copied if they were assigned to; otherwise both files read the same stored array.
        Copies by `copy.copy` and `copy.deepcopy` and pickled files also belong to the opened file, so that `update`
        writes to it.
        """
        file = self.__deepcopy__({})
        file._uri, file._source, file._mode = self.uri, None, None
        return file

    def __copy__(self) -> "AsdfFile":
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> "AsdfFile":
        memo[id(self)] = file = AsdfFile()
        for _, _, value in walk(self._tree):
            if isinstance(value, Array) and not isinstance(value, AsdfArray):
                memo[id(value)] = value  # a handle of a store
        state = self._state()
        try:
            tree = copy.deepcopy(self._tree, memo)
        except RecursionError as error:
            raise UnsupportedError("cannot copy the tree: it is nested too deeply for Python") from error
        file._restore(
            tree, {**state, "_settings": [(memo.get(id(array), array), o) for array, o in state["_settings"]]}
        )
        return file

    def _state(self) -> dict[str, Any]:
        """Return all but the tree, with the settings of the arrays in it."""
        names = (
            "_converters",
            "_custom_schema",
            "_extensions",
            "_ignores_tags",
            "_mode",
            "_source",
            "_uri",
            "_version",
        )
        found = [(value, self._settings.find(value)) for _, _, value in walk(self._tree)]
        settings = [(array, copy.copy(options)) for array, options in found if options is not None]
        return {**{name: getattr(self, name) for name in names}, "_settings": settings}

    def _restore(self, tree: Any, state: dict[str, Any]) -> Self:
        for name, value in state.items():
            setattr(self, name, value)
        self._tree = tree
        self._settings = ArraySettings()
        for array, options in state["_settings"]:
            self._settings.change(array).__dict__.update(options.__dict__)
        return self

    def close(self) -> None:
        """Release the memory map and files that were opened from this one.

        The tree and its arrays remain usable, and keep open what they need. The file itself is closed with the last of
        them.
        """
        for other in self._others.values():
            other.close()
        self._others.clear()
        if self._source is not None:
            self._source.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._tree, self._state())


def _unpickled(tree: Any, state: dict[str, Any]) -> AsdfFile:
    return AsdfFile()._restore(tree, state)
