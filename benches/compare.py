"""Times reads by tegula and its peers in one interleaved run, and prints the ratios.

    pip install . zarr zarrs tensorstore && python benches/compare.py [--folder DIR] [--rounds N] [--only TEXT]

Each round calls every library once per read, so other load on the machine affects all libraries alike. A row gives
tegula's median time and, for each peer, the median ratio of its time to tegula's: above 1, tegula is faster. Results
are compared with those of zarr-python before anything is timed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tegula

if TYPE_CHECKING:
    from collections.abc import Callable

    Selection = tuple[slice, ...]

SHAPE = (256, 256, 512)


def data() -> np.ndarray:
    """Return 16-bit counts with noise, like those of a detector."""
    random = np.random.default_rng(1)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    wave = 400 + 100 * (np.sin(x * 0.03) + np.cos(y * 0.05) + np.sin(z * 0.01))
    return (wave + random.normal(0, 4, SHAPE)).astype("uint16")


def create(folder: Path) -> dict[str, Path]:
    """Write the arrays with zarr-python, if they do not exist."""
    import zarr
    from zarr import codecs

    arrays = {
        "plain 64^3": {"chunks": (64,) * 3, "compressors": None},
        "plain 16^3": {"chunks": (16,) * 3, "compressors": None},
        "big-endian": {"chunks": (64,) * 3, "compressors": None, "serializer": codecs.BytesCodec(endian="big")},
        "transposed": {"chunks": (64,) * 3, "compressors": None, "filters": codecs.TransposeCodec(order=(2, 1, 0))},
        "crc32c": {"chunks": (64,) * 3, "compressors": codecs.Crc32cCodec()},
        "zstd": {"chunks": (64,) * 3, "compressors": codecs.ZstdCodec(level=1)},
        "gzip": {"chunks": (64,) * 3, "compressors": codecs.GzipCodec(level=5)},
        "blosc lz4": {"chunks": (64,) * 3, "compressors": codecs.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")},
        "shards, plain": {"shards": (128,) * 3, "chunks": (32,) * 3, "compressors": None},
        "shards, zstd": {"shards": (128,) * 3, "chunks": (32,) * 3, "compressors": codecs.ZstdCodec(level=1)},
        "V2 zstd": {"chunks": (64,) * 3, "zarr_format": 2},
    }
    values = None
    for name, options in arrays.items():
        path = folder / name.replace(" ", "_")
        if not path.exists():
            values = data() if values is None else values
            zarr.create_array(path, shape=SHAPE, dtype="uint16", **options)[...] = values
    return {name: folder / name.replace(" ", "_") for name in arrays}


def reads() -> dict[str, list[Selection]]:
    """Return the selections that a round reads, by name."""
    random = np.random.default_rng(2)

    def windows(shape: tuple[int, ...], count: int) -> list[Selection]:
        starts = random.integers(0, np.array(SHAPE) - np.array(shape) + 1, (count, len(SHAPE)))
        return [tuple(slice(int(s), int(s) + n) for s, n in zip(start, shape, strict=True)) for start in starts]

    return {
        "whole": [tuple(slice(0, n) for n in SHAPE)],
        "windows 8x32x32": windows((8, 32, 32), 20),
        "columns": windows((SHAPE[0], 1, 1), 10),
        "elements": windows((1, 1, 1), 50),
    }


def peers() -> dict[str, Callable[[Path], Any]]:
    """Return a function per installed library that opens an array."""
    import zarr

    found: dict[str, Callable[[Path], Any]] = {}

    def ours(path: Path) -> Any:
        # Like the peers, `retrieve_array_subset` keeps no decoded chunks between reads.
        array = tegula.open_array(path)
        return array.retrieve_array_subset

    def with_zarr(path: Path) -> Any:
        zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"})
        return zarr.open_array(path, mode="r").__getitem__

    found["tegula"] = ours
    found["zarr-python"] = with_zarr
    try:
        import zarrs  # noqa: F401

        def with_zarrs(path: Path) -> Any:
            zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
            return zarr.open_array(path, mode="r").__getitem__

        found["zarr-python + zarrs"] = with_zarrs
    except ImportError:
        pass
    try:
        import tensorstore as ts

        def with_tensorstore(path: Path) -> Any:
            driver = "zarr" if (path / ".zarray").exists() else "zarr3"
            store = ts.open({"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}, read=True).result()
            return lambda selection: store[selection].read().result()

        found["tensorstore"] = with_tensorstore
    except ImportError:
        pass
    return found


def strings(folder: Path) -> dict[str, Path]:
    """Write a million strings of 1 to 30 letters with zarr-python, if they do not exist."""
    import zarr
    from zarr import codecs

    found = {"strings, plain": folder / "strings", "strings, zstd": folder / "strings_zstd"}
    for path, compressors in zip(found.values(), (None, codecs.ZstdCodec(level=1)), strict=True):
        if not path.exists():
            random = np.random.default_rng(3)
            words = [
                f"{number:x}" + "word" * (number % 7) for number in random.integers(1, 1 << 24, 1_000_000).tolist()
            ]
            array = zarr.create_array(path, shape=(1_000_000,), chunks=(50_000,), dtype=str, compressors=compressors)
            array[...] = np.array(words, np.dtypes.StringDType())
    return found


def row(array: str, read: str, calls: dict[str, Callable[[], Any] | None], rounds: int) -> None:
    """Time the same read by each library in turn, and print the ratios."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            # Freeing the result is not part of the read.
            result = call() if call is not None else None
            times[name].append(time.perf_counter() - start)
            del result
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = [f"{medians[name] / medians['tegula']:.2f}" if call else "cannot" for name, call in calls.items()]
    print(f"| {array} | {read} | {medians['tegula'] * 1e3:.2f} | {' | '.join(ratios[1:])} |", flush=True)


def run(folder: Path, rounds: int, only: str) -> None:
    """Time all reads of all arrays."""
    libraries = peers()
    others = [name for name in libraries if name != "tegula"]
    print("| array | read | tegula ms | " + " | ".join(others) + " |")
    print("|---|---|---:|" + "---:|" * len(others))
    for array, path in create(folder).items():
        handles = {name: opened(path) for name, opened in libraries.items()}
        for read, selections in reads().items():
            if only not in f"{array} {read}":
                continue
            expected = [handles["zarr-python"](selection) for selection in selections]
            calls: dict[str, Callable[[], Any] | None] = {}
            for name, handle in handles.items():
                for selection, value in zip(selections, expected, strict=True):
                    if not np.array_equal(handle(selection), value):
                        message = f"{name} reads {array} {selection} wrong"
                        raise SystemExit(message)
                calls[name] = lambda handle=handle: [handle(selection) for selection in selections]  # noqa: B023 - called before the next round
            row(array, read, calls, rounds)
    for array, path in strings(folder).items():
        # tensorstore has no strings.
        handles = {name: opened(path) for name, opened in libraries.items() if name != "tensorstore"}
        calls = {name: (lambda handle=handle: handle((slice(0, 1_000_000),))) for name, handle in handles.items()}
        calls |= {name: None for name in others if name not in calls}
        parts = {**calls, "tegula": tegula.open_array(path).retrieve_variable}
        for read, called in {"whole": calls, "whole, as bytes and offsets": parts}.items():
            if only in f"{array} {read}":
                row(array, read, called, rounds)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tegula-compare")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="only rows that contain this text")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    run(arguments.folder, arguments.rounds, arguments.only)


if __name__ == "__main__":
    main()
