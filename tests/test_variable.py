"""Elements of variable length: text, bytes, lists and JSON."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
import zarr

import tegula

STRING = np.dtypes.StringDType()
WORDS = np.array([[f"word {i} é"[: 3 + j * 4] * (j % 3) for j in range(5)] for i in range(7)], STRING)


def make(path, **arguments):
    array = tegula.create_array(path, shape=(7, 5), chunks=(2, 2), dtype="string", **arguments)
    array[...] = WORDS
    return array


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"compressors": None},
        {"shards": (4, 4)},
        {"fill_value": "né", "compressors": ["gzip", "crc32c"]},
        {"filters": {"name": "transpose", "configuration": {"order": [1, 0]}}, "shards": (8, 6)},
        {"zarr_format": 2},
    ],
    ids=str,
)
def test_text_is_read_as_numpy_and_zarr_read_it(tmp_path, arguments):
    array = make(tmp_path, **arguments)
    assert array.dtype == STRING
    assert (array[...] == WORDS).all()
    for key in np.s_[3], np.s_[1:6:2, ::-1], np.s_[..., 4], np.s_[2:2], np.s_[-1, -1], np.s_[None, 3:]:
        assert np.array_equal(array[key], WORDS[key]), key
    assert (array.retrieve_inner_chunk((1, 1)) == WORDS[2:4, 2:4]).all()
    assert (zarr.open_array(tmp_path, mode="r")[...] == WORDS).all()


def test_zarrs_text_is_read(tmp_path):
    for zarr_format in 2, 3:
        path = tmp_path / str(zarr_format)
        theirs = zarr.create_array(path, shape=(7, 5), chunks=(3, 2), dtype=str, zarr_format=zarr_format)
        theirs[:4] = WORDS[:4]
        ours = tegula.open_array(path)
        assert (ours[:4] == WORDS[:4]).all()
        assert (ours[4:] == "").all()


def test_text_comes_as_strings_or_as_objects(tmp_path):
    array = make(tmp_path).with_string_dtype(object)
    assert array.dtype == object
    assert array[1, 4] == WORDS[1, 4]
    assert type(array[1, 4]) is str
    assert (array[...] == WORDS.astype(object)).all()
    assert pickle.loads(pickle.dumps(array)).dtype == object
    assert (array.with_string_dtype(STRING)[...] == WORDS).all()
    with pytest.raises(tegula.InvalidSelectionError, match="cannot be read as float64"):
        array.with_string_dtype(float)
    numbers = tegula.create_array({}, shape=(2,), dtype="int8")
    with pytest.raises(tegula.InvalidSelectionError, match="int8"):
        numbers.with_string_dtype(object)


def test_text_is_read_into_outputs(tmp_path):
    array = make(tmp_path)
    for dtype in object, STRING:
        out = np.empty((5, 7), dtype).T
        assert array.retrieve_array_subset(array.subset_all(), out=out) is out
        assert (out == WORDS.astype(dtype)).all()
    with pytest.raises(tegula.InvalidSelectionError, match="objects"):
        array.retrieve_array_subset(array.subset_all(), out=np.empty((7, 5)))
    with pytest.raises(tegula.InvalidSelectionError, match="shape"):
        array.retrieve_array_subset(array.subset_all(), out=np.empty((1, 5), object))


def test_missing_chunks_have_the_fill_value():
    array = tegula.create_array({}, shape=(4,), chunks=(2,), dtype=str, fill_value="none")
    array[:2] = ["a", "b"]
    assert array.fill_value == "none"
    assert list(array[...]) == ["a", "b", "none", "none"]
    assert array.retrieve_chunk_if_exists(1) is None
    store = {}
    array = tegula.create_array(store, shape=(4,), chunks=(2,), dtype=str, fill_value="none")
    array[:2] = ["none", "none"]
    assert list(store) == ["zarr.json"]


def test_bytes_of_variable_length(tmp_path):
    data = np.array([b"", b"\x00\xff", b"abc", bytes(1000), b"x"], object)
    array = tegula.create_array(tmp_path, shape=(5,), chunks=(2,), dtype="bytes", fill_value=b"?")
    array[:4] = data[:4]
    last = np.empty(1, object)
    last[0] = bytearray(b"x")
    array[4:] = last
    assert list(array[...]) == list(data)
    theirs = zarr.open_array(tmp_path, mode="r")
    assert [bytes(element) for element in theirs[...]] == list(data)


def test_parts_are_arrow(tmp_path):
    array = make(tmp_path, shards=(4, 4))
    parts = array.retrieve_variable(np.s_[1:3])
    assert parts.shape == (2, 5)
    assert [parts[k] for k in range(-10, 10)] == 2 * list(WORDS[1:3].ravel())
    assert parts.bytes.tobytes() == "".join(WORDS[1:3].ravel()).encode()
    assert (np.diff(parts.offsets) == [len(word.encode()) for word in WORDS[1:3].ravel()]).all()
    found = pa.array(parts)
    assert found.type == pa.large_string()
    assert found.to_pylist() == list(WORDS[1:3].ravel())
    # Neither side copies: the buffers are the same memory.
    assert found.buffers()[2].address == parts.bytes.ctypes.data
    del parts
    found.validate(full=True)
    raw = tegula.create_array({}, shape=(2,), dtype="bytes", fill_value=b"\xff").retrieve_variable()
    assert pa.array(raw).to_pylist() == [b"\xff", b"\xff"]
    with pytest.raises(tegula.InvalidSelectionError, match="variable length"):
        tegula.create_array({}, shape=(2,), dtype="int8").retrieve_variable()
    with pytest.raises(IndexError):
        raw[2]


def test_a_cache_keeps_text(tmp_path):
    array = make(tmp_path).with_cache("1 MB")
    for _ in range(2):
        assert (array[...] == WORDS).all()
    assert array.cache_info().hits == 12
    decoder = array.partial_decoder((1, 1))
    first, second = decoder.partial_decode([[(0, 1), (0, 2)], [(1, 2), (1, 2)]])
    assert (first == WORDS[2:3, 2:4]).all()
    assert second == WORDS[3:4, 3:4]


def test_invalid_text_is_refused(tmp_path):
    array = make(tmp_path, compressors=None)
    for wrong in [1, 2], [None, "a"], [b"a", b"b"]:
        with pytest.raises((TypeError, ValueError, tegula.Error)):
            array.with_string_dtype(object).store_array_subset([(0, 2), (0, 2)], np.array([wrong, wrong], object))
    assert (array[...] == WORDS).all()
    chunk = tmp_path / "c" / "0" / "0"
    whole = chunk.read_bytes()
    for size in range(len(whole)):
        chunk.write_bytes(whole[:size])
        with pytest.raises(tegula.CorruptDataError, match=r"chunk \(0, 0\)"):
            array.retrieve_chunk((0, 0))
    chunk.write_bytes(whole[:-1] + b"\xff")
    with pytest.raises(tegula.CorruptDataError, match="UTF-8"):
        array.retrieve_chunk((0, 0))
    chunk.write_bytes(b"\xff\xff\xff\x7f" + whole[4:])
    with pytest.raises(tegula.CorruptDataError, match="instead of 4"):
        array.retrieve_chunk((0, 0))
