"""Language bias against slow references, and on rankings whose bias is known."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.evaluation.language_bias import (
    fair_share,
    fair_share_at,
    max_rank,
    max_rank_norm,
    other_language_recall,
    peer,
    rank_biased_overlap,
    rank_distance,
    ranking_agreement,
    ranking_overlap,
    same_language_share,
)


@given(st.sets(st.integers(1, 500), min_size=2, max_size=11))
def test_rank_distance_has_its_floor_and_max_rank_norm_its_range(ranks: set[int]) -> None:
    table = np.array([list(ranks)])
    assert rank_distance(table)[0] >= len(ranks) - 1
    assert rank_distance(table)[0] == max_rank(table)[0] - min(ranks)
    assert 0 <= max_rank_norm(table, 500)[0] <= 1


def test_the_floor_is_reached_by_a_ranking_blind_to_language() -> None:
    table = np.arange(1, 12)[None]
    assert rank_distance(table)[0] == 10
    assert max_rank(table)[0] == 11
    assert max_rank_norm(table, 10_000)[0] == 0


def test_a_query_with_one_relevant_passage_has_no_distance() -> None:
    assert np.isnan(rank_distance(np.array([[4, 0]]))).all()
    assert np.isnan(max_rank_norm(np.array([[0, 0]]), 10)).all()


def test_max_rank_norm_is_1_when_the_last_of_the_pool_is_relevant() -> None:
    assert max_rank_norm(np.array([[1, 2, 90]]), 90)[0] == pytest.approx(1)


def test_a_blind_ranking_has_the_fair_share_of_the_query_language_first() -> None:
    rng = np.random.default_rng(0)
    top = rng.integers(8, size=(20_000, 10))
    query = rng.integers(8, size=20_000)
    fair = fair_share(np.full(20_000, 8)).mean()
    assert same_language_share(query, top, 1).mean() == pytest.approx(fair, abs=0.01)
    assert same_language_share(query, top, 10).mean() == pytest.approx(fair, abs=0.01)


def test_a_pool_smaller_than_the_cutoff() -> None:
    assert same_language_share(np.array([1]), np.array([[1, 0]]), 10).tolist() == [0.5]
    same_in_pool = fair_share_at(10, np.array([1]), np.array([1]), 2, np.array([1]))
    assert same_in_pool.tolist() == [0.5]


@given(st.integers(1, 8), st.data())
def test_the_fair_share_at_a_cutoff_is_the_mean_over_all_blind_rankings(cutoff: int, data: st.DataObject) -> None:
    relevant = data.draw(st.lists(st.booleans(), min_size=0, max_size=3))
    others = data.draw(st.lists(st.booleans(), min_size=1, max_size=3))
    shares = [np.mean((first + then)[:cutoff]) for first in permutations(relevant) for then in permutations(others)]
    counts = np.array([len(relevant)]), np.array([sum(relevant)])
    share = fair_share_at(cutoff, *counts, len(relevant + others), np.array([sum(relevant) + sum(others)]))
    assert share[0] == pytest.approx(np.mean(shares))


def test_the_two_fair_shares_agree_where_each_language_has_one_answer() -> None:
    count = np.arange(1, 12)
    share = fair_share_at(1, count, np.ones(11, int), 500, np.full(11, 50))
    assert share == pytest.approx(fair_share(count))


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=8), st.integers(1, 30))
def test_recall_of_other_languages_counts_them_alone(pairs: list[tuple[int, bool]], cutoff: int) -> None:
    ranks, same = np.array([[rank for rank, _ in pairs]]), np.array([[own for _, own in pairs]])
    others = [rank for rank, own in pairs if rank and not own]
    expected = np.mean([rank <= cutoff for rank in others]) if others else np.nan
    assert other_language_recall(ranks, same, cutoff)[0] == pytest.approx(expected, nan_ok=True)


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
    agreement, overlap = ranking_agreement(top, example), ranking_overlap(top, example)
    for number in np.unique(example):
        mine = np.flatnonzero(example == number)
        pairs = list(combinations(mine, 2))
        if not pairs:
            assert np.isnan(agreement[mine]).all()
            continue
        expected = np.mean([slow_overlap(top[a].tolist(), top[b].tolist(), 0.9) for a, b in pairs])
        assert agreement[mine].mean() == pytest.approx(expected)
        shared = [len((set(top[a]) & set(top[b])) - {-1}) / 5 for a, b in pairs]
        assert overlap[mine].mean() == pytest.approx(np.mean(shared))


@pytest.mark.parametrize("persistence", [0, 1, -0.5, 2])
def test_a_persistence_out_of_range_is_refused(persistence: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        rank_biased_overlap(np.array([[1]]), np.array([[1]]), persistence)


@given(st.integers(0, 10_000), st.sampled_from([None, 5, 40]))
def test_peer_is_the_kruskal_wallis_test_of_scipy(seed: int, cutoff: int | None) -> None:
    from scipy.stats import kruskal

    rng = np.random.default_rng(seed)
    ranks = np.stack([rng.permutation(np.arange(1, 80))[:9] for _ in range(6)])
    language = rng.integers(0, 3, ranks.shape)
    ranks[:, 7:] *= rng.integers(0, 2, (6, 2))
    values = peer(ranks, language, cutoff)
    for row, numbers, value in zip(ranks, language, values, strict=True):
        cut = np.minimum(row, cutoff + 1) if cutoff else row
        groups = [cut[(numbers == n) & (row > 0)] for n in np.unique(numbers[row > 0])]
        if len(groups) < 2:
            assert np.isnan(value)
        elif len(np.unique(cut[row > 0])) == 1:
            assert value == 1
        else:
            assert value == pytest.approx(kruskal(*groups).pvalue)


def test_peer_is_low_where_one_language_stands_first_and_uniform_where_language_makes_no_difference() -> None:
    rng = np.random.default_rng(0)
    language = np.repeat([0, 1], 10)[None].repeat(2000, 0)
    assert peer(np.arange(1, 21)[None], language[:1])[0] < 1e-3
    blind = peer(np.stack([rng.permutation(20) + 1 for _ in range(2000)]), language)
    assert np.quantile(blind, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.04)


@given(st.integers(0, 10_000), st.sampled_from([None, 20]))
def test_peer_is_refused_where_it_would_say_the_same_of_every_ranking(seed: int, cutoff: int | None) -> None:
    from scipy.stats import chi2, kruskal

    rng = np.random.default_rng(seed)
    ranks = np.concatenate([[1], 2 + rng.permutation(50)[:10]])  # the first stands within any cutoff
    with pytest.raises(InputError, match="two relevant passages in one language"):
        peer(ranks[None], np.arange(11)[None], cutoff)
    cut = np.minimum(ranks, cutoff + 1) if cutoff else ranks
    assert kruskal(*cut[:, None]).pvalue == pytest.approx(chi2.sf(10, 10))


def test_a_query_with_one_passage_per_language_has_no_peer_among_others_that_have() -> None:
    ranks, language = np.array([[1, 2, 3], [1, 2, 3]]), np.array([[0, 1, 2], [0, 0, 1]])
    values = peer(ranks, language)
    assert np.isnan(values).tolist() == [True, False]
