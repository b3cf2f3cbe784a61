"""Retrieval sets: grades, ignored passages, answers, and what a part of a set keeps of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.benchmarks import Corpus, Passage, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.pairs.texts import ArrowTexts

TAGS = ("de", "en", "fi")
EXAMPLES = ("a", "b", "c")
QUERIES = [Query(example, tag, f"{example} {tag}?") for example in EXAMPLES for tag in TAGS]
PASSAGES = [Passage(f"{n}@{tag}", tag, f"text {n} {tag}") for tag in TAGS for n in range(3)]

relevant_pairs = st.lists(
    st.tuples(st.sampled_from([*EXAMPLES, "unasked"]), st.sampled_from([p.id for p in PASSAGES]), st.integers(0, 3)),
    max_size=20,
)
ignored_pairs = st.lists(
    st.tuples(
        st.sampled_from([f"{q.example}@{q.language}" for q in QUERIES]), st.sampled_from([p.id for p in PASSAGES])
    ),
    max_size=8,
)


def build(relevant: Any, ignored: Any = (), answers: Any = None) -> RetrievalSet:
    return RetrievalSet.build("toy", QUERIES, PASSAGES, relevant, ignored=ignored, answers=answers)


def judgements_of(data: RetrievalSet) -> dict[tuple[str, str], int]:
    ids = data.query_ids
    return {
        (ids[q], data.passage_ids[p]): int(grade)
        for q, p, grade in zip(data.judgement_query, data.judgement_passage, data.judgement_grade, strict=True)
    }


def ignored_of(data: RetrievalSet) -> set[tuple[str, str]]:
    ids = data.query_ids
    return {(ids[q], data.passage_ids[p]) for q, p in zip(data.ignored_query, data.ignored_passage, strict=True)}


def test_a_query_stands_once_in_a_language() -> None:
    with pytest.raises(InputError, match="toy: the query id 'a' occurs twice in de; ids must be unique in a language"):
        RetrievalSet.build("toy", [*QUERIES, Query("a", "de", "again?")], PASSAGES, [("a", "0@de")])


@given(relevant_pairs, ignored_pairs)
def test_judgements_are_those_of_a_plain_loop(
    relevant: list[tuple[str, str, int]], ignored: list[tuple[str, str]]
) -> None:
    expected: dict[tuple[str, str], int] = {}
    for query in QUERIES:
        name = f"{query.example}@{query.language}"
        for example, passage, grade in relevant:
            if example == query.example and grade > 0 and (name, passage) not in ignored:
                expected[name, passage] = max(grade, expected.get((name, passage), 0))
    if not expected:
        with pytest.raises(InputError, match="nothing to evaluate"):
            build(relevant, ignored)
        return
    data = build(relevant, ignored)
    assert judgements_of(data) == expected
    assert ignored_of(data) == set(ignored)
    pairs = list(zip(data.judgement_query.tolist(), data.judgement_passage.tolist(), strict=True))
    assert pairs == sorted(set(pairs))


@given(relevant_pairs, ignored_pairs, st.sets(st.sampled_from(TAGS), min_size=1), st.booleans())
def test_a_part_of_a_set_keeps_its_grades_what_it_ignores_and_its_answers(
    relevant: list[tuple[str, str, int]], ignored: list[tuple[str, str]], tags: set[str], answered: bool
) -> None:
    answers = {example: [f"answer {example}"] for example in EXAMPLES} if answered else None
    queries = [query for query in QUERIES if query.language in tags]
    passages = [passage for passage in PASSAGES if passage.language in tags]
    held = {passage.id for passage in passages}
    names = {f"{query.example}@{query.language}" for query in queries}
    try:
        built = RetrievalSet.build(
            "toy",
            queries,
            passages,
            [pair for pair in relevant if pair[1] in held],
            ignored=[pair for pair in ignored if pair[0] in names and pair[1] in held],
            answers=answers,
        )
    except InputError:
        with pytest.raises(InputError, match=r"nothing to evaluate|has a relevant passage there"):
            build(relevant, ignored, answers).in_languages(tags)
        return
    part = build(relevant, ignored, answers).in_languages(tags)
    assert part.fingerprint == built.fingerprint
    assert judgements_of(part) == judgements_of(built)
    assert ignored_of(part) == ignored_of(built)
    assert part.answers == built.answers


def test_a_set_without_grades_has_the_fingerprint_it_always_had() -> None:
    data = build([("a", "0@de"), ("b", "1@en")])
    assert data.fingerprint == "62a96b44ce896bd3ea34c3e5b50d67dcffeaf701418f0f53941f128ded2d4366"
    assert data.judgement_grade.tolist() == [1] * 6
    assert build([("a", "0@de", 1), ("b", "1@en", 1)]).fingerprint == data.fingerprint


def test_a_fingerprint_knows_grades_ignored_passages_and_answers() -> None:
    relevant = [("a", "0@de", 2), ("b", "1@en", 1)]
    sets = [
        build(relevant),
        build([("a", "0@de", 3), ("b", "1@en", 1)]),
        build(relevant, [("a@de", "1@de")]),
        build(relevant, [("a@de", "2@de")]),
        build(relevant, [("a@en", "1@de")]),
        build(relevant, answers={example: ["x"] for example in EXAMPLES}),
        build(relevant, answers={example: ["x", "y"] for example in EXAMPLES}),
    ]
    assert len({data.fingerprint for data in sets}) == len(sets)
    assert replace(sets[0], name="other").fingerprint == sets[0].fingerprint


def test_answers_need_no_judgements() -> None:
    data = build([], answers={"a": ["x"], "c": ("y", "z")})
    assert data.answers is not None
    assert [data.answers[n] for n in (0, 3, 6)] == [["x"], [], ["y", "z"]]
    assert len(data.judgement_query) == len(data.judgement_grade) == 0


def test_a_corpus_on_disk_makes_the_same_set() -> None:
    relevant, ignored = [("a", "0@de", 2), ("c", "2@fi", 1)], [("a@en", "1@fi")]
    ids = ArrowTexts(pa.chunked_array([[p.id for p in PASSAGES[:4]], [p.id for p in PASSAGES[4:]]]))
    texts = ArrowTexts(pa.chunked_array([[p.text for p in PASSAGES[:1]], [p.text for p in PASSAGES[1:]]]))
    corpus = Corpus(ids, texts, ["fi", "en", "de"], np.array([2, 2, 2, 1, 1, 1, 0, 0, 0]))
    mapped = RetrievalSet.build("toy", QUERIES, corpus, relevant, ignored=ignored)
    assert mapped.fingerprint == build(relevant, ignored).fingerprint
    part = mapped.in_languages(["fi", "en"])
    assert isinstance(part.passage_texts, ArrowTexts)
    assert part.fingerprint == build(relevant, ignored).in_languages(["en", "fi"]).fingerprint


def test_an_ignored_pair_must_be_of_the_set() -> None:
    for pair in [("a@sv", "0@de"), ("a@de", "9@de")]:
        with pytest.raises(InputError, match=f"cannot ignore '{pair[1]}' for '{pair[0]}'; one of them is not"):
            build([("a", "0@de")], [pair])
