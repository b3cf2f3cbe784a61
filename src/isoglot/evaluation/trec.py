"""TREC runs and judgements, out and in.

Out, so that others' tools can check isoglot's figures; in, so that isoglot can measure rankings of any system, such as
BM25, a late-interaction model or a reranker.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.atomic import write_text
from isoglot.common.errors import InputError
from isoglot.evaluation.averages import depth_needed, summarise
from isoglot.evaluation.evaluate import leave_ignored_out, top_passages
from isoglot.evaluation.ranking import UNRANKED, Ranks
from isoglot.evaluation.results import SCHEMA, Results, versions

IntArray = npt.NDArray[np.int64]

RUN_PREFIX = "run:"


def write_trec(folder: str | Path, data: RetrievalSet, ranks: Ranks, *, tag: str = "isoglot") -> None:
    """Write the pooled ranking and its judgements for other tools: `run.trec` and `qrels.trec`.

    The run goes as deep as `ranks.top`. Tools break ties by passage id, isoglot by position; so that both see one
    order, an equal score is lowered to the next smaller number in single precision, as which trec_eval reads it.
    """
    query_ids = [_no_spaces(text) for text in data.query_ids]
    passage_ids = [_no_spaces(text) for text in data.passage_ids]
    scores = ranks.top_scores.astype(np.float32)
    for column in range(1, scores.shape[1]):
        scores[:, column] = np.minimum(scores[:, column], np.nextafter(scores[:, column - 1], np.float32(-np.inf)))
    run = (
        f"{query_ids[q]} Q0 {passage_ids[p]} {position + 1} {score!r} {tag}\n"
        for q in range(len(query_ids))
        for position, (p, score) in enumerate(zip(ranks.top[q].tolist(), scores[q].tolist(), strict=True))
    )
    qrels = (
        f"{query_ids[q]} 0 {passage_ids[p]} {grade}\n"
        for q, p, grade in zip(
            data.judgement_query.tolist(), data.judgement_passage.tolist(), data.judgement_grade.tolist(), strict=True
        )
    )
    write_text(Path(folder) / "run.trec", "".join(run))
    write_text(Path(folder) / "qrels.trec", "".join(qrels))


def evaluate_run(path: str | Path, data: RetrievalSet, *, name: str) -> Results:
    """Evaluate somebody's ranking of the pool, in all settings.

    The corpus of one language is the run with the others' passages left out. A passage that the run does not hold
    counts as not found; queries for which one is missing have no rank distance, and queries that the run lacks score
    0.

    Args:
        path: a TREC run, `query Q0 passage rank score tag` a line, its ids those that `write_trec` writes:
            `EXAMPLE@LANGUAGE` for queries and the set's passage ids. As with trec_eval the order is that of the scores.
        data: the benchmark that was searched.
        name: what to call the system.

    Raises:
        InputError: if a line is not of that form, or names a query or passage that the benchmark lacks.
    """
    ranks = _rank_run(Path(path), data)
    per_query, summary = summarise(data, ranks)
    described = {"name": name, "run": Path(path).name}
    head = {"schema": SCHEMA, "benchmark": data.name, "benchmark_fingerprint": data.fingerprint, "model": described}
    return Results({**head, **summary, "versions": versions()}, per_query, top_passages(data, ranks))


def _rank_run(path: Path, data: RetrievalSet) -> Ranks:
    query, passage, score = _read_run(path, data)
    language = data.passage_language[passage]
    order = np.lexsort((passage, language, -score, query))  # ties as everywhere: by language, then place
    query, passage, language, score = query[order], passage[order], language[order], score[order]
    pooled = _position(query)
    by_language = np.lexsort((pooled, language, query))
    own = np.empty_like(pooled)
    own[by_language] = _position((query * len(data.languages) + language)[by_language])
    pairs = query * len(data.passage_texts) + passage
    wanted = np.concatenate([data.judgement_query, data.ignored_query]) * len(data.passage_texts)
    wanted += np.concatenate([data.judgement_passage, data.ignored_passage])
    by_pair = np.argsort(pairs)
    at = by_pair[np.minimum(np.searchsorted(pairs, wanted, sorter=by_pair), len(pairs) - 1)]
    found = pairs[at] == wanted
    depth = min(len(data.passage_texts), depth_needed(data) + int(np.bincount(data.ignored_query, minlength=1).max()))
    shown = pooled <= depth
    cell = query[shown], pooled[shown] - 1
    top, top_scores = np.full((len(data.query_texts), depth), -1), np.zeros((len(data.query_texts), depth), np.float32)
    top[cell], top_scores[cell] = passage[shown], score[shown]
    ranks = Ranks(np.where(found, pooled[at], UNRANKED), np.where(found, own[at], UNRANKED), top, top_scores)
    return leave_ignored_out(data, ranks)


def _read_run(path: Path, data: RetrievalSet) -> tuple[IntArray, IntArray, npt.NDArray[np.float32]]:
    """Numbers of queries and passages, and the scores, line by line."""
    queries = {_no_spaces(text): n for n, text in enumerate(data.query_ids)}
    passages = {_no_spaces(text): n for n, text in enumerate(data.passage_ids)}
    rows: list[tuple[int, int, float]] = []
    seen: set[tuple[int, int]] = set()
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.split()
                if not fields:
                    continue
                if len(fields) != 6 or not _is_finite(fields[4]):
                    raise InputError(f"{path}, line {number}: not of the form `query Q0 passage rank score tag`")
                for kind, known, name in (("query", queries, fields[0]), ("passage", passages, fields[2])):
                    if name not in known:
                        raise InputError(f"{path}, line {number}: the benchmark {data.name} has no {kind} {name!r}")
                pair = queries[fields[0]], passages[fields[2]]
                if pair in seen:
                    raise InputError(f"{path}, line {number}: {fields[2]!r} is ranked twice for {fields[0]!r}")
                seen.add(pair)
                rows.append((*pair, float(fields[4])))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from error
    if not rows:
        raise InputError(f"{path}: holds no ranking")
    query, passage, score = zip(*rows, strict=True)
    return np.array(query, np.int64), np.array(passage, np.int64), np.array(score, np.float32)


def _position(group: IntArray) -> IntArray:
    """Place of each within its run of equal neighbours, from 1."""
    starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    position: IntArray = np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group)))) + 1
    return position


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _no_spaces(text: str) -> str:
    return "_".join(text.split())
