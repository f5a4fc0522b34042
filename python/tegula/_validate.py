"""Looking whether what is stored is whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tegula import _tegula
from tegula._array.array import Array
from tegula._group import Group
from tegula._open import open as open_node
from tegula._options import config
from tegula._tegula import ArraySubset
from tegula.errors import Error
from tegula.stores import StoreLike, as_store

__all__ = ["Problem", "Validation", "validate"]

# Beyond so many chunks it is not looked for objects that are none of them.
_CHUNKS_NAMED = 1_000_000


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be."""

    place: str
    """The object or the file."""
    message: str
    """What is wrong with it."""

    def __str__(self) -> str:
        return self.message if self.place in self.message else f"{self.place}: {self.message}"


@dataclass
class Validation:
    """What `tegula.validate` found."""

    groups: int = 0
    """Groups whose metadata were read."""
    arrays: int = 0
    """Arrays whose metadata were read."""
    chunks: int = 0
    """Chunks that are stored, and were decoded."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong."""
    leftovers: list[str] = field(default_factory=list)
    """Temporary files and locks that a process left behind when it was killed, and that are there still."""
    removed: list[str] = field(default_factory=list)
    """Those that were removed."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong and nothing is left behind."""
        return not self.problems and not self.leftovers


def validate(
    store: StoreLike,
    path: str = "/",
    *,
    repair: bool = False,
    progress: Callable[[int, int], None] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Validation:
    """Read all that is stored of an array, or of a group and what is below it, and say what is wrong.

    Metadata are read and understood, every stored chunk is decoded and its checksums compared, and objects are named
    that belong to nothing. In a local folder, temporary files are found that a process left behind which was killed
    while it wrote; they are no part of any array.

    Parameters
    ----------
    store : path, mapping or Store
        Where it is stored.
    path : str
        The path of the array or group in the store.
    repair : bool
        Whether temporary files and locks are removed that no process uses any more.
    progress : callable, optional
        Called with the number of chunks of an array that were looked at, and how many there are.
    storage_options : mapping, optional
        As for `tegula.open_array`.

    Returns
    -------
    Validation
        What was found; its `ok` says whether all is well.

    Raises
    ------
    NotFoundError
        If there is neither an array nor a group.

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
    found, below = as_store(store, path, storage_options)
    report = Validation()
    left = found._native.leftovers(_tegula.node_path(below), repair)
    (report.removed if repair else report.leftovers).extend(left)
    node = open_node(found, below, mode="r")
    if isinstance(node, Array):
        _check_array(node, report, progress)
        return report
    report.groups += 1
    try:
        members = node.members(recursive=True)
    except Error as error:
        report.problems.append(Problem(node.name, str(error)))
        return report
    for name in members:
        _check_member(node, name, report, progress)
    return report


def _check_member(group: Group, name: str, report: Validation, progress: Callable[[int, int], None] | None) -> None:
    try:
        member = group[name]
    except Error as error:
        report.problems.append(Problem(f"{group.name}/{name}", str(error)))
        return
    if isinstance(member, Array):
        _check_array(member, report, progress)
    else:
        report.groups += 1


def _check_array(array: Array, report: Validation, progress: Callable[[int, int], None] | None) -> None:
    from concurrent.futures import ThreadPoolExecutor

    report.arrays += 1
    grid = ArraySubset.new_with_shape(array.chunk_grid_shape)
    if grid.num_elements <= _CHUNKS_NAMED:
        _check_keys(array, grid, report)

    def check(chunk: tuple[int, ...]) -> tuple[bool, Problem | None]:
        try:
            return array.retrieve_chunk_if_exists(chunk) is not None, None
        except Error as error:
            return True, Problem(array.store._native.display(array.chunk_key(chunk)), str(error))

    with ThreadPoolExecutor(config.threads) as pool:
        chunks, done = iter(grid.indices()), 0
        while batch := list(islice(chunks, 1000)):
            for stored, problem in pool.map(check, batch):
                report.chunks += stored
                if problem is not None:
                    report.problems.append(problem)
            done += len(batch)
            if progress is not None:
                progress(done, grid.num_elements)


def _check_keys(array: Array, grid: ArraySubset, report: Validation) -> None:
    """Name objects below an array that are none of its chunks and no metadata."""
    try:
        stored = array.store._native.keys(array.path)
    except Error:
        return  # a store that cannot be listed
    chunks = {array.chunk_key(chunk) for chunk in grid.indices()}
    for key in stored:
        name = key.rpartition("/")[2]
        if key not in chunks and name not in ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"):
            place = array.store._native.display(key)
            report.problems.append(Problem(place, "this is no chunk of the array, and none of its metadata"))
