"""Codecs that Python packages bring, for those that tegula does not have of its own.

An array whose chain of codecs has some that only Python knows is read all the same: the others stay in Rust. Asked are,
in this order, what was registered with `register_codec`, the entry points of the group ``tegula.codecs``, the codecs of
zarr-python, and the registry of numcodecs.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

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
    asked = []
    if importlib.util.find_spec("zarr"):
        from tegula import _zarr

        if codec := _zarr.find(name, configuration, dtype):
            return codec
        asked.append("zarr")
    if importlib.util.find_spec("numcodecs"):
        import numcodecs  # type: ignore[import-untyped]
        from numcodecs.errors import UnknownCodecError  # type: ignore[import-untyped]

        try:
            numcodec = numcodecs.get_codec({"id": name.removeprefix("numcodecs."), **configuration})
        except UnknownCodecError:
            asked.append("numcodecs")
        else:
            return _Bytes(numcodec) if of_bytes else _Elements(numcodec, dtype)
    raise UnsupportedError(_missing(name, asked))


def _missing(name: str, asked: list[str]) -> str:
    bare = name.removeprefix("numcodecs.")
    packages = [package for part, package in INSTALL.items() if bare.startswith(part)]
    if not packages:
        packages = [package for package in ("numcodecs", "zarr") if package not in asked]
    there = f"neither tegula nor the installed {' and '.join(asked)} have it" if asked else "tegula does not have it"
    if not packages:
        return f"unknown codec {name!r}: {there}, and which package does is not known"
    return f"unknown codec {name!r}: {there}; what may help is: pip install {' '.join(packages)}"
