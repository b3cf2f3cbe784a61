from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.language_bias import fair_share, max_rank_norm, rank_distance, same_language_share


@given(st.sets(st.integers(1, 500), min_size=2, max_size=11))
def test_rank_distance_has_its_floor_and_max_rank_norm_its_range(ranks: set[int]) -> None:
    table = np.array([list(ranks)])
    assert rank_distance(table)[0] >= len(ranks) - 1
    assert 0 <= max_rank_norm(table, 500)[0] <= 1


def test_the_floor_is_reached_by_a_ranking_blind_to_language() -> None:
    table = np.arange(1, 12)[None]
    assert rank_distance(table)[0] == 10
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
