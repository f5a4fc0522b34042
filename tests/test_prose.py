"""Documentation, comments and messages avoid phrases that readers stumble over."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PHRASES = {
    r"so many": "a number: `at most 64 bytes`, `number of chunks per batch`",
    r"of which": "`whose`, or a sentence of its own",
    r"of whom|whom": "the noun",
    r"what of": "the noun",
    r"(?:that|what) (?:is|are) none|(?:is|are) none (?:but|in)": "`is not a ...`, `there is no ...`",
    r"lies?|lain": "`is at`, `is stored in`, `contains`",
    r"noting": "`recording`, `history`",
    r"said": "`set`, `given`, `configured`",
    r"be it": "`whether`",
    r"anew": "`again`",
    r"asked of": "`looked up in`",
    r"thinkable": "`possible`",
}
BANNED = re.compile("|".join(rf"\b(?:{phrase}|{phrase[0].upper()}{phrase[1:]})\b" for phrase in PHRASES))

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "*.md",
        "docs/*.md",
        "rust/*.md",
        "python/**/*.py",
        "python/**/*.pyi",
        "rust/**/*.rs",
        "benches/**/*.py",
        "benches/**/*.rs",
        "tests/*.py",
    )
    for path in ROOT.glob(pattern)
    if path != Path(__file__)
)


@pytest.mark.parametrize("name", FILES)
def test_banned_phrases(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [f"{name}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if BANNED.search(line)]
    assert not found, "\n".join(found)
