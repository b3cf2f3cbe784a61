"""The sentence-transformers trainer, following a plan.

Everything that it does well is left to it: the loop, mixed precision, clipping, checkpoints, early stopping. What is
added is small: rows come in the plan's order, the loss is logged by kind of batch, a loss that is not a number
stops the run, and a checkpoint counts only once it is whole.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from torch import nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from isoglot.batches import KINDS, BatchPlan
from isoglot.errors import IsoglotError
from isoglot.progress import console
from isoglot.training.data import Collator

COMPLETE = "complete"  # a file in a checkpoint that says it was written to its end


class PlannedTrainer(SentenceTransformerTrainer):
    """Composes the trainer with a plan: batch n of the data loader is batch n of the plan.

    Args:
        model: the model to train.
        args: sentence-transformers' own arguments.
        plan: the plan that `train_dataset` follows.
        held_out_plan: the plan that `eval_dataset` follows.
        collator: tokenises.
        log: where each step's loss goes.
        kwargs: as the trainer takes them.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        args: TrainingArguments,
        *,
        plan: BatchPlan,
        held_out_plan: BatchPlan | None,
        collator: Collator,
        log: TrainingLog,
        **kwargs: Any,
    ) -> None:
        super().__init__(model=model, args=args, data_collator=collator, **kwargs)
        self.training_log = log
        self.plan, self.held_out_plan = plan, held_out_plan
        self.remove_callback(PrinterCallback)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Nothing: isoglot writes the card, and the library's would read the data for examples to show."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches in the order of the plan; the trainer skips those before a resumed step without reading them."""
        return self._in_order(self.train_dataset, self.plan.batch_size)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Held-out batches in the order of their plan."""
        if self.held_out_plan is None:
            raise ValueError("there are no held-out pairs to look at")
        return self._in_order(self.eval_dataset, self.held_out_plan.batch_size)

    def _in_order(self, dataset: Dataset, batch_size: int) -> DataLoader[Any]:
        loader: DataLoader[Any] = DataLoader(
            dataset, batch_size=batch_size, shuffle=False, drop_last=True, collate_fn=self.data_collator
        )
        return loader

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss, logged with the kind of its batch.

        Raises:
            IsoglotError: if it is not a number.
        """
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if model.training:
            step = self.state.global_step
            value = float(loss.detach())
            if not math.isfinite(value):
                raise IsoglotError(
                    f"the loss is {value} at step {step + 1}; lower the learning rate or raise the temperature, "
                    "then continue from the last checkpoint with --resume"
                )
            self.training_log.step(step, KINDS[self.plan.kind[step]], value)
        return loss


class TrainingLog:
    """`log.jsonl`: one line per step, and per look at held-out pairs.

    A resumed run cuts the lines behind its checkpoint, so that a step is logged once.
    """

    def __init__(self, path: Path, resume_from: int = 0) -> None:
        self.path = path
        kept = []
        if resume_from and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:  # a line cut short by a kill
                    continue
                if entry["step"] <= resume_from:
                    kept.append(line + "\n")
        path.write_text("".join(kept), encoding="utf-8")
        self.start = time.perf_counter()
        self.recent: dict[str, list[float]] = {}

    def step(self, step: int, kind: str, loss: float) -> None:
        """Record a training step, counted from 0."""
        self.recent.setdefault(kind, []).append(loss)
        self._write({"step": step + 1, "kind": kind, "loss": round(loss, 6)})

    def validation(self, step: int, loss: float) -> None:
        """Record the loss on held-out pairs after so many steps."""
        self._write({"step": step, "held_out_loss": round(loss, 6)})

    def means(self) -> dict[str, float]:
        """Mean loss by kind over the last fifty batches of each."""
        return {kind: sum(values[-50:]) / len(values[-50:]) for kind, values in sorted(self.recent.items())}

    def _write(self, entry: dict[str, Any]) -> None:
        entry["seconds"] = round(time.perf_counter() - self.start, 2)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


class ProgressCallback(TrainerCallback):
    """A bar with the time left on a terminal, a line now and then elsewhere."""

    def __init__(self, log: TrainingLog, steps: int) -> None:
        self.log, self.steps = log, steps
        columns = (
            TextColumn("Training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
        )
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=steps, loss="")
        self.started = (0, 0.0)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start counting, from the resumed step if there is one."""
        self.started = (state.global_step, time.perf_counter())
        self.bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Show the step and the recent loss by kind of batch."""
        losses = ", ".join(f"{kind} {loss:.3f}" for kind, loss in self.log.means().items())
        self.bar.update(self.task, completed=state.global_step, loss=f"loss: {losses}")
        if not console.is_terminal and state.global_step % max(1, self.steps // 10) == 0:
            done = state.global_step - self.started[0]
            left = (self.steps - state.global_step) * (time.perf_counter() - self.started[1]) / max(1, done)
            console.print(f"step {state.global_step}/{self.steps}, about {left / 60:.1f} min left, loss: {losses}")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        """Record and show the loss on held-out pairs."""
        self.log.validation(state.global_step, metrics["eval_loss"])
        console.print(f"step {state.global_step}: held-out loss {metrics['eval_loss']:.4f}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leave the finished bar on the screen."""
        self.bar.stop()


class CompleteCheckpoints(TrainerCallback):
    """Marks each checkpoint once it is whole, so that one cut short by a kill is never resumed from."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Called when everything of the checkpoint has been written."""
        (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run, None if there is none."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def has_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
