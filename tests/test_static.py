"""Static checks: ruff, mypy and stubtest."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TOOLS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "stubtest": ["mypy.stubtest", "tegula._tegula"],
}


@pytest.mark.parametrize("name", TOOLS)
def test_tools_pass(name):
    command = TOOLS[name]
    if importlib.util.find_spec(command[0].partition(".")[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
