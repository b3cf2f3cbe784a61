"""Seconds per training step under each objective, as ratios to plain InfoNCE.

    python bench/objectives.py [--rounds 3]

builtin:multilingual-e5-small on the CPU, cross-lingual batches of 32, 64 tokens, word embeddings frozen: forward,
backward, clipping and optimiser. Objectives take turns batch by batch, so that a slow minute of the machine hits all of
them; each takes the same batches, and the medians are compared. Targets of distillation are made beforehand, as in
training, and not timed.
"""

import argparse
import os
import statistics
import time
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from isoglot.batching.plan import BatchPlan, plan_batches
from isoglot.models.arithmetic import in_bf16
from isoglot.models.builtin import quiet_transformers
from isoglot.models.encoders import load_encoder
from isoglot.pairs import ParallelPairs
from isoglot.sources import load_pairs
from isoglot.training.data import Collator, planned_dataset
from isoglot.training.losses import Objective

BATCH = 32
OBJECTIVES: dict[str, dict[str, Any]] = {
    "InfoNCE": {},
    "symmetric": {"symmetric": True},
    "semantic + language": {"semantic_weight": 1.0, "language_weight": 0.1},
    "Jensen-Shannon": {"jensen_shannon_weight": 1.0},
    "MIMO": {"contrastive_weight": 0.2, "distillation_weight": 0.8},
    "Matryoshka": {"matryoshka": (64, 128)},
    "mini-batches of 8": {"mini_batch": 8},
}
NEEDS_TRANSLATIONS = {"semantic + language", "Jensen-Shannon"}


def make_batches(
    pairs: ParallelPairs, plan: BatchPlan, model: SentenceTransformer, translated: bool
) -> list[list[dict[str, torch.Tensor]]]:
    """Token columns of every batch."""
    rows, collate = planned_dataset(pairs, plan, translated=translated), Collator(model, {"query": 64, "passage": 64})
    batches = []
    for step in range(plan.steps):
        columns = rows[step * BATCH : (step + 1) * BATCH]
        batch = collate([dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)])
        batches.append(
            [
                {key.removeprefix(f"{name}_"): value for key, value in batch.items() if key.startswith(f"{name}_")}
                for name in ("query", "passage")
            ]
        )
    return batches


def step_seconds(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    features: list[dict[str, torch.Tensor]],
    labels: torch.Tensor | None,
) -> float:
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bf16(None, torch.device("cpu"))):
        value = objective(features, labels)
    value.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    pairs = load_pairs("debian", languages=["de", "en", "fr", "ja", "ru"])
    plan = plan_batches(pairs.translations(), "cross-lingual", batch_size=BATCH, steps=rounds + 1)
    with quiet_transformers():
        model = load_encoder("builtin:multilingual-e5-small", device="cpu").train()
    model[0].auto_model.get_input_embeddings().requires_grad_(False)
    batches = {translated: make_batches(pairs, plan, model, translated) for translated in (False, True)}
    targets = torch.nn.functional.normalize(torch.randn(BATCH, 2, model.get_embedding_dimension()), dim=-1)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6, fused=True)
    seconds: dict[str, list[float]] = {name: [] for name in OBJECTIVES}
    for step in range(rounds + 1):
        for name, settings in OBJECTIVES.items():
            objective = Objective(model, temperature=0.05, **settings)
            labels = targets if "distillation_weight" in settings else None
            features = batches[name in NEEDS_TRANSLATIONS][step]
            seconds[name].append(step_seconds(objective, optimizer, features, labels))
    middle = {name: statistics.median(values[1:]) for name, values in seconds.items()}  # the first step warms up
    for name, value in middle.items():
        print(f"{name:<20} {value:6.3f} s per step of {BATCH} pairs, {value / middle['InfoNCE']:.2f} x InfoNCE")


if __name__ == "__main__":
    main()
