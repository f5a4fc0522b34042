import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import tegula


def test_threads_read_the_right_values(samples):
    for layout in ("zstd", "sharded zstd", "plain"):
        sample = samples["ours", layout]
        for array in (
            sample.array,
            sample.array.with_cache("1 MB"),
            sample.array.with_cache(tegula.ChunkCache.decoded(chunks=3, per_thread=True)),
        ):

            def read(seed, array=array, elements=sample.elements):
                rng = np.random.default_rng(seed)
                for _ in range(60):
                    start = rng.integers(0, 10, 2)
                    key = tuple(slice(i, i + 7) for i in start)
                    np.testing.assert_array_equal(array[key], elements[key])
                return True

            with ThreadPoolExecutor(8) as pool:
                assert all(pool.map(read, range(8)))


def test_threads_write_chunks_side_by_side(tmp_path):
    array = tegula.create_array(tmp_path / "a", shape=(64, 8), chunks=(1, 8), dtype="int64")
    expected = np.arange(1, 64 * 8 + 1).reshape(64, 8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: array.__setitem__(i, expected[i]), range(64)))
    np.testing.assert_array_equal(array[...], expected)


def test_python_runs_on_while_an_array_is_read(tmp_path):
    array = tegula.create_array(
        tmp_path / "a", shape=(4000, 4000), chunks=(500, 500), dtype="float64", compressors="gzip:1"
    )
    array[...] = np.arange(16_000_000).reshape(4000, 4000) % 1000
    beats, stop = [], threading.Event()

    def beat():
        while not stop.is_set():
            beats.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=beat)
    thread.start()
    begin = time.perf_counter()
    array[...]
    end = time.perf_counter()
    stop.set()
    thread.join()
    during = [beat for beat in beats if begin < beat < end]
    assert end - begin > 0.02, "the read is too short to tell"
    assert len(during) >= 5
    # A read that holds the GIL would block this thread.
    assert max(np.diff([begin, *during, end])) < 0.7 * (end - begin)


def test_mappings_are_called_from_any_thread():
    store = {}
    array = tegula.create_array(store, shape=(200, 200), chunks=(10, 10), dtype="int32")
    array[...] = np.arange(40000).reshape(200, 200)
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda i: int(array[i * 25 : (i + 1) * 25].sum()), range(8)))
    assert sum(sums) == 40000 * 39999 // 2
