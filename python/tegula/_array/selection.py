"""Parsers of NumPy indices, and of ``oindex``, ``vindex`` and ``blocks`` indices.

See https://numpy.org/doc/stable/user/basics.indexing.html.
"""

import operator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tegula.errors import InvalidSelectionError

Axes: TypeAlias = list[tuple[int, int, int]]
"""The (start, step, length) of each axis."""

Lists: TypeAlias = list[tuple[list[int], list[NDArray[np.int64]]]]
"""Lists of positions: the axes that each list selects along, and an array of positions for each of these axes."""

Positions: TypeAlias = NDArray[np.int64]


MAX_LENGTH = 2**63 - 1
"""The maximum length of an axis of an ndarray."""

BASIC = {int, slice, type(None), type(...)}
"""Types of items in basic indices, for a fast check."""


class ParsedIndex(NamedTuple):
    """An index as positions along each axis. Native code takes the first four members."""

    axes: Axes
    """The positions along each axis, clipped as NumPy clips slices. The entry of an axis in `lists` is not used."""
    lists: Lists | None
    order: list[int] | None
    """The order of the dimensions of the result; None if they are in the order of the axes."""
    shape: tuple[int, ...]
    """The shape of the result, without the axes that integers drop and with the axes that ``None`` adds."""
    scalar: bool
    """Whether the result is one element instead of an array."""
    inner: tuple[int, ...] | None
    """The shape with one dimension for each axis and each list; None if it equals `shape`."""


def parse(key: Any, shape: tuple[int, ...]) -> ParsedIndex:  # noqa: C901 - a branch for each kind of index
    """Parse an index as NumPy does.

    Parameters
    ----------
    key
        The object between the brackets.
    shape
        The shape of the array.

    Raises
    ------
    InvalidSelectionError
        If a position is out of bounds, there are too many indices, lists cannot be broadcast together, or an item is
        not an index.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if not all(type(item) in BASIC for item in keys) and any(_is_listed(item) for item in keys):
        return _fancy(keys, shape)
    ndim = len(shape)
    axes: Axes = []
    result: list[int] = []
    scalar = straight = True
    for item in keys:
        axis = len(axes)
        if type(item) is slice:
            if axis >= ndim:
                raise _too_many_indices(keys, shape)
            run = _slice_run(item, shape[axis])
            axes.append(run)
            result.append(run[2])
        elif item is Ellipsis:
            if not scalar:
                raise InvalidSelectionError("an index can only have a single ellipsis ('...')")
            scalar = False
            named = sum(other is not None and other is not Ellipsis for other in keys)
            if named > ndim:
                raise _too_many_indices(keys, shape)
            whole = shape[axis : ndim - named + axis]
            axes.extend(map(_whole, whole))
            result.extend(whole)
        elif item is None:
            straight = False
            result.append(1)
        else:
            straight = False
            index = _integer(item)
            if axis >= ndim:
                raise _too_many_indices(keys, shape)
            axes.append((_check_bounds(index, shape[axis], axis), 1, 1))
    for length in shape[len(axes) :]:
        axes.append(_whole(length))
        result.append(length)
    inner = None if straight else tuple(length for _, _, length in axes)
    return ParsedIndex(axes, None, None, tuple(result), scalar and not result, inner)


def parse_points(key: Any, shape: tuple[int, ...]) -> ParsedIndex:
    """Parse an index of ``vindex``: as in NumPy, but the dimensions of integers and arrays always come first."""
    return _fancy(key if isinstance(key, tuple) else (key,), shape, first=True)


def parse_orthogonal(key: Any, shape: tuple[int, ...]) -> ParsedIndex:
    """Parse an index of ``oindex``: each item selects along one axis."""
    keys = _expand_ellipsis(key if isinstance(key, tuple) else (key,), shape)
    axes: Axes = []
    result: list[int] = []
    lists: Lists = []
    for item in keys:
        axis = len(axes)
        if item is ...:
            continue
        if item is None:
            result.append(1)
            continue
        if axis >= len(shape):
            raise _too_many_indices(keys, shape)
        length = shape[axis]
        if isinstance(item, slice):
            axes.append(_slice_run(item, length))
        elif _is_listed(item):
            found = _as_array(item)
            if found.ndim != 1:
                raise InvalidSelectionError(f"an oindex array must have one dimension, not {found.ndim}")
            if found.dtype == bool:
                found = _nonzero(found, shape, axis)[0]
            axes.append(_run_or_list(_resolve_negative(found, length, axis), axis, lists))
        else:
            axes.append((_check_bounds(_integer(item), length, axis), 1, 1))
            continue
        result.append(len(lists[-1][1][0]) if lists and lists[-1][0] == [axis] else axes[-1][2])
    for length in shape[len(axes) :]:
        axes.append(_whole(length))
        result.append(length)
    counts = {axis: len(columns[0]) for (axis,), columns in lists}
    inner = tuple(counts.get(axis, run[2]) for axis, run in enumerate(axes))
    return ParsedIndex(axes, lists or None, None, tuple(result), not result, inner)


def parse_blocks(key: Any, shape: tuple[int, ...], lengths: tuple[Any, ...], grid: tuple[int, ...]) -> ParsedIndex:
    """Parse an index of ``blocks``: integers and slices of the chunk grid. `lengths` are the chunk lengths by axis."""
    keys = key if isinstance(key, tuple) else (key,)
    if any(item is None or _is_listed(item) for item in keys):
        raise InvalidSelectionError("blocks are indexed by integers and slices only")
    axes: Axes = []
    for (first, step, count), chunks, length in zip(parse(keys, grid).axes, lengths, shape, strict=True):
        if step != 1:
            raise InvalidSelectionError(f"slices of blocks must have step 1, not {step}")
        if isinstance(chunks, int):
            start, stop = first * chunks, (first + count) * chunks
        else:
            start, stop = sum(chunks[:first]), sum(chunks[: first + count])
        start = min(start, length)
        axes.append((start, 1, min(stop, length) - start) if count else (0, 1, 0))
    return ParsedIndex(axes, None, None, tuple(length for _, _, length in axes), False, None)


def _fancy(keys: tuple[Any, ...], shape: tuple[int, ...], *, first: bool = False) -> ParsedIndex:
    """Parse an index with arrays, as NumPy does. With `first`, the dimensions of the arrays always come first."""
    items = _expand_ellipsis(
        tuple(item if item is None or item is ... or isinstance(item, slice) else _as_array(item) for item in keys),
        shape,
    )
    if sum(0 if item is None or item is ... else _width(item) for item in items) > len(shape):
        raise _too_many_indices(items, shape)
    arrays: list[tuple[int | None, NDArray[Any]]] = []
    axes: Axes = []
    # The other dimensions of the result: the axis of each, or None for a new dimension.
    parts: list[int | None] = []
    at: list[int] = []
    place = 0
    for position, item in enumerate(items):
        axis = len(axes)
        if item is None:
            parts.append(None)
        elif isinstance(item, slice):
            axes.append(_slice_run(item, shape[axis]))
            parts.append(axis)
        elif item is not ...:
            place = place if at else len(parts)
            at.append(position)
            axes.extend([(0, 1, 1)] * _width(item))
            if item.dtype != bool:
                arrays.append((axis, item))
            elif item.ndim == 0:
                arrays.append((None, np.zeros(int(item), np.int64)))
            else:
                arrays.extend(enumerate(_nonzero(item, shape, axis), axis))
    for axis in range(len(axes), len(shape)):
        axes.append(_whole(shape[axis]))
        parts.append(axis)
    apart = bool(at) and at[-1] - at[0] >= len(at)
    return _combine(axes, parts, arrays, 0 if first or apart else place, shape)


def _combine(
    axes: Axes,
    parts: list[int | None],
    arrays: list[tuple[int | None, NDArray[Any]]],
    place: int,
    shape: tuple[int, ...],
) -> ParsedIndex:
    """Combine arrays, each with its axis or None, and other dimensions. The arrays come at `place` among these."""
    together = _broadcast([array.shape for _, array in arrays])
    lengths = [1 if axis is None else axes[axis][2] for axis in parts]
    result = (*lengths[:place], *together, *lengths[place:])
    for axis, array in arrays:
        if axis is not None and array.ndim == 0:
            _resolve_negative(array, shape[axis], axis)
    if 0 in together:  # NumPy does not check bounds either
        return ParsedIndex([(0, 1, 0)] * len(shape), None, None, result, False, (0,) * len(shape))
    lists: Lists = []
    listed: list[int] = []
    several: list[tuple[int, Positions]] = []
    for axis, array in arrays:
        if axis is not None:
            positions = _resolve_negative(array, shape[axis], axis)
            if positions.size == 1:
                axes[axis] = (int(positions.reshape(-1)[0]), 1, 1)
                listed.append(axis)
            else:
                several.append((axis, positions))
    own = [[k - array.ndim for k, length in enumerate(array.shape) if length > 1] for _, array in several]
    if len(several) == 1 or (all(len(one) == 1 for one in own) and len({one[0] for one in own}) == len(own)):
        # Each array varies along a different dimension, as those of `numpy.ix_` do.
        for _, (axis, positions) in sorted(zip(own, several, strict=True), key=lambda one: one[0]):
            axes[axis] = _run_or_list(positions.reshape(-1), axis, lists)
            listed.append(axis)
    elif several:
        columns = [np.broadcast_to(positions, together).reshape(-1) for _, positions in several]
        lists.append(([axis for axis, _ in several], columns))
        listed.append(min(axis for axis, _ in several))
    # Before the transposition, a list takes the dimension of its first axis.
    order = [axis for axis in (*parts[:place], *listed, *parts[place:]) if axis is not None]
    ranks = {axis: rank for rank, axis in enumerate(sorted(order))}
    counts = {min(of): len(columns[0]) for of, columns in lists}
    inner = tuple(counts.get(axis, axes[axis][2]) for axis in order)
    ranked = [ranks[axis] for axis in order]
    moved = None if ranked == list(range(len(ranked))) else ranked
    return ParsedIndex(axes, lists or None, moved, result, not result, inner)


def _broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        listed = " ".join(map(str, shapes))
        raise InvalidSelectionError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {listed}"
        ) from error


def _expand_ellipsis(keys: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Insert full slices after the ellipsis, which stays in the index."""
    at = [k for k, item in enumerate(keys) if item is ...]
    if not at:
        return keys
    if len(at) > 1:
        raise InvalidSelectionError("an index can only have a single ellipsis ('...')")
    used = sum(0 if item is None or item is ... else _width(item) for item in keys)
    if used > len(shape):
        raise _too_many_indices(keys, shape)
    return (*keys[: at[0] + 1], *[slice(None)] * (len(shape) - used), *keys[at[0] + 1 :])


def _width(item: Any) -> int:
    return item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1


def _is_listed(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return bool(item.ndim) or item.dtype == bool
    if isinstance(item, (bool, np.bool_, list, tuple, range)):
        return True
    return hasattr(item, "__array__") and not isinstance(item, np.generic)


def _as_array(item: Any) -> NDArray[Any]:
    """Convert an item to an array of positions or a mask."""
    if not _is_listed(item):
        return np.asarray(_integer(item), np.int64)
    try:
        found = np.asarray(item)
    except ValueError as error:  # nested lists of different lengths
        raise InvalidSelectionError(f"not an index: {error}") from error
    if found.dtype == bool:
        return found
    if found.size == 0 and not isinstance(item, np.ndarray):
        return found.astype(np.int64)
    if found.dtype.kind not in "iu":
        raise InvalidSelectionError(f"arrays used as indices must be of integer (or boolean) type, not {found.dtype}")
    return found.astype(np.int64, copy=False)


def _slice_run(item: slice, length: int) -> tuple[int, int, int]:
    start, stop, step = item.indices(length)
    count = stop - start if step == 1 else -((start - stop) // step)
    if count > 1:
        return start, step, _whole(count)[2]
    return (start, 1, 1) if count == 1 else (0, 1, 0)


def _whole(length: int) -> tuple[int, int, int]:
    if length > MAX_LENGTH:
        raise InvalidSelectionError(
            f"the index selects {length} elements along an axis; an ndarray has at most 2^63 - 1"
        )
    return 0, 1, length


def _check_bounds(index: int, length: int, axis: int) -> int:
    if not -length <= index < length:
        raise InvalidSelectionError(f"index {index} is out of bounds for axis {axis} with size {length}")
    return index + length if index < 0 else index


def _resolve_negative(positions: Positions, length: int, axis: int) -> Positions:
    """Check the bounds of positions, and count negative ones from the end."""
    if not positions.size:
        return positions
    low, high = int(positions.min()), int(positions.max())
    _check_bounds(high if high >= length else low, length, axis)
    return np.where(positions < 0, positions + length, positions) if low < 0 else positions


def _nonzero(mask: NDArray[np.bool_], shape: tuple[int, ...], axis: int) -> tuple[Positions, ...]:
    for k, size in enumerate(mask.shape, axis):
        if size != shape[k]:
            raise InvalidSelectionError(
                f"boolean index did not match indexed array along axis {k}; size of axis is {shape[k]} but size of "
                f"corresponding boolean axis is {size}"
            )
    return mask.nonzero()


def _run_or_list(positions: Positions, axis: int, lists: Lists) -> tuple[int, int, int]:
    """Return positions as (start, step, length) if they are evenly spaced; otherwise add them to `lists`."""
    count = len(positions)
    if count == 0:
        return 0, 1, 0
    start = int(positions[0])
    step = int(positions[1]) - start if count > 1 else 1
    evenly = step and int(positions[-1]) - start == step * (count - 1)
    if evenly and (count < 3 or bool((np.diff(positions) == step).all())):
        return start, step, count
    lists.append(([axis], [positions]))
    return 0, 1, 1


def _integer(item: Any) -> int:
    try:
        return operator.index(item)
    except TypeError:
        raise InvalidSelectionError(
            "only integers, slices (`:`), ellipsis (`...`), None (`np.newaxis`) and arrays or lists of integers or "
            f"booleans are indices, not {type(item).__name__}"
        ) from None


def _too_many_indices(keys: tuple[Any, ...], shape: tuple[int, ...]) -> InvalidSelectionError:
    count = sum(0 if item is None or item is Ellipsis else _width(item) for item in keys)
    return InvalidSelectionError(f"too many indices: {count} for an array of shape {shape}")
