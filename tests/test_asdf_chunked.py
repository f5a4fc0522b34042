"""Chunked ndarrays in ASDF files. The ``asdf`` library writes them as tagged nodes without a converter."""

import pickle
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from test_asdf_reads import IO, read_so_far

import tegula
import tegula.asdf

asdf = pytest.importorskip("asdf")

HERE = Path(__file__).parent
CORE = "tag:stsci.edu:asdf/core/"
GRID = [(slice(0, 40), slice(0, 30)), (slice(0, 40), slice(30, 60)), (slice(40, 70), slice(0, 30)), np.s_[40:70, 30:60]]


def elements(dtype="<f4") -> np.ndarray:
    return np.arange(1, 70 * 60 + 1).reshape(70, 60).astype(dtype)


def chunked(whole, boxes, datatype, **more):
    """Return the node of an array whose chunks are parts of another array."""
    tagged = asdf.tagged.TaggedDict
    chunks = [
        tagged({"start": [s.start for s in box], "ndarray": whole[box].copy()}, f"{CORE}ndarray-chunk-1.0.0")
        for box in boxes
    ]
    node = {"shape": list(whole.shape), "datatype": datatype, "chunks": chunks, **more}
    return tagged(node, f"{CORE}chunked-ndarray-1.0.0")


def write(path, tree, **options) -> Path:
    asdf.AsdfFile(tree).write_to(path, **options)
    return path


@pytest.fixture
def path(tmp_path) -> Path:
    return write(tmp_path / "a.asdf", {"sci": {"image": chunked(elements(), GRID, "float32")}, "n": 3})


@pytest.mark.parametrize("compression", [None, "zlib", "bzp2", "lz4"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">i2", "?"])
def test_files_of_the_library(tmp_path, dtype, compression):
    whole = elements(dtype)
    name = {"f": "float32", "i": "int16", "b": "bool8"}[whole.dtype.kind]
    tree = {"image": chunked(whole, GRID, name)}
    path = write(tmp_path / "a.asdf", tree, all_array_compression=compression)
    with tegula.asdf.open(path, validate_checksums=True) as file:
        image = file["image"]
        assert isinstance(image, tegula.asdf.AsdfArray)
        assert (image.is_chunked, image.is_zarr) == (True, False)
        assert (image.shape, image.dtype) == (whole.shape, whole.dtype.newbyteorder("="))
        assert image.chunks == ((40, 30), 30)
        for part in (np.s_[...], np.s_[35:45, 29:31], np.s_[::-7, 3::11], np.s_[3], np.s_[[1, 69, 39]], np.s_[5, 59]):
            np.testing.assert_array_equal(image[part], whole[part])
        found = tegula.open_array(f"{path}#image")
        assert found.path == "image"
        np.testing.assert_array_equal(np.asarray(found), whole)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(image))[60:, 1], whole[60:, 1])
        assert "ASDF chunked ndarray" in image.info


def test_holes_and_overlaps(tmp_path):
    whole = elements("<i4")
    boxes = [np.s_[0:40, 0:50], np.s_[20:50, 10:60], np.s_[30:35, 0:60]]
    node = chunked(whole, boxes, "int32")
    for k, chunk in enumerate(node["chunks"]):
        chunk["ndarray"] += 10000 * k
    expected = np.zeros_like(whole)
    for k, box in enumerate(boxes):
        expected[box] = whole[box] + 10000 * k
    for compression in (None, "zlib"):
        path = write(tmp_path / "a.asdf", {"image": node}, all_array_compression=compression)
        with tegula.asdf.open(path) as file:
            np.testing.assert_array_equal(file["image"][...], expected)
            np.testing.assert_array_equal(file["image"][18:52:3, ::-1], expected[18:52:3, ::-1])


def test_text_and_records(tmp_path):
    text = np.array(["ab", "cde", "f", "ghij"])
    records = np.array([(1, 2.5), (3, 4.5), (5, 6.5), (7, 8.5)], [("a", "<i2"), ("b", "<f8")])
    boxes = [np.s_[0:2,], np.s_[2:4,]]
    fields = [
        {"name": "a", "datatype": "int16", "byteorder": "little"},
        {"name": "b", "datatype": "float64", "byteorder": "little"},
    ]
    tree = {"text": chunked(text, boxes, ["ucs4", 4]), "records": chunked(records, boxes, fields)}
    with tegula.asdf.open(write(tmp_path / "a.asdf", tree)) as file:
        assert file["text"][...].tolist() == text.tolist()
        np.testing.assert_array_equal(file["records"][1:], records[1:])


def test_nothing_is_read_before_it_is_used(path):
    with tegula.asdf.open(path) as file:
        at = file.blocks[3]["offset"]
    data = bytearray(path.read_bytes())
    data[at : at + 4] = b"gone"
    path.write_bytes(data)
    with tegula.asdf.open(path) as file:
        image = file["sci"]["image"]
        assert "shape=(70, 60), dtype=float32" in file.format_tree()
        np.testing.assert_array_equal(image[50:, :30], elements()[50:, :30])
        with pytest.raises(tegula.Error, match=r"a\.asdf"):
            image[...]


@pytest.mark.skipif(not IO.exists(), reason="only Linux counts what a process reads")
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_part_reads_only_its_chunks(tmp_path, compression):
    whole = np.random.default_rng(0).integers(0, 1 << 16, (512, 512), "u2")
    boxes = [np.s_[i : i + 128, j : j + 128] for i in range(0, 512, 128) for j in range(0, 512, 128)]
    path = write(tmp_path / "a.asdf", {"a": chunked(whole, boxes, "uint16")}, all_array_compression=compression)

    def read(part):
        before = read_so_far()
        with tegula.asdf.open(path, memmap=False) as file:
            found = file["a"][part]
        taken = read_so_far() - before
        np.testing.assert_array_equal(found, whole[part])
        return taken - (read_so_far() - (before + taken))

    read(np.s_[:2, :2])
    chunk = 128 * 128 * 2 + (100 if compression else 0)
    assert read(np.s_[130:250, 300:310]) <= chunk + 16384
    assert read(np.s_[:, 300:310]) <= 4 * chunk + 16384
    if compression is None:
        # Only the rows of the chunk that are needed are read.
        assert read(np.s_[200:202, 300:310]) <= 1024 + 16384
    with tegula.asdf.open(path) as file:
        assert file["a"].explain(np.s_[130:250, 300:310]).chunks == 1


def test_over_http(tmp_path):
    whole = np.random.default_rng(0).integers(0, 1 << 16, (512, 512), "u2")
    boxes = [np.s_[i : i + 256, j : j + 256] for i in (0, 256) for j in (0, 256)]
    tree = {"a": chunked(whole, boxes, "uint16"), "z": chunked(whole, boxes, "uint16")}
    file = asdf.AsdfFile(tree)
    for chunk in file["z"]["chunks"]:
        file.set_array_compression(chunk["ndarray"], "zlib")
    file.write_to(tmp_path / "a.asdf")
    command = [sys.executable, HERE / "range_server.py", tmp_path, "--latency", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            with tegula.asdf.open(f"{url}/a.asdf") as remote:
                for name in ("a", "z"):
                    urlopen(f"{url}/-/counts").close()
                    np.testing.assert_array_equal(remote[name][300:310, 5:9], whole[300:310, 5:9])
                    counts = urlopen(f"{url}/-/counts").read()
                    # The tree and block headers are cached: the index, and one or two requests for the chunk.
                    assert int(counts.split(b":")[1].strip(b" }")) <= 6
                    np.testing.assert_array_equal(remote[name][...], whole)
        finally:
            server.terminate()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_chunked_nodes_are_written_unchanged(tmp_path, compression):
    whole = elements()
    node = chunked(whole, GRID, "float32", unit="Jy")
    path = write(tmp_path / "a.asdf", {"image": node, "again": node}, all_array_compression=compression)
    with tegula.asdf.open(path) as file:
        blocks = file.blocks
        file["new"] = np.arange(3)
        file.write_to(tmp_path / "b.asdf")
    with tegula.asdf.open(tmp_path / "b.asdf", mode="rw") as file:
        assert file["again"] is file["image"]
        assert [block["used_size"] for block in file.blocks[:-1]] == [block["used_size"] for block in blocks]
        assert file["image"].chunks == ((40, 30), 30)
        np.testing.assert_array_equal(file["image"][...], whole)
        file["n"] = 4
        file.update()
    theirs = asdf.open(tmp_path / "b.asdf", ignore_unrecognized_tag=True)
    with theirs:
        assert theirs["image"]._tag == f"{CORE}chunked-ndarray-1.0.0"
        assert theirs["image"]["unit"] == "Jy"
        chunk = theirs["image"]["chunks"][3]
        assert chunk._tag == f"{CORE}ndarray-chunk-1.0.0"
        np.testing.assert_array_equal(chunk["ndarray"], whole[40:, 30:])


def test_how_chunks_are_written(tmp_path, path):
    with tegula.asdf.open(path, lazy_load=False) as file:
        image = file["sci"]["image"]
        file.set_array_compression(image, "zstd", level=1)
        file.write_to(tmp_path / "b.asdf")
        file.write_to(tmp_path / "c.asdf", all_array_compression="bzp2")
        file.set_array_storage(image, "inline")
        file.write_to(tmp_path / "d.asdf", all_array_compression=None)
        file.set_array_storage(image, "streamed")
        with pytest.raises(tegula.UnsupportedError, match="stream"):
            file.write_to(tmp_path / "e.asdf")
    for name, labels in {"b": ["zstd"] * 4, "c": ["bzp2"] * 4, "d": []}.items():
        with tegula.asdf.open(tmp_path / f"{name}.asdf") as file:
            assert [block["compression"] for block in file.blocks] == labels
            assert file["sci"]["image"].is_chunked
            np.testing.assert_array_equal(file["sci"]["image"][...], elements())


def test_schemas_and_converters(path, tmp_path):
    with tegula.asdf.open(path, converters="asdf", ignore_unrecognized_tag=True) as file:
        file.validate()
        np.testing.assert_array_equal(file["sci"]["image"][...], elements())
        file.write_to(tmp_path / "b.asdf")
    with tegula.asdf.open(tmp_path / "b.asdf") as file:
        assert file["sci"]["image"].is_chunked


def test_copies_are_zarr(path):
    copy = tegula.copy(f"{path}#sci/image", tegula.MemoryStore())
    np.testing.assert_array_equal(copy[...], elements())


HEAD = f"#ASDF 1.0.0\n%YAML 1.1\n%TAG ! {CORE[:-5]}\n--- !core/asdf-1.1.0\na: !core/chunked-ndarray-1.0.0\n"
INVALID = tegula.InvalidMetadataError
INLINE = "!core/ndarray-1.0.0 {data: [1, 2], datatype: int8}"


@pytest.mark.parametrize(
    ("node", "error"),
    [
        ("{shape: [2], datatype: int8}", INVALID),
        ("[1, 2]", INVALID),
        (f"{{shape: [2], datatype: int16, chunks: [{{start: [0], ndarray: {INLINE}}}]}}", INVALID),
        (f"{{shape: [2], datatype: int8, chunks: [{{start: [1], ndarray: {INLINE}}}]}}", INVALID),
        (
            f"{{shape: [2, 2], datatype: int8, chunks: [{{start: [0], ndarray: {INLINE}}}]}}",
            INVALID,
        ),
        ("{shape: [2], datatype: int8, chunks: [{start: [0], ndarray: 3}]}", INVALID),
        # Larger than any memory.
        ("{shape: [9223372036854775807, 9], datatype: int8, chunks: []}", (tegula.Error, MemoryError)),
        (
            f"{{shape: [{8 * 10**18}], datatype: int8, chunks: [{{start: [5], ndarray: {INLINE}}}]}}",
            tegula.Error,
        ),
    ],
)
def test_hostile_nodes(tmp_path, node, error):
    path = tmp_path / "a.asdf"
    path.write_bytes(f"{HEAD}  {node}\n...\n".encode())
    with tegula.asdf.open(path) as file, pytest.raises(error):
        file["a"][...]


def test_small_parts_of_large_arrays(tmp_path):
    path = tmp_path / "a.asdf"
    node = f"{{shape: [{8 * 10**18}], datatype: int8, chunks: [{{start: [5], ndarray: {INLINE}}}]}}"
    path.write_bytes(f"{HEAD}  {node}\n...\n".encode())
    with tegula.asdf.open(path) as file:
        assert file["a"][4:8].tolist() == [0, 1, 2, 0]
