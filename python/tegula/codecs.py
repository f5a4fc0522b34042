"""Codecs from Python packages.

Codecs that tegula lacks are looked up, one by one, among those registered with `register_codec`, the entry points of
the group ``tegula.codecs``, the codecs of zarr-python and the registry of numcodecs, in this order. The other codecs of
a chain run in Rust.
"""

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from tegula import _tegula
from tegula._guide import guided
from tegula._plain import plain
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
"""Packages that provide codecs, by prefixes of the codecs' names."""


class Codec(Protocol):
    """A bytes-to-bytes codec with the interface of numcodecs."""

    def encode(self, buf: Any) -> Any:
        """Encode bytes."""

    def decode(self, buf: Any) -> Any:
        """Decode bytes. Raises an error if they are damaged."""


_registered: dict[str, Callable[..., Codec]] = {}


@guided
def register_codec(name: str, codec: Callable[..., Codec]) -> None:
    r"""Register a bytes-to-bytes codec for arrays that are opened from now on.

    A package can register its codecs with entry points of the group ``tegula.codecs`` instead.

    Parameters
    ----------
    name : str
        The name in the metadata. Ids of Zarr V2 are prefixed with ``numcodecs.``.
    codec : callable
        Called with the configuration as keyword arguments. Returns an object with the methods ``encode`` and
        ``decode``, which take and return bytes.

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
    """A codec that takes bytes."""

    kind = "bytes_to_bytes"

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def decode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        del shape
        return plain(self.codec.decode(data), self.codec, "decode")

    def encode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        del shape
        return plain(self.codec.encode(data), self.codec, "encode")


class _Elements(_Bytes):
    """A codec of numcodecs that takes the elements of a chunk."""

    kind = "array_to_bytes"

    def __init__(self, codec: Codec, dtype: np.dtype[Any]) -> None:
        super().__init__(codec)
        self.dtype = dtype

    def encode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        return plain(self.codec.encode(np.frombuffer(data, self.dtype).reshape(shape or ())), self.codec, "encode")


def find(name: str, configuration: Mapping[str, Any], dtype: np.dtype[Any], of_bytes: bool) -> Any:
    """Return the codec of a name. If there is none, the error says which packages to install.

    Parameters
    ----------
    name, configuration
        The codec's entry in the metadata.
    dtype : data type
        The data type of the elements that the codec encodes.
    of_bytes : bool
        Whether the codec encodes bytes instead, because the codecs before it produce bytes.
    """
    if found := _registered.get(name):
        return _Bytes(found(**configuration))
    for entry in importlib.metadata.entry_points(group="tegula.codecs", name=name):
        return _Bytes(entry.load()(**configuration))
    # For bytes, numcodecs' own codec avoids zarr-python's wrapper. For elements, the wrapper knows the encoded type.
    registries = [("zarr", _from_zarr), ("numcodecs", _from_numcodecs)]
    if of_bytes and name.startswith("numcodecs."):
        registries.reverse()
    searched = []
    for package, look_up in registries:
        if importlib.util.find_spec(package):
            if codec := look_up(name, configuration, dtype, of_bytes):
                return codec
            searched.append(package)
    raise UnsupportedError(_missing(name, searched))


def _from_zarr(name: str, configuration: Mapping[str, Any], dtype: np.dtype[Any], of_bytes: bool) -> Any:
    from tegula import _zarr_codecs

    del of_bytes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the codec is in no specification
        return _zarr_codecs.find(name, configuration, dtype)


def _from_numcodecs(name: str, configuration: Mapping[str, Any], dtype: np.dtype[Any], of_bytes: bool) -> Any:
    import numcodecs
    from numcodecs.errors import UnknownCodecError

    try:
        codec = numcodecs.get_codec({"id": name.removeprefix("numcodecs."), **configuration})
    except UnknownCodecError:
        return None
    return _Bytes(codec) if of_bytes else _Elements(codec, dtype)


def _missing(name: str, searched: list[str]) -> str:
    bare = name.removeprefix("numcodecs.")
    packages = [package for prefix, package in INSTALL.items() if bare.startswith(prefix)]
    packages = packages or [package for package in ("numcodecs", "zarr") if package not in searched]
    message = f'unknown codec "{name}"; tegula has {", ".join(_tegula.codec_names())}'
    if searched:
        message += f"; the installed {' and '.join(searched)} do not provide it"
    return f"{message}; try: pip install {' '.join(packages)}" if packages else message
