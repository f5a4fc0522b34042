"""Codecs of zarr-python: https://zarr.readthedocs.io/en/stable/user-guide/extending.html."""

from collections.abc import Coroutine, Mapping
from typing import Any

import numpy as np
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.dtype import get_data_type_from_native_dtype
from zarr.core.sync import sync
from zarr.registry import get_codec_class

from tegula._plain import plain


class _Zarr:
    """A codec of zarr-python, with the interface that the native module calls."""

    def __init__(self, codec: Any, dtype: np.dtype[Any]) -> None:
        self.codec = codec
        self.kind = {ArrayArrayCodec: "array_to_array", ArrayBytesCodec: "array_to_bytes"}.get(
            next((base for base in (ArrayArrayCodec, ArrayBytesCodec) if isinstance(codec, base)), BytesBytesCodec),
            "bytes_to_bytes",
        )
        self.dtype = dtype
        self.encoded_dtype = codec.resolve_metadata(self._spec((1,))).dtype.to_native_dtype()

    def _spec(self, shape: tuple[int, ...]) -> ArraySpec:
        return ArraySpec(
            shape=shape,
            dtype=get_data_type_from_native_dtype(self.dtype),
            fill_value=np.zeros((), self.dtype)[()],
            config=ArrayConfig(order="C", write_empty_chunks=True),
            prototype=default_buffer_prototype(),
        )

    def decode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        source = self.encoded_dtype if self.kind == "array_to_array" else None
        return self._run(self.codec._decode_single, data, shape, source)

    def encode(self, data: bytes, shape: tuple[int, ...] | None) -> bytes:
        source = None if self.kind == "bytes_to_bytes" else self.dtype
        return self._run(self.codec._encode_single, data, shape, source)

    def _run(self, call: Any, data: bytes, shape: tuple[int, ...] | None, source: np.dtype[Any] | None) -> bytes:
        prototype = default_buffer_prototype()
        if source is None:
            given: Any = prototype.buffer.from_bytes(data)
            shape = shape or (len(data),)
        else:
            elements = np.frombuffer(data, source)
            shape = shape or elements.shape
            given = prototype.nd_buffer.from_numpy_array(elements.reshape(shape))
        answer = sync(_awaited(call(given, self._spec(shape))))
        if hasattr(answer, "as_numpy_array"):
            answer = answer.as_numpy_array()
        return plain(answer, self.codec, call.__name__)


async def _awaited(call: Coroutine[Any, Any, Any]) -> Any:
    return await call


def find(name: str, configuration: Mapping[str, Any], dtype: np.dtype[Any]) -> _Zarr | None:
    """Return the codec of a name from zarr-python's registry; None if it has none."""
    try:
        codec = get_codec_class(name)
    except KeyError:
        return None
    return _Zarr(codec.from_dict({"name": name, "configuration": dict(configuration)}), dtype)
