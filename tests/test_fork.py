"""Forked children can read, whatever the parent did before."""

import asyncio
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


def in_child(work, seconds=20):
    """Call a function in a forked child, which is killed if it hangs."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, the child must not run on into pytest
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


@pytest.fixture
def reader(samples):
    """Return a function that uses every read method. It was called once in this process."""
    sample = samples["ours", "zstd"]
    sharded = samples["ours", "sharded zstd"]
    cached = sample.array.with_cache("1 MB")

    def read():
        for array in (sample.array, cached, sample.array.with_options(concurrent_target=2)):
            np.testing.assert_array_equal(array[...], sample.elements)
        np.testing.assert_array_equal(sharded.array[...], sharded.elements)
        asyncio.run(read_async())

    async def read_async():
        reads = [sample.array.async_retrieve_array_subset(sample.array.subset_all()) for _ in range(5)]
        for found in await asyncio.gather(*reads):
            np.testing.assert_array_equal(found, sample.elements)

    read()
    return read


def test_a_child_reads(reader):
    for _ in range(3):
        in_child(reader)
    reader()


def test_a_grandchild_reads(reader):
    in_child(lambda: (reader(), in_child(reader)))


def test_a_pool_of_processes_reads(samples):
    sample = samples["ours", "sharded zstd"]
    np.testing.assert_array_equal(sample.array[...], sample.elements)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        rows = pool.map_async(sample.array.__getitem__, range(17)).get(20)
    np.testing.assert_array_equal(rows, sample.elements)


def test_a_child_forked_during_reads_reads(samples, reader):
    import threading

    stop = threading.Event()

    def keep_reading():
        while not stop.is_set():
            samples["ours", "zstd"].array[...]

    threads = [threading.Thread(target=keep_reading) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            in_child(reader)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
