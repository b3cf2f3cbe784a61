"""How a query and a passage are scored: by the similarity that the model declares, as sentence-transformers scores it.

Every similarity but one is an inner product of vectors that were made ready once, so that a block of scores costs one
matrix product. Distances are negative, for what is near to come first. A vector of zeros has no direction; its cosine
with anything is 0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import normalize

from isoglot.common.roles import Role

FloatArray = npt.NDArray[np.float32]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]


def prepare(vectors: FloatArray, similarity: Similarity, role: Role) -> FloatArray:
    """Make vectors ready to be scored; `(texts, dimensions)`, one coordinate more for the Euclidean distance.

    For cosines they get unit length. Euclidean distances are taken from a product: with `[q, 1]` for a query and
    `[p, -|p|^2 / 2]` for a passage it is `(|q|^2 - |q - p|^2) / 2`, which orders a query's passages as their distance.

    >>> p = np.array([[0.0, 2.0]], np.float32)
    >>> prepare(4 * p, "cosine", "query").tolist(), prepare(p, "euclidean", "passage").tolist()
    ([[0.0, 1.0]], [[0.0, 2.0, -2.0]])
    """
    if similarity == "cosine":
        unit: FloatArray = normalize(torch.from_numpy(np.ascontiguousarray(vectors)), dim=1).numpy()
        return unit
    if similarity == "euclidean":
        last = np.ones(len(vectors)) if role == "query" else np.square(vectors, dtype=np.float64).sum(1) / -2
        return np.column_stack([vectors, last.astype(np.float32)])
    return vectors


def score_block(
    queries: torch.Tensor, passages: torch.Tensor, similarity: Similarity, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Scores of all queries with all passages, both made ready; `(queries, passages)`, in `out` where that serves."""
    if similarity == "manhattan":
        return torch.cdist(queries, passages, p=1.0).neg_()
    return torch.mm(queries, passages.T, out=out)


def score_pairs(queries: FloatArray, passages: FloatArray, similarity: Similarity) -> FloatArray:
    """Scores of each query with the passage in the same place, both made ready; `(pairs,)`."""
    if similarity == "manhattan":
        scores: FloatArray = -np.abs(queries - passages).sum(1)
        return scores
    return np.asarray(np.einsum("nd,nd->n", queries, passages))


def as_declared(scores: torch.Tensor, queries: torch.Tensor, similarity: Similarity) -> torch.Tensor:
    """Scores `(queries, ...)` as the model declares them, from those of vectors made ready; only `euclidean` changes.

    >>> q = torch.from_numpy(prepare(np.array([[3.0, 4.0]], np.float32), "euclidean", "query"))
    >>> p = torch.from_numpy(prepare(np.array([[3.0, 1.0]], np.float32), "euclidean", "passage"))
    >>> as_declared(score_block(q, p, "euclidean"), q, "euclidean").tolist()
    [[-3.0]]
    """
    if similarity != "euclidean":
        return scores
    squared = queries[:, :-1].square().sum(1).view(-1, *[1] * (scores.ndim - 1))
    return (squared - 2 * scores).clamp_(min=0).sqrt_().neg_()
