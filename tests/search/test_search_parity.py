"""What an index finds is what `evaluate` ranks: the exact engine to the last place, approximate ones nearly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_index import write

import isoglot
from isoglot import RetrievalSet, build_index, open_index
from isoglot.models.text_encoder import ModelEncoder
from isoglot.runtime.store import embedding_store
from shared_data import SHARED_DATA

_EQUAL = 2e-6  # scores of float32 that differ in their last bits
SHOWN = 10


def searched(data: RetrievalSet, encoder: ModelEncoder, folder: Path, engine: str) -> np.ndarray:
    """`(queries, 10)`; numbers of the passages that a search shows."""
    tags = [data.languages[language] for language in data.passage_language]
    rows = [
        {"id": key, "language": tag, "text": text}
        for key, tag, text in zip(data.passage_ids, tags, data.passage_texts, strict=True)
    ]
    build_index(write(folder / "corpus.jsonl", rows), encoder, folder / engine, engine=engine)
    searcher = open_index(folder / engine, encoder)
    number = {key: n for n, key in enumerate(data.passage_ids)}
    found = searcher.search_vectors(encoder.encode(data.query_texts, "query"), limit=SHOWN)
    searcher.close()
    return np.array([[number[hit.id] for hit in hits.hits] for hits in found])


def agree(data: RetrievalSet, encoder: ModelEncoder, found: np.ndarray) -> None:
    """The first ten of every query are those of `evaluate`, but for the order of equal scores."""
    queries, passages = (
        encoder.encode(texts, role) for texts, role in ((data.query_texts, "query"), (data.passage_texts, "passage"))
    )
    ranks = isoglot.rank_relevant(
        queries,
        passages,
        similarity="cosine",
        passage_language=data.passage_language,
        judgement_query=data.judgement_query,
        judgement_passage=data.judgement_passage,
        top_k=SHOWN,
    )
    scores = np.einsum("qd,qkd->qk", queries, passages[found])
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(passages, axis=1)[found]
    assert np.abs(scores / lengths - ranks.top_scores).max() < _EQUAL
    apart = np.abs(np.diff(ranks.top_scores, axis=1)).min(1) > 2 * _EQUAL
    assert apart.mean() > 0.5
    assert np.array_equal(found[apart, : SHOWN - 1], ranks.top[apart, : SHOWN - 1])


def test_a_small_set_is_found_as_it_is_ranked(tmp_path, tiny_encoder, pairs):
    data, encoder = isoglot.retrieval_set_of(pairs, "toy"), ModelEncoder(tiny_encoder)
    agree(data, encoder, searched(data, encoder, tmp_path, "exact"))


@pytest.mark.slow
@pytest.mark.data
def test_all_of_xquad_r_is_found_as_it_is_ranked_and_edge_loses_little_in_any_language(tmp_path):
    data = isoglot.load_benchmark("xquad-r", SHARED_DATA / "xquad-r")
    encoder = ModelEncoder(isoglot.load_encoder("builtin:multilingual-e5-small"), store=embedding_store())
    exact = searched(data, encoder, tmp_path, "exact")
    agree(data, encoder, exact)
    pytest.importorskip("qdrant_edge")
    near = searched(data, encoder, tmp_path, "edge")
    recall = np.array([len(set(one) & set(other)) / SHOWN for one, other in zip(near, exact, strict=True)])
    for number, tag in enumerate(data.languages):
        print(tag, recall[data.query_language == number].mean().round(4))
        assert recall[data.query_language == number].mean() >= 0.98
