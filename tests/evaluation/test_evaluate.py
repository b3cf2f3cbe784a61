"""Evaluation: its schema, its figures against a slow reimplementation and others' tools, and its economy."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pytrec_eval
from ranx import Qrels, Run
from ranx import evaluate as ranx_evaluate
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import Passage, Query, RetrievalSet, load_benchmark, retrieval_set_of
from isoglot.common.errors import InputError
from isoglot.evaluation.averages import SECTIONS, summarise
from isoglot.evaluation.evaluate import EncodedSet, encode_set, evaluate, rank_set, rank_while_encoding
from isoglot.evaluation.results import load_results
from isoglot.evaluation.trec import write_trec
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore
from shared_data import SHARED_DATA

REFERENCE = SHARED_DATA.parent / "reference" / "xquad_r_me5_small.json"


@pytest.fixture(scope="module")
def data() -> RetrievalSet:
    """Like MLQA-R: not every question is answered in every language; some passages answer nothing."""
    words = {"de": "rot haus baum brot wolke", "en": "red house tree bread cloud", "es": "rojo casa arbol pan nube"}
    queries, passages, relevant = [], [], []
    for number in range(24):
        for place, (tag, text) in enumerate(words.items()):
            chosen = text.split()
            if (number + place) % 3:
                queries.append(Query(f"q{number}", tag, f"{chosen[number % 5]} {number}"))
            passages.append(
                Passage(f"{tag}/{number}", tag, f"{chosen[number % 5]} {chosen[(number + 1) % 5]} {number}")
            )
            if (number + place) % 4:
                relevant.append((f"q{number}", f"{tag}/{number}"))
    return RetrievalSet.build("toy", queries, passages, relevant)


def test_results_have_the_schema_others_rely_on(data: RetrievalSet, tiny_encoder: SentenceTransformer) -> None:
    summary = evaluate(tiny_encoder, data, name="tiny").summary
    measures = {"map", "mrr@10", "ndcg@10", "recall@1", "recall@10", "recall@100", "ndcg@20", "recall@20"}
    bias = {
        "rank_distance", "same_language_share@1", "same_language_share@10", "max_rank_norm", "fair_share@1",
        "fair_share@10", "other_language_recall@10", "ranking_agreement@10", "same_language_bias@1",
        "same_language_bias@10", "fair_share_distance@1", "fair_share_distance@10", "tlr@20",
        "mrc@5", "mrc@10", "mrc@20",
    }  # fmt: skip
    preference = {"preference_rate", "language_preference_rate"}
    error = {"semantic_error", "semantic_error_same_language", "semantic_error_other_language"}
    first = {f"{content}_{where}_language@1" for content in ("right", "wrong") for where in ("same", "other")}
    assert set(summary) == {
        "schema", "benchmark", "benchmark_fingerprint", "model", "languages", "queries", "passages",
        "settings", "language_bias", "grid", "by_query_language", "language_mix", "alignment", "seconds", "versions",
        "preference", "semantic_error", "first_result", "mixed", "mixed_corpora",
    }  # fmt: skip
    assert summary["schema"] == 1
    model = {"name", "fingerprint", "dimensions", "similarity", "prompts", "max_tokens", "arithmetic"}
    assert set(summary["model"]) == model
    mixed = {"success@10", "mrr@10", "same_language_share@10", "fair_share@10"}
    parallel, drawn = ("monolingual", "cross_lingual", "multilingual"), ("mixed_own", "mixed_other")
    for section, settings, names in (("settings", parallel, measures), ("mixed", drawn, mixed)):
        assert {name: set(values) for name, values in summary[section].items()} == dict.fromkeys(settings, names)
    assert set(summary["mixed_corpora"]) == {"draws", "seed", "documents", "shares"}
    for section, names in zip(SECTIONS, (bias, preference, error, first), strict=True):
        assert set(summary[section]) == names
    assert set(summary["grid"]) == {"measure", "rows", "columns", "values"}
    assert summary["grid"]["measure"] == "map"
    assert set(summary["by_query_language"]) == {"de", "en", "es"}
    assert set(summary["by_query_language"]["de"]) == {
        "queries", "monolingual_map", "cross_lingual_map", "multilingual_map", "mixed_own_success@10",
        "mixed_other_success@10", *bias, *preference, *error, *first
    }  # fmt: skip
    assert set(summary["seconds"]) == {"encode", "score", "align"}
    json.dumps(summary, allow_nan=False)


def slow_figures(data: RetrievalSet, queries: np.ndarray, passages: np.ndarray) -> dict[str, float]:
    """mAP in three settings and rank distance, written straight from their definitions."""
    scores = queries @ passages.T
    relevant: dict[int, set[int]] = defaultdict(set)
    for query, passage in zip(data.judgement_query, data.judgement_passage, strict=True):
        relevant[int(query)].add(int(passage))

    def average_precision(query: int, pool: np.ndarray) -> float | None:
        found = relevant[query] & set(pool.tolist())
        if not found:
            return None
        order = pool[np.argsort(-scores[query, pool], kind="stable")]
        hits = np.flatnonzero(np.isin(order, list(found))) + 1
        return float(np.mean(np.arange(1, len(hits) + 1) / hits))

    by_pair, pooled, distance = defaultdict(list), defaultdict(list), defaultdict(list)
    for query, language in enumerate(data.query_language.tolist()):
        for corpus in range(len(data.languages)):
            value = average_precision(query, np.flatnonzero(data.passage_language == corpus))
            if value is not None:
                by_pair[language, corpus].append(value)
        everything = np.lexsort((np.arange(len(passages)), data.passage_language))
        pooled[language].append(average_precision(query, everything))
        order = everything[np.argsort(-scores[query, everything], kind="stable")]
        hits = np.flatnonzero(np.isin(order, list(relevant[query])))
        if len(hits) > 1:
            distance[language].append(hits[-1] - hits[0])
    means = {pair: np.mean(values) for pair, values in by_pair.items()}
    return {
        "monolingual": float(np.mean([value for (a, b), value in means.items() if a == b])),
        "cross_lingual": float(np.mean([value for (a, b), value in means.items() if a != b])),
        "multilingual": float(np.mean([np.mean(values) for values in pooled.values()])),
        "rank_distance": float(np.mean([np.mean(values) for values in distance.values()])),
    }


def test_figures_are_those_of_a_slow_reimplementation(data: RetrievalSet, tiny_encoder: SentenceTransformer) -> None:
    encoded = encode_set(tiny_encoder, data)
    expected = slow_figures(data, encoded.queries, encoded.passages)
    results = evaluate(tiny_encoder, data, name="tiny")
    for name in ("monolingual", "cross_lingual", "multilingual"):
        assert results.setting(name) == pytest.approx(expected[name], abs=1e-6)
    assert results.bias("rank_distance") == pytest.approx(expected["rank_distance"], abs=1e-5)


def test_a_question_without_an_answer_in_a_language_is_left_out_of_that_pair(
    data: RetrievalSet, tiny_encoder: SentenceTransformer
) -> None:
    rows = evaluate(tiny_encoder, data, name="tiny").per_query.to_pylist()
    judged = {
        (data.query_ids[q], data.languages[data.passage_language[p]])
        for q, p in zip(data.judgement_query, data.judgement_passage, strict=True)
    }
    asked = {(row["query"], row["corpus_language"]) for row in rows if row["setting"].endswith("lingual")}
    asked = {(query, corpus) for query, corpus in asked if corpus is not None}
    assert asked == judged
    assert len([row for row in rows if row["setting"] == "multilingual"]) == len({query for query, _ in judged})


def test_each_distinct_text_is_encoded_once(
    pairs: ParallelPairs, tiny_encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = retrieval_set_of(pairs, "toy")
    encoded: list[str] = []
    original = SentenceTransformer.encode

    def spy(self: SentenceTransformer, texts: list[str], *args: Any, **kwargs: Any) -> Any:
        encoded.extend(f"{kwargs['prompt']}{text}" for text in texts)
        return original(self, texts, *args, **kwargs)

    monkeypatch.setattr(SentenceTransformer, "encode", spy)
    evaluate(tiny_encoder, data, name="tiny")
    assert len(encoded) == len(set(encoded))
    assert len(encoded) == len(set(data.query_texts)) + len(set(data.passage_texts))


def test_results_survive_the_disk(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    results = evaluate(tiny_encoder, data, name="tiny")
    assert results.save("~/r") == tmp_path / "r"
    again = load_results("~/r")
    assert again.summary == results.summary
    assert again.per_query.equals(results.per_query)
    assert load_results(tmp_path / "r" / "results.json").summary == results.summary
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        "per_query.parquet",
        "results.json",
        "top_passages.parquet",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": None}, "model: Input should be"),
        ({"settings": {"monolingual": {"map": "high"}}}, "settings.monolingual.map: Input should be a valid number"),
        ({"by_query_language": 3}, "by_query_language: Input should be a valid dictionary"),
        ({"schema": 2}, "results of schema 2"),
    ],
)
def test_results_that_are_none_are_one_line(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    file = evaluate(tiny_encoder, data, name="tiny").save(tmp_path) / "results.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=said) as caught:
        load_results(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_no_number_was_not_measured(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    file = evaluate(tiny_encoder, data, name="tiny").save(tmp_path) / "results.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"language_bias": {"rank_distance": float("nan")}}))
    assert load_results(tmp_path).summary["language_bias"] == {"rank_distance": None}


def test_a_table_of_other_columns_is_one_line(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    results = evaluate(tiny_encoder, data, name="tiny")
    numbered = results.per_query.set_column(1, "example", pa.array(range(len(results.per_query))))
    for table in (numbered, results.per_query.drop_columns("example")):
        replace(results, per_query=table).save(tmp_path)
        with pytest.raises(InputError, match="no column 'example' of texts; evaluate again"):
            load_results(tmp_path)


@pytest.mark.parametrize("languages", [("de", "en", "es"), ("en",)])
def test_the_exported_run_gives_others_the_same_figures(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path, languages: tuple[str, ...]
) -> None:
    data = data.in_languages(languages)
    encoded = encode_set(tiny_encoder, data)
    ranks = rank_set(data, encoded, top_k=len(data.passage_texts))
    write_trec(tmp_path, data, ranks)
    with (tmp_path / "qrels.trec").open() as file:
        qrels = pytrec_eval.parse_qrel(file)
    with (tmp_path / "run.trec").open() as file:
        run = pytrec_eval.parse_run(file)
    names = {"map", "recip_rank", "ndcg_cut.10", "recall.1,10,100"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)
    rows = [row for row in summarise(data, ranks)[0].to_pylist() if row["setting"] == "multilingual"]
    assert len(rows) == len(theirs)
    for row in rows:
        other = theirs[row["query"]]
        for ours, name in (
            ("map", "map"),
            ("ndcg@10", "ndcg_cut_10"),
            ("recall@1", "recall_1"),
            ("recall@10", "recall_10"),
            ("recall@100", "recall_100"),
        ):
            assert row[ours] == pytest.approx(other[name], abs=1e-6)
        assert row["mrr@10"] == pytest.approx(other["recip_rank"] if other["recip_rank"] >= 0.1 else 0, abs=1e-6)


def plain_measures(hits: np.ndarray) -> dict[str, float]:
    """Every measure of one ranking, from the rising ranks of its relevant passages."""

    def ndcg(cutoff: int) -> float:
        gains = sum(1 / np.log2(hit + 1) for hit in hits if hit <= cutoff)
        return float(gains / sum(1 / np.log2(place + 1) for place in range(1, min(len(hits), cutoff) + 1)))

    return {
        "map": float(np.mean([(n + 1) / hit for n, hit in enumerate(hits)])),
        "mrr@10": 1 / hits[0] if hits[0] <= 10 else 0.0,
        **{f"ndcg@{cutoff}": ndcg(cutoff) for cutoff in (10, 20)},
        **{f"recall@{cutoff}": float(np.mean(hits <= cutoff)) for cutoff in (1, 10, 20, 100)},
    }


def plain_overlap(one: list[int], other: list[int], p: float = 0.9) -> float:
    """Rank-biased overlap of two lists of equal depth, extrapolated (Webber et al. 2010, equation 30)."""
    shared = [len(set(one[:d]) & set(other[:d])) / d for d in range(1, len(one) + 1)]
    return shared[-1] * p ** len(one) + (1 - p) / p * sum(x * p**d for d, x in enumerate(shared, 1))


def test_every_figure_of_the_summary_is_a_mean_of_plain_rankings(
    data: RetrievalSet, tiny_encoder: SentenceTransformer
) -> None:
    """All measures, all biases, the grid and the table by language; queries first, then languages."""
    encoded = encode_set(tiny_encoder, data)
    scores = encoded.queries @ encoded.passages.T
    tags, asked, held = data.languages, data.query_language, data.passage_language
    by_pair: dict[tuple[int, int], list[dict[str, float]]] = defaultdict(list)
    pooled: dict[int, list[dict[str, float]]] = defaultdict(list)
    tops: dict[int, list[int]] = {}
    for query in range(len(data.query_texts)):
        relevant = data.judgement_passage[data.judgement_query == query]
        order = np.lexsort((np.arange(len(held)), held, -scores[query]))
        for corpus in np.unique(held[relevant]).tolist():
            own = order[held[order] == corpus]
            hits = np.flatnonzero(np.isin(own, relevant)) + 1
            by_pair[int(asked[query]), corpus].append(plain_measures(hits))
        hits = np.flatnonzero(np.isin(order, relevant)) + 1
        several = len(hits) > 1
        others = held[order[hits - 1]] != asked[query]
        tops[query] = order[:20].tolist()
        held_same = held == asked[query]

        def bias_at(k: int, order: np.ndarray = order, hits: np.ndarray = hits, same: np.ndarray = held_same) -> Any:
            found, own = int((hits <= k).sum()), int(same[order[hits - 1]].sum())
            right, wrong = own / len(hits), (same.sum() - own) / (len(held) - len(hits))
            share, fair = float(np.mean(same[order[:k]])), (found * right + (k - found) * wrong) / k
            return {f"same_language_share@{k}": share, f"fair_share@{k}": fair, f"same_language_bias@{k}": share - fair}

        bias = {
            "rank_distance": float(hits[-1] - hits[0]) if several else float("nan"),
            "max_rank_norm": float(np.log(hits[-1] / len(hits)) / np.log(len(held) / len(hits))),
            **bias_at(1),
            **bias_at(10),
            "other_language_recall@10": float(np.mean(hits[others] <= 10)) if others.any() else float("nan"),
            "tlr@20": float(np.mean(hits[others] <= 20)) if others.any() else float("nan"),
            "query": query,
        }
        pooled[int(asked[query])].append({**plain_measures(hits), **bias})

    for rows in pooled.values():
        for row in rows:
            mine = int(row.pop("query"))
            same = [n for n in tops if n != mine and data.query_example[n] == data.query_example[mine]]
            row["ranking_agreement@10"] = (
                float(np.mean([plain_overlap(tops[mine][:10], tops[n][:10]) for n in same])) if same else float("nan")
            )
            for k in (5, 10, 20):
                unions = [sorted({*tops[mine][:k], *tops[n][:k]}) for n in same]
                found = [spearmanr(scores[mine, u], scores[n, u]).statistic for n, u in zip(same, unions, strict=True)]
                row[f"mrc@{k}"] = float(np.mean(found)) if found else float("nan")

    def mean(rows: list[dict[str, float]], name: str) -> float:
        return float(np.nanmean([row[name] for row in rows]))

    summary = evaluate(tiny_encoder, data, name="tiny").summary
    for name in plain_measures(np.array([1])):
        grid = {pair: mean(rows, name) for pair, rows in by_pair.items()}
        expected = {
            "monolingual": np.mean([value for (a, b), value in grid.items() if a == b]),
            "cross_lingual": np.mean([value for (a, b), value in grid.items() if a != b]),
            "multilingual": np.mean([mean(rows, name) for rows in pooled.values()]),
        }
        for setting, value in expected.items():
            assert summary["settings"][setting][name] == pytest.approx(value, abs=2e-6), (setting, name)
        if name == "map":
            for (a, b), value in grid.items():
                assert summary["grid"]["values"][a][b] == pytest.approx(value, abs=2e-6)
            for n, tag in enumerate(tags):
                row = summary["by_query_language"][tag]
                assert row["monolingual_map"] == pytest.approx(grid[n, n], abs=2e-6)
                others = [value for (a, b), value in grid.items() if a == n and b != n]
                assert row["cross_lingual_map"] == pytest.approx(np.mean(others), abs=2e-6)
                assert row["multilingual_map"] == pytest.approx(mean(pooled[n], "map"), abs=2e-6)
    for name, value in summary["language_bias"].items():
        if name.startswith("fair_share_distance"):
            distances = [
                abs(mean(rows, name.replace("fair_share_distance", "same_language_bias"))) for rows in pooled.values()
            ]
            assert value == pytest.approx(np.mean(distances), abs=2e-6)
            continue
        assert value == pytest.approx(np.mean([mean(rows, name) for rows in pooled.values()]), abs=2e-6), name
        for n, tag in enumerate(tags):
            assert summary["by_query_language"][tag][name] == pytest.approx(mean(pooled[n], name), abs=2e-6)


@pytest.mark.slow  # ranx compiles itself for most of a minute
def test_ranx_reads_the_exported_run_as_isoglot_does(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    ranks = rank_set(data, encode_set(tiny_encoder, data), top_k=len(data.passage_texts))
    write_trec(tmp_path, data, ranks)
    qrels = Qrels.from_file(str(tmp_path / "qrels.trec"), kind="trec")
    run = Run.from_file(str(tmp_path / "run.trec"), kind="trec")
    table, _ = summarise(data, ranks)
    rows = [row for row in table.to_pylist() if row["setting"] == "multilingual"]
    names = ("map", "mrr@10", "ndcg@10", "recall@1", "recall@10", "recall@100")
    ranx_evaluate(qrels, run, list(names), make_comparable=True)  # leaves a score per query in the run
    for name in names:
        assert {row["query"]: row[name] for row in rows} == pytest.approx(run.scores[name], abs=1e-6)


def test_equal_scores_are_exported_in_the_order_isoglot_counts_them(data: RetrievalSet, tmp_path: Path) -> None:
    shape = (len(data.query_texts), len(data.passage_texts))
    alike = EncodedSet(np.ones((shape[0], 2), np.float32), np.ones((shape[1], 2), np.float32), 0.0)
    ranks = rank_set(data, alike, top_k=shape[1])
    write_trec(tmp_path, data, ranks)
    with (tmp_path / "qrels.trec").open() as file:
        qrels = pytrec_eval.parse_qrel(file)
    with (tmp_path / "run.trec").open() as file:
        run = pytrec_eval.parse_run(file)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run)
    rows = [row for row in summarise(data, ranks)[0].to_pylist() if row["setting"] == "multilingual"]
    assert {row["query"]: row["map"] for row in rows} == pytest.approx({q: v["map"] for q, v in theirs.items()})


@pytest.mark.parametrize("languages", [("de",), ("es", "de"), ("de", "en", "es")])
def test_a_part_of_a_set_is_the_set_built_from_that_part(data: RetrievalSet, languages: tuple[str, ...]) -> None:
    tags = data.languages
    queries = [
        Query(example, tags[n], text)
        for example, n, text in zip(data.query_example, data.query_language, data.query_texts, strict=True)
        if tags[n] in languages
    ]
    passages = [
        Passage(name, tags[n], text)
        for name, n, text in zip(data.passage_ids, data.passage_language, data.passage_texts, strict=True)
        if tags[n] in languages
    ]
    kept = {passage.id for passage in passages}
    relevant = [
        (data.query_example[q], data.passage_ids[p])
        for q, p in zip(data.judgement_query, data.judgement_passage, strict=True)
        if data.passage_ids[p] in kept
    ]
    built = RetrievalSet.build(data.name, queries, passages, relevant)
    assert data.in_languages(languages).fingerprint == built.fingerprint


def test_a_fingerprint_knows_every_text_and_judgement(data: RetrievalSet) -> None:
    changes: list[dict[str, Any]] = [
        {"query_texts": ["other", *data.query_texts[1:]]},
        {"passage_texts": ["other", *data.passage_texts[1:]]},
        {"passage_ids": ["other", *data.passage_ids[1:]]},
        {"query_example": ["other", *data.query_example[1:]]},
        {"judgement_query": data.judgement_query[1:], "judgement_passage": data.judgement_passage[1:]},
        {"passage_language": (data.passage_language + 1) % 3},
    ]
    prints = {replace(data, **change).fingerprint for change in changes}
    assert len(prints | {data.fingerprint}) == len(changes) + 1
    assert replace(data, name="other").fingerprint == data.fingerprint


def test_a_set_that_does_not_fit_together_is_refused() -> None:
    query, passage = Query("q", "de", "frage"), Passage("p", "de", "antwort")
    with pytest.raises(InputError, match="a passage id occurs twice"):
        RetrievalSet.build("toy", [query], [passage, passage], [("q", "p")])
    with pytest.raises(InputError, match="'x', which is not in the corpus"):
        RetrievalSet.build("toy", [query], [passage], [("q", "x")])
    with pytest.raises(InputError, match="nothing to evaluate"):
        RetrievalSet.build("toy", [query], [passage], [("other", "p")])


def test_one_language_alone_has_no_cross_lingual_figures(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    results = evaluate(tiny_encoder, data.in_languages(["de"]), name="tiny")
    assert results.summary["settings"]["cross_lingual"]["map"] is None
    assert np.isnan(results.setting("cross_lingual"))
    assert np.isnan(results.bias("rank_distance"))
    assert results.setting("monolingual") == pytest.approx(results.setting("multilingual"))
    assert load_results(results.save(tmp_path)).summary == results.summary


def test_an_unknown_language_of_a_set_is_refused(data: RetrievalSet) -> None:
    with pytest.raises(InputError, match="no language 'fr'; there are de, en, es"):
        data.in_languages(["fr"])


def squad(folder: Path, tag: str, answer_start: int) -> None:
    paragraph = {
        "context": "Eins. Zwei.",
        "sentences": ["Eins.", "Zwei."],
        "sentence_breaks": [[0, 5], [6, 11]],
        "qas": [{"id": "q", "question": f"frage {tag}", "answers": [{"answer_start": answer_start, "text": "x"}]}],
    }
    (folder / f"{tag}.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))


def test_xquad_r_takes_the_sentence_that_holds_the_answer(tmp_path: Path) -> None:
    squad(tmp_path, "de", 0)
    squad(tmp_path, "en", 7)
    loaded = load_benchmark("xquad-r", tmp_path)
    assert sorted(loaded.passage_ids[p] for p in loaded.judgement_passage[loaded.judgement_query == 0]) == [
        "de/0/0",
        "en/0/1",
    ]
    with_context = load_benchmark("mlqa-r", tmp_path, candidate="sentence+context")
    assert with_context.passage_texts[1] == "Zwei. Eins. Zwei."
    assert with_context.name == "mlqa-r"


def test_xquad_r_names_the_paragraph_that_is_wrong(tmp_path: Path) -> None:
    squad(tmp_path, "de", 99)
    with pytest.raises(InputError, match=r"de\.json: paragraph 1 .* starts at 99, in no sentence"):
        load_benchmark("xquad-r", tmp_path)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not REFERENCE.exists(), reason="XQuAD-R and the reference figures are not beside the checkout")
def test_the_builtin_encoder_has_the_reference_figures_on_xquad_r() -> None:
    from isoglot.models.encoders import load_encoder

    reference = json.loads(REFERENCE.read_text())
    data = load_benchmark("xquad-r", SHARED_DATA / "xquad-r")
    model = load_encoder("builtin:multilingual-e5-small", max_tokens=reference["max_tokens"])
    results = evaluate(model, data, name="base")
    for name, value in reference["map"].items():
        assert results.setting(name) == pytest.approx(value, abs=0.002)
    assert results.bias("rank_distance") == pytest.approx(reference["rank_distance"], abs=3)
    assert results.bias("same_language_share@1") == pytest.approx(reference["same_language_share_at_1"], abs=0.002)
    assert results.setting("monolingual", "recall@1") == pytest.approx(reference["recall_at_1_monolingual"], abs=0.002)
    grid = np.array(results.summary["grid"]["values"])
    assert grid == pytest.approx(np.array(reference["map_grid_rows_query_columns_corpus"]), abs=0.004)


@pytest.fixture(scope="module")
def own_texts() -> RetrievalSet:
    """Question to question: the pool holds each query's own text, which it must not find."""
    words = {"de": "rot haus baum", "en": "red house tree", "es": "rojo casa arbol"}
    queries = [Query(f"q{n}", tag, f"{text.split()[n % 3]} {n}") for tag, text in words.items() for n in range(15)]
    passages = [Passage(f"{query.example}@{query.language}", query.language, query.text) for query in queries]
    relevant = [(f"q{n}", f"q{n}@{tag}") for n in range(15) for tag in words]
    return RetrievalSet.build("own", queries, passages, relevant, ignored=[(p.id, p.id) for p in passages])


def test_what_a_query_ignores_is_as_good_as_not_there(
    own_texts: RetrievalSet, tiny_encoder: SentenceTransformer
) -> None:
    encoded = encode_set(tiny_encoder, own_texts)
    ranks = rank_set(own_texts, encoded)
    scores = encoded.queries @ encoded.passages.T
    np.fill_diagonal(scores, -np.inf)  # queries and passages stand in one order
    language = own_texts.passage_language
    for n, (query, passage) in enumerate(zip(own_texts.judgement_query, own_texts.judgement_passage, strict=True)):
        better = scores[query] > scores[query, passage]
        assert ranks.pooled[n] == 1 + better.sum()
        assert ranks.in_language[n] == 1 + (better & (language == language[passage])).sum()
    assert ranks.top.shape[1] == 20
    assert not (ranks.top == np.arange(len(ranks.top))[:, None]).any()
    assert np.array_equal(ranks.top[:, 0], scores.argmax(1))
    results = evaluate(tiny_encoder, own_texts, name="tiny")
    assert results.summary["settings"]["monolingual"]["map"] is None  # nothing else is asked in its own language


def test_a_corpus_that_passes_by_gets_the_ranks_of_one_that_is_kept(
    own_texts: RetrievalSet,
    data: RetrievalSet,
    tiny_encoder: SentenceTransformer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("isoglot.evaluation.evaluate.PART_PASSAGES", 7)
    for each in (own_texts, data):
        kept = rank_set(each, encode_set(tiny_encoder, each))
        for _ in range(2):  # the second time from the store
            _, passed = rank_while_encoding(tiny_encoder, each, store=EmbeddingStore(tmp_path))
            assert np.array_equal(passed.pooled, kept.pooled)
            assert np.array_equal(passed.in_language, kept.in_language)
            assert np.array_equal(passed.top, kept.top)


def test_large_sets_are_evaluated_as_they_pass(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = evaluate(tiny_encoder, data, name="kept").summary
    monkeypatch.setattr("isoglot.evaluation.evaluate.STREAM_ABOVE", 10)
    passed = evaluate(tiny_encoder, data, name="passed").summary
    parallel = ("monolingual", "cross_lingual", "multilingual")
    assert {name: passed["settings"][name] for name in parallel} == {name: kept["settings"][name] for name in parallel}
    assert passed["mixed_corpora"] is None
    for section in SECTIONS:
        without_vectors = {name: None if name.startswith("mrc") else value for name, value in kept[section].items()}
        assert passed[section] == without_vectors
    assert passed["alignment"] == {}


def test_relevance_by_answer_string_looks_into_the_first_passages(tiny_encoder: SentenceTransformer) -> None:
    queries = [Query(f"q{n}", tag, text) for n in range(3) for tag, text in (("de", f"haus {n}"), ("en", f"house {n}"))]
    passages = [Passage(f"p{n}", "en", f"house tree {n} stone") for n in range(200)]
    answers = {"q0": ["Tree"], "q1": ["no such thing"], "q2": ["tree 150"]}
    data = RetrievalSet.build("answers", queries, passages, answers=answers)
    results = evaluate(tiny_encoder, data, name="tiny")
    ranks = rank_set(data, encode_set(tiny_encoder, data))
    assert ranks.top.shape == (6, 100)
    rows = {row["query"]: row for row in results.per_query.to_pylist()}
    for n, query in enumerate(data.query_ids):
        if query.startswith("q0"):
            expected = (1.0, 1.0)
        elif query.startswith("q1"):
            expected = (0.0, 0.0)
        else:
            place = np.flatnonzero(ranks.top[n] == 150)
            expected = tuple(float(len(place) > 0 and place[0] < k) for k in (20, 100))
        assert (rows[query]["answer_recall@20"], rows[query]["answer_recall@100"]) == expected
    assert results.summary["grid"]["measure"] == "answer_recall@20"
    assert results.summary["settings"]["multilingual"]["answer_recall@20"] is None
    assert set(results.summary["by_query_language"]) == {"de", "en"}


def test_first_passages_are_kept_with_their_texts_and_the_mix_counts_them(
    data: RetrievalSet, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    results = evaluate(tiny_encoder, data, name="tiny")
    results.save(tmp_path)
    top = load_results(tmp_path).top
    assert top is not None
    rows = top.to_pylist()
    assert len(rows) == 10 * len(data.query_texts)  # fewer examples than are shown at most
    text = dict(zip(data.passage_ids, data.passage_texts, strict=True))
    judged = {
        (data.query_ids[q], data.passage_ids[p])
        for q, p in zip(data.judgement_query, data.judgement_passage, strict=True)
    }
    for row in rows:
        assert row["passage_text"] == text[row["passage"]]
        assert row["relevant"] == ((row["query"], row["passage"]) in judged)
    mix = results.summary["language_mix"]
    for tag, shares in zip(mix["rows"], mix["values"], strict=True):
        mine = [row["passage_language"] for row in rows if row["query_language"] == tag]
        assert shares == pytest.approx([mine.count(other) / len(mine) for other in mix["columns"]], abs=1e-6)


def test_a_model_is_called_by_its_own_name(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    assert evaluate(tiny_encoder, retrieval_set_of(pairs, "toy")).summary["model"]["name"] == "model"
