import json

import numpy as np
import pytest

import tegula

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
COMPRESSORS = [
    "zstd",
    "zstd:5",
    "gzip",
    "gzip:6",
    "blosc",
    "blosc:lz4",
    "blosc:zstd:1:bitshuffle",
    "blosc:zlib:3:noshuffle",
    "zlib:1",
    "bz2:9",
    "lz4",
    "crc32c",
    None,
]


def elements(dtype, shape=(7, 9)):
    return (np.arange(np.prod(shape)) % 50).reshape(shape).astype(dtype)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_data_types_are_read_back_by_both(tmp_path, dtype, zarr_format):
    zarr = pytest.importorskip("zarr")
    array = tegula.create_array(
        tmp_path, shape=(7, 9), chunks=(4, 4), dtype=dtype, zarr_format=zarr_format, fill_value=1
    )
    array[:4] = elements(dtype)[:4]
    expected = np.concatenate([elements(dtype)[:4], np.ones((3, 9), dtype)])
    for found in (array[...], tegula.open_array(tmp_path)[...], zarr.open_array(str(tmp_path), mode="r")[...]):
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("compressors", COMPRESSORS)
def test_compressors_are_read_back_by_both(tmp_path, compressors, zarr_format):
    zarr = pytest.importorskip("zarr")
    array = tegula.create_array(
        tmp_path, shape=(7, 9), chunks=(4, 4), dtype="int32", compressors=compressors, zarr_format=zarr_format
    )
    array[...] = elements("int32")
    for found in (array[...], zarr.open_array(str(tmp_path), mode="r")[...]):
        np.testing.assert_array_equal(found, elements("int32"))
    written = json.dumps(array.metadata)
    if compressors:
        assert compressors.partition(":")[0] in written


def test_codecs_as_in_the_metadata(tmp_path):
    codecs = [
        {"name": "transpose", "configuration": {"order": [1, 0]}},
        {"name": "bytes", "configuration": {"endian": "big"}},
        {"name": "gzip", "configuration": {"level": 1}},
        {"name": "crc32c"},
    ]
    array = tegula.create_array(tmp_path, shape=(7, 9), chunks=(4, 4), dtype="int32", codecs=codecs)
    assert [codec["name"] for codec in array.codecs] == ["transpose", "bytes", "gzip", "crc32c"]
    array[...] = elements("int32")
    zarr = pytest.importorskip("zarr")
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path), mode="r")[...], elements("int32"))
    again = tegula.create_array(
        {}, shape=(7, 9), dtype="int32", compressors=["zstd:1", {"name": "crc32c"}], filters=codecs[0]
    )
    assert [codec["name"] for codec in again.codecs] == ["transpose", "bytes", "zstd", "crc32c"]


def test_shards_are_read_back_by_both(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = tegula.create_array(
        tmp_path,
        shape=(20, 30),
        chunks=(2, 5),
        shards=(8, 15),
        dtype="uint16",
        compressors="blosc",
        dimension_names=("y", None),
        attributes={"unit": "DN"},
    )
    assert (array.chunks, array.shards, array.dimension_names, array.attrs) == (
        (2, 5),
        (8, 15),
        ("y", None),
        {"unit": "DN"},
    )
    array[:16] = elements("uint16", (16, 30))
    theirs = zarr.open_array(str(tmp_path), mode="r")
    assert (theirs.chunks, theirs.shards, dict(theirs.attrs)) == ((2, 5), (8, 15), {"unit": "DN"})
    np.testing.assert_array_equal(theirs[:16], elements("uint16", (16, 30)))
    np.testing.assert_array_equal(theirs[16:], 0)
    assert not array.chunk_exists((2, 0))


def test_stored_chunks(tmp_path):
    array = tegula.create_array(tmp_path, shape=(7, 9), chunks=(4, 4), dtype="int32", fill_value=9)
    array.store_chunk((1, 2), np.arange(16, dtype="int32").reshape(4, 4).T)
    np.testing.assert_array_equal(array.retrieve_chunk((1, 2)), np.arange(16).reshape(4, 4).T)
    array.store_chunk((0, 0), [[9] * 4] * 4)
    assert array.retrieve_chunk_if_exists((0, 0)) is None
    array.erase_chunk((1, 2))
    array.erase_chunk((1, 2))
    assert not array.chunk_exists((1, 2))
    region = tegula.ArraySubset((4, 4), (3, 5))
    array.store_array_subset(region, np.full((3, 5), 2, "int32")[::-1])
    array.store_array_subset(([0, 4], (0, 4)), np.broadcast_to(np.int32(3), (4, 4)))
    assert (array[4:, 4:] == 2).all()
    assert (array[:4, :4] == 3).all()
    for store in (
        lambda: array.store_chunk((0, 0), np.zeros((4, 4))),
        lambda: array.store_chunk((0, 0), np.zeros((4, 5), "int32")),
        lambda: array.store_chunk((9, 9), np.zeros((4, 4), "int32")),
        lambda: array.store_array_subset([(0, 4), (0, 4)], np.zeros((4, 4), ">i4")),
        lambda: array.store_array_subset([(0, 8), (0, 4)], np.zeros((8, 4), "int32")),
        lambda: array.erase_chunk((9, 9)),
    ):
        with pytest.raises(tegula.InvalidSelectionError):
            store()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (((100, 100), (10, 20), None), ((10, 20), None)),
        (((100, 100), 10, None), ((10, 10), None)),
        (((100, 100), (-1, None), None), ((100, 100), None)),
        (((100, 100), (10, 10), 50), ((10, 10), (50, 50))),
        (((4, 6), "auto", None), ((4, 6), None)),
        (((0, 6), "auto", None), ((1, 6), None)),
        (((), "auto", None), ((), None)),
        (((10000,), "auto", None), ((10000,), None)),
        (((4096, 4096), "auto", None), ((256, 512), None)),
        (((4096, 4096), "auto", (2048, 2048)), ((256, 512), (2048, 2048))),
        (((3**9,) * 2, "auto", (3**7, 3**7)), ((243, 243), (2187, 2187))),
    ],
)
def test_shapes_of_chunks(given, expected):
    shape, chunks, shards = given
    array = tegula.create_array({}, shape=shape, dtype="float64", chunks=chunks, shards=shards)
    assert (array.chunks, array.shards) == expected


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"chunks": (4,)}, tegula.InvalidMetadataError),
        ({"chunks": (0, 4)}, tegula.InvalidMetadataError),
        ({"chunks": "large"}, tegula.InvalidMetadataError),
        ({"chunks": (3, 3), "shards": (4, 4)}, tegula.InvalidMetadataError),
        ({"dtype": "U0"}, tegula.UnsupportedError),
        ({"dtype": object}, tegula.UnsupportedError),
        ({"dtype": [("a", object)]}, tegula.UnsupportedError),
        ({"dtype": "no type"}, TypeError),
        ({"compressors": "zip"}, tegula.InvalidMetadataError),
        ({"compressors": "zstd:high"}, tegula.InvalidMetadataError),
        ({"compressors": "zstd:1:2"}, tegula.InvalidMetadataError),
        ({"compressors": "blosc:zstd:1:shuffle:8"}, tegula.InvalidMetadataError),
        ({"compressors": {"level": 1}}, tegula.InvalidMetadataError),
        ({"compressors": {"name": "nobody.knows"}}, tegula.UnsupportedError),
        ({"filters": "zstd"}, tegula.InvalidMetadataError),
        ({"codecs": []}, tegula.InvalidMetadataError),
        ({"fill_value": [1, 2]}, tegula.InvalidMetadataError),
        ({"fill_value": "x"}, ValueError),
        ({"dimension_names": ("y",)}, tegula.InvalidMetadataError),
        ({"zarr_format": 4}, tegula.UnsupportedError),
        ({"zarr_format": 2, "shards": (4, 4), "chunks": (2, 2)}, tegula.UnsupportedError),
        ({"zarr_format": 2, "dimension_names": ("y", "x")}, tegula.UnsupportedError),
        ({"shape": (-1, 4)}, tegula.InvalidSelectionError),
        ({"path": "../a"}, tegula.NotFoundError),
    ],
)
def test_contradictions_are_errors_and_leave_nothing(wrong, error):
    store = {}
    with pytest.raises(error):
        tegula.create_array(store, **{"shape": (8, 8), "dtype": "int32", **wrong})
    assert store == {}


def test_written_data_types(tmp_path):
    array = tegula.create_array(tmp_path, shape=4, dtype=">f4")
    assert array.dtype == np.dtype("f4")
    assert array.shape == (4,)
    array = tegula.create_array({}, shape=(), dtype=np.float64, fill_value=None)
    array[()] = 5
    assert array[()] == 5.0


def test_mappings_are_written_through():
    store = {}
    array = tegula.create_array(store, "a", shape=(4,), dtype="int8")
    assert set(store) == {"zarr.json", "a/zarr.json"}
    array[...] = 1
    assert store[array.chunk_key(0)]
    np.testing.assert_array_equal(tegula.open_array(dict(store), "a")[...], 1)
    del store[array.chunk_key(0)]
    np.testing.assert_array_equal(array[...], 0)


def test_stores_are_mappings(tmp_path):
    for store in (tegula.MemoryStore(), tegula.FilesystemStore(tmp_path), tegula.MemoryStore({"x": b"1"})):
        store["a/b"] = b"12"
        store["a/c"] = bytearray(b"3")
        assert {key: store[key] for key in store if key != "x"} == {"a/b": b"12", "a/c": b"3"}
        assert "a/b" in store
        assert "a" not in store
        assert 5 not in store
        assert store.get("a") is None
        assert store.pop("a/b") == b"12"
        with pytest.raises(KeyError):
            del store["a/b"]
        assert store
        with pytest.raises(tegula.StoreError):
            store["../b"] = b""
        assert repr(store)
    assert tegula.FilesystemStore("a") == tegula.FilesystemStore("./a")
    assert tegula.FilesystemStore("a") != tegula.FilesystemStore("b")
    assert len({tegula.FilesystemStore("a"), tegula.FilesystemStore("./a")}) == 1


def test_axis_order_of_v2(tmp_path):
    zarr = pytest.importorskip("zarr")
    reverse = {"name": "transpose", "configuration": {"order": [1, 0]}}
    array = tegula.create_array(tmp_path, data=np.arange(6).reshape(2, 3), filters=reverse, zarr_format=2)
    assert array.metadata["order"] == "F"
    assert zarr.open_array(tmp_path)[...].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_failures_erase_nothing_of_others(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="hello"):
        tegula.create_array(tmp_path, data=["hello"], dtype="int8")
    with pytest.raises(ZeroDivisionError):
        tegula.create_array(
            tmp_path, data=np.ones((4, 4)), chunks=(2, 2), progress=lambda done, total: 1 // (total - done)
        )
    with pytest.raises(ZeroDivisionError):
        tegula.copy(tegula.save({}, {"a/b": np.ones(9)}), tmp_path, progress=lambda done, total: 1 // (total - done))
    assert [path.name for path in tmp_path.rglob("*")] == ["notes.txt"]
