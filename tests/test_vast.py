"""Work follows what is stored, not the grid."""

import json
import time
from contextlib import suppress

import pytest

import tegula


def document(shape, chunk, **more):
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        **more,
    }


def opened(shape, chunk, **more):
    return tegula.open_array({"zarr.json": json.dumps(document(shape, chunk, **more)).encode()})


@pytest.mark.parametrize("how", [{}, {"zarr_format": 2}, {"shards": (2000, 2000)}])
@pytest.mark.parametrize("kind", ["folder", "memory", "mapping"])
def test_one_chunk_of_a_vast_grid(how, kind, tmp_path):
    store = {"folder": tmp_path / "a", "memory": tegula.MemoryStore(), "mapping": {}}[kind]
    array = tegula.create_array(store, shape=(10**8, 10**8), dtype="u1", chunks=(1000, 1000), **how)
    array[123_456, 7] = 1
    begin = time.monotonic()
    found = tegula.validate(store)
    assert found.ok
    assert found.chunks == 1
    for options in ({}, {"compressors": "gzip"}, {"zarr_format": 2}):
        copied = tegula.copy(store, {}, **options)
        assert copied[123_456, :9].sum() == 1
    assert tegula.rechunk(store, {}, chunks=(700, 1100))[123_456, :9].sum() == 1
    array.resize((10**8 - 5, 10**8))
    assert "grid" in array.info
    assert array._native.stored_size()[0] == 1
    array.compact()
    other = tegula.create_array({}, shape=array.shape, dtype="u1", chunks=array.chunks, fill_value=0)
    other[5, 5] = 3
    array.copy_to(other)
    assert other[5, 5] == 0
    assert other[123_456, 7] == 1
    array.erase_chunks([(0, count) for count in array.chunk_grid_shape])
    assert not array[123_456, 7]
    assert time.monotonic() - begin < 10


def test_lengths_near_the_end():
    for shape, chunk in (([2**63], [2**40]), ([2**63, 0], [2**40, 1])):
        array = opened(shape, chunk)
        assert str(shape[0]) in array.info
        for work in (
            lambda array: array.explain(...),
            lambda array: array[0:5, 0:0],
            lambda array: array[...],
            lambda array: array.erase_chunks([(0, count) for count in array.chunk_grid_shape]),
            lambda array: tegula.copy(array, {}),
            lambda array: tegula.validate(array.store),
        ):
            with suppress(tegula.Error, MemoryError, ValueError, IndexError, OverflowError):
                work(opened(shape, chunk))


def test_a_copy_that_would_store_a_vast_grid_is_refused():
    with pytest.raises(tegula.UnsupportedError, match="chunks, and all of them must be stored"):
        tegula.rechunk(opened([2**60], [8]), {}, chunks=(8,), fill_value=1)
