"""Times reads over HTTP from a slow server by tegula and its peers, and counts the requests.

    pip install '.[asdf]' zarr zarrs tensorstore aiohttp && python benches/compare_remote.py [--latency SECONDS]

The server is the tests' local one. Each time is for opening the array and one read, with nothing cached. The libraries
alternate, and results are compared with what was written. A row gives tegula's median time, for each peer the median
ratio of its time to tegula's, and in brackets the number of requests of one read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import numpy as np

import tegula

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = Path(__file__).parent.parent / "tests" / "range_server.py"
SHAPE = (1024, 1024, 32)
BAND = np.s_[512:576]


def create(folder: Path) -> np.ndarray:
    """Write the same elements as shards of 16 MiB, as small chunks, and into ASDF files."""
    import zarr
    from zarr import codecs

    values = np.random.default_rng(1).normal(400, 20, SHAPE).astype("uint16")
    zstd = codecs.ZstdCodec(level=1)
    layouts: dict[str, Any] = {
        "shards": {"shards": (1024, 256, 32), "chunks": (64, 4, 32), "compressors": zstd},
        "chunks": {"chunks": (64, 64, 2), "compressors": zstd},
    }
    for name, options in layouts.items():
        if not (folder / name).exists():
            zarr.create_array(folder / name, shape=SHAPE, dtype="uint16", **options)[...] = values
    if not (folder / "lz4.asdf").exists():
        tegula.asdf.AsdfFile({"image": values}).write_to(folder / "lz4.asdf", all_array_compression="lz4")
        tegula.asdf.AsdfFile({"image": values}).write_to(folder / "plain.asdf")
    return values


def peers() -> dict[str, Callable[[str], Any]]:
    """Return a function per library that reads the band of a Zarr array at a URL."""
    import zarr

    def with_zarr(pipeline: str) -> Callable[[str], Any]:
        def read(url: str) -> Any:
            with zarr.config.set({"codec_pipeline.path": pipeline}):
                return zarr.open_array(url, mode="r")[BAND]

        return read

    found: dict[str, Callable[[str], Any]] = {
        "tegula": lambda url: tegula.open_array(url)[BAND],
        "zarr-python": with_zarr("zarr.core.codec_pipeline.BatchedCodecPipeline"),
    }
    try:
        import tensorstore

        def with_tensorstore(url: str) -> Any:
            return tensorstore.open({"driver": "zarr3", "kvstore": f"{url}/"}).result()[BAND].read().result()

        found["tensorstore"] = with_tensorstore
    except ImportError:
        pass
    return found


def cutouts() -> dict[str, Callable[[str], Any]]:
    """Return a function per library that reads a cutout of an ASDF file at a URL."""
    import asdf

    def read(module: Any, url: str) -> Any:
        with module.open(url) as file:
            return np.array(file["image"][100:110, 100:110])

    return {"tegula": lambda url: read(tegula.asdf, url), "asdf": lambda url: read(asdf, url)}


class Bench:
    """A server, and the number of rounds per read."""

    def __init__(self, folder: Path, latency: float, rounds: int) -> None:
        command = [sys.executable, SERVER, folder, "--latency", str(latency)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - the tests' server
        port = self.process.stdout.readline() if self.process.stdout else ""
        self.url = f"http://127.0.0.1:{int(port)}"
        self.rounds = rounds

    def requests(self) -> int:
        """Return the number of requests since the last call."""
        with urlopen(f"{self.url}/-/counts") as answer:  # noqa: S310 - http
            return sum(json.load(answer).values())

    def row(self, name: str, path: str, libraries: dict[str, Callable[[str], Any]], expected: np.ndarray) -> None:
        """Time a read by each library in turn, and print times and requests."""
        times: dict[str, list[float]] = {library: [] for library in libraries}
        asked = {}
        turns = deque(libraries.items())
        for _ in range(self.rounds):
            turns.rotate(-1)
            for library, read in turns:
                self.requests()
                start = time.perf_counter()
                found = read(f"{self.url}/{path}")
                times[library].append(time.perf_counter() - start)
                asked[library] = self.requests()
                if not np.array_equal(found, expected):
                    message = f"{library} reads {name} wrong"
                    raise SystemExit(message)
        own = statistics.median(times["tegula"])
        columns = [
            f"{library} {statistics.median(values) / own:.1f} ({asked[library]})"
            for library, values in times.items()
            if library != "tegula"
        ]
        print(f"| {name} | {own * 1e3:.0f} ({asked['tegula']}) | {', '.join(columns)} |", flush=True)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tegula-compare-remote")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds until the server answers")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    values = create(arguments.folder)
    bench = Bench(arguments.folder, arguments.latency, arguments.rounds)
    try:
        print("| open and read | tegula ms (requests) | times as long (requests) |\n|---|---|---|")
        bench.row("256 inner chunks of 4 shards", "shards", peers(), values[BAND])
        bench.row("256 chunks", "chunks", peers(), values[BAND])
        bench.row("cutout of an ASDF array", "plain.asdf", cutouts(), values[100:110, 100:110])
        bench.row("cutout of an ASDF array, lz4", "lz4.asdf", cutouts(), values[100:110, 100:110])
    finally:
        bench.process.terminate()


if __name__ == "__main__":
    main()
