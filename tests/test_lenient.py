"""Metadata as real files have them: what other libraries read without a doubt is read."""

import json

import numpy as np
import pytest

import tegula


def v2(objects=None, **more):
    document = {
        "zarr_format": 2,
        "shape": [2],
        "chunks": [2],
        "dtype": "<f4",
        "fill_value": 0,
        "compressor": None,
        "filters": None,
        "order": "C",
    }
    document.update(more)
    document = {name: value for name, value in document.items() if value is not ...}
    return {".zarray": json.dumps(document).encode(), **(objects or {})}


def v3(objects=None, **more):
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [2, 3],
        "data_type": "int32",
        "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    document.update(more)
    return {"zarr.json": json.dumps(document).encode(), **(objects or {})}


@pytest.mark.parametrize(
    ("dtype", "fill", "expected"),
    [
        ("<f4", "0", 0),
        ("<f8", "0.0", 0),
        ("<f8", "1e3", 1000),
        ("<i4", "0", 0),
        ("<i4", "0.0", 0),
        ("<i8", "-5", -5),
        ("<u8", "18446744073709551615", 2**64 - 1),
        ("|u1", "7", 7),
        ("|u1", True, 1),
        ("<f4", "nan", np.nan),
        ("<f4", "inf", np.inf),
        ("<f4", "-inf", -np.inf),
        ("<f4", False, 0),
        ("|b1", "true", True),
        ("|b1", 1, True),
        ("|b1", "0", False),
        ("<c8", "2", 2),
        ("<U3", "abcdef", "abc"),
        ("|S3", 0, b""),
    ],
)
def test_fill_values_in_other_spellings(dtype, fill, expected):
    found = tegula.open_array(v2(dtype=dtype, fill_value=fill))
    assert np.array_equal(found[...], np.full(2, expected, dtype), equal_nan=found.dtype.kind in "fc")
    if found.dtype.kind in "iufb" and dtype != "<U3":
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
        store = v3(data_type=found.data_type, fill_value=fill, codecs=codecs)
        again = tegula.open_array(store)[...]
        assert np.array_equal(again, np.full((2, 3), expected, dtype), equal_nan=found.dtype.kind == "f")


@pytest.mark.parametrize(("dtype", "fill"), [("|u1", -1), ("|u1", 300), ("<i2", "x"), ("<i4", 1.5), ("<f4", 1e39)])
def test_a_fill_value_of_no_element_matters_only_where_it_is_needed(dtype, fill):
    stored = np.array([3, 4], dtype)
    store = v2({"0": stored.tobytes()}, dtype=dtype, fill_value=fill, shape=[4])
    array = tegula.open_array(store)
    assert array[:2].tolist() == [3, 4]
    for need in (lambda: array[...], lambda: array.fill_value, lambda: array.__setitem__(2, 1)):
        with pytest.raises(tegula.InvalidMetadataError, match=r"fill value is invalid: .* is not a value of"):
            need()
    assert "invalid" in array.info
    array[2:] = [5, 6]
    assert array[...].tolist() == [3, 4, 5, 6]
    assert tegula.copy(array, {})[...].tolist() == [3, 4, 5, 6]
    with pytest.raises((tegula.Error, OverflowError)):
        tegula.create_array({}, shape=(2,), dtype="u1", fill_value=-1)


@pytest.mark.parametrize("member", ["compressor", "filters", "fill_value", "order"])
def test_members_that_v2_writers_leave_out(member):
    data = np.array([1.5, 2.5], "<f4")
    assert tegula.open_array(v2({"0": data.tobytes()}, **{member: ...}))[...].tolist() == [1.5, 2.5]


def test_orders_of_v2():
    data = np.arange(6, dtype="<f4").reshape(2, 3)
    for order in "CFcf":
        store = v2({"0.0": data.tobytes(order=order.upper())}, shape=[2, 3], chunks=[2, 3], order=order)
        assert np.array_equal(tegula.open_array(store)[...], data)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ["bytes", "endian"])
def test_codecs_of_drafts(order, name):
    data = np.arange(6, dtype="<i4").reshape(2, 3)
    codecs = [
        {"name": "transpose", "configuration": {"order": order}},
        {"name": name, "configuration": {"endian": "little"}},
    ]
    array = tegula.open_array(v3({"c/0/0": data.tobytes(order=order)}, codecs=codecs))
    assert np.array_equal(array[...], data)
    array[0, 0] = 9
    for zarr_format in (2, 3):
        assert np.array_equal(tegula.copy(array, {}, zarr_format=zarr_format)[...], array[...])
    shard = {"chunk_shape": [1, 3], "codecs": codecs}
    sharded = tegula.open_array(v3(codecs=[{"name": "sharding_indexed", "configuration": shard}]))
    sharded[...] = data
    assert np.array_equal(sharded[...], data)


@pytest.mark.parametrize(("shape", "chunks"), [([0], [0]), ([0, 5], [0, 5]), ([5, 0], [5, 0]), ([5, 0], [0, 0])])
def test_chunks_of_length_0_of_empty_arrays(shape, chunks):
    grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    for store in (v2(shape=shape, chunks=chunks), v3(shape=shape, chunk_grid=grid)):
        array = tegula.open_array(store)
        assert array[...].shape == tuple(shape)
        assert tegula.copy(array, {})[...].shape == tuple(shape)
        assert tegula.validate(store).ok
    with pytest.raises(tegula.InvalidMetadataError, match="empty"):
        tegula.open_array(v2(chunks=[0]))


def test_empty_arrays_of_zarr_python(tmp_path):
    zarr = pytest.importorskip("zarr")
    for zarr_format in (2, 3):
        path = tmp_path / str(zarr_format)
        zarr.create_array(path, shape=(0,), chunks=False, dtype="i4", zarr_format=zarr_format)
        assert tegula.open_array(path)[...].shape == (0,)
