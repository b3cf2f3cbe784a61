"""What an evaluation needs to know: queries, passages, and which answers which."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from isoglot.common.arrays import BoolArray, IntArray
from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.pairs.texts import ArrowTexts, places, select


def _none() -> IntArray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Query:
    """One question in one language; translations share the example."""

    example: str
    language: str
    text: str


@dataclass(frozen=True)
class Passage:
    """One candidate in one language."""

    id: str
    language: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """All candidates as columns, for a corpus too large for one object per passage.

    Attributes:
        ids, texts: per passage an id, unique over all languages, and its text.
        languages: language tags, each once.
        language: `(passages,)`; numbers that index `languages`.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    languages: Sequence[str]
    language: IntArray

    @classmethod
    def of(cls, passages: Iterable[Passage]) -> Corpus:
        """The columns of passages that are at hand as objects."""
        passages = list(passages)
        tags, language = np.unique(np.array([passage.language for passage in passages], str), return_inverse=True)
        ids, texts = [passage.id for passage in passages], [passage.text for passage in passages]
        return cls(ids, texts, tags.tolist(), language)


@dataclass(frozen=True)
class RetrievalSet:
    """Queries and passages of all languages, and the judgements between them.

    Attributes:
        name: the benchmark's name.
        languages: language tags, sorted; the language columns index them.
        query_example, query_language, query_texts: per query the id that its translations share, language number, text.
        passage_ids, passage_language, passage_texts: per passage an id, unique in the set, language number, text.
        judgement_query, judgement_passage: `(judgements,)`; query and passage of each relevant pair.
        judgement_grade: `(judgements,)`; how relevant, from 1; all 1 where not given.
        ignored_query, ignored_passage: `(ignored,)`; a query, and a passage that is left out of its ranking, most often
            the query's own text. Never judged relevant.
        answers: per query the strings of which a relevant passage holds one, where relevance is decided by the
            passage's text and there are no judgements; else None.
    """

    name: str
    languages: tuple[str, ...]
    query_example: Sequence[str]
    query_language: IntArray
    query_texts: Sequence[str]
    passage_ids: Sequence[str]
    passage_language: IntArray
    passage_texts: Sequence[str]
    judgement_query: IntArray
    judgement_passage: IntArray
    judgement_grade: IntArray = field(default_factory=_none)
    ignored_query: IntArray = field(default_factory=_none)
    ignored_passage: IntArray = field(default_factory=_none)
    answers: Sequence[Sequence[str]] | None = None

    def __post_init__(self) -> None:  # noqa: D105
        if not len(self.judgement_grade):
            object.__setattr__(self, "judgement_grade", np.ones(len(self.judgement_query), np.int64))

    @classmethod
    def build(
        cls,
        name: str,
        queries: Iterable[Query],
        passages: Iterable[Passage] | Corpus,
        relevant: Iterable[tuple[str, str] | tuple[str, str, int]] = (),
        *,
        ignored: Iterable[tuple[str, str]] = (),
        answers: Mapping[str, Sequence[str]] | None = None,
    ) -> RetrievalSet:
        """Make a set from objects.

        Args:
            name: the benchmark's name.
            queries: all queries.
            passages: all candidates, in the order that breaks ties.
            relevant: an example, the id of a passage that answers it and, if graded, how well; every translation of
                the example's query is answered by it. A grade below 1 says that the passage is not relevant.
            ignored: the id of a query, `example@language`, and of a passage that is left out of its ranking and
                not relevant to it.
            answers: an example to the strings of which a relevant passage holds one; nothing is relevant to an example
                that is not named.

        Raises:
            InputError: if nothing is judged, an id repeats (that of an example: in one language), or a judgement names
                what is not there.
        """
        queries = list(queries)
        _refuse_repeated(name, queries)
        corpus = passages if isinstance(passages, Corpus) else Corpus.of(passages)
        # Ids on disk are known to be unique since they were written; a set of millions would fill the memory.
        if not isinstance(corpus.ids, ArrowTexts) and len(set(corpus.ids)) < len(corpus.ids):
            raise InputError(f"{name}: a passage id occurs twice; ids must be unique over all languages")
        graded = [(*pair, 1)[:3] for pair in relevant]
        ignored = list(ignored)
        place = places(corpus.ids, {passage for _, passage, *_ in (*graded, *ignored)})
        judged = _judged_pairs(name, queries, place, graded)
        left_out = _ignored_pairs(name, queries, place, ignored)
        size = len(corpus.ids)
        judged = judged[~np.isin(judged[:, 0] * size + judged[:, 1], left_out[:, 0] * size + left_out[:, 1])]
        if answers is None and not len(judged):
            raise InputError(f"{name}: no query has a relevant passage, so there is nothing to evaluate")
        tags = tuple(sorted({query.language for query in queries} | set(corpus.languages)))
        number = {tag: n for n, tag in enumerate(tags)}
        return cls(
            name,
            tags,
            [query.example for query in queries],
            np.array([number[query.language] for query in queries], np.int64),
            [query.text for query in queries],
            corpus.ids,
            np.array([number[tag] for tag in corpus.languages], np.int64)[corpus.language],
            corpus.texts,
            judged[:, 0],
            judged[:, 1],
            judged[:, 2],
            left_out[:, 0],
            left_out[:, 1],
            None if answers is None else [list(answers.get(query.example, ())) for query in queries],
        )

    def in_languages(self, languages: Iterable[str]) -> RetrievalSet:
        """Only the queries and passages in these languages.

        Raises:
            InputError: if one is not in the set, or nothing is judged among them.
        """
        wanted = {normalize_language(tag) for tag in languages}
        if unknown := sorted(wanted - set(self.languages)):
            raise InputError(f"{self.name}: no language {unknown[0]!r}; there are {', '.join(self.languages)}")
        numbers = [n for n, tag in enumerate(self.languages) if tag in wanted]
        queries = np.flatnonzero(np.isin(self.query_language, numbers))
        passages = np.flatnonzero(np.isin(self.passage_language, numbers))
        part = self.select(queries, passages)
        if not (len(part.judgement_query) if self.answers is None else len(queries) and len(passages)):
            raise InputError(f"{self.name}: no query in {', '.join(sorted(wanted))} has a relevant passage there")
        return replace(
            part,
            languages=tuple(self.languages[n] for n in numbers),
            query_language=np.searchsorted(numbers, part.query_language),
            passage_language=np.searchsorted(numbers, part.passage_language),
        )

    def select(self, queries: IntArray, passages: IntArray) -> RetrievalSet:
        """Only these queries and passages, by number in ascending order, and the judgements among them."""
        kept = np.isin(self.judgement_query, queries) & np.isin(self.judgement_passage, passages)
        ignored = np.isin(self.ignored_query, queries) & np.isin(self.ignored_passage, passages)
        return replace(
            self,
            query_example=select(self.query_example, queries),
            query_language=self.query_language[queries],
            query_texts=select(self.query_texts, queries),
            passage_ids=select(self.passage_ids, passages),
            passage_language=self.passage_language[passages],
            passage_texts=select(self.passage_texts, passages),
            judgement_query=np.searchsorted(queries, self.judgement_query[kept]),
            judgement_passage=np.searchsorted(passages, self.judgement_passage[kept]),
            judgement_grade=self.judgement_grade[kept],
            ignored_query=np.searchsorted(queries, self.ignored_query[ignored]),
            ignored_passage=np.searchsorted(passages, self.ignored_passage[ignored]),
            answers=None if self.answers is None else [self.answers[n] for n in queries.tolist()],
        )

    @property
    def query_ids(self) -> list[str]:
        """Per query an id that is unique over languages, `example@language`."""
        tags = (self.languages[n] for n in self.query_language.tolist())
        return [f"{example}@{tag}" for example, tag in zip(self.query_example, tags, strict=True)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that can change a score; equal for equal content."""
        digest = hashlib.sha256(repr(self.languages).encode())
        for column in (self.query_example, self.query_texts, self.passage_ids, self.passage_texts):
            for text in column:
                digest.update(text.encode() + b"\0")
        for array in (self.query_language, self.passage_language, self.judgement_query, self.judgement_passage):
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        # Sets without these parts keep the fingerprint that they had before there were such parts.
        if (self.judgement_grade != 1).any():
            digest.update(b"grades" + np.ascontiguousarray(self.judgement_grade, np.int64).tobytes())
        if len(self.ignored_query):
            ignored = np.stack([self.ignored_query, self.ignored_passage])
            digest.update(b"ignored" + np.ascontiguousarray(ignored, np.int64).tobytes())
        if self.answers is not None:
            digest.update(b"answers" + json.dumps([list(strings) for strings in self.answers]).encode())
        return digest.hexdigest()


def _refuse_repeated(name: str, queries: Sequence[Query]) -> None:
    counts = Counter((query.example, query.language) for query in queries)
    if twice := next((key for key, count in counts.items() if count > 1), None):
        example, tag = twice
        raise InputError(f"{name}: the query id {example!r} occurs twice in {tag}; ids must be unique in a language")


def _judged_pairs(
    name: str, queries: Sequence[Query], place: Mapping[str, int], relevant: Sequence[tuple[str, str, int]]
) -> IntArray:
    """`(pairs, 3)`; query, passage and grade of each relevant pair, in order; the best grade where judged twice."""
    for _, passage_id, _ in relevant:
        if passage_id not in place:
            raise InputError(f"{name}: a judgement names the passage {passage_id!r}, which is not in the corpus")
    number: dict[str, int] = {}
    of_query = np.array([number.setdefault(query.example, len(number)) for query in queries], np.int64)
    by_example = np.argsort(of_query, kind="stable")
    counts = np.bincount(of_query, minlength=len(number))
    known = (one for one in relevant if one[2] > 0 and one[0] in number)
    judged = np.array([(number[example], place[one], grade) for example, one, grade in known], np.int64).reshape(-1, 3)
    times = counts[judged[:, 0]]  # every translation of the example's query is answered
    pairs = np.repeat(judged, times, axis=0)
    nth = np.arange(len(pairs)) - np.repeat(np.cumsum(times) - times, times)
    pairs[:, 0] = by_example[(np.cumsum(counts) - counts)[pairs[:, 0]] + nth]
    pairs = pairs[np.lexsort((-pairs[:, 2], pairs[:, 1], pairs[:, 0]))]
    first: BoolArray = (np.diff(pairs[:, :2], axis=0, prepend=-1) != 0).any(axis=1)
    return pairs[first]


def _ignored_pairs(
    name: str, queries: Sequence[Query], place: Mapping[str, int], ignored: Sequence[tuple[str, str]]
) -> IntArray:
    """`(pairs, 2)`; query and passage of each ignored pair, in order."""
    number = {f"{query.example}@{query.language}": n for n, query in enumerate(queries)} if ignored else {}
    for query_id, passage_id in ignored:
        if query_id not in number or passage_id not in place:
            raise InputError(f"{name}: cannot ignore {passage_id!r} for {query_id!r}; one of them is not in the set")
    pairs = {(number[query_id], place[passage_id]) for query_id, passage_id in ignored}
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)
