"""Attributes, shapes, modes, consolidated metadata, creating and deleting, checked with zarr-python."""

import copy
import json
import pickle
import threading
import warnings

import numpy as np
import pytest

import tegula

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


def their_open(path, **arguments):
    zarr = pytest.importorskip("zarr")
    return zarr.open(str(path), **arguments)


class Recorded(dict):
    """A mapping that records the keys that are set."""

    def __init__(self):
        super().__init__()
        self.written = []

    def __setitem__(self, key, value):
        self.written.append(key)
        super().__setitem__(key, value)


def document(path, zarr_format, *, group=False):
    name = "zarr.json" if zarr_format == 3 else ".zgroup" if group else ".zarray"
    return json.loads((path / name).read_text())


# Attributes.


@FORMATS
@pytest.mark.parametrize("kind", ["array", "group"])
def test_attributes_are_written_for_others(tmp_path, kind, zarr_format):
    if kind == "array":
        node = tegula.create_array(tmp_path, shape=(4,), dtype="int8", zarr_format=zarr_format, attributes={"a": 1})
    else:
        node = tegula.create_group(tmp_path, zarr_format=zarr_format, attributes={"a": 1})
    before = {**document(tmp_path, zarr_format, group=kind == "group"), "attributes": None}
    node.attrs["b"] = {"c": [1, 2.5, None, "ü"]}
    node.attrs.update({"d": True}, e=(1, 2))
    del node.attrs["a"]
    expected = {"b": {"c": [1, 2.5, None, "ü"]}, "d": True, "e": [1, 2]}
    assert node.attrs == expected == node.attrs.asdict()
    assert dict(their_open(tmp_path, mode="r").attrs) == expected
    assert tegula.open(tmp_path).attrs == expected
    assert {**document(tmp_path, zarr_format, group=kind == "group"), "attributes": None} == before
    assert pickle.loads(pickle.dumps(node)).attrs == expected
    assert pickle.loads(pickle.dumps(node.attrs)) == expected
    node.attrs.put({"z": 0})
    assert dict(their_open(tmp_path, mode="r").attrs) == {"z": 0} == node.attrs
    node.attrs.clear()
    assert not node.attrs
    assert not (tmp_path / ".zattrs").exists()
    assert dict(their_open(tmp_path, mode="r").attrs) == {}
    assert node.attrs.setdefault("y", 3) == 3 == node.attrs.pop("y")
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".tegula")] == []


@FORMATS
def test_attributes_of_others_stay(tmp_path, zarr_format):
    zarr = pytest.importorskip("zarr")
    theirs = zarr.create_array(str(tmp_path), shape=(4,), dtype="float64", zarr_format=zarr_format, fill_value=np.nan)
    theirs.attrs["theirs"] = [np.nan, -np.inf, "NaN"]
    ours = tegula.open_array(tmp_path)
    theirs.attrs["late"] = 1
    ours.attrs["ours"] = 2
    first, *others = ours.attrs["theirs"]
    assert np.isnan(first)
    assert others == [-np.inf, "NaN"]
    assert (ours.attrs["late"], ours.attrs["ours"]) == (1, 2)
    found = dict(their_open(tmp_path, mode="r").attrs)
    assert repr(found) == "{'theirs': [nan, -inf, 'NaN'], 'late': 1, 'ours': 2}"
    assert np.isnan(their_open(tmp_path, mode="r").fill_value)
    other = tegula.open_array(tmp_path)
    ours.attrs["more"] = 3
    assert "more" not in other.attrs
    other.attrs["most"] = 4
    assert {"more", "most"} <= set(other.attrs)


def test_unknown_metadata_members_stay(tmp_path):
    group = tegula.create_group(tmp_path, attributes={"a": 1})
    file = tmp_path / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "later": {"must_understand": False, "x": 1.50}}))
    group.attrs["b"] = 2
    assert json.loads(file.read_text())["later"] == {"must_understand": False, "x": 1.5}


def test_a_change_of_attributes_is_one_write():
    store = Recorded()
    array = tegula.create_array(store, "a", shape=(4,), dtype="int8")
    del store.written[:]
    array.attrs.update(a=1, b=2, c=3)
    array.attrs.update([("d", 4)])
    assert store.written == ["a/zarr.json"] * 2


def test_attributes_are_checked_before_they_are_stored():
    store = Recorded()
    array = tegula.create_array(store, shape=(4,), dtype="int8", attributes={"a": 1})
    del store.written[:]
    for value in (object(), {1: 2}, b"x"):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            array.attrs.update(b=1, c=value)
    with pytest.raises(TypeError):
        array.attrs[1] = 1
    with pytest.raises(KeyError):
        del array.attrs["no"]
    for name in ("no", 5):
        with pytest.raises(KeyError):
            array.attrs[name]
    assert (store.written, array.attrs) == ([], {"a": 1})
    array.attrs["a"] = None
    assert array.attrs["a"] is None
    assert repr(array.attrs) == "{'a': None}"


def test_attributes_of_deleted_nodes():
    for zarr_format in (2, 3):
        store = tegula.MemoryStore()
        array = tegula.create_array(store, "a", shape=(4,), dtype="int8", zarr_format=zarr_format)
        tegula.delete(store, "a")
        with pytest.raises(tegula.NotFoundError):
            array.attrs["a"] = 1
        assert not [key for key in store if key.startswith("a/")]


def test_threads_lose_no_attributes(tmp_path):
    tegula.create_group(tmp_path)

    def change(number):
        group = tegula.open_group(tmp_path)
        for step in range(10):
            group.attrs[f"{number} {step}"] = step

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tegula.open_group(tmp_path).attrs) == 40


def test_handles_with_options_keep_their_attributes(tmp_path):
    array = tegula.create_array(tmp_path, shape=(2,), dtype="string").with_string_dtype(object).with_cache("1 MB")
    array.attrs["a"] = 1
    array[...] = ["x", "y"]
    assert (array[...].dtype, array.attrs["a"], array[0]) == (np.dtype(object), 1, "x")
    assert array.cache_info().hits == 1
    assert pickle.loads(pickle.dumps(array)).attrs == {"a": 1}


# Modes.


def test_modes(tmp_path):
    with pytest.raises(tegula.NotFoundError):
        tegula.open(tmp_path)
    for mode in ("r", "r+"):
        with pytest.raises(tegula.NotFoundError):
            tegula.open(tmp_path, mode=mode)
    what = {"shape": (4,), "dtype": "int8"}
    assert isinstance(tegula.open(tmp_path, mode="a"), tegula.Group)
    assert isinstance(tegula.open(tmp_path, "x", mode="a", **what), tegula.Array)
    tegula.open_array(tmp_path, "x")[...] = 1
    assert tegula.open(tmp_path, "x", mode="a", **what)[0] == 1
    for mode in ("w-",):
        with pytest.raises(tegula.StoreError):
            tegula.open(tmp_path, "x", mode=mode, **what)
    assert tegula.open(tmp_path, "x", mode="w", **what)[0] == 0
    assert tegula.open_array(tmp_path, "y", mode="w-", data=np.arange(3)).shape == (3,)
    assert tegula.open_group(tmp_path, "g", mode="a", attributes={"a": 1}).attrs == {"a": 1}
    assert tegula.open_group(tmp_path, "g", mode="a", attributes={"a": 2}).attrs == {"a": 1}
    assert tegula.open_group(tmp_path, "g", mode="w", attributes={"a": 2}).attrs == {"a": 2}
    for call in (
        lambda: tegula.open_group(tmp_path, "g", mode="w-"),
        lambda: tegula.open_array(tmp_path, "g", mode="a", **what),
        lambda: tegula.open_group(tmp_path, "x", mode="a"),
    ):
        with pytest.raises(tegula.StoreError):
            call()
    with pytest.raises(TypeError):
        tegula.open_array(tmp_path, "z", mode="a")
    with pytest.raises(TypeError):
        tegula.open(tmp_path, "x", mode="r", **what)
    with pytest.raises(ValueError, match="the modes are r, "):
        tegula.open(tmp_path, "x", mode="rw")
    with pytest.raises(tegula.UnsupportedError):
        tegula.open(f"{tmp_path}/x.asdf#data", mode="a")
    assert sorted(their_open(tmp_path, mode="r")) == ["g", "x", "y"]


def test_read_only_nodes_cannot_be_written(tmp_path):
    root = tegula.create_group(tmp_path)
    root.create_array("x", data=np.arange(4))
    for opened in (
        tegula.open_array(tmp_path, "x", mode="r"),
        tegula.open(tmp_path, mode="r")["x"],
        tegula.open_group(tmp_path, mode="r")["x"],
        pickle.loads(pickle.dumps(tegula.open_group(tmp_path, mode="r")))["x"],
        pickle.loads(pickle.dumps(tegula.open_array(tmp_path, "x", mode="r"))),
    ):
        for write in (
            lambda array=opened: array.__setitem__(..., 1),
            lambda array=opened: array.store_chunk((0,), np.zeros(4, int)),
            lambda array=opened: array.erase_chunk((0,)),
            lambda array=opened: array.attrs.update(a=1),
            lambda array=opened: array.resize(2),
            lambda array=opened: array.append(np.zeros(4)),
            lambda array=opened: array.store.clear(),
            lambda array=opened: tegula.delete(array.store, "x"),
        ):
            with pytest.raises(tegula.UnsupportedError, match='opened with mode "r"'):
                write()
        assert opened[...].tolist() == [0, 1, 2, 3]
        assert opened.shape == (4,)
    group = tegula.open_group(tmp_path, mode="r")
    for write in (lambda: group.create_group("g"), lambda: group.__delitem__("x"), lambda: group.attrs.clear()):
        with pytest.raises(tegula.UnsupportedError, match='opened with mode "r"'):
            write()
    assert group.store == tegula.open_array(tmp_path, mode="r", path="x").store
    assert group.store != group.store.store == tegula.FilesystemStore(tmp_path)
    assert len({group.store, group.store.store}) == 2
    assert "mode" not in repr(group.store)


# Shapes.


@FORMATS
def test_resized_arrays_are_read_by_zarr_python(tmp_path, zarr_format):
    zarr = pytest.importorskip("zarr")
    elements = np.arange(1, 36, dtype="int16").reshape(5, 7)
    ours = tegula.create_array(tmp_path / "a", shape=(5, 7), dtype="int16", chunks=(2, 3), zarr_format=zarr_format)
    theirs = zarr.create_array(
        str(tmp_path / "b"), shape=(5, 7), dtype="int16", chunks=(2, 3), zarr_format=zarr_format, fill_value=0
    )
    ours[...] = theirs[...] = elements
    for shape in [(5, 9), (3, 4), (2, 3), (6, 6), (0, 6), (4, 0), (5, 5)]:
        old = tegula.open_array(tmp_path / "a")
        ours.resize(shape)
        theirs.resize(shape)
        assert (ours.shape, old.shape, tegula.open_array(tmp_path / "a").shape) == (shape, old.shape, shape)
        np.testing.assert_array_equal(ours[...], theirs[...])
        np.testing.assert_array_equal(their_open(tmp_path / "a", mode="r")[...], theirs[...])
        for one, other in (("a", "b"), ("b", "a")):
            stored = {file.name for file in (tmp_path / one).rglob("*") if file.is_file()} - {".zattrs"}
            assert stored == {file.name for file in (tmp_path / other).rglob("*") if file.is_file()} - {".zattrs"}


def test_copied_handles_are_independent():
    array = tegula.create_array({}, shape=(4,), dtype="int8", chunks=2)
    other = copy.copy(array)
    array.resize(6)
    array.attrs["a"] = 1
    assert (array.shape, other.shape, dict(other.attrs)) == ((6,), (4,), {})
    assert other.append([1, 2]) == (8,)
    assert other.attrs == {"a": 1}


def test_resize_keeps_what_others_wrote(tmp_path):
    array = tegula.create_array(tmp_path, shape=(4,), dtype="int8", chunks=2)
    tegula.open_array(tmp_path).attrs["a"] = 1
    array.resize(6)
    assert array.attrs == {"a": 1}
    for shape in [(4, 4), ()]:
        with pytest.raises(tegula.InvalidSelectionError):
            array.resize(shape)
    for shape in [(-1,), (1.5,)]:
        with pytest.raises((ValueError, TypeError, OverflowError, tegula.Error)):
            array.resize(shape)
    assert tegula.open_array(tmp_path).shape == (6,)


def test_listed_chunks_grow(tmp_path):
    array = tegula.create_array(tmp_path, shape=(5,), dtype="int8", chunks=2)
    file = tmp_path / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["chunk_grid"] = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[2, 3]]}}
    file.write_text(json.dumps(metadata))
    array = tegula.open_array(tmp_path)
    array[...] = np.arange(5)
    assert array.append([5, 6, 7, 8]) == (9,)
    assert array.chunk_subset((2,)).shape == (4,)
    assert tegula.open_array(tmp_path)[...].tolist() == list(range(9))


@FORMATS
def test_appended_elements_are_read_by_others(tmp_path, zarr_format):
    array = tegula.create_array(
        tmp_path, shape=(4, 6), dtype="int16", chunks=(2, 3), zarr_format=zarr_format, attributes={"a": 1}
    )
    array[...] = 1
    stale = tegula.open_array(tmp_path)
    assert array.append(np.full((2, 6), 2)) == array.shape == (6, 6)
    assert stale.append(np.full((3, 6), 3)) == (9, 6)
    assert array.append(np.full((9, 3), 4), axis=-1) == (9, 9)
    expected = np.ones((9, 9), "int16")
    expected[4:6], expected[6:], expected[:, 6:] = 2, 3, 4
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(their_open(tmp_path, mode="r")[...], expected)
    assert array.append(np.empty((0, 9))) == (9, 9)
    for data, axis in [(np.zeros((2, 5)), 0), (np.zeros(9), 0), (np.zeros((9, 9)), 2)]:
        with pytest.raises(tegula.InvalidSelectionError):
            array.append(data, axis)


def test_a_failed_append_leaves_the_array_as_it_was(tmp_path):
    class Failing(dict):
        def __setitem__(self, key, value):
            if key.endswith("c/3"):
                raise OSError("full")
            super().__setitem__(key, value)

    store = Failing()
    array = tegula.create_array(store, shape=(2,), dtype="int8", chunks=1)
    array[...] = 1
    before = dict(store)
    with pytest.raises(tegula.StoreError, match="full"):
        array.append([2, 3])
    assert (array.shape, tegula.open_array(store).shape, dict(store)) == ((2,), (2,), before)


# Consolidated metadata.


def hierarchy(path, zarr_format):
    root = tegula.create_group(path, zarr_format=zarr_format, attributes={"a": 1})
    root.create_array("image", shape=(4, 6), dtype="float32", attributes={"unit": "Jy"}, fill_value=np.nan)
    root.create_group("survey", attributes={"b": 2})
    root.create_array("survey/deep/flux", shape=(3,), dtype="int16")
    root.create_group("survey/deep/empty")
    return root


@FORMATS
def test_consolidated_metadata_are_read_by_others(tmp_path, zarr_format):
    zarr = pytest.importorskip("zarr")
    root = hierarchy(tmp_path, zarr_format)
    assert not root.is_consolidated
    consolidated = tegula.consolidate_metadata(tmp_path)
    assert consolidated.is_consolidated
    assert consolidated.kinds(recursive=True) == root.kinds(recursive=True)
    assert consolidated["image"].attrs == {"unit": "Jy"}
    assert consolidated.attrs == {"a": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = zarr.open_consolidated(str(tmp_path))
        assert theirs.metadata.consolidated_metadata is not None
        found = {name: node.shape if isinstance(node, zarr.Array) else None for name, node in theirs.members(None)}
    paths = ["image", "survey", "survey/deep", "survey/deep/empty", "survey/deep/flux"]
    assert dict(sorted(found.items())) == dict(zip(paths, [(4, 6), None, None, None, (3,)], strict=True))
    assert dict(theirs.attrs) == {"a": 1}
    assert dict(theirs["image"].attrs) == {"unit": "Jy"}
    if zarr_format == 3:
        stored = document(tmp_path, 3, group=True)["consolidated_metadata"]
        assert (stored["kind"], stored["must_understand"]) == ("inline", False)
    else:
        stored = json.loads((tmp_path / ".zmetadata").read_text())
        assert stored["zarr_consolidated_format"] == 1
        assert {".zgroup", ".zattrs", "image/.zarray", "survey/deep/.zgroup"} <= set(stored["metadata"])
    # Changing the group's own attributes keeps its consolidated metadata.
    consolidated.attrs["c"] = 3
    assert tegula.open_group(tmp_path).is_consolidated
    root.create_array("late", shape=(2,), dtype="int8")
    assert "late" in tegula.open_group(tmp_path, use_consolidated=True)
    assert "late" in tegula.consolidate_metadata(tmp_path)
    assert tegula.consolidate_metadata(tmp_path, "survey/deep").array_keys() == ["flux"]


@FORMATS
def test_consolidated_metadata_is_that_of_zarr_python(tmp_path, zarr_format):
    zarr = pytest.importorskip("zarr")
    for name in ("ours", "theirs"):
        hierarchy(tmp_path / name, zarr_format)
    tegula.consolidate_metadata(tmp_path / "ours")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(tmp_path / "theirs"))
    for name in ("ours", "theirs"):
        root = tegula.open_group(tmp_path / name, use_consolidated=True)
        assert root.kinds(recursive=True) == hierarchy({}, zarr_format).kinds(recursive=True)
    names = [tegula.open_group(tmp_path / name)["survey/deep/flux"].metadata for name in ("ours", "theirs")]
    assert names[0]["shape"] == names[1]["shape"]


def test_versions_are_not_mixed(tmp_path):
    for zarr_format in (2, 3):
        root = tegula.create_group(tmp_path / str(zarr_format), zarr_format=zarr_format)
        root.create_group("x", zarr_format=5 - zarr_format)
        with pytest.raises(tegula.UnsupportedError, match=f"/x.* of Zarr V{5 - zarr_format}"):
            tegula.consolidate_metadata(tmp_path / str(zarr_format))
    with pytest.raises(tegula.NotFoundError):
        tegula.consolidate_metadata(tmp_path, "no")


# Creating and deleting.


@FORMATS
def test_deleted_nodes_are_gone(tmp_path, zarr_format):
    root = hierarchy(tmp_path, zarr_format)
    root["image"][...] = 1
    del root["image"]
    del root["survey/deep/flux"]
    assert list(root.kinds(recursive=True)) == ["survey", "survey/deep", "survey/deep/empty"]
    assert not [file for file in (tmp_path / "image").rglob("*") if file.is_file()]
    assert dict(their_open(tmp_path, mode="r").members(None)).keys() == set(root.kinds(recursive=True))
    for name in ("image", "", "/", "../x"):
        with pytest.raises(tegula.NotFoundError):
            del root[name]
    with pytest.raises(TypeError):
        del root[0]
    root = tegula.consolidate_metadata(tmp_path)
    del root["survey"]
    assert len(root) == 0
    tegula.delete(tmp_path)
    with pytest.raises(tegula.NotFoundError):
        tegula.open(tmp_path)
    with pytest.raises(tegula.NotFoundError):
        tegula.delete(tmp_path)


def test_unreadable_nodes_can_be_deleted():
    store = tegula.MemoryStore({"zarr.json": b"{}", "c/0": b""})
    tegula.delete(store)
    assert list(store) == []


@FORMATS
def test_saved_arrays_are_loaded_by_both(tmp_path, zarr_format):
    elements = np.arange(12.0).reshape(3, 4)
    assert tegula.save(tmp_path / "a", elements, zarr_format=zarr_format).shape == (3, 4)
    many = {"x": elements, "y/z": np.array(3), "names": np.array(["a", "bc"])}
    assert isinstance(tegula.save(tmp_path / "g", many, zarr_format=zarr_format), tegula.Group)
    np.testing.assert_array_equal(tegula.load(tmp_path / "a"), elements, strict=True)
    loaded = tegula.load(tmp_path / "g")
    assert loaded.keys() == many.keys()
    for name, found in loaded.items():
        np.testing.assert_array_equal(found, many[name], strict=True)
    np.testing.assert_array_equal(their_open(tmp_path / "a", mode="r")[...], elements)
    np.testing.assert_array_equal(their_open(tmp_path / "g", mode="r")["x"][...], elements)
    for data in (elements, many):
        with pytest.raises(tegula.StoreError):
            tegula.save(tmp_path / "a", data)
    tegula.save(tmp_path / "a", elements + 1, overwrite=True)
    assert tegula.load(tmp_path / "a")[0, 0] == 1
    with pytest.raises(tegula.NotFoundError):
        tegula.load(tmp_path / "no")


def test_arrays_of_data():
    array = tegula.create_array({}, data=[[1, 2], [3, 4]], dtype="float32", chunks=1)
    assert (array.dtype, array.chunks, array[...].tolist()) == (np.float32, (1, 1), [[1, 2], [3, 4]])
    assert tegula.create_array({}, data=tegula.create_array({}, data=np.arange(3)))[...].tolist() == [0, 1, 2]
    assert tegula.create_array({}, data=["a", "bc"], dtype="string")[1] == "bc"
    assert tegula.create_array({}, data=np.zeros((0, 3))).shape == (0, 3)
    store = {}
    for wrong in ({"data": [1], "shape": (2,)}, {"data": [object()]}, {"shape": 2}, {"dtype": "i1"}, {}):
        with pytest.raises((tegula.Error, TypeError)):
            tegula.create_array(store, **wrong)
    with pytest.raises(ValueError, match="could not convert"):
        tegula.create_array(store, data=["x"], dtype="float32")
    assert store == {}


def test_many_chunks_are_put_into_shards():
    def shapes(shape, dtype="float32", **arguments):
        array = tegula.create_array({}, shape=shape, dtype=dtype, **arguments)
        return array.chunks, array.shards

    assert shapes((10_000, 10_000)) == ((313, 625), None)
    chunks, shards = shapes((1 << 20, 1 << 14))
    assert np.prod(chunks) * 4 <= 1 << 20
    assert np.prod(shards) == 64 * np.prod(chunks)
    assert shapes((1 << 20, 1 << 14), shards=None) == (chunks, None)
    assert shapes((1 << 20, 1 << 14), zarr_format=2) == (chunks, None)
    assert shapes((1 << 20, 1 << 14), chunks=(16, 16)) == ((16, 16), None)
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    assert shapes((1 << 20, 1 << 14), codecs=codecs) == (chunks, None)
    assert shapes((1 << 20, 1 << 14), shards=(1024, 1024))[1] == (1024, 1024)
    with pytest.raises(tegula.InvalidMetadataError):
        shapes((4,), shards="some")
