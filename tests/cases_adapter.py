"""Adapts tegula to the runner of the conformance cases."""

from typing import Any

import numpy as np

import tegula

VERSION = f"tegula {tegula.__version__}"


def read_zarr(path: str, array: str = "", selection: list[list[int]] | None = None) -> Any:
    a = tegula.open_array(path, path="/" + array)
    region = ... if selection is None else tuple(slice(*part) for part in selection)
    return np.asarray(a[region])


def read_zarr_meta(path: str, array: str = "") -> dict[str, Any]:
    node = tegula.open(path, path="/" + array)
    meta: dict[str, Any] = {"attributes": dict(node.attrs)}
    if isinstance(node, tegula.Array):
        meta["dimension_names"] = node.dimension_names and list(node.dimension_names)
    return meta


def list_zarr(path: str, group: str = "") -> dict[str, str]:
    return dict(tegula.open_group(path, path="/" + group).kinds(recursive=True))


def warm_up() -> None:
    a = tegula.create_array({}, shape=(2,), chunks=(1,), dtype="int32")
    a[...] = 1
    a[...]


def read_asdf(path: str) -> Any:
    with tegula.open_asdf(path, memmap=False, validate_checksums=True, legacy_defaults=True) as file:
        file.resolve_references()
        file.verify()
        return _plain(file.tree, {})


def _plain(node: Any, seen: dict[int, tuple[Any, Any]]) -> Any:
    """Return a tree as dicts and lists, with its arrays read. It may contain itself: each node is converted once."""
    if id(node) in seen:
        return seen[id(node)][0]
    if isinstance(node, np.ndarray):  # a masked array too
        return node
    if isinstance(node, tegula.Array):
        return node[...]
    if hasattr(node, "keys"):
        mapping: dict[Any, Any] = {}
        seen[id(node)] = (mapping, node)
        for key in node:
            mapping[key] = _plain(node[key], seen)
        return mapping
    if isinstance(node, (list, tuple)):
        items: list[Any] = []
        seen[id(node)] = (items, node)
        items.extend(_plain(item, seen) for item in node)
        return items
    return node
