"""How much a ranking goes by language: pure measures over pooled ranks.

All take the pooled setting: one query against the passages of every language at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isoglot.measures import Ranks, Values, best_rank, worst_rank

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


def max_rank_norm(ranks: Ranks, pool_size: int) -> Values:
    """Worst rank among the parallel relevant passages as a share of what it could be, 0 (fair and right) to 1.

    The worst rank is Max@R of arXiv 2604.05684. Here it is put on a scale that does not depend on the pool:
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

    Compare it with `fair_share`: what a ranking blind to language would give.

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
