"""Objectives: terms as plain functions of vectors, and the module that adds them up for a trainer.

Each term takes vectors of any length, compares them by their cosine and returns a scalar, a mean over the batch. Row n
of every argument belongs to example n; temperatures are above 0. Three terms compare passages with `translated`, the
same in another language; a batch that holds both puts them behind the passages, so that one pass encodes both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

import torch
import torch.distributed as dist
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, log_softmax, normalize, softplus
from torch.utils.checkpoint import checkpoint

from isoglot.common.errors import InputError
from isoglot.training.lengths import by_length


def info_nce(
    queries: Tensor,
    passages: Tensor,
    negatives: Tensor | None = None,
    *,
    temperature: float,
    symmetric: bool = False,
    left_out: Tensor | None = None,
) -> Tensor:
    """InfoNCE (arXiv 1807.03748): every query is to find its passage among all passages of the batch.

    `-log( exp(s(q_i, p_i) / t) / sum over d of exp(s(q_i, d) / t) )`, with `t` the temperature and the sum over
    all passages and negatives. With `symmetric` the mean of that and of the same with the roles exchanged, where a
    passage is to find its query among the queries; negatives then count for the queries only.

    Queries and passages are `(batch, dimensions)`, negatives `(any number, dimensions)`, further passages that answer
    none of the queries. `left_out` is `(batch, passages + negatives)`, true where a candidate that is not the query's
    own passage answers it all the same: it is left out of that query's sum, and the query out of that passage's. The
    value is from 0; `log(passages + negatives)` for vectors that tell nothing apart.

    Two queries at right angles, each on its passage: -log(e / (e + 1)).

    >>> axes = torch.eye(2)
    >>> round(info_nce(axes, axes, temperature=1.0).item(), 4)
    0.3133
    """
    candidates = passages if negatives is None else torch.cat([passages, negatives])
    scores = _cosines(queries, candidates) / temperature
    if left_out is not None:
        scores = scores.masked_fill(left_out, -torch.inf)
    own = scores.diagonal()
    ways = torch.logsumexp(scores, 1)
    if symmetric:
        ways = (ways + torch.logsumexp(scores[:, : len(passages)], 0)) / 2
    return (ways - own).mean()


def distillation(vectors: Tensor, targets: Tensor) -> Tensor:
    """Mean distance of vectors from targets computed beforehand, `1 - cos(x, t)`.

    For unit vectors that is half the squared distance, the term of arXiv 2004.09813 and of MIMO (arXiv 2605.31171) up
    to a factor.

    Both are `(..., dimensions)`; from 0, where every vector points where its target does, to 2.

    >>> distillation(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item()
    0.5
    """
    return (1 - cosine_similarity(vectors, targets.to(vectors.dtype), dim=-1)).mean()


def semantic_contrastive(passages: Tensor, translated: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE between passages and their translations, in both directions: the semantic term of arXiv 2210.06633.

    Deviations: the translations are those of the batch's passages, not of a separate parallel corpus, and languages
    may differ from row to row.

    Both are `(batch, dimensions)`; from 0.

    >>> axes = torch.eye(2)
    >>> round(semantic_contrastive(axes, axes, temperature=1.0).item(), 4)  # each passage on its translation
    0.3133
    >>> round(semantic_contrastive(axes, axes.flip(0), temperature=1.0).item(), 4)  # each on the other's
    1.3133
    """
    return info_nce(passages, translated, temperature=temperature, symmetric=True)


def language_contrastive(queries: Tensor, passages: Tensor, translated: Tensor, *, temperature: float) -> Tensor:
    """A query that neither version answers is to score a passage and its translation alike (arXiv 2210.06633).

    With `a = exp(s(q_k, p_i) / t)` and `b = exp(s(q_k, p'_i) / t)` for passage i, its translation and a query k of
    another row, the mean of `-log(4 a b / (a + b)^2)`. It is smallest where the two scores are equal, as that paper
    asks of its language term for a parallel pair (i, j) and a text k that is no translation of them.

    Deviations: k is a query of the batch in place of a text from a non-parallel corpus, and the constant log 4 is taken
    off, so that the smallest value is 0; gradients are those without it.

    All are `(batch, dimensions)`, a batch of at least 2; from 0, where a wrong query cannot tell the languages apart.

    The second passage's translation lies on the first query: scores 0 and 1 for one wrong pair, 0 and 0 for the other,
    so half of -log(4 e / (1 + e)^2).

    >>> axes = torch.eye(2)
    >>> language_contrastive(axes, axes, axes, temperature=1.0).item()
    0.0
    >>> round(language_contrastive(axes, axes, axes[[0, 0]], temperature=1.0).item(), 4)
    0.1201
    """
    wrong = ~torch.eye(len(queries), dtype=torch.bool, device=queries.device)
    gap = ((_cosines(queries, passages) - _cosines(queries, translated)) / temperature)[wrong]
    return (softplus(gap) + softplus(-gap)).mean() - math.log(4)


def jensen_shannon(queries: Tensor, passages: Tensor, translated: Tensor, *, temperature: float) -> Tensor:
    """A query is to spread its scores over passages as it does over their translations (arXiv 2604.05684).

    With P and Q the softmax of a query's scores over temperature, over the batch's passages and over their
    translations, and M = (P + Q) / 2: `(KL(P, M) + KL(Q, M)) / 2`, the mean over queries.

    Deviations: that paper pairs English with one other language; here the two languages are those of the row, and may
    differ from row to row. This is the divergence; its square root, the distance, has an unbounded gradient at 0.

    All are `(batch, dimensions)`; from 0, where both distributions are one, to log 2, where they do not overlap.

    At a temperature of 1 / log 3 a query scores (3/4, 1/4) over two passages and (1/4, 3/4) over their exchanged
    translations: 3/4 log(3/2) + 1/4 log(1/2).

    >>> axes = torch.eye(2)
    >>> round(jensen_shannon(axes, axes, axes.flip(0), temperature=1 / math.log(3)).item(), 4)
    0.1308
    """
    log_p = log_softmax(_cosines(queries, passages) / temperature, 1)
    log_q = log_softmax(_cosines(queries, translated) / temperature, 1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    divergence = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return divergence.sum(1).mean() / 2


def _cosines(rows: Tensor, columns: Tensor) -> Tensor:
    return normalize(rows, dim=-1) @ normalize(columns, dim=-1).T


class Objective(nn.Module):
    """A weighted sum of terms over the batches of a trainer.

    Every batch gives InfoNCE. Targets add distillation, translations of the passages add the terms over translations;
    a batch without them goes without these terms. In evaluation mode the value is InfoNCE alone, unweighted and over
    whole vectors, so that held-out losses of different objectives compare.

    With `matryoshka` the sum is taken again over the first so many dimensions of all vectors, once for each size, and
    all are added up with equal weight (arXiv 2205.13147).

    A candidate that says what a query's own passage says is not held against it: in a batch of `isoglot train` one of
    the same group (see `Translations.group`), be it a mined negative of another query; else one of the same tokens.
    Texts of unlike length are encoded apart; see `isoglot.training.lengths`.

    With `mini_batch` so many texts are encoded at a time and only their vectors are kept; each pass is repeated, with
    the same random numbers, when its gradient is due. As in GradCache (arXiv 2101.06983), memory for activations is
    that of one mini-batch, and gradients are those of the whole batch.

    Of several processes, each with its share of a batch, every one computes the value of the whole batch from the
    vectors of all. Averaged over the processes, the gradients are those that one process would have.

    Args:
        model: the model to train.
        temperature: of every term that has one.
        symmetric: in InfoNCE, also let each passage find its query.
        contrastive_weight: of InfoNCE.
        distillation_weight: of the distance of queries and passages from their targets.
        semantic_weight: of `semantic_contrastive`.
        language_weight: of `language_contrastive`.
        jensen_shannon_weight: of `jensen_shannon`.
        matryoshka: sizes below the model's own; the whole vector is always trained.
        mini_batch: texts encoded at a time; whole columns if not given.

    Raises:
        InputError: if a size of `matryoshka` is not below the model's dimensions.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        temperature: float,
        symmetric: bool = False,
        contrastive_weight: float = 1.0,
        distillation_weight: float = 1.0,
        semantic_weight: float = 0.0,
        language_weight: float = 0.0,
        jensen_shannon_weight: float = 0.0,
        matryoshka: Sequence[int] = (),
        mini_batch: int | None = None,
    ) -> None:
        super().__init__()
        dimensions = int(model.get_embedding_dimension() or 0)
        for size in matryoshka:
            if not 0 < size < dimensions:
                right = f"give sizes from 1 to {dimensions - 1}, the whole vector is trained anyway"
                raise InputError(f"matryoshka {size}: the model has {dimensions} dimensions; {right}")
        self.model = model
        self.temperature, self.symmetric, self.mini_batch = temperature, symmetric, mini_batch
        self.contrastive_weight, self.distillation_weight = contrastive_weight, distillation_weight
        self.semantic_weight, self.language_weight = semantic_weight, language_weight
        self.jensen_shannon_weight = jensen_shannon_weight
        self.sizes = (dimensions or None, *matryoshka)  # a slice up to None is the whole vector

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor | None) -> Tensor:
        """Loss of a batch.

        Args:
            sentence_features: tokenised queries, passages and any number of columns of negatives, each with any number
                of rows. There are as many passages as queries, or twice as many: their translations follow. The key
                `group` of a column holds a number for each text, equal where texts say the same.
            labels: `(batch, 2, dimensions)`, targets of the queries and the passages; None for none.

        Raises:
            InputError: if the columns are others.
        """
        columns = [dict(features) for features in sentence_features]
        if len(columns) < 2 or (labels is not None and labels.dim() != 3):
            raise InputError(
                "the objective takes a column of queries, one of passages, any number of columns of negatives, and as "
                "labels targets of the shape (batch, 2, dimensions) or none; select such columns of the data set"
            )
        groups = [_groups(column) for column in columns[1:]]
        queries, both, *rest = [self._encode(column) for column in columns]
        if len(both) not in (len(queries), 2 * len(queries)):
            raise InputError(f"the objective takes a passage for each query; there are {len(both)} for {len(queries)}")
        passages, translated = both[: len(queries)], both[len(queries) :]
        negatives = torch.cat(rest) if rest else queries[:0]
        said, also_said = groups[0][: len(queries)], torch.cat([groups[0][:0], *groups[1:]])
        if not self.model.training:
            return self._info_nce(queries, passages, negatives, _says_the_same(said, also_said), symmetric=False)
        sides = [queries, passages, negatives, translated, queries[:0] if labels is None else labels]
        sides = [_of_all_processes(side) for side in sides]
        left_out = _says_the_same(_of_all_processes(said), _of_all_processes(also_said))
        return torch.stack([self._sum(left_out, *(side[..., :size] for side in sides)) for size in self.sizes]).sum()

    def _sum(
        self,
        left_out: Tensor,
        queries: Tensor,
        passages: Tensor,
        negatives: Tensor,
        translated: Tensor,
        targets: Tensor,
    ) -> Tensor:
        terms, three, t = [], (queries, passages, translated), self.temperature
        if self.contrastive_weight:
            contrastive = self._info_nce(queries, passages, negatives, left_out, symmetric=self.symmetric)
            terms.append(self.contrastive_weight * contrastive)
        if len(targets):
            terms.append(self.distillation_weight * distillation(torch.stack([queries, passages], 1), targets))
        if self.semantic_weight and len(translated):
            terms.append(self.semantic_weight * semantic_contrastive(passages, translated, temperature=t))
        if self.language_weight and len(translated):
            terms.append(self.language_weight * language_contrastive(*three, temperature=t))
        if self.jensen_shannon_weight and len(translated):
            terms.append(self.jensen_shannon_weight * jensen_shannon(*three, temperature=t))
        return torch.stack(terms).sum()

    def _info_nce(
        self, queries: Tensor, passages: Tensor, negatives: Tensor, left_out: Tensor, *, symmetric: bool
    ) -> Tensor:
        return info_nce(
            queries, passages, negatives, temperature=self.temperature, symmetric=symmetric, left_out=left_out
        )

    def _encode(self, features: dict[str, Any]) -> Tensor:
        """Vectors of a column, `(rows, dimensions)`, as `encode` gives them but for a normalisation of its own."""
        parts = by_length(features, self.mini_batch)
        repeated = partial(checkpoint, self._vectors, use_reentrant=False)
        encode = self._vectors if self.mini_batch is None else repeated
        vectors = torch.cat([encode(part) for _, part in parts])
        rows = [rows for rows, _ in parts if rows is not None]
        return vectors[torch.cat(rows).argsort()] if rows else vectors

    def _vectors(self, features: dict[str, Any]) -> Tensor:
        vectors: Tensor = self.model(dict(features))["sentence_embedding"]  # a copy: the model adds what it computes
        return vectors[:, : getattr(self.model, "truncate_dim", None)]


def _groups(features: dict[str, Any]) -> Tensor:
    """For each text of a column a number that texts which say the same share; -1 where that is not known."""
    if "group" in features:
        return cast(Tensor, features.pop("group"))
    ids, mask = features.get("input_ids"), features.get("attention_mask")
    if ids is None or mask is None:
        rows = features.get("offsets", next(value for value in features.values() if isinstance(value, Tensor)))
        return torch.full((len(rows),), -1, device=rows.device)
    read = ids.masked_fill(mask == 0, -1).tolist()
    return torch.tensor([hash(tuple(i for i in row if i >= 0)) & (2**63 - 1) for row in read], device=ids.device)


def _says_the_same(passages: Tensor, negatives: Tensor) -> Tensor:
    """`(passages, passages + negatives)`; true where another candidate is of a passage's group."""
    same: Tensor = (passages[:, None] == torch.cat([passages, negatives])) & (passages[:, None] >= 0)
    same.fill_diagonal_(False)
    return same


class _Gathered(torch.autograd.Function):
    """Rows of all processes, in order of rank; each may have another number of them.

    All processes compute one value of the same rows, so their gradients of a row are equal: nothing need be sent back.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        lengths = [torch.empty(1, dtype=torch.long, device=rows.device) for _ in range(dist.get_world_size())]
        dist.all_gather(lengths, torch.tensor([len(rows)], device=rows.device))
        counts = [int(length) for length in lengths]
        padded = torch.cat([rows, rows.new_zeros(max(counts) - len(rows), *rows.shape[1:])])
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        start = sum(counts[: dist.get_rank()])
        ctx.own = slice(start, start + len(rows))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[ctx.own] * dist.get_world_size()


def _of_all_processes(rows: Tensor) -> Tensor:
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    gathered: Tensor = _Gathered.apply(rows)  # type: ignore[no-untyped-call]
    return gathered
