"""What a training run would do and cost, from a few of its steps, taken for real and thrown away."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from isoglot.batching.plan import BatchPlan
from isoglot.common.errors import InputError
from isoglot.models.arithmetic import in_bf16
from isoglot.models.builtin import quiet_transformers
from isoglot.training import processes
from isoglot.training.config import TrainConfig
from isoglot.training.data import Collator, Targets, planned_dataset
from isoglot.training.model_setup import limit_lines
from isoglot.training.preparation import describe_data, describe_plan, plan_lines
from isoglot.training.run import begin
from isoglot.training.trainer import TrainingLog
from isoglot.training.trainer_setup import Fit
from isoglot.training.word_rows import WordRows

_TIMED_STEPS = 4  # the first of them warms up and is not counted
_TOKENISED_STEPS = 32


@dataclass(frozen=True)
class Estimate:
    """What a run would do and cost.

    Attributes:
        data: examples, translations (`rows`), languages, data sets and held-out examples.
        plan: steps, batches by kind, languages and language pairs; see `describe_plan`.
        pairs: query-passage pairs over the whole run.
        tokens: about how many tokens they have, prompts and translations included, padding not.
        weights: of the model.
        trained_weights: those that are updated.
        device: where the steps were taken.
        bf16: whether in bfloat16.
        seconds_per_step: of training.
        seconds: of the steps; of the looks at held-out pairs; of encoding targets, if none is in the store yet.
        peak_memory: bytes; of the device where there is one, else of the whole process; None where the system does not
            tell.
        lines: data and plan in words.
    """

    data: dict[str, Any]
    plan: dict[str, Any]
    pairs: int
    tokens: int
    weights: int
    trained_weights: int
    device: str
    bf16: bool
    seconds_per_step: float
    seconds: dict[str, float]
    peak_memory: int | None
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything but the words."""
        return {name: value for name, value in asdict(self).items() if name != "lines"}

    def text(self) -> str:
        """For people, a few lines."""
        arithmetic = "bfloat16" if self.bf16 else "float32"
        memory = "not known on this system" if self.peak_memory is None else f"{self.peak_memory / 2**30:.1f} GiB"
        parts = ", ".join(f"{what} {value / 60:.1f}" for what, value in self.seconds.items() if value)
        return "\n".join(
            [
                *self.lines,
                f"Steps: {self.plan['steps']:,} of {self.plan['batch_size']} pairs, {self.pairs:,} pairs, about "
                f"{self.tokens:,} tokens",
                f"Weights: {self.weights:,}, of which {self.trained_weights:,} are trained",
                f"A step takes about {self.seconds_per_step:.2f} s on {self.device} in {arithmetic}",
                f"Minutes: about {sum(self.seconds.values()) / 60:.1f} ({parts})",
                f"Peak memory: {memory}",
            ]
        )


def estimate(config: TrainConfig) -> Estimate:
    """Take a few steps of a run, spread over its plan, and scale up; nothing is written to the run's folder.

    Batches differ in length, so seconds are scaled by tokens. The final scoring of held-out pairs is not counted.

    Raises:
        InputError: if the run could not start, or if there are several processes.
    """
    if processes.count() > 1:
        raise InputError("a dry run takes one process; start it without torchrun")
    whole, _ = begin(config)
    plan = whole.prepared.plan
    sizes = [(p.numel(), p.requires_grad) for p in whole.model.parameters()]
    tokens_per_step = float(np.mean(_tokens(whole, _some_steps(plan, _TOKENISED_STEPS))))
    timed = _some_steps(plan, _TIMED_STEPS)
    silent = config.model_copy(update={"report_to": ()})
    part = replace(whole, config=silent, prepared=replace(whole.prepared, plan=timed))
    start = time.perf_counter()
    targets = part.targets(None)  # by the whole vocabulary, of which training cuts away what it does not meet
    target_seconds = time.perf_counter() - start if targets else 0.0
    with whole.trained_words() as words:
        step_seconds, look_seconds = _take_steps(part, targets, words)
    counted = slice(1 if timed.steps > 1 else 0, None)
    per_token = sum(step_seconds[counted]) / max(1, sum(_tokens(whole, timed)[counted]))
    per_step = tokens_per_step * per_token
    looks = math.ceil(plan.steps / config.validation.every)  # the last step is always followed by one
    texts, timed_texts = (  # distinct queries and passages
        sum(len(np.unique(rows)) for rows in some.table_rows(whole.prepared.pairs.translations()))
        for some in (plan, timed)
    )
    return Estimate(
        data=describe_data(whole.prepared),
        plan=describe_plan(plan),
        pairs=plan.steps * plan.batch_size,
        tokens=round(tokens_per_step * plan.steps),
        weights=sum(size for size, _ in sizes),
        trained_weights=sum(size for size, trained in sizes if trained),
        device=str(whole.model.device),
        bf16=in_bf16(config.bf16, whole.model.device),
        seconds_per_step=per_step,
        seconds={
            "training": per_step * plan.steps,
            "held-out pairs": look_seconds * looks,
            "targets": target_seconds * texts / timed_texts,
        },
        peak_memory=_peak_memory(whole.model.device),
        lines=(*limit_lines(config, whole.model), *plan_lines(whole.prepared)),
    )


class _Clock(TrainerCallback):
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.last = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now
        control.should_save = control.should_evaluate = False  # at the last step the trainer would do both


def _take_steps(fit: Fit, targets: Targets | None, words: WordRows) -> tuple[list[float], float]:
    """Seconds of each step of a short plan, and of a look at held-out pairs."""
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        log = TrainingLog(Path(folder) / "log.jsonl")
        trainer = fit.trainer(Path(folder) / "checkpoints", targets, log, [clock], words)
        trainer.args.load_best_model_at_end = False
        trainer.train()
        if trainer.held_out_plan is None:
            return clock.seconds, 0.0
        start = time.perf_counter()
        trainer.evaluate()
        return clock.seconds, time.perf_counter() - start


def _some_steps(plan: BatchPlan, most: int) -> BatchPlan:
    """Steps spread evenly over a plan."""
    steps = np.unique(np.linspace(0, plan.steps - 1, most).round().astype(np.int64))
    return plan.select(steps, slice(None))


def _tokens(fit: Fit, plan: BatchPlan) -> list[int]:
    """Tokens of each step, padding not counted."""
    loss = fit.config.loss
    rows = planned_dataset(fit.prepared.pairs, plan, translated=loss.over_translations, negatives=loss.negatives)
    counts = []
    for batch in DataLoader(rows, plan.batch_size, collate_fn=Collator(fit.model, fit.limits)):
        read = sum(int(value.sum()) for name, value in batch.items() if name.endswith("attention_mask"))
        counts.append(read or sum(value.numel() for name, value in batch.items() if name.endswith("input_ids")))
    return counts


def _peak_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
