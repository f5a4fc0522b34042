"""Writing files, and how their arrays are written."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from tegula import _tegula
from tegula.asdf import _write
from tegula.asdf._options import STORAGES, ArraySettings, Storage
from tegula.errors import InvalidSelectionError, StoreError
from tegula.stores import FilesystemStore, Store

__all__ = ["Saving"]


class Saving:
    """Writing, and what is said of how arrays are written."""

    __slots__ = ()

    _converters: Literal["asdf"] | None
    _key: str
    _native: _tegula.AsdfFile
    _mode: str | None
    _settings: ArraySettings
    _store: Store
    _tree: Any

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

        The file appears under its name when it is complete, so that a file can be read from and written to at once.
        Arrays of an opened file are copied as they are stored. An object that is in the tree twice is written once.

        Parameters
        ----------
        fd : str, os.PathLike or file
            The name of the file; or what is open for writing bytes, and is written at its position.
        all_array_storage : {None, "internal", "inline", "external"}
            Where the elements of ndarrays are: in blocks of the file, in its tree, or each in a file of its own, beside
            this one, which is named ``<stem>0000.asdf`` and so on. None: as `set_array_storage` said, else in blocks.
        all_array_compression : {"input", None, "zlib", "bzp2", "lz4", "zstd", "blsc", "bls2", "lz4f", "xz"}
            How blocks of ndarrays are compressed. "input": as `set_array_compression` said; arrays of files stay as
            they are stored; others are not compressed. "zlib" and "bzp2" are the standard's, "lz4" is what the Python
            library knows too, the others need extensions there. Zarr arrays keep their own compression.
        compression_kwargs : mapping, optional
            What the compression takes, such as ``level``. In place of zstd's levels 2 to 8, arrays of 64 MiB and more
            get a lower one where it makes samples of them no larger.
        pad_blocks : bool or float
            Whether blocks get room to grow, and which multiple of their size they get; True: 1.1.
        include_block_index : bool
            Whether the file says at its end where its blocks are.
        version : str, optional
            The version of the ASDF standard that the file follows: as the file that was opened did, or ``"1.6.0"``.
        write_checksums : bool
            Whether blocks get MD5 checksums.
        keep_zarr_v3 : bool
            Whether arrays of Zarr V3 stay such, with their shards, under a tag that only tegula knows. Otherwise they
            are written as arrays of Zarr V2, which others can read too.
        converters : {"input", "asdf", None}
            "asdf": objects that tegula does not know are given to converters of the ``asdf`` library, and these are
            noted in the history; "input": as the file was opened.

        Raises
        ------
        UnsupportedError
            If the tree holds what ASDF, or this version of it, cannot.
        StoreError
            If the file cannot be written, may not be, or is none but a folder or a pipe.
        """
        job = _write.Job(
            settings=self._settings,
            storage=all_array_storage,
            compression=all_array_compression,
            compression_kwargs=dict(compression_kwargs or {}),
            pad_blocks=pad_blocks,
            include_block_index=include_block_index,
            version=self._version_to_write() if version is None else version,
            checksums=write_checksums,
            keep_zarr_v3=keep_zarr_v3,
            converters=self._converters if converters == "input" else converters,
        )
        if not hasattr(fd, "write"):
            job.write(self._tree, os.path.abspath(os.fspath(fd)))
            return
        # Other files cannot lie beside what has no name.
        job.alone = True
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file.asdf")
            job.write(self._tree, path)
            with open(path, "rb") as written:
                shutil.copyfileobj(written, fd, 1 << 20)

    def _version_to_write(self) -> str:
        version: str = self.version  # type: ignore[attr-defined]
        return version if version in _write.VERSIONS else _write.STANDARD

    def append(self, node: str, rows: Any) -> int:
        """Add rows to a streamed array of the file, without touching anything else.

        Arrays that were opened before go on to show the rows that were there.

        Parameters
        ----------
        node : str
            Where the array is in the tree: names and indices, joined by ``/``.
        rows : array_like
            One or more rows, which have the shape of the array but for its first axis.

        Returns
        -------
        int
            The number of rows in the file then.

        Raises
        ------
        UnsupportedError
            If the array is not a streamed one.

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
        path = self._path_to_write()
        native = self._native
        dtype, shape = native.stored(native.find(node))
        elements = np.asarray(rows, dtype)
        if elements.shape[1:] != shape[1:] or elements.ndim != len(shape):
            raise InvalidSelectionError(f"rows of shape {elements.shape} for an array of shape {shape}")
        return _tegula.append_asdf(path, node, _write.gather(elements))

    def update(self, **options: Any) -> None:
        """Write the tree to the file it came from. Arrays that were read before go on as they are.

        The new file is written beside the old one and takes its place when it is complete, so that a crash leaves one
        of them. It has the permissions of the old one. Of a link the file that it leads to is replaced.

        Parameters
        ----------
        **options
            As for `write_to`.
        """
        self.write_to(self._path_to_write(), **options)

    def _path_to_write(self) -> str:
        """Return the path of the file that was opened, which is to change."""
        if not hasattr(self, "_native") or not isinstance(self._store, FilesystemStore):
            raise StoreError("the tree does not come from a file that can be written; write_to names one")
        if self._mode == "r":
            raise StoreError('the file was opened to be read; mode="rw" allows changes')
        return os.path.join(self._store.path, self._key)

    def set_array_storage(self, arr: Any, array_storage: Storage) -> None:
        """Say where the elements of an array, and of all views of its memory, will be.

        Parameters
        ----------
        arr : ndarray or AsdfArray
            An array of the tree.
        array_storage : {"internal", "inline", "external", "streamed"}
            In a block; in the tree; in a file of their own; in the last block of the file, which can grow.

        Examples
        --------
        >>> file = tegula.AsdfFile({"a": np.arange(3)})
        >>> file.set_array_storage(file["a"], "inline")
        >>> file.write_to("a.asdf")
        >>> tegula.open_asdf("a.asdf")["a"]
        array([0, 1, 2])
        """
        if array_storage not in STORAGES:
            raise ValueError(f"{array_storage!r} is no storage; there are {', '.join(STORAGES)}")
        if array_storage == "streamed":
            self._settings.check_stream(arr)
        self._settings.change(arr).storage = array_storage

    def get_array_storage(self, arr: Any) -> str:
        """Return where the elements of an array will be; see `set_array_storage`."""
        options = self._settings.of(arr)
        if options is not None and options.storage is not None:
            return options.storage
        return _write.stored(arr)[0]

    def set_array_compression(self, arr: Any, compression: str | None, **compression_kwargs: Any) -> None:
        """Say how an array, and all views of its memory, will be compressed.

        Parameters
        ----------
        arr : ndarray or AsdfArray
            An array of the tree.
        compression : str or None
            As for `write_to`.
        **compression_kwargs
            What the compression takes, such as ``level``.

        Raises
        ------
        UnsupportedError
            If there is no such compression.
        """
        options = self._settings.change(arr)
        options.compression = _write.checked_label(compression)
        options.compression_kwargs = compression_kwargs

    def get_array_compression(self, arr: Any) -> str | None:
        """Return how an array will be compressed, or is, if it is to stay so; None: not at all."""
        options = self._settings.of(arr)
        if options is not None and options.compression != "input":
            return options.compression
        return _write.stored(arr)[1]

    def get_array_compression_kwargs(self, arr: Any) -> dict[str, Any]:
        """Return what the compression of an array takes; see `set_array_compression`."""
        options = self._settings.of(arr)
        return {} if options is None else options.compression_kwargs

    def set_array_save_base(self, arr: Any, save_base: bool | None) -> None:
        """Say whether the whole memory that an ndarray is a view of is written, once for all views of it.

        Parameters
        ----------
        arr : ndarray
            An array of the tree.
        save_base : bool or None
            None, as where nothing is said: each view has a block of its own, with its elements alone.
        """
        self._settings.change(arr).save_base = save_base

    def get_array_save_base(self, arr: Any) -> bool | None:
        """Return whether the whole memory of an ndarray is written; see `set_array_save_base`."""
        options = self._settings.of(arr)
        return None if options is None else options.save_base
