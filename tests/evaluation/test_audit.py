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
    """Vectors with a share of meaning and of language."""
    data = retrieval_set_of(pairs, "toy")
    rng = np.random.default_rng(0)
    examples = {name: rng.normal(size=64) for name in pairs.example_ids}
    languages = rng.normal(size=(3, 64))

    def vectors(names: list[str], numbers: np.ndarray) -> np.ndarray:
        x = np.stack([examples[name] for name in names]) + language_weight * languages[numbers]
        x += 0.3 * rng.normal(size=x.shape)
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    passages = [name.partition("@")[0] for name in data.passage_ids]
    encoded = EncodedSet(
        vectors(list(data.query_example), data.query_language), vectors(passages, data.passage_language), 0.0
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
        (0.20, "is fair"),  # the excess over the fair share is taken of what is possible, 0.8
        (0.27, "is fair"),
        (0.29, "mildly biased"),
        (0.46, "mildly biased"),
        (0.47, "strongly biased"),
        (0.73, "strongly biased"),
        (0.74, "severely biased"),
        (1.00, "severely biased"),
    ],
)
def test_the_words_change_at_a_tenth_a_third_and_two_thirds(pairs: ParallelPairs, share: float, word: str) -> None:
    results = results_of(pairs, 0.0)
    results.summary["language_bias"].update({"same_language_share@1": share, "fair_share@1": 0.2})
    sentences = verdict(results)
    assert word in sentences[0]
    assert f"{share:.0%} of the time; 20% would be expected" in sentences[0]


def test_the_most_biased_language_is_named(pairs: ParallelPairs) -> None:
    results = results_of(pairs, 1.0)
    for tag, row in results.summary["by_query_language"].items():
        row["same_language_share@1"] = 0.8 if tag == "es" else 0.7
    assert verdict(results)[1].startswith("Most biased is Spanish")


def test_an_audit_is_an_evaluation_of_the_pairs(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    few = pairs.sample(10, seed=0)
    audited = audit(tiny_encoder, few, name="tiny")
    evaluated = evaluate(tiny_encoder, retrieval_set_of(few, "audit"), name="tiny")
    assert audited.per_query.equals(evaluated.per_query)
    assert audited.summary["model"]["name"] == "tiny"
