"""What is missing stays visible: text, masked elements, NaN among attributes, and chunks that are not stored."""

import asyncio
import json
import math
import pickle

import numpy as np
import pytest

import tegula

NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"


def missing_texts():
    pandas = pytest.importorskip("pandas")
    yield np.array(["x", None], object)
    yield np.array(["x", np.nan], object)
    yield np.array(["x", pandas.NA], object)
    yield np.array(["x", pandas.NaT], object)
    yield ["x", None]
    yield ["x", math.nan]
    yield ("x", np.float32("nan"))
    yield [["x"], [None]]
    yield None
    yield math.nan
    yield np.array([1.5, np.nan])
    yield np.array(["2020-01-01", "NaT"], "M8[D]")
    yield pandas.Series(["x", None])
    yield pandas.array(["x", None], dtype="string")
    yield np.ma.array(["x", "y"], mask=[0, 1])
    if NUMPY_2:
        yield np.array(["x", None], np.dtypes.StringDType(na_object=None))
        yield np.array(["x", np.nan], np.dtypes.StringDType(na_object=np.nan))


DOORS = {
    "index": lambda array, value: array.__setitem__(..., value),
    "oindex": lambda array, value: array.oindex.__setitem__([1, 0], value),
    "vindex": lambda array, value: array.vindex.__setitem__([1, 0], value),
    "blocks": lambda array, value: array.blocks.__setitem__(0, value),
    "append": lambda array, value: array.append([value] if np.ndim(value) == 0 else value),
    "store_chunk": lambda array, value: array.store_chunk(0, value),
    "store_array_subset": lambda array, value: array.store_array_subset([(0, 2)], value),
    "async": lambda array, value: asyncio.run(array.async_store_chunk(0, value)),
    "session": lambda array, value: array.write_session().__setitem__(..., value),
    "session.store_chunk": lambda array, value: array.write_session().store_chunk(0, value),
    "encoder": lambda array, value: array.partial_encoder(0).partial_encode([([(0, 2)], value)]),
}


@pytest.mark.parametrize("dtype", ["string", "U8", "S8"])
@pytest.mark.parametrize("door", DOORS)
def test_missing_text_is_refused(door, dtype):
    array = tegula.create_array({}, shape=(2,), dtype=dtype, chunks=2)
    for value in missing_texts():
        # Methods of chunks broadcast nothing, and take no other data types.
        with pytest.raises((TypeError, tegula.InvalidSelectionError, tegula.UnsupportedError)):
            DOORS[door](array, value)
        assert [str(element) for element in array[...].tolist()] in (["", ""], ["b''", "b''"]), value


@pytest.mark.parametrize("form", ["objects", "v2"])
def test_missing_text_in_arrays_of_objects_is_refused(form):
    array = tegula.create_array({}, shape=(2,), dtype="string", zarr_format=2 if form == "v2" else 3)
    array = array.with_string_dtype(object)
    for value in (["x", None], ["x", math.nan], np.array(["x", None], object)):
        with pytest.raises(TypeError, match=r"text|string"):
            array[...] = value
    assert array[...].tolist() == ["", ""]


def test_missing_text_in_fields_is_refused():
    dtype = np.dtype([("name", "U8"), ("inner", [("key", "S4"), ("value", "f8")]), ("pair", "U4", (2,))])
    array = tegula.create_array({}, shape=(1,), dtype=dtype, zarr_format=2)
    good = ("a", (b"b", math.nan), ("c", "d"))
    array[0] = good
    assert array[0]["name"] == "a"
    assert np.isnan(array[0]["inner"]["value"])
    for wrong in [(None, *good[1:]), ("a", (None, 1.0), ("c", "d")), ("a", (b"b", 1.0), ("c", None))]:
        with pytest.raises(TypeError, match="as text"):
            array[0] = wrong
    with pytest.raises(TypeError, match="as text"):
        array["name"] = [None]
    assert array[0]["name"] == "a"


def test_text_that_is_there_is_stored():
    array = tegula.create_array({}, shape=(2,), dtype="string")
    values = [["x", "None"], ("nan", ""), np.array(["x", "y"]), np.array(["x", "y"], object), [1, 2]]
    if NUMPY_2:
        values += [np.array(["x", "y"], np.dtypes.StringDType(na_object=None)), np.array(["x", "y"], "T")]
    for value in values:
        array[...] = value
        assert array[...].tolist() == [str(item) for item in value]
    array[...] = "z"
    array[1] = "w"
    assert array[...].tolist() == ["z", "w"]


@pytest.mark.parametrize("data", [["x", None], ["x", math.nan], np.array(["x", None], object)])
def test_new_arrays_of_missing_text_are_refused(data):
    for create in (
        lambda: tegula.create_array({}, data=data, dtype="string"),
        lambda: tegula.create_array({}, data=data, dtype="U8"),
        lambda: tegula.save({}, data, dtype="string"),
        lambda: tegula.save({}, {"a": data}, dtype="string"),
        lambda: tegula.array(data, dtype=str),
        lambda: tegula.copy(data, {}),
    ):
        with pytest.raises((TypeError, tegula.UnsupportedError)):
            create()
    with pytest.raises((ValueError, TypeError)):
        tegula.create_array({}, shape=2, dtype="U8", fill_value=math.nan)


@pytest.mark.parametrize("door", [door for door in DOORS if door != "append"])
def test_masked_elements_are_refused(door):
    array = tegula.create_array({}, data=np.array([1.0, 2.0]))
    masked = np.ma.array([3.0, -999.0], mask=[0, 1])
    for value in (masked, [masked[0], masked[1]], [3.0, np.ma.masked]):
        with pytest.raises(tegula.UnsupportedError, match="filled"):
            DOORS[door](array, value)
    with pytest.raises(tegula.UnsupportedError, match="filled"):
        array.append(masked)
    assert array[...].tolist() == [1.0, 2.0]
    DOORS[door](array, np.ma.array([3.0, 4.0]))


def test_arrays_with_masks_are_refused(tmp_path):
    path = tmp_path / "m.asdf"
    tegula.AsdfFile({"m": np.ma.array([1.0, -999.0], mask=[0, 1])}).write_to(path)
    array = tegula.create_array({}, shape=(2,), dtype="f8")
    with pytest.raises(tegula.UnsupportedError, match="mask"):
        array[...] = tegula.open_asdf(path)["m"]
    astropy = pytest.importorskip("astropy.utils.masked")
    with pytest.raises(tegula.UnsupportedError, match="mask"):
        array[...] = astropy.Masked([1.0, 2.0], mask=[False, True])


ODD = {
    "nan": math.nan,
    "inf": [math.inf, {"low": -math.inf}],
    "text": ["NaN", "Infinity", "-Infinity"],
    "number": 1.5,
    "long": 10**30,
}


def same(found, expected=ODD):
    return math.isnan(found["nan"]) and {**found, "nan": 0} == {**expected, "nan": 0}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_numbers_that_json_lacks_keep_their_type_among_attributes(tmp_path, zarr_format):
    path = tmp_path / "a.zarr"
    group = tegula.create_group(path, zarr_format=zarr_format, attributes=ODD)
    array = group.create_array("a", shape=(2,), dtype="f4", fill_value=np.nan, attributes=ODD)
    array.attrs["more"] = np.float32("-inf")
    array.attrs["flag"] = np.bool_(True)
    array.attrs["listed"] = np.array([1.0, np.nan])
    del array.attrs["flag"]
    for handle in (array, tegula.open_array(path, "a"), pickle.loads(pickle.dumps(array))):
        attributes = handle.attrs.asdict()
        assert math.isnan(attributes.pop("listed")[1])
        assert attributes.pop("more") == -math.inf
        assert same(attributes)
        assert np.isnan(handle.fill_value)
    assert same(tegula.open_group(path).attrs)
    assert same(
        tegula.consolidate_metadata(path)["a"].attrs.asdict() | {"more": 0, "listed": 0},
        {**ODD, "more": 0, "listed": 0},
    )
    assert same(tegula.open_group(path, use_consolidated=True).attrs)
    copied = tegula.copy(path, {}, zarr_format=5 - zarr_format)
    assert same(copied.attrs)
    assert copied["a"].attrs["more"] == -math.inf


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_numbers_that_json_lacks_travel_to_zarr_python(tmp_path, zarr_format):
    zarr = pytest.importorskip("zarr")
    tegula.create_array(tmp_path / "ours", shape=(2,), dtype="f4", attributes=ODD, zarr_format=zarr_format)
    assert same(zarr.open_array(tmp_path / "ours").attrs.asdict())
    theirs = zarr.create_array(tmp_path / "theirs", shape=(2,), dtype="f4", zarr_format=zarr_format)
    theirs.attrs.update(ODD)
    assert same(tegula.open_array(tmp_path / "theirs").attrs)


def test_codecs_and_fill_values_have_no_such_numbers():
    with pytest.raises(ValueError, match="JSON"):
        tegula.create_array({}, shape=2, dtype="f4", filters={"name": "x", "configuration": {"y": math.nan}})
    document = {"zarr_format": 3, "node_type": "array", "shape": [1], "data_type": "float32", "fill_value": math.nan}
    document |= {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    document |= {"chunk_key_encoding": "default", "attributes": {"attributes": {"x": math.nan}}}
    array = tegula.open_array({"zarr.json": json.dumps(document).encode()})
    assert np.isnan(array[0])
    assert array.metadata["fill_value"] == "NaN"
    assert math.isnan(array.attrs["attributes"]["x"])


@pytest.fixture(params=["memory", "folder", "mapping"])
def sparse(request, tmp_path):
    store = {"memory": tegula.MemoryStore(), "folder": tmp_path / "a.zarr", "mapping": {}}[request.param]
    group = tegula.create_group(store)
    for name, shards in (("plain", None), ("sharded", (8,))):
        array = group.create_array(name, shape=(16,), dtype="i4", chunks=(4,), shards=shards)
        array[:4] = 1
    return group


READS = {
    "whole": lambda array: array[...],
    "part": lambda array: array[2:6],
    "list": lambda array: array[[0, 5]],
    "element": lambda array: array[5],
    "oindex": lambda array: array.oindex[[0, 5]],
    "blocks": lambda array: array.blocks[:],
    "iteration": list,
    "array": np.asarray,
    "compare": lambda array: array == 1,
    "subset": lambda array: array.retrieve_array_subset([(2, 6)]),
    "subsets": lambda array: array.retrieve_array_subsets([[0], [2]], [3]),
    "chunk": lambda array: array.retrieve_chunk(1),
    "chunks": lambda array: array.retrieve_chunks([(0, 2)]),
    "chunk_subset": lambda array: array.retrieve_chunk_subset(1, [(0, 2)]),
    "inner": lambda array: array.retrieve_inner_chunk(1),
    "inner_chunks": lambda array: array.retrieve_inner_chunks([(0, 2)]),
    "decoder": lambda array: array.partial_decoder(1).partial_decode([[(0, 2)]]),
    "map": lambda array: array.map_chunks(lambda index, chunk: None),
    "async": lambda array: asyncio.run(array.async_retrieve_array_subset([(2, 6)])),
    "copy_to": lambda array: array.copy_to(tegula.create_array({}, shape=(16,), dtype="i4")),
    "copy": lambda array: tegula.copy(array, {}),
    "rechunk": lambda array: tegula.rechunk(array, {}, chunks=(3,)),
    "cached": lambda array: array.with_cache("1 MB")[...],
}


@pytest.mark.parametrize("name", ["plain", "sharded"])
@pytest.mark.parametrize("how", READS)
def test_missing_chunks_can_be_errors(sparse, name, how):
    array = sparse[name]
    READS[how](array)
    strict = array.with_options(missing_chunks="error")
    assert strict[:4].sum() == 4
    assert strict.retrieve_inner_chunk(0).sum() == 4
    with pytest.raises(KeyError, match=r"(?s)chunk \(\d,\).*missing_chunks") as error:
        READS[how](strict)
    assert isinstance(error.value, tegula.NotFoundError)
    assert f"{name}/c/" in str(error.value)


def test_questions_about_missing_chunks_are_no_reads(sparse):
    strict = sparse["plain"].with_options(missing_chunks="error")
    assert strict.retrieve_chunk_if_exists(1) is None
    assert strict.retrieve_chunk_if_exists(0).sum() == 4
    assert strict.retrieve_encoded_chunk(1) is None
    assert not strict.chunk_exists(1)
    assert strict.explain(...).missing_chunks == 3
    assert strict.nchunks_initialized == 1
    strict[5:6] = 2
    assert strict[4:8].tolist() == [0, 2, 0, 0]
    assert strict.with_options(missing_chunks="fill")[...].sum() == 6
    with tegula.config.set(missing_chunks="error"):
        assert tegula.open_array(sparse.store, "plain").options.missing_chunks == "error"
    with pytest.raises(tegula.InvalidSelectionError, match='"fill" and "error"'):
        strict.with_options(missing_chunks="none")
