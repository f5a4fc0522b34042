import json
import pickle
import warnings

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
    assert root.kinds() == {"image": "array", "survey": "group"}
    assert list(root.kinds(recursive=True)) == [
        "image",
        "survey",
        "survey/deep",
        "survey/deep/er",
        "survey/deep/er/v2",
        "survey/empty",
        "survey/flux",
    ]
    assert [name for name, _ in root.arrays()] == ["image"]
    assert [name for name, _ in root.groups()] == ["survey"]
    assert (root.array_keys(), root.group_keys()) == (["image"], ["survey"])
    assert [path for path, _ in root.traverse()] == list(root.kinds(recursive=True))
    assert [node.path for _, node in root["survey"].traverse()][-1] == "survey/flux"
    assert [type(node) for node in root.values()] == [tegula.Array, tegula.Group]
    assert root["survey"].kinds(recursive=True)["deep/er/v2"] == "array"


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
    assert str(root.tree()).splitlines() == [
        "/",
        "├── image (4, 6) float32",
        "└── survey/",
        "    ├── deep/",
        "    │   └── er/",
        "    │       └── v2 (3,) int16",
        "    ├── empty/",
        "    └── flux (3,) int16",
    ]
    assert str(root["survey/deep"].tree()).splitlines()[0] == "/survey/deep"
    assert str(root.tree(level=1)).splitlines() == ["/", "├── image (4, 6) float32", "└── survey/"]
    assert len(str(root.tree(level=2)).splitlines()) == 6
    assert repr(root.tree()) == str(root.tree())
    assert root["survey"]._repr_html_() == (
        '<div class="tegula-tree"><strong>/survey</strong><ul>'
        "<li><details open><summary>deep/</summary><ul><li><details open><summary>er/</summary>"
        "<ul><li>v2 <code>(3,) int16</code></li></ul></details></li></ul></details></li>"
        "<li>empty/</li><li>flux <code>(3,) int16</code></li></ul></div>"
    )
    assert "groups      1" in root.info
    assert root.name in repr(root)


def test_unreadable_nodes_are_still_members(root, tmp_path):
    (tmp_path / "data.zarr" / "image" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    assert "image" in root
    assert "image (" in str(root.tree())
    for opened in (lambda: list(root.arrays()), lambda: list(root.traverse()), lambda: list(root.items())):
        with pytest.warns(
            tegula.DamagedWarning, match="'image' in .* is damaged and was left out: .*\"shape\" is missing"
        ):
            opened()
    with pytest.raises(tegula.InvalidMetadataError):
        root["image"]


def test_names_do_no_harm():
    root = tegula.create_group({})
    root.create_group("<script>alert(1)</script>")
    root.create_array("a\x1b[31m\nb", shape=(2,), dtype="i1")
    html = root.tree()._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert str(root.tree()).splitlines() == [
        "/",
        "├── <script>alert(1)</",
        "│   └── script>/",
        "└── a\\x1b[31m\\nb (2,) int8",
    ]


class Recorded(dict):
    """A mapping that records the keys that are read."""

    def __init__(self, objects):
        super().__init__(objects)
        self.keys_read = []

    def __getitem__(self, key):
        self.keys_read.append(key)
        return super().__getitem__(key)


@pytest.fixture(params=[2, 3])
def consolidated(request, tmp_path):
    """A group with consolidated metadata, and an array that was created afterwards."""
    zarr = pytest.importorskip("zarr")
    path = str(tmp_path / "data.zarr")
    root = zarr.create_group(path, zarr_format=request.param, attributes={"a": 1})
    root.create_array("image", shape=(4, 6), dtype="float32", attributes={"unit": "Jy"})
    root.create_group("survey", attributes={"b": 2}).create_array("flux", shape=(3,), dtype="int16")
    root.create_group("survey-old")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata is not in the V3 specification
        zarr.consolidate_metadata(path)
    root.create_array("late", shape=(2,), dtype="int8")
    return Recorded(tegula.FilesystemStore(path))


def test_consolidated_metadata_is_all_that_is_read(consolidated):
    root = tegula.open_group(consolidated)
    assert set(consolidated.keys_read) <= {"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"}
    consolidated.keys_read.clear()
    assert root.is_consolidated
    assert root.attrs == {"a": 1}
    assert root.kinds(recursive=True) == {
        "image": "array",
        "survey": "group",
        "survey/flux": "array",
        "survey-old": "group",
    }
    assert root["image"].attrs == {"unit": "Jy"}
    assert root["survey"].attrs == {"b": 2}
    assert root["survey"].is_consolidated
    assert [name for name, _ in root["survey"].arrays()] == ["flux"]
    assert root["survey/flux"].shape == root["survey"]["flux"].shape == (3,)
    assert [node.path for _, node in root.traverse()] == ["image", "survey", "survey/flux", "survey-old"]
    assert "flux (3,) int16" in str(root.tree())
    assert "late" not in root
    assert len(root) == 3
    with pytest.raises(tegula.NotFoundError, match="consolidated"):
        root["late"]
    assert not consolidated.keys_read
    root["image"][...]
    assert all(key.startswith("image/") for key in consolidated.keys_read)


def test_consolidated_metadata_is_optional(consolidated):
    for asked in (None, True):
        assert tegula.open_group(consolidated, use_consolidated=asked).is_consolidated
    root = tegula.open_group(consolidated, use_consolidated=False)
    assert not root.is_consolidated
    assert not root["survey"].is_consolidated
    assert root["late"].shape == (2,)
    assert list(root) == ["image", "late", "survey", "survey-old"]
    assert "late" in pickle.loads(pickle.dumps(root))
    assert "late" not in pickle.loads(pickle.dumps(tegula.open_group(consolidated)))
    with pytest.raises(tegula.InvalidMetadataError, match="mapping:/survey has no consolidated metadata"):
        tegula.open_group(consolidated, "survey", use_consolidated=True)
    assert not tegula.open_group(consolidated, "survey").is_consolidated


def test_groups_see_what_they_create(consolidated):
    root = tegula.open_group(consolidated)
    root.create_array("new", shape=(5,), dtype="int8")
    assert root["new"].shape == (5,)
    assert root.is_consolidated
    assert "new" in tegula.open_group(consolidated)
    tegula.consolidate_metadata(consolidated)
    assert "late" in root


def test_wrong_consolidated_metadata_can_be_ignored():
    group = {"zarr_format": 3, "node_type": "group"}
    noted = {"kind": "inline", "must_understand": False, "metadata": {"../../etc": group}}
    store = {"zarr.json": json.dumps({**group, "consolidated_metadata": noted}).encode()}
    assert not tegula.open_group(store).keys()
    assert "../../etc" in str(tegula.validate(store).problems[0])
    assert not tegula.open_group(store, use_consolidated=False).keys()


def test_groups_of_every_store_and_version(tmp_path):
    for zarr_format in (2, 3):
        for store in (tegula.MemoryStore(), {}, tmp_path / str(zarr_format)):
            group = tegula.create_group(store, zarr_format=zarr_format, attributes={"n": np.int64(3), "list": (1, 2.5)})
            assert group.zarr_format == tegula.open_group(store).zarr_format == zarr_format
            assert tegula.open(store).attrs == {"n": 3, "list": [1, 2.5]}
            group.create_array("a/b", shape=(2,), dtype="int8")
            assert group["a/b"].zarr_format == zarr_format
            assert group["a"].zarr_format == zarr_format


def test_existing_nodes_are_kept(tmp_path):
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
    assert group.kinds() == {"a": "group"}


def test_attributes_must_be_json():
    for attributes, error in [({"a": object()}, TypeError), ({1: 2}, TypeError)]:
        with pytest.raises(error):
            tegula.create_group({}, attributes=attributes)
    circle = []
    circle.append(circle)
    with pytest.raises(ValueError, match="levels"):
        tegula.create_group({}, attributes={"a": circle})
