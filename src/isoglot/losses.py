"""Losses that sentence-transformers lacks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor, nn


class AnchoredContrastiveLoss(nn.Module):
    """InfoNCE over a batch, plus a pull of every vector towards a target computed beforehand.

    `L = w_c InfoNCE(q, p) + w_d mean(1 - cos(x, t))`, the mean over the batch's queries and passages x with their
    targets t. With targets from the initial model the second term holds what fine-tuning would wash out, or, with
    targets averaged over translations, draws translations together (in the way of arXiv 2004.09813).

    Args:
        model: the model to train.
        temperature: of InfoNCE.
        symmetric: also let each passage find its query.
        contrastive_weight: `w_c`.
        distillation_weight: `w_d`.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        temperature: float,
        symmetric: bool = False,
        contrastive_weight: float = 1.0,
        distillation_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.contrastive = contrastive_loss(model, temperature=temperature, symmetric=symmetric)
        self.contrastive_weight, self.distillation_weight = contrastive_weight, distillation_weight

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        """Loss of a batch.

        Args:
            sentence_features: tokenised queries, passages and any negatives.
            labels: `(batch, 2, dimensions)`, unit targets of the queries and the passages; None for the contrastive
                term alone, as on held-out pairs.
        """
        vectors = [self.model(features)["sentence_embedding"] for features in sentence_features]
        contrastive: Tensor = self.contrastive.compute_loss_from_embeddings(vectors, labels)
        if labels is None:
            return contrastive
        students = torch.stack(vectors[:2], dim=1)
        distance = 1 - nn.functional.cosine_similarity(students, labels.to(students.dtype), dim=-1)
        return self.contrastive_weight * contrastive + self.distillation_weight * distance.mean()


def contrastive_loss(
    model: SentenceTransformer, *, temperature: float, symmetric: bool = False
) -> MultipleNegativesRankingLoss:
    """InfoNCE as sentence-transformers has it, in this field's terms."""
    directions = ("query_to_doc", "doc_to_query") if symmetric else ("query_to_doc",)
    mode = "per_direction" if symmetric else "joint"
    return MultipleNegativesRankingLoss(model, scale=1.0 / temperature, directions=directions, partition_mode=mode)
