"""Masks of arrays in ASDF files: every way to read an array carries the mask, or says that it cannot."""

import asyncio
import pickle

import numpy as np
import pytest

import tegula
import tegula.asdf

DATA = np.arange(24.0).reshape(4, 6)
WHERE = DATA % 5 == 0
RECORDS = np.array([(1, 2.5), (3, 4.5), (5, 6.5)], [("a", "<i4"), ("b", "<f8")])


@pytest.fixture(params=["mapped", "read", "compressed", "row", "cached"])
def array(request, tmp_path):
    """Masked arrays whose elements and masks are stored in several ways."""
    path, where, kind = tmp_path / "a.asdf", WHERE, request.param
    options = {"compressed": {"all_array_compression": "lz4"}}.get(kind, {})
    file = tegula.AsdfFile({"a": np.ma.array(DATA, mask=where), "mask": where})
    file.write_to(path, **options)
    if kind == "row":
        head = "#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"
        node = "{source: 0, datatype: float64, byteorder: little, shape: [4, 6], mask: !core/ndarray-1.1.0 %s}"
        tree = head + f"a: !core/ndarray-1.1.0 {node % '[0, 1, 0, 0, 1, 0]'}\n...\n"
        tegula.AsdfFile({"a": DATA}).write_to(path)
        path.write_bytes(tree.encode() + path.read_bytes()[path.read_bytes().index(b"\xd3BLK") :])
        where = np.broadcast_to(np.array([0, 1, 0, 0, 1, 0], bool), DATA.shape)
    found = tegula.asdf.open(path, memmap=kind != "read")["a"]
    if kind == "cached":
        found = found.with_cache("1 MB")
    assert isinstance(found, tegula.asdf.AsdfArray)
    return found, np.ma.array(DATA, mask=where)


def same(found, expected):
    assert isinstance(found, np.ma.MaskedArray)
    np.testing.assert_array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(expected))
    np.testing.assert_array_equal(found.compressed(), expected.compressed())


KEYS = [..., np.s_[1:3, ::2], np.s_[::-1, 2], [2, 0], np.s_[[True, False, True, False], 1:], np.s_[1, [4, 0, 3]]]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing(array, key):
    found, expected = array
    same(found[key], expected[key])


def test_other_indices(array):
    found, expected = array
    same(found.oindex[[3, 0], [1, 5, 0]], expected[np.ix_([3, 0], [1, 5, 0])])
    same(found.vindex[[3, 0, 1], [1, 5, 0]], expected[[3, 0, 1], [1, 5, 0]])
    same(found.blocks[0, 0], expected)
    for index in ((0, 0), (1, 1), (0, 4)):
        one = expected[index]
        assert found[index] is one if one is np.ma.masked else found[index] == one


CHUNKS = {
    "retrieve_array_subset": (([(1, 3), (2, 6)],), np.s_[1:3, 2:6]),
    "retrieve_chunk": (((0, 0),), ...),
    "retrieve_chunk_if_exists": (((0, 0),), ...),
    "retrieve_chunks": (([(0, 1), (0, 1)],), ...),
    "retrieve_chunk_subset": (((0, 0), [(1, 4), (0, 5)]), np.s_[1:4, :5]),
    "retrieve_inner_chunk": (((0, 0),), ...),
    "retrieve_inner_chunks": (([(0, 1), (0, 1)],), ...),
}


@pytest.mark.parametrize("verb", CHUNKS)
def test_retrieve(array, verb):
    found, expected = array
    arguments, key = CHUNKS[verb]
    expected = expected[key]
    same(getattr(found, verb)(*arguments), expected)
    same(asyncio.run(getattr(found, f"async_{verb}")(*arguments)), expected)
    if verb == "retrieve_chunk_if_exists":
        return
    out = np.ma.zeros(expected.shape)
    assert getattr(found, verb)(*arguments, out=out) is out
    same(out, expected)
    with pytest.raises(tegula.InvalidSelectionError, match="without_mask"):
        getattr(found, verb)(*arguments, np.empty(expected.shape))


def test_retrieve_many_subsets(array):
    found, expected = array
    starts = [(0, 0), (2, 3)]
    regions = np.ma.stack([expected[i : i + 2, j : j + 3] for i, j in starts])
    same(found.retrieve_array_subsets(starts, (2, 3)), regions)
    same(asyncio.run(found.async_retrieve_array_subsets(starts, (2, 3))), regions)


def test_rows_and_chunks(array):
    found, expected = array
    for row, due in zip(found, expected, strict=True):
        same(row, due)
    (elements,) = found.map_chunks(lambda index, elements: elements)
    same(elements, expected)


def test_numpy(array):
    found, expected = array
    same(np.asanyarray(found), expected)
    same(np.ma.asarray(found), expected)
    same(np.asanyarray(found, dtype="f4"), expected)
    # NumPy's own rule for masked arrays.
    assert type(np.asarray(found)) is np.ndarray
    np.testing.assert_array_equal(np.asarray(found), DATA)


def test_handles_keep_the_mask(array):
    found, expected = array
    derived = [
        found.with_cache("1 MB"),
        found.with_options(validate_checksums=False),
        found.with_cache("1 MB").with_options(concurrent_target=1),
    ]
    for handle in (found, *derived):
        same(handle[1:], expected[1:])
        twin = pickle.loads(pickle.dumps(handle))
        same(twin[1:], expected[1:])
        assert twin.options.validate_checksums is handle.options.validate_checksums
        assert (twin.cache is None) is (handle.cache is None)


def test_without_mask(array, tmp_path):
    found, expected = array
    bare = found.without_mask()
    for handle in (bare, pickle.loads(pickle.dumps(bare)), bare.with_cache(None)):
        assert handle.mask is None
        assert not isinstance(handle[...], np.ma.MaskedArray)
        np.testing.assert_array_equal(handle.retrieve_chunk((0, 0)), DATA)
    np.testing.assert_array_equal(bare.partial_decoder((0, 0)).partial_decode([[(0, 1), (0, 6)]])[0], DATA[:1])
    same(found[...], expected)
    tegula.AsdfFile({"a": bare, "m": found}).write_to(tmp_path / "b.asdf")
    with tegula.asdf.open(tmp_path / "b.asdf") as file:
        assert not isinstance(file["a"][...], np.ma.MaskedArray)
        same(file["m"][...], expected)


def test_what_cannot_carry_a_mask(array, tmp_path):
    found, _ = array
    path = f"{found.file.uri}#a"
    target = tegula.create_array({}, shape=DATA.shape, dtype="f8")
    for copy in (
        lambda: tegula.copy(found, {}),
        lambda: tegula.copy(path, {}),
        lambda: tegula.rechunk(found, {}, chunks=2),
        lambda: tegula.save({}, found),
        lambda: tegula.save({}, {"a": found}),
        lambda: tegula.create_array({}, data=found),
        lambda: tegula.asdf.chunked(found),
        lambda: found.copy_to(target),
        lambda: found.partial_decoder((0, 0)),
    ):
        with pytest.raises(tegula.UnsupportedError, match="mask"):
            copy()
    assert isinstance(tegula.load(path), np.ma.MaskedArray)
    copied = tegula.copy(found.without_mask(), tmp_path / "elements.zarr")
    np.testing.assert_array_equal(copied[...], DATA)
    with pytest.raises(tegula.UnsupportedError, match="mask"):
        tegula.save({}, np.ma.array([1, 2], mask=[0, 1]))
    assert tegula.save({}, np.ma.array([1, 2]))[...].tolist() == [1, 2]


def test_copies_of_files_and_loaded_arrays(array, tmp_path):
    found, expected = array
    path = found.file.uri
    same(tegula.asdf.open(path, lazy_load=False)["a"], expected)
    for storage in ("internal", "inline", "external"):
        tegula.asdf.open(path).write_to(tmp_path / "c.asdf", all_array_storage=storage)
        same(tegula.asdf.open(tmp_path / "c.asdf")["a"][...], expected)


def with_mask(path, tree, mask):
    """Write a tree, and give the node of its first block a mask."""
    tegula.AsdfFile(tree).write_to(path)
    head, magic, blocks = path.read_bytes().partition(b"\xd3BLK")
    path.write_bytes(head.replace(b"source: 0\n", f"source: 0\n  mask: {mask}\n".encode(), 1) + magic + blocks)
    return path


@pytest.mark.parametrize("memmap", [True, False])
def test_fields(tmp_path, memmap):
    """A mask masks whole records, or, if it consists of records, their fields one by one."""
    whole = np.ma.array(RECORDS, mask=[(0, 0), (1, 1), (0, 0)])
    node = "!core/ndarray-1.1.0 {source: 1, datatype: bool8, byteorder: big, shape: [3]}"
    path = with_mask(tmp_path / "a.asdf", {"r": RECORDS, "where": np.array([False, True, False])}, node)
    parts = np.ma.array(RECORDS, mask=[(0, 1), (1, 1), (0, 0)])
    tegula.AsdfFile({"r": parts}).write_to(tmp_path / "b.asdf")
    for file, expected in ((path, whole), (tmp_path / "b.asdf", parts)):
        found = tegula.asdf.open(file, memmap=memmap)["r"]
        for key in (..., "a", ["a", "b"], np.s_[1:]):
            np.testing.assert_array_equal(np.ma.getmaskarray(found[key]), np.ma.getmaskarray(expected[key]))
        np.testing.assert_array_equal(np.ma.getmaskarray(found.retrieve_chunk(0)), expected.mask)
        np.testing.assert_array_equal(np.ma.getmaskarray(found.with_cache("1 MB")["b", 1:]), expected.mask["b"][1:])


def test_values_that_mask(tmp_path):
    for value, where in (("5.0", [False, True, False]), (".nan", [False, False, True])):
        path = with_mask(tmp_path / "a.asdf", {"a": np.array([1.0, 5.0, np.nan])}, value)
        array = tegula.asdf.open(path)["a"]
        for found in (array[...], array.retrieve_chunk(0), array.with_cache("1 MB")[...], np.asanyarray(array)):
            assert np.ma.getmaskarray(found).tolist() == where
        with pytest.raises(tegula.UnsupportedError, match="mask"):
            tegula.copy(array, {})
