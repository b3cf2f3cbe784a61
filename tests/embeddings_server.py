"""A server of `/v1/embeddings` that has good days and bad ones."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from isoglot.runtime.api import ApiEncoder
from isoglot.vectors.probes import PROBES

DIMENSIONS = 16
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Open = Callable[..., ApiEncoder]
Day = Callable[[dict[str, Any]], Answer | None]


def vector_of(text: str, model: str = "m") -> list[float]:
    """What the server gives for a text: any direction, of unit length."""
    seed = int.from_bytes(hashlib.sha256(f"{model} {text}".encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS)
    return list((vector / np.linalg.norm(vector)).astype(np.float32).astype(float))


def good(body: dict[str, Any], **changes: Any) -> Answer:
    """What a server should say: here in an order of its own, for `index` is what counts."""
    data = [{"index": n, "embedding": vector_of(text)} for n, text in enumerate(body["input"])]
    tokens = sum(len(text.split()) + 2 for text in body["input"])
    return 200, {"data": data[::-1], "usage": {"prompt_tokens": tokens}, **changes}


def but_for_probes(day: Day) -> Day:
    """A bad day that begins after the known texts were asked for."""
    return lambda body: good(body) if set(body["input"]) & set(PROBES) else day(body)


class Server(ThreadingHTTPServer):
    """Says what the test tells it to: the next of `days` if there is one, else `always`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.days: list[Day] = []
        self.always: Day = good
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.drip: float | None = None  # seconds between two bytes of an answer

    @property
    def name(self) -> str:
        return f"api:http://127.0.0.1:{self.server_port}#m"

    def asked(self) -> list[str]:
        """All texts that came, but for the known ones."""
        return [text for body in self.requests for text in body["input"] if text not in PROBES]


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.paths.append(self.requestline.split()[1])
        self.server.keys.append(self.headers["Authorization"])
        answer = self.server.days.pop(0)(body) if self.server.days else self.server.always(body)
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        status, content, *headers = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers[0] if headers else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for n in range(len(data)) if self.server.drip else ():
                self.wfile.write(data[n : n + 1])
                threading.Event().wait(self.server.drip)
            if not self.server.drip:
                self.wfile.write(data)
        except OSError:
            pass


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
