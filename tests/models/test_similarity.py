"""Scores are those of sentence-transformers' similarity functions."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.util import SimilarityFunction

from isoglot.models.similarity import Similarity, as_declared, prepare, score_block, score_pairs


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(get_args(Similarity)), seed=st.integers(0, 1000), size=st.sampled_from([1, 5, 40]))
def test_blocks_and_pairs_are_the_librarys(name: Similarity, seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    q, p = (3 * rng.normal(size=(size, 7)).astype(np.float32) + 1 for _ in range(2))
    queries, passages = prepare(q, name, "query"), prepare(p, name, "passage")
    block = as_declared(score_block(queries, passages, name), queries, name)
    theirs = SimilarityFunction.to_similarity_fn(name)
    assert block == pytest.approx(theirs(q, p).numpy(), abs=1e-3, rel=1e-4)
    pairs = as_declared(score_pairs(queries, passages, name), queries, name)
    assert pairs == pytest.approx(block.diagonal(), abs=1e-3, rel=1e-4)


def test_a_vector_of_zeros_has_no_cosine_but_zero() -> None:
    zero = prepare(np.zeros((1, 3), np.float32), "cosine", "query")
    assert score_block(zero, np.eye(3, dtype=np.float32), "cosine").tolist() == [[0, 0, 0]]
