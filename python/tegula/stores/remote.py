"""Stores on servers: HTTP(S), S3, Google Cloud Storage, Azure."""

from typing import Any

from tegula import _tegula
from tegula.stores._access import StorageOptions
from tegula.stores._base import Store

__all__ = ["RemoteStore", "StorageOptions"]


class RemoteStore(Store):
    """Objects on an HTTP(S) server, S3, Google Cloud Storage or Azure.

    HTTP servers are read-only and cannot be listed: open their arrays by path, or through consolidated metadata.
    Stores pickle with their options, including secrets. A process keeps one client per server or bucket and options; a
    forked child connects again.

    Parameters
    ----------
    url : str
        ``https://host/path``, ``s3://bucket/path``, ``gs://bucket/path``, ``az://container/path``.
    storage_options : mapping, optional
        The options below, as a mapping.
    anonymous : bool
        Whether requests are not signed, to read public data.
    endpoint, region : str
        The URL and region of the service, if they are not the provider's defaults.
    access_key_id, secret_access_key, session_token : str
        Credentials. By default, they come from the provider's environment variables or from the machine in the cloud.
    allow_http : bool
        Whether requests may be sent without encryption. By default, if the URL or the endpoint begins with ``http://``.
    headers : mapping of str to str
        Headers of all requests. They are not sent to other servers that a server redirects to.
    timeout, connect_timeout : float
        Maximum number of seconds without any byte from the server (30), and for connecting (5). A slow server that
        keeps sending is no timeout.
    retry_timeout : float
        Number of seconds after a failure in which a request is repeated (30). A server that is overloaded can ask for
        the pause.
    retries : int
        Maximum number of retries of a request, if there shall be a limit.
    missing_statuses : sequence of int
        The statuses that mean that an object does not exist. By default (404,); S3 answers 403 to clients that may not
        list the bucket.
    max_download : int or str
        Maximum size of an object that is read whole because its server does not answer requests for byte ranges: bytes,
        or text such as ``"4 GB"``. The default is 1 GiB.
    **options
        Other options of the Rust crate `object_store`, such as ``proxy_url``.
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
        if isinstance(options.get("max_download"), str):
            options["max_download"] = _tegula.bytes_of(options["max_download"])
        known = {name: _text(value) for name, value in options.items() if value is not None}
        return known, {str(name): str(value) for name, value in headers.items()}

    @property
    def url(self) -> str:
        """The URL, without passwords and signatures."""
        return self._native.display("")

    @property
    def stats(self) -> dict[str, int]:
        """Counts of this process's client: "requests" ("heads" included), "bytes_read" and "bytes_written"."""
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


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
