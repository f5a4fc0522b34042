"""`tegula copy`: copies an array or a group, optionally with other chunks, codecs or another version of Zarr."""

import argparse
import json
from typing import Any

import numpy as np

import tegula
from tegula._cli import info, source
from tegula._cli.screen import GOOD, LABEL, Screen
from tegula._format import byte_size, count


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "copy",
        help="copy arrays and groups, optionally with other chunks or codecs",
        description="Copies an array, or a group with everything below it. Without options, chunks stay unchanged.",
    )
    source.add_argument(parser)
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a folder, a path in a store, or a file: copy.zarr, copy.zarr/group/array, copy.zarr.zip, "
        "copy.asdf#sci/data, copy.npy",
    )
    parser.add_argument("--chunks", metavar="SHAPE", type=shape, help="chunk shape: 64,64,64 or auto")
    parser.add_argument("--shards", metavar="SHAPE", type=shape, help="shard shape: 512,512,512, auto or none")
    parser.add_argument(
        "--compressors",
        metavar="CODECS",
        type=lambda text: text.split(","),
        help="zstd:5, gzip:6, blosc:zstd:5:bitshuffle or none; several are separated by commas: gzip:6,crc32c",
    )
    parser.add_argument("--zarr-format", metavar="N", type=int, choices=(2, 3), help="version of Zarr: 2 or 3")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at TARGET")
    parser.add_argument("--max-memory", metavar="SIZE", help='memory limit, such as "2 GB" (default: 1 GiB)')
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def shape(text: str) -> Any:
    """Parse a shape, "auto" or "none"."""
    if text in ("auto", "none"):
        return text
    try:
        lengths = tuple(int(part) for part in text.strip("()[]").split(",") if part.strip())
    except ValueError:
        lengths = ()
    if not lengths or any(length < 1 and length != -1 for length in lengths):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 64,64,64")
    return lengths


def run(arguments: argparse.Namespace, screen: Screen) -> None:
    """Run the command."""
    how: dict[str, Any] = {"overwrite": arguments.overwrite, "max_memory": arguments.max_memory, "progress": True}
    how["storage_options"] = source.access(arguments, arguments.target)
    if arguments.compressors is not None:
        how["compressors"] = arguments.compressors
    if arguments.zarr_format is not None:
        how["zarr_format"] = arguments.zarr_format
    with source.opened(arguments.source, source.access(arguments, arguments.source)) as node:
        if not isinstance(node, (tegula.Array, tegula.Group, np.ndarray)):
            raise tegula.InvalidSelectionError(
                f"cannot copy {arguments.source}: it is neither an array nor a Zarr group"
            )
        if arguments.chunks is None and arguments.shards is None:
            made = tegula.copy(node, arguments.target, **how)
        else:
            given = {"chunks": arguments.chunks, "shards": arguments.shards}
            how |= {name: None if value == "none" else value for name, value in given.items() if value is not None}
            how.setdefault("shards", None)
            made = tegula.rechunk(node, arguments.target, **how)
        arrays = list(only_arrays(node)) if isinstance(node, tegula.Group) else [node]
        total = sum(array.nbytes for array in arrays)
        if arguments.json:
            facts = {"source": arguments.source, "target": arguments.target, "arrays": len(arrays), "bytes": total}
            screen.line(json.dumps({**facts, **info.describe(made, 0, {})}, default=str))
        else:
            what = "" if not isinstance(node, tegula.Group) else f"{count(len(arrays), 'array')}, "
            screen.line(("copied ", LABEL), (arguments.target, GOOD), f"  {what}{byte_size(total)}")


def only_arrays(group: tegula.Group) -> Any:
    """Yield the arrays below a group."""
    return (node for _, node in group.traverse() if isinstance(node, tegula.Array))
