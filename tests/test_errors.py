import inspect
import pickle
import subprocess
import sys
import traceback

import numpy as np
import pytest
from conftest import write_ours

import tegula
from tegula import _tegula, errors

CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if not issubclass(found, Warning)]
BUILTINS = {
    "NotFoundError": (FileNotFoundError, KeyError),
    "InvalidSelectionError": (IndexError,),
    "InvalidMetadataError": (ValueError,),
    "UnsupportedError": (NotImplementedError,),
    "CorruptDataError": (ValueError,),
    "StoreError": (OSError,),
    "OutOfMemoryError": (MemoryError,),
    "InterruptedError": (InterruptedError,),
}


def test_kinds_of_the_core_and_exceptions_are_the_same():
    assert {found.__name__ for found in CLASSES} == {*_tegula.error_kinds(), "Error"}
    assert {found.__name__ for found in CLASSES} == set(errors.__all__) - {"DamagedWarning"}
    assert set(BUILTINS) == set(_tegula.error_kinds())


@pytest.mark.parametrize("found", CLASSES)
def test_exceptions(found):
    assert issubclass(found, tegula.Error)
    assert getattr(tegula, found.__name__) is found
    assert all(issubclass(found, builtin) for builtin in BUILTINS.get(found.__name__, ()))
    error = found("cannot decode chunk (0, 3) of 'a': why")
    for other in (error, pickle.loads(pickle.dumps(error))):
        assert type(other) is found
        assert str(other) == "cannot decode chunk (0, 3) of 'a': why"
        assert "".join(traceback.format_exception_only(other)).endswith("of 'a': why\n")
    assert str(found()) == ""


def test_missing_nodes(tmp_path):
    write_ours(tmp_path / "data.zarr", "zstd")
    group = tegula.create_group(tmp_path / "groups.zarr")
    group.create_array("a", shape=(2,), dtype="int8")
    for read in (
        lambda: tegula.open_array(tmp_path / "no"),
        lambda: tegula.open(tmp_path / "no"),
        lambda: tegula.open_group(tmp_path / "no"),
        lambda: tegula.open_array(tmp_path / "data.zarr", "b"),
        lambda: tegula.open_array(tmp_path / "data.zarr" / "zarr.json"),
        lambda: tegula.open_array(tmp_path / "groups.zarr"),
        lambda: tegula.open_group(tmp_path / "data.zarr"),
        lambda: tegula.open_array(tmp_path / "groups.zarr", "../data.zarr"),
        lambda: group["b"],
        lambda: group["a/b"],
        lambda: tegula.MemoryStore()["a"],
        lambda: tegula.open({}),
    ):
        with pytest.raises(tegula.NotFoundError) as raised:
            read()
        assert isinstance(raised.value, (FileNotFoundError, KeyError))
        assert str(raised.value)[0] not in "'\""[:1]
    with pytest.raises(tegula.NotFoundError, match=r"groups\.zarr.* is a group, not an array"):
        tegula.open_array(tmp_path / "groups.zarr")


def test_paths_of_nodes_inside(tmp_path):
    group = tegula.create_group(tmp_path / "data.zarr")
    group.create_array("group/array", shape=(2,), dtype="int8", fill_value=5)
    for array in (
        tegula.open_array(tmp_path / "data.zarr" / "group" / "array"),
        tegula.open_array(str(tmp_path / "data.zarr"), "group/array"),
        tegula.open_array(f"{tmp_path}/data.zarr/group", "/array/"),
        tegula.open(tegula.FilesystemStore(tmp_path), "data.zarr/group/array"),
    ):
        np.testing.assert_array_equal(array[...], [5, 5])


def test_wrong_metadata(tmp_path):
    for text in (
        "",
        "{",
        "[]",
        '{"zarr_format": 3, "node_type": "array"}',
        '{"zarr_format": 4}',
        '{"zarr_format": 3, "node_type": "table"}',
    ):
        (tmp_path / "zarr.json").write_text(text)
        with pytest.raises((tegula.InvalidMetadataError, tegula.UnsupportedError), match=r"zarr\.json"):
            tegula.open(tmp_path)


def test_unknown_codecs_list_the_known_ones(tmp_path):
    write_ours(tmp_path, "zstd")
    file = tmp_path / "zarr.json"
    file.write_text(file.read_text().replace('"zstd"', '"imagecodecs_jpegxl"'))
    known = r'zarr.json: codecs: codec imagecodecs_jpegxl: unknown codec "imagecodecs_jpegxl"; tegula has .*zstd'
    with pytest.raises(tegula.UnsupportedError, match=f"{known}.*pip install imagecodecs$"):
        tegula.open_array(tmp_path)
    file.write_text(file.read_text().replace('"imagecodecs_jpegxl"', '"nobody.knows"'))
    with pytest.raises(tegula.UnsupportedError, match=r'"nobody.knows"; tegula has .*zstd'):
        tegula.open_array(tmp_path)


def test_types_from_packages_name_the_package(tmp_path):
    tegula.create_array(tmp_path, shape=(4,), dtype="bfloat16")
    code = f"""
import sys
sys.modules["ml_dtypes"] = None  # as if it were not installed
import tegula
try:
    tegula.open_array({str(tmp_path)!r})
except tegula.UnsupportedError as error:
    assert "pip install ml_dtypes" in str(error), error
    assert {str(tmp_path)!r} in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "damage", [lambda stored: stored[:-5], lambda stored: b"", lambda stored: stored[:9] + b"xxxx" + stored[13:]]
)
def test_damaged_chunks(tmp_path, damage):
    write_ours(tmp_path, "zstd")
    array = tegula.open_array(tmp_path)
    chunk = tmp_path / array.chunk_key((1, 2))
    chunk.write_bytes(damage(chunk.read_bytes()))
    for read in (lambda: array[...], lambda: array[6, 15], lambda: array.retrieve_chunk((1, 2))):
        with pytest.raises(tegula.CorruptDataError, match=r"cannot decode chunk \(1, 2\) of .*: zstd"):
            read()
    array[0, 0]


def test_wrong_types_are_type_errors(samples):
    array = samples["ours", "plain"].array
    for use in (
        lambda: tegula.open_array(5),
        lambda: tegula.open_array(None),
        lambda: array.retrieve_chunk("01"),
        lambda: array.retrieve_chunk((0.5, 0)),
        lambda: array.retrieve_chunk(None),
        lambda: array.retrieve_array_subset(5),
        lambda: array.retrieve_array_subset(None),
        lambda: array.retrieve_array_subset((..., slice(None))),
        lambda: array.with_cache([]),
        lambda: array.store_chunk((0, 0), "text") if False else array.erase_chunk({}.get),
        lambda: tegula.Array(),
        lambda: tegula.Group(),
    ):
        with pytest.raises(TypeError):
            use()


class Angry(dict):
    def __getitem__(self, key):
        raise PermissionError(f"no {key} for you")

    def __setitem__(self, key, value):
        raise PermissionError(f"no {key} for you")


def test_errors_of_mappings_are_store_errors():
    with pytest.raises(tegula.StoreError, match=r"PermissionError: no zarr\.json for you"):
        tegula.open_array(Angry())
    with pytest.raises(tegula.StoreError, match="TypeError"):
        tegula.open_array({"zarr.json": 5})


def test_failing_stores(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(tegula.StoreError):
        tegula.create_array(tmp_path / "file" / "a", shape=(2,), dtype="int8")
