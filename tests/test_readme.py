"""The examples of README.md run in order, and the command line accepts its commands."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tegula._cli import guarded, parser

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    blocks = [text for language, text in BLOCKS if language == "python"]
    assert len(blocks) > 3
    for n, text in enumerate(blocks):
        exec(compile(text, f"README.md, Python block {n + 1}", "exec"), names)


def test_commands_are_understood() -> None:
    lines = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
    commands = [shlex.split(re.sub(r"\s#.*", "", line))[1:] for line in lines if line.startswith("tegula ")]
    assert commands
    for command in commands:
        parser().parse_args([guarded(argument) for argument in command])


def test_every_block_is_checked() -> None:
    assert {language for language, _ in BLOCKS} <= {"python", "sh"}
