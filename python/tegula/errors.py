"""What can go wrong, sorted by what a caller would do about it.

Each error is also the built-in that a Python programmer would catch. The message says the place and the cause:
``cannot decode chunk (0, 3) of data.zarr/temperature: zstd: frame truncated at byte 812``. Errors pickle.
"""

__all__ = [
    "CorruptDataError",
    "Error",
    "InvalidMetadataError",
    "InvalidSelectionError",
    "NotFoundError",
    "StoreError",
    "UnsupportedError",
]


class Error(Exception):
    """Any error of tegula.

    Arguments of a wrong Python type raise `TypeError` instead, as they do everywhere.
    """

    def __str__(self) -> str:
        # `KeyError` would show the message in quotes.
        return str(self.args[0]) if self.args else ""


class NotFoundError(Error, FileNotFoundError, KeyError):
    """There is no such array, group, key or file: look elsewhere."""


class InvalidSelectionError(Error, IndexError):
    """The selection does not fit the array in rank, bounds, element type or buffer: ask for something else."""


class InvalidMetadataError(Error, ValueError):
    """The metadata contradict themselves or their specification: mend the file."""


class UnsupportedError(Error, NotImplementedError):
    """The data are fine, but need a codec, data type or feature that is not there."""


class CorruptDataError(Error, ValueError):
    """The stored bytes are damaged: fetch them again."""


class StoreError(Error, OSError):
    """The store failed: try again, or mend the store."""
