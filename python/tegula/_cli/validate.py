"""`tegula validate`: checks everything that is stored."""

import argparse
from typing import Any

import tegula
from tegula._cli import source
from tegula._cli.screen import Screen
from tegula._format import count

PROBLEMS_SHOWN = 50


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "validate",
        help="check everything that is stored",
        description="Reads the metadata of all arrays and groups, decodes every stored chunk, and lists damage and "
        "objects that belong to no array. For an ASDF file, compares the checksums of the blocks and reads all "
        "arrays. The exit code is 1 if something is wrong.",
    )
    source.add_argument(parser)
    parser.add_argument("--repair", action="store_true", help="remove temporary files that killed processes left")
    return parser


def run(arguments: argparse.Namespace, screen: Screen) -> None:
    """Run the command."""
    path = arguments.source.partition("#")[0]
    if source.is_asdf(path):
        validate_asdf(path, screen)
        return
    found = tegula.validate(arguments.source, repair=arguments.repair, progress=True)
    for file in found.removed:
        screen.line(f"removed {file}")
    for file in found.leftovers:
        screen.line(f"{file}: left by a killed process; --repair removes it")
    for problem in found.problems[:PROBLEMS_SHOWN]:
        screen.line(str(problem))
    if len(found.problems) > PROBLEMS_SHOWN:
        screen.line(f"... and {len(found.problems) - PROBLEMS_SHOWN:,} more")
    looked = ", ".join(
        count(n, what) for n, what in ((found.groups, "group"), (found.arrays, "array"), (found.chunks, "stored chunk"))
    )
    if not found.ok:
        wrong = len(found.problems) + len(found.leftovers)
        raise tegula.CorruptDataError(f"{arguments.source}: {count(wrong, 'problem')} in {looked}")
    screen.line(f"{arguments.source}: {looked}: no problems")


def validate_asdf(path: str, screen: Screen) -> None:
    """Compare the checksums of an ASDF file and read its arrays."""
    with tegula.open_asdf(path, validate_checksums=True) as file:
        file.verify()
        arrays = file.search(type_=tegula.Array).nodes
        for array in arrays:
            array[...]
        screen.line(f"{path}: {count(len(file.blocks), 'block')}, {count(len(arrays), 'array')}: no problems")
