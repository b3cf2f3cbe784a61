"""How a query and a passage are scored: by the similarity that the model declares, as sentence-transformers scores it.

Every similarity but one is an inner product of vectors that were made ready once, so that a block of scores costs one
matrix product. Distances are negative, for what is near to come first. A vector of zeros has no direction; its cosine
with anything is 0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

from isoglot.common.arrays import FloatArray
from isoglot.common.roles import Role

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]

_SHORTEST = 1e-12  # what a vector is divided by at least, as torch does


def prepare(vectors: FloatArray, similarity: Similarity, role: Role) -> FloatArray:
    """Make vectors ready to be scored; `(texts, dimensions)`, one coordinate more for the Euclidean distance.

    For cosines they get unit length. Euclidean distances are taken from a product: with `[q, 1]` for a query and
    `[p, -|p|^2 / 2]` for a passage it is `(|q|^2 - |q - p|^2) / 2`, which orders a query's passages as their distance.

    >>> p = np.array([[0.0, 2.0]], np.float32)
    >>> prepare(4 * p, "cosine", "query").tolist(), prepare(p, "euclidean", "passage").tolist()
    ([[0.0, 1.0]], [[0.0, 2.0, -2.0]])
    """
    if similarity == "cosine":
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: FloatArray = vectors / np.maximum(lengths, _SHORTEST, dtype=np.float32)
        return unit
    if similarity == "euclidean":
        last = np.ones(len(vectors)) if role == "query" else np.square(vectors, dtype=np.float64).sum(1) / -2
        return np.column_stack([vectors, last.astype(np.float32)])
    return vectors


def score_block(
    queries: FloatArray, passages: FloatArray, similarity: Similarity, out: FloatArray | None = None
) -> FloatArray:
    """Scores of all queries with all passages, both made ready; `(queries, passages)`, in `out` where that serves."""
    if similarity == "manhattan":
        distances: FloatArray = cdist(queries, passages, "cityblock").astype(np.float32)
        return -distances
    scores: FloatArray = np.matmul(queries, passages.T, out=out)
    return scores


def score_pairs(queries: FloatArray, passages: FloatArray, similarity: Similarity) -> FloatArray:
    """Scores of each query with the passage in the same place, both made ready; `(pairs,)`."""
    if similarity == "manhattan":
        scores: FloatArray = -np.abs(queries - passages).sum(1)
        return scores
    return np.asarray(np.einsum("nd,nd->n", queries, passages))


def as_declared(scores: FloatArray, queries: FloatArray, similarity: Similarity) -> FloatArray:
    """Scores `(queries, ...)` as the model declares them, from those of vectors made ready; only `euclidean` changes.

    >>> q = prepare(np.array([[3.0, 4.0]], np.float32), "euclidean", "query")
    >>> p = prepare(np.array([[3.0, 1.0]], np.float32), "euclidean", "passage")
    >>> as_declared(score_block(q, p, "euclidean"), q, "euclidean").tolist()
    [[-3.0]]
    """
    if similarity != "euclidean":
        return scores
    squared = np.square(queries[:, :-1]).sum(1).reshape(-1, *[1] * (scores.ndim - 1))
    distances: FloatArray = np.sqrt(np.maximum(squared - 2 * scores, 0))
    return -distances
