"""`tegula info`: shows the tree of a store or file, or the properties of an array."""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from operator import getitem
from typing import Any

import numpy as np

import tegula
from tegula._cli import source
from tegula._cli.screen import BAD, LABEL, NAME, NOTE, Screen
from tegula._format import byte_size, count, share
from tegula._render import draw

# Above this number of chunks, counting the stored ones takes too long.
CHUNKS_COUNTED = 100_000
ITEMS_SHOWN = 20
# Levels of a tree that are described.
DEEPEST = 100
# Entries that ASDF libraries add to the top of a tree. They are shown if the source names them: file.asdf#history.
WRITERS = ("asdf_library", "history")
TEXT_SHOWN = 60

Entry = tuple[str, dict[str, Any]]  # the name of a node and its description


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="show the contents of a file or a store",
        description="Shows the groups and arrays of a store, the tree of an ASDF file, or the properties of one array.",
    )
    source.add_argument(parser)
    parser.add_argument("--depth", type=int, metavar="N", help="number of levels to show")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(arguments: argparse.Namespace, screen: Screen) -> None:
    """Run the command."""
    with source.opened(arguments.source, source.access(arguments, arguments.source)) as node:
        if source.is_array(node):
            facts = describe_array(node)
            facts.update(stored(node))
        else:
            depth = DEEPEST if arguments.depth is None else min(arguments.depth, DEEPEST)
            facts = describe(node, depth, {})
        if arguments.json:
            screen.line(json.dumps({"source": arguments.source, **facts}, default=str))
        elif source.is_array(node):
            show_array(arguments.source, facts, screen)
        else:
            show_tree(arguments.source, facts, screen)


def describe(node: Any, depth: int, seen: dict[int, Any]) -> dict[str, Any]:
    """Describe a node and everything below it, as plain data. What a tree holds in several places is described once."""
    if source.is_array(node):
        return describe_array(node)
    if isinstance(node, tegula.Group):
        facts: dict[str, Any] = {"kind": "group", "zarr_format": node.zarr_format, "attributes": len(node.attrs)}
        children: Iterator[tuple[str, Callable[[], Any]]] = (
            (name, partial(getitem, node, name)) for name in node.kinds()
        )
    elif hasattr(node, "keys"):
        facts = {"kind": "asdf" if isinstance(node, tegula.AsdfFile) else "mapping"}
        children = ((str(key), partial(getitem, node, key)) for key in node)
    elif isinstance(node, (list, tuple)):
        facts = {"kind": "sequence", "length": len(node)}
        children = ((str(n), partial(getitem, node, n)) for n in range(len(node)))
    else:
        return {"kind": "value", "value": node}
    if id(node) in seen:
        return {**facts, "children": {}, "cut": "as above"}
    if depth == 0:
        return {**facts, "children": {}, "cut": "not shown"}
    seen[id(node)] = node  # kept, so that no other object gets its address
    facts["children"] = {name: describe_member(get, depth - 1, seen) for name, get in children}
    return facts


def describe_member(get: Callable[[], Any], depth: int, seen: dict[int, Any]) -> dict[str, Any]:
    """Describe a child, or the error if it cannot be opened."""
    try:
        return describe(get(), depth, seen)
    except tegula.Error as error:
        return {"kind": "error", "error": str(error)}


def describe_array(array: Any) -> dict[str, Any]:
    """Describe an array without reading its elements."""
    facts: dict[str, Any] = {
        "kind": "array",
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "bytes": int(array.nbytes),
    }
    if not isinstance(array, tegula.Array):
        return facts
    if not getattr(array, "is_zarr", True):  # an ndarray in a block of an ASDF file
        facts["compression"] = ", ".join(codec(item) for item in array.codecs[1:]) or None
        return facts
    facts["zarr_format"] = array.zarr_format
    facts["chunks"] = list(array.chunks)
    facts["shards"] = list(array.shards) if array.shards else None
    facts["chunk_grid_shape"] = list(array.chunk_grid_shape)
    facts["codecs"] = [codec(item) for item in array.codecs]
    try:
        facts["fill_value"] = plain(array.fill_value)
    except tegula.InvalidMetadataError:
        facts["fill_value"] = f"invalid: {array.metadata.get('fill_value')!r}"
    facts["dimension_names"] = list(array.dimension_names) if array.dimension_names else None
    facts["attributes"] = len(array.attrs)
    return facts


def stored(array: Any) -> dict[str, Any]:
    """Count the stored chunks and bytes of an array, shard indexes included."""
    if not isinstance(array, tegula.Array) or not countable(array):
        return {}
    plan = array.explain(...)
    inner = {"stored_inner_chunks": plan.inner_chunks} if array.is_sharded else {}
    return {"stored_bytes": plan.bytes_read, "stored_chunks": plan.chunks - plan.missing_chunks, **inner}


def countable(array: Any) -> bool:
    """Return whether an array has few enough chunks, inner chunks included, to look at each one."""
    grid = getattr(array, "inner_chunk_grid_shape", ())
    return bool(np.prod(grid, dtype=float) <= CHUNKS_COUNTED)


def codec(item: Any) -> str:
    """Return a codec in a few words: `zstd(level=3)`."""
    if isinstance(item, str):
        return item
    configuration = item.get("configuration") or {}
    name: str = item["name"]
    if name == "sharding_indexed":
        shape = " x ".join(map(str, configuration["chunk_shape"]))
        return f"{name}({shape}: {', '.join(map(codec, configuration['codecs']))})"
    shown = {
        key: value for key, value in configuration.items() if key not in ("id", "typesize", "blocksize", "checksum")
    }
    if name == "bytes":
        return f"bytes({shown['endian']})" if shown.get("endian") == "big" else name
    text = ", ".join(f"{key}={value}" for key, value in shown.items())
    return f"{name}({text})" if text else name


def plain(value: Any) -> Any:
    """Convert a NumPy scalar to a JSON value."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def show_array(name: str, facts: dict[str, Any], screen: Screen) -> None:
    """Print the properties of an array."""
    screen.line((name, NAME), ("  " + form(facts), NOTE))
    screen.line()
    screen.pairs(rows(facts))


def form(facts: dict[str, Any]) -> str:
    """Return what kind of array it is."""
    return f"array, Zarr V{facts['zarr_format']}" if "zarr_format" in facts else "array in a block"


def rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of `show_array`."""
    yield "shape", extent(facts["shape"])
    names = facts.get("dimension_names")
    if names:
        yield "dimensions", ", ".join("-" if name is None else name for name in names)
    yield "data type", facts["dtype"]
    yield "size", byte_size(facts["bytes"])
    if "chunks" in facts:
        yield from chunk_rows(facts)
    elif "compression" in facts:
        yield "compression", facts["compression"] or "none"
    if "stored_bytes" in facts:
        what = count(facts["stored_chunks"], "shard" if facts.get("shards") else "chunk")
        if facts.get("shards"):
            what += f" with {count(facts['stored_inner_chunks'], 'inner chunk')}"
        ratio = f", {share(facts['stored_bytes'], facts['bytes'])} of its size" if facts["bytes"] else ""
        yield "stored", byte_size(facts["stored_bytes"]) + (f" in {what}" if "chunks" in facts else "") + ratio


def chunk_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows about chunks and codecs."""
    grid = facts["chunk_grid_shape"]
    number = int(np.prod(grid, dtype=object)) if grid else 1
    of_grid = f"{number:,}" + (f" = {' x '.join(f'{n:,}' for n in grid)}" if len(grid) > 1 else "")
    if facts["shards"]:
        yield "shards", f"{extent(facts['shards'])}, {of_grid}"
        yield "inner chunks", extent(facts["chunks"])
    else:
        yield "chunks", f"{extent(facts['chunks'])}, {of_grid}"
    yield "codecs", ", ".join(facts["codecs"]) or "none"
    yield "fill value", str(facts["fill_value"])
    yield "attributes", f"{facts['attributes']:,}"


def extent(shape: list[int]) -> str:
    """Return a shape as text: `(3, 872, 1000)`."""
    return str(tuple(shape))


def show_tree(name: str, facts: dict[str, Any], screen: Screen) -> None:
    """Print a tree."""
    screen.line((name, NAME), *note(facts))
    for guides, (label, child) in draw((name, facts), children, screen.guides):
        screen.line((guides, LABEL), (label, NAME), *note(child))


def children(entry: Entry) -> list[Entry]:
    """Return the members of a node that the tree shows."""
    _, facts = entry
    shown = list(facts.get("children", {}).items())
    if facts["kind"] == "asdf":
        shown = [(name, child) for name, child in shown if name not in WRITERS]
    if facts["kind"] == "sequence" and len(shown) > ITEMS_SHOWN:
        more = {"kind": "more", "number": len(shown) - ITEMS_SHOWN}
        shown = [*shown[:ITEMS_SHOWN], ("", more)]
    return shown


def note(facts: dict[str, Any]) -> Iterator[str | tuple[str, str]]:
    """Yield what the tree shows after a node's name."""
    kind = facts["kind"]
    if kind == "error":
        yield f"  {facts['error']}", BAD
    elif kind == "value":
        text = str(facts["value"]).replace("\n", " ")
        yield ": " + (text if len(text) <= TEXT_SHOWN else text[: TEXT_SHOWN - 3] + "...")
    elif kind == "array":
        yield from array_note(facts)
    elif kind == "group":
        attributes = f", {count(facts['attributes'], 'attribute')}" if facts["attributes"] else ""
        yield f"  group, Zarr V{facts['zarr_format']}{attributes}", NOTE
    elif kind == "sequence":
        yield f"  {count(facts['length'], 'item')}", NOTE
    elif kind == "more":
        yield count(facts["number"], "more item"), NOTE
    if facts.get("cut"):
        yield f"  ({facts['cut']})", NOTE


def array_note(facts: dict[str, Any]) -> Iterator[str | tuple[str, str]]:
    """Yield what the tree shows after an array's name."""
    yield f"  {extent(facts['shape'])} {facts['dtype']}"
    if facts.get("shards"):
        yield f"  shards {extent(facts['shards'])}", LABEL
    if facts.get("compression"):
        yield f"  {facts['compression']}", LABEL
    if "chunks" in facts:
        yield f"  chunks {extent(facts['chunks'])}", LABEL
        yield f"  {', '.join(facts['codecs'])}" if not facts["shards"] else "", LABEL
