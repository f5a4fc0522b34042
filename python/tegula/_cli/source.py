"""The argument SOURCE: a store or file, or a node in it."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
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
    servers = parser.add_argument_group("servers", "How URLs are reached.")
    servers.add_argument("--anonymous", action="store_true", help="do not sign requests, to read public data")
    servers.add_argument("--endpoint", metavar="URL", help="URL of the service, such as http://localhost:9000")
    servers.add_argument("--region", metavar="NAME", help="region of the bucket")
    servers.add_argument(
        "--header", metavar="NAME:VALUE", action="append", default=[], type=pair(":"), help="a header of all requests"
    )
    servers.add_argument(
        "--storage-option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        type=pair("="),
        help="any other option of tegula.RemoteStore: missing_statuses=403,404, timeout=60",
    )


def pair(mark: str) -> Callable[[str], tuple[str, str]]:
    """Return the parser of a name and a value with a mark between them."""

    def parse(text: str) -> tuple[str, str]:
        name, found, value = text.partition(mark)
        if not found or not name.strip():
            raise argparse.ArgumentTypeError(f"{text!r} is not a name and a value with {mark!r} between them")
        return name.strip(), value.strip()

    return parse


def access(arguments: argparse.Namespace, name: str) -> dict[str, Any] | None:
    """Return the options of the server of a URL; None for a path."""
    if local_path(name) is not None:
        return None
    options: dict[str, Any] = {"anonymous": True} if arguments.anonymous else {}
    options |= {key: getattr(arguments, key) for key in ("endpoint", "region") if getattr(arguments, key) is not None}
    options |= {"headers": dict(arguments.header)} if arguments.header else {}
    return {**options, **dict(arguments.storage_option)} or None


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
def opened(source: str, storage_options: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Open a source: a group, an array, or the tree of an ASDF file or a part of it."""
    path, _, fragment = source.partition("#")
    if not is_asdf(path):
        try:
            node: Any = tegula.open(source, storage_options=storage_options)
        except tegula.NotFoundError as error:
            if inside := stores_in(source):
                raise tegula.NotFoundError(
                    f"{source} is a folder of stores, not a store; name one of them: {', '.join(inside)}"
                ) from error
            raise
        yield node
        return
    with tegula.open_asdf(path, storage_options=storage_options) as file:
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
