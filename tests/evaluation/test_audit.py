"""The verdict, on rankings that are made to be fair or not."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import retrieval_set_of
from isoglot.evaluation.audit import audit, verdict
from isoglot.evaluation.averages import summarise
from isoglot.evaluation.evaluate import EncodedSet, evaluate, rank_set
from isoglot.evaluation.results import Results
from isoglot.pairs import ParallelPairs


def results_of(pairs: ParallelPairs, language_weight: float) -> Results:
    """Vectors with a share of meaning and of language; queries turn away from theirs where the weight is negative."""
    data = retrieval_set_of(pairs, "toy")
    rng = np.random.default_rng(0)
    examples = {name: rng.normal(size=64) for name in pairs.example_ids}
    languages = rng.normal(size=(3, 64))

    def vectors(names: list[str], numbers: np.ndarray, weight: float) -> np.ndarray:
        x = np.stack([examples[name] for name in names]) + weight * languages[numbers]
        x += 0.3 * rng.normal(size=x.shape)
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    passages = [name.partition("@")[0] for name in data.passage_ids]
    encoded = EncodedSet(
        vectors(list(data.query_example), data.query_language, language_weight),
        vectors(passages, data.passage_language, abs(language_weight)),
        0.0,
    )
    table, summary = summarise(data, rank_set(data, encoded))
    return Results(summary, table)


@pytest.mark.parametrize(("weight", "word"), [(0.0, "is fair"), (3.0, "severely biased")])
def test_the_verdict_says_what_the_ranking_does(pairs: ParallelPairs, weight: float, word: str) -> None:
    results = results_of(pairs, weight)
    sentences = verdict(results)
    assert word in sentences[0]
    assert "33% would be expected of a fair model" in sentences[0]
    assert any(name in sentences[1] for name in ("German", "English", "Spanish"))
    assert ("isoglot debias" in " ".join(sentences)) == (weight > 0)


def test_one_language_has_no_bias_to_measure(pairs: ParallelPairs) -> None:
    assert "cannot be measured" in verdict(results_of(pairs.filter_languages(["de"]), 0.0))[0]


@pytest.mark.parametrize(
    ("share", "word"),
    [
        (0.20, "is fair, leaning neither way"),  # the distance from the fair share is taken of what is possible, 0.8
        (0.27, "is fair"),
        (0.29, "mildly biased towards the query's language"),
        (0.46, "mildly biased towards"),
        (0.47, "strongly biased towards"),
        (0.73, "strongly biased towards"),
        (0.74, "severely biased towards"),
        (1.00, "severely biased towards"),
        (0.19, "is fair"),  # below it of 0.2
        (0.17, "mildly biased away from the query's language"),
        (0.12, "strongly biased away from"),
        (0.00, "severely biased away from"),
    ],
)
def test_the_words_change_at_a_tenth_a_third_and_two_thirds(pairs: ParallelPairs, share: float, word: str) -> None:
    results = results_of(pairs, 0.0)
    figures = {"same_language_share@1": share, "fair_share@1": 0.2}
    results.summary["language_bias"].update(figures)
    for row in results.summary["by_query_language"].values():
        row.update({**figures, "queries": 100_000})
    sentences = verdict(results)
    assert word in sentences[0]
    assert f"{share:.0%} of the time; 20% would be expected" in sentences[0]
    assert ("isoglot debias" in " ".join(sentences)) == ("biased" in word)


def test_a_model_that_avoids_the_query_s_language_is_not_fair(pairs: ParallelPairs) -> None:
    sentences = verdict(results_of(pairs, -3.0))
    assert "severely biased away from the query's language" in sentences[0]
    assert "leans furthest away from" in sentences[1]
    assert "isoglot debias" in sentences[-1]


def test_the_language_that_leans_furthest_is_named_on_either_side(pairs: ParallelPairs) -> None:
    results = results_of(pairs, 1.0)
    for tag, row in results.summary["by_query_language"].items():
        row["same_language_share@1"] = 0.8 if tag == "es" else 0.7
    assert verdict(results)[1].startswith("It leans furthest towards Spanish where Spanish is asked")
    results.summary["by_query_language"]["de"]["same_language_share@1"] = 0.0
    assert verdict(results)[1].startswith("It leans furthest away from German where German is asked")


def test_errors_and_preference_are_told_apart(pairs: ParallelPairs) -> None:
    said = " ".join(verdict(results_of(pairs, 0.0)))
    assert "Errors: 0% of the right answers have a wrong passage above them." in said
    assert "Preference, which is no error" in said
    assert "Errors: 67% of the right answers" in " ".join(verdict(results_of(pairs, 3.0)))


def test_an_aligned_sentence_does_not_find_itself(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    """Rows whose query is their passage are left out of their own rankings; the others are not."""
    rows = [
        {"id": f"{n}", "language": tag, "query": text, "passage": text}
        for n, words in enumerate(["red house", "blue tree", "white river"])
        for tag, text in (("en", words), ("de", f"{words} stein"))
    ]
    rows.append({"id": "0", "language": "es", "query": "casa", "passage": "casa roja"})
    results = audit(tiny_encoder, ParallelPairs.from_rows(rows))
    pooled = [row for row in results.per_query.to_pylist() if row["setting"] == "multilingual"]
    assert {row["query"] for row in pooled} == {f"{n}@{tag}" for n in range(3) for tag in ("en", "de")} | {"0@es"}
    own = [row["query"] for row in results.per_query.to_pylist() if row["setting"] == "monolingual"]
    assert own == ["0@es"]
    assert not any(row["query"] == row["passage"] for row in results.top.to_pylist() if row["query"] != "0@es")
    assert "nan" not in " ".join(verdict(results))


def test_an_audit_is_an_evaluation_of_the_pairs(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    few = pairs.sample(10, seed=0)
    audited = audit(tiny_encoder, few, name="tiny")
    evaluated = evaluate(tiny_encoder, retrieval_set_of(few, "audit"), name="tiny")
    assert audited.per_query.equals(evaluated.per_query)
    assert audited.summary["model"]["name"] == "tiny"
