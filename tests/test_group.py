import numpy as np
import pytest

import tegula


@pytest.fixture(params=["ours", "theirs"])
def root(request, tmp_path):
    path = tmp_path / "data.zarr"
    if request.param == "ours":
        group = tegula.create_group(path, attributes={"telescope": "Roman"})
        group.create_array("image", shape=(4, 6), dtype="float32")
        group.create_array("survey/flux", shape=(3,), dtype="int16")
        group.create_group("survey/empty", attributes={"x": 1})
        group.create_array("survey/deep/er/v2", shape=(3,), dtype="int16", zarr_format=2)
    else:
        zarr = pytest.importorskip("zarr")
        group = zarr.create_group(str(path), attributes={"telescope": "Roman"})
        group.create_array("image", shape=(4, 6), dtype="float32")
        survey = group.create_group("survey")
        survey.create_array("flux", shape=(3,), dtype="int16")
        survey.create_group("empty", attributes={"x": 1})
        deep = survey.create_group("deep").create_group("er")
        zarr.create_array(str(path), name="survey/deep/er/v2", shape=(3,), dtype="int16", zarr_format=2)
        assert deep.path == "survey/deep/er"
    (path / "README").write_text("not ours")
    return tegula.open_group(path)


def test_members(root):
    assert list(root) == ["image", "survey"] == list(root.keys())
    assert len(root) == 2
    assert root.members() == {"image": "array", "survey": "group"}
    assert list(root.members(recursive=True)) == [
        "image",
        "survey",
        "survey/deep",
        "survey/deep/er",
        "survey/deep/er/v2",
        "survey/empty",
        "survey/flux",
    ]
    assert list(root.arrays()) == ["image"]
    assert list(root.groups()) == ["survey"]
    assert [type(node) for node in root.values()] == [tegula.Array, tegula.Group]
    assert root["survey"].members(recursive=True)["deep/er/v2"] == "array"


def test_nodes(root):
    assert root["survey/flux"].shape == root["survey"]["flux"].shape == (3,)
    assert root["survey/flux"].path == "survey/flux"
    assert root["survey"].path == "survey"
    assert root["survey/deep/er/v2"].zarr_format == 2
    assert root["survey"]["empty"].attrs == {"x": 1}
    assert root.attrs == {"telescope": "Roman"}
    assert root.metadata["node_type"] == "group"
    assert root.zarr_format == 3
    assert "image" in root
    assert "survey/flux" in root
    assert "no" not in root
    assert 5 not in root
    assert root.get("no") is None
    assert not root["survey/empty"].keys()
    assert root["survey/empty"]
    for name in ("no", "", "/", "../data.zarr"):
        with pytest.raises(tegula.NotFoundError):
            root[name]
    with pytest.raises(TypeError):
        root[0]


def test_tree(root):
    assert root.tree().splitlines() == [
        "/",
        "├── image (4, 6) float32",
        "└── survey/",
        "    ├── deep/",
        "    │   └── er/",
        "    │       └── v2 (3,) int16",
        "    ├── empty/",
        "    └── flux (3,) int16",
    ]
    assert root["survey/deep"].tree().splitlines()[0] == "/survey/deep"
    assert "groups      1" in root.info
    assert root.name in repr(root)


def test_what_cannot_be_opened_is_still_a_member(root, tmp_path):
    (tmp_path / "data.zarr" / "image" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    assert "image" in root
    assert "image (" in root.tree()
    with pytest.raises(tegula.InvalidMetadataError):
        root["image"]


def test_groups_of_every_store_and_version(tmp_path):
    for zarr_format in (2, 3):
        for store in (tegula.MemoryStore(), {}, tmp_path / str(zarr_format)):
            group = tegula.create_group(store, zarr_format=zarr_format, attributes={"n": np.int64(3), "list": (1, 2.5)})
            assert group.zarr_format == tegula.open_group(store).zarr_format == zarr_format
            assert tegula.open(store).attrs == {"n": 3, "list": [1, 2.5]}
            group.create_array("a/b", shape=(2,), dtype="int8")
            assert group["a/b"].zarr_format == zarr_format
            assert group["a"].zarr_format == zarr_format


def test_what_is_there_is_kept(tmp_path):
    group = tegula.create_group(tmp_path)
    array = group.create_array("a", shape=(2,), dtype="int8")
    array[...] = 5
    for make in (
        lambda **k: tegula.create_group(tmp_path, **k),
        lambda **k: group.create_group("a", **k),
        lambda **k: group.create_array("a", shape=(2,), dtype="int8", **k),
    ):
        with pytest.raises(tegula.StoreError, match="overwrite=True"):
            make()
    with pytest.raises(tegula.StoreError, match="is an array"):
        group.create_array("a/b", shape=(2,), dtype="int8")
    assert array[0] == 5
    new = group.create_array("a", shape=(2,), dtype="int8", overwrite=True)
    assert new[0] == 0
    group.create_group("a", overwrite=True)
    assert group.members() == {"a": "group"}


def test_attributes_that_are_no_json():
    for attributes, error in [({"a": object()}, TypeError), ({"a": float("nan")}, ValueError), ({1: 2}, TypeError)]:
        with pytest.raises(error):
            tegula.create_group({}, attributes=attributes)
    circle = []
    circle.append(circle)
    with pytest.raises(ValueError, match="levels"):
        tegula.create_group({}, attributes={"a": circle})
