"""An HTTP server in a thread that serves a folder with the manners of real servers, good and bad."""

import gzip
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"


@dataclass
class Manners:
    """How the server answers. A status in place of a boolean is the answer; "close" ends the connection without one."""

    missing: int | str = 404
    suffix: bool | int | str = True  # or "whole", "start" (the wrong end), "close"
    ranges: bool | int | str = True  # or "whole", "shifted", "wider", "headless"
    most: int | None = None  # bytes of an answer to a range
    head: bool | int | str = True  # or "empty", "bare" (without a length)
    total: bool = True  # whether Content-Range tells the size
    etag: str | None = "strong"  # or "weak"
    modified: bool = True
    length: str = "told"  # or "chunked", "closed"
    cut: int | None = None  # bytes after which a body ends
    cuts: int = 1 << 30  # number of bodies that are cut
    down: int = 0  # number of requests that fail
    failure: int | str = 503  # or "close"
    retry_after: str | None = None
    encoding: str | None = None
    location: str | None = None  # base of redirects
    status: int = 302
    password: str | None = None
    pace: float = 0.0  # seconds before every 1000 bytes of a body
    seen: list = field(default_factory=list)  # (method, path, headers by lower-case names)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        manners, name = self.server.manners, unquote(self.path.split("?")[0]).lstrip("/")
        with self.server.lock:
            manners.seen.append(
                (self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            )
            manners.down -= 1
            is_down = manners.down >= 0
        if is_down:
            more = {} if manners.retry_after is None else {"Retry-After": manners.retry_after}
            return self.refuse(manners.failure, more)
        if manners.location is not None:
            return self.refuse(manners.status, {"Location": manners.location + self.path})
        if manners.password is not None and self.headers.get("Authorization") != manners.password:
            return self.refuse(403)
        file = Path(self.server.folder, name)
        if not file.is_file():
            if manners.missing == "page":
                return self.send(200, PAGE, {"Content-Type": "text/html"})
            return self.refuse(manners.missing)
        if self.command == "HEAD" and manners.head not in (True, "empty", "bare"):
            return self.refuse(manners.head)
        return self.serve(file, manners)

    def serve(self, file, manners):
        data, headers = file.read_bytes(), {"Date": formatdate(usegmt=True)}
        stat = file.stat()
        if manners.etag:
            headers["ETag"] = ("W/" if manners.etag == "weak" else "") + f'"{stat.st_mtime_ns:x}"'
        if manners.modified:
            headers["Last-Modified"] = formatdate(stat.st_mtime, usegmt=True)
        if manners.encoding == "gzip":
            data, headers["Content-Encoding"] = gzip.compress(data, 1), "gzip"
        elif manners.encoding:
            headers["Content-Encoding"] = manners.encoding
        if self.headers.get("If-Match") not in (None, headers.get("ETag")):
            return self.refuse(412)
        size = len(data)
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if found is None or manners.ranges == "whole" or (manners.suffix == "whole" and not found[1]):
            return self.send(200, data, headers)
        if not found[1] and manners.suffix not in (True, "start"):
            return self.refuse(manners.suffix)
        if manners.ranges not in (True, "shifted", "wider", "headless"):
            return self.refuse(manners.ranges)
        start = int(found[1]) if found[1] else max(size - int(found[2]), 0)
        end = min(int(found[2] or size) + 1, size) if found[1] else size
        if manners.suffix == "start" and not found[1]:
            start, end = 0, min(int(found[2]) + 1, size)
        if start >= size:
            return self.refuse(416, {"Content-Range": f"bytes */{size}"})
        if manners.most is not None:
            end = min(end, start + manners.most)
        if manners.ranges == "shifted":
            start, end = start + 1, min(end + 1, size)
        if manners.ranges == "wider":
            start, end = max(start - 7, 0), min(end + 9, size)
        if manners.ranges != "headless":
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size if manners.total else '*'}"
        return self.send(206, data[start:end], headers)

    def refuse(self, status, headers=None):
        if status == "close":
            self.close_connection = True
            self.connection.close()
        else:
            self.send(status, b"no", headers or {})

    def send(self, status, data, headers):
        manners = self.server.manners
        length = manners.length if status < 300 else "told"
        is_head = self.command == "HEAD"
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if is_head and manners.head == "empty":
            self.send_header("Content-Length", "0")
        elif length == "told" and not (is_head and manners.head == "bare"):
            self.send_header("Content-Length", str(len(data)))
        elif length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        if length == "closed":
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if is_head:
            return
        with self.server.lock:
            is_cut = status < 300 and manners.cut is not None and len(data) > manners.cut and manners.cuts > 0
            manners.cuts -= is_cut
        body = data[: manners.cut] if is_cut else data
        step = 1000 if manners.pace else max(len(body), 1)
        for start in range(0, len(body), step):
            time.sleep(manners.pace)
            piece = body[start : start + step]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if length == "chunked" else piece)
        if is_cut:
            self.close_connection = True
        elif length == "chunked":
            self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


@contextmanager
def serving(folder, **manners):
    """Serve a folder; yield the URL and the manners, which can change."""
    server = Server(("127.0.0.1", 0), Handler)
    server.folder, server.manners, server.lock = folder, Manners(**manners), threading.Lock()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.manners
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
