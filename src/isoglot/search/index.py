"""What a search needs of an engine: the nearest rows, of all or of some languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isoglot.common.arrays import FloatArray, IntArray
from isoglot.search.mixing import Language

Wanted = frozenset[Language] | None
"""Languages to look in, None among them for rows without one; all rows where it is None itself."""
ENGINES = ("exact", "edge", "qdrant")
LEAST_LOOKED_AT = 128
"""Approximate engines look at so many rows at least, so that lists up to this length are beginnings of each other."""


@dataclass(frozen=True)
class Nearest:
    """Rows that are nearest to a query, best first; rows of one score in any order.

    Attributes:
        numbers: `(rows,)`.
        scores: `(rows,)`; as the similarity gives them, distances negative.
        complete: whether no others are left to find.
    """

    numbers: IntArray
    scores: FloatArray
    complete: bool


class Index(Protocol):
    """An engine that finds nearest rows."""

    def nearest(self, queries: FloatArray, depth: int, wanted: Sequence[Wanted]) -> list[list[Nearest]]:
        """For each query, and for each set of languages, the nearest rows.

        Args:
            queries: `(queries, dimensions)`; of unit length where the similarity is cosine.
            depth: how many rows; more where scores at the end are equal, so that it is not chance which are in.
            wanted: sets of languages.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def with_equals(found: Nearest, more: Callable[[int], Nearest], depth: int) -> Nearest:
    """The nearest rows with the equals of the last, from an engine that gives exactly as many as it is asked for.

    Args:
        found: more than `depth`, or all that there are.
        more: gives so many of the nearest.
        depth: how many are wanted.
    """
    while not found.complete and found.scores[depth - 1] == found.scores[-1]:
        found = more(2 * len(found.scores))
    if len(found.scores) <= depth:
        return found
    kept = found.scores >= found.scores[depth - 1]
    return Nearest(found.numbers[kept], found.scores[kept], found.complete and bool(kept.all()))


def best(scores: FloatArray, depth: int) -> IntArray:
    """Places of the highest scores, in any order; more than `depth` where some equal the last.

    >>> sorted(best(np.array([1, 3, 2, 2], np.float32), 2).tolist())
    [1, 2, 3]
    """
    if len(scores) <= depth:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, -depth)[-depth])
