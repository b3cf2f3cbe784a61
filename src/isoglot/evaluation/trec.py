"""TREC runs and judgements, out and in.

Out, so that others' tools can check isoglot's figures; in, so that isoglot can measure rankings of any system, such as
BM25, a late-interaction model or a reranker.
"""

from __future__ import annotations

import math
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.arrays import FloatArray, IntArray, place_in_group
from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.common.files import file_digest
from isoglot.common.paths import expanded_path
from isoglot.evaluation.agreement import Scores
from isoglot.evaluation.averages import depth_needed, look_up_pairs, summarise
from isoglot.evaluation.evaluate import assembled, ranked_pairs, without_ignored
from isoglot.evaluation.ranking import UNRANKED, Ranks
from isoglot.evaluation.results import NO_MODEL, RESULTS_FILE, Results

RUN_PREFIX = "run:"
RUN_BYTES = 4 << 30  # memory that the first passages of all queries may take while they are ranked for a run
_FILES = ("run.trec", "qrels.trec")
_BYTES_A_PLACE = 32  # of a ranking kept so deep: place and score, and both again while they are merged


def write_trec(folder: str | Path, data: RetrievalSet, ranks: Ranks, *, depth: int | None = None) -> None:
    """Write the pooled ranking and its judgements for other tools: `run.trec` and `qrels.trec`.

    Tools break ties by passage id, isoglot by position; so that both see one order, an equal score is lowered to the
    next smaller number in single precision, as which trec_eval reads it. White space in an id, which parts the fields
    of a line, is written as in addresses: `%20`.

    A query gets as many passages as the depth says, and as many as were ranked at most.

    Raises:
        InputError: if two ids are the same once they are written so.
    """
    query_ids, passage_ids = _fields(data.query_ids, "query"), _fields(data.passage_ids, "passage")
    top, scores = ranks.top[:, :depth], ranks.top_scores[:, :depth].astype(np.float32)
    for column in range(1, scores.shape[1]):
        scores[:, column] = np.minimum(scores[:, column], np.nextafter(scores[:, column - 1], np.float32(-np.inf)))
    run = (
        f"{query_ids[n]} Q0 {passage_ids[passage]} {place} {score!r} isoglot\n"
        for n in range(len(query_ids))
        for place, (passage, score) in enumerate(zip(top[n].tolist(), scores[n].tolist(), strict=True), 1)
        if passage >= 0  # a run of limited depth may end
    )
    judged = (data.judgement_query.tolist(), data.judgement_passage.tolist(), data.judgement_grade.tolist())
    qrels = (f"{query_ids[q]} 0 {passage_ids[p]} {grade}\n" for q, p, grade in zip(*judged, strict=True))
    for name, lines in zip(_FILES, (run, qrels), strict=True):
        with write_whole(Path(folder) / name) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(lines)


def remove_trec(folder: str | Path) -> None:
    """Take away the run of an earlier evaluation, which would stand beside another system's results."""
    if (Path(folder) / RESULTS_FILE).exists():
        for name in _FILES:
            (Path(folder) / name).unlink(missing_ok=True)


def run_depth(data: RetrievalSet, depth: int) -> int:
    """How deep a run of so many passages a query goes: at most the whole pool.

    Raises:
        InputError: if the rankings of all queries would take more than `RUN_BYTES` of memory.
    """
    depth, queries = min(depth, len(data.passage_texts)), len(data.query_texts)
    if depth * queries * _BYTES_A_PLACE > RUN_BYTES:
        raise InputError(
            f"a run of {depth:,} passages for each of {queries:,} queries takes more than {RUN_BYTES >> 30} GiB of "
            f"memory; {RUN_BYTES // (_BYTES_A_PLACE * queries):,} is the most"
        )
    return depth


def evaluate_run(
    path: str | Path,
    data: RetrievalSet,
    *,
    name: str | None = None,
    top_k: int = 0,
    on_ranks: Callable[[Ranks], object] | None = None,
) -> Results:
    """Evaluate somebody's ranking of the pool, in all settings.

    The corpus of one language is the run with the others' passages left out. A passage that the run does not hold
    counts as not found; queries for which one is missing have no rank distance, and queries that the run lacks score
    0. Of equal scores the passage with the larger id comes first, as in trec_eval.

    Args:
        path: a TREC run, `query Q0 passage rank score tag` a line, its ids those that `write_trec` writes:
            `EXAMPLE@LANGUAGE` for queries and the set's passage ids. As with trec_eval the order is that of the scores.
        data: the benchmark that was searched.
        name: what to call the system; `run:` and the file's name where None.
        top_k: as for `evaluate`.
        on_ranks: likewise.

    Raises:
        InputError: if a line is not of that form, or names a query or passage that the benchmark lacks.
    """
    path, start = expanded_path(path), time.perf_counter()
    query, passage, score = _best_first(data, *_read_run(path, data))
    ranks = _rank_run(data, query, passage, score, max(top_k, depth_needed(data)))
    places = -place_in_group(query).astype(np.float32)  # like scores, without any that are equal
    measured = summarise(data, ranks, *(_scores_of(query, passage, each) for each in (score, places)))
    if on_ranks is not None:
        on_ranks(ranks)
    described = {
        **NO_MODEL,
        "name": f"{RUN_PREFIX}{path.name}" if name is None else name,
        "run": path.name,
        "fingerprint": file_digest(path),
    }
    return assembled(data, ranks, measured, described, (0.0, time.perf_counter() - start, 0.0), {})


def _best_first(
    data: RetrievalSet, query: IntArray, passage: IntArray, score: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Query by query and the best first; ties as trec_eval breaks them: larger ids, as bytes, first."""
    held, number = np.unique(passage, return_inverse=True)
    _, by_id = np.unique([_field(data.passage_ids[n]).encode() for n in held.tolist()], return_inverse=True)
    order = np.lexsort((-by_id[number], -score, query))
    return query[order], passage[order], score[order]


def _rank_run(data: RetrievalSet, query: IntArray, passage: IntArray, score: FloatArray, top_k: int) -> Ranks:
    language = data.passage_language[passage]
    pooled = place_in_group(query) + 1
    own = place_in_group(query * len(data.languages) + language) + 1
    *wanted, depth = ranked_pairs(data, top_k)
    at, found = look_up_pairs(data, query, passage)(*wanted)
    shown = pooled <= depth
    cell = query[shown], pooled[shown] - 1
    top, top_scores = np.full((len(data.query_texts), depth), -1), np.zeros((len(data.query_texts), depth), np.float32)
    top[cell], top_scores[cell] = passage[shown], score[shown]
    ranks = Ranks(np.where(found, pooled[at], UNRANKED), np.where(found, own[at], UNRANKED), top, top_scores)
    return without_ignored(data, ranks)


def _scores_of(query: IntArray, passage: IntArray, score: FloatArray) -> Scores:
    """Scores of any pairs, from a run's lines query by query; what it does not hold stands below all that it holds."""

    def scores(queries: IntArray, passages: IntArray) -> FloatArray:
        low, high = np.searchsorted(query, queries), np.searchsorted(query, queries, "right")
        row = np.repeat(np.arange(len(queries)), high - low)
        line = np.repeat(low, high - low) + place_in_group(row)
        wanted, column = np.unique(passages, return_inverse=True)
        at = np.minimum(np.searchsorted(wanted, passage[line]), len(wanted) - 1)
        held = wanted[at] == passage[line]
        table = np.full((len(queries), len(wanted)), -np.inf, np.float32)
        table[row[held], at[held]] = score[line[held]]
        return table[:, column]

    return scores


def _read_run(path: Path, data: RetrievalSet) -> tuple[IntArray, IntArray, FloatArray]:
    """Numbers of queries and passages, and the scores, line by line."""
    queries = {text: n for n, text in enumerate(_fields(data.query_ids, "query"))}
    passages = {text: n for n, text in enumerate(_fields(data.passage_ids, "passage"))}
    query, passage, score, line_number = array("q"), array("q"), array("f"), array("q")
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.split()
                if not fields:
                    continue
                if len(fields) != 6 or not _is_finite(fields[4]):
                    raise InputError(
                        f"{path}, line {number}: not of the form `query Q0 passage rank score tag` but {len(fields)} "
                        "fields, or no score; white space within an id is written %20"
                    )
                for kind, known, name in (("query", queries, fields[0]), ("passage", passages, fields[2])):
                    if name not in known:
                        raise InputError(f"{path}, line {number}: the benchmark {data.name} has no {kind} {name!r}")
                query.append(queries[fields[0]])
                passage.append(passages[fields[2]])
                score.append(float(fields[4]))
                line_number.append(number)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from error
    if not score:
        raise InputError(f"{path}: holds no ranking")
    ranked = np.array(query), np.array(passage), np.array(score)
    again = np.flatnonzero(place_in_group(ranked[0] * len(passages) + ranked[1]))
    if len(again):
        n = int(again[0])
        ids = data.passage_ids[passage[n]], data.query_ids[query[n]]
        raise InputError(f"{path}, line {line_number[n]}: {ids[0]!r} is ranked twice for {ids[1]!r}")
    return ranked


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _fields(ids: Iterable[str], kind: str) -> list[str]:
    fields = [_field(text) for text in ids]
    twice = [field for field, times in Counter(fields).items() if times > 1]
    if twice:
        raise InputError(f"two {kind} ids are {twice[0]!r} in a TREC file, where white space is %20; rename one")
    return fields


def _field(text: str) -> str:
    """An id as a field of a line, white space in it as in addresses.

    >>> _field("a b")
    'a%20b'
    """
    return re.sub(r"\s", lambda space: quote(space[0]), text)
