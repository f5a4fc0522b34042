"""Copying and rechunking: elements, metadata, hierarchies, memory, progress and cancellation."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time

import numcodecs
import numpy as np
import pytest
import zarr
from conftest import LAYOUTS, write_ours
from hypothesis import given
from hypothesis import strategies as st

import tegula
from tegula._progress import reporting

HUGE = 123456789012345678901234567890


def same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    assert one.shape == other.shape
    if one.dtype.kind in "TO":
        assert one.tolist() == other.tolist()
        return
    # Structs may differ in field offsets and byte order.
    native = one.dtype.newbyteorder("=") if one.dtype.names is None else None
    if native is None:
        assert one.dtype.names == other.dtype.names
        for name in one.dtype.names:
            same(one[name], other[name])
    else:
        assert one.astype(native).tobytes() == other.astype(native).tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_every_layout_is_rechunked(tmp_path, layout, zarr_format):
    expected = write_ours(tmp_path / "a", layout)
    source = tegula.open_array(tmp_path / "a")
    chunks = tuple(3 for _ in expected.shape)
    shards = tuple(9 for _ in expected.shape) if zarr_format == 3 and expected.ndim else None
    for compressors in ("zstd:1", None, ["gzip:1", "crc32c"], "blosc:lz4:5:bitshuffle"):
        copied = tegula.rechunk(
            source,
            tmp_path / "b",
            chunks=chunks,
            shards=shards,
            compressors=compressors,
            zarr_format=zarr_format,
            overwrite=True,
            max_memory="1 MB",
        )
        same(copied[...], expected)
        assert (copied.chunks, copied.shards, copied.zarr_format) == (chunks, shards, zarr_format)
        same(zarr.open_array(tmp_path / "b", mode="r")[...], expected)
    for version in (2, 3):
        if version == 3 or layout != "transposed":
            kept = tegula.copy(source, tmp_path / f"c{version}", zarr_format=version)
            same(kept[...], expected)
            assert kept.chunks == source.chunks
            same(zarr.open_array(tmp_path / f"c{version}", mode="r")[...], expected)


TYPES = [
    "bool",
    "int8",
    ">u2",
    "<f4",
    ">f8",
    "complex64",
    "M8[ns]",
    "m8[3s]",
    "U5",
    ">U3",
    "S4",
    "V3",
    "string",
    "bytes",
]
TYPES += [
    np.dtype([("a", ">i4"), ("b", "S3"), ("c", [("p", "<f8"), ("q", ">u2")])]),
    np.dtype({"names": ["x", "y"], "formats": ["<i2", "<f8"], "offsets": [0, 8], "itemsize": 16}),
    "bfloat16",
]


def content(array, random):
    count = math.prod(array.shape)
    if array.data_type == "string":
        return np.array(["", "a", "né", "long" * 9], object)[random.integers(0, 4, count)].reshape(array.shape)
    if array.data_type == "variable_length_bytes":
        return np.array([b"", b"a", b"\0" * 30], object)[random.integers(0, 3, count)].reshape(array.shape)
    if array.dtype.kind in "bU":
        return random.integers(0, 2, array.shape).astype(array.dtype)
    raw = random.integers(0, 256, count * array.dtype.itemsize, dtype=np.uint8)
    return raw.view(array.dtype).reshape(array.shape)


@given(data=st.data(), seed=st.integers(0, 1 << 32))
def test_any_array_becomes_any_other(data, seed):
    """All data types, V2 and V3, random chunks, fill values and memory limits."""
    draw, random = data.draw, np.random.default_rng(seed)
    shape = tuple(draw(st.lists(st.integers(0, 12), max_size=3)))
    dtype = draw(st.sampled_from(TYPES))
    lengths = st.tuples(*(st.integers(1, 7) for _ in shape))
    formats = draw(st.sampled_from([2, 3])), draw(st.sampled_from([2, 3]))
    if isinstance(dtype, np.dtype):
        formats = 2, formats[1]
    compressors = st.sampled_from([None, "zstd:1", "gzip:1"])
    chunks = draw(lengths)
    source = tegula.create_array(
        {}, shape=shape, dtype=dtype, chunks=chunks, compressors=draw(compressors), zarr_format=formats[0]
    )
    part = tuple(slice(0, draw(st.integers(0, length))) for length in shape)
    source[part] = content(source, random)[part]
    chunks = draw(lengths)
    shards = None
    if formats[1] == 3 and shape and draw(st.booleans()):
        shards = tuple(length * draw(st.integers(1, 2)) for length in chunks)
    fill = draw(st.sampled_from([..., None]))
    target = {}
    copied = tegula.rechunk(
        source,
        target,
        "x/y",
        chunks=chunks,
        shards=shards,
        compressors=draw(compressors),
        fill_value=fill,
        zarr_format=formats[1],
        max_memory=draw(st.sampled_from([1 << 20, None])),
    )
    same(copied[...], source[...])
    assert copied.data_type.partition(" ")[0] == source.data_type.partition(" ")[0]
    if fill is ... and source.size:
        same(copied.fill_value, source.fill_value)
    again = tegula.copy(copied, {}, zarr_format=draw(st.sampled_from([None, formats[0]])))
    same(again[...], source[...])


def test_filters_of_v2_stay():
    source = tegula.create_array(
        {},
        data=np.arange(50, dtype="int32"),
        chunks=7,
        filters=[{"id": "delta", "dtype": "<i4"}, numcodecs.Shuffle(4)],
        compressors=numcodecs.Zlib(level=1),
        zarr_format=2,
    )
    v3 = tegula.copy(source, {}, zarr_format=3)
    names = ["numcodecs.delta", "bytes", "numcodecs.shuffle", "numcodecs.zlib"]
    assert [codec["name"] for codec in v3.codecs] == names
    v2 = tegula.copy(v3, {}, zarr_format=2)
    assert (v2.metadata["filters"], v2.metadata["compressor"]) == (
        source.metadata["filters"],
        source.metadata["compressor"],
    )
    assert v2[...].tolist() == v3[...].tolist() == list(range(50))
    shifted = tegula.create_array({}, data=np.eye(2), filters={"name": "scale_offset", "configuration": {"offset": 1}})
    with pytest.raises(tegula.UnsupportedError, match="scale_offset"):
        tegula.copy(shifted, {}, zarr_format=2)


def test_fortran_order_survives(tmp_path):
    expected = np.arange(60).reshape(3, 4, 5)
    zarr.create_array(tmp_path / "a", data=expected, chunks=(2, 3, 4), order="F", zarr_format=2)
    v3 = tegula.copy(tmp_path / "a", tmp_path / "b", zarr_format=3)
    assert v3.codecs[0]["name"] == "transpose"
    v2 = tegula.copy(v3, tmp_path / "c", zarr_format=2)
    assert v2.metadata["order"] == "F"
    for found in (v3, v2, zarr.open_array(tmp_path / "b"), zarr.open_array(tmp_path / "c")):
        np.testing.assert_array_equal(found[...], expected)


def test_names_of_dimensions_go_from_version_to_version():
    v3 = tegula.create_array({}, data=np.eye(3), dimension_names=["y", "x"], attributes={"a": 1})
    v2 = tegula.copy(v3, {}, zarr_format=2)
    assert v2.attrs == {"a": 1, "_ARRAY_DIMENSIONS": ["y", "x"]}
    again = tegula.copy(v2, {}, zarr_format=3)
    assert (again.dimension_names, again.attrs.asdict()) == (("y", "x"), {"a": 1})


def write_hierarchy(path, zarr_format):
    root = tegula.create_group(path, zarr_format=zarr_format, attributes={"huge": HUGE})
    root.create_array("image", data=np.arange(48.0).reshape(6, 8), chunks=(4, 4), fill_value=np.nan)
    root.create_array("survey/names", data=np.array(["a", "bb"], object), dtype="string", attributes={"n": -HUGE})
    root.create_array("survey/empty", shape=(5,), dtype="int16")
    root.create_group("survey/deep/er", attributes={"b": [1, 2]})
    return root


@pytest.mark.parametrize("target_format", [None, 2, 3])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [False, True])
def test_hierarchies_are_copied(tmp_path, zarr_format, target_format, consolidated):
    write_hierarchy(tmp_path / "a", zarr_format)
    name = "zarr.json" if zarr_format == 3 else ".zattrs"
    # Values that JSON lacks but writers use.
    file = tmp_path / "a" / "image" / name
    if zarr_format == 3:
        document = json.loads(file.read_text())
        document["attributes"] = {"nan": math.nan}
        file.write_text(json.dumps(document))
    else:
        file.write_text('{"nan": NaN}')
    if consolidated:
        tegula.consolidate_metadata(tmp_path / "a")
    source = tegula.open_group(tmp_path / "a")
    copied = tegula.copy(tmp_path / "a", tmp_path / "b", "x/y", zarr_format=target_format)
    version = target_format or zarr_format
    assert copied.kinds(recursive=True) == source.kinds(recursive=True)
    assert copied.is_consolidated == consolidated
    assert (copied.attrs["huge"], copied["survey/names"].attrs["n"]) == (HUGE, -HUGE)
    assert copied["survey/deep/er"].attrs == {"b": [1, 2]}
    for path, node in copied.traverse():
        assert node.zarr_format == version
        if isinstance(node, tegula.Array):
            same(node[...], source[path][...])
            assert node.chunks == source[path].chunks
    name = "zarr.json" if version == 3 else ".zattrs"
    assert "NaN" in (tmp_path / "b" / "x" / "y" / "image" / name).read_text().replace('"NaN"', "")
    theirs = zarr.open_group(tmp_path / "b" / "x" / "y", mode="r", use_consolidated=consolidated)
    np.testing.assert_array_equal(theirs["image"][...], source["image"][...])
    assert theirs.attrs["huge"] == HUGE
    assert sorted(dict(theirs.members(None))) == sorted(source.kinds(recursive=True))


def test_unchanged_chunks_are_copied_without_decoding(tmp_path):
    array = tegula.create_array(tmp_path / "a", data=np.arange(64).reshape(8, 8), chunks=(4, 4), shards=(8, 4))
    array.store_encoded_chunk((0, 1), b"no shard")
    copied = tegula.copy(array, tmp_path / "b")
    assert copied.retrieve_encoded_chunk((0, 1)) == b"no shard"
    assert copied.metadata == array.metadata
    with pytest.raises(tegula.CorruptDataError, match="cannot decode chunk"):
        tegula.copy(array, tmp_path / "c", compressors="gzip")
    assert not (tmp_path / "c").exists() or not any(file.is_file() for file in (tmp_path / "c").rglob("*"))


def test_asdf_becomes_zarr(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elements = {
        "plain": np.arange(600, dtype=">f4").reshape(20, 30),
        "turned": np.asfortranarray(np.arange(24).reshape(4, 6)),
        "text": np.array(["a", "né"]),
        "struct": np.array([(1, 2.5)], [("a", "<i2"), ("b", "<f8")]),
    }
    chunked = tegula.asdf.chunked(np.arange(35).reshape(5, 7), chunks=(2, 3))
    tegula.AsdfFile({**elements, "deep": {"er": chunked}}).write_to("a.asdf")
    for name, expected in elements.items():
        same(tegula.copy(f"a.asdf#{name}", f"{name}.zarr")[...], expected)
        rechunked = tegula.rechunk(f"a.asdf#{name}", f"{name}.zarr", chunks=3, zarr_format=2, overwrite=True)
        same(rechunked[...], expected)
    copied = tegula.copy("a.asdf#deep/er", "chunked.zarr")
    assert (copied.chunks, copied[...].tolist()) == ((2, 3), np.arange(35).reshape(5, 7).tolist())
    with pytest.raises(tegula.NotFoundError):
        tegula.copy("a.asdf#no", "no.zarr")


def test_ndarrays_are_sources_too():
    assert tegula.copy(np.arange(3), {})[...].tolist() == [0, 1, 2]
    copied = tegula.rechunk([[1, 2], [3, 4]], {}, chunks=1, compressors="none", fill_value=3)
    assert (copied.chunks, copied[...].tolist(), copied.fill_value) == ((1, 1), [[1, 2], [3, 4]], 3)


def test_missing_chunks_stay_missing(tmp_path):
    source = tegula.create_array(tmp_path / "a", shape=(1 << 40, 100), dtype="uint8", chunks=(1 << 32, 10))
    with pytest.raises(tegula.InvalidSelectionError, match="max_memory"):
        tegula.rechunk(source, tmp_path / "b", chunks=(1 << 30, 10), shards=None, max_memory="1 MB")
    source = tegula.create_array(tmp_path / "c", shape=(1 << 20, 100), dtype="uint8", chunks=(1 << 10, 10))
    source[5000, 7] = 1
    copied = tegula.rechunk(source, tmp_path / "d", chunks=(1 << 12, 20), shards=None)
    assert copied[5000, 7] == 1
    assert [tuple(chunk) for chunk in copied.chunks_in_array_subset(copied.subset_all()).indices()
            if copied.chunk_exists(chunk)] == [(1, 0)]  # fmt: skip
    other = tegula.rechunk(source, tmp_path / "e", chunks=(1 << 18, 100), fill_value=2)
    assert (other[0, 0], other[5000, 7]) == (0, 1)


def test_copies_into_existing_arrays():
    source = tegula.create_array({}, data=np.arange(30).reshape(5, 6), chunks=(2, 4))
    target = tegula.create_array({}, data=np.full((5, 6), 9), chunks=(3, 3), compressors=None)
    source[:3] = 0
    source.copy_to(target, max_memory="1 kB")
    same(target[...], source[...])
    assert not target.chunk_exists((0, 0))
    for wrong in (tegula.create_array({}, shape=(5, 7), dtype=int), tegula.create_array({}, shape=(5, 6), dtype="f4")):
        with pytest.raises(tegula.InvalidSelectionError, match="cannot copy"):
            source.copy_to(wrong)
    with pytest.raises(tegula.InvalidSelectionError, match="max_memory is 100"):
        source.copy_to(target, max_memory=100)
    with pytest.raises(tegula.InvalidSelectionError, match="number of bytes"):
        source.copy_to(target, max_memory="much")


def test_nothing_is_overwritten_by_default(tmp_path):
    source = tegula.create_array(tmp_path / "g", "a", data=np.arange(5))
    group = tegula.open_group(tmp_path / "g")
    for where in [(tmp_path / "g", "a"), (tmp_path / "g" / "a",), (tmp_path / "g", "a/b"), (tmp_path, "g")]:
        with pytest.raises(tegula.StoreError, match="one contains the other"):
            tegula.copy(source, *where, overwrite=True)
    with pytest.raises(tegula.StoreError, match="one contains the other"):
        tegula.copy(group, tmp_path / "g", "backup")
    assert tegula.copy(source, tmp_path / "g", "b")[...].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(tegula.StoreError, match="overwrite"):
        tegula.copy(source, tmp_path / "g", "b")
    assert tegula.rechunk(source, tmp_path / "g", "b", chunks=2, overwrite=True).chunks == (2,)
    with pytest.raises(tegula.UnsupportedError, match="is a group"):
        tegula.rechunk(group, {})
    with pytest.raises(tegula.UnsupportedError, match="V4"):
        tegula.copy(group, {}, zarr_format=4)


# Progress.


def test_progress_is_reported(tmp_path):
    steps = []
    source = tegula.create_array(tmp_path / "a", data=np.arange(1000), chunks=10)
    tegula.rechunk(source, tmp_path / "b", chunks=7, progress=lambda *step: steps.append(step))
    assert (steps[0], steps[-1]) == ((0, 8000), (8000, 8000))
    group = tegula.save({}, {"a": np.arange(10), "b": np.arange(5.0)})
    steps.clear()
    tegula.copy(group, {}, progress=lambda *step: steps.append(step))
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == ((0, 120), (120, 120))
    steps.clear()
    tegula.save({}, {"a": np.arange(10), "b": np.arange(5.0)}, chunks=2, progress=lambda *step: steps.append(step))
    assert (steps, steps[-1]) == (sorted(steps), (120, 120))
    steps.clear()
    slow = np.ones((40, 1 << 17))
    tegula.save({}, slow, chunks=(1, 1 << 17), compressors="bz2", progress=lambda *step: steps.append(step))
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == ((0, slow.nbytes), (slow.nbytes, slow.nbytes))
    assert len(steps) > 2


@pytest.mark.parametrize("call", ["copy", "rechunk", "group", "save"])
def test_an_exception_in_progress_ends_the_copy(tmp_path, call):
    source = tegula.create_array(tmp_path / "a", "x", data=np.arange(4000).reshape(40, 100), chunks=(10, 10))
    seen = []

    def stop(done, total):
        seen.append(done)
        if done:
            raise KeyError("enough")

    calls = {
        "copy": lambda: tegula.copy(source, tmp_path / "b", progress=stop),
        "rechunk": lambda: tegula.rechunk(source, tmp_path / "b", chunks=(7, 7), max_memory="20 kB", progress=stop),
        "group": lambda: tegula.copy(tmp_path / "a", tmp_path / "b", progress=stop),
        "save": lambda: tegula.save(tmp_path / "b", source[...], progress=stop),
    }
    with pytest.raises(KeyError, match="enough"):
        calls[call]()
    assert seen
    assert not [file for file in (tmp_path / "b").rglob("*") if file.is_file()]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("rich", [True, False])
def test_a_bar_is_drawn_on_a_terminal(monkeypatch, rich):
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    screen = Terminal()
    with reporting(True, "copying", screen) as report:
        report(0, 3_000_000)
        report(3_000_000, 3_000_000)
    assert "copying" in screen.getvalue()
    assert ("3.0" if rich else "3 MB") in screen.getvalue()
    with reporting(True, "copying", io.StringIO()) as report:
        assert report is None
    with reporting(None, "copying", Terminal()) as report:
        assert report is None


def run(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options
    )


def test_ctrl_c_ends_a_copy(tmp_path):
    tegula.create_array(tmp_path / "a", data=np.zeros((3000, 100), "i2") + 1, chunks=(1, 100), compressors=None)
    code = """
import signal, sys, tegula
# The process that started the tests may have made them ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
source = tegula.open_array(sys.argv[1])
other = tegula.create_array(sys.argv[2], "b", shape=source.shape, dtype="i2", chunks=(1, 50), compressors="zstd:19")
print("ready", flush=True)
try:
    while True:
        source.copy_to(other, max_memory="1 MB", progress=lambda done, total: None)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    with run(code, tmp_path / "a", tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(30) == 0
    copied = tegula.open_array(tmp_path, "b")
    assert set(np.unique(copied[...])) <= {0, 1}


def test_memory_is_bounded(tmp_path):
    """An array ten times the memory limit is rechunked from planes to columns."""
    array = tegula.create_array(tmp_path / "a", shape=(160, 1000, 1000), dtype="u2", chunks=(1, 1000, 1000))
    plane = np.arange(1_000_000, dtype="u2").reshape(1000, 1000)
    for z in range(160):
        array[z] = plane + z
    code = """
import resource, sys, tegula
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
tegula.rechunk(sys.argv[1], sys.argv[2], chunks=(40, 100, 100), shards=None, max_memory="32 MB")
print(peak() - before)
"""
    with run(code, tmp_path / "a", tmp_path / "b") as process:
        grown = 1024 * int(process.stdout.read())
    assert grown < (32 << 20) + (24 << 20)
    copied = tegula.open_array(tmp_path / "b")
    for z in (0, 39, 40, 159):
        np.testing.assert_array_equal(copied[z], plane + z)
