"""Rankings of other systems, read back: what isoglot writes it reads as it measured it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import Passage, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.evaluation.averages import summarise
from isoglot.evaluation.evaluate import encode_set, rank_set
from isoglot.evaluation.trec import evaluate_run, write_trec


@pytest.fixture(scope="module")
def data() -> RetrievalSet:
    """Graded, with a passage that each query ignores."""
    colours = {"de": "rot blau weiss", "en": "red blue white"}
    queries = [Query(f"q{n}", tag, f"{words.split()[n % 3]} {n}") for tag, words in colours.items() for n in range(12)]
    passages = [
        Passage(f"{tag}/{n}", tag, f"{words.split()[n % 3]} {n % 7}")
        for tag, words in colours.items()
        for n in range(20)
    ]
    relevant = [(f"q{n}", f"{tag}/{n + step}", 1 + step) for n in range(12) for tag in colours for step in range(3)]
    ignored = [(f"q{n}@{tag}", f"{tag}/{n + 3}") for n in range(12) for tag in colours]
    return RetrievalSet.build("toy", queries, passages, relevant, ignored=ignored)


def test_a_written_run_is_read_back_to_the_same_figures(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    ranks = rank_set(data, encode_set(tiny_encoder, data), top_k=len(data.passage_texts))
    write_trec(tmp_path, data, ranks)
    table, summary = summarise(data, ranks)
    read = evaluate_run(tmp_path / "run.trec", data, name="read back")
    assert read.summary["settings"] == summary["settings"]
    assert read.summary["language_bias"] == summary["language_bias"]
    assert read.summary["language_mix"] == summary["language_mix"]
    assert read.per_query.to_pylist() == table.to_pylist()


def test_a_shallow_run_scores_what_trec_eval_gives_it(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    ranks = rank_set(data, encode_set(tiny_encoder, data), top_k=4)
    write_trec(tmp_path, data, ranks)
    with (tmp_path / "qrels.trec").open() as file:
        qrels = pytrec_eval.parse_qrel(file)
    with (tmp_path / "run.trec").open() as file:
        run = pytrec_eval.parse_run(file)
    names = {"map": "map", "ndcg_cut_10": "ndcg@10", "recall_10": "recall@10"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map", "ndcg_cut.10", "recall.10"}).evaluate(run)
    rows = evaluate_run(tmp_path / "run.trec", data, name="shallow").per_query.to_pylist()
    pooled = {row["query"]: row for row in rows if row["setting"] == "multilingual"}
    assert pooled.keys() == theirs.keys()
    for query, row in pooled.items():
        for name, ours in names.items():
            assert row[ours] == pytest.approx(theirs[query][name], abs=1e-9)
        assert row["worst_rank"] is None  # six are relevant and four were ranked
        assert row["rank_distance"] is None


def test_a_query_that_the_run_lacks_scores_nothing(data: RetrievalSet, tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("q0@de Q0 de/0 1 2.5 someone\n")
    results = evaluate_run(tmp_path / "run.trec", data, name="short")
    rows = {row["query"]: row for row in results.per_query.to_pylist() if row["setting"] == "multilingual"}
    assert len(rows) == 24
    assert [query for query, row in rows.items() if row["map"] > 1e-6] == ["q0@de"]
    assert rows["q0@de"]["map"] == pytest.approx(1 / 6)
    assert np.isclose(sum(results.summary["language_mix"]["values"][0]), 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("q0@de Q0 de/0 1\n", "line 1: not of the form"),
        ("q0@de Q0 de/0 1 high x\n", "line 1: not of the form"),
        ("q0@de Q0 de/0 1 nan x\n", "line 1: not of the form"),
        ("\nq0@fr Q0 de/0 1 2 x\n", "line 2: the benchmark toy has no query 'q0@fr'"),
        ("q0@de Q0 de/99 1 2 x\n", "line 1: the benchmark toy has no passage 'de/99'"),
        ("q0@de Q0 de/0 1 2 x\nq0@de Q0 de/0 2 1 x\n", "line 2: 'de/0' is ranked twice"),
        ("", "holds no ranking"),
    ],
)
def test_a_bad_run_is_named_by_its_line(data: RetrievalSet, tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(line)
    with pytest.raises(InputError, match=said):
        evaluate_run(path, data, name="bad")
