"""Writing trees."""

import datetime as dt
import sys
import threading
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
from numpy.lib import recfunctions
from numpy.typing import NDArray

from tegula import _tegula
from tegula._array.array import Array
from tegula.asdf._array import AsdfArray
from tegula.asdf._inline import inline_node
from tegula.asdf._settings import ArrayOptions, ArraySettings, is_mapped
from tegula.asdf._tree import Reference, TaggedDict, words
from tegula.asdf._zarr import from_zarr, is_zarr_python
from tegula.errors import UnsupportedError

__all__ = ["STANDARD", "VERSIONS", "Job", "gather", "simplify", "stored_as", "words"]

STANDARD = "1.6.0"
"""The version of the ASDF standard that is written, if there is no reason to write another one."""

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", STANDARD)
"""The versions that can be written."""

_ROOT = "tag:stsci.edu:asdf/core/asdf-1.1.0"
_SOFTWARE = "tag:stsci.edu:asdf/core/software-1.0.0"


class _Here(threading.local):
    """The file that this thread is writing."""

    job: "Job | None" = None


_here = _Here()


@dataclass
class Job:
    """A file that is written, and how; see `tegula.asdf.AsdfFile.write_to`."""

    settings: ArraySettings = field(default_factory=ArraySettings)
    storage: str | None = None
    compression: str | None = "input"
    compression_kwargs: dict[str, Any] = field(default_factory=dict)
    pad_blocks: bool | float = False
    include_block_index: bool = True
    version: str = STANDARD
    checksums: bool = True
    keep_zarr_v3: bool = False
    converters: Literal["asdf"] | None = None
    has_path: bool = True
    """Whether other files can be written beside the file."""
    has_stream: bool = False
    """Whether an array of a stream goes on to be one."""

    def write(self, tree: Any, path: str) -> None:
        """Write a tree to a file."""
        if not isinstance(tree, dict):
            raise UnsupportedError(f"a tree is a dict, not {type(tree).__name__}")
        first: list[Any] = []
        if self.converters is not None:
            from tegula.asdf._library import Library

            tree, first = Library(self.version).simplify(tree)
        before, _here.job = _here.job, self
        try:
            options = {
                "checksums": self.checksums,
                "compression": None if self.compression == "input" else self.compression,
                "compression_kwargs": self.compression_kwargs,
                "include_block_index": self.include_block_index,
                "keep_zarr_v3": self.keep_zarr_v3,
                "pad_blocks": self.pad_blocks,
                "version": self.version,
            }
            _tegula.write_asdf(_Root(tree, first), path, options)
        finally:
            _here.job = before

    def options(self, array: Any) -> ArrayOptions:
        """Return how an array is to be written."""
        said = self.settings.of(array)
        override = self.compression != "input"
        return ArrayOptions(
            storage=self.storage or said.storage,
            compression=self.compression if override else said.compression,
            compression_kwargs=self.compression_kwargs if override else said.compression_kwargs,
            save_base=said.save_base,
        )


class _Root(dict[Any, Any]):
    """The tree with what every file has; objects in it that refer to the tree itself stay what they are."""

    tag = _ROOT

    def __init__(self, tree: dict[Any, Any], blocks: list[Any]) -> None:
        self.blocks = blocks
        """What gives the bytes of blocks that come before all others."""
        try:
            ours = version("tegula")
        except PackageNotFoundError:
            ours = _tegula.__version__
        software = {"author": "The tegula developers", "name": "tegula", "version": ours}
        super().__init__({"asdf_library": TaggedDict(_SOFTWARE, software)})
        self.update((key, value) for key, value in tree.items() if key != "asdf_library")


def stored_as(array: Any) -> tuple[str, str | None]:
    """Return where the elements of an array are stored, and the label of their compression."""
    return array._stored_as() if isinstance(array, AsdfArray) else ("internal", None)


def simplify(value: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: C901, PLR0911, PLR0912 - a table
    """Say what an object is to be in a file, for the native module: a kind and what belongs to it."""
    if isinstance(value, np.ndarray) and type(value).__module__.partition(".")[0] == "numpy":
        return _elements(value)
    if isinstance(value, np.generic):
        if value.dtype.kind in "biufcSU" and value.dtype.char not in "gG":
            return "same", (value.item(),)
        return "ndarray", _ndarray(np.asarray(value))
    if isinstance(value, Array):
        return _array(value)
    if isinstance(value, dt.datetime):
        return "timestamp", (value.isoformat(sep=" "),)
    if isinstance(value, dt.date):
        return "timestamp", (value.isoformat(),)
    if isinstance(value, (set, frozenset)):
        return "set", (dict.fromkeys(value),)
    if isinstance(value, Reference):
        return "same", ({"$ref": value.uri},)
    if isinstance(value, int):
        return "same", (int(value),)
    if isinstance(value, (bytearray, memoryview)):
        return "same", (bytes(value),)
    if hasattr(value, "_make_array"):
        # An array of the asdf library; of ours it knows the stored one, as long as nothing was written to it.
        whole = getattr(value, "stored", None)
        return simplify(value._make_array() if whole is None else whole)
    if is_zarr_python(value):
        return "zarr", (from_zarr(value)._native,)
    if "asdf" in sys.modules and type(value).__name__ == "IntegerType":
        return "same", (int(value),)
    raise UnsupportedError(
        f"{type(value).__module__}.{type(value).__qualname__} cannot be written to an ASDF file: there are dicts, "
        "lists, strings, numbers, bools, None, bytes, dates, sets, ndarrays and Zarr arrays; more are there with "
        'converters="asdf", which asks the asdf library'
    )


def _job() -> Job:
    return _here.job or Job()


def _array(array: Array) -> tuple[str, tuple[Any, ...]]:
    """Say what a stored array is to be: what it is, unless something else was said."""
    if not isinstance(array, AsdfArray) or array.is_zarr:
        return "zarr", (array._native,)
    if array.is_chunked:
        return "same", (_parts(array),)
    job = _job()
    options = job.options(array)
    storage, label = array._stored_as()
    if storage == "streamed" and options.storage is None and not job.has_stream:
        # There is one stream in a file.
        job.has_stream = True
        return _elements(array[...], replace(options, storage="streamed"))
    # A block is copied into this file, wherever it comes from.
    storage = "inline" if storage == "inline" else "internal"
    if options.storage in (None, storage) and options.compression in ("input", label):
        return "copy", (array._source.native, array._node)
    if options.compression == "input":
        options.compression = label
    return _elements(array[...], options)


def _parts(array: AsdfArray) -> Any:
    """Return the node of a chunked ndarray, in which each chunk is an array that is written as others are."""
    job = _job()
    node = array._source.native.parts(array._node, array._source)
    said = job.settings.find(array)
    if said is not None:
        if said.storage == "streamed":
            raise UnsupportedError(f"{array.name} is chunked: it cannot be a stream")
        for chunk in node["chunks"]:
            job.settings.change(chunk["ndarray"]).__dict__.update(said.__dict__)
    return node


def _elements(array: NDArray[Any], options: ArrayOptions | None = None) -> tuple[str, tuple[Any, ...]]:
    """Say what an ndarray is to be: a block, or a part of the tree."""
    options = options or _job().options(array)
    if options.storage == "inline":
        node = inline_node(_plain(array))
        if node is not None:
            return "same", (node,)
    if options.storage == "external" and not _job().has_path:
        raise UnsupportedError("arrays in files of their own need a name of the file, which they lie beside")
    said = {
        "storage": "internal" if options.storage == "inline" else options.storage,
        "compression": None if options.compression == "input" else options.compression,
        "compression_kwargs": options.compression_kwargs,
        "save_base": bool(options.save_base) and not is_mapped(array),
    }
    return "ndarray", (*_ndarray(array), said)


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    return array if isinstance(array, np.ma.MaskedArray) else _packed(array)


def _ndarray(array: NDArray[Any]) -> tuple[Any, np.dtype[Any], tuple[int, ...], Any, bool]:
    """Return the bytes of an array, or itself where they are yet to be gathered; data type, shape, mask; which of both.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
    """
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask = None if array.mask is np.ma.nomask else np.ma.getmaskarray(array)
        array = np.ma.getdata(array)
    array = _packed(np.asarray(array))
    whole = bool(array.flags.c_contiguous)
    return (gather(array) if whole else array), array.dtype, array.shape, mask, whole


def _packed(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same elements, without gaps between fields, as a data type that ASDF has."""
    dtype = array.dtype
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
    if dtype.kind not in "biufcSU" or dtype.char in "gG":
        raise UnsupportedError(f"arrays of {dtype} cannot be written to an ASDF file")
    return array


def gather(array: Any) -> NDArray[np.uint8]:
    """Return the bytes of an array, or of what gives one, in C order; without a copy if they lie so."""
    if callable(array):
        array = np.asarray(array())
    if array.size == 0:
        return np.empty(0, np.uint8)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
