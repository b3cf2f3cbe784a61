"""Language bias against slow references, and on rankings whose bias is known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.evaluation.language_bias import (
    fair_share,
    leaning,
    max_rank_norm,
    other_language_recall,
    rank_distance,
    same_language_share,
)


@given(st.sets(st.integers(1, 500), min_size=2, max_size=11))
def test_rank_distance_has_its_floor_and_max_rank_norm_its_range(ranks: set[int]) -> None:
    table = np.array([list(ranks)])
    assert rank_distance(table)[0] >= len(ranks) - 1
    assert rank_distance(table)[0] == max(ranks) - min(ranks)
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


def bias_of(top: np.ndarray, right: np.ndarray, own: np.ndarray, cutoff: int) -> np.ndarray:
    """Share minus fair share, `(queries,)`, of whole rankings of passages that are right, or own: in its language."""
    held = np.where(own[top], 0, 1)
    share = same_language_share(np.zeros(len(top), int), held, cutoff)
    found, shown = right[top][:, :cutoff].sum(1), np.full(len(top), min(cutoff, top.shape[1]))
    counts = (np.full(len(top), n) for n in (right.sum(), (right & own).sum(), len(right), own.sum()))
    return share - fair_share(found, shown, *counts)


@pytest.mark.parametrize("meaning", [0.0, 1.0, 100.0])  # at random; some; right answers in random order first
@pytest.mark.parametrize(("right_own", "right_other", "own", "other"), [(1, 2, 9, 18), (3, 1, 4, 40), (0, 2, 20, 5)])
@pytest.mark.parametrize("cutoff", [1, 3, 10])
def test_every_ranking_blind_to_language_has_its_fair_share(
    meaning: float, right_own: int, right_other: int, own: int, other: int, cutoff: int
) -> None:
    """However uneven the languages: more passages of one than of another, more right answers in one, or none."""
    rng = np.random.default_rng(0)
    is_right = np.repeat([True, True, False, False], [right_own, right_other, own, other])
    is_own = np.repeat([True, False, True, False], [right_own, right_other, own, other])
    scores = rng.normal(size=(20_000, len(is_right))) + meaning * is_right
    bias = bias_of(np.argsort(-scores, 1), is_right, is_own, cutoff)
    assert bias.mean() == pytest.approx(0, abs=4 * bias.std() / len(bias) ** 0.5 + 1e-9)
    for sign in (1, -1):
        leant = bias_of(np.argsort(-scores - sign * is_own, 1), is_right, is_own, cutoff)
        relevant = right_own + right_other  # of which none, or all, fill the first places where meaning is everything
        if meaning < 100 or cutoff > relevant or (cutoff < relevant and right_own):
            assert sign * leant.mean() > 0.001


@given(st.integers(1, 8), st.data())
def test_the_fair_share_is_the_mean_over_all_blind_rankings_that_find_as_much(cutoff: int, data: st.DataObject) -> None:
    right = data.draw(st.lists(st.booleans(), min_size=1, max_size=3))
    wrong = data.draw(st.lists(st.booleans(), min_size=1, max_size=3))
    shares: dict[int, list[float]] = {}
    for order in permutations(range(len(right + wrong))):
        first = order[:cutoff]
        share = float(np.mean([(right + wrong)[n] for n in first]))
        shares.setdefault(sum(n < len(right) for n in first), []).append(share)
    for found, expected in shares.items():
        shown = min(cutoff, len(right + wrong))
        counts = (found, shown, len(right), sum(right), len(right + wrong), sum(right + wrong))
        assert fair_share(*(np.array([n]) for n in counts))[0] == pytest.approx(np.mean(expected))


def test_a_short_ranking_has_the_share_of_what_it_shows() -> None:
    assert same_language_share(np.array([1]), np.array([[1, 0]]), 10).tolist() == [0.5]
    assert same_language_share(np.array([1]), np.array([[1, -1, -1]]), 10).tolist() == [1.0]
    assert np.isnan(same_language_share(np.array([1]), np.array([[-1, -1]]), 10)).all()
    assert np.isnan(fair_share(*(np.array([n]) for n in (0, 0, 1, 1, 5, 2)))).all()


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ([1 / 3] * 3, "fair, leaning neither way"),
        ([0.99] * 3, "severely biased towards the query's language"),
        ([0.01] * 3, "severely biased away from the query's language"),
        ([0.7] * 3, "strongly biased towards the query's language"),
        ([0.25] * 3, "mildly biased away from the query's language"),
        ([1, 0, 0], "severely biased towards the query's language in some languages and away from it in others"),
    ],
)
def test_a_leaning_has_two_sides_and_does_not_cancel_out(share: list[float], words: str) -> None:
    assert str(leaning(share, [1 / 3] * 3, [1000] * 3)) == words


@given(st.integers(0, 10_000))
def test_a_fair_system_is_rarely_said_to_lean_by_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = leaning(rng.binomial(30, 0.25, 4) / 30, [0.25] * 4, [30] * 4)
    assert found.word != "severely biased"
    assert leaning(rng.binomial(3000, 0.25, 4) / 3000, [0.25] * 4, [3000] * 4).word == "fair"


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=8), st.integers(1, 30))
def test_recall_of_other_languages_counts_them_alone(pairs: list[tuple[int, bool]], cutoff: int) -> None:
    ranks, same = np.array([[rank for rank, _ in pairs]]), np.array([[own for _, own in pairs]])
    others = [rank for rank, own in pairs if rank and not own]
    expected = np.mean([rank <= cutoff for rank in others]) if others else np.nan
    assert other_language_recall(ranks, same, cutoff)[0] == pytest.approx(expected, nan_ok=True)
