"""The command `tegula`.

To add a command, write a module with `add_parser(commands)` and `run(arguments, screen)`, and add it to COMMANDS.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence

import tegula
from tegula._cli import copy, cutout, demo, info, validate
from tegula._cli.screen import Screen

COMMANDS = (info, cutout, copy, demo, validate)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="tegula",
        description="Inspect, copy, validate and cut chunked arrays in Zarr V3, Zarr V2 and ASDF.",
    )
    top.add_argument("--version", action="version", version=f"tegula {tegula.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands).set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 1 after an error. Wrong usage exits with 2."""
    given = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser().parse_args([guarded(argument) for argument in given])
        arguments.run(arguments, Screen(sys.stdout))
        sys.stdout.flush()
    except (tegula.Error, OSError, MemoryError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader, such as `head`, is gone. Without this, Python reports the pipe again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"tegula: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - users of a command get a message
        kind = type(error).__name__
        print(f"tegula: unexpected {kind}, please report it: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def guarded(argument: str) -> str:
    """Put a region such as `-64:,0` in brackets, because argparse would take it for an option."""
    return f"[{argument}]" if re.fullmatch(r"-\d[\d:,.+\s-]*", argument) else argument


FLAGS = (
    ("overwrite=True", "--overwrite"),
    ("max_memory", "--max-memory"),
    ("zarr_format=", "--zarr-format "),
    (
        "rechunk its arrays one by one, or use tegula.copy",
        "copy its arrays one by one, or all without --chunks",
    ),
    ("copy array.without_mask() and array.mask separately", "Python can copy array.without_mask() and array.mask"),
)
"""What messages for Python call flags of the command line, and these flags."""


def one_line(error: BaseException) -> str:
    """Return an error's message on one line, with flags in place of Python's arguments."""
    text = " ".join(str(error).split())
    for argument, flag in FLAGS:
        text = text.replace(argument, flag)
    return text or ("not enough memory" if isinstance(error, MemoryError) else type(error).__name__)
