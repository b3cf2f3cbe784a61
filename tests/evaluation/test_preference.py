"""Error and preference against slow references, and on rankings that have one and not the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.evaluation.preference import first_result, preference, semantic_error
from isoglot.evaluation.ranking import UNRANKED


def ranking(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pool of 12 in three languages, ranked for 6 queries; which passages are right, and their languages."""
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(12) for _ in range(6)])
    return order, rng.random((6, 12)) < rng.random(), rng.integers(0, 3, 12)


def table_of(order: np.ndarray, right: np.ndarray, language: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the right passages, padded with 0, and which are in language 0."""
    ranks, own = np.zeros((len(order), 12), int), np.zeros((len(order), 12), bool)
    for query in range(len(order)):
        chosen = np.flatnonzero(right[query])
        ranks[query, : len(chosen)] = np.argsort(order[query])[chosen] + 1
        own[query, : len(chosen)] = language[chosen] == 0
    return ranks, own


@given(st.integers(0, 10_000))
def test_errors_and_preferences_are_those_of_a_slow_count(seed: int) -> None:
    order, right, language = ranking(seed)
    ranks, own = table_of(order, right, language)
    asked = np.zeros(6, int)
    errors, first = semantic_error(ranks, asked, language[order]), first_result(ranks, asked, language[order])
    rates = preference(ranks, own)
    for query in range(6):
        said = [(bool(right[query, p]), bool(language[p] == 0)) for p in order[query]]  # right, own: from the first on
        rights = [n for n, (is_right, _) in enumerate(said) if is_right]
        wrongs = [n for n, (is_right, _) in enumerate(said) if not is_right]
        below = [n for n in rights if wrongs and wrongs[0] < n]
        expected = len(below) / len(rights) if rights else np.nan
        assert errors["semantic_error"][query] == pytest.approx(expected, nan_ok=True)
        if rights:
            is_own = bool(below) and said[wrongs[0]][1]
            assert errors["semantic_error_same_language"][query] == pytest.approx(expected * is_own)
            assert errors["semantic_error_other_language"][query] == pytest.approx(expected * (not is_own))
        name = f"{'right' if said[0][0] else 'wrong'}_{'same' if said[0][1] else 'other'}_language@1"
        assert {key: values[query] for key, values in first.items()} == {key: float(key == name) for key in first}
        pairs = [(a, b) for a in rights if said[a][1] for b in rights if not said[b][1]]
        rate = np.mean([a < b for a, b in pairs]) if pairs else np.nan
        assert rates["preference_rate"][query] == pytest.approx(rate, nan_ok=True)
        leads = float(said[rights[0]][1]) if pairs else np.nan
        assert rates["language_preference_rate"][query] == pytest.approx(leads, nan_ok=True)


def test_preference_without_error_and_error_without_preference() -> None:
    asked, own = np.array([0]), np.array([[True, False, False]])
    top = np.array([[0, 1, 2, 0, 1, 2]])
    prefers = np.array([[1, 2, 3]])
    assert semantic_error(prefers, asked, top)["semantic_error"] == [0]
    assert preference(prefers, own)["preference_rate"] == [1]
    errs = np.array([[5, 4, 6]])
    assert semantic_error(errs, asked, top)["semantic_error_same_language"] == [1]
    assert preference(errs, own)["preference_rate"] == [0.5]


def test_rates_of_a_blind_ranking_are_a_half_and_the_share_of_the_language() -> None:
    rng = np.random.default_rng(0)
    ranks = np.stack([rng.permutation(20)[:4] + 1 for _ in range(20_000)])
    rates = preference(ranks, np.array([[True, False, False, False]] * len(ranks)))
    assert rates["preference_rate"].mean() == pytest.approx(1 / 2, abs=0.01)
    assert rates["language_preference_rate"].mean() == pytest.approx(1 / 4, abs=0.01)


def test_what_a_run_does_not_hold_ties_and_has_no_language() -> None:
    ranks, top = np.array([[1, UNRANKED, UNRANKED]]), np.array([[1, -1, -1]])
    rates = preference(ranks, np.array([[False, True, False]]))
    assert rates["preference_rate"] == [0.25]  # below the one that was found, beside the other that was not
    errors = semantic_error(ranks, np.array([0]), top)
    assert errors["semantic_error"] == pytest.approx([2 / 3])
    assert np.isnan(errors["semantic_error_same_language"]).all()
    nothing = first_result(ranks, np.array([0]), np.array([[-1]]))
    assert all(np.isnan(values).all() for values in nothing.values())
