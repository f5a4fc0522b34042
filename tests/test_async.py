import asyncio
import gc
import inspect
import threading
import weakref

import numpy as np
import pytest
from conftest import write_ours

import tegula


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


@pytest.mark.parametrize("kind", [tegula.Array, tegula.WriteSession])
def test_every_read_and_write_has_a_twin(kind):
    names = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
    for name in names:
        if name.startswith(("retrieve_", "store_", "erase_")):
            assert f"async_{name}" in names, name
        if name.startswith("async_"):
            twin = getattr(kind, name)
            assert inspect.iscoroutinefunction(twin)
            plain = name.removeprefix("async_")
            assert inspect.signature(twin) == inspect.signature(getattr(kind, plain))
            assert twin.__name__ == name
            assert twin.__qualname__.endswith(f".{name}")
            assert twin.__doc__.startswith(f"Await `{plain}`.")


def test_twins_read_the_same(sample):
    array, ndim = sample.array, sample.array.ndim
    zero = (0,) * ndim
    calls = {
        "retrieve_array_subset": (array.subset_all(),),
        "retrieve_array_subsets": ([zero, zero], (1,) * ndim),
        "retrieve_chunk": (zero,),
        "retrieve_chunk_if_exists": (tuple(n - 1 for n in array.chunk_grid_shape),),
        "retrieve_chunks": ([(0, n) for n in array.chunk_grid_shape],),
        "retrieve_chunk_subset": (zero, [(0, 1)] * ndim),
        "retrieve_inner_chunk": (zero,),
        "retrieve_inner_chunks": ([(0, n) for n in array.inner_chunk_grid_shape],),
        "retrieve_encoded_chunk": (zero,),
        "retrieve_encoded_chunks": ([(0, n) for n in array.chunk_grid_shape],),
        "retrieve_encoded_inner_chunk": (zero,),
    }
    if not ndim:
        del calls["retrieve_array_subsets"]

    async def all_at_once():
        return await asyncio.gather(*[getattr(array, f"async_{name}")(*given) for name, given in calls.items()])

    for (name, given), found in zip(calls.items(), run(all_at_once()), strict=True):
        expected = getattr(array, name)(*given)
        assert type(found) is type(expected), name
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected, strict=True)
        else:
            assert found == expected, name


def test_out(samples):
    sample = samples["ours", "zstd"]
    out = np.zeros((17, 23), "float32")
    assert run(sample.array.async_retrieve_array_subset(sample.array.subset_all(), out)) is out
    np.testing.assert_array_equal(out, sample.elements)


def test_writes(tmp_path):
    async def write():
        array = tegula.create_array(tmp_path / "a", shape=(4, 4), chunks=(2, 2), dtype="int32")
        await asyncio.gather(
            *[array.async_store_chunk((i, j), np.full((2, 2), 10 * i + j, "int32")) for i in (0, 1) for j in (0, 1)]
        )
        await array.async_store_array_subset([(0, 2), (0, 2)], np.full((2, 2), 7, "int32"))
        await array.async_erase_chunk((1, 1))
        return array[...]

    np.testing.assert_array_equal(run(write()), np.kron([[7, 1], [10, 0]], np.ones((2, 2), int)))


def test_errors(samples, tmp_path):
    array = samples["ours", "zstd"].array
    with pytest.raises(tegula.InvalidSelectionError):
        run(array.async_retrieve_chunk((99, 99)))
    with pytest.raises(tegula.InvalidSelectionError):
        run(array.async_retrieve_array_subset(array.subset_all(), dtype="int8"))
    write_ours(tmp_path / "a", "zstd")
    array = tegula.open_array(tmp_path / "a")
    (tmp_path / "a" / array.chunk_key((0, 0))).write_bytes(b"nonsense")
    with pytest.raises(tegula.CorruptDataError, match=r"chunk \(0, 0\)"):
        run(array.async_retrieve_chunk((0, 0)))
    # An error in one call does not affect the others.

    async def both():
        return await asyncio.gather(
            array.async_retrieve_chunk((0, 0)), array.async_retrieve_chunk((0, 1)), return_exceptions=True
        )

    wrong, right = run(both())
    assert isinstance(wrong, tegula.CorruptDataError)
    assert right.shape == (5, 7)


def test_thousands_wait_without_a_thread_each(samples):
    sample = samples["ours", "sharded zstd"]

    async def many():
        before = threading.active_count()
        reads = [sample.array.async_retrieve_array_subset([(i % 17, i % 17 + 1), (0, 23)]) for i in range(2000)]
        rows = await asyncio.gather(*reads)
        assert threading.active_count() - before < 20
        return rows

    for i, row in enumerate(run(many())):
        np.testing.assert_array_equal(row[0], sample.elements[i % 17])


class Slow(dict):
    """A mapping that returns when the test allows it."""

    def __init__(self, objects):
        super().__init__(objects)
        self.asked, self.answer = threading.Event(), threading.Event()

    def __getitem__(self, key):
        self.asked.set()
        assert self.answer.wait(20)
        return super().__getitem__(key)


@pytest.fixture
def slow():
    store = {}
    write_ours(store, "zstd")
    store = Slow(store)
    store.answer.set()
    array = tegula.open_array(store)
    store.asked.clear()
    store.answer.clear()
    yield store, array
    store.answer.set()


def test_the_loop_runs_on_and_cancelling_is_immediate(slow):
    store, array = slow

    async def cancel():
        task = asyncio.ensure_future(array.async_retrieve_chunk((0, 0)))
        while not store.asked.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.answer.set()
        # The next read works.
        return await array.async_retrieve_chunk((0, 1))

    assert run(cancel()).shape == (5, 7)


def test_the_output_lives_until_the_read_ends(slow):
    store, array = slow
    out = np.zeros((5, 7), "float32")
    gone = weakref.ref(out)

    async def leave(out):
        task = asyncio.ensure_future(array.async_retrieve_chunk((0, 0), out))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave(out))
    # The loop is closed while the read is running.
    del out
    gc.collect()
    assert gone() is not None
    store.answer.set()
    for _ in range(1000):
        if gone() is None:
            break
        threading.Event().wait(0.01)
        gc.collect()
    assert gone() is None


def test_partial_decoders_are_not_async(samples):
    decoder = samples["ours", "zstd"].array.partial_decoder((0, 0))
    assert not any(name.startswith("async") for name in dir(decoder))
