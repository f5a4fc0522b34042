"""Arrays that are written into the tree."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tegula.asdf._tree import TaggedDict

__all__ = ["datatype", "inline_node"]

_NDARRAY = "tag:stsci.edu:asdf/core/ndarray-1.1.0"


def datatype(dtype: np.dtype[Any]) -> Any:
    """Return how ASDF writes a data type that it has.

    See https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html
    """
    if dtype.names is not None:
        return [_field(name, dtype.fields[name][0]) for name in dtype.names if dtype.fields is not None]
    if dtype.kind == "S":
        return ["ascii", dtype.itemsize]
    if dtype.kind == "U":
        return ["ucs4", dtype.itemsize // 4]
    return "bool8" if dtype.kind == "b" else dtype.name


def _field(name: str, dtype: np.dtype[Any]) -> dict[str, Any]:
    field = {"name": name, "datatype": datatype(dtype.base)}
    return {**field, "shape": list(dtype.shape)} if dtype.shape else field


def inline_node(array: NDArray[Any]) -> TaggedDict | None:
    """Return the node of an array with its elements in it; None where the tree cannot hold them."""
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask = None if array.mask is np.ma.nomask else np.ma.getmaskarray(array)
        array = np.ma.getdata(array)
    # The schema wants a list; of texts the tree has those of characters.
    if array.ndim == 0 or (mask is not None and mask.dtype.names):
        return None
    try:
        data = _lists(array.tolist())
    except (UnicodeDecodeError, OverflowError):
        return None
    node = TaggedDict(_NDARRAY, {"data": data, "datatype": datatype(array.dtype), "shape": list(array.shape)})
    if mask is not None:
        node["mask"] = inline_node(mask)
    return node


def _lists(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_lists(item) for item in value]
    if isinstance(value, int) and not -(2**63) + 2 <= value < 2**63:
        raise OverflowError(f"{value} is no integer of a tree, but a node of its own")
    return value.decode("ascii") if isinstance(value, bytes) else value
