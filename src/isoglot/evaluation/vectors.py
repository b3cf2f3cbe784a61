"""The audit from vectors that exist already: the same measures, without a model.

Queries are held in memory. Passages are, up to `HELD_BYTES`; beyond that they pass by part by part, and no measures of
alignment or of rank correlation are taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.arrays import FloatArray, IntArray
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.threads import one_thread
from isoglot.evaluation.averages import summarise
from isoglot.evaluation.evaluate import (
    EncodedSet,
    align_set,
    assembled,
    rank_set,
    ranked_pairs,
    scores_of,
    without_ignored,
)
from isoglot.evaluation.ranking import Part, Ranks, rank_in_parts, scores_of_pairs
from isoglot.evaluation.results import NO_MODEL, Results
from isoglot.models.similarity import Similarity
from isoglot.pairs.texts import ArrowTexts, hashes, kept
from isoglot.sources.beir import Judgement, read_judgements
from isoglot.vectors.checking import HashArray, Survey, hashes_of_keys, leaving_out, survey
from isoglot.vectors.columns import USUAL, Columns, row_keys
from isoglot.vectors.remedies import Vectors, lengths_of
from isoglot.vectors.rows import open_vectors, refuse_other_space

HELD_BYTES = 1 << 30  # vectors of passages that are kept in memory, in float32
_Relevant = tuple[IntArray, IntArray, IntArray]
"""Query, passage and grade of each pair."""
_TEXTS = ("id", "key", "example", "text")
_SCHEMA = pa.schema([(name, pa.large_string()) for name in _TEXTS])


@dataclass(frozen=True)
class _Side:
    """The good rows of one file, and what is written in their columns; keys are unique."""

    survey: Survey
    language: IntArray
    id: ArrowTexts
    key: ArrowTexts
    example: ArrowTexts
    text: ArrowTexts

    @property
    def has_text(self) -> bool:
        return self.survey.rows.columns.text is not None


def audit_vectors(
    passages: str | Path,
    queries: str | Path,
    *,
    qrels: str | Path | None = None,
    columns: Columns = USUAL,
    similarity: Similarity | None = None,
    skip_bad: str | Path | None = None,
    name: str | None = None,
) -> Results:
    """Measure how far a search over given vectors ranks by language.

    Rows of one group, or of one id where there are no groups, are translations: each query is answered by the passages
    of its group. A query whose vector, or text where both files have one, is that of the passage with its own key does
    not find itself.

    Args:
        passages: a file or folder that `isoglot.open_vectors` reads, with ids and languages.
        queries: likewise.
        qrels: judgements in TREC's or BEIR's form, in place of groups. They name ids; where translations share an id,
            `id@language` names one of them and the bare id all.
        columns: names of columns that are not called as usual, in both files.
        similarity: how to score; where None as the manifest says, else by cosine.
        skip_bad: a file that bad rows are left out into; None to refuse them.
        name: what to call the system in results.

    Returns:
        Results as of `isoglot.audit`; `summary["notes"]` says what was assumed, merged and left out.

    Raises:
        InputError: for anything that `open_vectors` and `survey` refuse, or vectors that cannot be compared.
    """
    if similarity is not None and similarity not in get_args(Similarity):
        raise InputError(f"similarity {similarity!r} is unknown; use one of {', '.join(get_args(Similarity))}")
    start = time.perf_counter()
    with leaving_out(skip_bad, passages, queries) as leave_out:
        opened = [open_vectors(path, columns, required=["id", "language"]) for path in (passages, queries)]
        refuse_other_space(*opened)
        surveys = [survey(rows, leave_out, needs=("id", "language", "text")) for rows in opened]
        score, said = _similarity(surveys, similarity)
        tags = sorted({tag for side in surveys for tag in side.tags})
        there, asked = (_side(each, tags) for each in surveys)
        vectors = np.concatenate([part for part, _ in _parts(asked, score)])
        relevant, lost = (_of_one_group(there, asked), []) if qrels is None else _judged(qrels, there, asked)
        data = _retrieval_set(there, asked, vectors, tags, score, relevant)
        read = time.perf_counter()
        ranks, encoded = _rank(data, there, vectors, score)
        with one_thread():
            measured = summarise(data, ranks, None if encoded is None else scores_of(encoded))
        scored = time.perf_counter()
        alignment = {} if encoded is None else align_set(data, encoded)
    made = opened[0].provenance
    model = {
        **NO_MODEL,
        "name": name or made.model or str(passages),
        "fingerprint": made.fingerprint,
        "dimensions": opened[0].dimensions,
        "similarity": score,
        "prompts": {"query": opened[1].provenance.prompt, "passage": made.prompt},
        "max_tokens": made.max_tokens,
    }
    results = assembled(
        data, ranks, measured, model, (read - start, scored - read, time.perf_counter() - scored), alignment
    )
    results.summary["notes"] = [said, *lost, *dict.fromkeys(note for each in surveys for note in each.notes)]
    return results


def _similarity(surveys: list[Survey], asked: Similarity | None) -> tuple[Similarity, str]:
    """How to score, and a sentence that says why: bare vectors do not say, and it decides what comes first."""
    known = next((each.rows.provenance.similarity for each in surveys if each.rows.provenance.similarity), None)
    score: Similarity = asked or known or "cosine"  # type: ignore[assignment]
    why = "as asked" if asked else "as the manifest says" if known else "assumed, as nothing says otherwise"
    shortest, longest = min(each.lengths[0] for each in surveys), max(each.lengths[1] for each in surveys)
    if all(each.unit for each in surveys):
        return score, f"Scored by {score}, {why}. All vectors are of unit length: cosine and dot rank alike."
    other = "dot" if score == "cosine" else "cosine"
    return score, (
        f"Scored by {score}, {why}. Vectors are not of unit length but of {shortest:.3g} to {longest:.3g}: "
        f"--similarity {other} may rank otherwise."
    )


def _side(surveyed: Survey, tags: list[str]) -> _Side:
    """Read what is written in the columns of the good rows; on disk where it is much."""
    named = surveyed.rows.columns
    number = np.array([tags.index(tag) for tag in surveyed.tags], np.int64)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in surveyed.rows.parts(named.described()):
            good = pa.array(surveyed.kept(part))
            language = surveyed.language[part.first : part.first + len(part)]
            tag = pa.array(surveyed.tags, pa.large_string()).take(pa.array(language, mask=language < 0))
            ids = part.text(named.id)
            keys = row_keys(ids, tag) if surveyed.ids_shared else ids
            example = pc.coalesce(part.text(named.group), ids)
            text = part.text(named.text).fill_null("")
            yield pa.record_batch([ids, keys, example, text], schema=_SCHEMA).filter(good)

    found, file = kept(batches(), _SCHEMA)
    texts = [ArrowTexts.of_batches(found, (name,), file) for name in _TEXTS]
    return _Side(surveyed, number[surveyed.language[surveyed.good]], *texts)


def _retrieval_set(
    there: _Side,
    asked: _Side,
    vectors: FloatArray,
    tags: list[str],
    similarity: Similarity,
    relevant: _Relevant,
) -> RetrievalSet:
    query, passage, grade = relevant
    itself = _same_rows(there, asked, vectors, similarity)
    size = len(there.key)
    kept_pairs = ~np.isin(query * size + passage, itself[0] * size + itself[1])
    query, passage, grade = query[kept_pairs], passage[kept_pairs], grade[kept_pairs]
    if not len(query):
        names = there.survey.rows.path, asked.survey.rows.path
        raise InputError(
            f"{names[0]} and {names[1]}: no query has the id or group of a passage, so there is nothing to measure; "
            "give judgements with --qrels FILE, or name the column with --group-column"
        )
    by_example = hashes_of_keys(asked.example.hashes(), asked.language)
    unique = len(np.unique(by_example)) == len(by_example)
    return RetrievalSet(
        "audit",
        tuple(tags),
        list(asked.example if unique else asked.key),
        asked.language,
        asked.text,
        there.key,
        there.language,
        there.text,
        query,
        passage,
        grade,
        *itself,
    )


def _of_one_group(there: _Side, asked: _Side) -> _Relevant:
    query, passage = _pairs_of(asked.example.hashes(), there.example.hashes())
    return query, passage, np.ones(len(query), np.int64)


def _judged(qrels: str | Path, there: _Side, asked: _Side) -> tuple[_Relevant, list[str]]:
    """Each judged pair once, with the best grade where judged twice; and what to say of judgements left out."""
    judgements = list(read_judgements(expanded_path(qrels)))
    of_query = _named(there=asked, names=[each.query for each in judgements])
    of_passage = _named(there=there, names=[each.passage for each in judgements])
    lost: set[int] = set()
    for what, found, side in (("query", of_query, asked), ("passage", of_passage, there)):
        if missing := set(range(len(judgements))) - set(found[0].tolist()):
            _refuse_unknown(judgements[min(missing)], what, side)
        lost |= missing
    first, second = _pairs_of(of_query[0].astype(np.uint64), of_passage[0].astype(np.uint64))
    query, passage = of_query[1][first], of_passage[1][second]
    grade = np.array([each.grade for each in judgements], np.int64)[of_query[0][first]]
    order = np.lexsort((-grade, passage, query))
    order = order[grade[order] > 0]
    again = (np.diff(query[order], prepend=-1) == 0) & (np.diff(passage[order], prepend=-1) == 0)
    order = order[~again]
    said = f"{len(lost):,} of {len(judgements):,} judgements are left out: what they name is not among the good rows."
    return (query[order], passage[order], grade[order]), [said] if lost else []


def _named(there: _Side, names: list[str]) -> tuple[IntArray, IntArray]:
    """Places of names, and the rows that each stands for: that with the key, or those with the id."""
    wanted = hashes(pa.array(names, pa.large_string()))
    by_key, by_id = _pairs_of(wanted, there.key.hashes()), _pairs_of(wanted, there.id.hashes())
    pairs = np.unique(np.concatenate([np.stack(by_key), np.stack(by_id)], axis=1), axis=1)
    return pairs[0], pairs[1]


def _refuse_unknown(judgement: Judgement, what: str, side: _Side) -> None:
    name = judgement.query if what == "query" else judgement.passage
    if not len(side.survey.bad):  # else it may be one of those left out
        raise InputError(f"{judgement.where}: names the {what} {name!r}, which is not in {side.survey.rows.path}")


def _same_rows(there: _Side, asked: _Side, vectors: FloatArray, similarity: Similarity) -> tuple[IntArray, IntArray]:
    """Queries that are the passage with the same key: of one text, or of one vector where there are no texts."""
    query, passage = _pairs_of(*(hashes_of_keys(side.id.hashes(), side.language) for side in (asked, there)))
    if not len(query):
        return query, passage
    if there.has_text and asked.has_text:
        same = asked.text.hashes()[query] == there.text.hashes()[passage]
        return query[same], passage[same]
    same = np.zeros(len(query), bool)
    for start, (part, _) in _starts(_parts(there, similarity)):
        mine = np.flatnonzero((passage >= start) & (passage < start + len(part)))
        same[mine] = (part[passage[mine] - start] == vectors[query[mine]]).all(1)
    return query[same], passage[same]


def _rank(
    data: RetrievalSet, there: _Side, queries: FloatArray, similarity: Similarity
) -> tuple[Ranks, EncodedSet | None]:
    """The ranks, and all vectors if they are few enough to be held."""
    if len(there.key) * queries.shape[1] * queries.itemsize <= HELD_BYTES:
        encoded = EncodedSet(queries, np.concatenate([part for part, _ in _parts(there, similarity)]), 0.0, similarity)
        return rank_set(data, encoded), encoded
    query, passage, depth = ranked_pairs(data, None)
    thresholds = np.zeros(len(query), np.float32)
    for start, (part, _) in _starts(_parts(there, similarity)):
        mine = np.flatnonzero((passage >= start) & (passage < start + len(part)))
        thresholds[mine] = scores_of_pairs(queries, part, query[mine], passage[mine] - start, similarity)
    ranks = rank_in_parts(
        queries,
        _parts(there, similarity),
        similarity=similarity,
        judgement_query=query,
        judgement_passage=passage,
        judgement_language=data.passage_language[passage],
        thresholds=thresholds,
        top_k=depth,
    )
    return without_ignored(data, ranks), None


def _parts(side: _Side, similarity: Similarity) -> Iterator[Part]:
    """The vectors of good rows in float32, and their languages; lengths are taken before precision is lost."""
    seen = 0
    for part in side.survey.rows.parts([str(side.survey.rows.columns.vector)]):
        vectors: Vectors = part.vectors()[0][side.survey.kept(part)]
        if similarity == "cosine":
            vectors = vectors / lengths_of(vectors)[:, None]
        with np.errstate(over="ignore"):
            single = vectors.astype(np.float32)
        if not np.isfinite(single).all():
            raise InputError(f"{part.file.path}: numbers too large for float32; score by --similarity cosine")
        yield single, side.language[seen : seen + len(vectors)]
        seen += len(vectors)


def _starts(parts: Iterator[Part]) -> Iterator[tuple[int, Part]]:
    start = 0
    for part in parts:
        yield start, part
        start += len(part[0])


def _pairs_of(left: HashArray, right: HashArray) -> tuple[IntArray, IntArray]:
    """Places in both of all pairs of equal hashes, in the order of the left ones.

    >>> [each.tolist() for each in _pairs_of(np.array([7, 5, 9]), np.array([5, 7, 7]))]
    [[0, 0, 1], [1, 2, 0]]
    """
    order = np.argsort(right, kind="stable")
    low, high = (np.searchsorted(right[order], left, side) for side in ("left", "right"))
    counts = high - low
    place = np.arange(counts.sum()) + np.repeat(low - (np.cumsum(counts) - counts), counts)
    return np.repeat(np.arange(len(left)), counts), order[place]
