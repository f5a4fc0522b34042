"""Pictures of arrays: a stretch from values to grey or colour, and PNG files."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

import tegula

STRETCHES = ("linear", "asinh")


def pixels(values: Any, stretch: str = "linear", percent: float = 0.5) -> Any:
    """Turn values into bytes.

    Parameters
    ----------
    values : array
        (y, x), or three bands as (3, y, x) or (y, x, 3); axes of length 1 do not count. Bytes in three bands stay
        as they are.
    stretch : {"linear", "asinh"}
        From values to brightness. `asinh` is linear for faint things and logarithmic for bright ones.
    percent : float
        The share of the values that is black, and white. It is taken over all bands, so colours keep their balance.
        Values that are masked or not finite are black and do not count.

    Returns
    -------
    array
        uint8, (y, x) or (y, x, 3).
    """
    a = np.ma.filled(values.astype(np.float64), np.nan) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if not (a.ndim == 3 and 3 in (a.shape[0], a.shape[-1])):
        a = a.squeeze()
    colour = a.ndim == 3 and 3 in (a.shape[0], a.shape[-1])
    if a.ndim != 2 and not colour:
        raise tegula.InvalidSelectionError(
            f"a picture has two axes, or three with three bands: the selection is {shape(values)}"
        )
    if not a.size:
        raise tegula.InvalidSelectionError(f"there is nothing to draw: the selection is {shape(values)}")
    if a.dtype.kind not in "biuf":
        raise tegula.UnsupportedError(f"a picture is of real numbers: the selection is of {a.dtype}")
    if colour and a.shape[-1] != 3:
        a = np.moveaxis(a, 0, -1)
    if colour and a.dtype == np.uint8:
        return np.ascontiguousarray(a)
    a = a.astype(np.float64)
    finite = np.isfinite(a)
    if not finite.any():
        return np.zeros(a.shape, np.uint8)
    low, high = np.percentile(a[finite], [percent, 100 - percent])
    if high <= low:
        low, high = a[finite].min(), a[finite].max()
    a = np.where(finite, a, low)
    span = (high - low) or 1.0
    a = np.clip((a - low) / span, 0, 1)
    if stretch == "asinh":
        a = np.arcsinh(10 * a) / np.arcsinh(10)
    return np.rint(a * 255).astype(np.uint8)


def shape(values: Any) -> str:
    """Write a shape, for a message."""
    return " x ".join(map(str, np.shape(values))) or "a single value"


def write_png(path: Path, image: Any) -> None:
    """Write bytes, (y, x) or (y, x, 3), as a PNG file (https://www.w3.org/TR/png-3/)."""
    height, width = image.shape[:2]
    colour_type = 2 if image.ndim == 3 else 0
    rows = np.ascontiguousarray(image).reshape(height, -1)
    # Each row starts with its filter; 2 is "up": the difference to the row above, which compresses better.
    above = np.vstack([np.zeros((1, rows.shape[1]), np.uint8), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows - above])
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
