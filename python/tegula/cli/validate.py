"""`tegula validate`: whether all that is stored can be read."""

import argparse
import json
from typing import Any

import tegula
from tegula.cli import source
from tegula.cli.screen import BAD, GOOD, LABEL, NAME, NOTE, Screen, count
from tegula.validation import look


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "validate",
        help="look whether all that is stored can be read",
        description="Parses all metadata of a store and decodes all chunks, checksums included. Names what is damaged, "
        "what belongs to no array, and what writers that were killed left behind. Exits with 1 if there is anything.",
    )
    parser.add_argument("source", metavar="STORE", help="a store, or a node in one: data.zarr, data.zarr/group/array")
    parser.add_argument(
        "--repair", action="store_true", help="remove what killed writers left behind: temporary files and locks"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Run the command."""
    if source.is_asdf(arguments.source.partition("#")[0]):
        raise tegula.UnsupportedError(f"{arguments.source} is an ASDF file: it is stores that are validated")
    report = look(
        arguments.source,
        "/",
        repair=arguments.repair,
        through=lambda batches: screen.progress(batches, "decoding chunks"),
    )
    if arguments.json:
        problems = [problem._asdict() for problem in report.problems]
        facts = {"source": arguments.source, "ok": report.ok, **report._asdict(), "problems": problems}
        screen.line(json.dumps(facts))
    else:
        show(arguments.source, report, screen)
    return 0 if report.ok else 1


def show(name: str, report: tegula.ValidationReport, screen: Screen) -> None:
    """Print what was found."""
    looked = [count(report.arrays, "array"), count(report.groups, "group"), count(report.chunks, "chunk")]
    screen.line((name, NAME), ("  " + ", ".join(looked), NOTE))
    width = max((len(problem.kind) for problem in report.problems), default=0)
    for problem in report.problems:
        screen.line("  ", (problem.kind.ljust(width), BAD), "  ", problem.place, (f"  {problem.message}", LABEL))
    for file in report.removed:
        screen.line(("  removed  ", LABEL), file)
    found = len(report.problems)
    screen.line((f"  {count(found, 'problem')}", BAD) if found else ("  all well", GOOD))
