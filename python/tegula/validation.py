"""Whether all that is stored can be read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from tegula import _tegula
from tegula.stores import StoreLike, as_store

__all__ = ["Problem", "ValidationReport", "validate"]

Kind: TypeAlias = Literal["metadata", "chunk", "outside", "stray", "leftover"]

BATCH = 64
"""So many chunks are decoded between two words about progress."""


class Problem(NamedTuple):
    """Something that is wrong with what is stored; see `ValidationReport`."""

    kind: Kind
    """What kind of thing: "metadata" that cannot be read, a "chunk" that cannot be decoded, a chunk "outside" of the
    array, a "stray" key that belongs to no chunk, or what a killed writer left behind, a "leftover"."""
    place: str
    """The key, as the store shows it."""
    message: str
    """What is wrong."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}: {self.message}"


class ValidationReport(NamedTuple):
    """What `validate` found."""

    arrays: int
    """Arrays that can be opened."""
    groups: int
    """Groups that can be opened."""
    chunks: int
    """Chunks that are stored in them."""
    problems: tuple[Problem, ...]
    """What is wrong."""
    removed: tuple[str, ...]
    """What was left behind and has been removed."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        head = f"{self.arrays:,} arrays, {self.groups:,} groups, {self.chunks:,} chunks: "
        lines = [head + (f"{len(self.problems):,} problems" if self.problems else "all well")]
        lines += [f"  {problem}" for problem in self.problems]
        return "\n".join(lines + [f"  removed {name}" for name in self.removed])


def validate(
    store: StoreLike,
    path: str = "/",
    *,
    repair: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> ValidationReport:
    """Look whether all arrays and groups at and below a path are whole.

    The metadata of every node are parsed, and every chunk that is stored is decoded, checksums included. Keys that are
    neither, chunks outside of their array, and temporary files and locks of writers that were killed are named.

    Parameters
    ----------
    store : str, os.PathLike, mapping or Store
        As for `tegula.open_array`.
    path : str
        The path of an array or a group in the store.
    repair : bool
        Whether to remove what killed writers left behind, and nothing else: files of which no process is there any
        more, or that are older than an hour.
    progress : callable, optional
        Called with the numbers of chunks that have been decoded, and of all.

    Returns
    -------
    ValidationReport
        What was looked at, and what is wrong.

    Raises
    ------
    NotFoundError
        If there is neither an array nor a group.
    UnsupportedError
        If the store cannot be listed.

    Examples
    --------
    >>> store = {}
    >>> _ = tegula.create_array(store, "a", data=np.arange(6), chunks=2, compressors="crc32c")
    >>> tegula.validate(store).ok
    True
    >>> store["a/c/1"] = store["a/c/1"][::-1]
    >>> [problem.place for problem in tegula.validate(store).problems]
    ['mapping:/a/c/1']
    """

    def reported(batches: Sequence[range]) -> Iterator[range]:
        for batch in batches:
            yield batch
            if progress is not None:
                progress(batch.stop, batches[-1].stop)

    return look(store, path, repair=repair, through=reported)


def look(
    store: StoreLike, path: str, *, repair: bool, through: Callable[[Sequence[range]], Iterable[range]]
) -> ValidationReport:
    """Validate, and decode the chunks batch by batch as they come back out of `through`."""
    resolved, path = as_store(store, path)
    native = _tegula.Validation(resolved._native, path)
    problems = native.problems()
    total = native.chunks
    for batch in through([range(start, min(start + BATCH, total)) for start in range(0, total, BATCH)]):
        problems += native.check(batch.start, batch.stop)
    left = resolved._native.leftovers(_tegula.node_path(path), repair)
    if not repair:
        problems += [("leftover", name, "a writer that was killed left it behind") for name in left]
    return ValidationReport(
        native.arrays,
        native.groups,
        total,
        tuple(Problem(*problem) for problem in problems),
        tuple(left if repair else ()),
    )
