<<<<<<< HEAD
"""Times tegula beside the asdf library in one interleaved run, and counts the bytes that cutouts read.

    pip install . asdf lz4 asdf-compression && python benches/compare_asdf.py [--folder DIR] [--rounds N] [--only TEXT]

Each round calls both libraries once, in turn, so that what the machine does besides falls on both alike. A row gives
the medians of the times, and their ratio: above 1, tegula is faster. Results are compared before anything is timed.
Bytes are those that the process asked the system for (Linux only), with no memory maps.
=======
"""Times tegula beside the ``asdf`` library on ASDF files in one interleaved run, and counts what cutouts read.

    pip install '.[asdf]' && python benches/compare_asdf.py [--folder DIR] [--rounds N] [--only TEXT] [--small]

A row of the first table gives the median of our times, and the median of the library's time over ours: above 1, tegula
is faster. Results are compared before anything is timed. The second table gives what reading a part of an array takes
from the file, as the operating system counts it (Linux only), for arrays in one block and in a block for each chunk.
>>>>>>> asdfw
"""

from __future__ import annotations

import argparse
<<<<<<< HEAD
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asdf
import numpy as np
=======
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from compare import row
>>>>>>> asdfw

import tegula
import tegula.asdf

if TYPE_CHECKING:
    from collections.abc import Callable

<<<<<<< HEAD
    Pair = tuple[Callable[[], Any], Callable[[], Any]]

BLOCKS = 10_000
NODES = 50_000
CUTOUT = np.s_[5000:5030, 5000:5030]


def image(side: int) -> np.ndarray:
    """Noise in steps, as a detector gives it."""
    random = np.random.default_rng(1)
    return np.round(random.normal(0, 40, (side, side)).astype("f4"))


def table_of_nodes(count: int) -> dict[str, Any]:
    """Return a tree of plain data."""
    rows = [{"id": i, "name": f"source {i}", "ra": i * 0.01, "flags": [True, False]} for i in range(count // 7)]
    return {"rows": rows}


def files(folder: Path, side: int) -> dict[str, Path]:
    """Writes what is read, once."""
    found = {name: folder / f"{name}.asdf" for name in ("blocks", "half", "nodes", "plain", "lz4", "zlib")}
    if not found["blocks"].exists():
        arrays = [np.full(100, i, "f8") for i in range(BLOCKS)]
        asdf.AsdfFile({"a": arrays}).write_to(found["blocks"])
        asdf.AsdfFile({"a": arrays[: BLOCKS // 2]}).write_to(found["half"])
        asdf.AsdfFile(table_of_nodes(NODES)).write_to(found["nodes"])
    found |= {name: folder / f"{name} {side}.asdf" for name in ("plain", "lz4", "zlib")}
    if not found["zlib"].exists():
        data = image(side)
        asdf.AsdfFile({"a": data}).write_to(found["plain"])
        asdf.AsdfFile({"a": data}).write_to(found["lz4"], all_array_compression="lz4")
        asdf.AsdfFile({"a": data}).write_to(
            found["zlib"], all_array_compression="zlib", compression_kwargs={"level": 1}
        )
    return found


def ours(path: Path, key: Any = ..., **options: Any) -> Any:
    """Read by tegula."""
    with tegula.asdf.open(path, **options) as file:
        return file["a"][key]


def theirs(path: Path, key: Any = ..., **options: Any) -> Any:
    """Read by the library."""
    with asdf.open(path, **options) as file:
        return np.array(file["a"][key], copy=options.get("memmap"))


def touched(array: np.ndarray) -> float:
    """Look at an element of each page."""
    return float(array.reshape(-1)[::1024].sum())


def pairs(folder: Path, side: int) -> dict[str, Pair]:
    """What is timed, by name."""
    path = files(folder, side)
    data = image(side)
    out = folder / "out.asdf"

    def write(label: str | None) -> Pair:
        return (
            lambda: tegula.asdf.AsdfFile({"a": data}).write_to(out, all_array_compression=label),
            lambda: asdf.AsdfFile({"a": data}).write_to(out, all_array_compression=label),
        )

    def again(name: str) -> Pair:
        def with_ours() -> None:
            with tegula.asdf.open(path[name]) as file:
                file.write_to(out)

        def with_theirs() -> None:
            with asdf.open(path[name]) as file:
                file.write_to(out)

        return with_ours, with_theirs

    def mapped() -> float:
        with asdf.open(path["plain"], memmap=True) as file:
            return touched(file["a"][...])

    size = f"{data.nbytes / 1e6:.0f} MB"
    return {
        f"open {BLOCKS} blocks": (lambda: tegula.asdf.open(path["blocks"]), lambda: asdf.open(path["blocks"]).close()),
        f"open a tree of {NODES} nodes": (
            lambda: tegula.asdf.open(path["nodes"]),
            lambda: asdf.open(path["nodes"]).close(),
        ),
        f"write {BLOCKS // 2} blocks again": again("half"),
        f"write {BLOCKS} blocks again": again("blocks"),
        f"read {size} of lz4": (lambda: ours(path["lz4"]), lambda: theirs(path["lz4"])),
        f"cut 30 x 30 out of {size} of lz4": (lambda: ours(path["lz4"], CUTOUT), lambda: theirs(path["lz4"], CUTOUT)),
        f"read {size} of zlib": (lambda: ours(path["zlib"]), lambda: theirs(path["zlib"])),
        f"read {size}": (lambda: ours(path["plain"], memmap=False), lambda: theirs(path["plain"])),
        f"read {size}, beside their map touched": (lambda: ours(path["plain"], memmap=False), mapped),
        f"touch a map of {size}": (lambda: touched(ours(path["plain"])), mapped),
        f"cut 30 x 30 out of {size}": (
            lambda: ours(path["plain"], CUTOUT, memmap=False),
            lambda: theirs(path["plain"], CUTOUT),
        ),
        f"write {size}": write(None),
        f"write {size} of lz4": write("lz4"),
        f"write {size} of zstd": write("zstd"),
    }


def same(one: Any, other: Any) -> bool:
    """Compare what was read; what was opened or written is not compared here."""
    return not isinstance(other, np.ndarray) or np.array_equal(one, other)


def run(folder: Path, rounds: int, only: str, side: int) -> None:
    """Times all pairs."""
    print("| | tegula ms | asdf ms | ratio |\n|---|---:|---:|---:|")
    for name, calls in pairs(folder, side).items():
        if only not in name:
            continue
        if not same(*(call() for call in calls)):
            message = f"{name}: not the same"
            raise SystemExit(message)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for call, taken in zip(calls, times, strict=True):
                start = time.perf_counter()
                result = call()
                taken.append(time.perf_counter() - start)
                del result
        mine, other = (statistics.median(taken) * 1e3 for taken in times)
        print(f"| {name} | {mine:.2f} | {other:.2f} | {other / mine:.2f} |", flush=True)


# Arrays, the shapes of their chunks (None: an ndarray), and what is cut out of them.
CUTOUTS: list[tuple[tuple[int, ...], str, tuple[int, ...] | None, Any]] = [
    ((3, 4096, 4096), "u2", None, np.s_[0, 0, 0]),
    ((3, 4096, 4096), "u2", (1, 512, 1024), np.s_[0, 0, 0]),
    ((10_000, 10_000), "f4", (625, 625), np.s_[30:60, 90:120]),
    ((10_000, 10_000), "f4", (625, 625), np.s_[600:640, 600:640]),
    ((32, 32, 2560), "f4", (8, 8, 2560), np.s_[:, :, 0]),
    ((32, 32, 2560), "f4", (8, 8, 2560), np.s_[0, 0, :]),
    ((32, 32, 2560), "f4", (32, 32, 256), np.s_[:, :, 0]),
    ((32, 32, 2560), "f4", (32, 32, 256), np.s_[0, 0, :]),
    ((160, 160, 2560), "f4", (32, 32, 256), np.s_[:, :, 0]),
    ((160, 160, 2560), "f4", (32, 32, 256), np.s_[0, 0, :]),
]


def asked() -> tuple[int, int]:
    """Return the bytes that this process has asked the system for, and how often."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines())
    return int(lines["rchar"]), int(lines["syscr"])


def counted(call: Callable[[], Any]) -> tuple[int, int]:
    """Return the bytes that a call asks for, and how often."""
    before, between = asked(), asked()
    call()
    after = asked()
    return tuple(c - b - (b - a) for a, b, c in zip(before, between, after, strict=True))  # type: ignore[return-value]


def count(folder: Path, only: str) -> None:
    """Counts the bytes of the cutouts; asdf reads Zarr arrays with tegula's help, so that of these only ours count."""
    print("\n| array | chunks | cutout | useful bytes | chunks' bytes | tegula bytes | reads | asdf bytes | reads |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for number, (shape, dtype, chunks, key) in enumerate(CUTOUTS):
        text = ", ".join(f"{k.start or ''}:{k.stop or ''}" if isinstance(k, slice) else str(k) for k in key)
        if only not in f"bytes {text}":
            continue
        path = folder / f"cutout{number}.asdf"
        if not path.exists():
            array: Any = np.ones(shape, dtype)
            if chunks is not None:
                array = tegula.asdf.chunked(array, chunks, compressor=None)
            tegula.asdf.AsdfFile({"a": array}).write_to(path)
        useful = ours(path, key, memmap=False).nbytes
        explained = tegula.asdf.open(path, memmap=False)["a"].explain(key)
        whole = explained.chunks * int(np.prod(chunks or shape)) * np.dtype(dtype).itemsize
        mine = counted(lambda path=path, key=key: ours(path, key, memmap=False))  # type: ignore[misc]
        other = ("", "")
        if chunks is None:
            theirs(path, key)
            other = counted(lambda path=path, key=key: theirs(path, key))  # type: ignore[misc,assignment]
        row = [shape, chunks or "", f"[{text}]", useful, whole, *mine, *other]
        print(f"| {' | '.join(map(str, row))} |", flush=True)
=======
    Calls = dict[str, Callable[[], Any]]


def image(side: int) -> np.ndarray:
    """Counts of a detector as 32-bit floats: noise in steps."""
    return np.round(np.random.default_rng(1).normal(100, 10, (side, side)) * 8).astype("float32") / 8


def numbers(count: int) -> dict[str, Any]:
    """A tree of `count` nodes of plain data."""
    entry = {"name": "exposure", "time": 1.5, "gain": 3, "flags": [1, 2, 3]}
    return {"entries": [{**entry, "number": number} for number in range(count // 8)]}


def opening(folder: Path, small: bool) -> dict[str, Calls]:
    """Opening files whose trees are large."""
    import asdf

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

    # What was opened is written again: each array is copied as it is stored.
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
    """Ends the run if a result is wrong."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            same(found[key], value)
    elif not np.array_equal(np.asarray(found), np.asarray(expected)):
        message = f"{found!r} is not {expected!r}"
        raise SystemExit(message)


def blocks(folder: Path, small: bool) -> dict[str, Calls]:
    """Reading and writing one large array."""
    import asdf

    side = 2000 if small else 10_000
    elements = image(side)
    megabytes = elements.nbytes // 1_000_000
    middle = side // 10
    parts = {"whole": np.s_[...], "cutout of 30 x 30": np.s_[middle : middle + 30, middle : middle + 30]}
    found: dict[str, Calls] = {}
    for label in (None, "lz4", "zlib"):
        # Deflating all of it takes the library minutes.
        rows = elements[: side // 5] if label == "zlib" else elements
        path = folder / f"image_{label}_{side}.asdf"
        if not path.exists():
            asdf.AsdfFile({"image": rows}).write_to(path, all_array_compression=label)
        for part, key in parts.items():

            def read(open_: Callable[..., Any], path: Path = path, key: Any = key) -> Any:
                # Neither gives a view of a memory map here: the elements are in memory afterwards.
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


# Arrays, in one block or in a block for each chunk, and a part of them.
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
    """Bytes and calls that this process has read with, as Linux counts them."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"]), int(counters["syscr"])


def cutouts(folder: Path, small: bool, only: str) -> None:
    """Prints what cutouts read: to open the file, and to read the part."""
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
        # The first time also reads the modules that it needs.
        for _ in range(2):
            before, start = read_so_far(), time.perf_counter()
            with tegula.asdf.open(path, memmap=False) as file:
                opened = read_so_far()
                array = file["array"]
                found = np.asarray(array[part])
            taken = time.perf_counter() - start
            after = read_so_far()
            # What the counter reads is counted too.
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
    """What stands between the brackets."""

    def item(index: Any) -> str:
        if not isinstance(index, slice):
            return str(index)
        return f"{'' if index.start is None else index.start}:{'' if index.stop is None else index.stop}"

    return f"[{', '.join(map(item, part))}]"
>>>>>>> asdfw


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tegula-compare-asdf")
<<<<<<< HEAD
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=10_000, help="of the image, in pixels")
    parser.add_argument("--only", default="", help="only rows that contain this text")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    run(arguments.folder, arguments.rounds, arguments.only, arguments.side)
    count(arguments.folder, arguments.only)
=======
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only rows that contain this text; `cutout` for the second table")
    parser.add_argument("--small", action="store_true", help="files of 16 MB in place of 400 MB")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print("| | | tegula ms | asdf |\n|---|---|---:|---:|")
    for make in (opening, blocks):
        for name, calls in make(arguments.folder, arguments.small).items():
            if arguments.only in name:
                row(name, "", calls, arguments.rounds)
    if os.path.exists("/proc/self/io"):
        cutouts(arguments.folder, arguments.small, arguments.only)
>>>>>>> asdfw


if __name__ == "__main__":
    main()
