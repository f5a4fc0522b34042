"""Handles of ASDF files: file objects, copies, files that refer to others, closing, trees of any mapping."""

import collections
import copy
import gc
import gzip
import io
import os
import pickle
import types
import zipfile
from typing import NamedTuple

import numpy as np
import pytest

import tegula
from tegula import asdf


def data_of(tree, **options) -> bytes:
    return asdf.dumps(tree, **options)


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.count = 0

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        return data


# File objects.


@pytest.mark.parametrize("compression", [None, "zlib", "lz4"])
def test_file_objects_are_read_in_parts(compression):
    tree = {"a": np.random.default_rng(0).integers(0, 255, 3_000_000, "u1"), "b": np.arange(3)}
    source = Counting(data_of(tree, all_array_compression=compression))
    file = asdf.open(source)
    assert file["b"][...].tolist() == [0, 1, 2]
    assert source.count < 200_000
    np.testing.assert_array_equal(file["a"][1_000_000:1_000_050], tree["a"][1_000_000:1_000_050])
    np.testing.assert_array_equal(file["a"][...], tree["a"])


def test_file_objects_are_not_taken_for_the_file_of_their_name(tmp_path):
    data = data_of({"a": np.arange(10)})
    with gzip.open(tmp_path / "a.asdf", "wb") as out:
        out.write(data)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sub/a.asdf", data)
    with gzip.open(tmp_path / "a.asdf") as handle:
        assert asdf.open(handle)["a"][:3].tolist() == [0, 1, 2]
    with gzip.open(tmp_path / "a.asdf") as handle, io.BufferedReader(handle) as buffered:
        assert asdf.open(buffered)["a"][:3].tolist() == [0, 1, 2]
    assert asdf.open(zipfile.Path(tmp_path / "a.zip", "sub/a.asdf"))["a"].sum() == 45
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("sub/a.asdf") as handle:
        assert asdf.open(handle)["a"].sum() == 45


def test_file_objects_of_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    (tmp_path / "a.asdf").write_bytes(data_of({"a": np.arange(10)}))
    with fsspec.open(str(tmp_path / "a.asdf"), "rb") as handle:
        assert asdf.open(handle)["a"][3] == 3
    with gzip.open(tmp_path / "a.gz", "wb") as out:
        out.write(data_of({"a": np.arange(10)}))
    assert asdf.open(fsspec.open(str(tmp_path / "a.gz"), compression="gzip"))["a"][5] == 5
    asdf.AsdfFile({"a": np.arange(4)}).write_to(fsspec.open(str(tmp_path / "b.gz"), "wb", compression="gzip"))
    with gzip.open(tmp_path / "b.gz") as handle:
        assert asdf.open(handle)["a"].sum() == 6
    memory = fsspec.filesystem("memory")
    memory.pipe("/a.asdf", data_of({"a": np.arange(10)}))
    with memory.open("/a.asdf", "rb") as handle:
        assert asdf.open(handle)["a"][4] == 4


def test_file_objects_begin_at_their_position():
    source = io.BytesIO(b"before" + data_of({"a": np.arange(4)}))
    source.seek(6)
    assert asdf.open(source)["a"].tolist() == [0, 1, 2, 3]


def test_file_objects_that_cannot_seek_are_read_to_their_end():
    class Pipe:
        def __init__(self, data):
            self.source = io.BytesIO(data)

        def read(self, size=-1):
            return self.source.read(size)

    assert asdf.open(Pipe(data_of({"a": np.arange(4)})))["a"].sum() == 6


def test_interrupts_in_file_objects_pass_through():
    class Interrupted(Counting):
        def read(self, size=-1):
            if self.count > 100_000:
                raise KeyboardInterrupt
            return super().read(size)

    file = asdf.open(Interrupted(data_of({"a": np.arange(100_000)})))
    with pytest.raises(KeyboardInterrupt):
        [file["a"][...] for _ in range(3)]


def test_closed_file_objects_are_named():
    source = io.BytesIO(data_of({"a": np.arange(100_000)}))
    file = asdf.open(source)
    source.close()
    with pytest.raises(tegula.StoreError, match="closed file"):
        file["a"][...]


def test_file_objects_are_updated_in_place():
    source = io.BytesIO()
    asdf.AsdfFile({"a": np.arange(1000), "b": np.arange(5.0)}).write_to(source)
    source.seek(0)
    with asdf.open(source, mode="rw") as file:
        before = file["a"]
        file["b"][0] = 7
        file["new"] = "text"
        del file["a"]
        for _ in range(2):
            file.update()
            assert before[999] == 999  # of the old content
        assert file["b"][0] == 7
    found = asdf.loads(source.getvalue())
    assert found["b"].tolist() == [7, 1, 2, 3, 4]
    assert found["new"] == "text"
    assert "a" not in found


def test_file_objects_are_updated_only_on_request(tmp_path):
    data = data_of({"a": 1})
    with pytest.raises(tegula.StoreError, match='mode="rw"'):
        asdf.open(io.BytesIO(data)).update()
    (tmp_path / "a.asdf").write_bytes(data)
    with gzip.open(tmp_path / "b.gz", "wb") as out:
        out.write(data)
    with gzip.open(tmp_path / "b.gz") as handle, pytest.raises(tegula.StoreError, match="reading and writing"):
        asdf.open(handle, mode="rw").update()
    with open(tmp_path / "a.asdf", "r+b") as handle:
        file = asdf.open(handle, mode="rw")
        file["b"] = 2
        file.update()
        assert asdf.open(tmp_path / "a.asdf")["b"] == 2


def test_a_file_that_was_written_to_its_own_path_can_be_updated(tmp_path):
    path = tmp_path / "a.asdf"
    asdf.AsdfFile({"a": np.arange(5)}).write_to(path)
    file = asdf.open(path)
    file["b"] = 1
    file.write_to(path)
    file["c"] = 2
    file.update()
    found = asdf.open(path)
    assert (found["b"], found["c"], found["a"].sum()) == (1, 2, 10)


# Other files.


@pytest.fixture
def folders(tmp_path):
    for name in ("calib", "sci"):
        (tmp_path / name).mkdir()
    asdf.AsdfFile({"list": [1, 2], "array": np.arange(5)}).write_to(tmp_path / "calib" / "x.asdf")
    asdf.AsdfFile({"list": [3]}).write_to(tmp_path / "sci" / "x.asdf")
    return tmp_path


@pytest.mark.parametrize("uri", ["../calib/x.asdf", "PATH/calib/x.asdf", "file://PATH/calib/x.asdf"])
def test_files_outside_the_folder_are_read_if_allowed(folders, uri):
    uri = uri.replace("PATH", str(folders))
    tree = {"r": {"$ref": f"{uri}#/list"}, "a": {"$ref": f"{uri}#/array"}, "own": {"$ref": "x.asdf#/list"}}
    asdf.AsdfFile(tree).write_to(folders / "sci" / "y.asdf")
    refused = asdf.open(folders / "sci" / "y.asdf")
    with pytest.raises(tegula.UnsupportedError, match="allow_external"):
        refused["r"].resolve()
    with asdf.open(folders / "sci" / "y.asdf", allow_external=True) as file:
        assert file["r"].resolve() == [1, 2]
        assert file["own"].resolve() == [3]  # of the same name, in another folder
        array = file["a"].resolve()
        assert isinstance(array.base, np.memmap)
        assert array.sum() == 10
        assert pickle.loads(pickle.dumps(array)).sum() == 10
        assert file.open_external(uri)["list"] == [1, 2]
        assert file.open_external(uri) is file.open_external(uri)
        file.resolve_references()
        assert file["r"] == [1, 2]
    data = (folders / "sci" / "y.asdf").read_bytes()
    source = io.BytesIO(data)
    file = asdf.open(source, uri=str(folders / "sci" / "y.asdf"), allow_external=True)
    assert file["r"].resolve() == [1, 2]


def test_servers_are_not_asked(folders):
    asdf.AsdfFile({"r": {"$ref": "http://localhost/x.asdf#/list"}}).write_to(folders / "sci" / "y.asdf")
    file = asdf.open(folders / "sci" / "y.asdf", allow_external=True)
    with pytest.raises(tegula.UnsupportedError, match="localhost"):
        file["r"].resolve()


# Copies.


def copies(file):
    return {
        "copy": copy.copy(file),
        "deepcopy": copy.deepcopy(file),
        "pickle": pickle.loads(pickle.dumps(file)),
        "method": file.copy(),
    }


def test_copies_keep_changes_mode_and_settings(tmp_path):
    path = tmp_path / "a.asdf"
    asdf.AsdfFile({"a": np.arange(3), "b": np.arange(5.0)}).write_to(path)
    file = asdf.open(path, mode="r")
    file["new"] = {"x": [1], "array": np.ones(4)}
    file["a"][0] = 7
    file.set_array_storage(file["new"]["array"], "inline")
    file.set_array_compression(file["b"], "zlib")
    for kind, twin in copies(file).items():
        assert twin["new"]["x"] == [1], kind
        assert twin["a"].tolist() == [7, 1, 2], kind
        assert twin.get_array_storage(twin["new"]["array"]) == "inline", kind
        assert twin.get_array_compression(twin["b"]) == "zlib", kind
        assert twin.version == file.version
        with pytest.raises(tegula.StoreError):
            twin.update()
        twin["new"]["x"].append(2)
        twin["new"]["array"][0] = 5
        twin["a"][1] = 8
    assert file["new"]["x"] == [1]
    assert file["new"]["array"][0] == 1
    assert file["a"].tolist() == [7, 1, 2]


def test_copies_of_files_that_can_be_updated(tmp_path):
    for kind in ("copy", "deepcopy", "pickle"):
        path = tmp_path / f"{kind}.asdf"
        asdf.AsdfFile({"a": np.arange(3)}).write_to(path)
        file = asdf.open(path, mode="rw")
        file["new"] = kind
        twin = copies(file)[kind]
        twin["a"][0] = 9
        twin.update()
        found = asdf.open(path)
        assert found["new"] == kind
        assert found["a"][0] == 9


def test_copies_of_files_in_memory(tmp_path):
    zarr = tegula.create_array(tmp_path / "z", data=np.arange(4))
    file = asdf.AsdfFile({"a": np.arange(3), "z": zarr}, version="1.5.0", uri="b.asdf")
    file["loop"] = file.tree
    for kind, twin in copies(file).items():
        assert twin["loop"]["a"] is twin["a"], kind
        assert (twin.version, twin.uri) == ("1.5.0", "b.asdf")
        assert twin["z"].store == zarr.store


def test_copies_keep_converters(tmp_path):
    pytest.importorskip("asdf_astropy")
    units = pytest.importorskip("astropy.units")
    path = tmp_path / "a.asdf"
    asdf.AsdfFile({"q": np.arange(3.0) * units.m}).write_to(path, converters="asdf")
    file = asdf.open(path, converters="asdf")
    file["speed"] = 3 * units.m / units.s
    for kind, twin in copies(file).items():
        assert (twin["q"] == file["q"]).all(), kind
        buffer = io.BytesIO()
        twin.write_to(buffer)
        buffer.seek(0)
        assert asdf.open(buffer, converters="asdf")["speed"] == file["speed"], kind


# Closing.


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts files in /proc")
@pytest.mark.parametrize("memmap", [True, False])
def test_files_are_closed_without_the_cycle_collector(tmp_path, memmap):
    path = tmp_path / "a.asdf"
    asdf.AsdfFile({"a": np.arange(100), "b": [1]}).write_to(path)
    asdf.AsdfFile({"r": {"$ref": "a.asdf#/a"}, "l": {"$ref": "a.asdf#/b"}}).write_to(tmp_path / "b.asdf")
    gc.collect()
    gc.disable()
    try:
        before = open_files()
        for _ in range(20):
            with asdf.open(path, memmap=memmap) as file:
                assert file["a"][5] == 5
                assert file.search("^a$").node.sum() == 4950
            with asdf.open(tmp_path / "b.asdf", memmap=memmap) as file:
                assert file["r"].resolve()[5] == 5
                assert file["l"].resolve() == [1]
                assert file.open_external("a.asdf")["a"][5] == 5
            tegula.open_array(f"{path}#a")[5]
        del file
        assert open_files() <= before
    finally:
        gc.enable()


def test_arrays_outlive_their_file(tmp_path):
    path = tmp_path / "a.asdf"
    asdf.AsdfFile({"a": np.arange(100)}).write_to(path)
    with asdf.open(path) as file:
        array, view = file["a"], file["a"][10:20]
    del file
    gc.collect()
    path.unlink()
    assert array.sum() == 4950
    assert view[0] == 10
    assert array.file["a"] is array


# Trees of other classes.


class Point(NamedTuple):
    """A tuple with a field of the name that tags have."""

    x: dict
    tag: str


def other_trees():
    return {
        "UserDict": collections.UserDict({"k": collections.UserDict({"found": 1})}),
        "UserList": collections.UserList([{"found": 1}]),
        "proxy": types.MappingProxyType({"k": {"found": 1}}),
        "ChainMap": collections.ChainMap({"found": 1}, {"other": 2}),
        "OrderedDict": collections.OrderedDict(k={"found": 1}),
        "defaultdict": collections.defaultdict(dict, k={"found": 1}),
        "deque": collections.deque([{"found": 1}]),
        "namedtuple": Point({"found": 1}, "t"),
    }


@pytest.mark.parametrize("kind", other_trees())
def test_mappings_and_sequences_of_any_class(kind):
    file = asdf.AsdfFile({"top": other_trees()[kind]})
    assert file.search("found").node == 1
    assert "found" in file.format_tree()


def test_objects_that_present_themselves():
    class Box:
        def __asdf_traverse__(self):
            return {"inside": 5}

    file = asdf.AsdfFile({"box": Box()})
    assert file.search("inside").path == "root['box']['inside']"
    assert "inside (int): 5" in file.format_tree()
    assert file.search("box")["box"]["inside"].path is None


def test_references_in_collections_that_cannot_change():
    file = asdf.AsdfFile({"t": ({"$ref": "x.asdf#/a"},)})
    with pytest.raises(tegula.UnsupportedError, match="cannot change"):
        file.find_references()


def test_trees_travel_between_the_libraries(tmp_path):
    library = pytest.importorskip("asdf")
    pytest.importorskip("asdf_astropy")
    units = pytest.importorskip("astropy.units")
    tree = {"a": np.arange(3), "q": 3 * units.m, "deep": {"list": [1, {"x": "y"}]}}
    asdf.AsdfFile(tree).write_to(tmp_path / "a.asdf", converters="asdf")
    # Without converters the quantity is a node with a tag.
    library.AsdfFile(asdf.open(tmp_path / "a.asdf").tree).write_to(tmp_path / "b.asdf")
    for lazy in (False, True):
        with library.open(tmp_path / "b.asdf", lazy_tree=lazy) as theirs:
            assert theirs["q"] == 3 * units.m
            assert list(theirs["a"]) == [0, 1, 2]
            for converters in ("asdf", None) if not lazy else ("asdf",):
                if converters is None:
                    theirs["q"] = 3
                asdf.AsdfFile(theirs.tree).write_to(tmp_path / "c.asdf", converters=converters)
                with asdf.open(tmp_path / "c.asdf", converters="asdf") as ours:
                    assert ours["deep"]["list"][1]["x"] == "y"
                    assert ours["a"].tolist() == [0, 1, 2]
                    assert ours["q"] == (3 if converters is None else 3 * units.m)


def test_units_of_other_libraries():
    units = pytest.importorskip("astropy.units")
    array = asdf.open(data_of({"a": np.arange(3.0)}))["a"]
    meters = np.arange(3.0) * units.m
    for found in (
        array * units.m,
        units.m * array,
        array << units.m,
        array * (1 * units.m),
        units.Quantity(array, "m"),
    ):
        assert isinstance(found, units.Quantity)
        assert (found == meters).all()
    assert ((array / units.s) == np.arange(3.0) / units.s).all()
