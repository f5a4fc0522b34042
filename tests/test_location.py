"""Creation and deletion of nodes: exclusive, complete, and never outside the store."""

import contextlib
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from test_fork import in_child

import tegula

DATA = np.arange(24, dtype="i4").reshape(4, 6)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def linked(tmp_path):
    """A store with links to an archive beside it: to a group, to an array, to files and to itself."""
    tegula.save(tmp_path / "archive", {"precious": DATA, "more/a": DATA})
    work = tegula.create_group(tmp_path / "work")
    group = work.create_group("g")
    group.create_array("own", data=DATA)
    (tmp_path / "work/g/array").symlink_to(tmp_path / "archive/precious")
    (tmp_path / "work/g/group").symlink_to("../../archive")
    (tmp_path / "work/g/own/c/9").symlink_to(tmp_path / "archive/precious/c")
    (tmp_path / "work/g/own/c/0/7").symlink_to(tmp_path / "archive/precious/zarr.json")
    (tmp_path / "work/inside").symlink_to("g")
    (tmp_path / "link").symlink_to("work")
    return tmp_path


@pytest.mark.parametrize(
    "erase",
    [
        lambda path: tegula.delete(path / "work", "g"),
        lambda path: tegula.delete(path / "work"),
        lambda path: tegula.delete(path / "work" / "g" / "array"),
        lambda path: tegula.delete(path / "work" / "g", "group"),
        lambda path: tegula.delete(path / "work/inside", "own"),
        lambda path: tegula.delete(path / "work", "inside/own"),
        lambda path: tegula.open_group(path / "work").__delitem__("g"),
        lambda path: tegula.save(path / "work", DATA, overwrite=True),
        lambda path: tegula.save(path / "work", {"a": DATA}, "g", overwrite=True),
        lambda path: tegula.save(path / "work/g/array", DATA, overwrite=True),
        lambda path: tegula.copy(path / "work/g/own", path / "work", "g/group", overwrite=True),
        lambda path: tegula.create_array(path / "work/g/own", shape=(3,), dtype="i2", overwrite=True),
        lambda path: tegula.create_group(path / "work", "g", overwrite=True),
        lambda path: tegula.open(path / "work", "g", mode="w"),
        lambda path: tegula.FilesystemStore(path / "work").clear(),
    ],
)
def test_links_are_removed_and_not_followed(linked, erase):
    before = files(linked / "archive")
    erase(linked)
    assert files(linked / "archive") == before
    np.testing.assert_array_equal(tegula.load(linked / "archive/precious"), DATA)


def test_nothing_is_erased_through_a_link_above(linked):
    before = files(linked)
    with pytest.raises(tegula.StoreError, match="leads out of the store"):
        tegula.delete(linked / "work", "g/group/precious")
    with pytest.raises(tegula.StoreError, match="leads out of the store"):
        tegula.save(linked / "work", DATA, "g/group/more", overwrite=True)
    assert files(linked) == before
    tegula.delete(linked / "link", "g/own")  # the store itself is at a link
    assert not (linked / "work/g/own").exists()


def test_other_files_of_a_folder_stay(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/1").write_text("mine")
    (tmp_path / "notes/readme").write_text("mine")
    with pytest.raises(tegula.NotFoundError):
        tegula.delete(tmp_path / "notes")
    tegula.save(tmp_path / "notes", DATA, overwrite=True)
    assert {"1", "readme"} <= set(files(tmp_path / "notes"))


def killed(make):
    """Run something in a child that is killed."""
    child = os.fork()
    if child == 0:
        try:
            make(lambda done, total: done > total // 3 and os._exit(9))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


LEFT = {
    "save": lambda to, stop: tegula.save(to, np.full((40, 4 << 20), 7, "u1"), chunks=(1, 1 << 20), progress=stop),
    "copy": lambda to, stop: tegula.rechunk(
        np_array(), to, chunks=(10, 10), compressors=None, max_memory="200 kB", progress=stop
    ),
    "delete": lambda to, _: half_deleted(to, 3),
    "delete of V2": lambda to, _: half_deleted(to, 2),
}


def np_array():
    return tegula.create_array({}, data=np.full((300, 300), 7, "i4"), chunks=(10, 10), compressors=None)


def half_deleted(to, zarr_format):
    tegula.create_array(to, data=np.full((300, 300), 7, "i4"), chunks=(10, 10), zarr_format=zarr_format)
    for name in ("zarr.json", ".zarray"):
        tegula.FilesystemStore(to).pop(name, None)
    os._exit(9)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("inside", ["", "group/array"])
def test_chunks_of_a_killed_writer_are_no_elements(tmp_path, left, inside):
    zarr_format = 2 if left.endswith("V2") else 3
    to = tmp_path / "x" / inside
    killed(lambda stop: LEFT[left](str(to), stop))

    def create(**properties):
        given = {"shape": (300, 300), "dtype": "i4", "chunks": (10, 10), "compressors": None, **properties}
        return tegula.create_array(tmp_path / "x", inside, zarr_format=zarr_format, **given)

    with pytest.raises(tegula.StoreError, match=r"would become a chunk of the new array.*overwrite=True"):
        create()
    with pytest.raises(tegula.StoreError, match="would become a chunk"):
        tegula.save(to, DATA, chunks=(2, 2), zarr_format=zarr_format)
    with pytest.raises(tegula.StoreError, match="would become a chunk"):
        tegula.copy(DATA, to, zarr_format=zarr_format)
    assert not create(overwrite=True)[...].any()
    tegula.delete(to)
    killed(lambda stop: LEFT[left](str(to), stop))
    tegula.delete(to)
    assert not create()[...].any()


def test_groups_are_not_copied_over_leftovers(tmp_path):
    tegula.save(tmp_path / "x", {"a": DATA, "b/c": DATA})
    for path in ("zarr.json", "a/zarr.json", "b/zarr.json", "b/c/zarr.json"):
        (tmp_path / "x" / path).unlink()
    sparse = tegula.create_group({})
    sparse.create_array("b/c", shape=(4, 6), dtype="i4")
    with pytest.raises(tegula.StoreError, match="b/c/c/0/0 would become a chunk"):
        tegula.copy(sparse, tmp_path / "x")
    assert not tegula.copy(sparse, tmp_path / "x", overwrite=True)["b/c"][...].any()
    tegula.delete(tmp_path / "x")
    for path in ("zarr.json", "a/zarr.json"):
        (tmp_path / "x" / path).unlink(missing_ok=True)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("store", [dict, tegula.MemoryStore])
def test_leftovers_in_memory(store):
    objects = store()
    tegula.create_array(objects, "a", data=DATA)
    del objects["a/zarr.json"]
    with pytest.raises(tegula.StoreError, match="would become a chunk"):
        tegula.create_array(objects, "a", shape=(4, 6), dtype="i4")
    tegula.delete(objects, "a")
    assert list(objects) == ["zarr.json"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("overwrite", [False, True])
def test_one_of_two_creators_wins(tmp_path, overwrite):
    def create(value):
        for number in range(40):
            elements = np.full((20, 20), value)
            try:
                if number % 2:
                    tegula.create_array(f"{tmp_path}/{number}", data=elements, chunks=(5, 5), overwrite=overwrite)
                else:
                    tegula.save(f"{tmp_path}/{number}", {"a": elements}, chunks=(5, 5), overwrite=overwrite)
            except tegula.StoreError as error:
                if overwrite or "already exists" not in str(error):
                    raise

    children = []
    for value in (1, 2, 3):
        child = os.fork()
        if child == 0:
            ended = 1
            try:
                create(value)
                ended = 0
            finally:
                os._exit(ended)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    for number in range(40):
        node = tegula.open(f"{tmp_path}/{number}")
        assert len(np.unique((node if number % 2 else node["a"])[...])) == 1
    assert not [name for name in files(tmp_path) if ".tegula" in name]


def test_a_failed_creation_leaves_no_folders(tmp_path):
    tegula.create_array(tmp_path / "s", "a", data=DATA)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(tegula.StoreError, match="it is an array"):
        tegula.create_array(tmp_path / "s", "a/b/c", data=DATA)
    with pytest.raises(ZeroDivisionError):
        tegula.create_array(tmp_path / "s", "new", data=DATA, progress=lambda *_: 1 / 0)
    with pytest.raises(tegula.UnsupportedError, match='mode "r"'):
        tegula.create_array(tegula.open_group(tmp_path / "s", mode="r").store, "new", data=DATA)
    assert sorted(tmp_path.rglob("*")) == before


def test_growing_shows_the_fill_value(tmp_path):
    for zarr_format, properties in ((3, {}), (2, {}), (3, {"shards": (4, 4)})):
        path = tmp_path / f"{zarr_format}{len(properties)}"
        array = tegula.create_array(
            path, shape=(5, 5), dtype="i4", chunks=(2, 2), fill_value=9, zarr_format=zarr_format, **properties
        )
        array[...] = 1
        longer = tegula.open_array(path)
        longer.append(np.full((6, 5), 7))
        # As a writer leaves it that is killed before it stores the new shape.
        document = path / ("zarr.json" if zarr_format == 3 else ".zarray")
        document.write_text(document.read_text().replace("11,", "5,").replace("11\n", "5\n"))
        array = tegula.open_array(path)
        assert array.shape == (5, 5)
        array.resize((12, 7))
        assert (array[:5, :5] == 1).all()
        assert (array[5:] == 9).all()
        assert (array[:, 5:] == 9).all()
        array[...] = 3
        array.resize((3, 3))
        array.resize((7, 7))
        assert (array[:3, :3] == 3).all()
        assert (np.delete(array[...].ravel(), [7 * y + x for y in range(3) for x in range(3)]) == 9).all()


def test_growing_lists_little(tmp_path):
    array = tegula.create_array(tmp_path / "a", shape=(1 << 40, 1 << 40), dtype="u1", chunks=(1 << 10, 1 << 10))
    array[0, 0] = 1
    array.resize((1 << 41, (1 << 40) + 5))
    array.resize(((1 << 41) + 5, (1 << 40) + 6))
    assert (array[0, 0], array.shape) == (1, ((1 << 41) + 5, (1 << 40) + 6))


def test_an_archive_is_not_completed_by_a_forked_child(tmp_path):
    store = tegula.ZipStore(tmp_path / "x.zip", mode="w")
    tegula.create_array(store, data=DATA)

    def in_other_process():
        np.testing.assert_array_equal(tegula.open_array(store)[...], DATA)
        with pytest.raises(tegula.StoreError, match="another one"):
            store.close()

    in_child(in_other_process)
    store.close()
    np.testing.assert_array_equal(tegula.load(tmp_path / "x.zip"), DATA)


def test_python_ends_with_complete_archives(tmp_path):
    code = f"""if 1:
        import tegula
        group = tegula.create_group("{tmp_path}/end.zip")
        group.create_array("a", data=[1, 2, 3])
        if FAIL: raise SystemError
    """
    subprocess.run([sys.executable, "-c", code.replace("FAIL", "False")], capture_output=True, check=True)
    assert tegula.open_group(tmp_path / "end.zip")["a"][2] == 3
    tegula.save(tmp_path / "end.zip", DATA, overwrite=True)
    replace = code.replace('end.zip")', 'end.zip", overwrite=True)').replace("FAIL", "True")
    ended = subprocess.run([sys.executable, "-c", replace], capture_output=True, text=True, check=False)
    assert "was not written" in ended.stderr
    np.testing.assert_array_equal(tegula.load(tmp_path / "end.zip"), DATA)
    assert files(tmp_path) == ["end.zip"]


def test_members_of_a_half_deleted_group_stay_its_members():
    class Failing(dict):
        def __delitem__(self, key):
            if key == "x/z/zarr.json":
                raise OSError("stopped")
            super().__delitem__(key)

    store = Failing()
    tegula.save(store, {"a": DATA, "b/c": DATA, "z": DATA}, "x")
    with pytest.raises(tegula.StoreError, match="stopped"):
        tegula.delete(store, "x")
    assert list(tegula.open_group(store, "x")) == ["z"]
    with pytest.raises(tegula.StoreError, match="already exists"):
        tegula.create_group(store, "x")


def test_validation_knows_what_killed_writers_leave(tmp_path):
    group = tegula.save(tmp_path / "x", {"a": DATA, "b/c": DATA})
    (tmp_path / "x/a/zarr.json").unlink()
    (tmp_path / "x/other").mkdir()
    (tmp_path / "x/other/notes").write_text("mine")
    left = tegula.validate(tmp_path / "x").leftovers
    assert left == [str(tmp_path / "x/a/c/0/0")]
    assert tegula.validate(tmp_path / "x", repair=True).removed == left
    assert not (tmp_path / "x/a").exists()
    assert (tmp_path / "x/other/notes").exists()
    assert list(group) == ["b"]
    (tmp_path / "x/b/c/zarr.json").unlink()
    assert tegula.validate(tmp_path / "x/b/c").leftovers == [str(tmp_path / "x/b/c/c/0/0")]
    assert tegula.validate(tmp_path / "x/b/c", repair=True).removed
    with pytest.raises(tegula.NotFoundError):
        tegula.validate(tmp_path / "x/b/c")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_open_what_another_creates(tmp_path):
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            ended = 1
            try:
                for number in range(30):
                    tegula.open_group(tmp_path / str(number), mode="a")
                    tegula.open_array(tmp_path / f"a{number}", mode="a", shape=(4,), dtype="i4")
                ended = 0
            finally:
                os._exit(ended)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]


@pytest.mark.parametrize("store", [tegula.FilesystemStore, lambda _: tegula.MemoryStore()])
def test_creators_of_a_group_and_of_its_member_do_not_wait_for_each_other(tmp_path, store):
    stored = store(tmp_path / "x")
    begun = threading.Event()

    def report(*_):
        begun.set()
        time.sleep(0.05)

    def save():
        with contextlib.suppress(tegula.StoreError):
            tegula.save(stored, {"a": DATA, "b": DATA}, "g", progress=report)

    def create():
        begun.wait()
        with contextlib.suppress(tegula.StoreError):
            tegula.create_array(stored, "g/b", data=DATA)

    threads = [threading.Thread(target=work, daemon=True) for work in (save, create)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    np.testing.assert_array_equal(tegula.load(stored, "g/b"), DATA)
