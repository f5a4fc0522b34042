"""Zip archives: written by zipfile and zarr-python, damaged and hostile."""

import contextlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import zipfile
import zlib

import numpy as np
import pytest
from conftest import write_ours
from test_fork import in_child

import tegula

METHODS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}


def pack(folder, archive, method=zipfile.ZIP_STORED, prefix=""):
    """Write the files below a folder to an archive."""
    with zipfile.ZipFile(archive, "w", method) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, prefix + str(path.relative_to(folder)))
    return archive


@pytest.mark.parametrize("method", METHODS)
def test_every_layout_is_read(sample, method, tmp_path):
    array = tegula.open_array(pack(sample.path, tmp_path / "x.zip", METHODS[method]))
    np.testing.assert_array_equal(array[...], sample.elements)
    np.testing.assert_array_equal(array[...], sample.elements)
    if sample.elements.ndim == 2:
        np.testing.assert_array_equal(array[3:12:2, 8:1:-3], sample.elements[3:12:2, 8:1:-3])
        np.testing.assert_array_equal(array.with_cache("1 MB")[5:, 7], sample.elements[5:, 7])
    assert isinstance(array.store, tegula.ZipStore)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_zip_stores_of_zarr_python(zarr_format, method, tmp_path):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "x.zarr.zip"
    elements = np.arange(600, dtype="<i4").reshape(20, 30)
    with zarr.storage.ZipStore(path, mode="w", compression=METHODS[method]) as store:
        root = zarr.create_group(store, zarr_format=zarr_format, attributes={"a": 1})
        array = root.create_group("deep").create_array("er", shape=(20, 30), chunks=(7, 9), dtype="<i4")
        array[...] = elements
        array.attrs["unit"] = "Jy"  # writes the metadata a second time
    group = tegula.open_group(path)
    assert group.attrs == {"a": 1}
    assert group.kinds(recursive=True) == {"deep": "group", "deep/er": "array"}
    for found in (
        group["deep/er"],
        tegula.open(path, "/deep/er"),
        tegula.open_array(f"{path}/deep", "er"),
        tegula.open_array(f"{path}/deep/er/"),
        tegula.open_array(tegula.ZipStore(path), "deep/er"),
    ):
        np.testing.assert_array_equal(found[...], elements)
        assert found.attrs == {"unit": "Jy"}
        assert found.name == f"{path}/deep/er"


def test_the_store(tmp_path, monkeypatch):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/b", b"text")
        file.mkdir("a/c")
        file.writestr("../out", b"")
    store = tegula.ZipStore(path)
    assert dict(store) == {"a/b": b"text"}
    assert "a" not in store
    assert repr(store) == f"tegula.ZipStore({str(path)!r})"
    assert store.path == str(path)
    with pytest.raises(tegula.NotFoundError, match=f"{path}/a/c"):
        store["a/c"]
    for change in (lambda: store.__setitem__("a/b", b""), lambda: store.__delitem__("a/b")):
        with pytest.raises(tegula.UnsupportedError, match="read-only"):
            change()
    with pytest.raises(tegula.UnsupportedError, match="entries that are not objects of a store"):
        tegula.create_array(path, "new", shape=(2,), dtype="int8")
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(pickle.dumps(tegula.ZipStore("x.zip")))
    assert again == store != tegula.FilesystemStore(path)
    assert len({again, store}) == 1
    monkeypatch.chdir("/")
    assert again["a/b"] == b"text"
    in_child(lambda: store["a/b"])


@pytest.mark.parametrize("name", ["x.zip", "x.ozx", "X.ZIP", "anything"])
def test_archives_by_any_name(name, tmp_path):
    elements = write_ours(tmp_path / "a", "zstd")
    archive = pack(tmp_path / "a", tmp_path / name, prefix="in/side/")
    np.testing.assert_array_equal(tegula.open_array(archive / "in" / "side")[...], elements)
    with pytest.raises(tegula.NotFoundError):
        tegula.open(archive / "in" / "other")
    with pytest.raises(tegula.NotFoundError):
        tegula.open(archive / ".." / "a")
    archive.write_bytes(b"#! a program\n" + archive.read_bytes())
    if name != "anything":
        np.testing.assert_array_equal(tegula.open_array(archive, "in/side")[...], elements)


def test_files_that_are_not_archives(tmp_path):
    path = tmp_path / "x.zip"
    for content in (b"", b"PK", b"no zip" * 99):
        path.write_bytes(content)
        with pytest.raises(tegula.InvalidMetadataError, match=r"x\.zip: not a zip archive"):
            tegula.open(path)
    path.write_bytes(b"PK\x03\x04" + bytes(99))
    with pytest.raises(tegula.CorruptDataError, match=r"x\.zip: the end of the zip archive is missing"):
        tegula.open(path / "a")


def test_folders_may_have_archive_names(tmp_path):
    (tmp_path / "x.zip").mkdir()
    write_ours(tmp_path / "x.zip", "zstd")
    assert isinstance(tegula.open(tmp_path / "x.zip").store, tegula.FilesystemStore)
    with pytest.raises(tegula.NotFoundError):
        tegula.open(tmp_path / "none.zip")
    with pytest.raises(tegula.NotFoundError):
        tegula.ZipStore(tmp_path / "none.zip")


def test_a_replaced_archive_is_read_again(tmp_path):
    write_ours(tmp_path / "a", "sharded zstd")
    array = tegula.open_array(pack(tmp_path / "a", tmp_path / "x.zip"))
    before = array[...]
    other = tegula.open_array(tmp_path / "a")
    other[:10] = 77
    pack(tmp_path / "a", tmp_path / "x.zip", zipfile.ZIP_DEFLATED)
    assert (array[:10] == 77).all()
    np.testing.assert_array_equal(array[10:], before[10:])
    (tmp_path / "x.zip").unlink()
    with pytest.raises(tegula.Error, match=r"x\.zip"):
        array[...]


def test_parts_of_uncompressed_entries_are_read_alone(tmp_path):
    array = tegula.create_array(tmp_path / "a", shape=(2048, 1024), chunks=(2048, 1024), dtype="f4", compressors=None)
    array[...] = elements = np.random.default_rng(0).random((2048, 1024), "f4")
    path = pack(tmp_path / "a", tmp_path / "x.zip")
    array = tegula.open_array(path)
    np.testing.assert_array_equal(array[1000], elements[1000])
    assert array.explain(1000).bytes_read == 4096
    bad = bytearray(path.read_bytes())
    bad[bad.index(elements[1500].tobytes())] ^= 1
    path.write_bytes(bad)
    np.testing.assert_array_equal(array[1000], elements[1000])
    with pytest.raises(tegula.CorruptDataError, match=r"chunk \(0, 0\) of .*CRC-32"):
        array[...]


def test_many_entries(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for number in range(70_000):  # more than a zip without zip64 can have
            file.writestr(f"{number % 3}/c/{number}", b"")
    store = tegula.ZipStore(tmp_path / "x.zip")
    assert len(store) == 70_000
    assert store["0/c/69999"] == b""
    assert "0/c/70002" not in store


@pytest.fixture
def small(tmp_path):
    """An archive of a small array, and its bytes."""
    array = tegula.create_array(tmp_path / "a", shape=(4,), chunks=(2,), dtype="u1", compressors=None, zarr_format=2)
    array[...] = [1, 2, 3, 4]
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.write(tmp_path / "a" / ".zarray", ".zarray", zipfile.ZIP_DEFLATED)
        file.write(tmp_path / "a" / "0", "0", zipfile.ZIP_STORED)
        file.write(tmp_path / "a" / "1", "1", zipfile.ZIP_DEFLATED)
    return path, path.read_bytes()


def test_cut_archives_are_errors(small):
    path, whole = small
    assert tegula.open_array(path)[...].tolist() == [1, 2, 3, 4]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises((tegula.CorruptDataError, tegula.InvalidMetadataError), match=r"x\.zip"):
            tegula.open_array(path)


def test_a_flipped_bit_is_an_error_or_harmless(small):
    path, whole = small
    for at in range(len(whole)):
        for bit in (0, 3, 7):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                found = tegula.open_array(path)[...].tolist()
            except tegula.Error:
                continue
            # The flip hit a chunk's name in the directory, or an offset that changes the names.
            assert all(value in (0, right) for value, right in zip(found, [1, 2, 3, 4], strict=True))


def edit(whole, name, **fields):
    """Change fields of an entry in the central directory only."""
    offsets = {"flags": (8, "H"), "method": (10, "H"), "crc": (16, "I"), "compressed": (20, "I"), "size": (24, "I")}
    offsets["header"] = (42, "I")
    bad = bytearray(whole)
    start = whole.rindex(b"PK\x01\x02", 0, whole.rindex(name))
    for field, value in fields.items():
        at, code = offsets[field]
        struct.pack_into("<" + code, bad, start + at, value)
    return bytes(bad)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"flags": 1}, tegula.UnsupportedError, "encrypted"),
        ({"method": 99}, tegula.UnsupportedError, "AES"),
        ({"method": 9}, tegula.UnsupportedError, "method 9"),
        ({"method": 14}, tegula.CorruptDataError, "differ"),
        ({"crc": 5}, tegula.CorruptDataError, "CRC-32"),
        ({"size": 2**32 - 2}, tegula.CorruptDataError, "at most"),
        ({"size": 2**32 - 2, "compressed": 2**32 - 2}, tegula.CorruptDataError, "at most"),
        ({"compressed": 2000}, tegula.CorruptDataError, "overlaps the next entry|cannot hold"),
        ({"header": 0}, tegula.CorruptDataError, "another zip entry begins|overlaps the next entry"),
        ({"header": 2**32 - 2}, tegula.CorruptDataError, "is not before the directory"),
        ({"header": 3}, tegula.CorruptDataError, "no entry begins|overlaps the next entry"),
    ],
)
@pytest.mark.parametrize("name", [b"0PK", b"1PK"])
def test_wrong_directories_are_errors(small, fields, error, message, name):
    path, whole = small
    path.write_bytes(edit(whole, name, **fields))
    with pytest.raises(error, match=message) as raised:
        tegula.open_array(path)[...]
    assert "x.zip" in str(raised.value)


@pytest.mark.parametrize("shards", [None, (4,)])
def test_bombs_are_refused(tmp_path, shards):
    path = tmp_path / "x.zip"
    array = tegula.create_array({}, shape=(4,), chunks=(2,), shards=shards, dtype="u1", compressors=None)
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = zeros.compress(bytes(1 << 20)) + zeros.flush(zlib.Z_FULL_FLUSH)
    bomb = piece * 1536 + zeros.flush()
    for metadata, size in ((False, 1536 << 20), (False, 2), (True, 1536 << 20), (True, 99)):
        with zipfile.ZipFile(path, "w") as file:
            if not metadata:
                file.writestr("zarr.json", array.store["zarr.json"])
            name = "zarr.json" if metadata else "c/0"
            file.writestr(name, bomb)
            header = file.getinfo(name).header_offset
        data = bytearray(edit(path.read_bytes(), name.encode() + b"PK", method=8, size=size))
        struct.pack_into("<H", data, header + 8, 8)
        path.write_bytes(data)
        with pytest.raises(tegula.CorruptDataError, match=r"at most|more than|shorter than"):
            tegula.open_array(path)[...]


def test_entries_that_share_bytes_are_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("outer", b"")
        file.writestr("inner", b"text")
    whole = path.read_bytes()
    inner = whole.index(b"PK\x03\x04", 4)
    # The data of the outer entry contains the header of the inner one.
    length = whole.index(b"PK\x01\x02") - 35
    data = edit(whole, b"outerPK", method=0, size=length, compressed=length, crc=zlib.crc32(whole[35:][:length]))
    data = data[:8] + b"\0\0" + data[10:]
    path.write_bytes(data)
    assert inner < 35 + length
    store = tegula.ZipStore(path)
    assert store["inner"] == b"text"
    with pytest.raises(tegula.CorruptDataError, match="overlaps the next entry"):
        store["outer"]


def test_written_archives_are_read_by_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elements = np.arange(600, dtype="<i4").reshape(20, 30)

    def in_other_process():
        with pytest.raises(tegula.StoreError, match="is being written already"):
            tegula.ZipStore("x.zarr.zip", mode="w")

    with tegula.ZipStore("x.zarr.zip", mode="w") as store:
        assert store.is_open
        group = tegula.create_group(store, attributes={"a": 1})
        array = group.create_array("déep/er", data=elements, chunks=(7, 9), shards=(14, 18))
        array.attrs["unit"] = "Jy"
        array[3:5] = 0
        np.testing.assert_array_equal(array[:2], elements[:2])
        tegula.create_array("x.zarr.zip", "flat", data=elements[0], zarr_format=2)  # the same archive
        assert list(tegula.open("x.zarr.zip")) == ["déep", "flat"]
        assert not os.path.exists("x.zarr.zip")
        with pytest.raises(tegula.StoreError, match="is being written already"):
            tegula.ZipStore("x.zarr.zip", mode="w")
        with pytest.raises(tegula.StoreError, match="pickle"):
            pickle.dumps(store)
        in_child(in_other_process)
    assert not store.is_open
    elements[3:5] = 0
    np.testing.assert_array_equal(array[...], elements)  # handles go on reading
    assert pickle.loads(pickle.dumps(store)) == store
    with zipfile.ZipFile("x.zarr.zip") as file:
        assert file.testzip() is None
        names = file.namelist()
        assert names[0] == "zarr.json"
        assert len(names) == len(set(names)) == 9
        assert {entry.compress_type for entry in file.infolist()} == {zipfile.ZIP_STORED}
        # Nothing is left of what was replaced.
        assert sum(len(file.read(name)) + 30 + len(name.encode()) for name in names) == file.start_dir
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tq", "x.zarr.zip"], check=True, capture_output=True)
    zarr = pytest.importorskip("zarr")
    with zarr.storage.ZipStore("x.zarr.zip", mode="r") as other:
        read = zarr.open_group(other, mode="r")
        assert dict(read.attrs) == {"a": 1}
        np.testing.assert_array_equal(read["déep/er"][...], elements)
        np.testing.assert_array_equal(zarr.open_array(other, path="flat", zarr_format=2, mode="r")[...], np.arange(30))


def test_written_archives_are_read_by_tensorstore(tmp_path):
    tensorstore = pytest.importorskip("tensorstore")
    tegula.save(tmp_path / "x.zip", elements := np.arange(600, dtype="<i4").reshape(20, 30), chunks=(7, 9))
    base = {"driver": "file", "path": str(tmp_path / "x.zip")}
    spec = {"driver": "zarr3", "kvstore": {"driver": "zip", "base": base, "path": ""}}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), elements)


@pytest.mark.parametrize("version", [None, "0.6"])
def test_ome_zarr_in_one_file(tmp_path, version):
    attributes = {"ome": {"version": version, "multiscales": []}} if version else {}
    with tegula.ZipStore(tmp_path / "x.ozx", "w") as store:
        group = tegula.create_group(store)
        group.create_array("b/0", data=np.arange(9), chunks=(2,))
        group.create_array("0", data=np.arange(9), chunks=(2,))
        group.attrs.update(attributes)
    with zipfile.ZipFile(tmp_path / "x.ozx") as file:
        comment = json.loads(file.comment)["ome"]
        names = [entry.filename for entry in sorted(file.infolist(), key=lambda entry: entry.header_offset)]
        assert names == file.namelist()
        assert file.testzip() is None
    assert comment == {"version": version or "0.5", "zipFile": {"centralDirectory": {"jsonFirst": True}}}
    metadata = [name for name in names if name.endswith("zarr.json")]
    assert names[:4] == metadata == ["zarr.json", "0/zarr.json", "b/zarr.json", "b/0/zarr.json"]
    assert b"PK\x06\x07" in (tmp_path / "x.ozx").read_bytes()[-300:]  # zip64
    with pytest.raises(tegula.UnsupportedError, match="needs a group or array at its root"):
        tegula.save(tmp_path / "y.ozx", np.arange(3), zarr_format=2)
    assert [path.name for path in tmp_path.iterdir()] == ["x.ozx"]


def test_many_written_entries(tmp_path):
    path = tmp_path / "x.zip"
    with tegula.ZipStore(path, mode="w") as store:
        for number in range(65_537):
            store[f"c/{number}"] = b"%d" % number
    with zipfile.ZipFile(path) as file:
        assert len(file.namelist()) == 65_537
        assert file.read("c/65536") == b"65536"
    assert len(tegula.ZipStore(path)) == 65_537


def test_archives_above_4_gib(tmp_path):
    """Two entries of 2.2 GiB and one beyond: written from zeros, which most filesystems take quickly."""
    if shutil.disk_usage(tmp_path).free < 12 << 30:
        pytest.skip("needs 12 GiB of disk space")
    if os.environ.get("TEGULA_LARGE_TESTS") != "1":
        pytest.skip("writes 4.4 GiB, which takes more than 20 s on a slow disk: set TEGULA_LARGE_TESTS=1")
    zeros = bytes(2200 << 20)
    with tegula.ZipStore(tmp_path / "x.zip", mode="w") as store:
        store["a"] = zeros
        store["b"] = zeros
        store["c"] = b"behind"
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        assert file.getinfo("c").header_offset > 1 << 32
        assert file.read("c") == b"behind"
    assert tegula.ZipStore(tmp_path / "x.zip")["c"] == b"behind"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_write_leaves_the_old_archive(tmp_path):
    path = tmp_path / "x.zip"
    tegula.save(path, {"a": np.arange(3)})
    before = path.read_bytes()
    for verb in (
        lambda: tegula.save(path, np.ones((80, 1 << 20), "u1"), overwrite=True, compressors=None, progress=stop),
        lambda: tegula.save(path, np.ones((80, 1 << 20), "u1"), "b", compressors=None, progress=stop),
        lambda: [tegula.create_group(path, overwrite=True), os._exit(9)],
    ):

        def stop(done, _):
            if done:
                os._exit(9)

        child = os.fork()
        if child == 0:
            try:
                verb()
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert path.read_bytes() == before
    left = tegula.validate(path).leftovers
    assert left
    assert len(left) == len(list(tmp_path.iterdir())) - 1
    assert sorted(tegula.validate(path, repair=True).removed) == sorted(left)
    assert [other.name for other in tmp_path.iterdir()] == ["x.zip"]
    child = os.fork()
    if child == 0:
        store = tegula.ZipStore(path, mode="w")
        store["a"] = b"x"
        os._exit(9)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) > 1
    tegula.save(path, np.arange(4), overwrite=True)  # the next writer
    assert [other.name for other in tmp_path.iterdir()] == ["x.zip"]


def test_a_store_is_given_up(tmp_path):
    path = tmp_path / "x.zip"
    tegula.save(path, np.arange(3))
    store = tegula.ZipStore(path, mode="w")
    with contextlib.suppress(ZeroDivisionError), store:
        store["a"] = b"1"
        raise ZeroDivisionError
    assert tegula.load(path).tolist() == [0, 1, 2]
    with pytest.raises(tegula.StoreError, match="given up"):
        store["a"] = b"2"
    with pytest.raises(tegula.StoreError, match='mode "w" replaces it'):
        tegula.ZipStore(path, mode="w-")
    with tegula.ZipStore(path, mode="a") as store:
        store["note"] = b"more"
    assert tegula.ZipStore(path)["note"] == b"more"
    with pytest.raises(ValueError, match="unknown mode"):
        tegula.ZipStore(path, mode="r+")
    store = tegula.ZipStore(tmp_path / "new/y.zip", mode="a")
    store["a"] = b"1"
    del store["a"]
    del store  # completed
    assert len(tegula.ZipStore(tmp_path / "new/y.zip")) == 0
    with pytest.raises(tegula.StoreError, match="is a folder"):
        tegula.ZipStore(tmp_path / "new", mode="w")


def test_with_blocks_complete_archives(tmp_path):
    with tegula.create_group(tmp_path / "g.zip") as group:
        with group.create_group("a") as inner:
            inner.create_array("b", data=np.arange(3))
        group.create_array("c", data=np.arange(4))
        assert not (tmp_path / "g.zip").exists()
    assert list(tegula.open_group(tmp_path / "g.zip").members(recursive=True)) == ["a", "a/b", "c"]
    with tegula.create_array(tmp_path / "a.zip", shape=(4,), dtype="i4") as array:
        array[:2] = 1
    assert tegula.load(tmp_path / "a.zip").tolist() == [1, 1, 0, 0]
    with contextlib.suppress(ZeroDivisionError), tegula.open(tmp_path / "b.zip", mode="w") as group:
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "g.zip"]
