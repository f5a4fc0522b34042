"""Writing ASDF files: where elements are stored, what is kept, and what the asdf library reads."""

import io
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import recfunctions

import tegula
import tegula.asdf

asdf = pytest.importorskip("asdf")
yaml = pytest.importorskip("yaml")

CODES = [
    "i1",
    "u1",
    "?",
    *(f"{o}{c}" for o in "<>" for c in ("i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16", "U3")),
    "S5",
]
RECORD = np.dtype([("a", "u1"), ("b", ">f8"), ("s", "S3"), ("v", "<i2", (2, 3)), ("r", [("x", "<f4"), ("y", ">u2")])])


def content(code) -> np.ndarray:
    dtype = np.dtype(code)
    if dtype.kind in "SU":
        return np.array([f"{i:x}" for i in range(24)]).reshape(4, 6).astype(dtype)
    return (np.arange(24).reshape(4, 6) % 100).astype(dtype)


def records() -> np.ndarray:
    elements = np.zeros(3, RECORD)
    elements["a"], elements["b"], elements["s"] = [1, 2, 3], [0.5, 1.5, -2], [b"a", b"bcd", b""]
    elements["v"], elements["r"]["y"] = np.arange(18).reshape(3, 2, 3), [7, 8, 9]
    return elements


def arrays() -> dict[str, np.ndarray]:
    base = np.arange(120.0).reshape(10, 12)
    return {
        **{code: content(code) for code in CODES},
        "records": records(),
        "part": records()["b"],
        "nan": np.array([np.nan, -np.inf, np.inf, -0.0]),
        "point": np.array(5.5),
        "none": np.empty((0, 3)),
        "none within": np.empty((3, 0, 2), "i2"),
        "columns": np.asfortranarray(base),
        "back": base[::-2, 1:],
        "one": np.broadcast_to(base[0], (3, 12)),
        "masked": np.ma.array(base[:2], mask=base[:2] % 3 == 0),
    }


def same(found, expected):
    found = found[...]
    assert found.shape == expected.shape
    assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    if isinstance(expected, np.ma.MaskedArray):
        np.testing.assert_array_equal(np.ma.getmaskarray(found), expected.mask)
        found, expected = found.compressed(), expected.compressed()
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def save(path, tree, **options):
    tegula.asdf.AsdfFile(tree).write_to(path, **options)
    return path


@pytest.mark.parametrize("compression", [None, "zlib", "lz4"])
@pytest.mark.parametrize("storage", ["internal", "inline", "external"])
def test_elements_in_every_storage(tmp_path, storage, compression):
    expected = arrays()
    if storage == "inline":
        # The library cannot read its own output for these.
        expected["records"] = recfunctions.repack_fields(records()[["a", "b"]])
    path = save(tmp_path / "a.asdf", expected, all_array_storage=storage, all_array_compression=compression)
    with tegula.asdf.open(path) as ours, asdf.open(path) as theirs:
        ours.validate()
        for key, array in expected.items():
            same(ours[key], array)
            same(theirs[key]._make_array(), array)
            where = "internal" if array.ndim == 0 and storage == "inline" else storage
            assert ours.get_array_storage(ours[key]) == where
            if where == "internal":
                assert ours.get_array_compression(ours[key]) == (compression if array.size else None)
        # It is written again in the same form.
        ours.write_to(tmp_path / "b.asdf")
        ours.write_to(tmp_path / "c.asdf", all_array_storage="internal", all_array_compression=None)
    with tegula.asdf.open(path, lazy_load=False) as loaded:
        assert all(isinstance(loaded[key], np.ndarray) for key in expected)
        loaded.write_to(tmp_path / "d.asdf")
    for name in "bcd":
        with tegula.asdf.open(tmp_path / f"{name}.asdf", validate_checksums=True) as again:
            for key, array in expected.items():
                same(again[key], array)
                # External blocks move into this file.
                here = "inline" if name != "c" and array.ndim and storage == "inline" else "internal"
                assert again.get_array_storage(again[key]) == here


def test_settings_of_arrays(tmp_path):
    array = np.arange(3000)
    file = tegula.asdf.AsdfFile({"a": array, "half": array[:7], "b": np.arange(4)})
    assert (file.get_array_storage(array), file.get_array_compression(array)) == ("internal", None)
    file.set_array_storage(array, "inline")
    assert file.get_array_storage(file["half"]) == "inline"
    file.write_to(tmp_path / "a.asdf")
    with tegula.asdf.open(tmp_path / "a.asdf") as read:
        assert len(read.blocks) == 1
        assert read.get_array_storage(read["half"]) == "inline"
        same(read["half"], array[:7])
    with pytest.raises(ValueError, match=r"unknown array storage.*internal"):
        file.set_array_storage(array, "elsewhere")
    with pytest.raises(tegula.UnsupportedError, match="zlib"):
        file.set_array_compression(array, "middle-out")


def test_each_array_follows_its_settings(tmp_path):
    tree = {
        "plain": np.arange(3000),
        "small": np.arange(3000.0),
        "out": np.arange(4),
        "in": np.arange(5),
        "s": np.eye(3),
    }
    file = tegula.asdf.AsdfFile(tree)
    file.set_array_compression(tree["small"], "zstd", level=1)
    file.set_array_compression(tree["out"], "lz4")
    for key, storage in {"out": "external", "in": "inline", "s": "streamed"}.items():
        file.set_array_storage(tree[key], storage)
    with pytest.raises(ValueError, match="one streamed array"):
        file.set_array_storage(tree["plain"], "streamed")
    assert file.get_array_compression_kwargs(tree["small"]) == {"level": 1}
    file.write_to(tmp_path / "a.asdf")
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.asdf", "a0000.asdf"}
    with asdf.open(tmp_path / "a.asdf") as theirs:
        for key, array in tree.items():
            same(theirs[key]._make_array(), array)
    with tegula.asdf.open(tmp_path / "a.asdf", validate=True) as ours:
        assert [block["compression"] for block in ours.blocks] == ["", "zstd", ""]
        assert tegula.asdf.open(tmp_path / "a0000.asdf").blocks[0]["compression"] == "lz4"
        for key, array in tree.items():
            same(ours[key], array)
            assert ours.get_array_storage(ours[key]) == file.get_array_storage(array)
        # The stream stays a stream, and external blocks move in with their compression.
        ours["new"] = np.arange(2)
        ours.write_to(tmp_path / "b.asdf")
        ours.write_to(tmp_path / "c.asdf", all_array_storage="internal", all_array_compression="zlib")
    with tegula.asdf.open(tmp_path / "b.asdf") as again:
        assert sorted(block["compression"] for block in again.blocks) == ["", "", "", "lz4", "zstd"]
        assert again.get_array_storage(again["s"]) == "streamed"
        for key, array in tree.items():
            same(again[key], array)
    with tegula.asdf.open(tmp_path / "c.asdf") as again:
        assert [block["compression"] for block in again.blocks] == ["zlib"] * 6
        for key, array in tree.items():
            same(again[key], array)


def test_two_streams_in_one_tree(tmp_path):
    paths = [tmp_path / "a.asdf", tmp_path / "b.asdf"]
    for path in paths:
        file = tegula.asdf.AsdfFile({"s": np.arange(6).reshape(2, 3)})
        file.set_array_storage(file["s"], "streamed")
        file.write_to(path)
    first, second = (tegula.asdf.open(path) for path in paths)
    save(tmp_path / "c.asdf", {"first": first["s"], "second": second["s"]})
    with tegula.asdf.open(tmp_path / "c.asdf") as file:
        assert [file.get_array_storage(file[key]) for key in ("first", "second")] == ["streamed", "internal"]
        for key in ("first", "second"):
            same(file[key], np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("dtype", ["<f4", ">i2", "S5", RECORD])
def test_rows_are_added(tmp_path, dtype):
    path = tmp_path / "a.asdf"
    rows = records() if dtype is RECORD else content(dtype)
    file = tegula.asdf.AsdfFile({"deep": [{"rows": rows[:0]}], "other": np.arange(5)})
    file.set_array_storage(file["deep"][0]["rows"], "streamed")
    file.write_to(path)
    with tegula.asdf.open(path) as file:
        before = file["deep"][0]["rows"]
        assert before.shape[0] == 0
        assert file.append("deep/0/rows", rows[:1]) == 1
        assert file.append("deep/0/rows", rows[1:]) == len(rows)
        for wrong in (rows[0], rows[..., None]):
            with pytest.raises(tegula.InvalidSelectionError):
                file.append("deep/0/rows", wrong)
        with pytest.raises(tegula.UnsupportedError):
            file.append("other", np.arange(3))
        with pytest.raises(tegula.NotFoundError):
            file.append("nowhere", rows)
    same(tegula.asdf.open(path)["deep"][0]["rows"], rows)
    with asdf.open(path) as theirs:
        same(theirs["deep"][0]["rows"]._make_array(), rows)
    with tegula.asdf.open(path, mode="r") as file, pytest.raises(tegula.StoreError, match="rw"):
        file.append("deep/0/rows", rows)


def test_views_share_a_block_on_request(tmp_path):
    base = np.arange(120.0).reshape(10, 12)
    tree = {"view": base[2:9:3, ::-1], "base": base, "row": base[4]}
    file = tegula.asdf.AsdfFile(tree)
    assert file.get_array_save_base(base) is None
    for wanted, count in ((None, 3), (True, 1), (False, 3)):
        file.set_array_save_base(base, wanted)
        assert file.get_array_save_base(tree["row"]) is wanted
        file.write_to(tmp_path / "a.asdf")
        with tegula.asdf.open(tmp_path / "a.asdf") as ours, asdf.open(tmp_path / "a.asdf") as theirs:
            assert len(ours.blocks) == count
            for key, array in tree.items():
                same(ours[key], array)
                same(theirs[key]._make_array(), array)


def test_column_order_is_kept(tmp_path):
    columns = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    with tegula.asdf.open(save(tmp_path / "a.asdf", {"a": columns})) as file:
        assert file["a"][...].flags.f_contiguous
        same(file["a"], columns)


def test_options_of_files(tmp_path):
    path, tree = tmp_path / "a.asdf", {"a": np.arange(1000), "b": np.float16([1, 2])}
    save(path, tree, pad_blocks=True)
    with tegula.asdf.open(path) as file, asdf.open(path) as theirs:
        assert all(block["allocated_size"] > block["used_size"] for block in file.blocks)
        for key, array in tree.items():
            same(file[key], array)
            same(theirs[key]._make_array(), array)
    save(path, tree, include_block_index=False, write_checksums=False)
    assert b"BLOCK INDEX" not in path.read_bytes()
    with asdf.open(path) as theirs:
        same(theirs["a"]._make_array(), tree["a"])
    for level in (1, 9):
        save(path, {"a": np.arange(9999) % 99}, all_array_compression="zlib", compression_kwargs={"level": level})
        with tegula.asdf.open(path) as file:
            same(file["a"], np.arange(9999) % 99)
    with pytest.raises(ValueError, match="unknown array storage"):
        save(path, tree, all_array_storage="elsewhere")
    with pytest.raises(tegula.UnsupportedError, match="pass a path"):
        tegula.asdf.AsdfFile(tree).write_to(io.BytesIO(), all_array_storage="external")


def test_versions_of_the_standard(tmp_path):
    path, array = tmp_path / "a.asdf", np.arange(1000)
    with pytest.raises(tegula.UnsupportedError, match="float16"):
        save(path, {"b": np.float16([1, 2])}, version="1.5.0")
    with pytest.raises(tegula.UnsupportedError, match=r"1\.6\.0"):
        save(path, {}, version="2.0.0")
    save(path, {"a": array}, version="1.4.0")
    save(tmp_path / "b.asdf", {"b": array})
    with tegula.asdf.open(path) as file, asdf.open(path) as theirs:
        assert (file.version, theirs.version_string) == ("1.4.0", "1.4.0")
        same(theirs["a"]._make_array(), array)
        # The file keeps its version, also with arrays of other files in the tree.
        file["new"] = tegula.asdf.open(tmp_path / "b.asdf")["b"]
        file.write_to(tmp_path / "c.asdf")
        save(tmp_path / "d.asdf", {"new": file["a"]})
    for name, version in {"c": "1.4.0", "d": "1.6.0"}.items():
        with asdf.open(tmp_path / f"{name}.asdf") as theirs:
            assert theirs.version_string == version
            same(theirs["new"]._make_array(), array)


@pytest.mark.parametrize("memmap", [True, False])
def test_loaded_arrays_are_independent(tmp_path, memmap):
    """Arrays loaded from one file share only its memory map."""
    tree = {"a": np.arange(100), "b": np.arange(7.0), "s": np.eye(3)}
    file = tegula.asdf.AsdfFile(tree)
    file.set_array_storage(tree["s"], "streamed")
    file.write_to(tmp_path / "a.asdf")
    with tegula.asdf.open(tmp_path / "a.asdf", lazy_load=False, memmap=memmap) as file:
        file.set_array_compression(file["a"], "zlib")
        file.set_array_save_base(file["b"], True)
        assert [file.get_array_storage(file[key]) for key in tree] == ["internal", "internal", "streamed"]
        assert [file.get_array_compression(file[key]) for key in tree] == ["zlib", None, None]
        file.write_to(tmp_path / "b.asdf")
    with tegula.asdf.open(tmp_path / "b.asdf") as file:
        assert [block["compression"] for block in file.blocks] == ["zlib", "", ""]
        assert file.blocks[1]["used_size"] == 56
        for key, array in tree.items():
            same(file[key], array)


# Scalars that YAML 1.1 and 1.2 read differently.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.from_regex(r"[-+]?[0-9_]{1,5}(\.[0-9_]{0,3})?([eE][-+]?[0-9]{1,3})?(:[0-5]?[0-9])?", fullmatch=True),
    st.sampled_from(
        ["yes", "No", "on", "OFF", "y", "n", "~", "null", "=", "<<", "0o17", "0777", "0b1", "0x1F", "1e10", "1.e5"]
    ),
    st.sampled_from(
        [".inf", "-.INF", ".nan", "2020-01-02", "2020-01-02 03:04:05", "- a", "a: b", "? a", "!a", "&a", "*a"]
    ),
    st.sampled_from(
        ["%a", "@a", "`a", "--- a", "...", "\u2028", "\x85", "\ufeff", "a\r\nb", " a", "a ", "a\n", "\n", "#a", "a #b"]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def alike(found, expected) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(alike(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    if isinstance(expected, int) and not isinstance(expected, bool) and not -(2**63) + 2 <= expected < 2**63:
        return isinstance(found, (int, asdf.IntegerType)) and int(found) == expected
    return type(found) is type(expected) and found == expected and str(found) == str(expected)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_trees_are_read_back_by_both(tree):
    buffer = io.BytesIO()
    tegula.asdf.AsdfFile({"x": tree}).write_to(buffer)
    data = buffer.getvalue()
    assert alike(tegula.asdf.open(data)["x"], tree)
    with asdf.open(io.BytesIO(data)) as theirs:
        assert alike(theirs.tree["x"], tree)


@settings(max_examples=150, deadline=None)
@given(SCALARS.filter(lambda value: not isinstance(value, int) or -(2**63) <= value < 2**63))
def test_scalars_are_plain_yaml(value):
    buffer = io.BytesIO()
    tegula.asdf.AsdfFile({"x": [value]}).write_to(buffer)
    text = buffer.getvalue().partition(b"%YAML 1.1")[2].replace(b"!core", b"!<!core", 0)
    tokens = yaml.compose(b"%YAML 1.1" + text, yaml.CSafeLoader)
    found = next(item for key, item in tokens.value if key.value == "x").value[0]
    expected = yaml.compose(yaml.safe_dump([value]), yaml.CSafeLoader).value[0]
    assert found.tag == expected.tag
    if isinstance(value, str):
        assert found.value == value
        # YAML 1.2 also reads it as a string.
        if found.style is None:
            assert not value.replace("_", "").isdigit()


# Opening.


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "BytesIO", "file", "in the middle", "unnamed"])
def test_invalid_paths(tmp_path, kind):
    path = save(tmp_path / "a.asdf", {"a": np.arange(9), "z": tegula.asdf.chunked(np.arange(9), chunks=4)})
    data = path.read_bytes()
    with open(path, "rb") as handle, open(path, "rb", buffering=0) as raw:
        middle = io.BytesIO(b"before" + data)
        middle.seek(6)
        fd = {
            "bytes": data,
            "bytearray": bytearray(data),
            "BytesIO": io.BytesIO(data),
            "file": handle,
            "in the middle": middle,
            "unnamed": raw,
        }[kind]
        file = tegula.asdf.open(fd)
    # The source may be closed after opening.
    same(file["a"], np.arange(9))
    same(file["z"], np.arange(9))
    with pytest.raises(tegula.StoreError):
        tegula.asdf.open(data).update()


def test_files_are_open_for_bytes(tmp_path):
    save(tmp_path / "a.asdf", {})
    with pytest.raises(TypeError), open(tmp_path / "a.asdf") as text:
        tegula.asdf.open(io.StringIO(text.read()))
    with pytest.raises(tegula.InvalidMetadataError):
        tegula.asdf.open(b"nothing of the kind")
    for options in ({"mode": "w"}, {"converters": "all"}):
        with pytest.raises(ValueError, match="use"):
            tegula.asdf.open(tmp_path / "a.asdf", **options)


def test_writing_to_open_files(tmp_path):
    with open(tmp_path / "a.asdf", "wb") as out:
        out.write(b"before")
        tegula.asdf.AsdfFile({"a": np.arange(5)}).write_to(out)
    data = (tmp_path / "a.asdf").read_bytes()
    assert data.startswith(b"before#ASDF")
    same(tegula.asdf.open(data[6:])["a"], np.arange(5))


def test_bytes_with_a_uri_find_external_files(tmp_path):
    save(tmp_path / "other.asdf", {"x": [1, 2]})
    tree = {"r": tegula.asdf.Reference("other.asdf#/x/1")}
    data = save(tmp_path / "a.asdf", tree).read_bytes()
    assert tegula.asdf.open(data, uri=str(tmp_path / "a.asdf"))["r"].resolve() == 2
    assert tegula.asdf.open(data, uri=(tmp_path / "a.asdf").as_uri())["r"].resolve() == 2
    with pytest.raises(tegula.NotFoundError):
        tegula.asdf.open(data)["r"].resolve()


def test_loading_all_at_once(tmp_path):
    tree = {"a": np.arange(9), "deep": [{"b": np.arange(3.0)}], "z": tegula.asdf.chunked(np.arange(4))}
    tree["again"] = tree["a"]
    path = save(tmp_path / "a.asdf", tree, all_array_compression="zlib")
    with tegula.asdf.open(path, lazy_load=False) as file:
        assert type(file["a"]) is np.ndarray
        assert file["again"] is file["a"]
        same(file["deep"][0]["b"], np.arange(3.0))
        assert file["z"].is_zarr
        path.unlink()
        file["a"][0] = 7
        file.write_to(path)
    with tegula.asdf.open(path) as file:
        assert file["a"][0] == 7


# Changing.


@pytest.mark.parametrize("memmap", [True, False])
def test_update_leaves_readers_alone(tmp_path, memmap):
    path = save(tmp_path / "a.asdf", {"a": np.arange(1000), "b": np.arange(7)})
    reader = tegula.asdf.open(path, memmap=memmap)
    view = reader["a"][10:]
    with tegula.asdf.open(path, mode="rw", memmap=memmap) as file:
        for i in range(3):
            file["new"] = np.full(5, i)
            file.tree.pop("b", None)
            file.update()
            same(file["a"], np.arange(1000))
            with asdf.open(path) as theirs:
                assert list(theirs["new"]) == [i] * 5
                assert "b" not in theirs
    assert view.tolist() == list(range(10, 1000))
    same(reader["b"], np.arange(7))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.asdf"]
    with tegula.asdf.open(path, mode="r") as file, pytest.raises(tegula.StoreError, match="rw"):
        file.update()
    with pytest.raises(tegula.StoreError):
        tegula.asdf.AsdfFile({}).update()


def test_links_and_permissions_stay(tmp_path):
    (tmp_path / "real").mkdir()
    real = save(tmp_path / "real" / "a.asdf", {"a": np.arange(1000)})
    real.chmod(0o600)
    link = tmp_path / "link.asdf"
    link.symlink_to("real/b.asdf")
    (tmp_path / "real" / "b.asdf").symlink_to(real)
    with tegula.asdf.open(link, mode="rw") as file:
        file["b"] = np.arange(3)
        file.update()
    assert link.is_symlink()
    assert not real.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    with tegula.asdf.open(real) as file:
        same(file["b"], np.arange(3))
    new = tmp_path / "new.asdf"
    new.symlink_to("real/new.asdf")
    save(new, {"a": np.arange(5)})
    assert new.is_symlink()
    with asdf.open(tmp_path / "real" / "new.asdf") as file:
        assert list(file["a"]) == list(range(5))
    # References are relative to the path that the file was opened with.
    tegula.AsdfFile({"a": np.arange(6)}).write_to(new, all_array_storage="external")
    for module in (asdf, tegula.asdf):
        with module.open(new) as file:
            assert list(file["a"]) == list(range(6))


def test_only_regular_files_are_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    for name in ("folder", "pipe", "round"):
        with pytest.raises(tegula.StoreError, match=name):
            save(tmp_path / name, {"a": np.arange(5)})
    with pytest.raises(tegula.StoreError, match="not a regular file"):
        save(Path("/dev/null"), {"a": np.arange(5)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe", "round"]
    assert not any((tmp_path / "folder").iterdir())


def test_a_failed_update_changes_nothing(tmp_path):
    path = save(tmp_path / "a.asdf", {"a": np.arange(1000)})
    before = path.read_bytes()
    with tegula.asdf.open(path) as file:
        file["x"] = object()
        with pytest.raises(tegula.UnsupportedError):
            file.update()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.asdf"]


def test_history(tmp_path):
    file = tegula.asdf.AsdfFile({"a": 1})
    assert file.get_history_entries() == []
    file.add_history_entry("made", {"name": "maker", "version": "1"})
    file.add_history_entry("cut", [{"name": "knife", "version": "2"}, {"name": "fork", "version": "3"}])
    with pytest.raises(ValueError, match="name and a version"):
        file.add_history_entry("eaten", {"name": "mouth"})
    file.write_to(tmp_path / "a.asdf")
    with asdf.open(tmp_path / "a.asdf") as theirs:
        entries = theirs.get_history_entries()
        assert [entry["description"] for entry in entries] == ["made", "cut"]
        assert entries[1]["software"][1]["name"] == "fork"
        theirs.add_history_entry("theirs")
        theirs.write_to(tmp_path / "b.asdf")
    with tegula.asdf.open(tmp_path / "b.asdf") as ours:
        ours.add_history_entry("ours")
        ours.validate()
        ours.write_to(tmp_path / "c.asdf")
    found = tegula.asdf.open(tmp_path / "c.asdf").get_history_entries()
    assert [entry["description"] for entry in found] == ["made", "cut", "theirs", "ours"]


def test_references_that_we_make(tmp_path):
    save(tmp_path / "one.asdf", {"a/b": {"~": np.arange(5)}, "list": [1, 2]})
    one = tegula.asdf.open(tmp_path / "one.asdf")
    tree = {"x": one.make_reference(["a/b", "~"]), "y": {"$ref": "one.asdf#/list/1"}, "all": one.make_reference()}
    file = tegula.asdf.AsdfFile(tree)
    assert file["x"].uri == "one.asdf#/a~1b/~0"
    same(file["x"].resolve(), np.arange(5))
    file.find_references()
    assert isinstance(file["y"], tegula.asdf.Reference)
    file.write_to(tmp_path / "two.asdf")
    with asdf.open(tmp_path / "two.asdf") as theirs:
        theirs.find_references()
        theirs.resolve_references()
        assert theirs["y"] == 2
        assert list(theirs["x"]) == [0, 1, 2, 3, 4]
    with tegula.asdf.open(tmp_path / "two.asdf") as ours:
        assert ours.open_external("one.asdf")["list"] == [1, 2]
        ours.resolve_references()
        assert ours["y"] == 2
        same(ours["x"], np.arange(5))
        # The tree now contains the target of the reference.
        ours.write_to(tmp_path / "alone.asdf")
    (tmp_path / "one.asdf").unlink()
    same(tegula.asdf.open(tmp_path / "alone.asdf")["x"], np.arange(5))


def test_copies(tmp_path):
    file = tegula.asdf.AsdfFile({"a": np.arange(3), "d": {"l": [1]}})
    file["loop"] = file["d"]
    twin = file.copy()
    twin["a"][0] = 7
    twin["d"]["l"].append(2)
    assert file["a"][0] == 0
    assert file["d"] == {"l": [1]}
    assert twin["loop"] is twin["d"]


# Files that the library writes.


@pytest.mark.parametrize("version", ["1.0.0", "1.3.0", "1.5.0", "1.6.0"])
@pytest.mark.parametrize(
    "options", [{}, {"all_array_storage": "inline"}, {"all_array_compression": "zlib"}, {"pad_blocks": True}]
)
def test_files_of_the_library_are_rewritten(tmp_path, version, options):
    expected = {key: array for key, array in arrays().items() if array.ndim and not (version < "1.6" and "f2" in key)}
    if "all_array_storage" in options:
        for key in ("none within", "records"):
            expected.pop(key)
    asdf.AsdfFile({**expected, "c": 1 - 2j, "when": [1, {"x": "y"}]}, version=version).write_to(
        tmp_path / "a.asdf", **options
    )
    for lazy in (True, False):
        with tegula.asdf.open(tmp_path / "a.asdf", lazy_load=lazy) as file:
            assert file.version == version
            file.write_to(tmp_path / "b.asdf")
        with tegula.asdf.open(tmp_path / "b.asdf") as ours, asdf.open(tmp_path / "b.asdf") as theirs:
            for key, array in expected.items():
                same(ours[key], array)
                same(theirs[key]._make_array(), array)
            for found in (ours, theirs):
                assert found["c"] == 1 - 2j
                assert found["when"] == [1, {"x": "y"}]


@pytest.mark.parametrize("memmap", [True, False])
@pytest.mark.parametrize("compression", [None, "zlib", "lz4"])
def test_threads_read_the_right_arrays(tmp_path, compression, memmap):
    """Eight threads read 200 arrays of one open file, five times."""
    path = tmp_path / "a.asdf"
    asdf.AsdfFile({"arrays": [np.full(1000, i) for i in range(200)]}).write_to(path, all_array_compression=compression)
    with tegula.asdf.open(path, memmap=memmap) as file, ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            found = pool.map(lambda i: np.array_equal(file["arrays"][i][:], np.full(1000, i)), range(200))
            assert math.prod(found)


def test_integers_too_large_for_yaml_go_into_blocks(tmp_path):
    arrays = {"large": np.array([1, 2**64 - 1], "u8"), "small": np.array([1, 2**63 - 1], "u8")}
    tegula.asdf.AsdfFile(arrays).write_to(tmp_path / "a.asdf", all_array_storage="inline")
    with tegula.asdf.open(tmp_path / "a.asdf") as file, asdf.open(tmp_path / "a.asdf") as theirs:
        assert [file.get_array_storage(file[name]) for name in arrays] == ["internal", "inline"]
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name][...], array)
            np.testing.assert_array_equal(theirs[name][...], array)
