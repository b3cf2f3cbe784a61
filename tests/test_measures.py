"""Measures against independent implementations, on random rankings."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from ranx import Qrels, Run
from ranx import evaluate as ranx_evaluate

from isoglot.measures import MEASURES, best_rank, worst_rank

PYTREC = {
    "map": "map",
    "ndcg@10": "ndcg_cut_10",
    "recall@1": "recall_1",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
}
rank_sets = st.lists(st.sets(st.integers(1, 150), min_size=1, max_size=12), min_size=1, max_size=6)


def table_of(sets: list[set[int]]) -> np.ndarray:
    width = max(map(len, sets))
    return np.array([sorted(ranks, key=hash) + [0] * (width - len(ranks)) for ranks in sets])


def run_and_qrels(sets: list[set[int]]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    run = {f"q{n}": {f"d{rank}": 1000.0 - rank for rank in range(1, 151)} for n in range(len(sets))}
    qrels = {f"q{n}": {f"d{rank}": 1 for rank in ranks} for n, ranks in enumerate(sets)}
    return run, qrels


@settings(max_examples=40, deadline=None)
@given(rank_sets)
def test_measures_agree_with_trec_eval(sets: list[set[int]]) -> None:
    run, qrels = run_and_qrels(sets)
    names = {"map", "ndcg_cut.10", "recall.1,10,100"}
    scored = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)
    for name, theirs in PYTREC.items():
        ours = MEASURES[name](table_of(sets))
        assert ours == pytest.approx([scored[f"q{n}"][theirs] for n in range(len(sets))], abs=1e-9)


@pytest.mark.slow  # ranx compiles itself for most of a minute
@settings(max_examples=10, deadline=None)
@given(rank_sets)
def test_measures_agree_with_ranx(sets: list[set[int]]) -> None:
    run, qrels = run_and_qrels(sets)
    for name, theirs in (("map", "map"), ("mrr@10", "mrr@10"), ("ndcg@10", "ndcg@10"), ("recall@100", "recall@100")):
        scores = ranx_evaluate(Qrels(qrels), Run(run), theirs, return_mean=False)
        assert sorted(MEASURES[name](table_of(sets))) == pytest.approx(sorted(np.atleast_1d(scores)), abs=1e-9)


@given(rank_sets)
def test_measures_lie_between_0_and_1_and_do_not_depend_on_order_or_padding(sets: list[set[int]]) -> None:
    table = table_of(sets)
    shuffled = np.concatenate([np.zeros((len(table), 2), int), table[:, ::-1]], axis=1)
    for measure in MEASURES.values():
        values = measure(table)
        assert ((values >= 0) & (values <= 1)).all()
        assert measure(shuffled) == pytest.approx(values)


def test_a_perfect_ranking_scores_1_and_no_relevant_passage_0() -> None:
    for name, measure in MEASURES.items():
        assert measure(np.array([[1, 2, 3]]))[0] == pytest.approx(1 / 3 if name == "recall@1" else 1.0)
        assert measure(np.zeros((1, 3), int))[0] == 0


def test_best_and_worst_rank() -> None:
    table = np.array([[5, 2, 9], [0, 0, 0], [0, 7, 0]])
    assert best_rank(table).tolist() == [2, 0, 7]
    assert worst_rank(table).tolist() == [9, 0, 7]
