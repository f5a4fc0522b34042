"""Ctrl-C ends calls of native code soon, whatever they do, and leaves neither half a file nor a temporary one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOON = 4.0
"""Seconds after which a call must have ended on a machine that is busy with other tests."""

SETUP = """
import os, signal, sys, threading, time
import numpy as np
import tegula
signal.signal(signal.SIGINT, signal.default_int_handler)
x = np.tile(np.random.default_rng(0).integers(0, 1000, (512, 512), dtype="u2"), (4, 8))
slow = dict(compressors="zstd:19")
begun = [None]
def send():
    time.sleep(0.3)
    begun[0] = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
"""

PREPARE = {
    "a copy": "a = tegula.create_array('a', data=x, chunks=(256, 256))",
    "a rechunk": "a = tegula.create_array('a', data=x, chunks=(256, 256))",
    "a read": "a = tegula.create_array('a', data=x, chunks=(512, 512), compressors='bz2')",
    "a read of a large chunk": "a = tegula.create_array('a', data=x, chunks=x.shape, compressors='bz2')",
    "a validation": "a = tegula.create_array('a', data=x, chunks=(512, 512), compressors='bz2')",
}

CALLS = {
    "a save": "tegula.save('s', x, chunks=(512, 512), **slow)",
    "a save with progress": "tegula.save('s', x, chunks=(512, 512), progress=lambda done, total: None, **slow)",
    "a save of one chunk": "[tegula.save(f's{k}', x, chunks=x.shape, **slow) for k in range(100)]",
    "a save of shards": "tegula.save('s', x, chunks=(256, 256), shards=(1024, 1024), **slow)",
    "a session": (
        "with tegula.create_array('s', shape=x.shape, dtype='u2', chunks=x.shape, **slow).write_session() as s:\n"
        "        for k in range(100): s[:4] = 1; s[...] = x"
    ),
    "a copy": "tegula.copy('a', 's', **slow)",
    "a rechunk": "tegula.rechunk('a', 's', chunks=(1024, 1024), **slow)",
    "a read": "[a[...] for _ in range(100)]",
    "a read of a large chunk": "[a[...] for _ in range(100)]",
    "a validation": "[tegula.validate('a') for _ in range(100)]",
    **{
        f"an ASDF file with {label}": (
            f"[tegula.AsdfFile({{'a': np.tile(x, (2, 2))}}).write_to('s.asdf', all_array_compression={label!r})"
            " for _ in range(100)]"
        )
        for label in ("zlib", "bzp2", "lz4", "zstd", "xz")
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_hear_ctrl_c(name: str, tmp_path: Path) -> None:
    code = f"""{SETUP}
{PREPARE.get(name, "")}
threading.Thread(target=send, daemon=True).start()
try:
    {CALLS[name]}
except KeyboardInterrupt:
    took = time.monotonic() - begun[0]
    # The lock of a file that is busy in a codec goes at the end of the process.
    left = [f for _, _, files in os.walk(".") for f in files if f.startswith(".tegula") and "lock" not in f]
    print(took, left)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    took, left = done.stdout.split(maxsplit=1)
    assert float(took) < SOON
    assert left == "[]\n"
    assert not [file for _, _, files in os.walk(tmp_path) for file in files if file.startswith(".tegula")]
    assert not (tmp_path / "s" / "zarr.json").exists() or name == "a session"
    assert not (tmp_path / "s.asdf").exists() or (tmp_path / "s.asdf").stat().st_size > 1000
