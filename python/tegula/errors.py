"""Errors, sorted by what the caller can do about them.

Each error is also the built-in exception that a Python programmer would catch. The message names the place and the
cause: ``cannot decode chunk (0, 3) of data.zarr/temperature: zstd: frame truncated at byte 812``. Errors pickle.
"""

import builtins

__all__ = [
    "CorruptDataError",
    "DamagedWarning",
    "Error",
    "InterruptedError",
    "InvalidMetadataError",
    "InvalidSelectionError",
    "NotFoundError",
    "OutOfMemoryError",
    "StoreError",
    "UnsupportedError",
]


class Error(Exception):
    """Any error of tegula.

    Arguments of the wrong Python type raise `TypeError` instead.
    """

    def __str__(self) -> str:
        # `KeyError` shows its message in quotes.
        return str(self.args[0]) if self.args else ""


class NotFoundError(Error, FileNotFoundError, KeyError):
    """The array, group, key or file does not exist."""


class InvalidSelectionError(Error, IndexError):
    """The selection does not fit the array: its rank, bounds, element type or buffer is wrong."""


class InvalidMetadataError(Error, ValueError):
    """The metadata is inconsistent or violates its specification."""


class UnsupportedError(Error, NotImplementedError):
    """The data needs a codec, data type or feature that is not available."""


class CorruptDataError(Error, ValueError):
    """The stored bytes are damaged."""


class StoreError(Error, OSError):
    """The store failed. Retrying may help."""


class OutOfMemoryError(MemoryError, Error):  # in this order, or pickles cannot be loaded
    """There is not enough memory. Selecting less may help, or `tegula.config.threads`."""


class InterruptedError(Error, builtins.InterruptedError):  # noqa: A001 - the built-in exception is a base class
    """The call was interrupted, for example because the interpreter is shutting down."""


class DamagedWarning(UserWarning):
    """A member of a group is damaged and was left out. The message names it and says why."""
