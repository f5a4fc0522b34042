"""Defaults of reading and writing ASDF files, under the names of the ``asdf`` library's configuration."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any

from tegula.asdf._settings import Storage, checked_label, checked_storage

__all__ = ["STANDARD", "VERSIONS", "AsdfConfig", "checked_version", "config_context", "get_config"]

STANDARD = "1.6.0"
"""The version of the ASDF standard that is written by default."""

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", STANDARD)
"""The versions that can be written."""


def checked_version(version: Any) -> str:
    """Return a version of the standard as text, if it can be written."""
    text = str(version)
    if text not in VERSIONS:
        raise ValueError(f"unknown version {text!r} of the ASDF standard; use one of {', '.join(VERSIONS)}")
    return text


@dataclass(slots=True)
class AsdfConfig:
    """Defaults of reading and writing; see `get_config` and `config_context`.

    The names are those of ``asdf.AsdfConfig``. Extensions that are added serve `tegula.asdf.open` and
    `AsdfFile.write_to` with ``converters="asdf"``; to add them for all of the process, use the ``asdf`` library's own
    configuration.

    Attributes
    ----------
    array_inline_threshold : int or None
        Ndarrays of fewer elements are stored in the tree, unless `AsdfFile.set_array_storage` was called for them.
        None: ndarrays become blocks.
    all_array_storage, all_array_compression, all_array_compression_kwargs
        Defaults of `AsdfFile.write_to` and `AsdfFile.update`.
    default_array_save_base : bool
        The default of `AsdfFile.set_array_save_base`.
    default_version : str
        The version of the standard that new files follow.
    io_block_size : int
        Has no effect: tegula chooses the sizes of reads and writes.
    legacy_fill_schema_defaults : bool
        Whether converters see the defaults of schemas, in files of version 1.5.0 of the standard and earlier.
    validate_on_read : bool
        The default of ``validate`` of `tegula.asdf.open`.
    lazy_tree : bool
        Has no effect: converters run when a file is opened.
    warn_on_failed_conversion : bool
        Whether a failed converter is a warning, and its node stays as it is; otherwise it is an error.
    extensions : list
        Extensions of the ``asdf`` library that are used besides the installed ones.
    """

    array_inline_threshold: int | None = None
    all_array_storage: Storage | None = None
    all_array_compression: str | None = "input"
    all_array_compression_kwargs: Mapping[str, Any] | None = None
    default_array_save_base: bool = False
    default_version: str = STANDARD
    io_block_size: int = -1
    legacy_fill_schema_defaults: bool = True
    validate_on_read: bool = False
    lazy_tree: bool = False
    warn_on_failed_conversion: bool = True
    extensions: list[Any] = field(default_factory=list)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an option, after a check."""
        if name not in _CHECKS:
            raise AttributeError(f"the configuration has no {name!r}; the options are {', '.join(_CHECKS)}")
        object.__setattr__(self, name, _CHECKS[name](name, value))

    def add_extension(self, extension: Any) -> None:
        """Use an extension of the ``asdf`` library, before all others.

        Parameters
        ----------
        extension : asdf.extension.Extension
            The extension.
        """
        self.extensions = [extension, *(known for known in self.extensions if known is not extension)]

    def remove_extension(self, extension: Any) -> None:
        """Use an extension no longer that was added.

        Parameters
        ----------
        extension : asdf.extension.Extension or str
            The extension, or its URI.
        """
        self.extensions = [
            known
            for known in self.extensions
            if known is not extension and getattr(known, "extension_uri", None) != extension
        ]

    def reset_extensions(self) -> None:
        """Use the installed extensions alone."""
        self.extensions = []

    def __getattr__(self, name: str) -> Any:
        """Explain the names that only the ``asdf`` library has."""
        if "resource" in name and not name.startswith("_"):
            raise AttributeError(f"tegula's configuration has no {name}: add schemas to asdf.get_config() instead")
        raise AttributeError(f"the configuration has no {name!r}")


def _any(_: str, value: Any) -> Any:
    return value


def _flag(name: str, value: Any) -> bool:
    if value in (True, False):
        return bool(value)
    raise ValueError(f"{name} is True or False, not {value!r}")


def _threshold(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{name} is a number of elements or None, not {value!r}")


def _options(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name} is a mapping of options or None, not {value!r}")
    return value


_CHECKS: dict[str, Any] = {option.name: _any for option in fields(AsdfConfig)} | {
    "array_inline_threshold": _threshold,
    "all_array_storage": lambda _, value: checked_storage(value),
    "all_array_compression": lambda _, value: checked_label(value),
    "all_array_compression_kwargs": _options,
    "default_array_save_base": _flag,
    "default_version": lambda _, value: checked_version(value),
    "legacy_fill_schema_defaults": _flag,
    "validate_on_read": _flag,
    "lazy_tree": _flag,
    "warn_on_failed_conversion": _flag,
}

_global = AsdfConfig()
_local: ContextVar[AsdfConfig | None] = ContextVar("tegula.asdf.config", default=None)


def get_config() -> AsdfConfig:
    """Return the configuration that is valid here: that of the innermost `config_context`, or of the process.

    Examples
    --------
    >>> tegula.asdf.get_config().default_version
    '1.6.0'
    """
    config = _local.get()
    return _global if config is None else config


@contextmanager
def config_context() -> Iterator[AsdfConfig]:
    """Return a context manager within which the configuration can be changed for this thread or task alone.

    Examples
    --------
    >>> file = tegula.AsdfFile({"few": np.arange(3), "many": np.arange(50)})
    >>> with tegula.asdf.config_context() as config:
    ...     config.array_inline_threshold = 10
    ...     file.write_to("a.asdf")
    >>> len(tegula.open_asdf("a.asdf").blocks)
    1
    """
    token = _local.set(copy.copy(get_config()))
    try:
        yield get_config()
    finally:
        _local.reset(token)
