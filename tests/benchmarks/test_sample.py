"""The small parallel set that is fetched where nobody gives one."""

from __future__ import annotations

from typing import Any

import pytest

from isoglot.benchmarks import Passage, Query, RetrievalSet, sample
from isoglot.benchmarks.sample import FEWEST_EXAMPLES, parallel_sample
from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs


def refuse(*_: Any, **__: Any) -> Any:
    raise InputError("not reached")


def belebele(languages: list[str]) -> RetrievalSet:
    """Two questions about each of 30 passages, one of which is asked in one language only."""
    passages = [Passage(f"{tag}/{n}", tag, f"{tag} {n}") for tag in languages for n in range(30)]
    queries = [
        Query(f"link{n}#{k}", tag, f"{tag} {n} {k}")
        for tag in languages
        for n in range(30)
        for k in (1, 2)
        if n or tag == "de"
    ]
    relevant = [(f"link{n}#{k}", f"{tag}/{n}") for tag in languages for n in range(30) for k in (1, 2)]
    return RetrievalSet.build("belebele", queries, passages, relevant)


def test_debian_comes_first_and_the_same_examples_are_drawn(
    pairs: ParallelPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "load_debian_in", pairs.filter_languages)
    monkeypatch.setattr(sample, "load_belebele", refuse)
    data = parallel_sample(["deu", "en"], texts=100)
    assert (data.name, data.languages, len(data.query_texts), len(data.passage_texts)) == (
        "debian",
        ("de", "en"),
        50,
        50,
    )
    assert parallel_sample(["en", "de"], texts=100).fingerprint == data.fingerprint
    assert len(set(parallel_sample(["en", "de"], texts=2).query_example)) == FEWEST_EXAMPLES


def test_without_it_belebele_asks_one_question_of_each_passage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "load_debian_in", refuse)
    monkeypatch.setattr(sample, "load_belebele", belebele)
    data = parallel_sample(["de", "sw"])
    assert data.name == "belebele"
    assert len(data.passage_texts) == len(data.query_texts) == 2 * 29
    assert {name.partition("#")[0] for name in data.query_example} == {f"link{n}" for n in range(1, 30)}
    assert len(data.judgement_query) == 2 * 2 * 29


def test_too_few_parallel_texts_are_passed_over(pairs: ParallelPairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "load_debian_in", lambda tags: pairs.sample(FEWEST_EXAMPLES - 1, seed=0))
    monkeypatch.setattr(sample, "load_belebele", refuse)
    with pytest.raises(InputError, match=r"de, en from here \(debian: only 19 examples .*; not reached\); name yours"):
        parallel_sample(["de", "en"])


def test_one_language_is_not_enough() -> None:
    with pytest.raises(InputError, match="de: a parallel set takes two languages or more"):
        parallel_sample(["de", "deu"])
