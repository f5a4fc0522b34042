"""Defaults from the schemas of old versions of the ASDF standard, for values that a file leaves out."""

from typing import Any

from tegula.asdf._tree import TaggedDict
from tegula.asdf._walk import walk

__all__ = ["fill_defaults"]

_PREFIX = "tag:stsci.edu:asdf/"

_COLUMN = {"description": "", "meta": dict}
_TABLE = {"meta": dict}
_SPECTRAL = {"reference_position": "geocenter"}
_STEP = {"transform": None}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "core/column-1.0.0": _COLUMN,
    "table/column-1.1.0": _COLUMN,
    "core/table-1.0.0": _TABLE,
    "table/table-1.1.0": _TABLE,
    "wcs/spectral_frame-1.0.0": _SPECTRAL,
    "wcs/spectral_frame-1.1.0": _SPECTRAL,
    "wcs/step-1.0.0": _STEP,
    "wcs/step-1.1.0": _STEP,
    "wcs/step-1.2.0": _STEP,
}
"""Values by tag and key; a type stands for an empty object of it."""

_COORDINATES = f"{_PREFIX}wcs/icrs_coord-1.1.0"

_LAST = (1, 5, 0)
"""The last version of the standard whose schemas have defaults."""


def fill_defaults(tree: Any, standard: str) -> None:
    """Fill in the defaults that the schemas of a version of the standard gave to what a file leaves out.

    See https://asdf.readthedocs.io/en/latest/asdf/config.html#legacy-fill-schema-defaults
    """
    parts = standard.split(".")
    if not all(part.isdigit() for part in parts) or tuple(map(int, parts)) > _LAST:
        return
    if isinstance(tree, TaggedDict):
        _fill(tree)
    for _, _, value in walk(tree):
        if isinstance(value, TaggedDict):
            _fill(value)


def _fill(node: TaggedDict) -> None:
    for key, value in _DEFAULTS.get(node.tag.removeprefix(_PREFIX), {}).items():
        node.setdefault(key, value() if isinstance(value, type) else value)
    if node.tag == _COORDINATES:
        for name in ("ra", "dec"):
            if isinstance(node.get(name), dict):
                node[name].setdefault("unit", "deg")
        if isinstance(node.get("ra"), dict):
            node["ra"].setdefault("wrap_angle", "360 deg")
