"""Indexing with arrays, lists and masks, checked against NumPy and zarr-python."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tegula

SHAPE = (5, 6, 4)
LAYOUTS = {
    "plain": {"chunks": (2, 3, 2), "compressors": None, "dtype": "int32"},
    "one chunk": {"chunks": SHAPE, "compressors": None, "dtype": "int8"},
    "sharded": {"chunks": (2, 3, 2), "shards": (4, 6, 4), "dtype": "float64"},
    "transposed": {
        "chunks": (3, 2, 3),
        "filters": {"name": "transpose", "configuration": {"order": [2, 0, 1]}},
        "dtype": "uint16",
    },
    "text": {"chunks": (2, 3, 2), "dtype": "string"},
    "fields": {"chunks": (2, 3, 2), "dtype": [("a", "int16"), ("b", "float32")]},
}


def content(dtype) -> np.ndarray:
    numbers = np.arange(1, 1 + np.prod(SHAPE)).reshape(SHAPE)
    if dtype.names:
        elements = np.empty(SHAPE, dtype)
        for name in dtype.names:
            elements[name] = numbers
        return elements
    return numbers.astype(str).astype(dtype) if dtype.kind in "TO" else numbers.astype(dtype)


@pytest.fixture(scope="module", params=LAYOUTS)
def made(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("fancy") / "a"
    wanted = LAYOUTS[request.param]
    if request.param == "fields":
        wanted = {**wanted, "zarr_format": 2}
    array = tegula.create_array(path, shape=SHAPE, **wanted)
    elements = content(array.dtype)
    array[...] = elements
    return array, elements


@st.composite
def keys(draw):
    """Draw indices, most of them valid."""
    key = []
    axis = 0
    for _ in range(draw(st.integers(1, 4))):
        length = SHAPE[min(axis, 2)]
        position = st.integers(-length, length - 1)
        count = draw(st.sampled_from([0, 1, 2, 3, 7]))
        shapes = st.sampled_from([(count,), (1,), (), (2, 1), (2, count), (1, count)])
        masks = st.sampled_from([SHAPE[axis : axis + 1], SHAPE[axis : axis + 2]])
        item = draw(
            st.one_of(
                st.integers(-length, length),
                st.slices(length),
                st.lists(position, min_size=count, max_size=count),
                hnp.arrays(np.int64, shapes, elements=position),
                hnp.arrays(bool, masks),
                st.just(np.ones(length, bool)),
                st.sampled_from([None, ..., True, False]),
            )
        )
        key.append(item)
        if item is not None and item is not ... and not isinstance(item, bool):
            axis += item.ndim if getattr(item, "dtype", None) == np.dtype(bool) else 1
    return tuple(key)


def same(found, expected):
    assert type(found) is type(expected)
    assert (found.dtype == expected.dtype) if hasattr(expected, "dtype") else True
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_array_equal(found, expected)


@given(key=keys())
@example(key=(slice(None), [0], ..., [1]))
@example(key=(5, []))
@example(key=([9], []))
@example(key=np.ix_([4, 0, 4], [1, 2], [3, 0]))
def test_fancy_indices_are_numpys(made, key):
    array, elements = made
    try:
        expected = elements[key]
    except IndexError:
        with pytest.raises(tegula.InvalidSelectionError):
            array[key]
        with pytest.raises(tegula.InvalidSelectionError):
            array[key] = elements[0, 0, 0]
        return
    same(array[key], expected)
    # Assign in reverse order. For repeated positions, the last assignment wins.
    values = elements.reshape(-1)[::-1][: np.size(expected)]
    if np.size(expected) > values.size:
        values = np.resize(values, np.size(expected))
    values = values.reshape(np.shape(expected))
    changed = elements.copy()
    changed[key] = values
    try:
        array[key] = values
        same(array[...], changed)
    finally:
        array[...] = elements


@given(data=st.data())
def test_orthogonal_indices_select_per_axis(made, data):
    array, elements = made
    key, places, expected = [], [], elements
    for axis, length in enumerate(SHAPE):
        position = st.integers(-length, length - 1)
        item = data.draw(
            st.one_of(st.lists(position, max_size=6), st.slices(length), hnp.arrays(bool, length), st.integers(0, 3))
        )
        key.append(item)
        places.append(np.atleast_1d(np.arange(length)[np.array(item, int) if isinstance(item, list) else item]))
        expected = np.take(expected, places[-1], axis)
    dropped = tuple(axis for axis, item in enumerate(key) if isinstance(item, int))
    shape = tuple(length for axis, length in enumerate(expected.shape) if axis not in dropped)
    found = array.oindex[tuple(key)]
    assert np.shape(found) == shape
    np.testing.assert_array_equal(np.reshape(found, expected.shape), expected)
    values = elements.reshape(-1)[: expected.size]
    values = np.resize(values, expected.size).reshape(expected.shape)
    changed = elements.copy()
    changed[np.ix_(*places)] = values
    try:
        array.oindex[tuple(key)] = values.reshape(shape)
        same(array[...], changed)
    finally:
        array[...] = elements


def test_vectorized_indices_come_first(made):
    array, elements = made
    same(array.vindex[[0, 4], [1, 1], [3, 0]], elements[[0, 4], [1, 1], [3, 0]])
    same(array.vindex[:, [1, 0], [3, 2]], np.moveaxis(elements[:, [1, 0], [3, 2]], 1, 0))
    same(array.vindex[..., [1, 0]], np.moveaxis(elements[..., [1, 0]], -1, 0))
    same(array.vindex[1, 2, 3], elements[1, 2, 3])
    mask = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 7 == 0
    same(array.vindex[mask], elements[mask])
    array.vindex[mask] = elements[0, 0, 0]
    try:
        changed = elements.copy()
        changed[mask] = elements[0, 0, 0]
        same(array[...], changed)
    finally:
        array[...] = elements


def test_blocks_are_chunks(made):
    array, elements = made
    rows, columns, planes = array.shards or array.chunks
    same(array.blocks[0], elements[:rows])
    same(array.blocks[-1, 0], elements[rows * ((5 - 1) // rows) :, :columns])
    same(array.blocks[..., 0], elements[..., :planes])
    same(array.blocks[0:0], elements[0:0])
    try:
        array.blocks[0, 0, 0] = elements[-1, -1, -1]
        changed = elements.copy()
        changed[:rows, :columns, :planes] = elements[-1, -1, -1]
        same(array[...], changed)
    finally:
        array[...] = elements
    for wrong in (9, [0], (0, None), (0, 0, 0, 0)):
        with pytest.raises(tegula.InvalidSelectionError):
            array.blocks[wrong]
    if 2 * rows < len(array):
        with pytest.raises(tegula.InvalidSelectionError, match="step"):
            array.blocks[::2]


@pytest.mark.parametrize("made", ["fields"], indirect=True)
def test_fields_of_listed_elements(made):
    array, elements = made
    same(array["b", [1, 0], 2], elements["b"][[1, 0], 2])
    same(array.oindex["a", 1], elements["a"][1])
    same(array.oindex["a", [4, 0], [1, 1]], elements["a"][np.ix_([4, 0], [1, 1])])


def test_invalid_indices_are_errors(made):
    array, _ = made
    for key, message in [
        ([5], "index 5 is out of bounds for axis 0 with size 5"),
        ((0, [-7, 2]), "index -7 is out of bounds for axis 1 with size 6"),
        (([0, 1], [0, 1, 2]), "could not be broadcast"),
        ([0.5], "integer"),
        (np.ones(4, bool), "boolean index did not match indexed array along axis 0"),
        (np.ones((5, 6, 4, 1), bool), "too many indices"),
        ([[0, 1], [2]], "index"),
    ]:
        with pytest.raises(tegula.InvalidSelectionError, match=message) as raised:
            array[key]
        assert isinstance(raised.value, IndexError)
    for wrong in ([[0, 1]], (0, 0, 0, [0]), np.ones((5, 6), bool), 0.5):
        with pytest.raises(tegula.InvalidSelectionError):
            array.oindex[wrong]


def test_a_scalar_takes_masks():
    array = tegula.create_array(tegula.MemoryStore(), shape=(), dtype="int32", fill_value=7)
    element = np.array(7, "int32")
    for key in (True, False, np.array(True), (..., True), (None, True)):
        same(array[key], element[key])
    array[True] = 8
    array[False] = 9
    assert array[()] == 8
    with pytest.raises(tegula.InvalidSelectionError):
        array[[0]]


def test_lists_select_variable_elements():
    array = tegula.create_array(tegula.MemoryStore(), shape=(4, 3), chunks=(2, 2), dtype="string", fill_value="none")
    array[1:3] = [["a", "", "long"], ["é", "b", "c"]]
    found = array.retrieve_variable((slice(None), [2, 0]))
    assert found.shape == (4, 2)
    assert list(array[[2, 1, 0], [0, 2, 0]]) == ["é", "long", "none"]
    assert array.with_string_dtype(object)[[2, 1]].tolist() == [["é", "b", "c"], ["a", "", "long"]]


def test_explained_points_touch_their_chunks(made):
    array, _ = made
    explained = array.explain(([0, 0, 0], [0, 0, 0], [0, 1, 0]))
    assert explained.chunks == 1
    assert explained.bytes_wanted == 3 * array.dtype.itemsize


@pytest.mark.parametrize("shards", [None, (4, 6)])
def test_zarr_python_selects_and_reads_the_same(tmp_path, shards):
    zarr = pytest.importorskip("zarr")
    ours = tegula.create_array(tmp_path / "a", shape=(9, 11), chunks=(2, 3), shards=shards, dtype="int32")
    ours[...] = np.arange(99).reshape(9, 11)
    theirs = zarr.open_array(tmp_path / "a")
    mask = np.arange(99).reshape(9, 11) % 5 == 0
    for kind, key in [
        ("oindex", ([8, 0, 3], [1, 10])),
        ("oindex", (slice(2, 9, 3), [4, 4, 0])),
        ("oindex", (2, np.arange(11) % 2 == 0)),
        ("vindex", ([8, 0, 3], [1, 10, 1])),
        ("vindex", ([[8], [0]], [[1, 10, 1]])),
        ("vindex", mask),
        ("blocks", 1),
        ("blocks", (slice(0, 2), -1)),
    ]:
        found = getattr(ours, kind)[key]
        np.testing.assert_array_equal(found, getattr(theirs, kind)[key], strict=True)
        getattr(ours, kind)[key] = found + 1000
        np.testing.assert_array_equal(getattr(theirs, kind)[key], found + 1000)
        # zarr-python cannot write all of these to shards.
        getattr(ours if shards else theirs, kind)[key] = found
        np.testing.assert_array_equal(ours[...], np.arange(99).reshape(9, 11))
