"""The architecture page names files that exist, and lists which files an addition touches."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "rust/ARCHITECTURE.md").read_text(encoding="utf-8")
PRODUCT = [
    path.relative_to(ROOT).as_posix()
    for folder in ("rust/core/src", "rust/python/src", "python/tegula")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".rs", ".py", ".pyi") and "tests" not in path.relative_to(ROOT).as_posix()
]
FILES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("rust/core", "rust/python", "python/tegula", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".rs", ".py", ".pyi")
]


def paths(text: str) -> list[str]:
    """Return the files that a text names between backticks; braces name several."""
    found: list[str] = []
    for name in re.findall(r"`([\w./{},]+\.(?:rs|pyi?))`", text):
        match = re.fullmatch(r"(.*)\{(.*)\}(.*)", name)
        found += [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")] if match else [name]
    return [name.removeprefix("../") for name in found]


def test_files_exist() -> None:
    named = [name for name in paths(PAGE) if name not in ("x.rs", "x.py") and not name.endswith(("/x.rs", "/x.py"))]
    assert len(named) > 80
    gone = [name for name in named if not any(file == name or file.endswith(f"/{name}") for file in FILES)]
    assert not gone


def test_additions_touch_the_files_of_the_table() -> None:
    table = PAGE.split("| addition | example | files that name it |")[1].split("\n\n")[0]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == 3
    for addition, example, files in rows:
        word = re.compile(rf"\b{example.strip(' `')}\b")
        found = {name for name in PRODUCT if word.search((ROOT / name).read_text(encoding="utf-8"))}
        listed = {next(file for file in PRODUCT if file.endswith(name)) for name in paths(files)}
        assert found == listed, addition.strip()
