"""What isoglot's training loop adds to the work that cannot be avoided, and to the plain trainer.

    python bench/training_step.py [--steps 30]

Three runs over the same pairs with builtin:multilingual-e5-small on the CPU, alternating in one process: a bare loop
of forward, backward, clipping and optimiser on token batches made beforehand, with sentence-transformers' loss;
isoglot's trainer following a plan, with isoglot's objective; and sentence-transformers' trainer with its default
sampler and its loss over the same texts. All update the same weights (word embeddings frozen) by the same InfoNCE;
seconds per step are medians after warming up.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import TrainerCallback

from isoglot.batching.plan import plan_batches
from isoglot.models.builtin import quiet_transformers
from isoglot.models.encoders import load_encoder
from isoglot.sources import load_pairs
from isoglot.training.data import Collator, planned_dataset
from isoglot.training.losses import Objective
from isoglot.training.trainer import PlannedTrainer, TrainingLog, has_bf16

LIMITS = {"query": 32, "passage": 64}
BATCH = 32


class Clock(TrainerCallback):
    """Seconds of each step, from the end of the one before, so that data loading counts."""

    def __init__(self):
        self.seconds, self.last = [], None

    def on_step_end(self, args, state, control, **_):  # noqa: D102
        now = time.perf_counter()
        if self.last is not None:
            self.seconds.append(now - self.last)
        self.last = now


def fresh_model():
    model = load_encoder("builtin:multilingual-e5-small", device="cpu")
    model[0].auto_model.get_input_embeddings().requires_grad_(False)
    return model.train()


def arguments(folder, steps):
    return SentenceTransformerTrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-5,
        bf16=has_bf16("cpu"),
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        prompts={"query": "query: ", "passage": "passage: "},
    )


def bare_loop(dataset, steps):
    model = fresh_model()
    collate, loss = Collator(model, LIMITS), MultipleNegativesRankingLoss(model, scale=50.0)
    batches = []
    for step in range(steps):
        rows = dataset[step * BATCH : (step + 1) * BATCH]
        columns = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
        batch = collate(columns)
        batches.append(
            [
                {key.removeprefix(f"{name}_"): value for key, value in batch.items() if key.startswith(f"{name}_")}
                for name in ("query", "passage")
            ]
        )
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.01, fused=True)
    seconds = []
    for features in batches:
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bf16("cpu")):
            value = loss(features, None)
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return seconds


def isoglot_trainer(pairs, plan, steps):
    model, clock = fresh_model(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        PlannedTrainer(
            model,
            arguments(folder, steps),
            plan=plan,
            held_out_plan=None,
            collator=Collator(model, LIMITS),
            log=TrainingLog(Path(folder) / "log.jsonl"),
            train_dataset=planned_dataset(pairs, plan),
            loss=Objective(model, temperature=0.02),
            callbacks=[clock],
        ).train()
    return clock.seconds


def plain_trainer(dataset, steps):
    model, clock = fresh_model(), Clock()
    model.max_seq_length = LIMITS["passage"]  # one limit for both roles is what the plain trainer has
    texts = dataset[: steps * BATCH]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model,
            arguments(folder, steps),
            train_dataset=Dataset.from_dict({"query": texts["query"], "passage": texts["passage"]}),
            loss=MultipleNegativesRankingLoss(model, scale=50.0),
            callbacks=[clock],
        )
        trainer.train()
    return clock.seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    steps = parser.parse_args().steps
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    pairs = load_pairs("debian", languages=["de", "en", "fr", "ja", "ru"])
    plan = plan_batches(pairs.translations(), "hybrid", batch_size=BATCH, steps=2 * steps)
    times = {"bare": [], "isoglot": [], "plain": []}
    with quiet_transformers():
        for turn in range(2):  # alternate, so that a slow minute of the machine hits all three
            part = plan.from_step(turn * steps)
            rows = planned_dataset(pairs, part)
            times["bare"] += bare_loop(rows, steps)[2:]
            times["isoglot"] += isoglot_trainer(pairs, part, steps)[1:]
            times["plain"] += plain_trainer(rows, steps)[1:]
    bare = statistics.median(times["bare"])
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:<8} {middle:.3f} s per step of {BATCH} pairs, {middle / bare:.3f} x the bare loop")


if __name__ == "__main__":
    main()
