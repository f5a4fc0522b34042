"""Writing trees."""

from typing import Any

STANDARD = "1.6.0"
"""The version of the ASDF standard that is written."""


def write(tree: Any, path: str, *, compression: str | None, checksums: bool) -> None:
    """Write a tree; see `tegula.asdf.AsdfFile.write_to`."""
    raise NotImplementedError
