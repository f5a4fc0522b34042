"""Consolidated metadata follow every change that tegula makes."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tegula


def make(path, zarr_format=3):
    root = tegula.create_group(path, zarr_format=zarr_format, attributes={"a": 1})
    root.create_array("x", data=np.arange(4), chunks=(2,))
    root.create_array("deep/er/y", data=np.arange(4), chunks=(2,))
    return tegula.consolidate_metadata(path)


def true(path):
    """Check that the consolidated metadata are what is stored, and return the group."""
    problems = [str(problem) for problem in tegula.validate(path).problems]
    assert not problems
    root = tegula.open_group(path, use_consolidated=True)
    assert root.members(recursive=True) == tegula.open_group(path, use_consolidated=False).members(recursive=True)
    return root


@pytest.fixture(params=[2, 3])
def path(request, tmp_path):
    make(tmp_path / "g.zarr", request.param)
    return tmp_path / "g.zarr"


def append(array):
    array.append([4, 5])


def grow_in_a_session(array):
    with array.write_session() as session:
        session.append(np.array([4, 5]))


@pytest.mark.parametrize("change", [append, grow_in_a_session, lambda array: array.resize(6)])
@pytest.mark.parametrize("name", ["x", "deep/er/y"])
def test_shapes(path, change, name):
    for opened in (lambda: tegula.open_group(path)[name], lambda: tegula.open_array(path / name)):
        array = opened()
        before = array.shape
        change(array)
        assert true(path)[name].shape == array.shape != before
        array.resize(4)


@pytest.mark.parametrize("name", ["", "x", "deep", "deep/er", "deep/er/y"])
def test_attributes(path, name):
    tegula.open(path / name if name else path).attrs["unit"] = "Jy"
    assert (true(path)[name] if name else true(path)).attrs["unit"] == "Jy"
    tegula.open(path, name).attrs.clear()
    assert not (true(path)[name] if name else true(path)).attrs


def test_nodes_come_and_go(path):
    zarr_format = tegula.open_group(path).zarr_format
    root = tegula.open_group(path)
    root.create_array("new", shape=(3,), dtype="i2")
    root["deep"].create_group("group").create_array("z", data=[1])
    assert list(root) == ["deep", "new", "x"]
    assert "deep/group/z" in true(path)
    del root["x"]
    tegula.delete(path / "deep" / "er")
    assert list(true(path).members(recursive=True)) == ["deep", "deep/group", "deep/group/z", "new"]
    tegula.create_group(path, "new", overwrite=True, zarr_format=zarr_format)
    assert true(path).kinds()["new"] == "group"
    tegula.create_array(path, "deep", data=[1, 2], overwrite=True, zarr_format=zarr_format)
    assert true(path).members(recursive=True) == {"deep": "array", "new": "group"}
    tegula.save(path, {"s/t": np.arange(3)}, "saved", zarr_format=zarr_format)
    tegula.copy(path / "saved", path, "copied")
    tegula.copy(path / "saved" / "s" / "t", path / "one")
    tegula.rechunk(path / "saved" / "s" / "t", path, "two", chunks=(1,), zarr_format=zarr_format)
    assert {"saved/s/t", "copied/s/t", "one", "two"} <= set(true(path).members(recursive=True))


def test_handles_see_the_changes_of_their_process(path):
    root = tegula.open_group(path)
    deep = root["deep"]
    tegula.open_array(path / "deep" / "er" / "y").append([7])
    assert root["deep/er/y"].shape == deep["er/y"].shape == (5,)
    tegula.delete(path, "deep/er/y")
    assert not deep["er"].keys()


def test_what_cannot_be_kept_true_is_removed(tmp_path):
    for mine, other in ((2, 3), (3, 2)):
        path = tmp_path / str(mine)
        make(path, mine)
        tegula.create_array(path, "other", data=[1], zarr_format=other)
        assert not tegula.open_group(path).is_consolidated
        assert "other" in tegula.open_group(path)


def test_groups_inside_groups(tmp_path):
    make(tmp_path / "outer" / "inner")
    tegula.create_group(tmp_path / "outer")
    tegula.consolidate_metadata(tmp_path / "outer")
    tegula.open_array(tmp_path / "outer" / "inner" / "deep" / "er" / "y").append([1])
    for path, name in ((tmp_path / "outer", "inner/deep/er/y"), (tmp_path / "outer" / "inner", "deep/er/y")):
        assert true(path)[name].shape == (5,)


def test_writers_at_once(path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: tegula.open_array(path / "x").append([n]), range(16)))
        list(pool.map(lambda n: tegula.open_group(path).create_array(f"n{n}", data=[n]), range(16)))
    root = true(path)
    assert root["x"].shape == (20,)
    assert len(root) == 18


def test_a_damaged_copy_is_not_used(tmp_path):
    make(tmp_path / "v2", 2)
    (tmp_path / "v2" / ".zmetadata").write_text("{")
    root = tegula.open_group(tmp_path / "v2")
    assert list(root) == ["deep", "x"]
    assert ".zmetadata" in str(tegula.validate(tmp_path / "v2").problems)
    root["x"].append([1])
    make(tmp_path / "v3")
    document = json.loads((tmp_path / "v3" / "zarr.json").read_text())
    document["consolidated_metadata"]["metadata"]["x"] = 5
    (tmp_path / "v3" / "zarr.json").write_text(json.dumps(document))
    root = tegula.open_group(tmp_path / "v3")
    assert root.kinds() == {"deep": "group", "x": "damaged"}
    assert root["deep/er/y"].shape == (4,)
    with pytest.raises(tegula.InvalidMetadataError, match='consolidated metadata of "x"'):
        root["x"]
    assert "consolidated metadata differ" in str(tegula.validate(tmp_path / "v3").problems)
    tegula.open_array(tmp_path / "v3" / "x").append([1])
    assert true(tmp_path / "v3")["x"].shape == (5,)
