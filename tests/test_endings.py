"""Processes end cleanly: whatever runs when the interpreter ends, nothing aborts, hangs or leaves files behind."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

TIMES = int(os.environ.get("TEGULA_ENDINGS", "3"))
"""How often each script runs."""

SETUP = """
import asyncio, os, signal, sys, threading, time
import numpy as np
import tegula
a = tegula.create_array("a.zarr", shape=(512, 512), dtype="f4", chunks=(32, 32), shards=(256, 256))
x = np.random.default_rng(0).normal(size=a.shape).astype("f4")
a[...] = x
def interrupt(after=0.1):
    def send():
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=send, daemon=True).start()
big = dict(chunks=(64, 64), compressors="zstd:19")
"""

SCRIPTS = {
    "async reads": """
async def main():
    await asyncio.gather(*(a.async_retrieve_chunk([i % 2, i // 2]) for i in range(4)))
asyncio.run(main())
""",
    "async reads that nobody awaits": """
async def main():
    for i in range(50):
        asyncio.ensure_future(a.async_retrieve_array_subset(np.s_[:, :]))
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
    "async writes": """
async def main():
    await asyncio.gather(*(a.async_store_array_subset(np.s_[i : i + 64, :], x[i : i + 64]) for i in range(0, 512, 64)))
asyncio.run(main())
""",
    "async writes that nobody awaits": """
async def main():
    for i in range(0, 512, 64):
        asyncio.ensure_future(a.async_store_array_subset(np.s_[i : i + 64, :], x[i : i + 64]))
    await asyncio.sleep(0.005)
asyncio.run(main())
""",
    "reads of a mapping": """
d = tegula.create_array(dict(), data=x, chunks=(32, 32))
async def main():
    for i in range(20):
        asyncio.ensure_future(d.async_retrieve_array_subset(np.s_[:, :]))
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
    "background reads": """
def read():
    while True:
        a[...]
for _ in range(3):
    threading.Thread(target=read, daemon=True).start()
time.sleep(0.1)
""",
    "background reads of a mapping": """
class Slow(dict):
    def __getitem__(self, key):
        sum(range(1000))
        return dict.__getitem__(self, key)
d = tegula.create_array(Slow(), data=x, chunks=(32, 32))
def read():
    while True:
        d[...]
for _ in range(3):
    threading.Thread(target=read, daemon=True).start()
time.sleep(0.1)
""",
    "background writes": """
def write(k):
    while True:
        a[k * 64 : k * 64 + 64] = x[:64]
for k in range(3):
    threading.Thread(target=write, args=(k,), daemon=True).start()
time.sleep(0.1)
""",
    "an exit in a child": """
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        a[:64, :64]
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
async def main():
    await a.async_retrieve_chunk([0, 0])
asyncio.run(main())
""",
    "a child that ends like its parent": """
def read():
    while True:
        a[...]
threading.Thread(target=read, daemon=True).start()
async def main():
    await a.async_retrieve_chunk([0, 0])
asyncio.run(main())
if pid := os.fork():
    assert os.waitpid(pid, 0)[1] == 0
else:
    asyncio.run(main())
""",
    "calls at the end": """
import atexit, weakref
class Last:
    def __del__(self):
        self.array[:64, :64]
last = Last()
last.array = a
async def main():
    await a.async_retrieve_chunk([0, 0])
asyncio.run(main())
""",
    "an interrupted read": """
c = tegula.create_array("c.zarr", data=np.tile(x, (4, 4)), chunks=(16, 16))
interrupt()
try:
    while True:
        c[...]
except KeyboardInterrupt:
    pass
""",
    "an interrupted copy": """
interrupt()
try:
    while True:
        tegula.copy(a, "b.zarr", compressors="zstd:19", overwrite=True)
except KeyboardInterrupt:
    pass
""",
    "an interrupted rechunk": """
interrupt()
try:
    while True:
        tegula.rechunk(a, "b.zarr", overwrite=True, **big)
except KeyboardInterrupt:
    pass
""",
    "an interrupt that nobody catches": """
interrupt()
while True:
    tegula.rechunk(a, "b.zarr", overwrite=True, **big)
""",
    "an interrupted download": """
import range_server
class Server(range_server.ThreadingHTTPServer):
    latency, folder = 0.05, "."
    def handle_error(self, *args): pass
server = Server(("127.0.0.1", 0), range_server.Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
remote = tegula.open_array(f"http://127.0.0.1:{server.server_port}/a.zarr")
interrupt()
try:
    while True:
        remote[...]
except KeyboardInterrupt:
    pass
""",
}

INTERRUPTED = {"an interrupt that nobody catches"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_end(name: str, tmp_path: Path) -> None:
    def run(number: int) -> tuple[int, str, list[str]]:
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, "-X", "faulthandler", "-W", "ignore", "-c", SETUP + SCRIPTS[name]]
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
        done = subprocess.run(
            command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
        )
        left = [file for _, _, files in os.walk(folder) for file in files if file.startswith(".tegula")]
        return done.returncode, done.stderr, left

    with ThreadPoolExecutor(2) as pool:
        for code, errors, left in pool.map(run, range(TIMES)):
            assert code == (-2 if name in INTERRUPTED else 0), errors
            assert not left, left
            if name not in INTERRUPTED:
                assert not errors
