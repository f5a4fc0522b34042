import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tegula
from tegula import ArraySubset

RANGES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted), min_size=0, max_size=4)


def mask(subset, shape):
    """Return the subset computed by obvious code."""
    found = np.zeros(shape, bool)
    found[subset.to_slices()] = True
    return found


def test_constructors_agree():
    subset = ArraySubset.new_with_ranges([(1, 3), (5, 7)])
    assert subset == ArraySubset((1, 5), (2, 2))
    assert subset == ArraySubset.new_with_start_shape((1, 5), (2, 2))
    assert subset == ArraySubset.new_with_start_end_exc((1, 5), (3, 7))
    assert subset == ArraySubset.new_with_start_end_inc((1, 5), (2, 6))
    assert subset == ArraySubset.new_with_ranges((slice(1, 3), range(5, 7)))
    assert subset == ArraySubset(np.array([1, 5]), np.array([2, 2], "uint8"))
    assert ArraySubset.new_with_shape((2, 3)) == ArraySubset((0, 0), (2, 3))
    assert ArraySubset.new_empty(2) == ArraySubset((0, 0), (0, 0))
    assert ArraySubset(3, 4) == ArraySubset((3,), (4,))


def test_properties():
    subset = ArraySubset((1, 5), (2, 3))
    assert (subset.start, subset.shape, subset.end_exc, subset.end_inc) == ((1, 5), (2, 3), (3, 8), (2, 7))
    assert (subset.ndim, subset.num_elements, subset.is_empty()) == (2, 6, False)
    assert ArraySubset.new_empty(3).end_inc is None
    assert repr(subset) == "ArraySubset([1:3, 5:8])"
    assert subset.to_slices() == (slice(1, 3, 1), slice(5, 8, 1))
    assert ArraySubset((), ()).num_elements == 1


@given(RANGES)
def test_indices_are_those_of_ndindex(ranges):
    ranges = [(start, min(stop, start + 4)) for start, stop in ranges]
    subset = ArraySubset.new_with_ranges(ranges)
    expected = [
        tuple(start + i for start, i in zip(subset.start, index, strict=True)) for index in np.ndindex(subset.shape)
    ]
    indices = subset.indices()
    assert len(indices) == len(expected)
    assert list(indices) == expected
    assert list(indices) == []
    assert all(index in subset and subset.contains(index) for index in expected)


@given(
    st.integers(0, 3).flatmap(
        lambda n: st.tuples(*[st.lists(RANGES.filter(len).map(lambda r: r[0]), min_size=n, max_size=n)] * 2)
    )
)
def test_regions_overlap_as_masks_do(pair):
    one, other = map(ArraySubset.new_with_ranges, pair)
    shape = (24,) * one.ndim
    assert (mask(one.overlap(other), shape) == (mask(one, shape) & mask(other, shape))).all()
    bounded = one.bound((7,) * one.ndim)
    assert (mask(bounded, shape) == (mask(one, shape) & mask(ArraySubset.new_with_shape((7,) * one.ndim), shape))).all()
    if not one.is_empty():
        assert one.inbounds(other) == bool((mask(one, shape) <= mask(other, shape)).all())
    assert one.relative_to(one.start) == ArraySubset.new_with_shape(one.shape)
    assert one.inbounds(shape)


def test_equality_hash_and_pickle():
    subset = ArraySubset((1, 5), (2, 3))
    for other in (pickle.loads(pickle.dumps(subset)), copy.deepcopy(subset), ArraySubset([1, 5], [2, 3])):
        assert other == subset
        assert hash(other) == hash(subset)
    assert subset != ArraySubset((1, 5), (2, 4))
    assert subset != ((1, 5), (2, 3))
    assert len({subset, ArraySubset((1, 5), (2, 3))}) == 1


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: ArraySubset((1,), (2, 3)), tegula.InvalidSelectionError),
        (lambda: ArraySubset((-1,), (2,)), tegula.InvalidSelectionError),
        (lambda: ArraySubset((2**64 - 1,), (2,)), tegula.InvalidSelectionError),
        (lambda: ArraySubset.new_with_start_end_exc((3,), (2,)), tegula.InvalidSelectionError),
        (lambda: ArraySubset((1,), (1,)).relative_to((2,)), tegula.InvalidSelectionError),
        (lambda: ArraySubset((1,), (1,)).overlap(ArraySubset((1, 1), (1, 1))), tegula.InvalidSelectionError),
        (lambda: ArraySubset.new_with_ranges([slice(0, 4, 2)]), tegula.InvalidSelectionError),
        (lambda: ArraySubset((1.5,), (1,)), TypeError),
        (lambda: ArraySubset("1", (1,)), TypeError),
        (lambda: ArraySubset.new_with_ranges([(1, 2, 3)]), TypeError),
        (lambda: ArraySubset.new_with_ranges([2, 4]), TypeError),
        (lambda: ArraySubset.new_with_ranges("ab"), TypeError),
    ],
)
def test_wrong_regions_are_errors(make, error):
    with pytest.raises(error):
        make()
