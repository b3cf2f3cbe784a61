"""How alike translations of a question are answered: agreement of their pooled rankings, without any judgements.

A retriever that goes by meaning gives every translation of a question the same ranking of the same pool. None of these
can tell a good ranking from a bad one: a constant ranking agrees with itself. Each function returns one value per
query, the mean over its translations, and nan for a query without any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from isoglot.common.arrays import BoolArray, FloatArray, IntArray, Values, place_in_group, ratio
from isoglot.common.errors import InputError

Scores = Callable[[IntArray, IntArray], FloatArray]
"""From numbers of queries `(n,)` and of passages `(m,)` to their scores `(n, m)`."""


def rank_biased_overlap(first: IntArray, second: IntArray, persistence: float = 0.9) -> Values:
    """Agreement of two rankings by rank-biased overlap, extrapolated: 0 with nothing in common, 1 where they are equal.

    `RBO = X_k / k p^k + (1 - p) / p sum_d X_d / d p^d` with X_d the number of passages that the first d places of
    both hold (Webber, Moffat and Zobel, TOIS 2010, equation 30). A reader goes on from a place to the next with
    chance p, the persistence: with 0.9 the first ten places carry 86 % of the weight. Beyond the k places the
    agreement is taken to stay what it is at k. Rankings `(rankings, k)` are compared row by row: passage numbers, best
    first, none twice; -1 where a ranking ends, which matches nothing.

    >>> rank_biased_overlap(np.array([[5, 8]]), np.array([[8, 5]])).round(4).tolist()  # X is 0, 2: .81 + .1/.9 * .81
    [0.9]
    """
    if not 0 < persistence < 1:
        raise InputError(f"persistence {persistence}: it must lie between 0 and 1, such as 0.9")
    depth = np.arange(1, first.shape[1] + 1)
    agreement = _common(first, second).cumsum(1) / depth
    weighted = (1 - persistence) / persistence * (agreement * persistence**depth).sum(1)
    return np.asarray(agreement[:, -1] * persistence ** depth[-1] + weighted, np.float64)


def ranking_agreement(top: IntArray, example: IntArray, persistence: float = 0.9) -> Values:
    """How alike the pooled rankings of a question's translations are: mean `rank_biased_overlap` with the others.

    `top` `(queries, k)` holds the first k passages of the pool, best first, -1 where there is none; queries of one
    example `(queries,)` are translations. Their mean is the mean over the example's pairs of languages.

    >>> ranking_agreement(np.array([[5, 8], [8, 5], [1, 2]]), np.array([0, 0, 1])).round(4).tolist()
    [0.9, 0.9, nan]
    """
    return _with_translations(example, lambda a, b: rank_biased_overlap(top[a], top[b], persistence))


def _common(first: IntArray, second: IntArray) -> IntArray:
    """`(rankings, k)`; how many passages both rankings hold that the later of the two has at this place."""
    rankings, depth = first.shape
    both = np.concatenate([first, second], 1)
    order = np.argsort(both, axis=1, kind="stable")
    both = np.take_along_axis(both, order, 1)
    row, column = np.nonzero((both[:, 1:] == both[:, :-1]) & (both[:, 1:] >= 0))
    place = np.maximum(order[row, column] % depth, order[row, column + 1] % depth)
    return np.bincount(row * depth + place, minlength=rankings * depth).reshape(rankings, depth)


def mean_rank_correlation(top: IntArray, example: IntArray, scores: Scores, cutoffs: Sequence[int]) -> list[Values]:
    """Mean rank correlation, MRC@k: how alike two translations of a question score what either of them finds.

    Spearman's correlation of the scores that both give to the union of their first k passages, mean over the other
    translations of the question (Yang et al., MRL 2024, arXiv 2509.06195; as MIMO, arXiv 2605.31171, computes it, who
    give it times 100). Range -1 to 1, higher is better. A pair of which one scores all alike is left out.

    `top` and `example` are those of `ranking_agreement`; the values are taken at each cutoff. Any scores that order
    alike will do; a passage of which one of two queries has no score, nan, does not count between them.

    >>> table = np.array([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0]])  # of two queries and the three passages that either finds
    >>> of = lambda queries, passages: table[np.ix_(queries, passages)]
    >>> mean_rank_correlation(np.array([[0, 1], [1, 2]]), np.array([0, 0]), of, [2])[0].tolist()
    [-0.5, -0.5]
    """
    depth = min(max(cutoffs), top.shape[1])
    place = place_in_group(example)  # of a query among the translations of its question
    given = np.zeros((len(example), place.max(initial=-1) + 1, depth), np.float32)
    order = np.argsort(example, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(example[order])) + 1):
        # Each scores what any of them finds, in one product.
        given[mine, : len(mine)] = scores(mine, top[mine, :depth].ravel()).reshape(len(mine), len(mine), depth)

    def correlation(one: IntArray, other: IntArray, cutoff: int) -> Values:
        first, second = top[one, :cutoff], top[other, :cutoff]
        union = np.concatenate([first >= 0, (second >= 0) & ~(second[:, :, None] == first[:, None]).any(2)], 1)
        a, b = (np.concatenate([given[n, place[m], :cutoff] for m in (one, other)], 1) for n in (one, other))
        return _spearman(a, b, union & ~np.isnan(a) & ~np.isnan(b))

    return [_with_translations(example, partial(correlation, cutoff=cutoff)) for cutoff in cutoffs]


def _spearman(first: FloatArray, second: FloatArray, present: BoolArray) -> Values:
    """Spearman's correlation row by row over the columns that are present; nan where one side is constant."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    count, centred = present.sum(1), []
    for values in (first, second):
        ranks = rankdata(np.where(present, values, np.inf), axis=1)
        centred.append(np.where(present, ranks - ((count + 1) / 2)[:, None], 0.0))
    x, y = centred
    return ratio((x * y).sum(1), np.sqrt((x**2).sum(1) * (y**2).sum(1)))


def _with_translations(example: IntArray, agree: Callable[[IntArray, IntArray], Values]) -> Values:
    """Mean, per query, of its agreement with the other queries of its example, where there is one."""
    order = np.argsort(example, kind="stable")
    total, count = np.zeros(len(example)), np.zeros(len(example))
    for step in range(1, int(np.unique(example, return_counts=True)[1].max(initial=1))):
        one, other = order[:-step], order[step:]
        pair = example[one] == example[other]
        one, other = one[pair], other[pair]
        value = agree(one, other)
        for query in (one, other):  # in each a query stands once at most
            total[query] += np.nan_to_num(value)
            count[query] += ~np.isnan(value)
    return ratio(total, count)
