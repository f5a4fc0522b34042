import copy
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest
from conftest import write_ours

import tegula


def read_sum(array):
    return float(array[...].sum())


def test_arrays_come_back_without_io(tmp_path):
    elements = write_ours(tmp_path / "a", "sharded zstd")
    array = (
        tegula.open_array(tmp_path / "a").with_options(concurrent_target=3, validate_checksums=False).with_cache("1 MB")
    )
    array[...]
    pickled = pickle.dumps(array)
    shutil.move(tmp_path / "a" / "zarr.json", tmp_path / "elsewhere")
    again = pickle.loads(pickled)
    assert again.options == array.options
    assert repr(again.cache) == repr(array.cache)
    assert again.cache_info() == (0, 0, 0, 0)
    assert again.metadata == array.metadata
    np.testing.assert_array_equal(again[...], elements)


@pytest.mark.parametrize("layout", ["v2", "scalar", "transposed"])
def test_all_metadata_is_pickled(samples, layout):
    for writer in ("ours", "theirs"):
        sample = samples[writer, layout]
        again = pickle.loads(pickle.dumps(sample.array))
        assert again.info == sample.array.info
        np.testing.assert_array_equal(again[...], sample.elements)


def test_attributes_of_v2_are_pickled():
    array = tegula.create_array({}, shape=(2,), dtype="int8", zarr_format=2, attributes={"a": [1, {"b": None}]})
    assert pickle.loads(pickle.dumps(array)).attrs == {"a": [1, {"b": None}]}


def test_relative_paths_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_ours("a", "zstd")
    pickled = pickle.dumps(tegula.open_array("a"))
    monkeypatch.chdir("/")
    assert pickle.loads(pickled)[0, 0] == 1


def test_stores_in_memory_are_copied():
    store = tegula.MemoryStore()
    elements = write_ours(store, "zstd")
    array = pickle.loads(pickle.dumps(tegula.open_array(store)))
    np.testing.assert_array_equal(array[...], elements)
    array[...] = 0
    np.testing.assert_array_equal(tegula.open_array(store)[...], elements)
    assert dict(copy.copy(store)) == dict(store)


def test_copies_share_the_store(samples):
    array = samples["ours", "plain"].array
    assert copy.copy(array).store is array.store
    np.testing.assert_array_equal(copy.deepcopy(array)[...], array[...])


def test_groups(tmp_path):
    group = tegula.create_group(tmp_path / "g", attributes={"a": 1})
    group.create_group("b")
    assert list(pickle.loads(pickle.dumps(group))) == ["b"]
    assert pickle.loads(pickle.dumps(group["b"])).path == "b"


def test_caches_come_back_empty():
    for cache in (
        tegula.ChunkCache.decoded(chunks=3),
        tegula.ChunkCache.encoded(bytes="1 MB"),
        tegula.ChunkCache.decoded(bytes=5, per_thread=True),
    ):
        assert repr(pickle.loads(pickle.dumps(cache))) == repr(cache)


def test_options():
    options = tegula.CodecOptions(concurrent_target=5, store_empty_chunks=True)
    assert pickle.loads(pickle.dumps(options)) == options


def test_a_fresh_process_reads(samples):
    sample = samples["ours", "zstd"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(read_sum, (sample.array,)).get(60) == sample.elements.sum(dtype=float)
