"""Codecs that Python packages bring, for those that tegula does not have of its own.

An array whose chain of codecs has some that only Python knows is read all the same: the others stay in Rust. Asked are,
in this order, what was registered with `register_codec`, the entry points of the group ``tegula.codecs``, the codecs of
zarr-python, and the registry of numcodecs.
"""

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from tegula import _tegula
from tegula.errors import UnsupportedError

__all__ = ["Codec", "register_codec"]

INSTALL = {
    "imagecodecs": "imagecodecs",
    "jpeg": "imagecodecs",
    "jpegxl": "imagecodecs",
    "zfpy": "numcodecs[zfpy]",
    "pcodec": "numcodecs[pcodec]",
    "msgpack": "numcodecs[msgpack]",
    "n5": "zarr-n5",
    "gribscan": "gribscan",
    "grib": "kerchunk",
    "FITSAscii": "kerchunk",
    "virtual_tiff": "virtual-tiff",
    "any-numcodecs": "any-numcodecs",
    "wavpack": "wavpack-numcodecs",
    "flac": "flac-numcodecs",
    "spectral": "numcodecs",
}
"""Packages that bring codecs, by how these are called."""


class Codec(Protocol):
    """A codec from bytes to bytes, as those of numcodecs are."""

    def encode(self, buf: Any) -> Any:
        """Encode bytes."""

    def decode(self, buf: Any) -> Any:
        """Decode bytes, or raise an error if they are damaged."""


_registered: dict[str, Callable[..., Codec]] = {}


def register_codec(name: str, codec: Callable[..., Codec]) -> None:
    r"""Add a codec from bytes to bytes, for arrays that are opened from now on.

    A package can do so for all its users with an entry point of the group ``tegula.codecs``.

    Parameters
    ----------
    name : str
        Its name in metadata. An id of Zarr V2 has ``numcodecs.`` before it.
    codec : callable
        Called with the configuration as keywords; returns an object with ``encode`` and ``decode``, both of which take
        and return bytes.

    Examples
    --------
    >>> class Inverted:
    ...     def encode(self, buf):
    ...         return bytes(255 - byte for byte in buf)
    ...
    ...     decode = encode
    >>> tegula.register_codec("example.inverted", Inverted)
    >>> store = {}
    >>> array = tegula.create_array(store, shape=(4,), dtype="uint8", compressors={"name": "example.inverted"})
    >>> array[...] = [0, 1, 2, 3]
    >>> store["c/0"]
    b'\xff\xfe\xfd\xfc'
    """
    _registered[name] = codec


class _Bytes:
    """A codec of bytes, or of elements in whatever form they are stored."""

    kind = "bytes_to_bytes"

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def decode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        del shape
        return _plain(self.codec.decode(data))

    def encode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        del shape
        return _plain(self.codec.encode(data))


class _Elements(_Bytes):
    """A codec of numcodecs that is given the elements of a chunk."""

    kind = "array_to_bytes"

    def __init__(self, codec: Codec, dtype: np.dtype[Any]) -> None:
        super().__init__(codec)
        self.dtype = dtype

    def encode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        return _plain(self.codec.encode(np.frombuffer(data, self.dtype).reshape(shape or ())))


def _plain(data: Any) -> bytes:
    return data if isinstance(data, bytes) else np.asarray(data).tobytes()


def find(name: str, configuration: Mapping[str, Any], dtype: np.dtype[Any], of_bytes: bool) -> Any:
    """Return a codec for elements of a data type; raise an error that says what could be installed if there is none.

    Parameters
    ----------
    name, configuration
        What the metadata say.
    dtype : data type
        The elements that it is to encode, if the codecs before it leave elements.
    of_bytes : bool
        Whether they leave bytes.
    """
    if found := _registered.get(name):
        return _Bytes(found(**configuration))
    for entry in importlib.metadata.entry_points(group="tegula.codecs", name=name):
        return _Bytes(entry.load()(**configuration))
    # What is given bytes need not be asked what it takes.
    brought = [("numcodecs", _of_numcodecs), ("zarr", _of_zarr)]
    asked = []
    for package, ask in brought if of_bytes and name.startswith("numcodecs.") else reversed(brought):
        if importlib.util.find_spec(package):
            if codec := ask(name, configuration, dtype, of_bytes):
                return codec
            asked.append(package)
    raise UnsupportedError(_missing(name, asked))


def _of_zarr(name: str, configuration: Mapping[str, Any], dtype: np.dtype[Any], of_bytes: bool) -> Any:
    from tegula import _zarr_codecs

    del of_bytes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is in no specification
        return _zarr_codecs.find(name, configuration, dtype)


def _of_numcodecs(name: str, configuration: Mapping[str, Any], dtype: np.dtype[Any], of_bytes: bool) -> Any:
    import numcodecs  # type: ignore[import-untyped]
    from numcodecs.errors import UnknownCodecError  # type: ignore[import-untyped]

    try:
        codec = numcodecs.get_codec({"id": name.removeprefix("numcodecs."), **configuration})
    except UnknownCodecError:
        return None
    return _Bytes(codec) if of_bytes else _Elements(codec, dtype)


def _missing(name: str, asked: list[str]) -> str:
    bare = name.removeprefix("numcodecs.")
    packages = [package for part, package in INSTALL.items() if bare.startswith(part)]
    packages = packages or [package for package in ("numcodecs", "zarr") if package not in asked]
    there = f'unknown codec "{name}"; there are {", ".join(_tegula.codec_names())}'
    if asked:
        there += f"; the installed {' and '.join(asked)} do not have it"
    return f"{there}; what may help is: pip install {' '.join(packages)}" if packages else there
