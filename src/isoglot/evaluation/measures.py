"""Retrieval measures, computed from the ranks of the relevant passages.

Every function takes ranks as an array `(queries, relevant)`: the ranks, from 1, of each query's relevant passages in
any order; 0 fills the places of queries with fewer. All relevant passages are ranked, however deep, so nothing is
cut off unless the measure says so. Each returns one value per query, 0 to 1, higher is better. A query without any
relevant passage scores 0; leave it out before averaging if it was not asked. Only nDCG looks at grades, an array like
the ranks, 1 or more where a rank stands.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isoglot.common.arrays import BoolArray, IntArray, Values, ratio
from isoglot.common.errors import InputError

Measure = Callable[..., Values]
"""From ranks and, where relevance is graded, grades `(queries, relevant)` to one value per query, `(queries,)`."""


def average_precision(ranks: IntArray) -> Values:
    """Average precision: the mean, over relevant passages, of the precision at each one's rank.

    `AP = 1/R sum_i i / r_i`, where `r_1 < r_2 < ...` are the ranks of the R relevant passages (Buckley and
    Voorhees, SIGIR 2000).

    >>> average_precision(np.array([[1, 4], [2, 0]])).tolist()  # (1/1 + 2/4) / 2 and 1/2
    [0.75, 0.5]
    """
    ordered, present = in_order(ranks)
    precision = np.arange(1, ranks.shape[1] + 1) / np.maximum(ordered, 1)
    return ratio(np.where(present, precision, 0.0).sum(1), present.sum(1), 0.0)


def reciprocal_rank(ranks: IntArray, cutoff: int = 10) -> Values:
    """Reciprocal rank of the best relevant passage, 0 where it stands beyond the cutoff.

    >>> reciprocal_rank(np.array([[4, 2], [11, 12]])).tolist()
    [0.5, 0.0]
    """
    best = best_rank(ranks)
    return np.where((best > 0) & (best <= cutoff), 1.0 / np.maximum(best, 1), 0.0)


def ndcg(ranks: IntArray, cutoff: int = 10, grades: IntArray | None = None) -> Values:
    """Normalised discounted cumulative gain: a passage's grade over `log2(rank + 1)`, summed to the cutoff.

    `nDCG@k = DCG@k / IDCG@k`, where IDCG is the DCG of the ranking that puts all judged passages first, the highest
    grades before the lower (Järvelin and Kekäläinen, TOIS 2002). The gain is the grade itself, as in trec_eval, not
    `2^grade - 1`. All grades are 1 where None.

    >>> ndcg(np.array([[1, 3]])).round(4).tolist()  # (1 + 1/log2 4) / (1 + 1/log2 3)
    [0.9197]
    >>> ndcg(np.array([[1, 3]]), grades=np.array([[1, 2]])).round(4).tolist()  # (1 + 2/log2 4) / (2 + 1/log2 3)
    [0.7602]
    """
    if grades is not None and grades.shape != ranks.shape:
        raise InputError(f"grades {grades.shape} do not fit ranks {ranks.shape}: one grade per rank is needed")
    gains = np.where(ranks > 0, 1 if grades is None else grades, 0)
    seen = np.where(ranks <= cutoff, gains / np.log2(np.maximum(ranks, 1) + 1), 0.0).sum(1)
    best = -np.sort(-gains, axis=1)[:, :cutoff]
    ideal: Values = (best / np.log2(np.arange(best.shape[1]) + 2)).sum(1)
    return ratio(seen, ideal, 0.0)


def recall(ranks: IntArray, cutoff: int) -> Values:
    """Share of the relevant passages among the first `cutoff`.

    >>> recall(np.array([[1, 12, 30, 0]]), 12).round(4).tolist()
    [0.6667]
    """
    return ratio(((ranks > 0) & (ranks <= cutoff)).sum(1), (ranks > 0).sum(1), 0.0)


def success(ranks: IntArray, cutoff: int) -> Values:
    """1 where any relevant passage is among the first `cutoff`, else 0; also called hit rate.

    >>> success(np.array([[12, 3], [12, 0]]), 10).tolist()
    [1.0, 0.0]
    """
    found = (ranks > 0) & (ranks <= cutoff)
    return np.asarray(found.any(1), np.float64)


def best_rank(ranks: IntArray) -> IntArray:
    """Rank of the first relevant passage, 0 where there is none.

    >>> best_rank(np.array([[7, 3, 0], [0, 0, 0]])).tolist()
    [3, 0]
    """
    big = np.iinfo(np.int64).max
    best = np.where(ranks > 0, ranks, big).min(1, initial=big)
    return np.where(best == big, 0, best)


def worst_rank(ranks: IntArray) -> IntArray:
    """Rank of the last relevant passage, 0 where there is none.

    >>> worst_rank(np.array([[7, 3, 0]])).tolist()
    [7]
    """
    return np.asarray(ranks.max(1, initial=0), np.int64)


def measure(name: str) -> Measure:
    """Give the measure of a name: `map`, or `mrr`, `ndcg`, `recall`, `success` with a cutoff, as in `ndcg@20`.

    Raises:
        InputError: if there is no such measure, or its cutoff is missing or no whole number from 1.

    >>> measure("recall@5")(np.array([[1, 12]])).tolist()
    [0.5]
    """
    family, _, depth = name.partition("@")
    if name == "map":
        return lambda ranks, grades=None: average_precision(ranks)
    if family not in ("mrr", "ndcg", "recall", "success"):
        raise InputError(f"measure {name!r}: there are map, mrr@k, ndcg@k, recall@k and success@k, such as ndcg@10")
    if not (depth.isascii() and depth.isdigit() and int(depth)):
        raise InputError(f"measure {name!r}: {family} needs a cutoff from 1, such as {family}@10")
    cutoff = int(depth)
    if family == "ndcg":
        return lambda ranks, grades=None: ndcg(ranks, cutoff, grades)
    function = {"mrr": reciprocal_rank, "recall": recall, "success": success}[family]
    return lambda ranks, grades=None: function(ranks, cutoff)


MEASURES: dict[str, Measure] = {
    name: measure(name)
    for name in ("map", "mrr@10", "ndcg@10", "recall@1", "recall@10", "recall@100", "ndcg@20", "recall@20")
}
"""The measures of every evaluation, by the names that results carry."""


def in_order(ranks: IntArray) -> tuple[IntArray, BoolArray]:
    """Ranks rising along each row with the empty places last, and which places are taken."""
    ordered = np.sort(np.where(ranks > 0, ranks, np.iinfo(np.int64).max), axis=1)
    return ordered, np.arange(ranks.shape[1]) < (ranks > 0).sum(1)[:, None]
