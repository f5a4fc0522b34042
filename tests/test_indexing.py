import numpy as np
import pytest
from conftest import LAYOUTS
from hypothesis import given
from hypothesis import strategies as st

import tegula
from tegula._array.selection import parse

EVERY = [(writer, layout) for writer in ("ours", "theirs") for layout in LAYOUTS]


@st.composite
def indices(draw, shape):
    """Draw a valid index for a shape."""
    number = st.none() | st.integers(-30, 30)
    key = [
        draw(
            st.integers(-length, length - 1)
            | st.builds(slice, number, number, st.none() | st.integers(-9, 9).filter(bool))
        )
        for length in shape[: draw(st.integers(0, len(shape)))]
    ]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(key)))
        # Indices after an ellipsis apply to the last axes.
        key = [*key[:at], ..., *[slice(None, None, -1)] * draw(st.integers(0, len(shape) - len(key)))]
    for _ in range(draw(st.integers(0, 2))):
        key.insert(draw(st.integers(0, len(key))), None)
    return key[0] if len(key) == 1 and draw(st.booleans()) else tuple(key)


def same(found, expected):
    """Check values, type, shape, and whether the result is a scalar."""
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(("writer", "layout"), EVERY)
@given(data=st.data())
def test_basic_indices_are_numpys(samples, writer, layout, data):
    sample = samples[writer, layout]
    key = data.draw(indices(sample.elements.shape))
    same(sample.array[key], sample.elements[key])


@given(data=st.data(), shape=st.lists(st.integers(0, 4), max_size=4).map(tuple))
def test_parsed_indices_select_what_numpy_selects(data, shape):
    item = st.one_of(
        st.integers(-6, 6),
        st.slices(5),
        st.none(),
        st.just(...),
        st.builds(slice, *[st.none() | st.integers(-9, 9)] * 2, st.none() | st.integers(-5, 5).filter(bool)),
    )
    key = tuple(data.draw(st.lists(item, max_size=6)))
    elements = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    try:
        expected = elements[key]
    except IndexError:
        with pytest.raises(tegula.InvalidSelectionError):
            parse(key, shape)
        return
    parsed = parse(key, shape)
    taken = elements
    for axis, (start, step, length) in enumerate(parsed.axes):
        taken = np.take(taken, [start + step * i for i in range(length)], axis)
    assert parsed.scalar == (not isinstance(expected, np.ndarray))
    assert taken.shape == (parsed.shape if parsed.inner is None else parsed.inner)
    np.testing.assert_array_equal(taken.reshape(parsed.shape), expected)
    assert parsed.shape == np.shape(expected)


def test_scalars_and_arrays_without_axes(samples):
    sample = samples["ours", "plain"]
    same(sample.array[3, 4], sample.elements[3, 4])
    same(sample.array[3, 4, ...], sample.elements[3, 4, ...])
    same(sample.array[np.int8(3), np.array(4)], sample.elements[3, 4])
    scalar = samples["ours", "scalar"]
    same(scalar.array[()], scalar.elements[()])
    same(scalar.array[...], scalar.elements[...])
    same(scalar.array[None], scalar.elements[None])


def test_results_own_their_elements(samples):
    array = samples["ours", "plain"].array
    for key in (np.s_[...], np.s_[1], np.s_[:, None, 2:4], np.s_[::-2]):
        assert array[key].flags.owndata
        assert array[key].flags.writeable


@pytest.mark.parametrize(
    "key", [17, -18, (0, 23), (0, 0, 0), (0, ..., 0, 0), (..., ...), 1.0, "name", (slice(None), "x")]
)
def test_invalid_indices_are_errors(samples, key):
    array = samples["ours", "plain"].array
    with pytest.raises(tegula.InvalidSelectionError) as raised:
        array[key]
    assert isinstance(raised.value, IndexError)


def test_slice_bounds_follow_numpy(samples):
    sample = samples["ours", "plain"]
    for key in (
        slice(np.int64(1), np.uint8(9)),
        slice(-100, 100),
        slice(5, 2),
        slice(None, None, -100),
        slice(None, None, 10**30),
    ):
        same(sample.array[key], sample.elements[key])
    with pytest.raises(TypeError):
        sample.array[1.0:2.0]
    with pytest.raises(ValueError, match="zero"):
        sample.array[::0]


def test_numpy_accepts_arrays(sample):
    array, elements = sample.array, sample.elements
    same(np.asarray(array), elements)
    same(
        np.asarray(array, "float16" if array.dtype.kind != "c" else "complex128"),
        elements.astype("float16" if array.dtype.kind != "c" else "complex128"),
    )
    same(np.array(array, copy=True), elements)
    same(array + np.ones((), array.dtype), elements + np.ones((), array.dtype))
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="copy"):
            np.asarray(array, copy=False)


def test_length_and_iteration(sample):
    array, elements = sample.array, sample.elements
    if not elements.shape:
        for use in (len, iter):
            with pytest.raises(TypeError):
                use(array)
        return
    assert len(array) == len(elements)
    rows = list(array)
    assert len(rows) == len(elements)
    for row, expected in zip(rows, elements, strict=True):
        same(row, expected)


def test_iteration_reads_each_chunk_once(samples):
    array = samples["ours", "zstd"].array.with_cache(1 << 20)
    for _ in array:
        pass
    info = array.cache_info()
    assert (info.hits, info.misses) == (0, info.misses)
    assert info.misses <= 16


def test_iteration_over_large_rows_is_cut(monkeypatch, samples):
    sample = samples["ours", "sharded"]
    monkeypatch.setattr("tegula._array.array.ITERATION_BYTES", 5 * 23 * 4)
    for row, expected in zip(sample.array, sample.elements, strict=True):
        same(row, expected)


def test_assignment_is_numpys(tmp_path):
    array = tegula.create_array(tmp_path / "a", shape=(6, 8), chunks=(2, 4), dtype="int16", fill_value=-1)
    expected = np.full((6, 8), -1, "int16")
    for key, value in [
        (np.s_[...], np.arange(48).reshape(6, 8)),
        (np.s_[2:4], 7),
        (np.s_[:, 4:], np.arange(4)),
        (np.s_[2:6, :4], np.arange(4, dtype="float64")[:, None]),
        (np.s_[::-1], np.arange(48).reshape(6, 8)),
        (np.s_[:2, ::-1], np.arange(8)),
        (np.s_[None, :2], np.arange(16).reshape(1, 2, 8)),
        (np.s_[4:100, -4:], -1),
        (np.s_[3:3], 5),
        (np.s_[2:4, 0:4], np.arange(4).reshape(1, 1, 1, 4)),
        (np.s_[0:2, 4:8], [[1.7] * 4] * 2),
    ]:
        array[key] = value
        expected[key] = value
        np.testing.assert_array_equal(array[...], expected)
    assert array.retrieve_chunk_if_exists((2, 1)) is None
    for wrong in (np.arange(3), np.zeros((2, 6, 8))):
        with pytest.raises(ValueError, match=r"broadcast|more dimensions"):
            array[...] = wrong
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(OverflowError):
            array[...] = 70000
    with pytest.raises(tegula.InvalidSelectionError):
        array[6] = 0
    np.testing.assert_array_equal(array[...], expected)
