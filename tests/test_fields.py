"""Assigning to fields of structs: the same as in NumPy, and the other fields keep their values."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from test_safety import Shared

import tegula

PLAIN = [("id", "i8"), ("flux", "f4"), ("name", "S3"), ("pair", [("p", "i2"), ("q", "u1")])]
ANY = [("id", ">i4"), ("flux", "f4", (2, 3)), ("when", "M8[ns]"), ("name", "U2"), ("pair", PLAIN[3][1])]
FILL = np.array((-1, 2.5, b"no", (3, 4)), PLAIN)

LAYOUTS = {
    "plain": {"compressors": None},
    "zstd": {"compressors": "zstd:1", "fill_value": FILL},
    "swapped": {"codecs": [{"name": "bytes", "configuration": {"endian": "big"}}]},
    "sharded": {"shards": (8, 6), "compressors": "zstd:1", "fill_value": FILL},
    "transposed": {
        "filters": {"name": "transpose", "configuration": {"order": [1, 0]}},
        "shards": (8, 6),
        "compressors": None,
    },
    "v2": {"zarr_format": 2, "compressors": "zlib:1", "dtype": ANY},
}


def created(store, layout):
    """Return an array, and its elements."""
    array = tegula.create_array(store, **{"shape": (11, 7), "chunks": (4, 3), "dtype": PLAIN, **LAYOUTS[layout]})
    return array, array[...].copy()


def counting(shape, dtype, seed):
    """Return distinct values."""
    if dtype.names:
        values = np.zeros(shape, dtype)
        for name in dtype.names:
            field = dtype[name]
            values[name] = counting((*shape, *field.shape), field.base, seed + 1)
        return values
    return ((np.arange(np.prod(shape, dtype=int)) * 7 + seed) % 100).reshape(shape).astype("i8").astype(dtype)


def assigned(target, expected, data):
    """Assign the same values to the array and to its elements."""
    names = data.draw(st.sampled_from([None, *expected.dtype.names, ["id"], ["flux", "id"], ["pair", "name"]]))
    key = data.draw(npst.basic_indices(expected.shape, allow_newaxis=True), label="key")
    field = np.dtype((expected.dtype if names is None else expected.dtype[names], ()))
    numbers = np.arange(expected.size).reshape(expected.shape)[key]
    shape = data.draw(st.sampled_from([(), numbers.shape, numbers.shape[-1:], (1, *numbers.shape)]), label="shape")
    value = counting((*shape, *field.shape), field.base, data.draw(st.integers(0, 99)))
    target[key if names is None else (names, *key) if isinstance(key, tuple) else (names, key)] = value
    value = value[0] if shape == (1, *numbers.shape) else value
    # The key selects elements, whatever axes a field has. Assign field by field: assigning several at once would also
    # copy the bytes between them.
    for name in names if isinstance(names, list) else [names]:
        flat = expected.reshape(-1) if name is None else expected.reshape(-1)[name]
        flat[numbers] = value[name] if isinstance(names, list) else value


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data())
def test_fields_are_assigned_as_numpy_does(layout, data):
    array, expected = created({}, layout)
    for _ in range(3):
        assigned(array, expected, data)
        np.testing.assert_array_equal(array[...], expected)


@pytest.mark.parametrize(
    ("layout", "memory"), [("zstd", 1500), ("sharded", "1 MB"), ("transposed", 1500), ("v2", "1 MB")]
)
@given(data=st.data())
def test_fields_are_staged(layout, memory, data):
    array, expected = created({}, layout)
    with array.write_session(memory=memory) as session:
        for _ in range(data.draw(st.integers(1, 8), label="writes")):
            assigned(session, expected, data)
            if data.draw(st.integers(0, 5), label="flush") == 0:
                session.flush()
                np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(array[...], expected)


def test_other_indices_take_fields():
    array, expected = created({}, "sharded")
    array["id", [9, 0, 9], [1, 2, 3]] = [1, 2, 3]
    expected["id"][[9, 0, 9], [1, 2, 3]] = [1, 2, 3]
    array.oindex["flux", [3, 1], [0, 5]] = [[1, 2], [3, 4]]
    expected["flux"][np.ix_([3, 1], [0, 5])] = [[1, 2], [3, 4]]
    array.vindex[["pair", "id"], [10, 4], [6, 6]] = [((1, 2), 3), ((4, 5), 6)]
    expected["pair"][[10, 4], [6, 6]], expected["id"][[10, 4], [6, 6]] = [(1, 2), (4, 5)], [3, 6]
    array.blocks["name", 0, 1] = "ab"
    expected["name"][:8, 6:] = "ab"
    array["flux", expected["id"] > 1] = 0.5
    expected["flux"][expected["id"] > 1] = 0.5
    array["id"] = np.arange(7)[::-1]
    expected["id"] = np.arange(7)[::-1]
    array[["flux", "id"], 4] = (9.5, 3)
    expected["flux"][4], expected["id"][4] = 9.5, 3
    array["name", 3, 3] = b"x"
    expected["name"][3, 3] = b"x"
    np.testing.assert_array_equal(array[...], expected)


def test_peers_read_fields(tmp_path):
    dtype = np.dtype([("id", ">i4"), ("flux", "f4"), ("name", ">U2")])
    theirs = zarr.create_array(tmp_path, shape=(11, 7), chunks=(4, 3), dtype=dtype, zarr_format=2)
    expected = counting((11, 7), dtype, 5)
    theirs[...] = expected
    array = tegula.open_array(tmp_path)
    array["flux", 2:9] = np.arange(7)
    expected["flux"][2:9] = np.arange(7)
    array[["name", "id"], ::3, 1] = [("é", k) for k in range(1, 5)]
    expected["name"][::3, 1], expected["id"][::3, 1] = "é", range(1, 5)
    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[...], expected)


def test_elements_that_were_never_stored_have_the_fill_value():
    array, _ = created({}, "zstd")
    array["id", 1, 1] = 5
    assert array[1, 1] == np.array((5, 2.5, b"no", (3, 4)), PLAIN)
    assert array[1, 2] == FILL
    array["id", 1, 1] = -1
    assert not array.chunk_exists((0, 0))


def test_threads_that_write_fields_lose_nothing():
    names = [f"f{k}" for k in range(8)]
    array = tegula.create_array({}, shape=(64,), chunks=(64,), dtype=[(name, "i4") for name in names])

    def work(name):
        for k in range(64):
            array[name, k] = k + 1

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        np.testing.assert_array_equal(array[name], np.arange(1, 65))


def test_processes_that_write_fields_lose_nothing(tmp_path):
    tegula.create_array(tmp_path, shape=(50,), chunks=(50,), dtype=[("a", "i4"), ("b", "i4")])
    code = "import sys, tegula\na = tegula.open_array(sys.argv[1])\nfor k in range(50): a[sys.argv[2], k] = k + 1"
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    array = tegula.open_array(tmp_path)
    for name in "ab":
        np.testing.assert_array_equal(array[name], np.arange(1, 51))


def test_fields_are_parts_even_of_whole_chunks():
    array = tegula.create_array(Shared(), shape=(6,), chunks=(3,), dtype=PLAIN)
    array[...] = FILL
    with pytest.raises(tegula.UnsupportedError, match=r"unlocked_writes"):
        array["id"] = 3
    array.with_options(unlocked_writes=True)["id"] = 3
    assert (array["id"] == 3).all()
    assert (array["flux"] == 2.5).all()


@pytest.mark.parametrize("session", [False, True])
def test_invalid_fields_are_errors(session):
    array, expected = created({}, "plain")
    with array.write_session() as opened:
        target = opened if session else array
        for key, message in [
            ("nope", "unknown field 'nope'; the fields are 'id', 'flux', 'name', 'pair'"),
            ((["id", "x"], 0), "unknown field 'x'"),
            (["id", "id"], "'id' is named twice"),
            (("id", 11), "index 11 is out of bounds"),
        ]:
            with pytest.raises(tegula.InvalidSelectionError, match=message):
                target[key] = 0
            with pytest.raises(tegula.InvalidSelectionError, match=message):
                array[key]
        with pytest.raises(ValueError, match="broadcast"):
            target["id", 0] = [1, 2, 3]
        with pytest.raises(ValueError, match="invalid literal"):
            target["id"] = "text"
    np.testing.assert_array_equal(array[...], expected)
    with pytest.raises(tegula.InvalidSelectionError):
        tegula.create_array({}, shape=(2,), dtype="int8")["id"] = 1
