"""Writing any region: compared with NumPy, read by other libraries, and by concurrent writers."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from conftest import LAYOUTS, write_ours
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import tegula


def indices(shape):
    """Return basic indices: integers, slices with any steps, ellipses and None."""
    return npst.basic_indices(shape, allow_newaxis=True)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "scalar"])
@given(data=st.data())
def test_any_index_is_assigned_as_numpy_does(tmp_path_factory, layout, data):
    path = tmp_path_factory.mktemp("written")
    expected = write_ours(path, layout).copy()
    array = tegula.open_array(path)
    for _ in range(3):
        key = data.draw(indices(expected.shape), label="key")
        shape = np.empty(expected.shape, bool)[key].shape
        counting = np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape)
        value = data.draw(st.sampled_from([3, 200, counting, np.full(shape[-1:], 5)]), label="value")
        value = np.asarray(value, expected.dtype)
        expected[key] = value
        array[key] = value
        np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[...], expected)


def test_a_scalar_array_is_assigned():
    array = tegula.create_array(tegula.MemoryStore(), shape=(), dtype="int32")
    array[...] = 4
    array[()] = 5
    assert array[()] == 5
    array[...] = 0
    assert not array.chunk_exists(())


def test_strings_are_assigned(tmp_path):
    array = tegula.create_array(tmp_path, shape=(5, 4), chunks=(3, 3), dtype="string", fill_value="none")
    expected = np.full((5, 4), "none", object)
    for key, value in [
        (np.s_[1:4, ::2], [["a", "bb"], ["é", ""], ["none", "a longer text"]]),
        (np.s_[::-2, 3], "x"),
        (np.s_[0], ["a", "b", "c", "d"]),
        (np.s_[4, 3], "y"),
        (np.s_[3:, 3], "none"),
    ]:
        array[key] = value
        expected[key] = value
        np.testing.assert_array_equal(np.asarray(array[...], object), expected)
    np.testing.assert_array_equal(np.asarray(zarr.open_array(tmp_path, mode="r")[...], object), expected)


def test_chunks_and_parts_of_them():
    array = tegula.create_array(tegula.MemoryStore(), shape=(6, 7), chunks=(4, 4), dtype="int16", fill_value=1)
    padded = np.arange(64, dtype="int16").reshape(8, 8)
    array.store_chunks([(0, 2), (0, 2)], padded)
    np.testing.assert_array_equal(array.retrieve_chunks([(0, 2), (0, 2)]), padded)
    array.store_chunk_subset((1, 0), [(1, 2), (0, 4)], [[5, 6, 7, 8]])
    assert array[5].tolist() == [5, 6, 7, 8, 44, 45, 46]
    array.store_encoded_chunk((0, 1), array.retrieve_encoded_chunk((0, 0)))
    np.testing.assert_array_equal(array[:4, 4:], array[:4, :3])
    array.erase_chunks([(0, 1), (0, 2)])
    assert (array[:4] == 1).all()
    assert array.chunk_exists((1, 1))
    for wrong in (
        lambda: array.store_chunks([(0, 3), (0, 2)], np.zeros((12, 8), "int16")),
        lambda: array.store_chunks([(0, 1), (0, 2)], padded),
        lambda: array.store_chunk_subset((1, 0), [(1, 5), (0, 4)], np.zeros((4, 4), "int16")),
        lambda: array.store_encoded_chunk((2, 0), b""),
        lambda: array.erase_chunks([(0, 3), (0, 1)]),
    ):
        with pytest.raises(tegula.InvalidSelectionError):
            wrong()
    array.erase_metadata()
    with pytest.raises(tegula.NotFoundError):
        tegula.open_array(array.store)


def test_twins_write_the_same():
    array = tegula.create_array(tegula.MemoryStore(), shape=(4, 4), chunks=(2, 2), dtype="int32")

    async def write():
        await array.async_store_chunks([(0, 1), (0, 2)], np.ones((2, 4), "int32"))
        await asyncio.gather(*(array.async_store_chunk_subset((1, 1), [(i, i + 1), (0, 2)], [[i, 9]]) for i in (0, 1)))
        await array.async_store_encoded_chunk((1, 0), array.retrieve_encoded_chunk((0, 0)))
        await array.async_erase_chunks([(0, 1), (1, 2)])

    asyncio.run(write())
    assert array[...].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 9], [1, 1, 1, 9]]
    asyncio.run(array.async_erase_metadata())
    assert array.store.get("zarr.json") is None


@pytest.mark.parametrize("shards", [None, (8, 8)])
@pytest.mark.parametrize("kind", ["folder", "memory", "mapping"])
def test_reads_see_what_was_written(tmp_path, kind, shards):
    store = {"folder": tmp_path, "memory": tegula.MemoryStore(), "mapping": {}}[kind]
    array = tegula.create_array(store, shape=(8, 8), chunks=(4, 4), shards=shards, dtype="int32", compressors="zstd")
    cached = array.with_cache("1 MB")
    encoded = array.with_cache(tegula.ChunkCache.encoded(bytes="1 MB"))
    for value in range(1, 40):
        array[value % 8, 1:3] = value
        for reader in (array, cached, encoded):
            assert (reader[value % 8, 1:3] == value).all()
            assert (reader[value % 8, :3] == [0, value, value]).all()


TILES = [(row, column) for row in range(0, 256, 16) for column in range(0, 256, 16)]


def write_tiles(array, tiles):
    for row, column in tiles:
        array[row : row + 16, column : column + 16] = row * 16 + column + 1


def check_tiles(array):
    elements = array[...]
    lost = [(row, column) for row, column in TILES if (elements[row : row + 16, column : column + 16] == 0).any()]
    assert not lost
    assert all(elements[row, column] == row * 16 + column + 1 for row, column in TILES)


def tiled(store, shards):
    chunks = (16, 16) if shards == "aligned" else (48, 64) if shards else (256, 256)
    shards = None if shards is None else (256, 256) if shards == "aligned" else (288, 256)
    return tegula.create_array(store, shape=(256, 256), chunks=chunks, shards=shards, dtype="int32")


@pytest.mark.parametrize("shards", [None, "aligned", "across"])
@pytest.mark.parametrize("kind", ["folder", "memory", "mapping"])
def test_threads_lose_nothing(tmp_path, kind, shards):
    store = {"folder": tmp_path, "memory": tegula.MemoryStore(), "mapping": {}}[kind]
    array = tiled(store, shards)
    threads = [threading.Thread(target=write_tiles, args=(array, TILES[k::8])) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    check_tiles(array)


@pytest.mark.parametrize("shards", [None, "aligned", "across"])
def test_processes_lose_nothing(tmp_path, shards):
    array = tiled(tmp_path, shards)
    code = (
        "import sys, tegula; sys.path.insert(0, sys.argv[3]); from test_write import TILES, write_tiles; "
        "write_tiles(tegula.open_array(sys.argv[1]), TILES[int(sys.argv[2])::4])"
    )
    folder = str(Path(__file__).parent)
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(k), folder]) for k in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    check_tiles(array)
    assert not list(tmp_path.rglob(".tegula-*"))


def test_concurrent_whole_and_partial_writes(tmp_path):
    """A partial write never restores neighbors from before a whole-chunk write."""
    array = tegula.create_array(tmp_path, shape=(64,), chunks=(64,), dtype="int64")
    rounds = 200

    def parts():
        for _ in range(rounds):
            array[0] = -1

    thread = threading.Thread(target=parts)
    thread.start()
    for k in range(1, rounds + 1):
        array[...] = np.full(64, k)
        assert (array[1:] == k).all()
    thread.join(60)
