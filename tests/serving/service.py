"""A server in a thread, over the tiny encoder and a small corpus, and a client of the standard library."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isoglot.runtime.encoder import TextEncoder
from isoglot.search.building import build_index
from isoglot.search.opening import open_index
from isoglot.search.searcher import Searcher
from isoglot.serving.app import build_app
from isoglot.serving.limits import Limits
from isoglot.serving.server import listen, server_of

KEY = "a-key-of-some-letters"


TEXTS = {
    "en": ["red house by the river", "<script>alert(1)</script> green tree", "white bird in winter"],
    "de": ["rotes haus am fluss", "grüner baum im sommer"],
    "he": ["בית אדום ליד הנהר (1923)"],
    "ja": ["川のそばの赤い家"],
    None: ["..."],
}


def small_index(encoder: TextEncoder, folder: Path) -> Searcher:
    """An index of the texts; ids are their numbers."""
    texts = [(language, text) for language, each in TEXTS.items() for text in each]
    rows = [{"id": str(n), "language": language, "text": text} for n, (language, text) in enumerate(texts)]
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    build_index(corpus, encoder, folder / "index")
    return open_index(folder / "index", encoder)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    port: int
    key: str | None = None

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        own = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        own |= {"Content-Type": "application/json"} if body is not None else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, {**own, **(headers or {})})
        answer = connection.getresponse()
        try:
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def embed(self, given: Any, **fields: Any) -> Answer:
        return self.send("POST", "/v1/embeddings", {"input": given, **fields})

    def search(self, query: Any, **fields: Any) -> Answer:
        return self.send("POST", "/search", {"query": query, **fields})

    def metric(self, line: str) -> float:
        (value,) = [
            each.rpartition(" ")[2]
            for each in self.get("/metrics").body.decode().splitlines()
            if each.startswith(line + " ")
        ]
        return float(value)

    def with_key(self, key: str | None) -> Client:
        return replace(self, key=key)


@contextmanager
def serving(
    encoder: TextEncoder, searcher: Any = None, limits: Limits | None = None, **options: Any
) -> Iterator[Client]:
    limits = limits or Limits()
    server = server_of(build_app(encoder, searcher, limits=limits, **options), limits)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Client(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(10)
