"""Sample arrays that the tests share: many layouts, each written by tegula and by zarr-python."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import tegula

hypothesis.settings.register_profile("fast", max_examples=40, deadline=None, derandomize=True)
hypothesis.settings.register_profile("slow", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

TRANSPOSE = {"name": "transpose", "configuration": {"order": [1, 0]}}

LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "zstd": {"compressors": "zstd:1"},
    "checked": {"compressors": ["gzip:1", "crc32c"]},
    "blosc": {"compressors": "blosc:lz4:5:bitshuffle", "dtype": "float64"},
    "transposed": {"filters": TRANSPOSE, "compressors": "zstd:1"},
    "sharded": {"shards": (10, 14), "compressors": None},
    "sharded zstd": {"shards": (10, 14), "compressors": "zstd:1", "dtype": "int16"},
    "one shard": {"shards": (20, 28), "compressors": ["zstd:1", "crc32c"], "dtype": "complex64"},
    "v2": {"zarr_format": 2, "compressors": "zstd:1"},
    "v2 plain": {"zarr_format": 2, "compressors": None, "dtype": "uint8"},
    "flat": {"shape": (101,), "chunks": (8,), "shards": (24,), "compressors": "zstd:1"},
    "deep": {"shape": (3, 5, 4, 6), "chunks": (2, 2, 3, 6), "compressors": "zstd:1"},
    "scalar": {"shape": (), "chunks": (), "compressors": "zstd:1"},
}


@dataclass(frozen=True)
class Sample:
    """An array and its elements."""

    array: tegula.Array
    elements: np.ndarray
    path: Path


def properties(layout: str) -> dict[str, Any]:
    return {"shape": (17, 23), "chunks": (5, 7), "dtype": "float32", "fill_value": 3, **LAYOUTS[layout]}


def content(shape, dtype) -> np.ndarray:
    """Return distinct elements, except for a corner that has the fill value and is not stored."""
    elements = np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    if len(shape) == 2:
        elements[10:, 14:] = 3
    return elements


def write_ours(path, layout: str) -> np.ndarray:
    wanted = properties(layout)
    elements = content(wanted["shape"], wanted["dtype"])
    array = tegula.create_array(path, **wanted)
    array[...] = elements
    return elements


def write_theirs(path, layout: str) -> np.ndarray:
    zarr = pytest.importorskip("zarr")
    wanted = properties(layout)
    elements = content(wanted["shape"], wanted["dtype"])
    if wanted.get("zarr_format") == 2:
        import numcodecs

        wanted["compressors"] = [numcodecs.Zstd(level=1)] if wanted["compressors"] else None
    else:
        # zarr-python has no shorthand for codecs, so the metadata of an array of ours expands it.
        plain = {name: wanted[name] for name in ("shape", "dtype", "compressors")}
        wanted["compressors"] = tegula.create_array({}, **plain, shards=None).metadata["codecs"][1:]
        if "filters" in wanted:
            wanted["filters"] = [zarr.codecs.TransposeCodec(order=(1, 0))]
    array = zarr.create_array(store=str(path), **wanted)
    array[...] = elements
    return elements


@pytest.fixture(scope="session")
def samples(tmp_path_factory) -> dict[tuple[str, str], Sample]:
    """All samples, by writer and layout."""
    folder = tmp_path_factory.mktemp("samples")
    found = {}
    for writer, write in (("ours", write_ours), ("theirs", write_theirs)):
        for layout in LAYOUTS:
            path = folder / writer / layout
            elements = write(path, layout)
            found[writer, layout] = Sample(tegula.open_array(path), elements, path)
    return found


@pytest.fixture(params=[(writer, layout) for writer in ("ours", "theirs") for layout in LAYOUTS], ids="-".join)
def sample(request, samples) -> Sample:
    return samples[request.param]
