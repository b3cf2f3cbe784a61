from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from isoglot.batches import plan_batches
from isoglot.embed import EmbeddingStore, embed
from isoglot.losses import AnchoredContrastiveLoss
from isoglot.pairs import ParallelPairs
from isoglot.training.config import Distillation
from isoglot.training.data import Collator, make_targets, planned_dataset

LIMITS = {"query": 16, "passage": 16}


def test_negatives_are_columns_where_every_pair_of_a_batch_has_them() -> None:
    rows = [
        {
            "id": f"{n}",
            "language": tag,
            "query": f"q{n}",
            "passage": f"p{n} {tag}",
            "negatives": ["x", "y"][: 1 + n % 2],
        }
        for n in range(4)
        for tag in ("de", "en")
    ]
    pairs = ParallelPairs.from_rows(rows)
    plan = plan_batches(pairs.translations(), "monolingual", batch_size=4, steps=1)
    batch = planned_dataset(pairs, plan)[:]
    assert list(batch) == ["query", "passage", "negative_1"]


def test_targets_of_aligned_sentences_are_the_mean_of_their_translations(
    tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    sentences = {"de": ["rot gruen", "haus baum", "winter"], "en": ["red green", "house tree", "winter cold"]}
    rows = [
        {"id": f"{n}", "language": tag, "query": text, "passage": text}
        for tag, texts in sentences.items()
        for n, text in enumerate(texts)
    ]
    pairs = ParallelPairs.from_rows(rows)
    plan = plan_batches(pairs.translations(), "cross-lingual", batch_size=3, steps=2)
    settings = Distillation(weight=1.0, target="translations")
    targets = make_targets(tiny_encoder, pairs, plan, settings, store=EmbeddingStore(tmp_path), bf16=False)
    vectors = embed(tiny_encoder, pairs.texts("passage"), "passage")  # type: ignore[arg-type]
    table = pairs.table.to_pydict()
    for row in range(len(pairs)):
        mean = np.mean([vectors[n] for n in range(len(pairs)) if table["id"][n] == table["id"][row]], axis=0)
        for place in (targets.query[row], targets.passage[row]):
            assert np.allclose(targets.vectors[place], mean / np.linalg.norm(mean), atol=1e-5)


def test_targets_of_other_texts_are_their_own_vectors(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    plan = plan_batches(pairs.translations(), "hybrid", batch_size=8, steps=3)
    targets = make_targets(
        tiny_encoder, pairs, plan, Distillation(weight=1.0), store=EmbeddingStore(tmp_path), bf16=False
    )
    query_rows, passage_rows = plan.table_rows(pairs.translations())
    queries = embed(tiny_encoder, [pairs.texts("query")[n] for n in query_rows], "query")  # type: ignore[misc]
    assert np.allclose(targets.vectors[targets.query[query_rows]], queries, atol=1e-5)
    assert (targets.passage[passage_rows] >= 0).all()


def test_the_loss_is_what_its_docstring_says(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    plan = plan_batches(pairs.translations(), "hybrid", batch_size=6, steps=1)
    rows = planned_dataset(pairs, plan)
    batch = Collator(tiny_encoder, LIMITS)([rows[n] for n in range(6)])
    features = [
        {key.removeprefix(f"{name}_"): value for key, value in batch.items() if key.startswith(f"{name}_")}
        for name in ("query", "passage")
    ]
    targets = torch.nn.functional.normalize(torch.randn(6, 2, 32), dim=-1)
    loss = AnchoredContrastiveLoss(tiny_encoder, temperature=0.05, contrastive_weight=0.5, distillation_weight=2.0)
    with torch.no_grad():
        value = loss(features, targets)
        q, p = (tiny_encoder(dict(f))["sentence_embedding"] for f in features)
    logits = (q @ p.T) / 0.05
    naive = -sum(logits[n, n] - torch.logsumexp(logits[n], 0) for n in range(6)) / 6
    cosines = torch.stack([(q * targets[:, 0]).sum(-1), (p * targets[:, 1]).sum(-1)])
    assert torch.allclose(value, 0.5 * naive + 2.0 * (1 - cosines).mean(), atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(loss(features, None), naive, atol=1e-5)


def test_the_collator_puts_prompts_and_limits_by_role(tiny_encoder: SentenceTransformer) -> None:
    batch = Collator(tiny_encoder, {"query": 5, "passage": 9})([{"query": "rot " * 30, "passage": "blau " * 30}])
    assert batch["query_input_ids"].shape[1] == 5
    assert batch["passage_input_ids"].shape[1] == 9
