"""Trees whose arrays have settings: how each will be stored."""

from typing import Any

from tegula.asdf import _write
from tegula.asdf._mapping import TreeMapping
from tegula.asdf._settings import ArraySettings, Storage, checked_label

__all__ = ["ArrayTree"]


class ArrayTree(TreeMapping):
    """The tree of a file, with settings for its arrays."""

    __slots__ = ("_settings",)

    _settings: ArraySettings

    def set_array_storage(self, arr: Any, array_storage: Storage) -> None:
        """Set where the elements of an array, and of all views of its memory, will be stored.

        Parameters
        ----------
        arr : ndarray or AsdfArray
            An array of the tree.
        array_storage : {"internal", "inline", "external", "streamed"}
            In a block; in the tree; in a separate file; in the last block of the file, which can grow.

        Examples
        --------
        >>> file = tegula.AsdfFile({"a": np.arange(3)})
        >>> file.set_array_storage(file["a"], "inline")
        >>> file.write_to("a.asdf")
        >>> tegula.open_asdf("a.asdf")["a"]
        array([0, 1, 2])
        """
        self._settings.set_storage(arr, array_storage)

    def get_array_storage(self, arr: Any) -> str:
        """Return where the elements of an array will be stored; see `set_array_storage`."""
        return self._settings.of(arr).storage or _write.stored_as(arr)[0]

    def set_array_compression(self, arr: Any, compression: str | None, **compression_kwargs: Any) -> None:
        """Set the compression of an array and of all views of its memory.

        Parameters
        ----------
        arr : ndarray or AsdfArray
            An array of the tree.
        compression : str or None
            As for `write_to`.
        **compression_kwargs
            Options of the compression, such as ``level``.

        Raises
        ------
        UnsupportedError
            If there is no such compression.
        """
        label = checked_label(compression)
        options = self._settings.change(arr)
        options.compression, options.compression_kwargs = label, compression_kwargs

    def get_array_compression(self, arr: Any) -> str | None:
        """Return the compression an array will have; None: it will not be compressed."""
        compression = self._settings.of(arr).compression
        return _write.stored_as(arr)[1] if compression == "input" else compression

    def get_array_compression_kwargs(self, arr: Any) -> dict[str, Any]:
        """Return the options of an array's compression; see `set_array_compression`."""
        return self._settings.of(arr).compression_kwargs

    def set_array_save_base(self, arr: Any, save_base: bool | None) -> None:
        """Set whether the memory that an ndarray is a view of is written as one block for all its views.

        Parameters
        ----------
        arr : ndarray
            An array of the tree.
        save_base : bool or None
            None, as by default: each view has a block with its elements alone.
        """
        self._settings.change(arr).save_base = save_base

    def get_array_save_base(self, arr: Any) -> bool | None:
        """Return whether views of one memory share a block; see `set_array_save_base`."""
        return self._settings.of(arr).save_base
