"""NumPy's basic indices as positions along each axis.

See https://numpy.org/doc/stable/user/basics.indexing.html: integers, slices, ``...`` and ``None``.
"""

import operator
from typing import Any, TypeAlias

import numpy as np

from tegula.errors import InvalidSelectionError, UnsupportedError

Axes: TypeAlias = list[tuple[int, int, int]]
"""A start, a step and a length for each axis."""


def parse(  # noqa: C901, PLR0912 - a branch for each kind of index
    key: Any, shape: tuple[int, ...]
) -> tuple[Axes, tuple[int, ...], bool, bool]:
    """Read an index.

    Parameters
    ----------
    key
        What stands between the brackets.
    shape
        The shape of what is indexed.

    Returns
    -------
    axes
        The positions along each axis of `shape`, clipped as NumPy clips slices.
    result
        The shape of what is selected: without the axes that integers took, with those that ``None`` gave.
    scalar
        Whether the result is one element and no array.
    straight
        Whether each axis of the result is one of `shape`, in order: neither integers nor ``None`` were given.

    Raises
    ------
    InvalidSelectionError
        For an integer out of bounds, too many indices, or what is no index.
    UnsupportedError
        For indices that are arrays, lists or booleans.
    """
    keys = key if type(key) is tuple else (key,)
    ndim = len(shape)
    axes: Axes = []
    result: list[int] = []
    scalar = straight = True
    for item in keys:
        axis = len(axes)
        if type(item) is slice:
            if axis >= ndim:
                raise _too_many(keys, shape)
            start, stop, step = item.indices(shape[axis])
            length = stop - start if step == 1 else len(range(start, stop, step))
            if length > 1:
                axes.append((start, step, length))
            elif length == 1:
                axes.append((start, 1, 1))
            else:
                length = 0
                axes.append((0, 1, 0))
            result.append(length)
        elif item is Ellipsis:
            if not scalar:
                raise InvalidSelectionError("an index can only have a single ellipsis ('...')")
            scalar = False
            named = sum(other is not None and other is not Ellipsis for other in keys)
            if named > ndim:
                raise _too_many(keys, shape)
            whole = shape[axis : ndim - named + axis]
            axes.extend((0, 1, length) for length in whole)
            result.extend(whole)
        elif item is None:
            straight = False
            result.append(1)
        else:
            straight = False
            index = _integer(item)
            if axis >= ndim:
                raise _too_many(keys, shape)
            length = shape[axis]
            if not -length <= index < length:
                raise InvalidSelectionError(f"index {index} is out of bounds for axis {axis} with size {length}")
            axes.append((index + length if index < 0 else index, 1, 1))
    for length in shape[len(axes) :]:
        axes.append((0, 1, length))
        result.append(length)
    return axes, tuple(result), scalar and not result, straight


def _integer(item: Any) -> int:
    if not isinstance(item, (bool, np.bool_)):
        try:
            return operator.index(item)
        except TypeError:
            pass
        if not isinstance(item, (list, tuple, np.ndarray)):
            raise InvalidSelectionError(
                "only integers, slices (`:`), ellipsis (`...`) and None (`np.newaxis`) are indices, "
                f"not {type(item).__name__}"
            )
    raise UnsupportedError(
        "indices that are arrays, lists or booleans are still to come: read a slice and index the ndarray"
    )


def _too_many(keys: tuple[Any, ...], shape: tuple[int, ...]) -> InvalidSelectionError:
    count = sum(item is not None and item is not Ellipsis for item in keys)
    return InvalidSelectionError(f"too many indices: {count} for an array of shape {shape}")
