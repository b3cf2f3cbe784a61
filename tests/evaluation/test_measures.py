"""Measures against independent implementations, on random rankings whose scores are often equal."""

from __future__ import annotations

from dataclasses import dataclass

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.evaluation.measures import MEASURES, best_rank, measure, ndcg, success, worst_rank
from isoglot.evaluation.ranking import rank_relevant

POOL = 130
NAMES = [*MEASURES, "ndcg@3", "ndcg@20", "mrr@3", "recall@5", "success@1", "success@10"]
rank_sets = st.lists(st.sets(st.integers(1, 150), min_size=1, max_size=12), min_size=1, max_size=6)


@dataclass
class Case:
    """A random retrieval: judged grades, scores with ties, and the ranks and grades that isoglot makes of them."""

    judged: np.ndarray  # (queries, passages), 0 where not relevant
    scores: np.ndarray  # (queries, passages), all different, in the order of the house
    ranks: np.ndarray
    grades: np.ndarray

    def run(self) -> dict[str, dict[str, float]]:
        return {f"q{q}": {f"d{d}": float(s) for d, s in enumerate(row)} for q, row in enumerate(self.scores)}

    def qrels(self) -> dict[str, dict[str, int]]:
        return {f"q{q}": {f"d{d}": int(row[d]) for d in np.flatnonzero(row)} for q, row in enumerate(self.judged)}

    def values(self, name: str) -> list[float]:
        return measure(name)(self.ranks, self.grades).tolist()


def case(seed: int, levels: int, top_grade: int) -> Case:
    """Scores of few levels are ranked by isoglot; peers get that order as scores that differ.

    Equal scores stand by language, then by place; peers each break ties in a way of their own.
    """
    rng = np.random.default_rng(seed)
    queries = int(rng.integers(1, 5))
    scores = rng.integers(0, levels, size=(queries, POOL)).astype(np.float32)
    language = rng.integers(0, 2, POOL)
    judged = rng.integers(1, top_grade + 1, size=(queries, POOL)) * (rng.random((queries, POOL)) < rng.uniform(0, 0.2))
    judged[np.arange(queries), rng.integers(0, POOL, queries)] = 1
    query, passage = np.nonzero(judged)
    pooled = rank_relevant(
        np.eye(queries, dtype=np.float32),
        np.ascontiguousarray(scores.T),
        passage_language=language,
        judgement_query=query,
        judgement_passage=passage,
    ).pooled
    ranks, grades = (np.zeros((queries, int((judged > 0).sum(1).max())), int) for _ in range(2))
    for q in range(queries):
        mine = query == q
        ranks[q, : mine.sum()], grades[q, : mine.sum()] = pooled[mine], judged[q, passage[mine]]
    distinct = np.zeros(scores.shape)
    for row, nudged in zip(scores, distinct, strict=True):
        nudged[np.lexsort((np.arange(POOL), language, -row))] = np.arange(POOL, 0, -1)
    return Case(judged, distinct, ranks, grades)


cases = st.builds(case, st.integers(0, 100_000), st.sampled_from([1, 2, 5, 1000]), st.sampled_from([1, 3]))


@settings(max_examples=60, deadline=None)
@given(cases)
def test_measures_agree_with_trec_eval(case: Case) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    asked = {"map", "ndcg_cut.3,10,20", "recall.1,5,10,20,100", "success.1,10"}
    scored = pytrec_eval.RelevanceEvaluator(case.qrels(), asked).evaluate(case.run())
    for name in NAMES:
        if not name.startswith("mrr"):  # trec_eval's reciprocal rank has no cutoff
            theirs = name.replace("@", "_").replace("ndcg", "ndcg_cut")
            assert case.values(name) == pytest.approx([row[theirs] for row in scored.values()], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(cases)
def test_measures_agree_with_scikit_learn(case: Case) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for q, (judged, scores) in enumerate(zip(case.judged, case.scores, strict=True)):
        assert case.values("map")[q] == pytest.approx(metrics.average_precision_score(judged > 0, scores))
        for k in (3, 10, 20):
            assert case.values(f"ndcg@{k}")[q] == pytest.approx(metrics.ndcg_score([judged], [scores], k=k))


@settings(max_examples=30, deadline=None)
@given(cases)
def test_measures_agree_with_ir_measures(case: Case) -> None:
    theirs = {"map": "AP", "mrr": "RR", "ndcg": "nDCG", "recall": "R", "success": "Success"}
    asked = {}
    for name in NAMES:
        family, at, cutoff = name.partition("@")
        asked[ir_measures.parse_measure(theirs[family] + at + cutoff)] = name
    found = {(row.measure, row.query_id): row.value for row in ir_measures.iter_calc(asked, case.qrels(), case.run())}
    for theirs_name, name in asked.items():
        values = [found[theirs_name, f"q{q}"] for q in range(len(case.ranks))]
        assert case.values(name) == pytest.approx(values, abs=1e-9)


@pytest.mark.slow  # ranx compiles itself for most of a minute
@settings(max_examples=15, deadline=None)
@given(cases)
def test_measures_agree_with_ranx(case: Case) -> None:
    ranx = pytest.importorskip("ranx")
    qrels, run = ranx.Qrels(case.qrels()), ranx.Run(case.run())
    for name in NAMES:
        theirs = name.replace("success", "hit_rate")
        scores = ranx.evaluate(qrels, run, theirs, return_mean=False)
        assert case.values(name) == pytest.approx(np.atleast_1d(scores).tolist(), abs=1e-9)


def table_of(sets: list[set[int]]) -> np.ndarray:
    width = max(map(len, sets))
    return np.array([sorted(ranks, key=hash) + [0] * (width - len(ranks)) for ranks in sets])


@given(rank_sets, st.integers(0, 1000))
def test_measures_lie_between_0_and_1_and_do_not_depend_on_order_or_padding(sets: list[set[int]], seed: int) -> None:
    table = table_of(sets)
    grades = np.random.default_rng(seed).integers(1, 5, size=table.shape)
    shuffled, moved = (
        np.concatenate([np.zeros((len(table), 2), int), each[:, ::-1]], axis=1) for each in (table, grades)
    )
    for name in NAMES:
        values = measure(name)(table, grades)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        assert measure(name)(shuffled, moved) == pytest.approx(values)


@given(rank_sets, st.integers(1, 9))
def test_grades_count_in_proportion_and_in_ndcg_alone(sets: list[set[int]], factor: int) -> None:
    table = table_of(sets)
    for name in NAMES:
        assert measure(name)(table, np.full(table.shape, factor)) == pytest.approx(measure(name)(table))


def test_the_better_graded_passage_belongs_first() -> None:
    ranks = np.array([[1, 2], [1, 2]])
    right, wrong = ndcg(ranks, grades=np.array([[2, 1], [1, 2]]))
    assert right == pytest.approx(1)
    assert wrong < 0.9


@given(rank_sets, st.integers(1, 150))
def test_success_is_whether_recall_or_reciprocal_rank_is_above_0(sets: list[set[int]], cutoff: int) -> None:
    table = table_of(sets)
    for name in ("recall", "mrr", "ndcg"):
        assert success(table, cutoff).tolist() == (measure(f"{name}@{cutoff}")(table) > 0).tolist()


def test_a_perfect_ranking_scores_1_and_no_relevant_passage_0() -> None:
    for name, function in MEASURES.items():
        assert function(np.array([[1, 2, 3]]))[0] == pytest.approx(1 / 3 if name == "recall@1" else 1.0)
        assert function(np.zeros((1, 3), int))[0] == 0


def test_the_measures_of_results_keep_their_names_and_order() -> None:
    assert list(MEASURES) == [
        "map", "mrr@10", "ndcg@10", "recall@1", "recall@10", "recall@100", "ndcg@20", "recall@20"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["bpref", "", "@10", "map@10", "MAP", "precision@5"])
def test_an_unknown_measure_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match=r"there are map, mrr@k, ndcg@k, recall@k and success@k"):
        measure(name)


@pytest.mark.parametrize(
    "name", ["ndcg", "ndcg@", "recall@0", "mrr@-1", "success@ten", "ndcg@1.5", "ndcg@²", "mrr@1@2"]
)
def test_a_measure_without_a_proper_cutoff_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="needs a cutoff from 1"):
        measure(name)


def test_grades_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="one grade per rank"):
        ndcg(np.array([[1, 2]]), grades=np.array([1, 2]))


def test_best_and_worst_rank() -> None:
    table = np.array([[5, 2, 9], [0, 0, 0], [0, 7, 0]])
    assert best_rank(table).tolist() == [2, 0, 7]
    assert worst_rank(table).tolist() == [9, 0, 7]
