"""Writing trees: what each object of a tree becomes in a file."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Self

import numpy as np
from numpy.lib import recfunctions
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula._group import Group
from tegula._tegula import AsdfNode
from tegula.asdf._array import AsdfArray
from tegula.asdf._config import get_config
from tegula.asdf._search import NOT_SET
from tegula.asdf._settings import ArrayOptions, ArraySettings, Storage, checked_label, checked_storage, is_mapped
from tegula.asdf._stream import Stream
from tegula.asdf._tree import Reference, TaggedDict, TaggedList, tag_of
from tegula.asdf._zarr import from_zarr, is_zarr_python
from tegula.errors import UnsupportedError

__all__ = ["WriteJob", "stored_as"]

_ROOT = "tag:stsci.edu:asdf/core/asdf-1.1.0"
_SOFTWARE = "tag:stsci.edu:asdf/core/software-1.0.0"


@dataclass
class WriteJob:
    """How one file is written; see `tegula.asdf.AsdfFile.write_to`."""

    settings: ArraySettings
    storage: str | None
    compression: str | None
    compression_kwargs: dict[str, Any]
    pad_blocks: bool | float
    include_block_index: bool
    version: str
    checksums: bool
    keep_zarr_v3: bool
    converters: Literal["asdf"] | None
    extensions: Sequence[Any]
    has_path: bool
    """Whether other files can be written beside the file."""
    expected: list[int] | None = None
    """The version that the file must still have to be replaced, if any; see ``_tegula.AsdfFile.file_version``."""
    has_stream: bool = field(default=False, init=False)
    """Whether an array that was streamed in its own file is streamed in this one."""

    @classmethod
    def of(
        cls,
        settings: ArraySettings,
        own_version: str,
        own_converters: Literal["asdf"] | None,
        extensions: Sequence[Any] = (),
        *,
        has_path: bool = True,
        all_array_storage: Storage | None = None,
        all_array_compression: Any = NOT_SET,
        compression_kwargs: Mapping[str, Any] | None = None,
        pad_blocks: bool | float = False,
        include_block_index: bool = True,
        version: str | None = None,
        write_checksums: bool = True,
        keep_zarr_v3: bool = False,
        converters: Literal["asdf", "input"] | None = "input",
    ) -> Self:
        """Return the job for a file with settings, version and converters of its own, and the options of `write_to`."""
        config = get_config()
        if all_array_compression is NOT_SET:
            all_array_compression = config.all_array_compression
        return cls(
            settings=settings,
            storage=checked_storage(all_array_storage) or config.all_array_storage,
            compression=checked_label(all_array_compression),
            compression_kwargs=dict(compression_kwargs or config.all_array_compression_kwargs or {}),
            pad_blocks=pad_blocks,
            include_block_index=include_block_index,
            version=own_version if version is None else version,
            checksums=write_checksums,
            keep_zarr_v3=keep_zarr_v3,
            converters=own_converters if converters == "input" else converters,
            extensions=extensions,
            has_path=has_path,
        )

    def write(self, tree: Any, path: str) -> list[int] | None:
        """Write a tree to a file; return the version of the file."""
        if not isinstance(tree, Mapping):
            raise UnsupportedError(f"cannot write a tree that is a {type(tree).__name__}: it must be a dict")
        blocks: list[Any] = []
        if self.converters is not None:
            from tegula.asdf._library import Library

            tree, blocks = Library(self.version, extensions=self.extensions).simplify(tree)
        root = {"asdf_library": _software(), **{key: tree[key] for key in tree if key != "asdf_library"}}
        return _tegula.write_asdf(TaggedDict(_ROOT, root), path, self, blocks)

    # The native module reads these and other attributes of the job.

    @property
    def padding(self) -> float | None:
        """The multiple of their size that blocks are padded to; None: no padding."""
        if isinstance(self.pad_blocks, bool):
            return 1.1 if self.pad_blocks else None
        return self.pad_blocks

    @property
    def block_compression(self) -> _tegula.BlockCompression | None:
        """The compression of blocks that converters make."""
        return _compression(None if self.compression == "input" else self.compression, self.compression_kwargs)

    def describe(self, value: Any) -> AsdfNode:  # noqa: C901, PLR0911, PLR0912 - a table
        """Return what an object becomes that is neither plain data nor a collection."""
        if isinstance(value, np.ndarray) and type(value).__module__.partition(".")[0] == "numpy":
            return self._ndarray(value, self._options(value))
        if isinstance(value, np.generic):
            if value.dtype.kind in "biufcSU" and value.dtype.char not in "gG":
                return AsdfNode.Plain(value.item())
            return self._ndarray(np.asarray(value), ArrayOptions())
        if isinstance(value, Array):
            return self._array(value)
        if isinstance(value, dt.datetime):
            offset = value.utcoffset()
            if offset is not None and offset.total_seconds() % 60:
                value = value.astimezone(dt.UTC)  # YAML has offsets of hours and minutes
            return AsdfNode.Scalar(value.isoformat(sep=" "))
        if isinstance(value, dt.date):
            return AsdfNode.Scalar(value.isoformat())
        if isinstance(value, (set, frozenset)):
            return AsdfNode.Set(dict.fromkeys(value))
        if isinstance(value, Reference):
            return AsdfNode.Plain({"$ref": value.uri})
        if isinstance(value, Stream):
            return self._ndarray(np.empty((0, *value.shape), value.dtype), ArrayOptions("streamed"))
        if isinstance(value, int):
            return AsdfNode.Plain(int(value))
        if isinstance(value, (bytearray, memoryview)):
            return AsdfNode.Plain(bytes(value))
        if _is_library(value, "Stream"):
            return self._stream(value)
        if hasattr(value, "_make_array"):
            # An array of the asdf library. Ours is copied as it is stored, unless it was written to.
            stored = getattr(value, "stored", None)
            return self.describe(value._make_array() if stored is None else stored)
        if is_zarr_python(value):
            return AsdfNode.Zarr(from_zarr(value)._native)
        if _is_library(value, "IntegerType"):
            return AsdfNode.Plain(int(value))
        if isinstance(value, Mapping) and not isinstance(value, Group):
            tag = tag_of(value)
            return AsdfNode.Plain(dict(value) if tag is None else TaggedDict(tag, value))
        if isinstance(value, Sequence):
            tag = tag_of(value)
            return AsdfNode.Plain(list(value) if tag is None else TaggedList(tag, value))
        raise UnsupportedError(
            f"cannot write {type(value).__module__}.{type(value).__qualname__} to an ASDF file, which holds dicts, "
            "lists, strings, numbers, bools, None, bytes, dates, sets, ndarrays and Zarr arrays; "
            'converters="asdf" writes objects that extensions of the asdf library know'
        )

    def _stream(self, stream: Any) -> AsdfNode:
        """Return a stream of the asdf library, which has no rows yet."""
        if stream._strides is not None:
            raise UnsupportedError("cannot write an asdf.Stream with strides: pass one without them")
        from asdf.tags.core.ndarray import asdf_datatype_to_numpy_dtype

        dtype = asdf_datatype_to_numpy_dtype(stream._datatype, stream._byteorder)
        return self._ndarray(np.empty((0, *stream._shape), dtype), ArrayOptions("streamed"))

    def _options(self, array: Any) -> ArrayOptions:
        """Return how an array is written: options of the file override those of the array."""
        own = self.settings.of(array)
        storage = self.storage or own.storage
        config = get_config()
        if storage is None and array.size < (config.array_inline_threshold or 0):
            storage = "inline"
        save_base = config.default_array_save_base if own.save_base is None else own.save_base
        if self.compression == "input":
            return ArrayOptions(storage, own.compression, own.compression_kwargs, save_base)
        return ArrayOptions(storage, self.compression, self.compression_kwargs, save_base)

    def _array(self, array: Array) -> AsdfNode:
        """Return what a stored array becomes: a copy of its blocks, unless options ask for something else."""
        if not isinstance(array, AsdfArray) or array.is_zarr:
            return AsdfNode.Zarr(array._native)
        if array.is_chunked:
            return AsdfNode.Plain(self._chunked(array))
        options = self._options(array)
        storage, label = array._stored_as()
        if storage == "streamed" and options.storage is None and not self.has_stream:
            # A file has one stream; the others become plain blocks.
            self.has_stream = True
            options.storage = "streamed"
            return self._ndarray(array[...], options)
        # Blocks of external files are copied into this one.
        storage = "inline" if storage == "inline" else "internal"
        is_unchanged = options.storage in (None, storage) and options.compression in ("input", label)
        if is_unchanged and not array._drops_mask and not array.is_changed:
            return AsdfNode.Copy(array._source.native, array._node)
        if options.compression == "input":
            options.compression = label
        if array.is_changed and options.storage is None:
            options.storage = storage
        return self._ndarray(array[...], options)

    def _chunked(self, array: AsdfArray) -> Any:
        """Return the node of a chunked ndarray. Its chunks are arrays, and are written like others."""
        node = array._source.native.parts(array._node, array._source)
        options = self.settings.find(array)
        if options is not None:
            if options.storage == "streamed":
                raise UnsupportedError(f"{array.name} is chunked and cannot be streamed")
            for chunk in node["chunks"]:
                self.settings.change(chunk["ndarray"]).__dict__.update(options.__dict__)
        return node

    def _ndarray(self, array: NDArray[Any], options: ArrayOptions) -> AsdfNode:
        """Return an ndarray as bytes and a mask.

        See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
        """
        storage = options.storage or "internal"
        if storage == "external" and not self.has_path:
            raise UnsupportedError("cannot write external arrays beside a file object; pass a path to write_to")
        mask = None
        if isinstance(array, np.ma.MaskedArray):
            mask = None if array.mask is np.ma.nomask else np.ma.getmaskarray(array)
            array = np.ma.getdata(array)
            if mask is not None and mask.dtype.names and storage == "inline":
                storage = "internal"
        if mask is not None and storage == "streamed":
            raise UnsupportedError("cannot stream an array with a mask, which would not grow; write it as a block")
        compression = None if options.compression == "input" else options.compression
        return AsdfNode.Ndarray(
            _packed(np.asarray(array)),
            mask,
            storage,
            _compression(compression, options.compression_kwargs),
            bool(options.save_base) and not is_mapped(array),
        )


def _is_library(value: Any, name: str) -> bool:
    """Return whether an object is of a class of the asdf library."""
    kind = type(value)
    return kind.__name__ == name and kind.__module__.startswith("asdf.tags.core.")


def stored_as(array: Any) -> tuple[str, str | None]:
    """Return where the elements of an array are stored, and the label of their compression."""
    return array._stored_as() if isinstance(array, AsdfArray) else ("internal", None)


def _compression(label: str | None, options: dict[str, Any]) -> _tegula.BlockCompression | None:
    return None if label is None else _tegula.BlockCompression(label, options)


def _software() -> TaggedDict:
    try:
        ours = version("tegula")
    except PackageNotFoundError:
        ours = _tegula.__version__
    return TaggedDict(_SOFTWARE, {"author": "The tegula developers", "name": "tegula", "version": ours})


def _packed(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same elements without gaps between fields, as a data type that ASDF has."""
    dtype = array.dtype
    if dtype.names == ():
        raise UnsupportedError("cannot write an array whose records have no fields to an ASDF file")
    if dtype.names is not None:
        packed = recfunctions.repack_fields(np.empty(0, dtype), recurse=True).dtype
        return array if packed == dtype and packed.itemsize == dtype.itemsize else array.astype(packed)
    if dtype.kind in "SU" and dtype.itemsize == 0:
        return array.astype(f"{dtype.kind}1")
    if dtype.kind in "mM":
        raise UnsupportedError(
            f"ASDF has no {dtype} arrays: write them as int64 with their unit beside them, or as astropy's Time with "
            'converters="asdf"'
        )
    if dtype.kind in "TO":
        raise UnsupportedError(
            f"cannot write an array of {dtype} to an ASDF file, which holds text of one length: replace missing "
            'elements, or mask them with numpy.ma, and convert the array with .astype("U"); or write array.tolist()'
        )
    if dtype.kind not in "biufcSU" or dtype.char in "gG":
        raise UnsupportedError(f"cannot write an array of {dtype} to an ASDF file: it has no such data type")
    return array
