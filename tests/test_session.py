"""Write sessions, partial encoders, the order of inner chunks, and compaction."""

import asyncio
import struct
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr

import tegula


class Counting(dict):
    """A mapping that counts writes, and fails when it is full."""

    def __init__(self):
        super().__init__()
        self.sets = Counter()
        self.full = False

    def __setitem__(self, key, value):
        if self.full:
            raise OSError("no space left")
        self.sets[key] += 1
        super().__setitem__(key, value)


def in_threads(work, jobs, count=8):
    """Run all jobs in threads, and raise the first exception."""
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(lambda own: [work(job) for job in own], jobs[k::count]) for k in range(count)]:
            done.result()


def shuffled(count):
    return np.random.default_rng(1).permutation(count).tolist()


@pytest.mark.parametrize("shards", [None, (60, 50)])
def test_rows_from_threads_store_each_chunk_once(tmp_path, shards):
    store = Counting()
    chunks = (30, 25)
    array = tegula.create_array(store, shape=(130, 70), chunks=chunks, shards=shards, dtype="float32")
    store.sets.clear()
    expected = np.random.default_rng(0).random((130, 70), "float32")
    with array.write_session() as session:

        def row(i):
            session[i] = expected[i]

        in_threads(row, shuffled(130))
        assert session.staged == 0
    np.testing.assert_array_equal(array[...], expected)
    assert set(store.sets.values()) == {1}
    assert len(store.sets) == np.prod(array.chunk_grid_shape)


def test_peers_read_what_a_session_wrote(tmp_path):
    array = tegula.create_array(
        tmp_path, shape=(100, 90), chunks=(10, 10), shards=(50, 30), dtype="int32", compressors="zstd", fill_value=-1
    )
    expected = np.full((100, 90), -1, "int32")
    rng = np.random.default_rng(2)
    with array.write_session(memory="20 kB") as session:
        for _ in range(300):
            i, j = rng.integers(0, 97), rng.integers(0, 85)
            tile = rng.integers(0, 9, (3, 5), "int32")
            session.store_array_subset([(i, i + 3), (j, j + 5)], tile)
            expected[i : i + 3, j : j + 5] = tile
            assert session.staged <= 20_000
        session[10:70:7, ::-2] = 5
        expected[10:70:7, ::-2] = 5
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[...], expected)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path)}}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), expected)


def test_a_small_budget_is_kept_by_threads():
    store = Counting()
    array = tegula.create_array(store, shape=(512, 512), chunks=(64, 64), dtype="uint16", compressors=None)
    expected = np.arange(512 * 512, dtype="uint16").reshape(512, 512)
    seen = []
    with array.write_session(memory=100_000) as session:

        def tile(k):
            i, j = k // 32 * 16, k % 32 * 16
            session[i : i + 16, j : j + 16] = expected[i : i + 16, j : j + 16]
            seen.append(session.staged)

        in_threads(tile, shuffled(1024))
    np.testing.assert_array_equal(array[...], expected)
    # Each thread may hold one more chunk while it frees memory.
    assert max(seen) <= 100_000 + 8 * 10_000


def leave(array, work):
    """Leave a session with an exception, and return the session."""

    def stop():
        with array.write_session() as session:
            sessions.append(session)
            work(session)
            raise KeyError

    sessions = []
    with pytest.raises(KeyError):
        stop()
    return sessions[0]


def test_an_exception_discards_what_is_not_stored():
    array = tegula.create_array(tegula.MemoryStore(), shape=(8,), chunks=(4,), dtype="uint8")
    session = leave(array, lambda session: session.__setitem__(np.s_[:5], 1))
    assert array[...].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    for use in (lambda: session.flush(), lambda: session.append([1]), lambda: session.__setitem__(0, 1), session.close):
        with pytest.raises(tegula.InvalidSelectionError, match="write session has ended"):
            use()
    session.discard()


def test_failed_writes_are_retried():
    store = Counting()
    array = tegula.create_array(store, shape=(6,), chunks=(3,), dtype="uint8")
    session = array.write_session()
    session[1:3] = 7
    store.full = True
    with pytest.raises(tegula.StoreError, match=r"cannot store chunk \(0,\) of .*no space left"):
        session[0] = 6
    session[4] = 5
    with pytest.raises(tegula.StoreError):
        session.flush()
    assert session.staged > 0
    store.full = False
    session.flush()
    assert session.staged == 0
    assert array[...].tolist() == [6, 7, 7, 0, 5, 0]
    session[3] = 4
    session.close()
    assert array[3] == 4


def test_a_session_continues_after_a_failed_end():
    store = Counting()
    array = tegula.create_array(store, shape=(6,), chunks=(3,), dtype="uint8")
    session = array.write_session()
    session[1] = 7
    store.full = True
    with pytest.raises(tegula.StoreError):
        session.__exit__(None, None, None)
    store.full = False
    session.close()
    assert array[1] == 7


@pytest.mark.parametrize("shards", [None, (20, 6)])
def test_rows_are_appended(tmp_path, shards):
    store = Counting()
    array = tegula.create_array(store, shape=(5, 6), chunks=(10, 3), shards=shards, dtype="int64", fill_value=-1)
    array[...] = 100
    other = tegula.open_array(store)
    store.sets.clear()
    with array.write_session() as session:
        for k in range(40):
            assert session.append(np.full((1, 6), k)) == (6 + k, 6)
        assert session.append([[7] * 6, [8] * 6]) == (47, 6)
        session[46, 2:4] = 9
        assert session.shape == (47, 6)
        assert array.shape == (5, 6)
        assert "zarr.json" not in store.sets
    assert set(store.sets.values()) == {1}
    expected = np.concatenate([np.full((5, 6), 100), np.repeat(np.arange(40), 6).reshape(40, 6), [[7] * 6, [8] * 6]])
    expected[46, 2:4] = 9
    assert array.shape == (47, 6)
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(tegula.open_array(store)[...], expected)
    assert other.shape == (5, 6)
    with other.write_session() as session:
        # The append starts from the stored shape.
        assert session.append(np.zeros((3, 6), "int64"), axis=-2) == (50, 6)
        with pytest.raises(tegula.InvalidSelectionError, match="axis 2 is out of bounds"):
            session.append(np.zeros((3, 6), "int64"), axis=2)
        with pytest.raises(tegula.InvalidSelectionError):
            session.append(np.zeros((3, 5), "int64"))
    assert other.shape == (50, 6)


def test_threads_append():
    array = tegula.create_array(tegula.MemoryStore(), shape=(0, 4), chunks=(16, 4), dtype="int32")
    with array.write_session() as session:
        in_threads(lambda k: session.append(np.full((2, 4), k)), list(range(1, 101)))
    assert array.shape == (200, 4)
    elements = array[...]
    assert (elements[::2] == elements[1::2]).all()
    assert sorted(elements[::2, 0].tolist()) == list(range(1, 101))


def test_appends_keep_the_appends_of_others(tmp_path):
    array = tegula.create_array(tmp_path, shape=(2,), chunks=(2,), dtype="int32")
    session = array.write_session()
    session.append([1, 2])
    session.flush()
    session.append([3, 4, 5])
    tegula.open_array(tmp_path).append([6])
    with pytest.raises(tegula.InvalidSelectionError, match=r"the stored shape changed from \(4,\) to \(5,\)"):
        session.close()
    session.discard()
    assert tegula.open_array(tmp_path).shape == (5,)
    chunks = [path.name for path in (tmp_path / "c").iterdir() if not path.name.startswith(".")]
    assert sorted(chunks) == ["1", "2"]


def test_discarded_appends_are_gone():
    array = tegula.create_array(tegula.MemoryStore(), shape=(2, 4), chunks=(2, 4), dtype="int32")

    def append(session):
        session.append(np.ones((4, 4), "int32"))
        assert len(array.store) == 3

    leave(array, append)
    assert sorted(array.store) == ["zarr.json"]
    assert tegula.open_array(array.store).shape == (2, 4)


def test_strings_and_structs():
    array = tegula.create_array(tegula.MemoryStore(), shape=(6, 5), chunks=(3, 2), dtype="string", fill_value="none")
    expected = np.full((6, 5), "none", object)
    with array.write_session(memory="1 kB") as session:
        for k in shuffled(30):
            session[k % 6, k // 6] = expected[k % 6, k // 6] = "é" * k
        session[2] = expected[2] = "row"
        session[2, 1] = expected[2, 1] = "none"
    np.testing.assert_array_equal(np.asarray(array[...], object), expected)
    fields = np.dtype([("a", "i2"), ("b", "f8")])
    array = tegula.create_array(tegula.MemoryStore(), shape=(7,), chunks=(4,), dtype=fields)
    expected = np.zeros(7, fields)
    expected["a"], expected["b"] = range(7), np.arange(7) / 3
    with array.write_session() as session:
        for k in shuffled(7):
            session[k] = expected[k]
    np.testing.assert_array_equal(array[...], expected)


def test_chunks_and_twins():
    array = tegula.create_array(tegula.MemoryStore(), shape=(6, 7), chunks=(4, 4), dtype="int16", fill_value=1)
    padded = np.arange(64, dtype="int16").reshape(8, 8)

    async def write(session):
        await session.async_store_chunk((0, 0), padded[:4, :4])
        rows = (session.async_store_chunk_subset((1, 1), [(k, k + 1), (0, 4)], [padded[4 + k, 4:]]) for k in range(4))
        await asyncio.gather(*rows)
        await session.async_store_array_subset([(4, 6), (0, 4)], padded[4:6, :4])
        await session.async_flush()
        await session.async_append(np.zeros((6, 1), "int16"), 1)
        await session.async_close()

    session = array.write_session()
    session.store_chunk((0, 1), padded[:4, 4:])
    session.store_chunk_subset((0, 1), [(0, 1), (0, 1)], [[99]])
    asyncio.run(write(session))
    padded[0, 4] = 99
    assert array.shape == (6, 8)
    np.testing.assert_array_equal(array[:, :7], padded[:6, :7])
    # Elements past the end of the array are stored as given.
    assert array.retrieve_chunk((1, 1))[2:].tolist() == padded[6:, 4:].tolist()
    with array.write_session() as session, pytest.raises(tegula.InvalidSelectionError):
        session.store_array_subset([(0, 7), (0, 1)], np.zeros((7, 1), "int16"))
    assert "staged=0 bytes" in repr(session)


def test_positions_are_staged():
    expected = np.zeros((12, 10), "int16")
    for shards in (None, (8, 10)):
        store = Counting()
        array = tegula.create_array(store, shape=(12, 10), chunks=(4, 5), shards=shards, dtype="int16")
        store.sets.clear()
        with array.write_session() as session:
            for number, rows in enumerate(np.arange(1, 13).reshape(4, 3).T):
                session[(rows * 7) % 12, ::-1] = np.arange(10) + 100 * number
                expected[(rows * 7) % 12, ::-1] = np.arange(10) + 100 * number
            mask = np.zeros((12, 10), bool)
            mask[[3, 5], [2, 7]] = True
            assert store.sets == dict.fromkeys(store.sets, 1)
            session[mask] = [-1, -2]
            session[[1, 1, 1], [0, 0, 0]] = [1, 2, 3]
        expected[mask] = [-1, -2]
        expected[1, 0] = 3
        np.testing.assert_array_equal(array[...], expected)


def test_several_parts_of_a_chunk_in_one_change(tmp_path):
    store = Counting()
    array = tegula.create_array(store, shape=(8, 8), chunks=(2, 2), shards=(8, 8), dtype="int32")
    array[...] = 1
    store.sets.clear()
    encoder = array.partial_encoder((0, 0))
    encoder.partial_encode(
        [([(0, 1), (0, 8)], np.full((1, 8), 2, "int32")), ((slice(0, 2), slice(3, 5)), [[3, 4], [5, 6]])]
    )
    assert store.sets == {"c/0/0": 1}
    assert array[:2].tolist() == [[2, 2, 2, 3, 4, 2, 2, 2], [1, 1, 1, 5, 6, 1, 1, 1]]
    with pytest.raises(tegula.InvalidSelectionError):
        encoder.partial_encode([([(0, 1), (0, 8)], np.full((1, 8), 9)), ([(0, 9), (0, 1)], np.zeros((9, 1)))])
    with pytest.raises(tegula.InvalidSelectionError):
        encoder.partial_encode([([(0, 1), (0, 8)], np.full((1, 7), 9))])
    assert array[0, 0] == 2
    assert encoder.chunk == (0, 0)
    encoder.erase()
    assert not array.chunk_exists((0, 0))
    text = tegula.create_array(tegula.MemoryStore(), shape=(4,), chunks=(4,), dtype="string")
    text.partial_encoder(0).partial_encode([([(0, 2)], ["a", "bc"]), ([(3, 4)], ["d"]), ([(1, 2)], ["e"])])
    assert text[...].tolist() == ["a", "e", "", "d"]


@pytest.mark.parametrize("order", ["C", "morton"])
def test_inner_chunk_order(tmp_path, order):
    expected = np.random.default_rng(3).integers(0, 9, (48, 40, 16), "uint8")

    def write(name, target, parts):
        layout = {"shape": expected.shape, "chunks": (4, 4, 4), "shards": (24, 20, 16), "compressors": "zstd"}
        array = tegula.create_array(tmp_path / name, dtype="uint8", **layout)
        array = array.with_options(inner_chunk_order=order, concurrent_target=target)
        assert array.options.inner_chunk_order == order
        for part in parts:
            array[part] = expected[part]
        files = sorted(path for path in (tmp_path / name / "c").rglob("*") if path.is_file())
        return {path.relative_to(tmp_path / name): path.read_bytes() for path in files}

    halves = [np.s_[k::2, :, j : j + 7] for k in (0, 1) for j in range(0, 16, 7)]
    once = write("once", 1, [...])
    assert once == write("eight", 8, [...])
    assert once == write("parts", 2, halves)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "once", mode="r")[...], expected)
    index = once[next(iter(once))][-16 * 120 - 4 : -4]
    offsets = np.frombuffer(index, "<u8").reshape(6, 5, 4, 2)[..., 0]
    assert offsets[1, 0, 0] < offsets[0, 0, 1] if order == "morton" else offsets[0, 0, 1] < offsets[1, 0, 0]
    with pytest.raises(tegula.InvalidSelectionError, match="unknown order of inner chunks"):
        tegula.CodecOptions(inner_chunk_order="hilbert")


def test_morton_order_is_that_of_zarr_python(tmp_path):
    expected = np.arange(1, 1 + 12 * 20, dtype="int32").reshape(12, 20)
    layout = {"shape": (12, 20), "chunks": (4, 4), "shards": (12, 20), "dtype": "int32", "compressors": None}
    zarr.create_array(tmp_path / "theirs", **layout)[...] = expected
    array = tegula.create_array(tmp_path / "ours", **layout).with_options(inner_chunk_order="morton")
    array[...] = expected
    assert (tmp_path / "theirs/c/0/0").read_bytes() == (tmp_path / "ours/c/0/0").read_bytes()
    theirs = tegula.open_array(tmp_path / "theirs", mode="r+")
    assert theirs.with_options(inner_chunk_order="morton").compact() == 0
    assert theirs.compact() == 0
    assert (tmp_path / "theirs/c/0/0").read_bytes() != (tmp_path / "ours/c/0/0").read_bytes()
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "theirs", mode="r")[...], expected)


@pytest.mark.parametrize("peer", ["zarr-python", "tensorstore"])
def test_shards_of_peers_are_compacted(tmp_path, peer):
    expected = np.arange(1, 1 + 64 * 64, dtype="int32").reshape(64, 64)
    layout = {"shape": (64, 64), "chunks": (16, 16), "shards": (32, 64), "dtype": "int32", "compressors": "zstd"}
    array = tegula.create_array(tmp_path, **layout)
    if peer == "zarr-python":
        theirs = zarr.open_array(tmp_path, mode="r+")
        theirs[...] = expected
        theirs[3:20, 30:60] = expected[3:20, 30:60] = 8
    else:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path)}}
        theirs = tensorstore.open(spec).result()
        theirs.write(expected).result()
        expected[3:20, 30:60] = 8
        theirs[3:20, 30:60].write(expected[3:20, 30:60]).result()
    before = sum(path.stat().st_size for path in (tmp_path / "c").rglob("*") if path.is_file())
    reclaimed = array.compact()
    after = sum(path.stat().st_size for path in (tmp_path / "c").rglob("*") if path.is_file())
    assert (reclaimed, array.compact()) == (before - after, 0)
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[...], expected)


def checksum(data):
    return numcodecs.CRC32C(location="end").encode(data)[-4:].tobytes()


def test_dead_bytes_are_reclaimed(tmp_path):
    layout = {"shape": (64,), "chunks": (8,), "shards": (32,), "dtype": "uint8", "compressors": None}
    array = tegula.create_array(tmp_path, **layout)
    array[...] = np.arange(64)
    path = tmp_path / "c/0"
    tight = path.read_bytes()
    # A shard of a writer that appends changed inner chunks and a new index: the first inner chunk is last.
    index = list(struct.unpack("<8Q", tight[-68:-4]))
    index[0] = len(tight)
    changed = struct.pack("<8Q", *index)
    path.write_bytes(tight + tight[:8] + changed + checksum(changed))
    assert asyncio.run(array.async_compact_chunk(1)) == 0
    assert array.compact_chunk((0,)) == len(tight) + 8 + 68 - len(tight)
    assert path.read_bytes() == tight
    assert asyncio.run(array.async_compact()) == 0
    array.with_options(store_empty_chunks=True)[:8] = 0
    assert array.compact() == 0
    assert array.compact(drop_empty=True) == 8
    assert array[:9].tolist() == [0] * 8 + [8]


@pytest.mark.parametrize("memory", [0, "1 MB"])
def test_all_indices_are_staged(memory):
    array = tegula.create_array({}, shape=(9, 8, 3), chunks=(4, 4, 3), dtype="int32", fill_value=-1)
    expected = np.full((9, 8, 3), -1, "int32")
    with array.write_session(memory=memory) as session:
        session.oindex[[8, 0, 3], 1:7:2, [True, False, True]] = np.arange(18).reshape(3, 3, 2)
        expected[np.ix_([8, 0, 3], [1, 3, 5], [0, 2])] = np.arange(18).reshape(3, 3, 2)
        session.vindex[[0, 8], :, [2, 1]] = np.arange(16).reshape(2, 8)
        expected[[0, 8], :, [2, 1]] = np.arange(16).reshape(2, 8)
        session.vindex[expected == 5] = 50
        expected[expected == 5] = 50
        session.blocks[1, :1] = 7
        expected[4:8, :4] = 7
        session[[1, 2], 0] = 3
        expected[[1, 2], 0] = 3
        session.append(np.full((3, 8, 3), 4))
        expected = np.concatenate([expected, np.full((3, 8, 3), 4)])
        session.blocks[2, 1] = 6
        expected[8:, 4:] = 6
        for wrong in (session.oindex, session.vindex, session.blocks):
            with pytest.raises(tegula.InvalidSelectionError):
                wrong[99] = 1
            with pytest.raises(TypeError):
                wrong[0]
    np.testing.assert_array_equal(array[...], expected)
