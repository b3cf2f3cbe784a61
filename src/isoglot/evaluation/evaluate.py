"""Evaluation: every text encoded once, every setting from the same scores.

What is measured and how it is averaged stands in `isoglot.evaluation.averages`. A corpus too large to keep the vectors
of is encoded and counted part by part.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.arrays import BoolArray, FloatArray, IntArray
from isoglot.common.errors import TextsError
from isoglot.common.progress import progress
from isoglot.common.roles import Role
from isoglot.common.threads import one_thread
from isoglot.common.versions import versions
from isoglot.evaluation.agreement import Scores
from isoglot.evaluation.alignment import alignment_summary
from isoglot.evaluation.averages import TOP, depth_needed, look_up_pairs, summarise
from isoglot.evaluation.ranking import (
    PART_PASSAGES,
    UNRANKED,
    Part,
    Ranks,
    rank_in_parts,
    rank_relevant,
    scores_of_pairs,
)
from isoglot.evaluation.results import SCHEMA, TOP_SCHEMA, Results
from isoglot.models.similarity import Similarity, prepare, score_block
from isoglot.runtime.store import EmbeddingStore

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

STREAM_ABOVE = 1_000_000  # passages above which vectors are not kept, but encoded and counted part by part
SHOWN_EXAMPLES = 40  # examples whose first passages are kept with their texts, for people to look at


@dataclass(frozen=True)
class EncodedSet:
    """A benchmark's vectors `(texts, dimensions)` under one model, how to score them, and what encoding took."""

    queries: FloatArray
    passages: FloatArray
    seconds: float
    similarity: Similarity = "cosine"


def evaluate(
    model: SentenceTransformer,
    data: RetrievalSet,
    *,
    name: str | None = None,
    store: EmbeddingStore | None = None,
    batch_size: int = 32,
    bf16: bool = False,
    top_k: int = 0,
    on_ranks: Callable[[Ranks], object] | None = None,
) -> Results:
    """Evaluate a model on a benchmark in all settings: averages, every query's measures, and what stood first for some.

    Args:
        model: any sentence-transformers model.
        data: the benchmark. Of more than `STREAM_ABOVE` passages no vectors are kept in memory, no measures of
            alignment or of rank correlation are taken, and no mixed corpora are searched.
        name: what to call the model in results; its own name where None.
        store: where vectors are kept between runs.
        batch_size: texts encoded at a time.
        bf16: encode in bfloat16.
        top_k: how many of the first passages to rank at least, for `on_ranks`.
        on_ranks: called with the ranks, which results do not hold, to keep them as `write_trec` does.
    """
    top_k = max(top_k, depth_needed(data))
    settings: dict[str, Any] = {"store": store, "batch_size": batch_size, "bf16": bf16}
    start, encoded = time.perf_counter(), None
    if len(data.passage_texts) > STREAM_ABOVE:
        encode_seconds, ranks = rank_while_encoding(model, data, top_k=top_k, **settings)
    else:
        encoded = encode_set(model, data, **settings)
        encode_seconds, ranks = encoded.seconds, rank_set(data, encoded, top_k=top_k)
    with one_thread():  # products of a few vectors are done before a second thread has heard of them
        measured = summarise(data, ranks, None if encoded is None else scores_of(encoded))
    if on_ranks is not None:
        on_ranks(ranks)
    scored = time.perf_counter()
    alignment = {} if encoded is None else align_set(data, encoded)
    seconds = encode_seconds, scored - start - encode_seconds, time.perf_counter() - scored
    return assembled(data, ranks, measured, _described(model, name, bf16), seconds, alignment)


def assembled(
    data: RetrievalSet,
    ranks: Ranks,
    measured: tuple[pa.Table, dict[str, Any]],
    model: dict[str, Any],
    seconds: tuple[float, float, float],
    alignment: dict[str, float | None],
) -> Results:
    """Results of what `summarise` measured; the seconds are of encoding, scoring and aligning."""
    per_query, summary = measured
    head = {"schema": SCHEMA, "benchmark": data.name, "benchmark_fingerprint": data.fingerprint, "model": model}
    taken = {name: round(value, 3) for name, value in zip(("encode", "score", "align"), seconds, strict=True)}
    tail = {"alignment": alignment, "seconds": taken, "versions": versions()}
    return Results({**head, **summary, **tail}, per_query, top_passages(data, ranks))


def encode_set(model: SentenceTransformer, data: RetrievalSet, **settings: Any) -> EncodedSet:
    """Encode a benchmark's queries and passages, each distinct text once per role.

    The settings are `store`, `batch_size` and `bf16`, as for `evaluate`.
    """
    start = time.perf_counter()
    encode = _encoder(model, data, **settings)
    with progress(f"Encoding {data.name}", len(data.query_texts) + len(data.passage_texts)) as advance:
        queries = encode("query", np.arange(len(data.query_texts)), advance)
        passages = encode("passage", np.arange(len(data.passage_texts)), advance)
    return EncodedSet(queries, passages, time.perf_counter() - start, model.similarity_fn_name)


def rank_set(data: RetrievalSet, encoded: EncodedSet, *, top_k: int | None = None) -> Ranks:
    """Rank a benchmark's relevant passages from its vectors; `top_k` is what the measures need where None."""
    query, passage, depth = ranked_pairs(data, top_k)
    with progress("Scoring", len(data.query_texts) * len(data.passage_texts)) as advance:
        ranks = rank_relevant(
            encoded.queries,
            encoded.passages,
            similarity=encoded.similarity,
            passage_language=data.passage_language,
            judgement_query=query,
            judgement_passage=passage,
            top_k=depth,
            on_progress=advance,
        )
    return without_ignored(data, ranks)


def rank_while_encoding(
    model: SentenceTransformer, data: RetrievalSet, *, top_k: int | None = None, **settings: Any
) -> tuple[float, Ranks]:
    """Rank the relevant passages of a corpus whose vectors need not fit in memory.

    Queries and relevant passages are encoded first; then the corpus passes by, is encoded, compared and forgotten.
    With a store every part is kept on disk as soon as it is encoded, so that an interrupted run goes on there.
    Returns the seconds spent encoding, with the settings of `encode_set`, and the ranks.
    """
    encode = _encoder(model, data, **settings)
    query, passage, depth = ranked_pairs(data, top_k)
    spent = 0.0

    def parts(advance: Any) -> Iterator[Part]:
        nonlocal spent
        for first in range(0, len(data.passage_texts), PART_PASSAGES):
            start = time.perf_counter()
            rows = np.arange(first, min(first + PART_PASSAGES, len(data.passage_texts)))
            vectors = encode("passage", rows, advance, part=f"{first}")
            spent += time.perf_counter() - start
            yield vectors, data.passage_language[rows]

    with progress(f"Encoding {data.name}", len(data.query_texts) + len(data.passage_texts)) as advance:
        start = time.perf_counter()
        queries = encode("query", np.arange(len(data.query_texts)), advance)
        judged, number = np.unique(passage, return_inverse=True)
        vectors = encode("passage", judged, lambda _: None)
        spent += time.perf_counter() - start
        ranks = rank_in_parts(
            queries,
            parts(advance),
            similarity=model.similarity_fn_name,
            judgement_query=query,
            judgement_passage=passage,
            judgement_language=data.passage_language[passage],
            thresholds=scores_of_pairs(queries, vectors, query, number, model.similarity_fn_name),
            top_k=depth,
        )
    return spent, without_ignored(data, ranks)


def align_set(data: RetrievalSet, encoded: EncodedSet) -> dict[str, float | None]:
    """Measures of alignment over the benchmark's parallel passages; empty where it has none.

    Passages are translations of each other where they answer the same example.
    """
    example = {name: n for n, name in enumerate(dict.fromkeys(data.query_example))}
    of_query = np.array([example[name] for name in data.query_example])
    pairs = np.unique(np.stack([of_query[data.judgement_query], data.judgement_passage], 1), axis=0)
    languages = data.passage_language[pairs[:, 1]]
    _, first = np.unique(np.stack([pairs[:, 0], languages], 1), axis=0, return_index=True)  # one per language
    number, passage = pairs[np.sort(first)].T
    if len(np.unique(data.passage_language[passage])) < 2:
        return {}
    return alignment_summary(encoded.passages[passage], data.passage_language[passage], number, data.languages)


def top_passages(data: RetrievalSet, ranks: Ranks, examples: int = SHOWN_EXAMPLES) -> pa.Table:
    """The first passages of the pool, with their texts, for every query of some examples.

    The choice of examples depends on their ids alone, so every system shows the same.
    """
    distinct = sorted(set(data.query_example), key=lambda name: hashlib.sha256(name.encode()).digest())
    shown = set(distinct[:examples])
    queries = np.flatnonzero([example in shown for example in data.query_example])
    row, place = np.nonzero(ranks.top[queries, :TOP] >= 0)
    query, passage = queries[row], ranks.top[queries[row], place]
    tags, ids, asked, found = np.array(data.languages), data.query_ids, query.tolist(), passage.tolist()
    columns = {
        "query": [ids[n] for n in asked],
        "example": [data.query_example[n] for n in asked],
        "query_language": tags[data.query_language[query]],
        "query_text": [data.query_texts[n] for n in asked],
        "rank": place + 1,
        "passage": [data.passage_ids[n] for n in found],
        "passage_language": tags[data.passage_language[passage]],
        "passage_text": [data.passage_texts[n] for n in found],
        "score": ranks.top_scores[query, place].astype(np.float64),
        "relevant": look_up_pairs(data, data.judgement_query, data.judgement_passage)(query, passage)[1],
    }
    return pa.table(columns, schema=TOP_SCHEMA)


def ranked_pairs(data: RetrievalSet, top_k: int | None) -> tuple[IntArray, IntArray, int]:
    """The pairs to rank, judged ones first, then ignored ones; and how many first passages to keep."""
    query = np.concatenate([data.judgement_query, data.ignored_query])
    passage = np.concatenate([data.judgement_passage, data.ignored_passage])
    depth = top_k if top_k is not None else depth_needed(data)
    return query, passage, min(depth + _most_ignored(data), len(data.passage_texts))


def _most_ignored(data: RetrievalSet) -> int:
    return int(np.bincount(data.ignored_query, minlength=1).max())


def without_ignored(data: RetrievalSet, ranks: Ranks) -> Ranks:
    """Ranks of the judged pairs alone, from those of `ranked_pairs`, as if what a query ignores were not there."""
    count = len(data.judgement_query)
    pooled, in_language = ranks.pooled[:count].copy(), ranks.in_language[:count].copy()
    if not len(data.ignored_query):
        return Ranks(pooled, in_language, ranks.top, ranks.top_scores)
    order = np.argsort(data.judgement_query, kind="stable")
    low = np.searchsorted(data.judgement_query[order], data.ignored_query)
    high = np.searchsorted(data.judgement_query[order], data.ignored_query, "right")
    language = data.passage_language[data.judgement_passage]
    dropped = np.zeros(ranks.top.shape, bool)
    for n, (query, passage) in enumerate(zip(data.ignored_query, data.ignored_passage, strict=True)):
        mine = order[low[n] : high[n]]
        pooled[mine] -= _behind(ranks.pooled[mine], ranks.pooled[count + n])
        same = language[mine] == data.passage_language[passage]
        in_language[mine] -= same & _behind(ranks.in_language[mine], ranks.in_language[count + n])
        dropped[query] |= ranks.top[query] == passage
    kept = np.argsort(dropped, axis=1, kind="stable")[:, : ranks.top.shape[1] - _most_ignored(data)]
    top, scores = np.take_along_axis(ranks.top, kept, 1), np.take_along_axis(ranks.top_scores, kept, 1)
    return Ranks(pooled, in_language, top, scores)


def _behind(ranks: IntArray, other: int) -> BoolArray:
    """Which ranks are behind another; what a run has not found has no rank, and stays without one."""
    behind: BoolArray = (ranks > other) & (ranks < UNRANKED)
    return behind


def scores_of(encoded: EncodedSet) -> Scores:
    """Scores of any queries with any passages of the set, in the order of the model's own."""
    similarity = encoded.similarity
    queries = prepare(encoded.queries, similarity, "query")
    passages = prepare(encoded.passages, similarity, "passage")

    def scores(some: IntArray, others: IntArray) -> FloatArray:
        return score_block(queries[some], passages[others], similarity)

    return scores


def _described(model: SentenceTransformer, name: str | None, bf16: bool) -> dict[str, Any]:
    """What results say of a model; vectors and runs are measured without what is imported here."""
    from isoglot.models.arithmetic import arithmetic
    from isoglot.models.encoders import own_name, role_prompt
    from isoglot.models.fingerprint import fingerprint
    from isoglot.models.limits import token_limit

    return {
        "name": own_name(model) if name is None else name,
        "fingerprint": fingerprint(model),
        "dimensions": model.get_embedding_dimension(),
        "similarity": model.similarity_fn_name,
        "prompts": {"query": role_prompt(model, "query"), "passage": role_prompt(model, "passage")},
        "max_tokens": token_limit(model),
        "arithmetic": arithmetic(model, bf16),
    }


def _encoder(
    model: SentenceTransformer,
    data: RetrievalSet,
    *,
    store: EmbeddingStore | None = None,
    batch_size: int = 32,
    bf16: bool = False,
) -> Callable[..., FloatArray]:
    """A function that encodes queries or passages of the set by their numbers, into a part of the store if named."""
    from isoglot.models.embed import embed

    tags = np.array(data.languages)
    sides = {
        "query": (data.query_texts, data.query_language, data.query_ids),
        "passage": (data.passage_texts, data.passage_language, data.passage_ids),
    }

    def encode(role: Role, rows: IntArray, on_progress: Callable[[int], None], part: str | None = None) -> FloatArray:
        texts, language, ids = sides[role]
        try:
            return embed(
                model,
                [texts[n] for n in rows.tolist()],
                role,
                tasks=tags[language[rows]].tolist(),
                store=store if store is None or part is None else store.part(part),
                batch_size=batch_size,
                bf16=bf16,
                on_progress=on_progress,
            )
        except TextsError as error:
            error.name({texts[n]: f"{ids[n]} ({tags[language[n]]})" for n in rows.tolist()})
            raise

    return encode
