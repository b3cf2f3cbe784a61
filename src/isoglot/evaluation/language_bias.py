"""How much a ranking goes by language: pure measures over pooled ranks.

All take the pooled setting: one query against the passages of every language at once. Ranks are `(queries, relevant)`,
from 1, with 0 where there is no passage; each function returns one value per query, and nan where a query has none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from isoglot.common.errors import InputError
from isoglot.evaluation.measures import Ranks, Values, best_rank, worst_rank

IntArray = npt.NDArray[np.int64]


def rank_distance(ranks: Ranks) -> Values:
    """Worst minus best rank among a query's parallel relevant passages (arXiv 2408.10536, section 4).

    The floor is the number of relevant passages minus 1; there is no ceiling but the pool's size, so distances
    compare only over one pool. Queries with fewer than two relevant passages have none and give nan.

    Args:
        ranks: `(queries, relevant)`; pooled ranks from 1, 0 where there is no passage.

    >>> rank_distance(np.array([[1, 40, 7], [3, 0, 0]])).tolist()
    [39.0, nan]
    """
    return np.where((ranks > 0).sum(1) > 1, worst_rank(ranks) - best_rank(ranks), np.nan).astype(np.float64)


def max_rank(ranks: Ranks) -> Values:
    """Worst rank among the parallel relevant passages: Max@R of arXiv 2604.05684.

    How far a reader must go to see the answer in every language. From the number R of relevant passages, when they
    all stand first, to the size of the pool; lower is better.

    >>> max_rank(np.array([[1, 40, 7], [0, 0, 0]])).tolist()
    [40.0, nan]
    """
    return np.where((ranks > 0).any(1), worst_rank(ranks), np.nan)


def max_rank_norm(ranks: Ranks, pool_size: int) -> Values:
    """Worst rank among the parallel relevant passages as a share of what it could be, 0 (fair and right) to 1.

    The worst rank is `max_rank`. Here it is put on a scale of isoglot's own, which does not depend on the pool:
    `log(worst / R) / log(pool_size / R)` for R relevant passages, 0 when all R stand first, 1 when one is last.

    >>> max_rank_norm(np.array([[1, 2], [1, 200]]), 200).tolist()
    [0.0, 1.0]
    """
    relevant = (ranks > 0).sum(1)
    worst = np.maximum(worst_rank(ranks), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = np.log(worst / relevant) / np.log(pool_size / relevant)
    return np.where((relevant > 0) & (pool_size > relevant), norm, np.nan).astype(np.float64)


def same_language_share(query_language: IntArray, top_language: IntArray, cutoff: int) -> Values:
    """Share of a query's first `cutoff` pooled passages that are in the query's language (LAReQA, arXiv 2004.05484).

    Compare it with what a ranking blind to language would give: `fair_share` at 1, `fair_share_at` at any cutoff.

    Args:
        query_language: `(queries,)`; language numbers.
        top_language: `(queries, k)`; languages of the first k passages, best first; k >= cutoff unless the pool
            is smaller.
        cutoff: how many passages to look at.

    >>> same_language_share(np.array([0, 1]), np.array([[0, 0, 1, 0], [0, 1, 0, 0]]), 4).tolist()
    [0.75, 0.25]
    """
    same = top_language[:, :cutoff] == query_language[:, None]
    return same.mean(1) if same.shape[1] else np.zeros(len(same))


def fair_share(relevant_languages: IntArray) -> Values:
    """The same-language share at 1 that a ranking blind to language would give each query.

    Where the right answer stands in m languages and the query's is one of them, each is first with chance 1/m.

    Args:
        relevant_languages: `(queries,)`; in how many languages each query has a relevant passage.

    >>> fair_share(np.array([8, 1])).tolist()
    [0.125, 1.0]
    """
    return 1.0 / np.maximum(relevant_languages, 1)


def fair_share_at(
    cutoff: int, relevant: IntArray, relevant_same: IntArray, pool_size: int, pool_same: IntArray
) -> Values:
    """The same-language share at a cutoff that the best ranking blind to language would be expected to give.

    Such a ranking has the R relevant passages first and then the others, each in an order that has nothing to do with
    language. With r of the R relevant ones and l of the P passages of the pool in the query's language, the first k
    places are expected to hold `min(k, R) r / R + max(k - R, 0) (l - r) / (P - R)` passages in that language; that is
    divided by k, or by P where the pool is smaller. Exact, without sampling.

    Unlike `fair_share` it is 0 up to k = R for a query that has no answer in its own language; where each language
    has one answer the two agree at 1.

    Args:
        cutoff: k, from 1.
        relevant: `(queries,)`; R, relevant passages of each query.
        relevant_same: `(queries,)`; those in the query's language.
        pool_size: P, passages of all languages.
        pool_same: `(queries,)`; passages in the query's language.

    Returns:
        `(queries,)`, 0 to 1.

    Example:
        Two languages, one answer in each, 10 passages of which 4 are in the query's language: of the first 4, one of
        the 2 answers and 2 * 3/8 of the others.

        >>> fair_share_at(4, np.array([2]), np.array([1]), 10, np.array([4])).tolist()
        [0.4375]
    """
    depth = min(cutoff, pool_size)
    answers, others = np.minimum(depth, relevant), np.maximum(depth - relevant, 0)
    expected = answers * relevant_same / np.maximum(relevant, 1)
    expected = expected + others * (pool_same - relevant_same) / np.maximum(pool_size - relevant, 1)
    return np.asarray(expected / max(depth, 1), np.float64)


def other_language_recall(ranks: Ranks, same_language: npt.NDArray[np.bool_], cutoff: int) -> Values:
    """Share of the relevant passages in other languages than the query's that are among the first `cutoff`.

    What language bias costs a reader: the answers that a pooled search should bring and a monolingual one cannot. A
    query without relevant passages in other languages gives nan. With more than k of them it cannot reach 1, and an
    answer in the query's own language takes a place too.

    Args:
        ranks: `(queries, relevant)`.
        same_language: `(queries, relevant)`; whether the passage is in the query's language.
        cutoff: how deep to look.

    >>> other_language_recall(np.array([[1, 2, 30], [4, 0, 0]]), np.array([[1, 0, 0], [1, 0, 0]], bool), 10).tolist()
    [0.5, nan]
    """
    other = (ranks > 0) & ~same_language
    with np.errstate(invalid="ignore"):
        return np.asarray((other & (ranks <= cutoff)).sum(1) / other.sum(1), np.float64)


def rank_biased_overlap(first: IntArray, second: IntArray, persistence: float = 0.9) -> Values:
    """Agreement of two rankings by rank-biased overlap, extrapolated: 0 with nothing in common, 1 where they are equal.

    `RBO = X_k / k p^k + (1 - p) / p sum_d X_d / d p^d` with X_d the number of passages that the first d places of
    both hold (Webber, Moffat and Zobel, TOIS 2010, equation 30). A reader goes on from a place to the next with
    chance p, the persistence: with 0.9 the first ten places carry 86 % of the weight. Beyond the k places the
    agreement is taken to stay what it is at k.

    Args:
        first: `(rankings, k)`; passage numbers, best first, none twice; -1 where a ranking ends, which matches
            nothing.
        second: `(rankings, k)`; the rankings to compare with, row by row.
        persistence: p, between 0 and 1.

    Example:
        Two places, swapped: X is 0, then 2.

        >>> rank_biased_overlap(np.array([[5, 8]]), np.array([[8, 5]])).round(4).tolist()  # .81 + .1/.9 * .81
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

    A retriever that goes by meaning gives every translation of a question the same ranking of the same pool. Needs
    no judgements. The mean over the queries of an example is the mean over its pairs of languages. A query without
    another of its example gives nan. It cannot tell a good ranking from a bad one: a constant ranking agrees with
    itself.

    Args:
        top: `(queries, k)`; the first k passages of the pool, best first, -1 where there is none.
        example: `(queries,)`; numbers that translations of a question share.
        persistence: of `rank_biased_overlap`.

    >>> ranking_agreement(np.array([[5, 8], [8, 5], [1, 2]]), np.array([0, 0, 1])).round(4).tolist()
    [0.9, 0.9, nan]
    """
    return _with_translations(top, example, lambda a, b: rank_biased_overlap(a, b, persistence))


def ranking_overlap(top: IntArray, example: IntArray) -> Values:
    """Share of its first k passages that a query has in common with a translation's, mean over its translations.

    `ranking_agreement` without regard to the order among the k; the same arguments, range 0 to 1.

    >>> ranking_overlap(np.array([[5, 8], [8, 7], [1, 2]]), np.array([0, 0, 1])).tolist()
    [0.5, 0.5, nan]
    """
    return _with_translations(top, example, lambda a, b: _common(a, b).sum(1) / max(a.shape[1], 1))


def _common(first: IntArray, second: IntArray) -> IntArray:
    """`(rankings, k)`; how many passages both rankings hold that the later of the two has at this place."""
    rankings, depth = first.shape
    both = np.concatenate([first, second], 1)
    order = np.argsort(both, axis=1, kind="stable")
    both = np.take_along_axis(both, order, 1)
    row, column = np.nonzero((both[:, 1:] == both[:, :-1]) & (both[:, 1:] >= 0))
    place = np.maximum(order[row, column] % depth, order[row, column + 1] % depth)
    return np.bincount(row * depth + place, minlength=rankings * depth).reshape(rankings, depth)


def _with_translations(top: IntArray, example: IntArray, agree: Callable[[IntArray, IntArray], Values]) -> Values:
    """Mean, per query, of its ranking's agreement with those of the other queries of its example."""
    order = np.argsort(example, kind="stable")
    total, count = np.zeros(len(top)), np.zeros(len(top))
    for step in range(1, int(np.unique(example, return_counts=True)[1].max(initial=1))):
        one, other = order[:-step], order[step:]
        pair = example[one] == example[other]
        one, other = one[pair], other[pair]
        value = agree(top[one], top[other])
        for query in (one, other):  # in each a query stands once at most
            total[query] += value
            count[query] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def peer(ranks: Ranks, passage_language: IntArray, cutoff: int | None = None) -> Values:
    """PEER, probability of equal expected rank: whether a query's relevant passages stand alike in every language.

    The p-value of a Kruskal-Wallis test of the relevant passages' ranks, grouped by language (arXiv 2405.00978): near 0
    where some language's stand before another's, spread evenly over 0 to 1 where language makes no difference. So
    even a fair system averages 0.5, and few relevant passages cannot bring it near 0.

    `H = (n - 1) sum_l n_l (m_l - m)^2 / sum_i (x_i - m)^2` with x the ranks of the n relevant passages among each
    other, m their mean and m_l that of language l; p is the upper tail of the chi-squared distribution with one
    degree of freedom less than there are languages. Passages beyond the cutoff tie behind the others; where all tie
    p is 1. Deviations: the authors' programme puts ranks in the whole list into H and gives 1 where all relevant
    passages are in one language; here H is the textbook's, and such a query gives nan.

    Args:
        ranks: `(queries, relevant)`; pooled ranks from 1, 0 where there is no passage.
        passage_language: `(queries, relevant)`; language numbers of those passages.
        cutoff: how deep to look; to the end where None.

    Returns:
        `(queries,)`; nan for a query whose relevant passages are in one language, or one in each.

    Raises:
        InputError: if no query has two relevant passages in a language. Then H is n - 1 whatever the ranks, with or
            without a cutoff, and PEER says nothing: parallel benchmarks with one answer per language are such.

    Example:
        >>> ranks, language = np.array([[1, 2, 3, 4], [1, 4, 2, 3]]), np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
        >>> peer(ranks, language).round(4).tolist()
        [0.1213, 1.0]
    """
    from scipy.stats import chi2, rankdata  # type: ignore[import-untyped]

    present = ranks > 0
    languages = int(passage_language.max(initial=0)) + 1
    row, _ = np.nonzero(present)
    cell = row * languages + passage_language[present]
    sizes = np.bincount(cell, minlength=len(ranks) * languages).reshape(len(ranks), languages)
    groups, total = (sizes > 0).sum(1), sizes.sum(1)
    telling = (groups > 1) & (groups < total)
    if (groups == total).all():
        raise InputError(
            "PEER needs queries with two relevant passages in one language: with one per language it is the same for "
            "every ranking; use rank_distance or ranking_agreement"
        )
    last = np.iinfo(np.int64).max
    cut = np.where(present, np.minimum(ranks, last - 1 if cutoff is None else cutoff + 1), last)
    among = rankdata(cut, axis=1)
    centred = np.where(present, among - ((total + 1) / 2)[:, None], 0.0)
    sums = np.bincount(cell, centred[present], len(ranks) * languages).reshape(len(ranks), languages)
    between, spread = (sums**2 / np.maximum(sizes, 1)).sum(1), (centred**2).sum(1)
    statistic = (total - 1) * np.divide(between, spread, out=np.zeros(len(ranks)), where=spread > 0)
    return np.where(telling, chi2.sf(statistic, np.maximum(groups - 1, 1)), np.nan)
