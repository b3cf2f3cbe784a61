"""Questions to an index: nearest rows, shared fairly among languages, each document once, and why there are so few."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import numpy as np

from isoglot.common.arrays import FloatArray, IntArray
from isoglot.common.errors import InputError
from isoglot.common.languages import shortest_language
from isoglot.runtime.encoder import TextEncoder
from isoglot.search.agreement import ASKING, refuse_others
from isoglot.search.collapsing import by_document, by_likeness, in_readers_language, usual_cosine
from isoglot.search.exact import score
from isoglot.search.hits import Hit, Hits
from isoglot.search.index import Index, Nearest, Wanted
from isoglot.search.mixing import Language, Mix, load_mix, prefer_own
from isoglot.search.store import NO_ROWS, State
from isoglot.vectors.maps import VectorMap
from isoglot.vectors.provenance import Provenance

_COLLAPSED = (256, 1024, 4096)
"""How many rows of a list are looked at for documents, one after the other while there are too few."""
_ALL_COLLAPSED = 16_384
"""How many rows of all lists together are, for each is compared with all others."""


class Rows(Protocol):
    """Where rows that were found are looked up."""

    def rows(self, numbers: Sequence[int] | IntArray, names: Sequence[str]) -> list[dict[str, Any]]:
        """Columns of a few rows."""
        ...

    def vectors(self, numbers: Sequence[int] | IntArray) -> FloatArray:
        """Their vectors."""
        ...

    def translations(self, groups: Sequence[str]) -> IntArray:
        """Numbers of the rows of some documents."""
        ...


@dataclass(frozen=True)
class _Wish:
    """How a list is to be."""

    limit: int
    tags: frozenset[Language] | None
    reader: Language
    mix: Mix
    epsilon: float | None
    collapse: bool


@dataclass(frozen=True)
class _Candidate:
    number: int
    score: float
    id: str
    language: Language
    group: str | None


class Searcher:
    """An index that is open for questions, as `open_index` gives it.

    Attributes:
        name: the folder or URL.
        encoder: turns questions into vectors; None if only vectors are asked with.
        provenance: of the vectors in the index.
        languages: rows of each language.
        dimensions: of a vector.
        note: what people should know of how the index is searched, if anything.
    """

    def __init__(
        self,
        name: str,
        rows: Rows,
        index: Index,
        state: State,
        *,
        mapping: VectorMap | None = None,
        note: str | None = None,
    ) -> None:
        self._rows, self._index, self._state, self._mapping = rows, index, state, mapping
        self.encoder: TextEncoder | None = None
        self.name, self.note = name, note
        self.provenance: Provenance = state.provenance
        self.languages, self.dimensions = dict(state.languages), state.dimensions

    def __len__(self) -> int:
        """How many rows there are."""
        return self._state.rows

    def ask_with(self, encoder: TextEncoder) -> None:
        """Take an encoder for questions.

        Raises:
            InputError: if it is another than that which made the vectors in the index.
        """
        refuse_others(self.name, self.provenance, encoder.provenance("query"), ASKING)
        if encoder.dimensions != self.dimensions:
            raise InputError(
                f"{self.name}: holds vectors of {self.dimensions} numbers, {encoder.name} gives {encoder.dimensions}"
            )
        self.encoder = encoder

    def search(
        self,
        question: str,
        *,
        limit: int = 10,
        languages: Iterable[str] | None = None,
        language: str | None = None,
        mix: str = "none",
        prefer_own_language: float | None = None,
        collapse: bool = False,
    ) -> Hits:
        """Find what answers a question.

        Shorter lists are beginnings of longer ones, but where `prefer_own_language` goes with a mix, for which are
        equals hangs on what was found; rows of one score come in the order of their keys. Filters, mixes and collapsing
        come before the list is cut.

        Args:
            question: in any language that the encoder knows.
            limit: how many hits, at least 1.
            languages: only these, in any spelling; all if None.
            language: the reader's, for the two below.
            mix: how languages share the list: `none`, `cap:N`, `floor:P` or `round-robin`, see `mixing`.
            prefer_own_language: put hits in the reader's language before others that score at most so much better.
            collapse: show each document once, in the reader's language where it has one, translations under it.
                Where the corpus names no groups, rows that are nearly one vector are one document; they are looked for
                among the best 256 rows of a list, and among more only where documents are too few.

        Raises:
            InputError: if there is no encoder, an argument is out of range, or the question says nothing.
        """
        if self.encoder is None:
            raise InputError("no encoder was given to open_index; search with search_vectors")
        if not question.strip():
            raise InputError("the question is empty")
        vectors = self.mapped(self.encoder.encode([question], "query"), language)
        return self.search_vectors(
            vectors,
            limit=limit,
            languages=languages,
            language=language,
            mix=mix,
            prefer_own_language=prefer_own_language,
            collapse=collapse,
        )[0]

    def mapped(self, vectors: FloatArray, language: str | None = None) -> FloatArray:
        """Vectors of questions as the index needs them: with the map applied that its own went through.

        Raises:
            InputError: if the map goes by language, and none is given.
        """
        if self._mapping is None or self._mapping.sides == "passages":
            return vectors
        if self._mapping.languages and language is None:
            raise InputError(f"the map of {self._mapping.remedy} goes by language; say which the question is in")
        return self._mapping.apply(vectors, [language or ""] * len(vectors)).astype(np.float32)

    def search_vectors(
        self,
        vectors: FloatArray,
        *,
        limit: int = 10,
        languages: Iterable[str] | None = None,
        language: str | None = None,
        mix: str = "none",
        prefer_own_language: float | None = None,
        collapse: bool = False,
    ) -> list[Hits]:
        """As `search`, for several questions that are vectors already: `(questions, dimensions)`, and `mapped`.

        Raises:
            InputError: as `search` does, or if the vectors are of another length or not finite.
        """
        wish = _wish(limit, languages, language, mix, prefer_own_language, collapse)
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions or not np.isfinite(vectors).all():
            raise InputError(f"vectors {vectors.shape}: the index takes finite ones, (questions, {self.dimensions})")
        if self._similarity == "cosine":
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        if wish.collapse:
            return [self._collapsed(vector, wish) for vector in vectors]
        found = self._nearest(vectors, wish.limit, wish)
        return [self._listed(self._candidates(each), wish) for each in found]

    def close(self) -> None:
        """Let go of the index, so that another process may have it."""
        self._index.close()

    @property
    def _similarity(self) -> str:
        return self.provenance.similarity or "cosine"

    def _nearest(self, vectors: FloatArray, depth: int, wish: _Wish) -> list[list[Nearest]]:
        wanted = self._wanted(wish)
        return self._index.nearest(vectors, depth, wanted) if wanted else [[] for _ in vectors]

    def _wanted(self, wish: _Wish) -> list[Wanted]:
        """Sets of languages whose best are candidates: all that are wanted, or each by itself."""
        if not wish.mix.by_language and wish.epsilon is None:
            return [wish.tags]
        among = [tag for tag, rows in self._rows_of().items() if rows and (wish.tags is None or tag in wish.tags)]
        return [frozenset([tag]) for tag in sorted(among, key=str)]

    def _rows_of(self) -> dict[Language, int]:
        """Rows of each language, and of none."""
        silent = self._state.rows - sum(self.languages.values())
        return dict([*self.languages.items(), (None, silent)])

    def _candidates(self, found: Sequence[Nearest]) -> list[_Candidate]:
        """What was found, best first, and of one score in the order of the keys."""
        scores = {int(n): float(s) for each in found for n, s in zip(each.numbers, each.scores, strict=True)}
        rows = self._rows.rows(list(scores), ["id", "language", "group"])
        candidates = [
            _Candidate(number, scores[number], row["id"], row["language"] or None, row["group"])
            for number, row in zip(scores, rows, strict=True)
        ]
        return sorted(candidates, key=lambda each: (-each.score, each.id, each.language or ""))

    def _listed(self, candidates: Sequence[_Candidate], wish: _Wish) -> Hits:
        documents = [[number] for number in self._preferred(candidates, wish)]
        return self._shown(candidates, documents, wish)

    def _preferred(self, candidates: Sequence[_Candidate], wish: _Wish) -> list[int]:
        if wish.epsilon is None:
            return list(range(len(candidates)))
        own = [each.language == wish.reader for each in candidates]
        return prefer_own([each.score for each in candidates], own, wish.epsilon)

    def _collapsed(self, vector: FloatArray, wish: _Wish) -> Hits:
        """As `_listed`, with each document once.

        A document counts for the language in which it is found best. Of each language so many rows are looked at that
        enough documents count for it, for whatever is not yet seen stands behind these. Which rows are alike is told by
        the first of each list alone, so that it does not hang on how many are looked at.
        """
        query, lists = vector[None], max(1, len(self._wanted(wish)))
        for depth in dict.fromkeys(max(wish.limit, min(each, _ALL_COLLAPSED // lists)) for each in _COLLAPSED):
            (found,) = self._nearest(query, depth, wish)
            candidates = self._candidates([*found, self._translations(query, found, wish)])
            first = {int(number) for each in found for number in each.numbers[: _COLLAPSED[0]]}
            documents = self._documents(candidates, first, wish)
            heads = {candidates[members[0]].number for members in documents}
            if all(each.complete or np.isin(each.numbers, list(heads)).sum() >= wish.limit for each in found):
                return self._shown(candidates, documents, wish)
        hits = self._shown(candidates, documents, wish)
        said = f"{len(hits.hits)} of {wish.limit} hits: only the best {depth:,} rows of each list were looked at."
        return hits if hits.note is None else replace(hits, note=said)

    def _translations(self, query: FloatArray, found: Sequence[Nearest], wish: _Wish) -> Nearest:
        """The other rows of the documents that were found, wherever they stand."""
        numbers = np.concatenate([NO_ROWS, *(each.numbers for each in found)])
        rows = self._rows.rows(numbers, ["id", "group"])
        others = np.setdiff1d(self._rows.translations(sorted({_document(row) for row in rows})), numbers)
        if wish.tags is not None:
            spoken = [row["language"] or None for row in self._rows.rows(others, ["language"])]
            others = others[[tag in wish.tags for tag in spoken]]
        scores = score(query, self._rows.vectors(others), self._similarity)[0]
        return Nearest(others, scores, True)

    def _documents(self, candidates: Sequence[_Candidate], first: Collection[int], wish: _Wish) -> list[list[int]]:
        """Candidates of each document, best first; documents in the order in which they are wanted.

        Args:
            candidates: all.
            first: numbers of the rows that say which cosine is usual between languages.
            wish: how the list is to be.
        """
        keys = [_document({"id": each.id, "group": each.group}) for each in candidates]
        rows = Counter(keys)
        lone = [n for n, key in enumerate(keys) if candidates[n].group is None and rows[key] == 1]
        vectors = self._rows.vectors([candidates[n].number for n in lone])
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        vectors, languages = vectors / lengths, [candidates[n].language for n in lone]
        telling = [at for at, n in enumerate(lone) if candidates[n].number in first]
        usual = usual_cosine(vectors[telling], [languages[at] for at in telling])
        for n, head in zip(lone, by_likeness(vectors, languages, usual), strict=True):
            keys[n] = keys[lone[head]]
        order = self._preferred(candidates, wish)
        return [[order[at] for at in members] for members in by_document([keys[n] for n in order])]

    def _shown(self, candidates: Sequence[_Candidate], documents: Sequence[Sequence[int]], wish: _Wish) -> Hits:
        """The documents that the mix shows, cut at the limit."""
        spoken = [candidates[members[0]].language for members in documents]
        rows_of = {tag: rows for tag, rows in self._rows_of().items() if wish.tags is None or tag in wish.tags}
        total = max(1, sum(rows_of.values()))
        order = wish.mix.order(spoken, {tag: rows / total for tag, rows in rows_of.items()})
        languages = [each.language for each in candidates]
        shown = [
            in_readers_language(documents[n], languages, wish.reader if wish.collapse else None)
            for n in islice(order, wish.limit)
        ]
        numbers = [candidates[n].number for members in shown for n in members]
        rows = iter(self._rows.rows(numbers, ["text", "fields"]))
        hits = [[_hit(candidates[n], next(rows)) for n in members] for members in shown]
        complete = tuple(replace(first, translations=tuple(rest)) for first, *rest in hits)
        return Hits(complete, self._note(complete, len(documents), wish))

    def _note(self, hits: Sequence[Hit], documents: int, wish: _Wish) -> str | None:
        """Why there are fewer hits than asked for."""
        if len(hits) == wish.limit:
            return None
        said = f"{len(hits)} of {wish.limit} hits"
        absent = sorted(str(tag) for tag in wish.tags or () if not self.languages.get(str(tag)))
        if len(hits) < documents:
            return f"{said}: {wish.mix.name} leaves no place to the other {documents - len(hits)} that were found."
        if absent:
            there = ", ".join(self.languages) or "no languages"
            return f"{said}: the index has nothing in {', '.join(absent)}; it has {there}."
        among = f" in {', '.join(sorted(map(str, wish.tags)))}" if wish.tags is not None else ""
        return f"{said}: the index has no more {'documents' if wish.collapse else 'rows'}{among}."


def _wish(
    limit: int,
    languages: Iterable[str] | None,
    language: str | None,
    mix: str,
    epsilon: float | None,
    collapse: bool,
) -> _Wish:
    if limit < 1:
        raise InputError(f"limit {limit}: ask for at least 1 hit")
    if epsilon is not None and not epsilon >= 0:
        raise InputError(f"prefer_own_language {epsilon}: by how much scores may differ, 0 or more")
    if epsilon is not None and language is None:
        raise InputError("prefer_own_language needs the reader's language; name it")
    tags = None if languages is None else frozenset(shortest_language(tag) for tag in languages)
    if tags is not None and not tags:
        raise InputError("languages: none is named; leave it out for all")
    reader = None if language is None else shortest_language(language)
    return _Wish(min(limit, sys.maxsize), tags, reader, load_mix(mix), epsilon, collapse)


def _document(row: Mapping[str, Any]) -> str:
    """What rows of one document share, as `group_of` writes it."""
    return f"id {row['id']}" if row["group"] is None else f"group {row['group']}"


def _hit(candidate: _Candidate, row: Mapping[str, Any]) -> Hit:
    # What is no number in a column of numbers is stored as NaN, which JSON does not have.
    fields = json.loads(row["fields"], parse_constant=lambda _: None) if row["fields"] else {}
    return Hit(candidate.id, candidate.group, candidate.language, candidate.score, row["text"], fields)
