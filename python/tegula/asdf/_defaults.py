"""Values that the schemas of old versions of the ASDF standard give to what a file leaves out."""

from typing import Any

from tegula.asdf._tree import TaggedDict

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
"""Values by tag and key; a type makes them."""

_COORDINATES = f"{_PREFIX}wcs/icrs_coord-1.1.0"

_LAST = (1, 5, 0)
"""Newer versions of the standard have no defaults."""


def fill_defaults(tree: Any, standard: str) -> None:
    """Put defaults into a tree, as readers did that validated it, where its version of the standard has them.

    See https://asdf.readthedocs.io/en/latest/asdf/config.html#legacy-fill-schema-defaults
    """
    parts = standard.split(".")
    if not all(part.isdigit() for part in parts) or tuple(map(int, parts)) > _LAST:
        return
    seen: set[int] = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        if not isinstance(node, (dict, list)) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, TaggedDict):
            _fill(node)
        stack.extend(node.values() if isinstance(node, dict) else node)


def _fill(node: TaggedDict) -> None:
    for key, value in _DEFAULTS.get(node.tag.removeprefix(_PREFIX), {}).items():
        node.setdefault(key, value() if isinstance(value, type) else value)
    if node.tag == _COORDINATES:
        for name in ("ra", "dec"):
            if isinstance(node.get(name), dict):
                node[name].setdefault("unit", "deg")
        if isinstance(node.get("ra"), dict):
            node["ra"].setdefault("wrap_angle", "360 deg")
