"""Serves files and byte ranges of a folder over HTTP, counts the requests, and can be told to fail.

A path may start with the failure: ``/!cut/a`` serves the file ``a`` truncated.
"""

import argparse
import json
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

counts = {}
tries = {}
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        if self.path == "/-/counts":
            with lock:
                body = json.dumps(counts).encode()
                counts.clear()
                tries.clear()
            self.reply(200, body)
        else:
            self.answer(body=True)

    def answer(self, *, body):
        time.sleep(self.server.latency)
        with lock:
            counts[self.command] = counts.get(self.command, 0) + 1
            tries[self.path] = tried = tries.get(self.path, 0) + 1
        how, name = re.fullmatch(r"/(?:!(\w+)/)?([^?]*).*", self.path).groups()
        if how == "secret" and self.headers.get("Authorization") != "Bearer hush":
            return self.reply(403, b"token hush is needed")
        if how == "broken" or (how == "tired" and tried == 1):
            return self.reply(500, b"no")
        if how == "slow":
            time.sleep(5)
        path = os.path.join(self.server.folder, unquote(name))
        if not os.path.isfile(path):
            return self.reply(404, b"not here")
        with open(path, "rb") as file:
            return self.send_part(file, how, body=body)

    def send_part(self, file, how, *, body):
        stat = os.fstat(file.fileno())
        headers = {"ETag": f'"{stat.st_mtime_ns:x}-{stat.st_ino:x}"', "Accept-Ranges": "bytes"}
        if how == "weak":
            headers["ETag"] = "W/" + headers["ETag"]
        if how == "nameless":
            del headers["ETag"]
        if (match := self.headers.get("If-Match")) and match != headers.get("ETag"):
            return self.reply(412, b"")
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if found is None or how == "whole":
            return self.reply(200, file.read(), headers, body=body, cut=how == "cut")
        first, last = found.groups()
        size = stat.st_size
        start, end = (
            (max(size - int(last), 0), size) if not first else (int(first), min(int(last or size - 1) + 1, size))
        )
        if start >= end:
            return self.reply(416, b"", {"Content-Range": f"bytes */{size}"})
        shown = f"bytes {start}-{end - 1}/{size}"
        if how == "liar":
            shown = f"bytes {start + 1}-{end}/{size}"
        if how == "vast":
            shown = f"bytes {start}-{end - 1}/{1 << 60}"
        file.seek(start)
        return self.reply(206, file.read(end - start), {**headers, "Content-Range": shown}, body=body, cut=how == "cut")

    def reply(self, status, data, headers=None, *, body=True, cut=False):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.wfile.flush()
            self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--latency", type=float, default=0)
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    server.folder, server.latency = arguments.folder, arguments.latency
    print(server.server_address[1], flush=True)
    server.serve_forever()
