"""Checks of everything that is stored."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Unpack
from urllib.parse import urlsplit

from tegula import _tegula
from tegula._array.array import Array
from tegula._group import Group
from tegula._guide import guided
from tegula._location import METADATA, orphans
from tegula._open import open as open_node
from tegula._progress import Progress, Report, reporting
from tegula.asdf._check import leftovers, opened_to_check, problems
from tegula.errors import Error, InvalidMetadataError, NotFoundError, UnsupportedError
from tegula.stores import Store, StoreLike, as_store
from tegula.stores._access import AccessOptions, with_access
from tegula.stores._resolve import local_path

__all__ = ["Problem", "Validation", "validate"]

# Number of members opened per batch.
_TOGETHER = 4096


@dataclass(frozen=True)
class Problem:
    """Something that is wrong in a store."""

    place: str
    """The object or file."""
    message: str
    """What is wrong with it."""

    def __str__(self) -> str:
        return self.message if self.place in self.message else f"{self.place}: {self.message}"


@dataclass
class Validation:
    """The result of `tegula.validate`."""

    groups: int = 0
    """Number of groups whose metadata was read."""
    arrays: int = 0
    """Number of arrays whose metadata was read."""
    chunks: int = 0
    """Number of stored chunks that were decoded."""
    blocks: int = 0
    """Number of blocks of an ASDF file whose checksum was compared and that were decoded."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong."""
    leftovers: list[str] = field(default_factory=list)
    """What killed processes left: temporary files, locks, and chunks without metadata."""
    removed: list[str] = field(default_factory=list)
    """What killed processes left and was removed."""

    @property
    def ok(self) -> bool:
        """Whether there are neither problems nor leftovers."""
        return not self.problems and not self.leftovers


@with_access
@guided
def validate(
    store: StoreLike,
    path: str = "/",
    *,
    repair: bool = False,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    **_access: Unpack[AccessOptions],
) -> Validation:
    """Read everything that is stored of an array, or of a group and its members, and report what is wrong.

    Metadata is parsed and compared with its consolidated copies, every stored chunk is decoded and its checksums are
    compared, and objects that belong to no array or group are reported. In a local folder, so are the temporary files
    of processes that were killed while they wrote; these files are not part of any array. Shards are decoded inner
    chunk by inner chunk, and what is damaged hides nothing else. Of an ASDF file, all blocks and arrays are checked.

    Parameters
    ----------
    store : path, mapping or Store
        As for `tegula.open_array`; or the path of an ASDF file.
    path : str
        The path of the array or group in the store.
    repair : bool
        Whether to remove temporary files and locks that no process uses any more, and chunks without metadata.
    progress : bool or callable, optional
        True draws a bar if standard error is a terminal. A callable is called, for each array in turn, with the number
        of chunks that were checked and the number of its stored chunks.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Returns
    -------
    Validation
        What was found. Its `ok` is True if nothing is wrong.

    Raises
    ------
    NotFoundError
        If there is no array or group.

    Examples
    --------
    >>> store = tegula.MemoryStore()
    >>> array = tegula.create_array(store, shape=(4,), chunks=(2,), dtype="uint8", fill_value=9)
    >>> array[...] = range(4)
    >>> tegula.validate(store).ok
    True
    >>> store["c/1"] = b"nonsense"
    >>> [problem.place for problem in tegula.validate(store).problems]
    ['memory:/c/1']
    """
    result = Validation()
    if (file := _asdf_file(store)) is not None:
        with reporting(progress, "checking", unit="chunk") as report:
            _check_file(file, result, report, storage_options, repair=repair)
        return result
    found, below = as_store(store, path, storage_options)
    left = found._native.leftovers(_tegula.node_path(below), repair)
    (result.removed if repair else result.leftovers).extend(left)
    node: Array | Group
    try:
        node = open_node(found, below, mode="r")
    except NotFoundError:
        # A writer may have been killed before it stored metadata.
        _take_orphans(found, _tegula.node_path(below), result, repair=repair)
        if result.ok and not result.removed:
            raise
        return result
    except (InvalidMetadataError, UnsupportedError) as error:
        result.problems.append(Problem(found._native.display(_tegula.node_path(below)), str(error)))
        node = Group._wrap(_tegula.Group.unread(found._native, below), found)
    with reporting(progress, "checking", unit="chunk") as report:
        if isinstance(node, Array):
            _check_array(node, result, report)
        else:
            _check_group(node, result, report)
            for group in [node, *(member for _, member in _groups(node))]:
                _check_folders(found, group, result, repair=repair)
    return result


def _groups(group: Group) -> Iterator[tuple[str, Group]]:
    for name, kind in group.kinds(recursive=True).items():
        if kind == "group":
            with suppress(Error):
                member = group[name]
                if isinstance(member, Group):
                    yield name, member


def _check_folders(store: Store, group: Group, result: Validation, *, repair: bool) -> None:
    """Report folders in a group that are no nodes, but contain chunks."""
    try:
        members = group.kinds()
        names = store._native.list_dir(group.path)[1]
    except Error:
        return  # The store cannot be listed.
    for name in names:
        if name not in members:
            _take_orphans(store, f"{group.path}/{name}".lstrip("/"), result, repair=repair)


def _take_orphans(store: Store, path: str, result: Validation, *, repair: bool) -> None:
    """Report the chunks below a path that belong to no array, or erase them."""
    keys = orphans(store, path)
    if repair and keys:
        store._native.erase_below(path, ())
    (result.removed if repair else result.leftovers).extend(map(store._native.display, keys))


def _asdf_file(store: StoreLike) -> str | None:
    """Return the path or URL of an ASDF file, by its name or its first bytes; None for anything else."""
    if isinstance(store, Store) or not isinstance(store, (str, os.PathLike)):
        return None
    path = os.fspath(store).partition("#")[0]
    local = local_path(path)
    if local is None:
        return path if urlsplit(path).path.lower().endswith(".asdf") else None
    path = local
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return path if path.lower().endswith(".asdf") or file.read(5) == b"#ASDF" else None


def _check_file(
    path: str,
    result: Validation,
    report: Report | None,
    storage_options: Mapping[str, Any] | None,
    *,
    repair: bool,
) -> None:
    if "://" not in path:
        (result.removed if repair else result.leftovers).extend(leftovers(path, remove=repair))
    try:
        opened, _file = opened_to_check(path, storage_options)
        result.blocks = opened.native.block_count()
        result.arrays = len(opened.arrays())
        for place, error, array in problems(opened):
            if error is not None:
                result.problems.append(Problem(place, str(error)))
            elif array is not None:
                result.arrays -= 1
                _check_array(array, result, report)
    except Error as error:
        result.problems.append(Problem(path, str(error)))


def _check_group(group: Group, result: Validation, report: Report | None) -> None:
    result.groups += 1
    try:
        members, problems = group._native.without_consolidated().survey(True)
    except UnsupportedError:  # The store cannot be listed.
        members, problems = group._native.survey(True)
    except Error as error:
        result.problems.append(Problem(group.name, str(error)))
        return
    result.problems.extend(Problem(f"{group.name}/{path}", message) for path, message in problems)
    named = {path for path, _ in problems}
    names = [name for name, _ in members]
    for first in range(0, len(names), _TOGETHER):
        some = names[first : first + _TOGETHER]
        for name, found in zip(some, group._native.without_consolidated().open_members(some), strict=True):
            if isinstance(found, BaseException):
                if not isinstance(found, Error):
                    raise found
                if name not in named:
                    result.problems.append(Problem(f"{group.name}/{name}", str(found)))
                continue
            node = group._node(found)
            if isinstance(node, Array):
                _check_array(node, result, report)
            else:
                result.groups += 1
                _check_consolidated(node, result)
    _check_consolidated(group, result)


def _check_consolidated(group: Group, result: Validation) -> None:
    """Report consolidated metadata of a group that differ from the metadata of its members."""
    if problem := group._native.consolidated_problem:
        result.problems.append(Problem(group.name, problem))
    elif group.is_consolidated:
        direct = group._native.without_consolidated()
        try:
            names, (copies, problems) = dict(direct.members(True)), group._native.survey(True)
        except Error:
            return  # The store cannot be listed, or the problem is already known.
        stale = {path for path, _ in problems} | {path for path, _ in set(copies) ^ set(names.items())}
        both = [path for path in names if path not in stale]
        pairs = zip(both, direct.open_members(both), group._native.open_members(both), strict=True)
        stale |= {path for path, node, copy in pairs if not _is_same(node, copy)}
        result.problems.extend(
            Problem(
                f"{group.name}/{path}",
                "the consolidated metadata differ from the stored metadata; call tegula.consolidate_metadata again",
            )
            for path in sorted(stale)
        )


def _is_same(node: Any, copy: Any) -> bool:
    """Return whether a copy of metadata is that of a node. What cannot be opened was reported before."""
    if isinstance(node, BaseException) or isinstance(copy, BaseException):
        return isinstance(node, BaseException)
    documents = [one.metadata() | {"consolidated_metadata": None} for one in (node, copy)]
    return bool(documents[0] == documents[1] and node.attributes() == copy.attributes())


def _check_array(array: Array, result: Validation, report: Report | None) -> None:
    result.arrays += 1
    try:
        chunks, problems, others = array._native.verify(report)
    except Error as error:
        result.problems.append(Problem(array.name, str(error)))
        return
    result.chunks += chunks
    result.problems.extend(Problem(place, message) for place, message in problems)
    for key in others:
        if key.rpartition("/")[2] not in METADATA:
            place = array.store._native.display(key)
            result.problems.append(Problem(place, "neither a chunk nor metadata of the array"))
