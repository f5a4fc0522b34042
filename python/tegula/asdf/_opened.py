"""Opened ASDF files: the native handle, and the Python objects made from its nodes."""

import os
import weakref
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from tegula import _tegula
from tegula.asdf._array import AsdfArray
from tegula.asdf._settings import ArraySettings, FileMap
from tegula.asdf._tree import Reference
from tegula.stores import FilesystemStore, RemoteStore, Store

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tegula.asdf._file import AsdfFile

__all__ = ["Opened", "reopen"]


class Opened:
    """An opened file. Arrays and references of the file hold it, so that they outlive the `AsdfFile`.

    It holds neither the `AsdfFile` nor arrays, so that the file is closed when the last of them is gone.

    Parameters
    ----------
    native : _tegula.AsdfFile
        The file of the core.
    store : Store
        The store that contains the file. Files that this one refers to are opened in the same store.
    file_type : type[AsdfFile]
        The class of `Opened.file`.
    parent : Opened, optional
        The file whose reference led here. Both share the files they refer to.
    memmap : bool
        As for `tegula.asdf.open`.
    """

    __slots__ = (
        "__weakref__",
        "_arrays",
        "_file",
        "_file_type",
        "_files",
        "_mapped",
        "_targets",
        "memmap",
        "native",
        "settings",
        "store",
        "version",
    )

    def __init__(
        self,
        native: _tegula.AsdfFile,
        store: Store,
        file_type: "type[AsdfFile]",
        parent: "Opened | None" = None,
        *,
        memmap: bool = True,
    ) -> None:
        self.native = native
        self.store = store
        self.memmap = memmap
        self.settings = ArraySettings()
        # The version of the file that an update may replace: the one that was opened, then the one that was written.
        self.version = native.file_version
        self._arrays: MutableMapping[int, AsdfArray] = weakref.WeakValueDictionary()
        self._file: weakref.ref[AsdfFile] | None = None
        self._file_type = file_type
        self._mapped: NDArray[np.uint8] | None = None
        # By name; and what references lead to, by name and node.
        self._files: MutableMapping[str, Opened] = weakref.WeakValueDictionary() if parent is None else parent._files
        self._targets: dict[tuple[str, int], Any] = {} if parent is None else parent._targets
        self._files[native.name] = self

    @classmethod
    def open(
        cls,
        store: Store,
        key: str,
        file_type: "type[AsdfFile]",
        memmap: bool = True,
        validate_checksums: bool = False,
        allow_external: bool = False,
    ) -> Self:
        """Open the file under a key of a store."""
        native = _tegula.AsdfFile.open(store._native, key, validate_checksums, allow_external)
        return cls(native, store, file_type, memmap=memmap)

    @property
    def key(self) -> str:
        """The key of the file in its store."""
        return self.native.key

    @property
    def is_named(self) -> bool:
        """Whether the name of the file leads to it: the path of a local file or a URL."""
        return isinstance(self.store, (FilesystemStore, RemoteStore))

    @property
    def file(self) -> "AsdfFile":
        """The file as users see it."""
        file = None if self._file is None else self._file()
        if file is None:
            file = self._file_type._from_source(self)
            self._file = weakref.ref(file)
        return file

    def tree(self, node: int | None = None) -> Any:
        """Convert a node, by default the root, and everything below it."""
        return self.native.tree(self.native.root if node is None else node, self)

    def address(self) -> tuple[Any, ...]:
        """Return the arguments with which `open` opens the file again."""
        return self.store, self.key, self._file_type, self.memmap, *self.native.options

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen, self.address()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    # The native module calls these while it converts a tree.

    def array(self, node: int) -> AsdfArray:
        """Return the array of a node, always the same object."""
        array = self._arrays.get(node)
        if array is None:
            array = self._arrays[node] = AsdfArray._of(self, node)
        return array

    def arrays(self) -> list[AsdfArray]:
        """Return the arrays of the nodes that were converted."""
        return list(self._arrays.values())

    def inline(self, elements: Any) -> None:
        """Record that an array came from the tree, so that it is written into the tree again."""
        if isinstance(elements, np.ndarray):
            self.settings.change(elements).storage = "inline"

    def reference(self, uri: str) -> Reference:
        """Return a reference that this file contains."""
        return Reference(uri, self)

    # Other files.

    def related(self, native: _tegula.AsdfFile) -> "Opened":
        """Return a file that this one refers to. Each is opened once."""
        known = self._files.get(native.name)
        if known is not None:
            return known
        store = self.store if native.outside is None else FilesystemStore(native.outside)
        return Opened(native, store, self._file_type, self, memmap=self.memmap)

    def resolve(self, uri: str) -> Any:
        """Return the part of a tree that a reference of this file leads to."""
        native, node = self.native.target(uri)
        target = (native.name, node)
        if target not in self._targets:
            self._targets[target] = self.related(native).tree(node)
        return self._targets[target]

    # The memory map.

    def memory(self) -> NDArray[np.uint8] | None:
        """Map the file into memory; None if it is not a local file, or was replaced since it was opened."""
        if self._mapped is None and isinstance(self.store, FilesystemStore):
            mapped: NDArray[np.uint8] = FileMap(os.path.join(self.store.path, self.key), np.uint8, "r")
            # Checked after mapping: if the path still leads to the opened file, that file was mapped.
            if self.native.is_current():
                self._mapped = mapped
        return self._mapped

    def release(self) -> None:
        """Let go of the memory map and of what references led to. Their users keep them until they are gone."""
        self._mapped = None
        self._targets.clear()

    # Reading everything.

    def load(self) -> dict[int, NDArray[Any]]:
        """Read all ndarrays that are not chunked, in threads; by the `id` of the array. They keep their settings."""
        from concurrent.futures import ThreadPoolExecutor

        arrays = [array for array in self.arrays() if not (array.is_zarr or array.is_chunked)]
        with ThreadPoolExecutor(min(_tegula.threads(), 16)) as pool:
            loaded = list(pool.map(lambda array: array[...], arrays))
        for array, elements in zip(arrays, loaded, strict=True):
            storage, label = array._stored_as()
            # Elements in another file come into this one.
            storage = "internal" if storage == "external" else storage
            if label or storage != "internal":
                options = self.settings.change(elements)
                options.storage, options.compression = storage, label
        return {id(array): elements for array, elements in zip(arrays, loaded, strict=True)}


_recent: dict[tuple[Any, ...], Opened] = {}
_MOST_RECENT = 8


def reopen(*address: Any) -> Opened:
    """Open a file, or return a recently opened one that has not changed: unpickled arrays share their file."""
    opened = _recent.pop(address, None)
    if opened is None or not opened.native.is_current():
        opened = Opened.open(*address)
    while len(_recent) >= _MOST_RECENT:
        _recent.pop(next(iter(_recent)), None)
    _recent[address] = opened
    return opened
