"""Times writes by tegula and its peers in one interleaved run, and prints the ratios.

    pip install . zarr zarrs tensorstore && python benches/compare_writes.py [--folder DIR] [--rounds N] [--only TEXT]

Each round calls every library once; the starting library rotates. All write into new arrays created by zarr-python, so
their layouts are the same, and the results are read back with zarr-python and compared. Before each measurement, all
earlier writes are synced to disk and dropped from the page cache, except for the array itself: otherwise the file
system's delayed work, as after a removal, would count for the next library.

No library waits for the disk; tensorstore, which does by default, is configured not to. tegula, zarr-python and
tensorstore write a new file and rename it; zarrs overwrites the old file, which readers may see half written.

The last table gives the memory beyond the elements that one large write takes, as counted by the operating system
(Linux only), each in its own process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from compare import SHAPE, data

import tegula

if TYPE_CHECKING:
    from collections.abc import Callable

    Opened = dict[str, Callable[[Path], Any]]

INNER = (32, 32, 32)
SHARD = (256, 256, 128)
"""16 MiB of 16-bit elements."""


def layouts() -> dict[str, dict[str, Any]]:
    """Return the arrays for whole writes, as options of zarr-python."""
    from zarr import codecs

    blosc = codecs.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    return {
        "plain 64^3": {"chunks": (64,) * 3, "compressors": None},
        "plain 16^3": {"chunks": (16,) * 3, "compressors": None},
        "zstd": {"chunks": (64,) * 3, "compressors": codecs.ZstdCodec(level=1)},
        "blosc lz4": {"chunks": (64,) * 3, "compressors": blosc},
        "shards, plain": {"shards": SHARD, "chunks": INNER, "compressors": None},
        "shards, zstd": {"shards": SHARD, "chunks": INNER, "compressors": codecs.ZstdCodec(level=1)},
    }


def peers() -> Opened:
    """Return a function per installed library that opens an array for writing."""
    import zarr

    found: Opened = {"tegula": tegula.open_array}

    def with_zarr(path: Path) -> Any:
        zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"})
        return zarr.open_array(path)

    found["zarr-python"] = with_zarr
    try:
        import zarrs  # noqa: F401

        def with_zarrs(path: Path) -> Any:
            zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
            return zarr.open_array(path)

        found["zarr-python + zarrs"] = with_zarrs
    except ImportError:
        pass
    try:
        import tensorstore

        def with_tensorstore(path: Path) -> Any:
            spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
            return tensorstore.open({**spec, "context": {"file_io_sync": False}}).result()

        found["tensorstore"] = with_tensorstore
    except ImportError:
        pass
    return found


def append(array: Any, part: np.ndarray) -> Any:
    """Append to an array of any library. Returns the handle to the longer array."""
    if hasattr(array, "append"):
        array.append(part)
        return array
    start = array.shape[0]
    grown = array.resize(exclusive_max=[start + len(part), *part.shape[1:]]).result()
    grown[start:] = part
    return grown


class Bench:
    """The folder of the arrays, the number of rounds and the filter by name."""

    def __init__(self, folder: Path, rounds: int, only: str) -> None:
        self.folder, self.rounds, self.only = folder, rounds, only
        self.libraries = peers()
        self.made = 0

    def create(self, name: str, **options: Any) -> Path:
        """Create an empty array."""
        import zarr

        self.made += 1
        path = self.folder / f"{name.replace(' ', '_')}-{self.made}"
        zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"})
        zarr.create_array(path, dtype="uint16", **options)
        return path

    def settle(self, path: Path) -> None:
        """Sync all files to disk and drop them from the page cache, except for one array."""
        os.sync()
        for folder, _, files in os.walk(self.folder):
            if Path(folder).is_relative_to(path):
                continue
            for name in files:
                file = os.open(f"{folder}/{name}", os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)

    def row(
        self, array: str, write: str, prepare: Callable[[str], Path], act: Callable[[Any], Any], expected: np.ndarray
    ) -> None:
        """Time a write by each library in turn, compare what was written, and print the ratios."""
        import zarr

        if self.only not in f"{array} {write}":
            return
        times: dict[str, list[float]] = {name: [] for name in self.libraries}
        turns = deque(self.libraries.items())
        for done in range(self.rounds):
            turns.rotate(-1)
            for name, opened in turns:
                path = prepare(name)
                handle = opened(path)
                self.settle(path)
                start = time.perf_counter()
                act(handle)
                times[name].append(time.perf_counter() - start)
                if done == 0:
                    zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"})
                    if not np.array_equal(zarr.open_array(path, mode="r")[...], expected):
                        message = f"{name} writes {array} {write} wrong"
                        raise SystemExit(message)
        medians = {name: statistics.median(values) for name, values in times.items()}
        ratios = [f"{median / medians['tegula']:.2f}" for name, median in medians.items() if name != "tegula"]
        print(f"| {array} | {write} | {medians['tegula'] * 1e3:.2f} | {' | '.join(ratios)} |", flush=True)
        for path in self.folder.iterdir():
            shutil.rmtree(path)

    def whole(self, values: np.ndarray) -> None:
        """Time writes of all elements into empty arrays."""
        for array, options in layouts().items():

            def prepare(name: str, options: dict[str, Any] = options) -> Path:
                return self.create(f"whole {name}", shape=SHAPE, **options)

            def act(handle: Any) -> None:
                handle[...] = values

            self.row(array, "whole", prepare, act, values)

    def updates(self, values: np.ndarray) -> None:
        """Time writes of single inner chunks into stored shards."""
        random = np.random.default_rng(4)
        corners = [tuple(int(k) * 32 for k in random.integers(0, np.array(SHAPE) // 32)) for _ in range(8)]
        keys = [tuple(slice(start, start + 32) for start in corner) for corner in corners]
        piece = np.full(INNER, 7, "uint16") + np.arange(32, dtype="uint16")
        expected = values.copy()
        for key in keys:
            expected[key] = piece
        for array in ("shards, plain", "shards, zstd"):
            made: dict[str, Path] = {}

            def prepare(name: str, array: str = array, made: dict[str, Path] = made) -> Path:
                if name not in made:
                    made[name] = self.create(f"update {name}", shape=SHAPE, **layouts()[array])
                self.libraries["tegula"](made[name])[...] = values
                return made[name]

            def act(handle: Any) -> None:
                for key in keys:
                    handle[key] = piece

            self.row(array, "8 inner chunks, one by one", prepare, act, expected)

    def appends(self, values: np.ndarray) -> None:
        """Time appends of slabs to empty arrays."""
        for array, chunks in {"zstd": (16, 128, 128), "zstd, half chunks": (32, 128, 128)}.items():
            options = {**layouts()["zstd"], "chunks": chunks}

            def prepare(name: str, options: dict[str, Any] = options) -> Path:
                return self.create(f"append {name}", shape=(0, *SHAPE[1:]), **options)

            def act(handle: Any) -> None:
                for start in range(0, len(values), 16):
                    handle = append(handle, values[start : start + 16])

            self.row(array, "16 appends of 4 MiB", prepare, act, values)

    def memory(self) -> None:
        """Print the memory that one write of 256 MiB takes, with each library in its own process."""
        print("\n| array | write | " + " | ".join(f"{name} MiB" for name in self.libraries) + " |")
        print("|---|---|" + "---:|" * len(self.libraries))
        for array, options in layouts().items():
            write = "memory for 256 MiB"
            if self.only not in f"{array} {write}" or "16^3" in array:
                continue
            shape = (4 * SHAPE[0], *SHAPE[1:])
            taken = []
            for name in self.libraries:
                path = self.create("memory", shape=shape, **options)
                command = [sys.executable, __file__, "--child", name, "--folder", str(path)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this file
                taken.append(done.stdout.strip())
                shutil.rmtree(path)
            print(f"| {array} | {write} | {' | '.join(taken)} |", flush=True)


def status(name: str) -> float:
    """Return a memory counter of this process, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def child(path: Path, name: str) -> None:
    """Write an array once, and print the peak memory above the level before, in MiB."""
    array = peers()[name](path)
    values = np.empty(tuple(array.shape), "uint16")
    values[: SHAPE[0]] = data()
    for start in range(SHAPE[0], len(values), SHAPE[0]):
        values[start : start + SHAPE[0]] = values[: SHAPE[0]]
    # Resets the peak.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = status("VmRSS")
    array[...] = values
    print(f"{status('VmHWM') - before:.0f}")


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tegula-compare-writes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only rows that contain this text")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.folder, arguments.child)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.folder, arguments.rounds, arguments.only)
    others = [name for name in bench.libraries if name != "tegula"]
    print("| array | write | tegula ms | " + " | ".join(others) + " |")
    print("|---|---|---:|" + "---:|" * len(others))
    values = data()
    bench.whole(values)
    bench.updates(values)
    bench.appends(values)
    if Path("/proc/self/clear_refs").exists():
        bench.memory()


if __name__ == "__main__":
    main()
