"""Rankings of other systems, read back: what isoglot writes it reads as it measured it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import Passage, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.evaluation.averages import SECTIONS, summarise
from isoglot.evaluation.evaluate import encode_set, evaluate, rank_set
from isoglot.evaluation.ranking import Ranks
from isoglot.evaluation.results import load_results
from isoglot.evaluation.trec import evaluate_run, run_depth, write_trec


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
    encoded = encode_set(tiny_encoder, data)
    ranks = rank_set(data, encoded, top_k=len(data.passage_texts))
    write_trec(tmp_path, data, ranks)
    table, summary = summarise(data, ranks, lambda q, p: encoded.queries[q] @ encoded.passages[p].T)
    read = evaluate_run(tmp_path / "run.trec", data, name="read back")
    assert read.summary["settings"] == summary["settings"]
    for section in SECTIONS:
        assert read.summary[section] == pytest.approx(summary[section], abs=2e-6)
    assert read.summary["language_mix"] == summary["language_mix"]
    for mine, theirs in zip(read.per_query.to_pylist(), table.to_pylist(), strict=True):
        assert mine == pytest.approx(theirs)


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


def test_an_answer_that_a_run_lacks_stays_without_a_rank_though_its_query_ignores_what_is_found(
    tmp_path: Path,
) -> None:
    """The query's own text is left out, and what stands behind it moves up; what stands nowhere does not."""
    tags = ("de", "en", "fi")
    queries = [Query("q", tag, f"text in {tag}") for tag in tags]
    passages = [Passage(f"q@{tag}", tag, f"text in {tag}") for tag in tags]
    own = [(f"q@{tag}", f"q@{tag}") for tag in tags]
    data = RetrievalSet.build("own", queries, passages, [("q", f"q@{tag}") for tag in tags], ignored=own)
    lines = [f"q@{tag} Q0 q@{tag} 1 3 x\nq@{tag} Q0 q@{'en' if tag == 'de' else 'de'} 2 2 x\n" for tag in tags]
    (tmp_path / "run.trec").write_text("".join(lines))
    results = evaluate_run(tmp_path / "run.trec", data, name="shallow")
    rows = [row for row in results.per_query.to_pylist() if row["setting"] == "multilingual"]
    assert len(rows) == 3
    for row in rows:
        assert (row["best_rank"], row["worst_rank"], row["rank_distance"]) == (1, None, None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("q0@de Q0 de/0 1\n", "line 1: not of the form .* but 4 fields"),
        ("q0 a@de Q0 de/0 1 2 x\n", "line 1: not of the form .* but 7 fields, .* within an id is written %20"),
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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_ties_of_a_run_are_broken_as_trec_eval_breaks_them(tmp_path: Path, seed: int, levels: int) -> None:
    """Of equal scores, in single precision, the larger id in bytes comes first, whatever the lines' order."""
    rng = np.random.default_rng(seed)
    ids = ["a", "b", "Z", "ä", "字", "a b", "a!b", "10", "9", "\U0001f600"]
    passages = [Passage(f"{tag}/{name}", tag, name) for tag in ("de", "en") for name in ids]
    relevant = [(f"q{n}", passages[m].id) for n in range(3) for m in rng.choice(len(passages), 4, replace=False)]
    asked = RetrievalSet.build("toy", [Query(f"q{n}", "de", "?") for n in range(3)], passages, relevant)
    lines = []
    for query in asked.query_ids:
        for passage in rng.permutation(asked.passage_ids)[: rng.integers(1, len(passages))]:
            score = float(rng.integers(1, levels + 1) + rng.choice([0, 1e-12]))
            lines.append(f"{query} Q0 {passage.replace(' ', '%20')} 0 {score!r} x\n")
    (tmp_path / "run.trec").write_text("".join(lines), encoding="utf-8")
    qrels: dict[str, dict[str, int]] = {}
    for q, p in zip(asked.judgement_query.tolist(), asked.judgement_passage.tolist(), strict=True):
        qrels.setdefault(asked.query_ids[q], {})[asked.passage_ids[p].replace(" ", "%20")] = 1
    with (tmp_path / "run.trec").open(encoding="utf-8") as file:
        theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map", "ndcg_cut.10"}).evaluate(pytrec_eval.parse_run(file))
    rows = evaluate_run(tmp_path / "run.trec", asked).per_query.to_pylist()
    for row in rows:
        if row["setting"] == "multilingual":
            assert row["map"] == pytest.approx(theirs[row["query"]]["map"], abs=1e-9)
            assert row["ndcg@10"] == pytest.approx(theirs[row["query"]]["ndcg_cut_10"], abs=1e-9)


def test_ids_with_spaces_are_written_so_that_they_are_read_back(
    tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    queries = [Query(name, tag, f"{name} {tag}") for name in ("a b", "a_b", "a  b") for tag in ("de", "en")]
    passages = [Passage(f"{q.example}\u3000{q.language}", q.language, q.text) for q in queries]
    relevant = [(q.example, p.id) for q in queries for p in passages if p.id.startswith(f"{q.example}\u3000")]
    spaced = RetrievalSet.build("toy", queries, passages, relevant)
    own = evaluate(tiny_encoder, spaced, on_ranks=lambda ranks: write_trec(tmp_path, spaced, ranks))
    assert "a%20b@de Q0 " in (tmp_path / "run.trec").read_text()
    read = evaluate_run(tmp_path / "run.trec", spaced)
    assert read.summary["settings"] == own.summary["settings"]
    alike = RetrievalSet.build(
        "toy", [*queries, Query("a%20b", "de", "?")], passages, [*relevant, ("a%20b", passages[0].id)]
    )
    with pytest.raises(InputError, match="two query ids are 'a%20b@de' in a TREC file"):
        evaluate(tiny_encoder, alike, on_ranks=lambda ranks: write_trec(tmp_path, alike, ranks))


def test_a_run_is_as_deep_as_what_was_ranked(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_depth(data, 5) == 5
    assert run_depth(data, 10**9) == len(data.passage_texts)
    kept: list[Ranks] = []
    evaluate(tiny_encoder, data, top_k=30, on_ranks=kept.append)
    write_trec(tmp_path, data, kept[0], depth=25)
    assert len((tmp_path / "run.trec").read_text().splitlines()) == 25 * len(data.query_ids)
    write_trec(tmp_path, data, kept[0])
    assert len((tmp_path / "run.trec").read_text().splitlines()) == 30 * len(data.query_ids)
    monkeypatch.setattr("isoglot.evaluation.trec.RUN_BYTES", 32 * 10 * len(data.query_ids))
    with pytest.raises(InputError, match=r"for each of 24 queries takes more .* 10 is the most"):
        run_depth(data, 11)


def test_results_of_a_run_have_the_shape_of_a_model_s(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    model = evaluate(tiny_encoder, data)
    write_trec(tmp_path, data, rank_set(data, encode_set(tiny_encoder, data)))
    run = evaluate_run(tmp_path / "run.trec", data)
    assert set(run.summary) == set(model.summary)
    assert set(run.summary["model"]) == {*model.summary["model"], "run"}
    assert set(run.summary["seconds"]) == set(model.summary["seconds"])
    assert run.summary["model"]["name"] == "run:run.trec"
    assert len(run.summary["model"]["fingerprint"]) == 64
    assert run.per_query.schema == model.per_query.schema
    run.save(tmp_path / "run")
    older = json.loads((tmp_path / "run" / "results.json").read_text())
    for key in ("alignment", "seconds"):
        del older[key]
    older["model"] = {"name": "older", "run": "run.trec"}
    (tmp_path / "run" / "results.json").write_text(json.dumps(older))
    assert load_results(tmp_path / "run").summary["model"]["fingerprint"] is None
