"""The layout of the package: imports without circles, short files, and nothing but public names in completion."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import tegula
from tegula._cli import COMMANDS

ROOT = Path(tegula.__file__).parent
NATIVE = "tegula._tegula"

# Modules that users name; all others start with an underscore, or are in a package that does.
PUBLIC = {
    "tegula": {"asdf", "codecs", "errors", "stores"},
    "tegula.asdf": set(),
    "tegula.stores": {"local", "memory", "python", "read_only", "remote", "zip"},
}

# Imports for type checkers that point back at an importer. They cost nothing at run time, but couple two modules: add
# one only if neither can do without the other.
TYPING_ONLY = {
    ("tegula._array.session", "tegula._array.array"),
    ("tegula.asdf._array", "tegula.asdf._file"),
    ("tegula.asdf._array", "tegula.asdf._opened"),
    ("tegula.asdf._library", "tegula.asdf._opened"),
    ("tegula.asdf._opened", "tegula.asdf._file"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(node: ast.AST, *, typing: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the modules of tegula that code imports, and whether only type checkers do so.

    Imports inside functions count like all others. They defer the cost of an import; a circle stays a circle.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, typing) for alias in child.names if alias.name in FILES)
        elif isinstance(child, ast.ImportFrom) and child.module in FILES:
            for alias in child.names:
                submodule = f"{child.module}.{alias.name}"
                if submodule != NATIVE:
                    yield submodule if submodule in FILES else child.module, typing
        yield from imports(
            child, typing=typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
        )


IMPORTS = {name: set(imports(ast.parse(path.read_text(encoding="utf-8")))) for name, path in FILES.items()}
GRAPH = {name: {target for target, typing in found if not typing} for name, found in IMPORTS.items()}


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    stack = [start]
    while stack:
        new = graph[stack.pop()] - found
        found |= new
        stack += new
    return found


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    below = {name: reachable(graph, name) for name in graph}
    return {
        frozenset({name} | {other for other in below[name] if name in below[other]})
        for name in graph
        if name in below[name]
    }


def test_imports_have_no_circles() -> None:
    assert circles(GRAPH) == set()
    upward = {(name, target) for name, found in IMPORTS.items() for target, typing in found if typing}
    assert upward == TYPING_ONLY


def test_folders_have_no_circles() -> None:
    """Folders depend on each other in one direction: each counts as one module here."""

    def folder(name: str) -> str:
        return ".".join(name.split(".")[:2])

    graph: dict[str, set[str]] = {folder(name): set() for name in FILES}
    for name, targets in GRAPH.items():
        graph[folder(name)] |= {folder(target) for target in targets} - {folder(name)}
    assert circles(graph) == set()


@pytest.mark.parametrize("name", FILES)
def test_files_are_short(name: str) -> None:
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("name", PUBLIC)
def test_completion_offers_public_names(name: str) -> None:
    package = importlib.import_module(name)
    offered = {attribute for attribute in dir(package) if not attribute.startswith("_")}
    names = {exported for exported in package.__all__ if not exported.startswith("_")}
    assert offered == names | PUBLIC[name]
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert {module for module in submodules if not module.startswith("_")} == PUBLIC[name]
    assert not submodules & names, "a submodule shadows a public name"


def test_every_command_is_in_the_table() -> None:
    commands = {
        path.stem for path in (ROOT / "_cli").glob("*.py") if "def add_parser(" in path.read_text(encoding="utf-8")
    }
    assert commands == {command.__name__.rpartition(".")[2] for command in COMMANDS}
