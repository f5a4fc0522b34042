"""Regions on the command line: NumPy's basic indexing without the brackets, `1000:1064,::2,-1` or `...,3`."""

import argparse
import re
from types import EllipsisType

Index = int | slice | EllipsisType

_INTEGER = r"\s*([+-]?\d+)?\s*"
_INDEX = re.compile(rf"{_INTEGER}(?:(:){_INTEGER}(?::{_INTEGER})?)?")


def parse(text: str) -> tuple[Index, ...]:
    """Parse a region. Raises argparse's error if the text is not one."""
    parts = text.strip().removeprefix("[").removesuffix("]").split(",")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    region = tuple(_one(part.strip(), text) for part in parts)
    if sum(index is ... for index in region) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} has more than one ellipsis")
    return region


def _one(part: str, text: str) -> Index:
    if part == "...":
        return ...
    match = _INDEX.fullmatch(part)
    if not part or not match:
        raise argparse.ArgumentTypeError(f"{part!r} in {text!r} is not an index; write 5, 2:10, ::2, -1 or ...")
    start, colon, stop, step = match.groups()
    if not colon:
        return int(start)
    if step is not None and int(step) == 0:
        raise argparse.ArgumentTypeError(f"the step of {part!r} is zero")
    return slice(*(None if number is None else int(number) for number in (start, stop, step)))


def written(region: tuple[Index, ...]) -> str:
    """Return the text that `parse` reads as a region."""
    return ",".join(_written(index) for index in region)


def _written(index: Index) -> str:
    if isinstance(index, slice):
        text = f"{_number(index.start)}:{_number(index.stop)}"
        return text if index.step is None else f"{text}:{index.step}"
    return "..." if index is ... else str(index)


def _number(number: int | None) -> str:
    return "" if number is None else str(number)
