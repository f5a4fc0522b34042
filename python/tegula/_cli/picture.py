"""Pictures of arrays: scales values to gray or color, and writes PNG files."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

import tegula

STRETCHES = ("linear", "asinh")


def pixels(values: Any, stretch: str = "linear", percent: float = 0.5) -> Any:
    """Scale values to bytes.

    Parameters
    ----------
    values : array
        (y, x), or three bands as (3, y, x) or (y, x, 3); axes of length 1 are ignored. Three bands of bytes are
        returned unchanged.
    stretch : {"linear", "asinh"}
        The scale of brightness. "asinh" is linear for faint values and logarithmic for bright ones.
    percent : float
        The percentage of values that become black, and of those that become white. It is measured over all bands
        together, which keeps the color balance. Masked and non-finite values become black and are not counted.

    Returns
    -------
    array
        uint8, (y, x) or (y, x, 3).
    """
    a = np.ma.filled(values.astype(np.float64), np.nan) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if not (a.ndim == 3 and 3 in (a.shape[0], a.shape[-1])):
        a = a.squeeze()
    color = a.ndim == 3 and 3 in (a.shape[0], a.shape[-1])
    if a.ndim != 2 and not color:
        raise tegula.InvalidSelectionError(
            f"cannot draw a selection of {shape(values)}: a picture has two axes, or three with three bands"
        )
    if not a.size:
        raise tegula.InvalidSelectionError(f"cannot draw a selection of {shape(values)}: it is empty")
    if a.dtype.kind not in "biuf":
        raise tegula.UnsupportedError(f"cannot draw values of type {a.dtype}: a picture takes real numbers")
    if color and a.shape[-1] != 3:
        a = np.moveaxis(a, 0, -1)
    if color and a.dtype == np.uint8:
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
    """Return a shape as text."""
    return " x ".join(map(str, np.shape(values))) or "a single value"


def write_png(path: Path, image: Any) -> None:
    """Write bytes, (y, x) or (y, x, 3), as a PNG file (https://www.w3.org/TR/png-3/)."""
    height, width = image.shape[:2]
    color_type = 2 if image.ndim == 3 else 0
    rows = np.ascontiguousarray(image).reshape(height, -1)
    # Each row starts with the number of its filter. 2 stores the difference from the row above, which compresses well.
    above = np.vstack([np.zeros((1, rows.shape[1]), np.uint8), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows - above])
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
