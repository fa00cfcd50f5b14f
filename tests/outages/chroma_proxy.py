"""A proxy before a real Chroma server that answers as well, or as badly, as it is told."""

from __future__ import annotations

import threading
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

SLOW_S = 10.0


class ChromaProxy:
    """`url` is what a client is given. `answer` says how from now on: well, slow (`SLOW_S`), 500,
    garbage, or half."""

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server).netloc
        self._how = "well"
        self._changed = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> ChromaProxy:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answer("well")
        self._http.shutdown()
        self._http.server_close()

    def answer(self, how: str) -> None:
        self._how = how
        self._changed.set()
        self._changed = threading.Event()

    def _ask(self, verb: str, path: str, body: bytes, headers: Any) -> tuple[int, str, bytes]:
        kept = {k: v for k, v in headers.items() if k.lower() in ("content-type", "accept")}
        with closing(HTTPConnection(self._server, timeout=60)) as connection:
            connection.request(verb, path, body, kept)
            reply = connection.getresponse()
            kind = reply.getheader("content-type", "application/json")
            return reply.status, kind, reply.read()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                how = proxy._how
                if how == "slow":
                    proxy._changed.wait(SLOW_S)
                elif how != "well":
                    self._badly(how)
                    return
                status, kind, data = proxy._ask(self.command, self.path, body, self.headers)
                self._reply(status, kind, data, len(data))

            def _badly(self, how: str) -> None:
                if how == "500":
                    self._reply(500, "text/plain", b"internal error", 14)
                elif how == "garbage":
                    self._reply(200, "application/json", b"\0garbage<", 9)
                else:
                    self._reply(200, "application/json", b'{"ids": [["', 4_000)

            def _reply(self, status: int, kind: str, data: bytes, length: int) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(length))
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = length != len(data)

            def log_message(self, *_: object) -> None:
                pass

        for verb in ("GET", "POST", "DELETE", "PUT"):
            setattr(Handler, f"do_{verb}", Handler._answer)
        return Handler
