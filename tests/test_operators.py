"""Stored arrays beside ndarrays: operators, universal functions, and the protocols of other libraries."""

import operator

import numpy as np
import pytest

import tegula

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
ARITHMETIC = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, divmod,
]  # fmt: skip
IN_PLACE = [
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, operator.ipow,
    operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift, operator.imatmul,
]  # fmt: skip
OTHERS = [2, np.int32(2), np.full((4, 6), 2), np.arange(1, 7), [1, 2, 3, 4, 5, 6]]


def elements():
    return np.arange(1, 25, dtype="i4").reshape(4, 6)


@pytest.fixture
def array():
    return tegula.create_array({}, data=elements(), chunks=(2, 3))


def same(found, expected):
    assert not isinstance(found, tegula.Array)
    np.testing.assert_equal(found, expected)
    assert np.asarray(found).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize("operation", COMPARISONS + ARITHMETIC)
def test_operators_are_those_of_numpy(array, operation):
    for other in OTHERS:
        same(operation(array, other), operation(elements(), other))
        same(operation(other, array), operation(other, elements()))
    same(operation(array, array), operation(elements(), elements()))


@pytest.mark.parametrize("operation", [operator.neg, operator.pos, operator.invert, abs])
def test_unary_operators(array, operation):
    same(operation(array), operation(elements()))


@pytest.mark.parametrize("operation", IN_PLACE)
def test_nothing_is_changed_in_place(array, operation):
    with pytest.raises(TypeError, match=r"array\[\.\.\.\] \+= 1"):
        operation(array, 2)
    assert (array == elements()).all()


def test_ndarrays_are_changed_in_place(array):
    found = np.zeros((4, 6), "i4")
    found += array
    same(found, elements())


def test_universal_functions(array):
    same(np.add.accumulate(array), np.add.accumulate(elements()))
    same(np.multiply.outer(array, [1, 2]), np.multiply.outer(elements(), [1, 2]))
    same(
        np.add(array, 1, where=elements() > 3, out=np.zeros((4, 6), "i4")), np.where(elements() > 3, elements() + 1, 0)
    )
    same(np.matmul(array, elements().T), elements() @ elements().T)
    for change in (lambda: np.add.at(array, 0, 1), lambda: np.negative(array, array)):
        with pytest.raises(TypeError, match="in place"):
            change()


def test_structured_elements_and_text_are_compared():
    records = np.array([(1, b"a"), (2, b"b")], [("n", "i4"), ("t", "S1")])
    array = tegula.create_array({}, data=records, zarr_format=2)
    same(array == records, [True, True])
    same(records[1] == array, [False, True])
    same(array != records[:1], [False, True])
    text = tegula.create_array({}, data=["a", "b"], dtype="string")
    same(text == "a", [True, False])
    same(np.array(["a", "a"]) != text, [False, True])
    same(text.with_string_dtype(object) == "a", [True, False])
    same(text == 5, [False, False])


def test_one_element_is_a_number(array):
    one = tegula.create_array({}, data=np.array([[3]]))
    scalar = tegula.create_array({}, data=np.array(3))
    assert (bool(one), bool(scalar), int(scalar), float(scalar), complex(scalar)) == (True, True, 3, 3.0, 3j + 3 - 3j)
    assert "abcd"[scalar] == "d"
    with pytest.raises(TypeError):
        int(array)
    for several in (array, tegula.create_array({}, shape=0, dtype="i4")):
        with pytest.raises(ValueError, match="is not None"):
            bool(several)


def test_identity(array):
    other = tegula.create_array({}, data=elements())
    assert {array: 1, other: 2}[other] == 2
    assert array in {array, other}
    assert 24 in array
    assert 25 not in array
    assert elements()[0] in array


def test_dlpack(array):
    same(np.from_dlpack(array), elements())
    same(np.from_dlpack(tegula.create_array({}, data=np.eye(3))), np.eye(3))
    with pytest.raises(BufferError, match="copy"):
        array.__dlpack__(copy=False)
    torch = pytest.importorskip("torch")
    same(torch.from_dlpack(array).numpy(), elements())


def test_pictures():
    image = pytest.importorskip("PIL.Image")
    for shape, dtype in [((4, 6), "u1"), ((4, 6), "f4"), ((4, 6, 3), "u1"), ((4, 6, 4), "u1"), ((4, 6), "i4")]:
        data = (np.arange(np.prod(shape)) % 200).reshape(shape).astype(dtype)
        same(np.asarray(image.fromarray(tegula.create_array({}, data=data))), data)
    with pytest.raises(TypeError):
        image.fromarray(tegula.create_array({}, data=np.zeros((2, 2), "c16")))
    array = tegula.create_array({}, data=np.arange(24.0).reshape(4, 6))
    assert not hasattr(array, "__array_interface__")
    transform = pytest.importorskip("skimage.transform")
    same(transform.resize(array, (2, 3)), transform.resize(array[...], (2, 3)))
    filters = pytest.importorskip("skimage.filters")
    same(filters.gaussian(array), filters.gaussian(array[...]))


def test_other_libraries(array):
    pandas = pytest.importorskip("pandas")
    assert (pandas.DataFrame(np.asarray(array)).to_numpy() == array).all()
    xarray = pytest.importorskip("xarray")
    labelled = xarray.DataArray(elements(), dims=("y", "x"))
    assert (labelled == array).all()
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(elements(), chunks=2)
    same((array + lazy).compute(), 2 * elements())
    same((lazy + array).compute(), 2 * elements())
    masked = np.ma.array(elements(), mask=elements() > 5)
    assert (masked + array).count() == (array + masked).count() == 5
    same(dask.from_array(array, chunks=(2, 3)).sum().compute(), elements().sum())


def test_missing_attributes_are_attribute_errors(array):
    for name in ("sum", "T", "_private", "__cuda_array_interface__"):
        assert getattr(array, name, None) is None
    assert np.sum(array) == 300


def test_variable_elements_are_not_compared():
    elements = tegula.create_array({}, data=["a", "b"], dtype="string").retrieve_variable()
    for compare in (lambda: elements == "a", lambda: elements != [1]):
        with pytest.raises(TypeError, match="offsets"):
            compare()
