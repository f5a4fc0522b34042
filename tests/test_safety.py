"""Nothing is lost: writers at once, writers that are killed, and stores that fail."""

import asyncio
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import tegula

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system"),
    pytest.mark.filterwarnings("ignore"),  # dask's and distributed's are theirs
]


def start(work, *arguments):
    """Call a function in a forked child."""
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
        except BaseException:  # noqa: BLE001 - whatever it is, the child must not run on into pytest
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def finish(pids, seconds=60):
    """Wait for children, and kill those that hang."""
    end, left = time.monotonic() + seconds, list(pids)
    while left and time.monotonic() < end:
        for pid in list(left):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                left.remove(pid)
                assert os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.005)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not left, "a child hangs"


def in_processes(work, count=4):
    finish([start(work, number) for number in range(count)])


def in_threads(work, count=8):
    errors = []

    def run(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - told by the thread that looks
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def temporary(folder):
    return [str(path) for path in Path(folder).rglob(".tegula-*")]


WAYS = pytest.mark.parametrize("way", ["threads", "processes"])


# Writers at once.


@WAYS
@pytest.mark.parametrize("layout", ["shard", "chunk", "transposed"])
def test_tiles_of_one_shard(tmp_path, way, layout):
    properties = {
        "shard": {"chunks": (32, 32), "shards": (256, 256)},
        "chunk": {"chunks": (256, 256), "compressors": None},
        "transposed": {
            "chunks": (64, 64),
            "shards": (256, 256),
            "filters": {"name": "transpose", "configuration": {"order": [1, 0]}},
        },
    }[layout]
    array = tegula.create_array(tmp_path, shape=(256, 256), dtype="uint16", **properties)
    count = 8 if way == "threads" else 4

    def write(number):
        for tile in range(number, 256, count):
            row, column = tile // 16 * 16, tile % 16 * 16
            array[row : row + 16, column : column + 16] = tile + 1

    (in_threads if way == "threads" else in_processes)(write, count)
    expected = np.arange(1, 257).reshape(16, 16).repeat(16, 0).repeat(16, 1)
    np.testing.assert_array_equal(array[...], expected)
    assert not temporary(tmp_path)


ROWS = 3


def check_rows(array, writers, times):
    found = array[...]
    assert found.shape == (writers * times * ROWS, 5)
    for value in range(writers * times):
        rows = np.flatnonzero((found == value + 1).all(1))
        assert len(rows) == ROWS, value
        assert rows[-1] - rows[0] == ROWS - 1, "they lie together"


@WAYS
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_appends(tmp_path, way, zarr_format):
    array = tegula.create_array(tmp_path, shape=(0, 5), dtype="int32", chunks=(7, 3), zarr_format=zarr_format)
    count, times = (8 if way == "threads" else 4), 8

    def append(number):
        for step in range(times):
            value = number * times + step + 1
            end = array.append(np.full((ROWS, 5), value))[0]
            own = tegula.open_array(tmp_path)[end - ROWS : end]
            assert (own == value).all(), (value, own)

    (in_threads if way == "threads" else in_processes)(append, count)
    if way == "threads":
        assert array.shape == (count * times * ROWS, 5)
    check_rows(tegula.open_array(tmp_path), count, times)
    assert not temporary(tmp_path)


def test_appends_with_asyncio():
    array = tegula.create_array(tegula.MemoryStore(), shape=(0, 5), dtype="int32", chunks=(7, 3))

    async def run():
        shapes = await asyncio.gather(*(array.async_append(np.full((ROWS, 5), value)) for value in range(1, 33)))
        assert {shape[0] for shape in shapes} == set(range(ROWS, 32 * ROWS + 1, ROWS))
        assert array.shape == (32 * ROWS, 5)
        check_rows(array, 4, 8)
        await array.async_resize((4, 5))
        with pytest.raises(tegula.InvalidSelectionError):
            await array.async_resize(4)

    asyncio.run(run())
    assert array.shape == (4, 5)


@WAYS
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_changes_of_metadata(tmp_path, way, zarr_format):
    group = tegula.create_group(tmp_path, zarr_format=zarr_format)
    array = group.create_array("a", shape=(4, 4), chunks=(2, 2), dtype="int8", zarr_format=zarr_format)
    array[...] = 1
    count, times = 4, 8

    def change(number):
        for step in range(times):
            group.attrs[f"{number} {step}"] = step
            array.attrs.update({f"{number} {step}": step})
            if number == 0:
                array.append(np.full((1, 4), step))
            elif number == 1:
                tegula.consolidate_metadata(tmp_path)

    (in_threads if way == "threads" else in_processes)(change, count)
    expected = {f"{number} {step}": step for number in range(count) for step in range(times)}
    assert tegula.open_group(tmp_path).attrs == expected
    found = tegula.open_array(tmp_path, "a")
    assert found.attrs == expected
    assert (found.shape, found[4:, 0].tolist()) == ((4 + times, 4), list(range(times)))
    if way == "threads":
        # The handles, which all threads share, know it all too.
        assert group.attrs == expected
        assert (array.attrs, array.shape) == (expected, found.shape)
    assert not temporary(tmp_path)


# Through dask.


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(params=["threads", "cluster"])
def scheduler(request):
    """Return what computes dask's graphs."""
    dask = pytest.importorskip("dask")
    if request.param == "threads":
        return lambda graph: dask.compute(graph, scheduler="threads", num_workers=8)[0]
    client = request.getfixturevalue("cluster")
    return lambda graph: client.compute(graph).result()


def write_tile(block, array, block_info=None):
    location = block_info[None]["array-location"]
    array[tuple(slice(*ends) for ends in location)] = block
    return block[:1, :1]


@pytest.mark.parametrize("door", ["store", "map_blocks"])
def test_tiles_through_dask(tmp_path, scheduler, door):
    dask_array = pytest.importorskip("dask.array")
    elements = np.random.default_rng(0).integers(1, 1000, (200, 220))
    array = tegula.create_array(tmp_path, shape=(200, 220), dtype="int64", chunks=(16, 16), shards=(96, 96))
    tiles = dask_array.from_array(elements, chunks=(37, 41))
    if door == "store":
        scheduler(tiles.store(array, lock=False, compute=False))
    else:
        scheduler(tiles.map_blocks(write_tile, array, dtype="int64", chunks=(1, 1)))
    np.testing.assert_array_equal(array[...], elements)
    assert not temporary(tmp_path)


def append_rows(array, value):
    return array.append(np.full((ROWS, 5), value))[0]


def test_appends_through_dask(tmp_path, scheduler):
    dask = pytest.importorskip("dask")
    array = tegula.create_array(tmp_path, shape=(0, 5), dtype="int32", chunks=(7, 5))
    ends = scheduler(dask.delayed(list)([dask.delayed(append_rows)(array, value) for value in range(1, 33)]))
    check_rows(tegula.open_array(tmp_path), 4, 8)
    found = tegula.open_array(tmp_path)[...]
    assert [int(found[end - 1, 0]) for end in ends] == list(range(1, 33))


# Writers that are killed.

SIDE, INNER = 64, 16


def rewrite(folder, base, shapes):
    """Write until the end: every piece that is written whole is filled with one number."""
    draw = random.Random(base)
    plain, sharded = tegula.open_array(folder, "plain"), tegula.open_array(folder, "sharded")
    number = base
    while True:
        number += 1
        row, column = (draw.randrange(SIDE // INNER) * INNER for _ in range(2))
        match draw.randrange(6):
            case 0:
                plain[row : row + INNER, column : column + INNER] = number
            case 1:  # in part: half a chunk
                plain[row : row + INNER // 2, column : column + INNER] = number
            case 2:
                sharded[row // 32 * 32 :, :32] = number
            case 3:
                sharded[row : row + INNER, column : column + INNER] = number
            case 4:
                sharded.attrs.update(one=number, two=number)
            case 5:
                sharded.resize(draw.choice(shapes))


def check_pieces(folder, shapes):
    plain, sharded = tegula.open_array(folder, "plain"), tegula.open_array(folder, "sharded")
    halves = plain[...].reshape(SIDE // 8, 8, SIDE // INNER, INNER)
    assert (halves == halves[:, :1, :, :1]).all()
    assert sharded.shape in shapes
    assert sharded.attrs["one"] == sharded.attrs["two"]
    pieces = sharded[:SIDE].reshape(SIDE // INNER, INNER, SIDE // INNER, INNER)
    assert (pieces == pieces[:, :1, :, :1]).all()


def test_killed_writers_leave_all_whole(tmp_path):
    tegula.create_group(tmp_path)
    shapes = ((SIDE, SIDE), (SIDE + 40, SIDE))
    plain = tegula.create_array(tmp_path, "plain", shape=shapes[0], dtype="uint32", chunks=(INNER, INNER))
    sharded = tegula.create_array(
        tmp_path, "sharded", shape=shapes[0], dtype="uint32", chunks=(INNER, INNER), shards=(32, 32)
    )
    plain[...] = sharded[...] = 1
    sharded.attrs.update(one=0, two=0)
    draw = random.Random(0)
    left, changed = 0, set()
    for turn in range(1, 201):
        pid = start(rewrite, tmp_path, turn * 1_000_000, shapes)
        time.sleep(draw.uniform(0.003, 0.02))
        os.kill(pid, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        left += len(temporary(tmp_path))
        check_pieces(tmp_path, shapes)
        changed |= set(np.unique(plain[...] // 1_000_000).tolist())
        if turn % 10 == 0:
            found = {problem.kind for problem in tegula.validate(tmp_path).problems}
            # A shard that was stored while the array was long, or a process killed between the two steps of a resize.
            assert found <= {"leftover", "outside"}
            report = tegula.validate(tmp_path, repair=True)
            assert {problem.kind for problem in report.problems} <= {"outside"}
            assert not temporary(tmp_path)
    assert len(changed) > 20, "children did write"
    assert left > 0, "some were killed on the way"


# Stores that fail.


def check_chunks(array, numbers):
    """See that every chunk holds one number, as far as it lies in the array."""
    for index in np.ndindex(array.chunk_grid_shape):
        region = array.chunk_subset_bounded(index).to_slices()
        found = np.unique(array[region])
        assert len(found) == 1, (index, found)
        assert found[0] in numbers


def test_a_file_that_cannot_grow(tmp_path):
    array = tegula.create_array(tmp_path, shape=(64, 64), dtype="int32", chunks=(64, 64), compressors=None)
    array[...] = 1

    def write():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        for region in (slice(None), slice(3, 5)):
            with pytest.raises(tegula.StoreError, match=re.escape(f"{tmp_path}/c/0/0")):
                array[region] = 2
        before = array.attrs.asdict()
        with pytest.raises(tegula.StoreError, match=r"zarr\.json"):
            array.attrs["long"] = "x" * 10_000
        assert array.attrs == before
        with pytest.raises(tegula.StoreError):
            array.append(np.full((64, 64), 3))
        assert tegula.open_array(tmp_path).shape == (64, 64)

    finish([start(write)])
    check_chunks(array, {1})
    assert not temporary(tmp_path)
    assert tegula.validate(tmp_path).ok


def test_a_full_disk(tmp_path):
    script = f"""
import sys, numpy as np, tegula
from pathlib import Path
array = tegula.create_array("{tmp_path}/a", shape=(64, 64), dtype="int32", chunks=(16, 64), compressors=None)
array[...] = 1
Path("{tmp_path}/ballast").write_bytes(bytes(40_000))
refused = 0
for number in range(2, 30):
    try:
        array.append(np.full((16, 64), number), axis=0)
    except tegula.StoreError as error:
        assert "{tmp_path}/a" in str(error), error
        refused += 1
assert refused > 0
array = tegula.open_array("{tmp_path}/a")
for chunk in range(array.shape[0] // 16):
    assert len(np.unique(array[chunk * 16 : chunk * 16 + 16])) == 1
for number in (100, 200):
    try:
        array[...] = number
    except tegula.StoreError:
        pass
for chunk in range(array.shape[0] // 16):
    assert len(np.unique(array[chunk * 16 : chunk * 16 + 16])) == 1
assert not list(Path("{tmp_path}").rglob(".tegula-*"))
assert tegula.validate("{tmp_path}/a").ok
print("fine")
"""
    mount = f"mount -t tmpfs -o size=128k none {tmp_path} && exec {sys.executable} -c '{script}'"
    try:
        trial = ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs -o size=64k none {tmp_path}"]
        subprocess.run(trial, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no filesystem can be mounted here: {error}")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_a_folder_that_must_not_be_written():
    folder = Path(tempfile.mkdtemp(prefix="tegula-"))
    try:
        folder.chmod(0o755)
        array = tegula.create_array(folder / "a", shape=(8, 8), dtype="int32", chunks=(4, 4))
        array[...] = 1

        def write():
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            else:
                for path in [folder / "a", *(folder / "a").rglob("*")]:
                    if path.is_dir():
                        path.chmod(0o555)
            for change in (
                lambda: array.__setitem__(..., 2),
                lambda: array.__setitem__((0, 0), 2),
                lambda: array.attrs.update(a=1),
                lambda: array.resize((4, 4)),
                lambda: array.append(np.ones((4, 8))),
                lambda: tegula.create_array(folder / "a", "b", shape=(1,), dtype="int8"),
            ):
                with pytest.raises(tegula.StoreError, match=str(folder)):
                    change()
            assert (tegula.open_array(folder / "a")[...] == 1).all()

        finish([start(write)])
        assert not temporary(folder)
        assert (tegula.open_array(folder / "a")[...] == 1).all()
    finally:
        for path in folder.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(folder)


def test_a_folder_that_vanishes(tmp_path):
    folder = tmp_path / "a"
    array = tegula.create_array(folder, shape=(64, 64), dtype="int32", chunks=(8, 8), compressors=None)
    stop, wrong = threading.Event(), []

    def write(number):
        while not stop.is_set():
            try:
                array[...] = number
                array[3:21, 5:17] = number
            except (tegula.StoreError, tegula.NotFoundError) as error:
                if str(folder) not in str(error):
                    wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        shutil.rmtree(folder / "c", ignore_errors=True)
        time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not temporary(tmp_path)
    array[...] = 3
    check_chunks(array, {3})


class Failing(dict):
    """A store of which a certain write fails."""

    def __init__(self):
        super().__init__()
        self.left = -1

    def __setitem__(self, key, value):
        self.left -= 1
        if self.left == -1:
            self.failed = key
            raise OSError("the disk is on fire")
        super().__setitem__(key, value)


CHANGES = {
    "all": lambda array: array.__setitem__(..., 2),
    "tile": lambda array: array.__setitem__((slice(0, 8), slice(4, 12)), 2),
    "append": lambda array: array.append(np.full((6, 12), 2)),
    "resize": lambda array: array.resize((20, 12)),
    "attributes": lambda array: array.attrs.update(a=2, b=2),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shards", [None, (8, 8)])
def test_writes_that_fail(change, shards):
    for turn in range(100):
        store = Failing()
        array = tegula.create_array(
            store, "a", shape=(12, 12), dtype="int32", chunks=(4, 4), shards=shards, attributes={"a": 1, "b": 1}
        )
        array[...] = 1
        before = dict(store)
        store.left = turn
        try:
            CHANGES[change](array)
        except tegula.StoreError as error:
            assert "the disk is on fire" in str(error)
            assert store.failed in str(error)
        else:
            assert turn > 0
            break
        finally:
            store.left = -1
        opened = tegula.open_array(store, "a")
        assert opened.attrs in ({"a": 1, "b": 1}, {"a": 2, "b": 2})
        if change in ("append", "resize"):
            assert opened.shape == (12, 12) == array.shape
            assert (opened[...] == 1).all()
            assert set(store) == set(before)
        for row, column in np.ndindex(3, 3):
            assert len(np.unique(opened[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4])) == 1
        assert tegula.validate(store).ok
    else:
        pytest.fail("it never ends")


# Stores that others can reach, and that have no locks.


class Shared(MutableMapping):
    """A mapping that may lie anywhere."""

    def __init__(self):
        self.objects = {}

    def __getitem__(self, key: str) -> bytes:
        return self.objects[key]

    def __setitem__(self, key: str, value: bytes) -> None:
        self.objects[key] = value

    def __delitem__(self, key: str) -> None:
        del self.objects[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)


def mappings():
    yield Shared()
    with suppress(ImportError):
        import fsspec

        yield fsspec.get_mapper("memory://test-safety")


def test_parts_of_chunks_are_refused_where_nobody_can_lock():
    for store in mappings():
        array = tegula.create_array(store, "a", shape=(10, 10), dtype="uint8", chunks=(4, 4), overwrite=True)
        array[...] = 1
        array[4:, 4:8] = 2
        written = {key: bytes(store[key]) for key in store}
        with pytest.raises(tegula.UnsupportedError, match=re.escape("[0:8, 8:10]")) as error:
            array[3:5, 9:] = 3
        assert "unlocked_writes" in str(error.value)
        assert array.name in str(error.value)
        with pytest.raises(tegula.UnsupportedError, match=re.escape("[8:12, 0:10]")):
            array.append(np.ones((2, 10), "uint8"))
        assert {key: bytes(store[key]) for key in store} == written
        array.resize((12, 10))
        array.append(np.full((4, 10), 4))
        brave = array.with_options(unlocked_writes=True)
        brave[3:5, 9:] = 3
        assert array[2:6, 9].tolist() == [1, 3, 3, 1]
        with tegula.config.set(unlocked_writes=True):
            tegula.open_array(store, "a")[0, 0] = 9
        assert (array[0, 0], array[-1, 0]) == (9, 4)
    for store in ({}, tegula.MemoryStore()):
        tegula.create_array(store, shape=(10,), dtype="uint8", chunks=4)[3:5] = 1


# What the system is asked for.


def calls(tmp_path, script):
    """Run a program, and return the calls of the system by which it changed files."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=openat,fsync,fdatasync,rename,unlink,fcntl"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"calls cannot be traced here: {error}")
    subprocess.run([*command, sys.executable, "-c", script], check=True, env={**os.environ, "RAYON_NUM_THREADS": "1"})
    return trace.read_text().splitlines()


def test_fsync_waits_for_the_disk(tmp_path):
    script = f"""
import tegula, numpy as np
for fsync in (False, True):
    store = tegula.FilesystemStore("{tmp_path}/" + str(fsync), fsync=fsync)
    array = tegula.create_array(store, shape=(4, 4), dtype="uint8", chunks=(4, 4))
    array[...] = 7
    array[...] = 0
"""
    found = calls(tmp_path, script)
    names = [re.sub(r"\.tegula-[0-9a-f]+-\d+-\d+", "TEMPORARY", line.partition(" ")[2].strip()) for line in found]
    synced = [re.sub(r"^f\w*sync\(\d+<(.*)>\).*", r"\1", line) for line in names if line.startswith(("fsync", "fdata"))]
    root = f"{tmp_path}/True"
    assert not [name for name in synced if "/False" in name]
    # Folders, from the deepest that is new to those that lead to it, a file and its name.
    assert synced[:3] == [str(tmp_path), f"{root}/TEMPORARY", root]
    assert set(synced[3:5]) == {f"{root}/c", root}
    assert synced[5:] == [f"{root}/c/0/TEMPORARY", f"{root}/c/0", f"{root}/c/0"]
    # The file is on the disk before its name is.
    changes = [line for line in names if f"{root}/c/0" in line and "lock" not in line and not line.startswith("fcntl")]
    changes = [line for line in changes if not line.startswith("openat") or "O_CREAT" in line]
    assert [line.partition("(")[0] for line in changes] == ["openat", "fsync", "rename", "fsync", "unlink", "fsync"]


def test_locks_of_a_folder_share_a_file(tmp_path):
    script = f"""
import tegula, numpy as np
array = tegula.create_array("{tmp_path}/a", shape=(300,), dtype="uint8", chunks=1, shards=None, compressors=None)
array[...] = 7
"""
    found = calls(tmp_path, script)
    opened = [line for line in found if "openat" in line and "/c/.tegula-lock" in line]
    removed = [line for line in found if "unlink" in line and "/c/.tegula-lock" in line]
    locked = [line for line in found if "F_OFD_SETLK" in line and "/c/.tegula-lock" in line and "F_WRLCK" in line]
    assert len(opened) in (1, 2), "the first time there is no folder"
    assert len(removed) == 1
    assert len(locked) == 301
    assert not temporary(tmp_path)


def test_a_store_that_waits_for_the_disk_is_pickled(tmp_path):
    import pickle

    store = tegula.FilesystemStore(tmp_path / "a", fsync=True)
    assert repr(store) == f"tegula.FilesystemStore('{tmp_path}/a', fsync=True)"
    again = pickle.loads(pickle.dumps(store))
    assert (again, again.fsync) == (store, True)
    assert not pickle.loads(pickle.dumps(tegula.FilesystemStore(tmp_path))).fsync
    array = tegula.create_array(store, data=np.arange(5))
    assert pickle.loads(pickle.dumps(array)).store.fsync
