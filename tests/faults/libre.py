"""A translation server with the interface of LibreTranslate that takes its time, and hangs up when it is told to."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Turns every word round.

    Attributes:
        seconds: that an answer takes.
        good: answers before each next one breaks off in the middle; None if none ever does.
        texts: what was translated, text by text.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seconds = seconds
        self.good: int | None = None
        self.texts: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None: ...  # who asked was killed


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self._say([{"code": "en", "targets": ["de", "es"]}, {"code": "de"}, {"code": "es"}])

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.server.seconds)
        self.server.texts += asked["q"]
        self._say({"translatedText": [re.sub(r"[^\W\d_]{2,}", lambda word: word[0][::-1], t) for t in asked["q"]]})

    def _say(self, content: Any) -> None:
        body, server = json.dumps(content).encode(), self.server
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.good is not None and self.command == "POST":
            server.good -= 1
            body = body if server.good >= 0 else body[: len(body) // 2]
        self.wfile.write(body)
        self.close_connection = True


@contextmanager
def libre(seconds: float = 0.0) -> Iterator[Server]:
    """A server while the block runs."""
    server = Server(seconds)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
