"""Agreement of translations' rankings against slow references and scipy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from isoglot.common.errors import InputError
from isoglot.evaluation.agreement import (
    mean_rank_correlation,
    rank_biased_overlap,
    ranking_agreement,
)


def slow_overlap(first: list[int], second: list[int], p: float) -> float:
    """Extrapolated rank-biased overlap as it is written down, one depth at a time."""
    k = len(first)
    shared = [len({x for x in first[:d] if x >= 0} & {x for x in second[:d] if x >= 0}) for d in range(1, k + 1)]
    tail = sum(x / d * p**d for d, x in enumerate(shared, 1))
    return shared[-1] / k * p**k + (1 - p) / p * tail


def random_tops(seed: int, rankings: int, depth: int, pool: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    top = np.stack([rng.permutation(pool)[:depth] for _ in range(rankings)])
    for row in top[rng.random(rankings) < 0.3]:
        row[rng.integers(0, depth) :] = -1
    return top


@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0.5, 0.9, 0.98]))
def test_overlap_is_that_of_a_slow_reference(seed: int, depth: int, p: float) -> None:
    top = random_tops(seed, 8, depth, depth + 5)
    values = rank_biased_overlap(top[:4], top[4:], p)
    expected = [slow_overlap(a, b, p) for a, b in zip(top[:4].tolist(), top[4:].tolist(), strict=True)]
    assert values == pytest.approx(expected)
    assert rank_biased_overlap(top[4:], top[:4], p) == pytest.approx(values)
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()


def test_equal_rankings_agree_fully_and_disjoint_ones_not_at_all() -> None:
    top = np.arange(40).reshape(2, 20)
    assert rank_biased_overlap(top, top) == pytest.approx([1, 1])
    assert rank_biased_overlap(top, top[::-1]).tolist() == [0, 0]


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_agreement_is_the_mean_over_pairs_of_translations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    top, example = random_tops(seed, 12, 5, 9), rng.integers(0, 5, 12)
    agreement = ranking_agreement(top, example)
    for number in np.unique(example):
        mine = np.flatnonzero(example == number)
        pairs = list(combinations(mine, 2))
        if not pairs:
            assert np.isnan(agreement[mine]).all()
            continue
        expected = np.mean([slow_overlap(top[a].tolist(), top[b].tolist(), 0.9) for a, b in pairs])
        assert agreement[mine].mean() == pytest.approx(expected)


@pytest.mark.parametrize("persistence", [0, 1, -0.5, 2])
def test_a_persistence_out_of_range_is_refused(persistence: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        rank_biased_overlap(np.array([[1]]), np.array([[1]]), persistence)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 8]), st.booleans())
def test_rank_correlation_is_spearman_s_over_the_union_of_both_tops(seed: int, cutoff: int, ties: bool) -> None:
    """As MIMO's programme computes it, one pair of translations at a time."""
    rng = np.random.default_rng(seed)
    example = np.array([0, 1, 0, 2, 1, 0, 1, 1])
    table = rng.normal(size=(8, 12)).round(0 if ties else 4)  # so that what single precision ties, ties here
    top = np.argsort(-table, axis=1, kind="stable")[:, :8]
    (values,) = mean_rank_correlation(top, example, lambda q, p: table[np.ix_(q, p)], [cutoff])
    for query in range(8):
        found = []
        for other in np.flatnonzero((example == example[query]) & (np.arange(8) != query)):
            union = sorted({*top[query, :cutoff].tolist(), *top[other, :cutoff].tolist()})
            sides = table[query, union], table[other, union]
            if all(len(set(side.tolist())) > 1 for side in sides):
                found.append(spearmanr(*sides).statistic)
        assert values[query] == pytest.approx(np.mean(found) if found else np.nan, nan_ok=True)


def test_equal_rankings_correlate_fully_and_a_run_s_end_is_no_passage() -> None:
    table = np.array([[3.0, 2, 1, 0], [6.0, 4, 2, 0], [0.0, 1, 2, 3]])
    of = lambda q, p: table[np.ix_(q, p)]  # noqa: E731
    top = np.array([[0, 1, 2], [0, 1, -1], [3, 2, 1]])
    (values,) = mean_rank_correlation(top, np.array([0, 0, 1]), of, [3])
    assert values.tolist()[:2] == [1, 1]
    assert np.isnan(values[2])
