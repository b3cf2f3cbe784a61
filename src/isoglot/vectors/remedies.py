"""Closed-form maps that take language out of vectors, fitted in seconds: linear algebra alone.

Most of what sets languages apart is linear: their mean vectors differ, along few directions. `lir` and `linear-lir`
(arXiv 2109.04727) and `leace` (arXiv 2306.03819) need no language in use, `means` does, and `shift` (arXiv 2606.18801)
needs that of passages only. `isoglot.models.debiasing` puts them behind a model, `isoglot.vectors.debiasing` applies
them to vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from isoglot.common.errors import InputError

Vectors = npt.NDArray[np.floating[Any]]
"""`(rows, dimensions)`, of float16 to float64."""
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Remedy = Literal["lir", "leace", "means", "shift", "linear-lir"]

DEFAULT_REMEDY: Remedy = "linear-lir"
"""As good as `lir`, and without an offset: runtimes that leave out modules before it, and 8-bit arithmetic, keep it."""
DEFAULT_DIRECTIONS = 20


def check_remedy(remedy: str, strength: float) -> None:
    """Refuse what is no remedy, and what is no strength.

    Raises:
        InputError: naming the remedies there are, or the range.
    """
    if remedy not in get_args(Remedy):
        raise InputError(f"remedy {remedy!r} is unknown; use one of {', '.join(get_args(Remedy))}")
    if not 0 < strength <= 1:
        raise InputError(f"strength {strength:g}: above 0 and at most 1 is needed")


@dataclass(frozen=True)
class AffineMap:
    """`x -> weight @ x + bias`, of a weight `(dimensions, dimensions)` and a bias `(dimensions,)`."""

    weight: FloatArray
    bias: FloatArray

    def __call__(self, vectors: npt.ArrayLike) -> FloatArray:
        """Apply to `(texts, dimensions)`."""
        mapped: FloatArray = np.asarray(vectors, np.float64) @ self.weight.T + self.bias
        return mapped

    def softened(self, strength: float) -> AffineMap:
        """The map that goes a part of the way: `x -> x + strength * (self(x) - x)`.

        Where a map takes the whole of a direction out, this leaves `1 - strength` of it.

        Args:
            strength: above 0, to 1 for the map itself.

        >>> AffineMap(np.zeros((1, 1)), np.zeros(1)).softened(0.75)([[8.0]]).tolist()
        [[2.0]]
        """
        return AffineMap(np.eye(len(self.bias)) * (1 - strength) + strength * self.weight, strength * self.bias)


def fit_lir(vectors: npt.ArrayLike, groups: npt.ArrayLike, directions: int = DEFAULT_DIRECTIONS) -> AffineMap:
    """Fit the projection of language directions: `x -> (I - V V^T)(x - m)`.

    V holds the first right singular vectors of the groups' means less m, the mean of these means. Deviation from arXiv
    2109.04727: the vectors are centred first, which lowers rank distance further, and a group may be a language in one
    role, so that the offset between queries and passages goes too.

    Args:
        vectors: `(texts, dimensions)`.
        groups: `(texts,)`; the language, or language and role, of each.
        directions: how many to remove; at most one less than there are groups.

    Raises:
        InputError: if there are fewer than two groups, or directions are not positive.

    Two languages that differ along the first axis only: that axis goes.

        >>> x = np.array([[1.0, 0.3], [1.0, -0.3], [-1.0, 0.3], [-1.0, -0.3]])
        >>> fit_lir(x, ["de", "de", "en", "en"], 1)(x).round(6).tolist()[0]
        [0.0, 0.3]
    """
    means = _means(vectors, groups)
    centre = means.mean(0)
    weight = _without(means - centre, min(directions, len(means) - 1))
    return AffineMap(weight, -weight @ centre)


def fit_linear_lir(vectors: npt.ArrayLike, groups: npt.ArrayLike, directions: int = DEFAULT_DIRECTIONS) -> AffineMap:
    """Fit the projection of language directions without an offset: `x -> (I - V V^T) x` (arXiv 2109.04727).

    V holds the first right singular vectors of the groups' means, which are not centred: the first is nearly the mean
    of all vectors, so that what is removed beside it is as in `fit_lir` with one direction less. As the map is linear,
    neither a vector's length nor a shift along what is removed counts: it may stand before a normalisation as well as
    behind one, and bears arithmetic that moves all vectors one way, as 8-bit integers do.

    Args:
        vectors: `(texts, dimensions)`.
        groups: `(texts,)`; the language, or language and role, of each.
        directions: how many to remove; at most as many as there are groups.

    Raises:
        InputError: if there are fewer than two groups, or directions are not positive.

    What two languages have in common goes along the first axis, what sets them apart along the second.

        >>> x = np.array([[3.0, 1.0, 0.3], [3.0, 1.0, -0.3], [3.0, -1.0, 0.3], [3.0, -1.0, -0.3]])
        >>> mapping = fit_linear_lir(x, ["de", "de", "en", "en"], 2)
        >>> (mapping(x).round(6)[0] + 0.0).tolist(), mapping.bias.tolist()
        ([0.0, 0.0, 0.3], [0.0, 0.0, 0.0])
    """
    means = _means(vectors, groups)
    return AffineMap(_without(means, directions), np.zeros(means.shape[1]))


def _means(vectors: npt.ArrayLike, groups: npt.ArrayLike) -> FloatArray:
    """`(groups, dimensions)`; the mean of each group."""
    x, names, number = _grouped(vectors, groups)
    return np.stack([x[number == n].mean(0) for n in range(len(names))])


def _without(rows: FloatArray, directions: int) -> FloatArray:
    """`I - V V^T`, of the first right singular vectors of the rows, so many of them as are above rounding."""
    if directions < 1:
        raise InputError(f"directions {directions}: at least 1 is needed")
    _, strength, basis = np.linalg.svd(rows, full_matrices=False)
    removed = basis[: min(directions, int((strength > 1e-9 * max(strength[0], 1e-300)).sum()))]
    weight: FloatArray = np.eye(rows.shape[1]) - removed.T @ removed
    return weight


def fit_leace(vectors: npt.ArrayLike, groups: npt.ArrayLike) -> AffineMap:
    """Fit least-squares concept erasure of the group (arXiv 2306.03819, theorem 4.3).

    `x -> x - W^+ P W (x - m)` with W the whitening of the vectors and P the projection on the whitened
    cross-covariance with the one-hot group.

    Args:
        vectors: `(texts, dimensions)`; some times more texts than dimensions.
        groups: `(texts,)`; the language of each.

    Example:
        Afterwards the groups' means coincide.

        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(400, 3)); g = np.repeat([0, 1], 200); x[g == 1] += [2.0, 1.0, 0.0]
        >>> y = fit_leace(x, g)(x)
        >>> bool(np.abs(y[g == 0].mean(0) - y[g == 1].mean(0)).max() < 1e-9)
        True
    """
    x, names, number = _grouped(vectors, groups)
    centre, onehot = x.mean(0), np.eye(len(names))[number]
    centred = x - centre
    values, basis = np.linalg.eigh(centred.T @ centred / len(x))
    kept = values > values.max() * 1e-10
    whiten = (basis[:, kept] / np.sqrt(values[kept])) @ basis[:, kept].T
    unwhiten = (basis[:, kept] * np.sqrt(values[kept])) @ basis[:, kept].T
    left, strength, _ = np.linalg.svd(whiten @ (centred.T @ (onehot - onehot.mean(0)) / len(x)), full_matrices=False)
    left = left[:, strength > 1e-9 * max(strength.max(), 1e-300)]
    erased = unwhiten @ left @ left.T @ whiten
    return AffineMap(np.eye(x.shape[1]) - erased, erased @ centre)


def fit_means(vectors: npt.ArrayLike, groups: npt.ArrayLike) -> dict[str, AffineMap]:
    """Fit one map per group, `x -> x - m_group`.

    >>> maps = fit_means(np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]), ["de", "de", "en"])
    >>> maps["de"]([[2.0, 3.0]]).tolist()
    [[0.0, 0.0]]
    """
    x, names, number = _grouped(vectors, groups)
    return {str(name): AffineMap(np.eye(x.shape[1]), -x[number == n].mean(0)) for n, name in enumerate(names)}


def fit_shift(
    vectors: npt.ArrayLike, languages: npt.ArrayLike, examples: npt.ArrayLike, source_language: str = "en"
) -> dict[str, AffineMap]:
    """Fit one map per language for passages, `x -> x - v_language` (SHIFT, arXiv 2606.18801).

    `v_language` is the mean, over examples in both languages, of the vector in that language less the one in the
    source language. The whole of it is subtracted; the paper scales it by a factor that it tunes.

    Args:
        vectors: `(texts, dimensions)` of passages.
        languages: `(texts,)`; the language of each.
        examples: `(texts,)`; what translations share.
        source_language: the language that others are moved to.

    Raises:
        InputError: if no text is in the source language, or a language shares no example with it.

    Example:
        German lies one step to the right of English.

        >>> maps = fit_shift([[1.0, 2.0], [0.0, 2.0]], ["de", "en"], ["a", "a"])
        >>> maps["de"]([[5.0, 5.0]]).tolist(), maps["en"]([[5.0, 5.0]]).tolist()
        ([[4.0, 5.0]], [[5.0, 5.0]])
    """
    x, labels, names = np.asarray(vectors, np.float64), np.asarray(languages), np.asarray(examples)
    source = np.flatnonzero(labels == source_language)
    if not len(source):
        raise InputError(f"no text is in the source language {source_language!r}")
    maps = {}
    for label in np.unique(labels).tolist():
        mine = np.flatnonzero(labels == label)
        _, at, there = np.intersect1d(names[mine], names[source], return_indices=True)
        if not len(at):
            raise InputError(f"no example is in both {label} and {source_language}")
        maps[label] = AffineMap(np.eye(x.shape[1]), x[source[there]].mean(0) - x[mine[at]].mean(0))
    return maps


def lengths_of(vectors: Vectors) -> FloatArray:
    """`(rows,)`; Euclidean lengths, added up in float64: the squares of half-precision numbers exceed its range.

    >>> lengths_of(np.array([[300.0, 400.0]], np.float16)).tolist()
    [500.0]
    """
    squared: FloatArray = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.sqrt(squared)


def _grouped(vectors: npt.ArrayLike, groups: npt.ArrayLike) -> tuple[FloatArray, list[Any], IntArray]:
    """The vectors, the groups' names, and the number of each vector's group."""
    names, number = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise InputError("text of at least two languages is needed to find what sets languages apart")
    return np.asarray(vectors, np.float64), names.tolist(), number
