"""Exact ranks over 1,000,000 passages: seconds against one plain product, and memory beyond the vectors.

    python bench/large_corpus.py [--passages 1000000] [--queries 1000]

Random unit vectors of 384 dimensions in eleven languages; every query has a relevant passage in each. The plain product
multiplies the same matrices and throws the scores away, passages by blocks so that it needs no 4 GB for them; the two
alternate and the ratio of the best times is reported. Memory is the process's peak while ranking, above what it held
before.
"""

import argparse
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from isoglot.evaluation.ranking import PART_PASSAGES, rank_relevant

LANGUAGES, DIMENSIONS = 11, 384


def unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    x = rng.standard_normal((count, DIMENSIONS), np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Watch the resident memory of this process; the list gets its peak above the start, in bytes, at the end."""
    start, seen, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            seen[0] = max(seen[0], resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    queries, passages = unit_vectors(rng, arguments.queries), unit_vectors(rng, arguments.passages)
    language = np.arange(arguments.passages) % LANGUAGES
    judged = np.repeat(np.arange(arguments.queries), LANGUAGES)
    relevant = judged * LANGUAGES + np.tile(np.arange(LANGUAGES), arguments.queries)
    q, p = torch.from_numpy(queries), torch.from_numpy(passages)
    products, rankings, memory = [], [], []
    for _ in range(3):
        start = time.perf_counter()
        for first in range(0, len(p), PART_PASSAGES):
            torch.mm(q, p[first : first + PART_PASSAGES].T)
        products.append(time.perf_counter() - start)
        with peak_memory() as peak:
            start = time.perf_counter()
            rank_relevant(
                queries,
                passages,
                passage_language=language,
                judgement_query=judged,
                judgement_passage=relevant,
                top_k=100,
            )
            rankings.append(time.perf_counter() - start)
        memory.append(peak[0])
    product, ranking = min(products), min(rankings)
    print(
        f"{arguments.queries:,} queries against {arguments.passages:,} passages, {len(judged):,} exact ranks, top 100"
    )
    print(f"one product {product:.1f} s; ranks {ranking:.1f} s, {ranking / product:.2f} x; ", end="")
    print(f"peak memory beyond the vectors {max(memory) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
