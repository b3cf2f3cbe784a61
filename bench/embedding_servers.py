"""Servers of /v1/embeddings beside each other: one text at a time, and many clients at once.

    python bench/embedding_servers.py isoglot=http://127.0.0.1:8000/v1/embeddings#multilingual-e5-small-passage
        other=http://127.0.0.1:7997/embeddings#e5 --prefix "other=passage: " [--seconds 20] [--clients 16]

Servers are started by hand, with one model on as many threads. They are asked in turn, text by text and round by round,
so that all meet the same load of the machine. `--prefix` is what a server that knows no roles wants before a text. The
vectors of the others are held against the first one's.
"""

import argparse
import http.client
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np

WORDS = ["river", "stone", "lamp", "winter", "bread", "music", "garden", "paper", "silver", "window", "house", "bird"]
ROUNDS = 3


def texts(seed: int) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    return (" ".join(rng.choice(WORDS, rng.integers(4, 40))) + f" {n}" for n in itertools.count())


class Server:
    """A server that is there, and how it is asked."""

    def __init__(self, name: str, address: str, prefix: str) -> None:
        self.name, self.url, self.prefix = name, urlsplit(address), prefix

    def connection(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection(self.url.hostname or "127.0.0.1", self.url.port, timeout=120)

    def ask(self, connection: http.client.HTTPConnection, some: list[str]) -> np.ndarray:
        """The vectors of some texts."""
        body = json.dumps({"model": self.url.fragment, "input": [self.prefix + text for text in some]})
        connection.request("POST", self.url.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        return np.array([row["embedding"] for row in sorted(content["data"], key=lambda row: row["index"])])


def hold_against_each_other(servers: list[Server]) -> None:
    some = list(itertools.islice(texts(0), 20))
    vectors = [server.ask(server.connection(), some) for server in servers]
    vectors = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in vectors]
    for server, each in zip(servers[1:], vectors[1:], strict=True):
        print(f"{server.name}: cosine to {servers[0].name} at least {(each * vectors[0]).sum(1).min():.4f}")


def one_at_a_time(servers: list[Server], count: int) -> None:
    connections = [server.connection() for server in servers]
    times: list[list[float]] = [[] for _ in servers]
    for n, text in zip(range(count + 5), texts(1), strict=False):
        for server, connection, seconds in zip(servers, connections, times, strict=True):
            began = time.perf_counter()
            server.ask(connection, [text])
            if n >= 5:  # the first warm up
                seconds.append(time.perf_counter() - began)
    for server, seconds in zip(servers, times, strict=True):
        p50, p95 = 1e3 * np.percentile(seconds, [50, 95])
        print(f"{server.name}: one text p50 {p50:.1f} ms, p95 {p95:.1f} ms")


def many_at_once(server: Server, clients: int, seconds: float, batch: int) -> float:
    """Texts a second."""
    began = time.monotonic()

    def work(seed: int) -> int:
        connection, mine, done = server.connection(), texts(seed), 0
        while time.monotonic() < began + seconds:
            done += len(server.ask(connection, list(itertools.islice(mine, batch))))
        return done

    with ThreadPoolExecutor(clients) as pool:
        done = sum(pool.map(work, range(clients)))
    return done / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=URL#MODEL")
    parser.add_argument("--prefix", action="append", default=[], metavar="NAME=TEXT")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--clients", type=int, default=16)
    given = parser.parse_args()
    prefixes = dict(each.split("=", 1) for each in given.prefix)
    servers = [
        Server(name, url, prefixes.get(name, "")) for name, url in (each.split("=", 1) for each in given.servers)
    ]
    hold_against_each_other(servers)
    one_at_a_time(servers, given.count)
    for batch in (1, 16):
        rates: dict[str, list[float]] = {server.name: [] for server in servers}
        for _, server in itertools.product(range(ROUNDS), servers):
            rates[server.name].append(many_at_once(server, given.clients, given.seconds / ROUNDS, batch))
        for name, found in rates.items():
            print(
                f"{name}: {given.clients} clients, {batch} texts a call: {statistics.median(found):.0f} texts a second"
            )


if __name__ == "__main__":
    main()
