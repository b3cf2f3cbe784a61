"""Retrieval measures, computed from the ranks of the relevant passages.

Every function takes ranks as an array `(queries, relevant)`: the ranks, from 1, of each query's relevant passages in
any order; 0 fills the places of queries with fewer. All relevant passages are ranked, however deep, so nothing is
cut off unless the measure says so. Each returns one value per query, 0 to 1, higher is better. A query without any
relevant passage scores 0; leave it out before averaging if it was not asked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def average_precision(ranks: Ranks) -> Values:
    """Average precision: the mean, over relevant passages, of the precision at each one's rank.

    `AP = 1/R sum_i i / r_i`, where `r_1 < r_2 < ...` are the ranks of the R relevant passages (Buckley and
    Voorhees, SIGIR 2000).

    >>> average_precision(np.array([[1, 4], [2, 0]])).tolist()  # (1/1 + 2/4) / 2 and 1/2
    [0.75, 0.5]
    """
    ordered, present = _ordered(ranks)
    order = np.arange(1, ranks.shape[1] + 1)
    return _divide(np.where(present, order / np.maximum(ordered, 1), 0.0).sum(1), present.sum(1))


def reciprocal_rank(ranks: Ranks, cutoff: int = 10) -> Values:
    """Reciprocal rank of the best relevant passage, 0 where it stands beyond the cutoff.

    >>> reciprocal_rank(np.array([[4, 2], [11, 12]])).tolist()
    [0.5, 0.0]
    """
    best = best_rank(ranks)
    return np.where((best > 0) & (best <= cutoff), 1.0 / np.maximum(best, 1), 0.0)


def ndcg(ranks: Ranks, cutoff: int = 10) -> Values:
    """Normalised discounted cumulative gain of binary relevance, discounted by `log2(rank + 1)`.

    Järvelin and Kekäläinen, TOIS 2002.

    >>> ndcg(np.array([[1, 3]])).round(4).tolist()  # (1 + 1/log2 4) / (1 + 1/log2 3)
    [0.9197]
    """
    hit = (ranks > 0) & (ranks <= cutoff)
    gain = np.where(hit, 1.0 / np.log2(np.maximum(ranks, 1) + 1), 0.0).sum(1)
    ideal = np.append(0.0, np.cumsum(1.0 / np.log2(np.arange(1, cutoff + 1) + 1)))
    return _divide(gain, ideal[np.minimum((ranks > 0).sum(1), cutoff)])


def recall(ranks: Ranks, cutoff: int) -> Values:
    """Share of the relevant passages among the first `cutoff`.

    >>> recall(np.array([[1, 12, 30, 0]]), 12).round(4).tolist()
    [0.6667]
    """
    return _divide(((ranks > 0) & (ranks <= cutoff)).sum(1), (ranks > 0).sum(1))


def best_rank(ranks: Ranks) -> npt.NDArray[np.int64]:
    """Rank of the first relevant passage, 0 where there is none.

    >>> best_rank(np.array([[7, 3, 0], [0, 0, 0]])).tolist()
    [3, 0]
    """
    big = np.iinfo(np.int64).max
    best = np.where(ranks > 0, ranks, big).min(1, initial=big)
    return np.where(best == big, 0, best)


def worst_rank(ranks: Ranks) -> npt.NDArray[np.int64]:
    """Rank of the last relevant passage, 0 where there is none.

    >>> worst_rank(np.array([[7, 3, 0]])).tolist()
    [7]
    """
    worst: Ranks = ranks.max(1, initial=0)
    return worst


MEASURES: dict[str, Callable[[Ranks], Values]] = {
    "map": average_precision,
    "mrr@10": reciprocal_rank,
    "ndcg@10": ndcg,
    "recall@1": lambda ranks: recall(ranks, 1),
    "recall@10": lambda ranks: recall(ranks, 10),
    "recall@100": lambda ranks: recall(ranks, 100),
}
"""The measures of every evaluation, by the names that results carry."""


def _ordered(ranks: Ranks) -> tuple[Ranks, npt.NDArray[np.bool_]]:
    """Ranks rising along each row with the empty places last, and which places are taken."""
    ordered = np.sort(np.where(ranks > 0, ranks, np.iinfo(np.int64).max), axis=1)
    return ordered, np.arange(ranks.shape[1]) < (ranks > 0).sum(1)[:, None]


def _divide(value: npt.ArrayLike, by: Ranks | Values) -> Values:
    return np.divide(value, by, out=np.zeros(len(by)), where=by > 0)
