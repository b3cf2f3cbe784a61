"""What serving costs: one question served against one in the process, and 32 clients for a minute.

    python bench/serving.py [--model builtin:multilingual-e5-small] [--rows 10000] [--seconds 60] [--clients 32]

Indexes rows of made-up words in 11 languages with vectors of noise around the model's own of some of them, serves it by
`isoglot serve` in a process of its own, and asks: the same questions one after the other in this process and over HTTP,
in turn, so that both meet the same load; then by many clients at once. Memory is the server's, by `/metrics`.
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import isoglot

LANGUAGES = ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]
WORDS = ["river", "stone", "lamp", "winter", "bread", "music", "garden", "paper", "silver", "window", "house", "bird"]


def questions(count: int, seed: int) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    return (" ".join(rng.choice(WORDS, rng.integers(4, 12))) + f" {n}" for n in range(count))


def make_index(encoder: isoglot.TextEncoder, folder: Path, rows: int) -> Path:
    rng = np.random.default_rng(0)
    texts = list(questions(rows, 0))
    some = encoder.encode(texts[:200], "passage")
    vectors = some[rng.integers(len(some), size=rows)] + 0.03 * rng.standard_normal((rows, some.shape[1]), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = {
        "id": [f"d{n}" for n in range(rows)],
        "language": np.array(LANGUAGES)[np.minimum(rng.geometric(0.35, rows) - 1, len(LANGUAGES) - 1)],
        "text": texts,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    pq.write_table(pa.table(columns), folder / "vectors.parquet")
    isoglot.build_index(folder / "vectors.parquet", None, folder / "index")
    return folder / "index"


class Asker:
    """A client that keeps its connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, question: str) -> int:
        """Search, and take the answer whole; its status."""
        body = json.dumps({"query": question})
        self.connection.request("POST", "/search", body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def memory(port: int) -> float:
    """Resident megabytes of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    (found,) = re.findall(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
    return float(found) / 1e6


def one_at_a_time(searcher: isoglot.Searcher, port: int, count: int) -> None:
    asker = Asker(port)
    inside: list[float] = []
    served: list[float] = []
    for n, question in enumerate(questions(count + 5, 1)):
        for times, ask in ((inside, searcher.search), (served, asker.ask)):
            began = time.perf_counter()
            ask(question)
            if n >= 5:  # the first warm up
                times.append(time.perf_counter() - began)
    a, b = (1e3 * statistics.median(times) for times in (inside, served))
    print(f"one question: {a:.1f} ms in the process, {b:.1f} ms served, {b / a:.2f} times; medians of {count}")


def many_at_once(port: int, clients: int, seconds: float) -> None:
    end, times, statuses = time.monotonic() + seconds, [], []
    lock, before, peak = threading.Lock(), memory(port), 0.0

    def work(number: int) -> None:
        asker = Asker(port)
        for question in questions(100_000, 2 + number):
            if time.monotonic() > end:
                return
            began = time.perf_counter()
            status = asker.ask(question)
            with lock:
                times.append(time.perf_counter() - began)
                statuses.append(status)

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(work, n) for n in range(clients)]
        while not all(each.done() for each in running):
            peak = max(peak, memory(port))
            time.sleep(2)
        for each in running:
            each.result()
    p50, p99 = np.percentile(times, [50, 99])
    errors = sum(status != 200 for status in statuses)
    print(
        f"{clients} clients for {seconds:.0f} s: {len(times) / seconds:.1f} questions a second, "
        f"p50 {1e3 * p50:.0f} ms, p99 {1e3 * p99:.0f} ms, {errors} errors of {len(times)}; "
        f"memory {before:.0f} MB before, {peak:.0f} at most, {memory(port):.0f} after"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:multilingual-e5-small")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    given = parser.parse_args()
    encoder = isoglot.load_text_encoder(given.model)
    with tempfile.TemporaryDirectory() as folder:
        index = make_index(encoder, Path(folder), given.rows)
        command = [sys.executable, "-m", "isoglot", "serve", str(index), "--model", given.model, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None  # it is a pipe
                (port,) = map(int, re.findall(r":(\d+)/", server.stdout.readline()))
                one_at_a_time(isoglot.open_index(index, encoder), port, given.count)
                many_at_once(port, given.clients, given.seconds)
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
