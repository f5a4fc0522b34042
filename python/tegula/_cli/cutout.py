"""`tegula cutout`: reads a region into a picture or a NumPy file."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import tegula
from tegula._cli import info, picture, region, source
from tegula._cli.screen import GOOD, LABEL, NAME, Screen
from tegula._format import byte_size, count, share
from tegula.stores._path import expanded


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "cutout",
        help="cut a region out of an array",
        description="Cuts a region out of an array. Only the chunks that the region touches are read.",
    )
    source.add_argument(parser)
    parser.add_argument(
        "region",
        metavar="REGION",
        type=region.parse,
        help="as in NumPy: 1000:1064,1000:1064  or  0,::4,::-4  or  ...,5",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=output,
        help="out.png or out.npy; without it, only statistics are printed",
    )
    parser.add_argument(
        "--stretch", choices=picture.STRETCHES, default="linear", help="brightness scale of a picture (default: linear)"
    )
    parser.add_argument(
        "--percent",
        type=percent,
        default=0.5,
        metavar="P",
        help="percentage of black and of white pixels (default: 0.5)",
    )
    parser.add_argument(
        "--explain", action="store_true", help="list the chunks, requests and bytes that the read takes"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def output(text: str) -> Path:
    """Check the name of the output file."""
    path = Path(expanded(text))
    if path.suffix.lower() not in (".png", ".npy"):
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: the name must end in .png or .npy")
    return path


def percent(text: str) -> float:
    """Parse a percentage below 50."""
    value = float(text)
    if not 0 <= value < 50:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 50 (exclusive)")
    return value


def run(arguments: argparse.Namespace, screen: Screen) -> None:
    """Run the command."""
    with source.opened(arguments.source, source.access(arguments, arguments.source)) as array:
        if not source.is_array(array):
            raise tegula.InvalidSelectionError(
                f"{arguments.source} is not an array; `tegula info` shows what it contains"
            )
        # Explain before reading: afterwards the shard indexes are cached and cost nothing. With very many chunks,
        # explaining takes long, so read first, which fails if the region is too large.
        plan = explain(array, arguments.region) if info.countable(array) else None
        values = read(array, arguments.region)
        plan = plan or explain(array, arguments.region)
        write(values, arguments)
        facts = {
            "source": arguments.source,
            "region": region.written(arguments.region),
            "shape": list(values.shape),
            "dtype": str(values.dtype),
            **statistics(values),
            "read": plan,
            "output": str(arguments.output) if arguments.output else None,
        }
        if arguments.json:
            screen.line(json.dumps(facts, allow_nan=False))
            return
        screen.line((arguments.source, NAME), "  ", facts["region"])
        rows = [("shape", picture.shape(values)), ("data type", facts["dtype"])]
        rows += [(name, f"{facts[name]:.6g}") for name in ("min", "max", "mean") if facts.get(name) is not None]
        for name in ("not_finite", "masked"):
            if facts.get(name):
                rows.append((name.replace("_", " "), f"{facts[name]:,}"))
        if plan:
            rows.append(("read", summary(plan, array)))
        screen.pairs(rows)
        if plan and arguments.explain:
            screen.line()
            details(plan, array, screen)
        if arguments.output:
            screen.line()
            screen.line(("wrote ", LABEL), (str(arguments.output), GOOD))


def read(array: Any, where: tuple[Any, ...]) -> Any:
    """Read a region. One larger than memory, or than NumPy allows, is an error."""
    try:
        return np.asanyarray(array[where])
    except tegula.Error:
        raise
    except (ValueError, MemoryError) as error:
        raise tegula.InvalidSelectionError(f"the region is too large: {error}") from None


def write(values: Any, arguments: argparse.Namespace) -> None:
    """Write the output file, if one is wanted."""
    path = arguments.output
    if path is None:
        return
    if path.suffix.lower() == ".png":
        picture.write_png(path, picture.pixels(values, arguments.stretch, arguments.percent))
    else:
        with path.open("wb") as file:
            np.save(file, np.ma.getdata(values), allow_pickle=False)


def statistics(values: Any) -> dict[str, Any]:
    """Return minimum, maximum and mean of the finite values, and counts of non-finite and masked values."""
    if values.dtype.kind not in "biuf" or not values.size:
        return {}
    facts: dict[str, Any] = {}
    if isinstance(values, np.ma.MaskedArray):
        facts["masked"] = int(np.ma.getmaskarray(values).sum())
        values = values.compressed()
    finite = values
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        facts["not_finite"] = values.size - finite.size
    if finite.size:
        wide = np.float64 if finite.dtype.kind == "f" else None
        facts |= {"min": finite.min().item(), "max": finite.max().item(), "mean": float(finite.mean(dtype=wide))}
    return facts


def explain(array: Any, where: tuple[Any, ...]) -> dict[str, int] | None:
    """Return what reading a region costs; None for arrays in memory."""
    if not hasattr(array, "explain"):
        return None
    return dict(array.explain(where)._asdict())


def summary(plan: dict[str, int], array: Any) -> str:
    """Return a plan on one line."""
    what = count(plan["chunks"], "shard" if array.is_sharded else "chunk")
    if array.is_sharded:
        what = f"{count(plan['inner_chunks'], 'inner chunk')} of {what}"
    whole = f"{share(plan['bytes_read'], array.nbytes)} of the array's {byte_size(array.nbytes)}"
    return f"{byte_size(plan['bytes_read'])} in {count(plan['requests'], 'request')}: {what}; {whole}"


def details(plan: dict[str, int], array: Any, screen: Screen) -> None:
    """Print a plan in detail."""
    sharded = array.is_sharded
    rows = [("shards" if sharded else "chunks", touched(plan["chunks"], plan["missing_chunks"]))]
    if sharded:
        inner = plan["inner_chunks"] + plan["missing_inner_chunks"]
        rows.append(("inner chunks", touched(inner, plan["missing_inner_chunks"])))
    rows.append(("requests", f"{plan['requests']:,}"))
    index = f", {byte_size(plan['index_bytes'])} in shard indexes" if plan["index_bytes"] else ""
    rows.append(("bytes read", f"{byte_size(plan['bytes_read'])}{index}"))
    rows.append(("bytes decoded", byte_size(plan["bytes_decoded"])))
    rows.append(
        (
            "bytes wanted",
            f"{byte_size(plan['bytes_wanted'])}, {share(plan['bytes_wanted'], plan['bytes_decoded'])} of bytes decoded",
        )
    )
    screen.pairs(rows)


def touched(all_: int, missing: int) -> str:
    """Return a number of chunks, and how many of them are not stored."""
    return f"{all_:,} touched" + (f", {missing:,} of them not stored" if missing else "")
