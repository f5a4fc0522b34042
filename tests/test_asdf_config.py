"""The configuration of reading and writing ASDF files, custom schemas and extensions."""

import threading

import numpy as np
import pytest

import tegula
from tegula import asdf


def blocks_of(tree, **options):
    return asdf.open(asdf.dumps(tree, **options)).blocks


def test_defaults_of_writing():
    tree = {"few": np.arange(3), "many": np.arange(500)}
    with asdf.config_context() as config:
        config.array_inline_threshold = 10
        assert len(blocks_of(tree)) == 1
        config.all_array_compression = "zlib"
        config.all_array_compression_kwargs = {"level": 9}
        assert [block["compression"] for block in blocks_of(tree)] == ["zlib"]
        assert [block["compression"] for block in blocks_of(tree, all_array_compression=None)] == [""]
        config.all_array_storage = "inline"
        assert blocks_of(tree) == []
        assert len(blocks_of(tree, all_array_storage="internal")) == 2
        config.default_version = "1.5.0"
        assert asdf.AsdfFile({}).version == "1.5.0"
    assert len(blocks_of(tree)) == 2
    assert asdf.AsdfFile({}).version == "1.6.0"


def test_views_share_a_block_if_the_configuration_says_so():
    base = np.arange(100)
    tree = {"a": base[:50], "b": base[50:]}
    assert len(blocks_of(tree)) == 2
    with asdf.config_context() as config:
        config.default_array_save_base = True
        assert len(blocks_of(tree)) == 1


def test_contexts_nest_and_belong_to_a_thread():
    with asdf.config_context() as outer:
        outer.array_inline_threshold = 5
        with asdf.config_context() as inner:
            assert inner.array_inline_threshold == 5
            inner.array_inline_threshold = 6
            found = []
            thread = threading.Thread(target=lambda: found.append(asdf.get_config().array_inline_threshold))
            thread.start()
            thread.join()
            assert found == [None]
        assert asdf.get_config().array_inline_threshold == 5
    assert asdf.get_config().array_inline_threshold is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("array_inline_threshold", "5"),
        ("array_inline_threshold", True),
        ("all_array_storage", "nowhere"),
        ("all_array_compression", "rar"),
        ("all_array_compression_kwargs", 5),
        ("default_version", "0.1"),
        ("default_array_save_base", "yes"),
        ("validate_on_read", None),
    ],
)
def test_values_are_checked(name, value):
    with asdf.config_context() as config, pytest.raises((ValueError, tegula.UnsupportedError), match=r".+"):
        setattr(config, name, value)


def test_unknown_names():
    with pytest.raises(AttributeError, match="array_inline_threshold"):
        asdf.get_config().inline = 5
    with pytest.raises(AttributeError, match=r"asdf.get_config\(\)"):
        asdf.get_config().add_resource_mapping({})


SCHEMA = """%YAML 1.1
---
$schema: http://stsci.edu/schemas/yaml-schema/draft-01
id: asdf://example.org/schemas/custom-1.0.0
type: object
properties:
  name: {type: string}
required: [name]
...
"""


def test_custom_schemas(tmp_path):
    pytest.importorskip("asdf")
    (tmp_path / "custom.yaml").write_text(SCHEMA)
    schema = tmp_path / "custom.yaml"
    good, bad = asdf.dumps({"name": "x"}), asdf.dumps({"name": 5})
    assert asdf.open(good, custom_schema=schema)["name"] == "x"
    with pytest.raises(asdf.ValidationError, match=r"name|string"):
        asdf.open(bad, custom_schema=schema)
    file = asdf.AsdfFile({"other": 1}, custom_schema=schema)
    with pytest.raises(asdf.ValidationError):
        file.validate()
    with pytest.raises(asdf.ValidationError):
        file.write_to(tmp_path / "a.asdf")
    assert not (tmp_path / "a.asdf").exists()
    file["name"] = "x"
    file.write_to(tmp_path / "a.asdf")
    with asdf.config_context() as config:
        config.validate_on_read = True
        assert asdf.open(tmp_path / "a.asdf")["other"] == 1


class Point:
    """An object that only an extension knows."""

    def __init__(self, x: float) -> None:
        self.x = x


def extension():
    library = pytest.importorskip("asdf")

    class Converter(library.extension.Converter):
        tags = ("asdf://example.org/tags/point-1.0.0",)
        types = (Point,)

        def to_yaml_tree(self, obj, tag, ctx):
            return {"x": obj.x}

        def from_yaml_tree(self, node, tag, ctx):
            return Point(node["x"])

    class Extension(library.extension.Extension):
        extension_uri = "asdf://example.org/extensions/point-1.0.0"
        converters = (Converter(),)
        tags = ("asdf://example.org/tags/point-1.0.0",)

    return Extension()


def test_extensions_of_one_file(tmp_path):
    ours = extension()
    asdf.AsdfFile({"p": Point(1.5)}, extensions=ours).write_to(tmp_path / "a.asdf")
    assert asdf.open(tmp_path / "a.asdf")["p"].tag == "asdf://example.org/tags/point-1.0.0"
    with asdf.open(tmp_path / "a.asdf", extensions=[ours], mode="rw") as file:
        assert file["p"].x == 1.5
        file["q"] = Point(2.5)
        file.update()
    assert asdf.load(tmp_path / "a.asdf", extensions=ours)["q"].x == 2.5
    with pytest.raises(tegula.UnsupportedError, match="Point"):
        asdf.dumps({"p": Point(1.0)})


def test_extensions_of_the_configuration():
    ours = extension()
    with asdf.config_context() as config:
        config.add_extension(ours)
        data = asdf.dumps({"p": Point(1.5)}, converters="asdf")
        assert asdf.open(data, converters="asdf")["p"].x == 1.5
        config.remove_extension(ours.extension_uri)
        assert config.extensions == []


def test_missing_extensions_are_told_if_asked():
    library = pytest.importorskip("asdf")
    data = asdf.dumps({"p": Point(1.5)}, extensions=extension())
    asdf.open(data)
    with pytest.warns(library.exceptions.AsdfWarning, match="point"):
        asdf.open(data, ignore_missing_extensions=False)
    with pytest.raises(tegula.UnsupportedError, match="point"):
        asdf.open(data, strict_extension_check=True)


def test_defaults_of_schemas(tmp_path):
    pytest.importorskip("asdf")
    file = asdf.AsdfFile({"a": np.arange(3), "deep": {"x": [1]}}, version="1.5.0")
    file.fill_defaults()
    file.remove_defaults()
    assert file["deep"] == {"x": [1]}
    assert np.asarray(file["a"]).tolist() == [0, 1, 2]
    file.write_to(tmp_path / "a.asdf")
    assert file.schema_info("title", "deep") is None or file.schema_info("title") is not None
    assert file.extension_manager is not None
