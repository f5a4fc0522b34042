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
        "objects that belong to no array. For an ASDF file, compares the checksums of the blocks, decodes them and "
        "looks up all arrays. The exit code is 1 if something is wrong.",
    )
    source.add_argument(parser)
    parser.add_argument("--repair", action="store_true", help="remove temporary files that killed processes left")
    return parser


def run(arguments: argparse.Namespace, screen: Screen) -> None:
    """Run the command."""
    options = source.access(arguments, arguments.source)
    found = tegula.validate(arguments.source, repair=arguments.repair, progress=True, storage_options=options)
    for file in found.removed:
        screen.line(f"removed {file}")
    for file in found.leftovers:
        screen.line(f"{file}: left by a killed process; --repair removes it")
    for problem in found.problems[:PROBLEMS_SHOWN]:
        screen.line(str(problem))
    if len(found.problems) > PROBLEMS_SHOWN:
        screen.line(f"... and {len(found.problems) - PROBLEMS_SHOWN:,} more")
    facts = [(found.blocks, "block"), (found.groups, "group"), (found.arrays, "array"), (found.chunks, "stored chunk")]
    if source.is_asdf(arguments.source.partition("#")[0]):
        facts = [fact for fact in facts if fact[0] or fact[1] in ("block", "array")]
    else:
        facts = facts[1:]
    looked = ", ".join(count(n, what) for n, what in facts)
    if not found.ok:
        wrong = len(found.problems) + len(found.leftovers)
        raise tegula.CorruptDataError(f"{arguments.source}: {count(wrong, 'problem')} in {looked}")
    screen.line(f"{arguments.source}: {looked}: no problems")
