"""The argument SOURCE: a store or file, or a node in it."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tegula
from tegula.stores._resolve import local_path


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument SOURCE to a command."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a store or file, or a node in it: data.zarr, data.zarr/group/array, file.asdf, file.asdf#sci/data, "
        "s3://bucket/data.zarr, https://host/file.asdf#sci/data",
    )


def is_asdf(path: str) -> bool:
    """Return whether a path is an ASDF file, by its name or its first bytes."""
    local = local_path(path)
    name = urlsplit(path).path if local is None else local
    if name.lower().endswith(".asdf"):
        return True
    try:
        with Path(name).open("rb") as file:
            return local is not None and file.read(5) == b"#ASDF"
    except OSError:
        return False


@contextmanager
def opened(source: str) -> Iterator[Any]:
    """Open a source: a group, an array, or the tree of an ASDF file or a part of it."""
    path, _, fragment = source.partition("#")
    if not is_asdf(path):
        try:
            node: Any = tegula.open(source)
        except tegula.NotFoundError as error:
            if inside := stores_in(source):
                raise tegula.NotFoundError(
                    f"{source} is a folder of stores, not a store; name one of them: {', '.join(inside)}"
                ) from error
            raise
        yield node
        return
    with tegula.open_asdf(path) as file:
        node = file
        for n, key in enumerate(keys := [key for key in fragment.split("/") if key]):
            try:
                node = node[int(key) if isinstance(node, list) else key]
            except (KeyError, IndexError, ValueError, TypeError):
                where = "/".join(keys[:n]) or "the top of the tree"
                raise tegula.NotFoundError(f"{path} has no {key!r} in {where}{names(node)}") from None
        # The root of a tree can be anything.
        yield node.tree if isinstance(node, tegula.AsdfFile) and not isinstance(node.tree, dict) else node


def stores_in(folder: str) -> list[str]:
    """Return the paths of the first stores and files with arrays in a folder."""
    if not os.path.isdir(folder):
        return []
    found = (os.path.join(folder, name) for name in sorted(os.listdir(folder)))
    metadata = ("zarr.json", ".zarray", ".zgroup")
    return [
        path
        for path in found
        if path.endswith((".asdf", ".zip", ".ozx"))
        or any(os.path.isfile(os.path.join(path, name)) for name in metadata)
    ][:8]


def names(node: Any) -> str:
    """Return the keys of a mapping, for an error message."""
    if not hasattr(node, "keys"):
        return ""
    keys = [str(key) for key in node]
    return f"; it has {', '.join(keys[:12])}{', ...' if len(keys) > 12 else ''}" if keys else ""


def is_array(node: Any) -> bool:
    """Return whether a node is an array, of tegula or of NumPy."""
    return hasattr(node, "shape") and hasattr(node, "dtype")
