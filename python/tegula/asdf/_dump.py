"""Whole trees to and from files and bytes, as in `json`."""

import io
from collections.abc import Mapping
from typing import Any

from tegula.asdf._file import AsdfFile
from tegula.asdf._open import open as open_file

__all__ = ["dump", "dumps", "load", "loads"]


def dump(
    tree: Mapping[Any, Any],
    fp: Any,
    *,
    version: str | None = None,
    extensions: Any = None,
    custom_schema: str | None = None,
    **options: Any,
) -> None:
    """Write a tree to a file.

    Parameters
    ----------
    tree : mapping
        The tree.
    fp : str, os.PathLike or file
        The path; or a binary file that is open for writing.
    version, extensions, custom_schema
        As for `AsdfFile`.
    **options
        As for `AsdfFile.write_to`.
    """
    file = AsdfFile(tree, version=version, extensions=extensions, custom_schema=custom_schema)
    file.write_to(fp, **options)


def dumps(tree: Mapping[Any, Any], **options: Any) -> bytes:
    """Return the bytes of a file with a tree.

    Parameters
    ----------
    tree : mapping
        The tree.
    **options
        As for `dump`.

    Examples
    --------
    >>> data = tegula.asdf.dumps({"flux": np.arange(4)})
    >>> tegula.asdf.loads(data)["flux"]
    array([0, 1, 2, 3])
    """
    buffer = io.BytesIO()
    dump(tree, buffer, **options)
    return buffer.getvalue()


def load(
    fp: Any,
    *,
    uri: str | None = None,
    validate_checksums: bool = False,
    extensions: Any = None,
    custom_schema: str | None = None,
    **options: Any,
) -> Any:
    """Read the tree of a file, with all ndarrays.

    Parameters
    ----------
    fp : str, os.PathLike, bytes or file
        The file.
    uri, validate_checksums, extensions, custom_schema
        As for `tegula.asdf.open`.
    **options
        Other arguments of `tegula.asdf.open`.

    Returns
    -------
    dict
        The tree. Its ndarrays are in memory; Zarr arrays are read when they are used.
    """
    with open_file(
        fp,
        **{"lazy_load": False, "memmap": False, **options},
        uri=uri,
        validate_checksums=validate_checksums,
        extensions=extensions,
        custom_schema=custom_schema,
    ) as file:
        return file.tree


def loads(asdf_string: bytes, **options: Any) -> Any:
    """Read the tree of a file from its bytes.

    Parameters
    ----------
    asdf_string : bytes
        The content of the file.
    **options
        As for `load`.
    """
    return load(bytes(asdf_string), **options)
