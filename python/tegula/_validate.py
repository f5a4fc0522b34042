"""Checks of everything that is stored."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Unpack
from urllib.parse import urlsplit

from tegula import _tegula
from tegula._array.array import Array
from tegula._group import Group
from tegula._guide import guided
from tegula._location import METADATA, orphans
from tegula._open import open as open_node
from tegula._options import config
from tegula._progress import Progress, Report, reporting
from tegula._tegula import ArraySubset
from tegula.asdf._check import leftovers, opened_to_check, problems
from tegula.errors import Error, NotFoundError
from tegula.stores import Store, StoreLike, as_store
from tegula.stores._access import AccessOptions, with_access
from tegula.stores._resolve import local_path

__all__ = ["Problem", "Validation", "validate"]

# Above this number of chunks, an array is not searched for objects that are not its chunks.
_CHUNKS_NAMED = 1_000_000


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

    Metadata is parsed, every stored chunk is decoded and its checksums are compared, and objects that belong to no
    array or group are reported. In a local folder, so are the temporary files of processes that were killed while they
    wrote; these files are not part of any array. Of an ASDF file, all blocks and arrays are checked.

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
        of chunks that were checked and the number of all its chunks.
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
    try:
        node = open_node(found, below, mode="r")
    except NotFoundError:
        # A writer may have been killed before it stored metadata.
        _take_orphans(found, _tegula.node_path(below), result, repair=repair)
        if result.ok and not result.removed:
            raise
        return result
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
        members = group.kinds(recursive=True)
    except Error as error:
        result.problems.append(Problem(group.name, str(error)))
        return
    for name in members:
        try:
            member = group[name]
        except Error as error:
            result.problems.append(Problem(f"{group.name}/{name}", str(error)))
            continue
        if isinstance(member, Array):
            _check_array(member, result, report)
        else:
            result.groups += 1


def _check_array(array: Array, result: Validation, report: Report | None) -> None:
    from concurrent.futures import ThreadPoolExecutor

    result.arrays += 1
    grid = ArraySubset.new_with_shape(array.chunk_grid_shape)
    if grid.num_elements <= _CHUNKS_NAMED:
        _check_keys(array, grid, result)

    def check(chunk: tuple[int, ...]) -> tuple[bool, Problem | None]:
        try:
            return array.retrieve_chunk_if_exists(chunk) is not None, None
        except Error as error:
            return True, Problem(array.store._native.display(array.chunk_key(chunk)), str(error))

    with ThreadPoolExecutor(config.threads) as pool:
        chunks, done = iter(grid.indices()), 0
        while batch := list(islice(chunks, 1000)):
            for stored, problem in pool.map(check, batch):
                result.chunks += stored
                if problem is not None:
                    result.problems.append(problem)
            done += len(batch)
            if report is not None:
                report(done, grid.num_elements)


def _check_keys(array: Array, grid: ArraySubset, result: Validation) -> None:
    """Report objects below an array that are neither chunks nor metadata."""
    try:
        stored = array.store._native.keys(array.path)
    except Error:
        return  # The store cannot be listed.
    chunks = {array.chunk_key(chunk) for chunk in grid.indices()}
    for key in stored:
        if key not in chunks and key.rpartition("/")[2] not in METADATA:
            place = array.store._native.display(key)
            result.problems.append(Problem(place, "neither a chunk nor metadata of the array"))
