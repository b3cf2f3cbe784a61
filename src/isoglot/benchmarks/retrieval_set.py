"""What an evaluation needs to know: queries, passages, and which answers which."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isoglot.errors import InputError
from isoglot.languages import normalize_language

IntArray = npt.NDArray[np.int64]


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
class RetrievalSet:
    """Queries and passages of all languages, and the judgements between them.

    Attributes:
        name: the benchmark's name.
        languages: language tags, sorted; the language columns index them.
        query_example: per query the id that its translations share.
        query_language: `(queries,)`; language numbers.
        query_texts: per query its text.
        passage_ids: per passage an id, unique in the set.
        passage_language: `(passages,)`; language numbers.
        passage_texts: per passage its text.
        judgement_query: `(judgements,)`; query of each relevant pair.
        judgement_passage: `(judgements,)`; passage of each relevant pair.
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

    @classmethod
    def build(
        cls,
        name: str,
        queries: Iterable[Query],
        passages: Iterable[Passage],
        relevant: Iterable[tuple[str, str]],
    ) -> RetrievalSet:
        """Make a set from objects.

        Args:
            name: the benchmark's name.
            queries: all queries.
            passages: all candidates, in the order that breaks ties.
            relevant: pairs of an example and the id of a passage that answers it; every translation of the
                example's query is answered by it.

        Raises:
            InputError: if nothing is judged, an id repeats, or a judgement names what is not there.
        """
        queries, passages = list(queries), list(passages)
        tags = tuple(sorted({query.language for query in queries} | {passage.language for passage in passages}))
        number = {tag: n for n, tag in enumerate(tags)}
        place = {passage.id: n for n, passage in enumerate(passages)}
        if len(place) < len(passages):
            raise InputError(f"{name}: a passage id occurs twice; ids must be unique over all languages")
        asked: dict[str, list[int]] = {}
        for n, query in enumerate(queries):
            asked.setdefault(query.example, []).append(n)
        pairs: set[tuple[int, int]] = set()
        for example, passage_id in relevant:
            if passage_id not in place:
                raise InputError(f"{name}: a judgement names the passage {passage_id!r}, which is not in the corpus")
            pairs.update((query, place[passage_id]) for query in asked.get(example, ()))
        if not pairs:
            raise InputError(f"{name}: no query has a relevant passage, so there is nothing to evaluate")
        judged = np.array(sorted(pairs), np.int64)
        return cls(
            name,
            tags,
            [query.example for query in queries],
            np.array([number[query.language] for query in queries], np.int64),
            [query.text for query in queries],
            [passage.id for passage in passages],
            np.array([number[passage.language] for passage in passages], np.int64),
            [passage.text for passage in passages],
            judged[:, 0],
            judged[:, 1],
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
        kept = np.isin(self.judgement_query, queries) & np.isin(self.judgement_passage, passages)
        if not kept.any():
            raise InputError(f"{self.name}: no query in {', '.join(sorted(wanted))} has a relevant passage there")
        return RetrievalSet(
            self.name,
            tuple(self.languages[n] for n in numbers),
            [self.query_example[n] for n in queries.tolist()],
            np.searchsorted(numbers, self.query_language[queries]),
            [self.query_texts[n] for n in queries.tolist()],
            [self.passage_ids[n] for n in passages.tolist()],
            np.searchsorted(numbers, self.passage_language[passages]),
            [self.passage_texts[n] for n in passages.tolist()],
            np.searchsorted(queries, self.judgement_query[kept]),
            np.searchsorted(passages, self.judgement_passage[kept]),
        )

    @property
    def query_ids(self) -> list[str]:
        """Per query an id that is unique over languages, `example@language`."""
        return [
            f"{example}@{self.languages[n]}" for example, n in zip(self.query_example, self.query_language, strict=True)
        ]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that can change a score; equal for equal content."""
        digest = hashlib.sha256(repr(self.languages).encode())
        for column in (self.query_example, self.query_texts, self.passage_ids, self.passage_texts):
            for text in column:
                digest.update(text.encode() + b"\0")
        for array in (self.query_language, self.passage_language, self.judgement_query, self.judgement_passage):
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        return digest.hexdigest()

    def relevant_languages(self) -> IntArray:
        """`(queries,)`; in how many languages each query has a relevant passage."""
        pairs = self.judgement_query * len(self.languages) + self.passage_language[self.judgement_passage]
        counts = np.bincount(np.unique(pairs) // len(self.languages), minlength=len(self.query_texts))
        return counts.astype(np.int64)
