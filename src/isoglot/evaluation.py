"""Evaluation: every text encoded once, every setting from the same scores.

Three settings (arXiv 2408.10536, section 4): *monolingual*, query and corpus in one language; *cross-lingual*, every
ordered pair of different languages; *multilingual*, one query against the pooled passages of all languages. Scores
are averaged over the queries of a language (or pair of languages), then over languages (or pairs).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.embed import EmbeddingStore, embed
from isoglot.encoders import fingerprint, role_prompt
from isoglot.language_bias import fair_share, max_rank_norm, rank_distance, same_language_share
from isoglot.languages import ordered_pairs
from isoglot.measures import MEASURES, best_rank, worst_rank
from isoglot.progress import progress
from isoglot.results import SCHEMA, Results, versions
from isoglot.score import Ranks, rank_relevant

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

SETTINGS = ("monolingual", "cross_lingual", "multilingual")


@dataclass(frozen=True)
class EncodedSet:
    """A benchmark's vectors under one model.

    Attributes:
        queries: `(queries, dimensions)`.
        passages: `(passages, dimensions)`.
        seconds: what encoding took; next to nothing when the store had them.
    """

    queries: FloatArray
    passages: FloatArray
    seconds: float


def evaluate(
    model: SentenceTransformer,
    data: RetrievalSet,
    *,
    name: str,
    store: EmbeddingStore | None = None,
    batch_size: int = 32,
    bf16: bool = False,
) -> Results:
    """Evaluate a model on a benchmark in all settings.

    Args:
        model: any sentence-transformers model.
        data: the benchmark.
        name: what to call the model in results.
        store: where vectors are kept between runs.
        batch_size: texts encoded at a time.
        bf16: encode in bfloat16.

    Returns:
        Averages, and every query's measures.
    """
    encoded = encode_set(model, data, store=store, batch_size=batch_size, bf16=bf16)
    start = time.perf_counter()
    ranks = rank_set(data, encoded)
    per_query, summary = summarise(data, ranks)
    score_seconds = time.perf_counter() - start
    described = {
        "name": name,
        "fingerprint": fingerprint(model),
        "dimensions": int(encoded.queries.shape[1]),
        "prompts": {"query": role_prompt(model, "query"), "passage": role_prompt(model, "passage")},
        "max_tokens": model.max_seq_length,
        "arithmetic": "bfloat16" if bf16 else "float32",
    }
    head = {"schema": SCHEMA, "benchmark": data.name, "benchmark_fingerprint": data.fingerprint, "model": described}
    seconds = {"encode": round(encoded.seconds, 3), "score": round(score_seconds, 3)}
    return Results({**head, **summary, "seconds": seconds, "versions": versions()}, per_query)


def encode_set(
    model: SentenceTransformer,
    data: RetrievalSet,
    *,
    store: EmbeddingStore | None = None,
    batch_size: int = 32,
    bf16: bool = False,
) -> EncodedSet:
    """Encode a benchmark's queries and passages, each distinct text once per role."""
    tags = np.array(data.languages)
    start = time.perf_counter()
    with progress(f"Encoding {data.name}", len(data.query_texts) + len(data.passage_texts)) as advance:

        def encode(texts: Any, role: Any, language: IntArray) -> FloatArray:
            tasks = tags[language].tolist() if _routes_by_language(model) else None
            return embed(
                model, texts, role, tasks=tasks, store=store, batch_size=batch_size, bf16=bf16, on_progress=advance
            )

        queries = encode(data.query_texts, "query", data.query_language)
        passages = encode(data.passage_texts, "passage", data.passage_language)
    return EncodedSet(queries, passages, time.perf_counter() - start)


def rank_set(data: RetrievalSet, encoded: EncodedSet, *, top_k: int = 10) -> Ranks:
    """Rank a benchmark's relevant passages from its vectors."""
    with progress("Scoring", len(data.query_texts)) as advance:
        return rank_relevant(
            encoded.queries,
            encoded.passages,
            passage_language=data.passage_language,
            judgement_query=data.judgement_query,
            judgement_passage=data.judgement_passage,
            top_k=top_k,
            on_progress=advance,
        )


def summarise(data: RetrievalSet, ranks: Ranks) -> tuple[pa.Table, dict[str, Any]]:
    """Measures of every query and their averages, from ranks alone.

    Returns:
        The per-query table, and the part of `results.json` that depends on ranks.
    """
    corpus_of = data.passage_language[data.judgement_passage]
    blocks = []
    by_pair: dict[str, Values] = {name: np.full((len(data.languages),) * 2, np.nan) for name in MEASURES}
    for corpus in range(len(data.languages)):
        chosen = corpus_of == corpus
        if not chosen.any():
            continue
        queries, table = _rank_table(data.judgement_query[chosen], ranks.in_language[chosen])
        values = {name: measure(table) for name, measure in MEASURES.items()}
        blocks.append(_per_query(data, queries, table, values, corpus))
        for name, language, mean in _by_language(values, data.query_language[queries]):
            by_pair[name][language, corpus] = mean
    queries, table = _rank_table(data.judgement_query, ranks.pooled)
    values = {name: measure(table) for name, measure in MEASURES.items()}
    bias = _language_bias(data, ranks, queries, table)
    blocks.append(_per_query(data, queries, table, {**values, **bias}, None))
    pooled = _nested(_by_language({**values, **bias}, data.query_language[queries]), len(data.languages))
    per_query = pa.concat_tables(blocks, promote_options="default")
    return per_query, _summary(data, by_pair, pooled)


def _rank_table(query: IntArray, rank: IntArray) -> tuple[IntArray, IntArray]:
    """Ranks as one row per query, padded with 0; and which query each row is."""
    order = np.argsort(query, kind="stable")
    queries, starts, counts = np.unique(query[order], return_index=True, return_counts=True)
    column = np.arange(len(order)) - np.repeat(starts, counts)
    table = np.zeros((len(queries), counts.max(initial=0)), np.int64)
    table[np.repeat(np.arange(len(queries)), counts), column] = rank[order]
    return queries, table


def _language_bias(data: RetrievalSet, ranks: Ranks, queries: IntArray, table: IntArray) -> dict[str, Values]:
    top_language = data.passage_language[ranks.top[queries]]
    language = data.query_language[queries]
    return {
        "rank_distance": rank_distance(table),
        "same_language_share@1": same_language_share(language, top_language, 1),
        "same_language_share@10": same_language_share(language, top_language, 10),
        "max_rank_norm": max_rank_norm(table, len(data.passage_texts)),
        "fair_share@1": fair_share(data.relevant_languages()[queries]),
    }


def _per_query(
    data: RetrievalSet, queries: IntArray, table: IntArray, values: dict[str, Values], corpus: int | None
) -> pa.Table:
    """Rows of `per_query.parquet` for the queries that were asked of one corpus, or of the pool."""
    tags = np.array(data.languages)
    language = data.query_language[queries]
    if corpus is None:
        setting = pa.array(["multilingual"] * len(queries))
    else:
        setting = pa.array(np.where(language == corpus, "monolingual", "cross_lingual"))
    ids = data.query_ids
    return pa.table(
        {
            "query": pa.array([ids[n] for n in queries]),
            "example": pa.array([data.query_example[n] for n in queries]),
            "query_language": pa.array(tags[language]),
            "setting": setting,
            "corpus_language": pa.array(
                [None if corpus is None else data.languages[corpus]] * len(queries), pa.string()
            ),
            "best_rank": best_rank(table),
            "worst_rank": worst_rank(table),
            **{name: pa.array(column, from_pandas=True) for name, column in values.items()},
        }
    )


def _by_language(values: dict[str, Values], language: IntArray) -> Iterator[tuple[str, int, float]]:
    """Means over the queries of each language; nan where no query has a value."""
    for name, column in values.items():
        for number in np.unique(language):
            mine = column[(language == number) & ~np.isnan(column)]
            yield name, int(number), float(mine.mean()) if len(mine) else float("nan")


def _nested(means: Iterator[tuple[str, int, float]], languages: int) -> dict[str, Values]:
    nested: dict[str, Values] = {}
    for name, language, mean in means:
        nested.setdefault(name, np.full(languages, np.nan))[language] = mean
    return nested


def _summary(data: RetrievalSet, by_pair: dict[str, Values], pooled: dict[str, Values]) -> dict[str, Any]:
    number = {tag: n for n, tag in enumerate(data.languages)}
    pairs = [(number[a], number[b]) for a, b in ordered_pairs(data.languages)]
    across = tuple(np.array(pairs, np.int64).reshape(-1, 2).T)
    settings = {
        "monolingual": {name: _mean(np.diag(grid)) for name, grid in by_pair.items()},
        "cross_lingual": {name: _mean(grid[across]) for name, grid in by_pair.items()},
        "multilingual": {name: _mean(pooled[name]) for name in by_pair},
    }
    bias_names = [name for name in pooled if name not in by_pair]
    grid = by_pair["map"]
    return {
        "languages": list(data.languages),
        "queries": len(data.query_texts),
        "passages": len(data.passage_texts),
        "settings": settings,
        "language_bias": {name: _mean(pooled[name]) for name in bias_names},
        "grid": {
            "measure": "map",
            "rows": "query language",
            "columns": "corpus language",
            "values": [[_number(value) for value in row] for row in grid],
        },
        "by_query_language": {
            tag: {
                "monolingual_map": _number(grid[n, n]),
                "cross_lingual_map": _mean(np.delete(grid[n], n)),
                "multilingual_map": _number(pooled["map"][n]),
                **{name: _number(pooled[name][n]) for name in bias_names},
            }
            for n, tag in enumerate(data.languages)
            if not np.isnan(pooled["map"][n])
        },
    }


def _mean(values: Values) -> float | None:
    """Mean of what was measured; None, which JSON can hold, if nothing was."""
    present = values[~np.isnan(values)]
    return _number(float(present.mean())) if len(present) else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _routes_by_language(model: SentenceTransformer) -> bool:
    return any("task" in getattr(module, "forward_kwargs", ()) for module in model.children())
