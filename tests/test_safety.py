"""No data is lost with concurrent writers, killed processes or full disks."""

import asyncio
import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tegula

TILES = [(y, x) for y in range(0, 256, 16) for x in range(0, 256, 16)]


def leftovers(folder):
    return list(folder.rglob(".tegula-*"))


def in_processes(count, work):
    """Call ``work(number)`` in forked processes concurrently. All must succeed."""
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count


# Concurrent writers.


@pytest.fixture
def shard(tmp_path):
    """One shard of 256 inner chunks."""
    return tegula.create_array(tmp_path / "a", shape=(256, 256), dtype="uint16", chunks=(16, 16), shards=(256, 256))


def write_tile(array, number):
    y, x = TILES[number]
    array[y : y + 16, x : x + 16] = number + 1


def check_tiles(path):
    found = tegula.open_array(path)[...]
    lost = [number for number, (y, x) in enumerate(TILES) if (found[y : y + 16, x : x + 16] != number + 1).any()]
    assert not lost
    assert leftovers(path) == []


def test_tiles_of_one_shard_by_threads(shard, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_tile(shard, number), range(256)))
    check_tiles(tmp_path / "a")


def test_tiles_of_one_shard_by_processes(shard, tmp_path):
    in_processes(4, lambda first: [write_tile(shard, number) for number in range(first, 256, 4)])
    check_tiles(tmp_path / "a")


@pytest.mark.parametrize("cluster", [False, True])
def test_regions_by_dask(tmp_path, cluster):
    """Dask blocks that are not aligned to shards, written by threads and by the workers of a cluster."""
    da = pytest.importorskip("dask.array")
    array = tegula.create_array(tmp_path / "a", shape=(200, 150), dtype="int32", chunks=(16, 16), shards=(64, 64))
    data = np.arange(200 * 150, dtype="int32").reshape(200, 150)
    blocks = da.from_array(data, chunks=(23, 31))
    if cluster:
        distributed = pytest.importorskip("distributed")
        options = {"n_workers": 3, "threads_per_worker": 2, "dashboard_address": None}
        with distributed.LocalCluster(**options) as workers, distributed.Client(workers):
            da.store(blocks, array, lock=False)
    else:
        da.store(blocks, array, lock=False, scheduler="threads", num_workers=8)
    assert (tegula.open_array(tmp_path / "a")[...] == data).all()
    assert leftovers(tmp_path) == []


def check_rows(path, writers, rows):
    """Check that all rows of each writer are stored, complete and in order."""
    found = tegula.open_array(path)[...]
    assert found.shape == (writers * rows, 5)
    assert (found == found[:, :1]).all()
    for writer in range(writers):
        assert found[found[:, 0] // rows == writer, 0].tolist() == list(range(writer * rows, (writer + 1) * rows))


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("together", ["threads", "processes"])
def test_concurrent_appends(tmp_path, together, zarr_format):
    array = tegula.create_array(tmp_path / "a", shape=(0, 5), dtype="int32", chunks=(4, 5), zarr_format=zarr_format)

    def append(writer):
        own = array if together == "threads" else tegula.open_array(tmp_path / "a")
        for row in range(20):
            own.append(np.full((1, 5), writer * 20 + row))

    if together == "threads":
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(append, range(8)))
    else:
        in_processes(4, append)
    check_rows(tmp_path / "a", 8 if together == "threads" else 4, 20)
    assert leftovers(tmp_path) == []


def test_async_appends():
    array = tegula.create_array(tegula.MemoryStore(), shape=(0, 5), dtype="int32", chunks=(4, 5))

    async def run():
        rows = [np.full((2, 5), number) for number in range(16)]
        shapes = await asyncio.gather(*(array.async_append(row) for row in rows))
        assert {shape[0] for shape in shapes} == set(range(2, 33, 2))
        # The handle keeps the shape that was stored last, in whatever order the calls were awaited.
        assert array.shape == (32, 5)
        assert sorted(array[::2, 0]) == list(range(16))
        await array.async_resize((4, 5))
        with pytest.raises(tegula.InvalidSelectionError):
            await array.async_resize(4)

    asyncio.run(run())
    assert array.shape == (4, 5)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_concurrent_attributes(tmp_path, zarr_format):
    tegula.create_array(tmp_path / "a", shape=(8,), dtype="int32", zarr_format=zarr_format)

    def change(writer):
        own = tegula.open_array(tmp_path / "a")
        for number in range(20):
            own.attrs[f"{writer}-{number}"] = number

    in_processes(4, change)
    assert tegula.open_array(tmp_path / "a").attrs == {f"{w}-{n}": n for w in range(4) for n in range(20)}


class Shared(MutableMapping):
    """A mapping other than dict, which tegula assumes to be shared."""

    def __init__(self):
        self.objects = {}

    def __getitem__(self, key):
        return self.objects[key]

    def __setitem__(self, key, value):
        self.objects[key] = value

    def __delitem__(self, key):
        del self.objects[key]

    def __iter__(self):
        return iter(self.objects)

    def __len__(self):
        return len(self.objects)


def test_partial_writes_without_locks_are_refused():
    mapping = Shared()
    array = tegula.create_array(mapping, shape=(10, 10), dtype="uint8", chunks=(4, 4))
    array[:8, 4:] = 1  # whole chunks, including those at the edge
    before = dict(mapping.objects)
    with pytest.raises(tegula.UnsupportedError, match=r"whole chunks \[0:8, 4:8\], .*unlocked_writes"):
        array[1:6, 5] = 2
    assert mapping.objects == before
    array.with_options(unlocked_writes=True)[1:6, 5] = 2
    expected = np.zeros((10, 10), "uint8")
    expected[:8, 4:] = 1
    expected[1:6, 5] = 2
    assert (array[...] == expected).all()


def test_sessions_and_compaction_need_locks():
    mapping = Shared()
    array = tegula.create_array(mapping, shape=(8,), dtype="uint8", chunks=(2,), shards=(4,), compressors=None)
    with array.write_session() as session:
        session[1:5] = 1
        session[[0, 5, 7, 6]] = 2
    assert array[...].tolist() == [2, 1, 1, 1, 1, 2, 2, 2]
    session = array.write_session()
    session[2:7] = 3
    encoder = array.partial_encoder((1,))
    # Two unused bytes, as some writers leave them in shards.
    tight = mapping.objects["c/0"]
    assert array.compact() == 0
    mapping.objects["c/0"] = tight[:4] + b"xx" + tight[4:]
    before = dict(mapping.objects)
    for refused in (session.close, lambda: encoder.partial_encode([([(0, 1)], [9])]), array.compact):
        message = r"chunk \(\d,\) of .*whole chunks \[\d:\d\], .*unlocked_writes"
        with pytest.raises(tegula.UnsupportedError, match=message):
            refused()
    assert mapping.objects == before
    session.discard()
    assert array.with_options(unlocked_writes=True).compact() == 2
    assert mapping.objects["c/0"] == tight
    encoder.partial_encode([([(2, 4)], [7, 8]), ([(0, 2)], [5, 6])])  # the whole inner chunk
    assert array[4:].tolist() == [5, 6, 7, 8]


# Processes that are killed.

SHAPE, CHUNK, INNER = (64, 64), 32, 8


def make_victim(folder):
    tegula.create_group(folder)
    for name, shards in (("plain", None), ("sharded", (CHUNK, CHUNK))):
        chunks = (CHUNK, CHUNK) if shards is None else (INNER, INNER)
        array = tegula.create_array(folder / name, shape=SHAPE, dtype="uint32", chunks=chunks, shards=shards)
        array[...] = 1
        array.attrs["generation"] = [1] * 50


def rewrite(folder, generation, ready):
    """Rewrite whole chunks, parts of shards and metadata until the process is killed."""
    plain, sharded = (tegula.open_array(folder / name) for name in ("plain", "sharded"))
    os.write(ready, b"!")
    randomly = random.Random(generation)
    while True:
        generation += 1
        y, x = (CHUNK * randomly.randrange(2) for _ in "yx")
        plain[y : y + CHUNK, x : x + CHUNK] = generation
        y, x = (INNER * randomly.randrange(7) for _ in "yx")
        sharded[y : y + 2 * INNER, x : x + 2 * INNER] = generation
        plain.attrs["generation"] = [generation] * 50
        sharded.resize((64 + generation % 2, 64))


def check_victim(folder):
    plain, sharded = (tegula.open_array(folder / name) for name in ("plain", "sharded"))
    assert sharded.shape in ((64, 64), (65, 64))
    for array, size in ((plain, CHUNK), (sharded, INNER)):
        found = array[:64]
        blocks = found.reshape(64 // size, size, 64 // size, size)
        assert (blocks == blocks[:, :1, :, :1]).all()
        assert (found > 0).all()
    assert len(set(plain.attrs["generation"])) == 1
    assert len(plain.attrs["generation"]) == 50


def test_killed_200_times(tmp_path):
    make_victim(tmp_path)
    randomly = random.Random(1)
    for generation in range(200):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                rewrite(tmp_path, 1000 * (generation + 1), write)
            finally:
                os._exit(1)
        os.close(write)
        assert os.read(read, 1) == b"!"
        time.sleep(randomly.random() * 0.02)
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        os.close(read)
        check_victim(tmp_path)
    command = [sys.executable, "-m", "tegula", "validate", "--repair", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 group, 2 arrays, 8 stored chunks: no problems" in done.stdout
    assert leftovers(tmp_path) == []
    check_victim(tmp_path)


# Disks and stores that fail.


def in_child(work):
    """Return the message of the exception that ``work`` raises in a forked process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                work()
                message = "nothing was raised"
            except Exception as error:  # noqa: BLE001 - told to the parent
                message = f"{type(error).__name__}: {error}"
            os.write(write, message.encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.fixture
def whole(tmp_path):
    """A plain and a sharded array with all chunks stored."""
    arrays = {}
    for name, shards in (("plain", None), ("sharded", (32, 32))):
        options = {"shape": (64, 64), "dtype": "float64", "chunks": (16, 16), "shards": shards, "compressors": None}
        arrays[name] = tegula.create_array(tmp_path / "a" / name, **options)
        arrays[name][...] = np.arange(64 * 64.0).reshape(64, 64)
    return arrays


def check_whole(tmp_path, names=("plain", "sharded")):
    for name in names:
        found = tegula.open_array(tmp_path / "a" / name)[...]
        # Each chunk is either new, written before the failure, or unchanged.
        size = 16 if name == "plain" else 32
        old = np.arange(64 * 64.0).reshape(64, 64)
        for y in range(0, 64, size):
            for x in range(0, 64, size):
                block = np.s_[y : y + size, x : x + size]
                assert (found[block] == old[block]).all() or (found[block] == -1).all()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["plain", "sharded"])
@pytest.mark.parametrize("region", [np.s_[:, :], np.s_[3:40, 5:60]])
def test_a_full_disk(whole, tmp_path, name, region):
    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        whole[name][region] = -1

    message = in_child(work)
    assert message.startswith("StoreError: ")
    assert str(tmp_path / "a" / name / "c") in message
    assert os.strerror(errno.EFBIG) in message
    check_whole(tmp_path)


def chmod_folders(top, mode):
    for path in [top, *top.rglob("*")]:
        if path.is_dir():
            path.chmod(mode)


@pytest.fixture
def public_path(tmp_path):
    """A folder that all users can reach, unlike pytest's private ones."""
    own = [path for path in (tmp_path, *tmp_path.parents) if path.stat().st_uid == os.getuid()]
    private = [path for path in own if path.stat().st_mode & 0o077 == 0]
    for path in private:
        path.chmod(0o711)
    yield tmp_path
    for path in private:
        path.chmod(0o700)


@pytest.fixture
def unwritable(whole, public_path):
    """The same arrays in read-only folders."""
    chmod_folders(public_path / "a", 0o555)
    yield whole
    chmod_folders(public_path / "a", 0o755)


def test_a_read_only_file_is_not_replaced(public_path):
    path = public_path / "a.asdf"
    tegula.AsdfFile({"a": np.arange(1000)}).write_to(path)
    before = path.read_bytes()
    path.chmod(0o444)
    public_path.chmod(0o777)

    def work():
        if os.getuid() == 0:  # root ignores permissions
            os.setuid(65534)
        tegula.AsdfFile({"a": np.arange(3)}).write_to(path)

    assert in_child(work) == f"StoreError: {path}: {os.strerror(errno.EACCES)} (os error {errno.EACCES})"
    assert path.read_bytes() == before
    assert [entry.name for entry in public_path.iterdir()] == ["a.asdf"]


@pytest.mark.parametrize("name", ["plain", "sharded"])
@pytest.mark.parametrize("what", ["elements", "attributes", "shape"])
def test_a_read_only_folder(unwritable, tmp_path, name, what):
    array = unwritable[name]

    def work():
        if os.getuid() == 0:  # root ignores permissions
            os.setuid(65534)
        if what == "elements":
            array[3:40] = -1
        elif what == "attributes":
            array.attrs["a"] = 1
        else:
            array.append(np.zeros((1, 64)))

    message = in_child(work)
    assert message.startswith("StoreError: ")
    assert str(tmp_path / "a" / name) in message
    assert os.strerror(errno.EACCES) in message
    check_whole(tmp_path)


def test_a_folder_that_vanishes(whole, tmp_path):
    """A later write creates the folder again or fails with its name. Nothing hangs."""
    stop = threading.Event()

    def remove():
        while not stop.is_set():
            shutil.rmtree(tmp_path / "a" / "plain", ignore_errors=True)

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for number in range(50):
            try:
                whole["plain"][number : number + 10] = -1
            except tegula.StoreError as error:
                assert str(tmp_path / "a" / "plain") in str(error)  # noqa: PT017 - it need not fail
    finally:
        stop.set()
        thread.join()
    check_whole(tmp_path, ["sharded"])


class Failing(dict):
    """A mapping that fails on command."""

    left = None

    def __setitem__(self, key, value):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.EIO, f"cannot keep {key}")
        super().__setitem__(key, value)


@pytest.mark.parametrize("shards", [None, (4, 4)])
def test_a_store_that_fails_half_way(shards):
    for failing in range(6):
        store = Failing()
        options = {"shape": (8, 8), "dtype": "int16", "chunks": (4, 4) if shards is None else (2, 2), "shards": shards}
        array = tegula.create_array(store, **options)
        array[...] = 1
        store.left = failing
        expected = np.ones((8, 8), "int16")
        if failing < 4:
            with pytest.raises(tegula.StoreError, match="cannot keep c/"):
                array[:, 1:7] = 2
        else:
            array[:, 1:7] = 2
        found = array[...]
        for y in (0, 4):
            for x in (0, 4):
                block = np.s_[y : y + 4, x : x + 4]
                new = expected.copy()
                new[:, 1:7] = 2
                assert (found[block] == 1).all() or (found[block] == new[block]).all()
        assert (found == 2).sum() <= 12 * min(failing, 4)
        if failing < 5:
            store.left = failing if failing == 0 else 0
            with pytest.raises(tegula.StoreError, match="cannot keep"):
                array.append(np.zeros((2, 8), "int16"))
            assert tegula.open_array(store).shape == (8, 8)
            store.left = None
            assert array.append(np.full((2, 8), 3, "int16")) == (10, 8)
            assert (array[8:] == 3).all()


def test_fsync_is_optional(tmp_path):
    """Syncing itself cannot be observed here; this checks that writes work."""
    store = tegula.FilesystemStore(tmp_path / "deep" / "er", fsync=True)
    assert store.fsync
    assert not tegula.FilesystemStore(tmp_path).fsync
    array = tegula.create_array(store, "x/y", shape=(4, 4), dtype="uint8", chunks=(2, 2))
    array[1:] = 5
    assert (tegula.open_array(tmp_path / "deep" / "er" / "x" / "y")[1:] == 5).all()
    assert leftovers(tmp_path) == []
