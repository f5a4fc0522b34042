"""Stores on other machines, by their URLs."""

import posixpath
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from tegula import _tegula
from tegula.errors import UnsupportedError
from tegula.stores import Store

__all__ = ["RemoteStore"]

StorageOptions: TypeAlias = Mapping[str, Any]
"""How a server is reached; see `RemoteStore`."""


class RemoteStore(Store):
    """Objects over HTTP(S), S3, Google Cloud Storage or Azure.

    HTTP servers are read only, and cannot be listed: there, arrays are opened by their paths, or found by consolidated
    metadata. Stores pickle with their options, secret ones included. The process connects once for each server or
    bucket and options; a forked child does so anew.

    Parameters
    ----------
    url : str
        ``https://host/path``, ``s3://bucket/path``, ``gs://bucket/path``, ``az://container/path``.
    storage_options : mapping, optional
        Options, as below.
    **options
        anonymous, endpoint, region, allow_http, headers, timeout and connect_timeout (seconds), retries, retry_timeout,
        and those of the Rust crate `object_store`, such as ``access_key_id``.
    """

    __slots__ = ("_options", "_url")

    _options: dict[str, Any]
    _url: str

    def __init__(self, url: str, storage_options: StorageOptions | None = None, **options: Any) -> None:
        self._url = url
        self._options = {**(storage_options or {}), **options}
        self._native = _tegula.remote_store(url, *self._texts())

    def _texts(self) -> tuple[dict[str, str], dict[str, str]]:
        options = dict(self._options)
        headers = options.pop("headers", None) or {}
        known = {name: _text(value) for name, value in options.items() if value is not None}
        return known, {str(name): str(value) for name, value in headers.items()}

    @property
    def url(self) -> str:
        """The URL, without what may be secret in it."""
        return self._native.display("")

    @property
    def stats(self) -> dict[str, int]:
        """Requests, of these "heads", "bytes_read" and "bytes_written" of this process's client for the server."""
        counts = _tegula.remote_stats(self._url, *self._texts())
        return dict(zip(("requests", "heads", "bytes_read", "bytes_written"), counts, strict=True))

    def __repr__(self) -> str:
        return f"tegula.RemoteStore({', '.join([repr(self.url), *(f'{name}=...' for name in self._options)])})"

    def _key(self) -> tuple[Any, ...]:
        options, headers = self._texts()
        return self._url, tuple(sorted(options.items())), tuple(sorted(headers.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStore) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[type["RemoteStore"], tuple[str, dict[str, Any]]]:
        return RemoteStore, (self._url, self._options)


class ObjectZipStore(Store):
    """The entries of a zip archive that is an object of another store, to be read."""

    __slots__ = ("_archive", "_store")

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._archive = key
        self._native = _tegula.Store.zip_in(store._native, key)

    def __repr__(self) -> str:
        return f"tegula.stores.remote.ObjectZipStore({self._store!r}, {self._archive!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectZipStore) and (self._store, self._archive) == (other._store, other._archive)

    def __hash__(self) -> int:
        return hash((self._store, self._archive))

    def __reduce__(self) -> tuple[type["ObjectZipStore"], tuple[Store, str]]:
        return ObjectZipStore, (self._store, self._archive)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def local_path(url: str) -> str | None:
    """Return the path that a ``file://`` URL names; None of others."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise UnsupportedError(f"file://{parts.netloc}: files of another machine")
    # It brings the clients of HTTP and mail along.
    from urllib.request import url2pathname

    return url2pathname(parts.path)


def _at(parts: SplitResult, path: str) -> str:
    return urlunsplit(parts._replace(path=path, fragment=""))


def open_url(url: str, options: StorageOptions | None) -> tuple[Store, str]:
    """Return the store that a URL names, and the path in it to which it goes on."""
    parts = urlsplit(url)
    names = parts.path.split("/")
    for n, name in enumerate(names):
        if name.lower().endswith((".zip", ".ozx")):
            folder = RemoteStore(_at(parts, "/".join(names[:n])), options)
            return ObjectZipStore(folder, unquote(name)), unquote("/".join(names[n + 1 :]))
    return RemoteStore(_at(parts, parts.path), options), ""


def open_file(url: str, options: StorageOptions | None) -> tuple[Store, str]:
    """Return the store that the file of a URL lies in, and its key there."""
    parts = urlsplit(url)
    folder, name = posixpath.split(parts.path)
    if not name:
        raise UnsupportedError(f"{parts.scheme}://{parts.hostname or ''}{parts.path} names no file")
    return RemoteStore(_at(parts, folder), options), unquote(name)
