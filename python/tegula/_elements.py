"""Conversion of what callers pass to elements of a data type, without turning what is missing into a value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula.errors import UnsupportedError

__all__ = ["as_elements", "exact_elements", "refuse_masked", "unmasked"]

MASKED = (
    "cannot store masked elements in a Zarr array, which has no mask: store data.filled(value), or data.data and "
    "data.mask as two arrays"
)


def as_elements(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Convert array_like values to a data type as NumPy does, except that masked and missing elements are errors.

    Parameters
    ----------
    value : array_like
        The values.
    dtype : data type
        The data type of the result.

    Raises
    ------
    UnsupportedError
        If an element is masked.
    TypeError
        If text is missing: None, NaN, NaT or pandas' NA, which NumPy would store as "None", "nan", "NaT" and "<NA>".
    """
    if type(value) is not np.ndarray:
        if hasattr(value, "__array__") and not isinstance(value, np.ndarray):
            value = np.asanyarray(value)
        refuse_masked(value)
    if dtype.kind in "biufcmM":
        return np.asarray(value, dtype)
    if not _has_text(dtype) or (isinstance(value, (str, bytes, np.ndarray)) and _keeps_text(value, dtype)):
        return np.asarray(value, dtype)
    # NumPy makes text of anything, so that text is first converted to objects.
    objects = np.asarray(value, _with_objects(dtype))
    _check_text(objects, dtype)
    return objects.astype(dtype)


def exact_elements(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an ndarray as it is, whose data type native code checks, and convert anything else; see `as_elements`."""
    if not isinstance(value, np.ndarray):
        return as_elements(value, dtype)
    if type(value) is not np.ndarray:
        refuse_masked(value)
    return value


def refuse_masked(value: Any) -> None:
    """Raise an error if values are masked: a masked array, or a list with one or with `numpy.ma.masked` in it."""
    if isinstance(value, (list, tuple)):
        kinds = set(map(type, value))
        if kinds & {np.ma.MaskedArray, np.ma.core.MaskedConstant, list, tuple}:
            for item in value:
                refuse_masked(item)
    elif isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise UnsupportedError(MASKED)
    elif isinstance(value, np.ndarray) and isinstance(mask := getattr(value, "mask", None), np.ndarray) and mask.any():
        raise UnsupportedError(MASKED)  # the masked arrays of astropy


def unmasked(data: Any) -> NDArray[Any]:
    """Return array_like data as an ndarray, if none of its elements is masked or missing text."""
    refuse_masked(data)
    elements = np.asanyarray(data)
    refuse_masked(elements)
    if elements.dtype.kind in "US" and not hasattr(data, "dtype"):
        return as_elements(data, elements.dtype)  # NumPy also makes text of None and NaN in a list with text
    return np.asarray(elements)


def _has_text(dtype: np.dtype[Any]) -> bool:
    if dtype.fields:
        return any(_has_text(field[0]) for field in dtype.fields.values())
    return dtype.base.kind in "TUS"


def _keeps_text(value: Any, dtype: np.dtype[Any]) -> bool:
    """Return whether NumPy converts a value to a data type without making text of anything but text."""
    given = value.dtype if isinstance(value, np.ndarray) else np.dtype(type(value))
    if dtype.fields:
        return given == dtype
    if given.kind == "T":
        return not hasattr(given, "na_object")
    return given.kind in "USiub"


def _with_objects(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a data type with objects in place of text."""
    if dtype.subdtype:
        base, shape = dtype.subdtype
        return np.dtype((_with_objects(base), shape))
    if dtype.names is not None and dtype.fields is not None:
        return np.dtype([(name, _with_objects(dtype.fields[name][0])) for name in dtype.names])
    return np.dtype(object) if dtype.kind in "TUS" else dtype


def _check_text(objects: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Raise an error if an object that is to become text is missing."""
    if dtype.names is not None and dtype.fields is not None:
        for name in dtype.names:
            _check_text(objects[name], dtype.fields[name][0].base)
    elif dtype.kind in "TUS":
        items = objects.ravel().tolist()
        if set(map(type, items)) - {str, bytes, int, bool}:
            for item in items:
                if _is_missing(item):
                    raise TypeError(
                        f"cannot store {item!r} as text: Zarr has no missing values; replace it, for example by an "
                        "empty string"
                    )


def _is_missing(item: Any) -> bool:
    if item is None or item is np.ma.masked:
        return True
    try:
        # NaN and NaT differ from themselves; a comparison of pandas' NA has no truth value.
        return not bool(item == item)  # noqa: PLR0124
    except (TypeError, ValueError):
        return type(item).__name__ in ("NAType", "NaTType")
