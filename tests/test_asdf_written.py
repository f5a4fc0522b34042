"""What an ASDF file holds is what was written to it, for us and, where it can read it, for the asdf library."""

import collections
import datetime as dt
import io
import types

import numpy as np
import pytest

import tegula
import tegula.asdf

asdf = pytest.importorskip("asdf")

NESTED = np.dtype([("i", "<i4"), ("r", [("x", "<f4"), ("y", ">u2", (2,))]), ("s", "S3"), ("t", "<U4")])
ROWS = np.array([(1, (0.5, [1, 2]), b"a", "é"), (2, (1.5, [3, 4]), b"bc", ""), (3, (2.5, [5, 6]), b"", "long")], NESTED)
BASE = np.arange(24.0).reshape(4, 6)

ARRAYS = {
    "records": ROWS,
    "one record": ROWS[:1],
    "no records": ROWS[:0],
    "records in a grid": np.stack([ROWS, ROWS[::-1]]),
    "single record": ROWS[1],
    "point": np.array(5),
    "subarrays": np.array([([1, 2],), ([3, 4],)], [("c", "i2", (2,))]),
    "two subarrays": np.array([(1, [1, 2]), (2, [3, 4])], [("b", "i2"), ("c", ">i2", (2,))]),
    "large records": np.ones(3, [("id", "i4"), ("stamp", "f4", (200, 200))]),
    "long text": np.array(["x" * 40_000, "y"]),
    "long bytes": np.array([b"x" * 150_000, b""]),
    "empty text": np.array(["", ""]),
    "text of no length": np.empty(3, "V0").view([("s", "S0"), ("u", "U0")]),
    "empty field": np.zeros(3, [("a", "i4"), ("b", "f4", (0,)), ("c", "f4", (2, 0, 3))]),
    "only empty fields": np.zeros((2, 3), [("b", "f4", (0,))]),
    "no rows": np.empty((0, 3), ">f4"),
    "no columns": np.empty((3, 0), "U5"),
    "big-endian": np.arange(6, dtype=">i8").reshape(2, 3),
    "half": np.array([1, np.nan, np.inf, 1e-7], "f2"),
    "columns": np.asfortranarray(BASE),
    "back": BASE[::-2, ::3],
    "repeated": np.broadcast_to(BASE[0], (3, 6)),
    "field of records": np.stack([ROWS] * 2)["r"]["y"],
    "extremes": np.array([-(2**63), 2**63 - 1]),
    "unsigned": np.array([0, 2**64 - 1], "u8"),
    "complex": np.array([1 + 2j, complex(np.nan, -np.inf), -0.0], "c8"),
    "text that looks like numbers": np.array(["1", "null", "~", "yes", "1:30", "", " a "]),
}


def masked(array, mask):
    return np.ma.MaskedArray(array, mask=mask)


def every_other(shape):
    return (np.arange(int(np.prod(shape))) % 2 == 0).reshape(shape)


def masks_of_fields(array):
    mask = np.zeros(array.shape, np.ma.make_mask_descr(array.dtype))
    mask["i"][..., :1] = True
    mask["r"]["y"][..., 1:, 1] = True
    return masked(array, mask)


MASKED = {
    **{
        f"masked {name}": masked(array, every_other(array.shape))
        for name, array in ARRAYS.items()
        if array.dtype.names is None
    },
    **{f"masked {code}": masked(np.arange(4).astype(code), [0, 1, 0, 1]) for code in ("?", "i1", "<f4", ">u2", "c16")},
    "fields": masks_of_fields(ROWS),
    "fields in a grid": masks_of_fields(np.stack([ROWS, ROWS])),
    "whole records": masked(ROWS, [True, False, True]),
    "nan": masked([1.0, np.nan, np.nan], [0, 1, 0]),
    "nothing masked": masked([1, 2], [0, 0]),
    "no mask": np.ma.MaskedArray([1, 2]),
    "masked point": np.ma.MaskedArray(5, mask=True),
    "constant": np.ma.masked,
    "hard": np.ma.MaskedArray([1, 2], mask=[0, 1], hard_mask=True),
}


def same(found, expected):
    found = found[...] if not isinstance(found, np.ndarray) else found
    assert found.shape == expected.shape
    assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    if np.ma.isMaskedArray(expected) and expected.mask is not np.ma.nomask:
        np.testing.assert_array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(expected))
        if expected.dtype.names is None:
            found, expected = np.ma.asarray(found).compressed(), expected.compressed()
    np.testing.assert_array_equal(np.ma.getdata(found), np.ma.getdata(expected))


def data_of(tree, **options):
    buffer = io.BytesIO()
    tegula.AsdfFile(tree).write_to(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("storage", ["internal", "inline", "external"])
@pytest.mark.parametrize("name", [*ARRAYS, *MASKED])
def test_arrays(tmp_path, name, storage, compression):
    array = {**ARRAYS, **MASKED}[name]
    path = tmp_path / "a.asdf"
    tegula.AsdfFile({"a": array}).write_to(path, all_array_storage=storage, all_array_compression=compression)
    for options in ({}, {"memmap": False}, {"lazy_load": False}):
        with tegula.open_asdf(path, **options) as file:
            same(file["a"], array)
            file.info()
            assert file["a"].shape == array.shape
            file.write_to(tmp_path / "again.asdf")
        with tegula.open_asdf(tmp_path / "again.asdf") as file:
            same(file["a"], array)
    assert tegula.validate(path).ok
    if array.dtype.itemsize == 0 or (storage == "inline" and array.dtype.names is not None and array.size == 0):
        return  # the library has no such elements
    with asdf.open(path) as theirs:
        found = theirs["a"]
        same(found._make_array() if hasattr(found, "_make_array") else found, array)


@pytest.mark.parametrize("name", [name for name, array in ARRAYS.items() if array.ndim])
def test_streams(tmp_path, name):
    array = ARRAYS[name]
    if array.dtype.itemsize == 0 or 0 in array.shape[1:]:
        pytest.skip("a row has no bytes")
    tegula.AsdfFile({"a": array}).write_to(tmp_path / "a.asdf", all_array_storage="streamed")
    same(tegula.open_asdf(tmp_path / "a.asdf")["a"], array)
    with pytest.raises(tegula.UnsupportedError, match="mask"):
        tegula.AsdfFile({"a": np.ma.masked_equal([1, 2], 1)}).write_to(io.BytesIO(), all_array_storage="streamed")


def test_null_elements_are_masked():
    head = b"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"
    body = b"""a: !core/ndarray-1.1.0 [[1, null], [3, 4]]
b: !core/ndarray-1.1.0 {data: [1.5, null], mask: !core/ndarray-1.1.0 [1, 0]}
...
"""
    file = tegula.open_asdf(head + body)
    with asdf.open(io.BytesIO(head + body)) as theirs:
        same(file["a"], theirs["a"]._make_array().astype("i8"))
    assert np.ma.getmaskarray(file["b"]).tolist() == [True, True]
    again = tegula.open_asdf(data_of(file))
    same(again["a"], np.ma.MaskedArray([[1, 0], [3, 4]], mask=[[0, 1], [0, 0]]))
    assert np.ma.getmaskarray(again["b"][...]).tolist() == [True, True]


@pytest.mark.parametrize("converters", [None, "asdf"])
def test_objects_of_the_library(converters, tmp_path):
    text = {"name": "n", "version": "1"}
    tree = {
        "stream": asdf.Stream([3], np.dtype(">f4")),
        "software": asdf.tags.core.Software(text),
        "integer": asdf.IntegerType(2**70),
        "array": asdf.tags.core.NDArrayType([1, 2], None, None, None, None, None, None),
    }
    data = data_of(tree, converters=converters)
    file = tegula.open_asdf(data)
    assert (file["stream"].shape, file["stream"].dtype, file["integer"]) == ((0, 3), np.dtype("f4"), 2**70)
    assert file["array"][...].tolist() == [1, 2]
    with asdf.open(io.BytesIO(data)) as theirs:
        assert type(theirs["software"]) is asdf.tags.core.Software
    (tmp_path / "s.asdf").write_bytes(data)
    with tegula.open_asdf(tmp_path / "s.asdf", mode="rw") as file:
        assert file.append("stream", [[1, 2, 3]]) == 1
    asdf.AsdfFile({"d": {"l": [1, {"a": np.arange(3)}]}}).write_to(tmp_path / "lazy.asdf")
    with asdf.open(tmp_path / "lazy.asdf", lazy_tree=True) as lazy:
        again = tegula.open_asdf(data_of({"d": lazy["d"], "all": lazy.tree}, converters=converters))
        assert again["d"]["l"][0] == again["all"]["d"]["l"][0] == 1
        assert again["d"]["l"][1]["a"][...].tolist() == [0, 1, 2]


def test_collections_of_others():
    tree = {
        "ordered": collections.OrderedDict(b=1, a=2),
        "proxy": types.MappingProxyType({"x": [1]}),
        "user": collections.UserDict({"y": collections.UserList([1, (2,)])}),
        "range": range(3),
        "deque": collections.deque("ab"),
    }
    file = tegula.open_asdf(data_of(tree))
    found = {key: file[key] for key in tree}
    assert found == {
        "ordered": {"b": 1, "a": 2},
        "proxy": {"x": [1]},
        "user": {"y": [1, [2]]},
        "range": [0, 1, 2],
        "deque": ["a", "b"],
    }


def test_what_has_no_node_is_refused():
    text = np.dtypes.StringDType
    for value in (
        np.array(["x", None], text(na_object=None)),
        np.array(["x", np.nan], text(na_object=np.nan)),
        np.array(["x", None], object),
        np.empty(3, []),
        np.arange(3, dtype="g"),
        np.datetime64("2020-01-01"),
        {2**70: 1},
        {1.5: 1},
        dt.time(1, 2),
        tegula.create_group({}),
    ):
        with pytest.raises(tegula.UnsupportedError):
            data_of({"a": value})


def test_dates():
    zone = dt.timezone(dt.timedelta(hours=5, minutes=53, seconds=28))
    when = dt.datetime(1900, 1, 2, 3, 4, 5, 6, zone)
    tree = {"d": dt.date(999, 1, 2), "t": when, "n": when.replace(tzinfo=None), "u": when.astimezone(dt.UTC)}
    file = tegula.open_asdf(data_of(tree))
    assert {key: file[key] for key in tree} == tree


def test_long_strings_are_shared():
    text = "x" * 100_000
    data = data_of({"a": [text] * 1000, "b": text, "c": "x" * 100_000})
    assert len(data) < 300_000
    file = tegula.open_asdf(data)
    assert file["a"] == [text] * 1000
    assert len(data_of(file)) < 300_000
    with asdf.open(io.BytesIO(data)) as theirs:
        assert theirs["a"][999] == theirs["b"] == text
