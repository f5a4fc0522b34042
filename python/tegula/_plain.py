"""The bytes that codecs in Python return."""

from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(data: Any, codec: Any, method: str) -> bytes:
    """Return the bytes that a codec returned. They may be in any object with the buffer protocol.

    Parameters
    ----------
    data : object
        What the codec returned.
    codec, method
        The codec and its method, for the error.
    """
    if isinstance(data, bytes):
        return data
    # The types of ml_dtypes and dates have no format in the buffer protocol.
    if isinstance(data, np.ndarray):
        if not data.dtype.hasobject:
            return data.tobytes()
    elif not isinstance(data, np.generic):
        try:
            view = memoryview(data)
        except (TypeError, ValueError, BufferError):
            pass
        else:
            if "O" not in view.format:
                return view.tobytes()
    what = "None" if data is None else type(data).__name__
    if isinstance(data, np.ndarray):
        what = f"an array of {data.dtype}"
    raise TypeError(f"{type(codec).__name__}.{method} must return bytes or an array of numbers, not {what}")
