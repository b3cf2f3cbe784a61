"""TREC runs and judgements, so that others' tools can check isoglot's figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isoglot.atomic import write_text
from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.score import Ranks


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
        f"{query_ids[q]} 0 {passage_ids[p]} 1\n"
        for q, p in zip(data.judgement_query.tolist(), data.judgement_passage.tolist(), strict=True)
    )
    write_text(Path(folder) / "run.trec", "".join(run))
    write_text(Path(folder) / "qrels.trec", "".join(qrels))


def _no_spaces(text: str) -> str:
    return "_".join(text.split())
