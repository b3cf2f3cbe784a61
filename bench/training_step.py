"""What isoglot's training loop adds to the work that cannot be avoided, and to the plain trainer.

    python bench/training_step.py [--turns 6] [--steps 6] [--processor-time]

Three systems train on the same batches with builtin:multilingual-e5-small on the CPU: a bare loop of forward,
backward, clipping and optimiser on token batches made beforehand, with sentence-transformers' loss; isoglot's trainer
following a plan, with isoglot's objective; and sentence-transformers' trainer with its loss over the same texts. All
update the same weights (word embeddings frozen) by the same InfoNCE: once with texts of one length, once with lengths
that vary as those of package descriptions do. The systems take turns, so that a slow minute of the machine hits all of
them; a ratio is the median over the turns of the ratios of their medians. On a machine that others use at the same
time, count processor time on one thread instead: OMP_NUM_THREADS=1 and `--processor-time`. What a thread does beside
the model is then counted as if it had to be waited for.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import TrainerCallback

from isoglot.batching.plan import BatchPlan, plan_batches
from isoglot.models.arithmetic import in_bf16
from isoglot.models.builtin import quiet_transformers
from isoglot.models.encoders import load_encoder
from isoglot.pairs import ParallelPairs
from isoglot.training.data import Collator, planned_dataset
from isoglot.training.losses import Objective
from isoglot.training.trainer import PlannedTrainer, TrainingLog
from isoglot.training.word_rows import WordRows

BATCH = 32
now = time.perf_counter
EQUAL, MIXED = "equal lengths", "mixed lengths"


class Clock(TrainerCallback):
    """Seconds of each step, from the end of the one before, so that data loading counts."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last: float | None = None

    def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:  # noqa: D102
        if self.last is not None:
            self.seconds.append(now() - self.last)
        self.last = now()


def fresh_model() -> SentenceTransformer:
    model = load_encoder("builtin:multilingual-e5-small", max_tokens=128, device="cpu")
    model[0].auto_model.get_input_embeddings().requires_grad_(False)
    return model.train()


def some_pairs(model: SentenceTransformer, lengths: str, examples: int) -> ParallelPairs:
    """Pairs of texts of so many tokens, prompt and all, in two languages."""
    rng = np.random.default_rng(0)
    pieces = model.tokenizer.convert_ids_to_tokens(list(range(1000, 20000)))
    words = [piece[1:] for piece in pieces if piece.startswith("▁") and piece[1:].isascii() and piece[1:].isalpha()]

    def text(role: str) -> str:
        low, middle, high = {"query": (8, 12, 32), "passage": (8, 36, 128)}[role]
        drawn = 64 if lengths == EQUAL else np.clip(np.exp(rng.normal(np.log(middle), 0.7)), low, high)
        return " ".join(rng.choice(words, int(drawn) - 4))

    return ParallelPairs.from_rows(
        {"id": f"e{n}", "language": language, "query": text("query"), "passage": text("passage")}
        for n in range(examples)
        for language in ("de", "en")
    )


def arguments(folder: str, steps: int) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-5,
        bf16=in_bf16(None, torch.device("cpu")),
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        prompts={"query": "query: ", "passage": "passage: "},
        batch_sampler=lambda dataset, batch_size, **_: BatchSampler(SequentialSampler(dataset), batch_size, True),
    )


def bare_loop(pairs: ParallelPairs, plan: BatchPlan) -> list[float]:
    model, texts = fresh_model(), planned_dataset(pairs, plan)[:]
    loss, batches = MultipleNegativesRankingLoss(model, scale=50.0), []
    for start in range(0, plan.steps * BATCH, BATCH):
        part = slice(start, start + BATCH)
        batches.append([model.preprocess(texts[name][part], prompt=f"{name}: ") for name in ("query", "passage")])
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.01, fused=True)
    seconds = []
    for features in batches:
        began = now()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bf16(None, torch.device("cpu"))):
            value = loss(features, None)
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(now() - began)
    return seconds[1:]


def isoglot_trainer(pairs: ParallelPairs, plan: BatchPlan) -> list[float]:
    model, clock = fresh_model(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        PlannedTrainer(
            model=model,
            args=arguments(folder, plan.steps),
            plan=plan,
            held_out_plan=None,
            data_collator=Collator(model, {"query": None, "passage": None}),
            training_log=TrainingLog(Path(folder) / "log.jsonl"),
            words=WordRows([], np.empty(0, np.int64)),
            train_dataset=planned_dataset(pairs, plan),
            loss=Objective(model, temperature=0.02),
            callbacks=[clock],
        ).train()
    return clock.seconds


def plain_trainer(pairs: ParallelPairs, plan: BatchPlan) -> list[float]:
    model, clock, texts = fresh_model(), Clock(), planned_dataset(pairs, plan)[:]
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformerTrainer(
            model,
            arguments(folder, plan.steps),
            train_dataset=Dataset.from_dict({"query": texts["query"], "passage": texts["passage"]}),
            loss=MultipleNegativesRankingLoss(model, scale=50.0),
            callbacks=[clock],
        ).train()
    return clock.seconds


SYSTEMS = {"bare": bare_loop, "plain": plain_trainer, "isoglot": isoglot_trainer}


def main() -> None:
    global now
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--processor-time", action="store_true")
    given = parser.parse_args()
    if given.processor_time:
        now = time.process_time
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    model = fresh_model()
    with quiet_transformers():
        for lengths in (EQUAL, MIXED):
            pairs = some_pairs(model, lengths, 4 * BATCH)
            medians: dict[str, list[float]] = {name: [] for name in SYSTEMS}
            for turn in range(given.turns):
                plan = plan_batches(pairs.translations(), "hybrid", batch_size=BATCH, steps=given.steps, seed=turn)
                for name, run in SYSTEMS.items():
                    medians[name].append(statistics.median(run(pairs, plan)))
            for name, seconds in medians.items():
                of = {other: statistics.median(np.divide(seconds, medians[other])) for other in ("bare", "plain")}
                print(
                    f"{lengths}: {name:<8} {statistics.median(seconds):.3f} s per step of {BATCH} pairs, "
                    f"{of['bare']:.3f} x the bare loop, {of['plain']:.3f} x the plain trainer",
                    flush=True,
                )


if __name__ == "__main__":
    main()
