"""How much a ranking goes by language: pure measures over pooled ranks.

All take the pooled setting: one query against the passages of every language at once. Ranks are `(queries, relevant)`,
from 1, with 0 where there is no passage; each function returns one value per query, and nan where a query has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoglot.common.arrays import BoolArray, IntArray, Values, ratio
from isoglot.evaluation.measures import best_rank, worst_rank


def rank_distance(ranks: IntArray) -> Values:
    """Worst minus best rank among a query's parallel relevant passages (arXiv 2408.10536, section 4).

    The floor is the number of relevant passages minus 1; there is no ceiling but the pool's size, so distances
    compare only over one pool. Queries with fewer than two relevant passages have none and give nan.

    >>> rank_distance(np.array([[1, 40, 7], [3, 0, 0]])).tolist()
    [39.0, nan]
    """
    return np.where((ranks > 0).sum(1) > 1, worst_rank(ranks) - best_rank(ranks), np.nan).astype(np.float64)


def max_rank_norm(ranks: IntArray, pool_size: int | IntArray) -> Values:
    """Worst rank among the parallel relevant passages as a share of what it could be, 0 (fair and right) to 1.

    The worst rank is Max@R of arXiv 2604.05684; the scale, which does not depend on the pool, is isoglot's own:
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

    Neither high nor low is good: compare it with its `fair_share`. From the language of each query and the languages
    `(queries, k)` of its first k passages, best first, -1 where a ranking ends: where it has fewer than the cutoff, all
    of them count; nan where it has none.

    >>> same_language_share(np.array([0, 1]), np.array([[0, 0, 1, 0], [0, 1, 0, -1]]), 4).round(4).tolist()
    [0.75, 0.3333]
    """
    top = top_language[:, :cutoff]
    return ratio((top == query_language[:, None]).sum(1), (top >= 0).sum(1))


def fair_share(
    found: IntArray, shown: IntArray, relevant: IntArray, relevant_same: IntArray, pool: IntArray, pool_same: IntArray
) -> Values:
    """The `same_language_share` to expect of a ranking that finds as much but is blind to language.

    A ranking whose first k places hold h right and k - h wrong passages is blind to language if it could as well hold
    any other h of the R right ones and any other k - h of the P - R wrong ones of the pool. With r of the right
    passages and l of the whole pool in the query's language the share to expect is

    `(h r / R + (k - h) (l - r) / (P - R)) / k`.

    So it is met by a ranking at random, by one that goes by meaning alone and by all between, however unevenly the
    languages are spread over pool and answers. Where each of m languages has one answer and as many passages as the
    others, it is 1/m at every k and for every h. The definition is isoglot's own.

    All arguments are `(queries,)`: h found among the k shown (fewer where the ranking is shorter), R relevant and r of
    them in the query's language, and the pool P and l, without what is left out of a query's ranking. Range 0 to 1;
    nan where nothing is shown.

    With 10 passages, 4 of them in the query's language, and 2 right answers, 1 of them in it, a right one in the first
    4 places is expected to be in it at 1/2, each of the other three at 3/8:

    >>> fair_share(*(np.array([n]) for n in (1, 4, 2, 1, 10, 4))).tolist()  # (.5 + 3 * .375) / 4
    [0.40625]
    """
    right = found * relevant_same / np.maximum(relevant, 1)
    wrong = (shown - found) * (pool_same - relevant_same) / np.maximum(pool - relevant, 1)
    return ratio(right + wrong, shown)


@dataclass(frozen=True)
class Leaning:
    """Which way rankings lean by the query's language, and how far.

    The distance is that from the fair share, as a part of what is possible on that side: 0, fair, to 1. The direction
    is `towards` the query's language, `away` from it, `mixed` where some languages lean this way and some that, or
    `neither`.
    """

    distance: float
    direction: str

    @property
    def word(self) -> str:
        """`fair` under a tenth, `mildly biased` under a third, `strongly` under two thirds, `severely biased`."""
        levels = ((0.1, "fair"), (1 / 3, "mildly biased"), (2 / 3, "strongly biased"))
        return next((word for limit, word in levels if self.distance < limit), "severely biased")

    def __str__(self) -> str:
        """Word and direction: `severely biased away from the query's language`."""
        way = {
            "towards": "towards the query's language",
            "away": "away from the query's language",
            "mixed": "towards the query's language in some languages and away from it in others",
        }
        return f"{self.word} {way[self.direction]}" if self.word != "fair" else "fair, leaning neither way"


def leans(share: npt.ArrayLike, fair: npt.ArrayLike, queries: npt.ArrayLike) -> Values:
    """How far same-language shares at 1 lie from the fair share, as a part of what is possible on that side.

    `(share - fair) / (1 - fair)` above the fair share, `(share - fair) / fair` below it: 1 where a passage in the
    query's language is always first, -1 where it never is. 0 within two standard errors of the fair share, the error
    being that of as many draws with the fair share as chance.

    >>> leans([0.6, 0.1, 0.3], 0.2, 100).round(4).tolist()  # .4 / .8, -.1 / .2 and .1 / .8 for a hundred queries
    [0.5, -0.5, 0.125]
    >>> leans(0.3, 0.2, 20).tolist()  # for twenty .1 is within chance, 2 sqrt(.16 / 20) = .18
    0.0
    """
    given, expected = np.asarray(share, np.float64), np.asarray(fair, np.float64)
    distance = given - expected
    chance = 2 * np.sqrt(expected * (1 - expected) / np.maximum(queries, 1))
    possible = np.where(distance > 0, 1 - expected, expected)
    shown = (np.abs(distance) > chance) & (possible > 0)
    return np.where(shown, distance / np.where(possible > 0, possible, 1), 0.0)


def leaning(share: npt.ArrayLike, fair: npt.ArrayLike, queries: npt.ArrayLike) -> Leaning:
    """Which way, and how far, a system leans over all query languages, from its `same_language_share` at 1.

    All are `(languages,)`: the mean share and fair share of the queries in each language, and how many they are. The
    distance is that of the mean share or the mean distance of the languages, whichever is larger: leanings of several
    languages that cancel out are no fairness, as of a model that puts English first whatever is asked.

    >>> print(leaning([0.9, 1.0], [0.5, 0.5], [50, 50]), "|", leaning([0.0, 0.0], [0.5, 0.5], [50, 50]))
    severely biased towards the query's language | severely biased away from the query's language
    >>> leaning([1.0, 0.0], [0.5, 0.5], [50, 50])
    Leaning(distance=1.0, direction='mixed')
    """
    whole = float(leans(np.asarray(share).mean(), np.asarray(fair).mean(), np.asarray(queries).sum()))
    apart = float(np.abs(leans(share, fair, queries)).mean())
    if max(abs(whole), apart) == 0:
        return Leaning(0.0, "neither")
    if abs(whole) < apart / 2:
        return Leaning(apart, "mixed")
    return Leaning(max(abs(whole), apart), "towards" if whole > 0 else "away")


def other_language_recall(ranks: IntArray, same_language: BoolArray, cutoff: int) -> Values:
    """Share of the relevant passages in other languages than the query's that are among the first `cutoff`.

    What language bias costs a reader: the answers that a pooled search should bring and a monolingual one cannot. It is
    target-languages recall, TLR@k, of SHIFT (arXiv 2606.18801, section 4.3). A query without relevant passages in other
    languages gives nan. With more than k of them it cannot reach 1, and an answer in the query's own language takes a
    place too. `same_language` says of each rank whether the passage is in the query's language.

    >>> other_language_recall(np.array([[1, 2, 30], [4, 0, 0]]), np.array([[1, 0, 0], [1, 0, 0]], bool), 10).tolist()
    [0.5, nan]
    """
    other = (ranks > 0) & ~same_language
    return ratio((other & (ranks <= cutoff)).sum(1), other.sum(1))
