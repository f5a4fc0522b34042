"""Times tegula and the ``asdf`` library on ASDF files in one interleaved run, and counts what cutouts read.

    pip install '.[asdf]' 'asdf-compression[zstd]'
    python benches/compare_asdf.py [--folder DIR] [--rounds N] [--only TEXT] [--small]

A row of the first table gives tegula's median time, and the median ratio of the library's time to tegula's: above 1,
tegula is faster. The library runs without tegula's extensions; its zstd is that of asdf-compression, which uses all
cores. Results are compared before anything is timed. The second table gives the bytes and calls that a partial read
takes, as counted by the operating system (Linux only), for arrays in one block and with one block per chunk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asdf
import numpy as np
from compare import row

import tegula
import tegula.asdf

if TYPE_CHECKING:
    from collections.abc import Callable

    Calls = dict[str, Callable[[], Any]]


def image(side: int) -> np.ndarray:
    """Return detector counts as 32-bit floats: noise in steps of 1/8."""
    return np.round(np.random.default_rng(1).normal(100, 10, (side, side)) * 8).astype("float32") / 8


def numbers(count: int) -> dict[str, Any]:
    """Return a tree of `count` nodes of plain data."""
    entry = {"name": "exposure", "time": 1.5, "gain": 3, "flags": [1, 2, 3]}
    return {"entries": [{**entry, "number": number} for number in range(count // 8)]}


def opening(folder: Path, small: bool) -> dict[str, Calls]:
    """Time opening and rewriting files with large trees."""
    blocks, nodes = (1000, 5000) if small else (10_000, 50_000)
    trees = {
        f"open {blocks} blocks": {"arrays": [np.arange(100.0) + number for number in range(blocks)]},
        f"open a tree of {nodes} nodes": numbers(nodes),
    }
    found: dict[str, Calls] = {}
    for name, tree in trees.items():
        path = folder / f"{name.replace(' ', '_')}.asdf"
        if not path.exists():
            asdf.AsdfFile(tree).write_to(path)

        def theirs(path: Path = path) -> Any:
            with asdf.open(path) as file:
                return file.tree

        def ours(path: Path = path) -> Any:
            with tegula.asdf.open(path) as file:
                return file.tree

        for key, value in tree.items():
            with asdf.open(path) as file:
                same(file[key][-1], value[-1])
            same(ours()[key][-1], value[-1])
        found[name] = {"tegula": ours, "asdf": theirs}

    # Rewrites the opened file: each array is copied without decoding.
    source = folder / f"open_{blocks}_blocks.asdf"
    target = folder / "again.asdf"

    def again(module: Any) -> Callable[[], Any]:
        def call() -> None:
            with module.open(source) as file:
                module.AsdfFile(file.tree).write_to(target)

        return call

    found[f"open and write {blocks} blocks"] = {"tegula": again(tegula.asdf), "asdf": again(asdf)}
    return found


def same(found: Any, expected: Any) -> None:
    """End the run if a result is wrong."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            same(found[key], value)
    elif not np.array_equal(np.asarray(found), np.asarray(expected)):
        message = f"{found!r} is not {expected!r}"
        raise SystemExit(message)


def blocks(folder: Path, small: bool) -> dict[str, Calls]:
    """Time reading and writing one large array."""
    side = 2000 if small else 10_000
    elements = image(side)
    megabytes = elements.nbytes // 1_000_000
    middle = side // 10
    parts = {"whole": np.s_[...], "cutout of 30 x 30": np.s_[middle : middle + 30, middle : middle + 30]}
    found: dict[str, Calls] = {}
    for label in (None, "lz4", "zlib"):
        # Compressing all of it takes the library minutes.
        rows = elements[: side // 5] if label == "zlib" else elements
        path = folder / f"image_{label}_{side}.asdf"
        if not path.exists():
            asdf.AsdfFile({"image": rows}).write_to(path, all_array_compression=label)
        for part, key in parts.items():

            def read(open_: Callable[..., Any], path: Path = path, key: Any = key) -> Any:
                # Neither library returns a view of a memory map here: the elements are in memory afterwards.
                with open_(path, memmap=False) as file:
                    return np.array(file["image"][key], copy=None)

            same(read(asdf.open), rows[key])
            same(read(tegula.asdf.open), rows[key])
            found[f"{label or 'uncompressed'}, {rows.nbytes // 1_000_000} MB, {part}"] = {
                "tegula": lambda read=read: read(tegula.asdf.open),
                "asdf": lambda read=read: read(asdf.open),
            }

    path = folder / f"image_None_{side}.asdf"

    def touched() -> Any:
        with asdf.open(path, memmap=True) as file:
            return np.add.reduce(file["image"][...].reshape(-1)[::1024])

    def viewed() -> Any:
        with tegula.asdf.open(path) as file:
            return np.add.reduce(file["image"][...].reshape(-1)[::1024])

    found[f"memory map of {megabytes} MB, each page touched"] = {"tegula": viewed, "asdf": touched}

    for label in (None, "lz4", "zstd"):
        target = folder / "written.asdf"

        def write(module: Any, label: str | None = label, target: Path = target) -> None:
            module.AsdfFile({"image": elements}).write_to(target, all_array_compression=label)

        write(tegula.asdf)
        with asdf.open(target) as file:
            same(file["image"][...], elements)
        found[f"write {label or 'uncompressed'}, {megabytes} MB"] = {
            "tegula": lambda write=write: write(tegula.asdf),
            "asdf": lambda write=write: write(asdf),
        }
    return found


# Arrays in one block, or with one block per chunk, and a part of each.
CUTOUTS = [
    ("1", (3, 4096, 4096), "uint16", None, np.s_[0, 0, 0]),
    ("2", (3, 4096, 4096), "uint16", (1, 512, 1024), np.s_[0, 0, 0]),
    ("3", (10_000, 10_000), "float32", (625, 625), np.s_[30:60, 90:120]),
    ("3b", (10_000, 10_000), "float32", (625, 625), np.s_[600:640, 600:640]),
    ("4", (32, 32, 2560), "float32", (8, 8, 2560), np.s_[:, :, 0]),
    ("5", (32, 32, 2560), "float32", (8, 8, 2560), np.s_[0, 0, :]),
    ("6", (32, 32, 2560), "float32", (32, 32, 256), np.s_[:, :, 0]),
    ("7", (32, 32, 2560), "float32", (32, 32, 256), np.s_[0, 0, :]),
    ("8", (160, 160, 2560), "float32", (32, 32, 256), np.s_[:, :, 0]),
    ("9", (160, 160, 2560), "float32", (32, 32, 256), np.s_[0, 0, :]),
]


def read_so_far() -> tuple[int, int]:
    """Return the bytes that this process has read and the number of read calls, as counted by Linux."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"]), int(counters["syscr"])


def cutouts(folder: Path, small: bool, only: str) -> None:
    """Print what cutouts read: to open the file, and to read the part."""
    print("\n| | array | chunks | part | bytes of its chunks | to open | to read | in reads | wanted | seconds |")
    print("|---|---|---|---|---:|---:|---:|---:|---:|---:|")
    for number, shape, dtype, chunks, part in CUTOUTS:
        if only not in f"cutout {number}" or (small and np.prod(shape) > 10**7):
            continue
        path = folder / f"cutout_{number}.asdf"
        if not path.exists():
            elements = np.ones(shape, dtype)
            array = elements if chunks is None else tegula.asdf.chunked(elements, chunks=chunks, compressor=None)
            tegula.asdf.AsdfFile({"array": array}).write_to(path)
        measured = []
        # The first run also reads Python modules.
        for _ in range(2):
            before, start = read_so_far(), time.perf_counter()
            with tegula.asdf.open(path, memmap=False) as file:
                opened = read_so_far()
                array = file["array"]
                found = np.asarray(array[part])
            taken = time.perf_counter() - start
            after = read_so_far()
            # Reading the counter counts as a read.
            own = read_so_far()[0] - after[0]
            measured = [opened[0] - before[0] - own, after[0] - opened[0] - own, after[1] - opened[1] - 1, taken]
        same(found, np.ones(found.shape, dtype))
        touched = array.explain(part).chunks * np.prod(chunks or shape) * found.itemsize
        print(
            f"| {number} | {shape} {dtype} | {chunks or 'one block'} | {text(part)} | {touched:,} | {measured[0]:,} "
            f"| {measured[1]:,} | {measured[2]} | {found.nbytes:,} | {measured[3]:.4f} |",
            flush=True,
        )


def text(part: tuple[Any, ...]) -> str:
    """Return a selection as text."""

    def item(index: Any) -> str:
        if not isinstance(index, slice):
            return str(index)
        return f"{'' if index.start is None else index.start}:{'' if index.stop is None else index.stop}"

    return f"[{', '.join(map(item, part))}]"


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tegula-compare-asdf")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only rows that contain this text; `cutout` for the second table")
    parser.add_argument("--small", action="store_true", help="files of 16 MB in place of 400 MB")
    arguments = parser.parse_args()
    asdf.get_config().remove_extension(package="tegula")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print("| | | tegula ms | asdf |\n|---|---|---:|---:|")
    for make in (opening, blocks):
        for name, calls in make(arguments.folder, arguments.small).items():
            if arguments.only in name:
                row(name, "", calls, arguments.rounds)
    if os.path.exists("/proc/self/io"):
        cutouts(arguments.folder, arguments.small, arguments.only)


if __name__ == "__main__":
    main()
