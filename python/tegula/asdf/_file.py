"""ASDF files."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from tegula import _tegula
from tegula.asdf import _write
from tegula.asdf._mapping import TreeMapping
from tegula.asdf._opened import Opened
from tegula.asdf._settings import ArraySettings, Storage, checked_label
from tegula.asdf._tree import Reference
from tegula.asdf._walk import copy_tree, walk
from tegula.errors import InvalidSelectionError, StoreError, UnsupportedError
from tegula.stores import FilesystemStore
from tegula.stores._resolve import local_path

__all__ = ["AsdfFile"]


class AsdfFile(TreeMapping):
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

    Examples
    --------
    >>> import tegula.asdf
    >>> tree = {"sky": {"flux": np.arange(12.0).reshape(3, 4)}, "unit": "Jy"}
    >>> tegula.asdf.AsdfFile(tree).write_to("sky.asdf")
    >>> with tegula.asdf.open("sky.asdf") as file:
    ...     print(file["unit"], file["sky"]["flux"][1, 1:3])
    Jy [5. 6.]
    """

    __slots__ = ("__weakref__", "_converters", "_mode", "_settings", "_source")

    _converters: Literal["asdf"] | None
    _mode: Literal["r", "rw"] | None
    _settings: ArraySettings
    _source: Opened | None

    def __init__(self, tree: Mapping[Any, Any] | None = None) -> None:
        self._tree = {} if tree is None else dict(tree)
        self._source = None
        self._settings = ArraySettings()
        self._converters = None
        self._mode = None

    @classmethod
    def _from_source(cls, source: Opened) -> Self:
        file = cls()
        file._source = source
        file._settings = source.settings
        file._tree = source.tree()
        return file

    # Facts.

    @property
    def version(self) -> str:
        """The version of the ASDF standard that the file follows, or would be written for."""
        return _write.STANDARD if self._source is None else self._source.native.standard or "1.0.0"

    @property
    def file_format_version(self) -> str:
        """The version of the file format."""
        return "1.0.0" if self._source is None else self._source.native.format

    @property
    def comments(self) -> list[str]:
        """The comments in the header of the file, without those that give versions."""
        return [] if self._source is None else self._source.native.comments

    @property
    def uri(self) -> str | None:
        """The name of the opened file."""
        return None if self._source is None else self._source.native.name

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

    def validate(self) -> None:
        """Validate the tree against the schemas of its tags, with the ``asdf`` library.

        Raises
        ------
        InvalidMetadataError
            If the tree does not match a schema.
        UnsupportedError
            If the library is not installed.
        """
        self._library().validate(self._tree)

    def schema_info(self, key: str = "description", path: Any = None, *, preserve_list: bool = True) -> Any:
        """Collect an annotation from the schemas of the tree's tags, with the ``asdf`` library.

        Parameters
        ----------
        key : str
            The annotation: ``"description"``, ``"title"`` and the like.
        path : str, optional
            Names and indices that lead to a part of the tree, joined by dots.
        preserve_list : bool
            Whether annotations of lists are returned in lists instead of dicts of indices.

        Raises
        ------
        UnsupportedError
            If the library is not installed.
        """
        return self._library().schema_info(self._tree, key, path, preserve_list=preserve_list)

    def _library(self, *, ignore_unrecognized_tag: bool = True) -> Any:
        from tegula.asdf._library import Library

        return Library(self.version, ignore_unrecognized_tag=ignore_unrecognized_tag)

    def _convert_tree(self, *, ignore_unrecognized_tag: bool) -> None:
        """Replace tagged nodes by the objects that converters of the ``asdf`` library make."""
        library = self._library(ignore_unrecognized_tag=ignore_unrecognized_tag)
        self._converters = "asdf"
        self._tree = library.convert(self._tree, self._source)

    # References.

    def make_reference(self, path: Sequence[str | int] = ()) -> Reference:
        """Make a reference to a part of this file, for the tree of another file in the same folder.

        Parameters
        ----------
        path : sequence of str and int
            Names and indices that lead to the part; empty: the whole tree.

        Examples
        --------
        >>> tegula.AsdfFile({"a": [1, 2]}).write_to("one.asdf")
        >>> one = tegula.open_asdf("one.asdf")
        >>> one.make_reference(["a", 1])
        Reference('one.asdf#/a/1')
        >>> tegula.AsdfFile({"b": one.make_reference(["a", 1])}).write_to("two.asdf")
        >>> tegula.open_asdf("two.asdf")["b"].resolve()
        2
        """
        names = [str(name).replace("~", "~0").replace("/", "~1") for name in path]
        file = "" if self._source is None else self._source.key.rpartition("/")[2]
        return Reference(f"{file}#{''.join(f'/{name}' for name in names)}", self._source)

    def find_references(self) -> None:
        """Replace dicts of the form ``{"$ref": uri}`` by references.

        In the tree of an opened file that has already happened.
        """
        for collection, key, value in walk(self._tree):
            if isinstance(value, dict) and isinstance(value.get("$ref"), str):
                collection[key] = Reference(value["$ref"], self._source)

    def resolve_references(self) -> None:
        """Replace references to other files by what they lead to.

        Raises
        ------
        NotFoundError
            If a file or a part of it does not exist.
        UnsupportedError
            If a file is outside the folder of this one.
        """
        for collection, key, value in walk(self._tree):
            if isinstance(value, Reference):
                collection[key] = value.resolve()

    def open_external(self, uri: str) -> "AsdfFile":
        """Open another file in the folder of this one. Each file is opened once.

        Parameters
        ----------
        uri : str
            The path relative to the folder of this file. The part after ``#`` is ignored.

        Raises
        ------
        NotFoundError
            If there is no such file.
        UnsupportedError
            If it is outside the folder of this file.
        """
        if self._source is None:
            raise UnsupportedError(f"cannot open {uri!r}: a file in memory is in no folder")
        native, _ = self._source.native.target(uri.partition("#")[0] + "#")
        return self._source.related(native).file

    # Writing.

    def write_to(
        self,
        fd: Any,
        *,
        all_array_storage: Storage | None = None,
        all_array_compression: str | None = "input",
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
            `set_array_storage`, by default in blocks.
        all_array_compression : {"input", None, "zlib", "bzp2", "lz4", "zstd", "blsc", "bls2", "lz4f", "xz"}
            The compression of blocks of ndarrays. "input": as set by `set_array_compression`; by default arrays of
            files keep theirs and others are not compressed. "zlib" and "bzp2" are part of the standard, the Python
            library also reads "lz4", and needs extensions for the rest. Zarr arrays keep their compression.
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
        job = self._job(
            has_path=not hasattr(fd, "write"),
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
            job.write(self._tree, os.path.abspath(local))
            return
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file.asdf")
            job.write(self._tree, path)
            with open(path, "rb") as written:
                shutil.copyfileobj(written, fd, 1 << 20)

    def _job(self, **options: Any) -> _write.WriteJob:
        version = self.version if self.version in _write.VERSIONS else _write.STANDARD
        return _write.WriteJob.of(self._settings, version, self._converters, **options)

    def update(self, **options: Any) -> None:
        """Write the tree to the file it came from. Arrays that were read before do not change.

        The new file is written beside the old one and replaces it when it is complete, so a crash leaves one of them.
        It keeps the permissions of the old one. If the path is a link, the file it leads to is replaced.

        Parameters
        ----------
        **options
            As for `write_to`.

        Raises
        ------
        StoreError
            If others changed the file since it was opened, or since its last update. It stays as it is.
        """
        _, path = self._writable()
        job = self._job(**options)
        if self._source is not None:
            job.expected = self._source.version
            self._source.version = job.write(self._tree, path)

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
            raise StoreError("cannot write: the tree was not read from a local file; pass a path to write_to")
        if self._mode == "r":
            raise StoreError(f'cannot write to {source.native.name}: it was opened with mode="r"; use mode="rw"')
        return source.native, os.path.join(source.store.path, source.key)

    def set_array_storage(self, arr: Any, array_storage: Storage) -> None:
        """Set where the elements of an array, and of all views of its memory, will be stored.

        Parameters
        ----------
        arr : ndarray or AsdfArray
            An array of the tree.
        array_storage : {"internal", "inline", "external", "streamed"}
            In a block; in the tree; in a separate file; in the last block of the file, which can grow.

        Examples
        --------
        >>> file = tegula.AsdfFile({"a": np.arange(3)})
        >>> file.set_array_storage(file["a"], "inline")
        >>> file.write_to("a.asdf")
        >>> tegula.open_asdf("a.asdf")["a"]
        array([0, 1, 2])
        """
        self._settings.set_storage(arr, array_storage)

    def get_array_storage(self, arr: Any) -> str:
        """Return where the elements of an array will be stored; see `set_array_storage`."""
        return self._settings.of(arr).storage or _write.stored_as(arr)[0]

    def set_array_compression(self, arr: Any, compression: str | None, **compression_kwargs: Any) -> None:
        """Set the compression of an array and of all views of its memory.

        Parameters
        ----------
        arr : ndarray or AsdfArray
            An array of the tree.
        compression : str or None
            As for `write_to`.
        **compression_kwargs
            Options of the compression, such as ``level``.

        Raises
        ------
        UnsupportedError
            If there is no such compression.
        """
        label = checked_label(compression)
        options = self._settings.change(arr)
        options.compression, options.compression_kwargs = label, compression_kwargs

    def get_array_compression(self, arr: Any) -> str | None:
        """Return the compression an array will have; None: it will not be compressed."""
        compression = self._settings.of(arr).compression
        return _write.stored_as(arr)[1] if compression == "input" else compression

    def get_array_compression_kwargs(self, arr: Any) -> dict[str, Any]:
        """Return the options of an array's compression; see `set_array_compression`."""
        return self._settings.of(arr).compression_kwargs

    def set_array_save_base(self, arr: Any, save_base: bool | None) -> None:
        """Set whether the memory that an ndarray is a view of is written as one block for all its views.

        Parameters
        ----------
        arr : ndarray
            An array of the tree.
        save_base : bool or None
            None, as by default: each view has a block with its elements alone.
        """
        self._settings.change(arr).save_base = save_base

    def get_array_save_base(self, arr: Any) -> bool | None:
        """Return whether views of one memory share a block; see `set_array_save_base`."""
        return self._settings.of(arr).save_base

    # Life.

    def _load(self) -> None:
        """Read all ndarrays, and put them into the tree in place of the stored arrays."""
        if self._source is not None:
            loaded = self._source.load()
            for collection, key, value in walk(self._tree):
                if id(value) in loaded:
                    collection[key] = loaded[id(value)]

    def copy(self) -> "AsdfFile":
        """Return a file in memory with copies of the tree's collections and ndarrays.

        Arrays of opened files are not copied, as they cannot change.
        """
        return AsdfFile(copy_tree(self._tree))

    def close(self) -> None:
        """Release the memory map. The tree and its arrays remain usable, and keep open what they need."""
        if self._source is not None:
            self._source.unmap()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return (AsdfFile, (self._tree,)) if self._source is None else (_restore, self._source.address())


def _restore(*address: Any) -> AsdfFile:
    return Opened.open(*address).file
