"""Every data type: created, written, read back, and read by zarr-python if it supports the type."""

import json
import warnings

import ml_dtypes
import numpy as np
import pytest
import zarr

import tegula

SMALL = [name for name in dir(ml_dtypes) if name.startswith(("float", "bfloat16", "int2", "int4", "uint2", "uint4"))]
FIXED = ["bool", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16", "S1", "S7", "U1", "U5", "V3", "V8"]
TIMES = [
    f"{kind}[{unit}]"
    for kind in ("M8", "m8")
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
]
TIMES += ["M8[25us]", "m8[3D]", "M8", "m8"]
STRUCT = np.dtype([("x", "<u2"), ("s", "S5"), ("t", "<f4"), ("when", "<M8[ns]"), ("n", [("p", "<i2"), ("q", "<f8")])])
V2_STRUCTS = {
    "byte orders": np.dtype([("a", ">i4"), ("b", "<f8"), ("c", ">U2")]),
    "subarrays": np.dtype([("m", "<f4", (2, 2)), ("k", "|u1")]),
    "nested": np.dtype([("n", [("p", "<i2"), ("q", ">f4")]), ("z", "|u1")]),
}
SHAPE, CHUNKS = (7, 5), (3, 4)


def content(dtype: np.dtype) -> np.ndarray:
    raw = np.random.default_rng(1).integers(0, 128, (*SHAPE, dtype.itemsize), dtype=np.uint8)
    if dtype.kind == "b" or dtype.name.startswith(("int2", "int4", "uint2", "uint4", "uint1", "int1")):
        raw %= 2
    if dtype.kind == "U":
        raw.view("u4")[...] %= 0x300
    if dtype.names and any(dtype[name].base.kind == "U" for name in dtype.names):
        raw[...] = 0
    if dtype.name.startswith(("float4", "float6")):
        raw %= 16
    return raw.view(dtype).reshape(SHAPE)


def same(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


def round_trip(path, dtype, **arguments):
    elements = content(np.dtype(dtype))
    array = tegula.create_array(path, shape=SHAPE, chunks=CHUNKS, dtype=dtype, **arguments)
    array[:6] = elements[:6]
    assert array.dtype == elements.dtype.newbyteorder("=")
    for opened in array, tegula.open_array(path):
        same(opened[:6], elements[:6])
        same(opened[1:6:2, ::-1], elements[1:6:2, ::-1])
        same(opened.retrieve_chunk((0, 0)), elements[:3, :4])
        assert (opened[6] == opened.fill_value).all() or dtype == STRUCT
    return array, elements


@pytest.mark.parametrize("dtype", FIXED + TIMES)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_types_of_fixed_size(tmp_path, dtype, zarr_format):
    _, elements = round_trip(tmp_path, dtype, zarr_format=zarr_format)
    if dtype in ("M8", "m8") or (dtype.startswith("V") and zarr_format == 3):
        return  # zarr-python supports neither times without a unit nor the specification's name of raw bytes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # types that are in no Zarr V3 specification
        theirs = zarr.open_array(tmp_path, mode="r")
        same(np.asarray(theirs[:6]).astype(elements.dtype), elements[:6])


@pytest.mark.parametrize("name", SMALL)
def test_types_of_machine_learning(tmp_path, name):
    round_trip(tmp_path, getattr(ml_dtypes, name), compressors="blosc")
    assert tegula.open_array(tmp_path).data_type == name
    assert tegula.create_array({}, shape=(2,), dtype=name).dtype == np.dtype(getattr(ml_dtypes, name))


def test_structs(tmp_path):
    array, elements = round_trip(tmp_path, STRUCT)
    assert array.fields == ("x", "s", "t", "when", "n")
    same(array["t"][:6], elements["t"][:6])
    same(array["x", 1:3, ::2], elements["x"][1:3, ::2])
    same(array[["t", "x"]][:6], elements[["t", "x"]][:6])
    assert array["n"][0, 0]["q"] == elements[0, 0]["n"]["q"]
    with pytest.raises(tegula.errors.InvalidSelectionError, match="none"):
        array["none"]


@pytest.mark.parametrize("name", V2_STRUCTS)
def test_structs_of_v2(tmp_path, name):
    elements = content(V2_STRUCTS[name])
    # Written by hand, because zarr-python 3 turns subarrays into raw bytes.
    metadata = {
        "zarr_format": 2, "shape": SHAPE, "chunks": SHAPE, "dtype": elements.dtype.descr, "compressor": None,
        "filters": None, "fill_value": None, "order": "F",
    }  # fmt: skip
    (tmp_path / ".zarray").write_text(json.dumps(metadata))
    (tmp_path / "0.0").write_bytes(elements.tobytes(order="F"))
    ours = tegula.open_array(tmp_path)
    for field in elements.dtype.names:
        same(np.ascontiguousarray(ours[...][field]), np.ascontiguousarray(elements[field]))
    assert ours.dtype == elements.dtype


def test_padding_of_structs_is_kept_and_not_shown(tmp_path):
    metadata = {
        "zarr_format": 2, "shape": [2], "chunks": [2], "dtype": [["a", "|u1"], ["", "|V3"], ["b", "<i4"]],
        "compressor": None, "filters": None, "fill_value": None, "order": "C",
    }  # fmt: skip
    (tmp_path / ".zarray").write_text(json.dumps(metadata))
    (tmp_path / "0").write_bytes(b"\x01???\x02\0\0\0\x03???\x04\0\0\0")
    array = tegula.open_array(tmp_path)
    assert array.fields == ("a", "b")
    assert array.dtype.itemsize == 8
    assert array["a"].tolist() == [1, 3]
    assert array["b"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("dtype", "fill_value"),
    [
        ("M8[ns]", np.datetime64("NaT")), ("m8[s]", np.timedelta64(5, "s")), ("U4", "né"), ("S4", b"ab"),
        ("V2", b"\1\2"), ("c8", 1 - 2j), ("bfloat16", 1.5), ("float8_e4m3fn", float("nan")), ("int4", -3), ("f4", -0.0),
        (str, "né"), (bytes, b"\xff"), (STRUCT, (1, b"ab", 2.5, np.datetime64("NaT"), (3, 4.5))),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_fill_values(tmp_path, dtype, fill_value, zarr_format):
    array = tegula.create_array(tmp_path, shape=(2,), dtype=dtype, fill_value=fill_value, zarr_format=zarr_format)
    expected = np.asarray(fill_value, array.dtype)
    for opened in array, tegula.open_array(tmp_path):
        same(opened[...], np.stack([expected, expected]).astype(array.dtype)) if array.dtype.kind not in "TO" else None
        assert list(opened[...]) == [expected[()]] * 2 or expected.dtype.kind in "mMcfV"


def test_objects_of_v2(tmp_path):
    import numcodecs

    values = np.empty(5, object)
    values[:] = [1, "né", None, {"a": [1.5, float("nan")]}, [True]]
    lists = np.empty(5, object)
    lists[:] = [np.arange(k, dtype="i4") for k in range(5)]
    for codec, elements in [(numcodecs.JSON(), values), (numcodecs.VLenArray("<i4"), lists)]:
        path = tmp_path / codec.codec_id
        path.mkdir()
        metadata = {
            "zarr_format": 2, "shape": [5], "chunks": [5], "dtype": "|O", "compressor": None,
            "filters": [codec.get_config()], "fill_value": None, "order": "C",
        }  # fmt: skip
        (path / ".zarray").write_text(json.dumps(metadata))
        (path / "0").write_bytes(codec.encode(elements))
        array = tegula.open_array(path)
        found = array[...]
        assert found.dtype == object
        for one, other in zip(found, elements, strict=True):
            assert repr(one) == repr(other)
        again = tegula.open_array(path)
        again[...] = found
        assert repr(again[...].tolist()) == repr(elements.tolist())
    metadata["filters"] = [{"id": "pickle", "protocol": 2}]
    (path / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(tegula.UnsupportedError, match=r"pickle.*code"):
        tegula.open_array(path)


def test_elements_of_any_length(tmp_path):
    metadata = {
        "zarr_format": 3, "node_type": "array", "shape": [10, 7], "data_type": "int16", "fill_value": -1,
        "chunk_grid": {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[3, [2, 2], 4], 5]}},
        "chunk_key_encoding": "default", "codecs": ["bytes", "crc32c"],
    }  # fmt: skip
    metadata["codecs"][0] = {"name": "bytes", "configuration": {"endian": "little"}}
    (tmp_path / "zarr.json").write_text(json.dumps(metadata))
    array = tegula.open_array(tmp_path)
    assert array.chunks == ((3, 2, 2, 4), 5)
    assert array.chunk_grid_shape == (4, 2)
    elements = np.arange(70, dtype="i2").reshape(10, 7)
    array[:7] = elements[:7]
    assert (array[:7] == elements[:7]).all()
    assert (array[7:] == -1).all()
    assert (array[1:7:2, ::-2] == elements[1:7:2, ::-2]).all()
    assert (array.retrieve_chunk((1, 0)) == elements[3:5, :5]).all()
    assert array.chunk_subset((3, 1)).to_slices() == (slice(7, 11, 1), slice(5, 10, 1))
    assert [len(rows) for rows in (list(array),)] == [10]
    assert "rectilinear" in json.dumps(array.metadata)
