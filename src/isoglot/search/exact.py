"""The engine without an engine: every row is scored, block by block, in mapped memory. Right up to a million rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from isoglot.common.arrays import FloatArray, IntArray
from isoglot.search.index import Nearest, Wanted, best
from isoglot.search.segments import Block
from isoglot.search.store import NO_ROWS, Store

_FEW = 4  # a block is scored whole unless at most one in so many of its rows is wanted
_QUERIES = 64  # scored at once
_NO_SCORES = np.zeros(0, np.float32)


class ExactIndex:
    """Scores every row with every query; the best of each language cost no more than the best of all.

    Args:
        store: the rows. Similarity is what its provenance says, cosine where that says nothing.
    """

    def __init__(self, store: Store) -> None:
        self._similarity = store.state.provenance.similarity or "cosine"
        self._blocks = [(block, _by_language(block)) for block in store.blocks]

    def nearest(self, queries: FloatArray, depth: int, wanted: Sequence[Wanted]) -> list[list[Nearest]]:
        """As `Index.nearest`."""
        starts = range(0, len(queries), _QUERIES)
        return [each for start in starts for each in self._nearest(queries[start : start + _QUERIES], depth, wanted)]

    def _nearest(self, queries: FloatArray, depth: int, wanted: Sequence[Wanted]) -> list[list[Nearest]]:
        found = [[_Best(depth) for _ in wanted] for _ in queries]
        for block, by_language in self._blocks:
            places = [_places(by_language, each) for each in wanted]
            # To copy a row costs as much as to score it, so few rows are taken out and many are not.
            few = sum(map(len, places)) * _FEW <= len(block.numbers)
            used = np.unique(np.concatenate([NO_ROWS, *places])) if few else NO_ROWS
            scores = score(queries, block.vectors[used] if few else block.vectors, self._similarity)
            for number, at in enumerate(places):
                chosen = np.searchsorted(used, at) if few else at
                for row, own in zip(scores, found, strict=True):
                    own[number].add(block.numbers[at], row[chosen])
        return [[each.nearest() for each in own] for own in found]

    def close(self) -> None:
        """Let go of the mapped files."""
        self._blocks = []


def score(queries: FloatArray, rows: FloatArray, similarity: str) -> FloatArray:
    """`(queries, rows)`; scores as a similarity gives them, distances negative.

    >>> q, p = np.array([[3, 4]], np.float32), np.array([[3, 1]], np.float32)
    >>> [score(q, p, similarity).tolist() for similarity in ("dot", "euclidean", "manhattan")]
    [[[13.0]], [[-3.0]], [[-3.0]]]
    """
    if similarity == "manhattan":
        return np.stack([-np.abs(rows - query).sum(1) for query in queries])
    scores: FloatArray = queries @ rows.T
    if similarity == "euclidean":
        squared = np.square(queries).sum(1)[:, None] - 2 * scores + np.square(rows).sum(1)
        scores = -np.sqrt(np.maximum(squared, 0, dtype=np.float32))
    return scores


class _Best:
    """The best of all that was added so far."""

    def __init__(self, depth: int) -> None:
        self._depth, self._numbers, self._scores, self._seen = depth, NO_ROWS, _NO_SCORES, 0

    def add(self, numbers: IntArray, scores: FloatArray) -> None:
        self._seen += len(numbers)
        if len(self._scores) >= self._depth:  # most rows fall short of the last that is in
            over = np.flatnonzero(scores >= self._scores.min())
            numbers, scores = numbers[over], scores[over]
        if len(numbers):
            numbers, scores = np.append(self._numbers, numbers), np.append(self._scores, scores)
            kept = best(scores, self._depth)
            self._numbers, self._scores = numbers[kept], scores[kept]

    def nearest(self) -> Nearest:
        order = np.argsort(-self._scores, kind="stable")
        return Nearest(self._numbers[order], self._scores[order], len(order) == self._seen)


def _by_language(block: Block) -> dict[Wanted, IntArray]:
    """Places of the live rows of a block, all and of each language."""
    coded: Any = pc.dictionary_encode(block.batch["language"], null_encoding="encode")
    code, tags = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    live: dict[Wanted, IntArray] = {None: np.flatnonzero(block.live)}
    return live | {frozenset([tag]): np.flatnonzero((code == number) & block.live) for number, tag in enumerate(tags)}


def _places(live: dict[Wanted, IntArray], wanted: Wanted) -> IntArray:
    """Places of the live rows of the languages wanted, rising."""
    if wanted is None or wanted in live:
        return live[wanted]
    return np.sort(np.concatenate([NO_ROWS, *(live.get(frozenset([tag]), NO_ROWS) for tag in wanted)]))
