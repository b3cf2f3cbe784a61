"""The sentence-transformers trainer, following a plan.

Everything that it does well is left to it: the loop, mixed precision, clipping, checkpoints, early stopping. What is
added is small: rows come in the plan's order and are tokenised while the model computes, processes share each batch,
the loss is logged by kind of batch, a loss that is not a number stops the run, and a checkpoint counts only once whole.
"""

from __future__ import annotations

import errno
import json
import math
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformerTrainer
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME

from isoglot.batching.plan import KINDS, BatchPlan
from isoglot.common.atomic import checksum, reason_of_the_system, write_json, write_text
from isoglot.common.errors import IsoglotError
from isoglot.common.progress import Advance, tell
from isoglot.models.saving import write_model
from isoglot.training import processes
from isoglot.training.word_rows import WordRows

COMPLETE = "complete"  # a file in a checkpoint that says it was written to its end, and holds its files' checksums


class PlannedTrainer(SentenceTransformerTrainer):
    """Composes the trainer with a plan: batch n of the data loader is this process's share of batch n of the plan.

    accelerate would hand whole batches to the processes in turn, shuffled by a sampler of its own; the loaders here are
    left as they are. Each process computes the loss of the whole batch, and gradients are averaged once a step.
    The plan is that of whole batches, `train_dataset` holds this process's rows of it, and `eval_dataset` follows the
    plan of held-out pairs. The rest is as sentence-transformers takes it, the batch size that of a process.
    """

    def __init__(
        self,
        *,
        plan: BatchPlan,
        held_out_plan: BatchPlan | None,
        training_log: TrainingLog,
        words: WordRows,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.training_log, self.words = training_log, words
        self.plan, self.held_out_plan = plan, held_out_plan
        self.reader = ThreadPoolExecutor(1)
        self.coming: Future[Any] | None = None
        self.remove_callback(PrinterCallback)

    def train_from(self, checkpoint: Path | None) -> None:
        """Train, from a checkpoint if there is one; where early stopping had ended the run, take its best weights."""
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            if EarlyStopping.had_ended(state):
                self._load_from_checkpoint(str(checkpoint.with_name(Path(str(state.best_model_checkpoint)).name)))
                return
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Nothing: isoglot writes the card, and the library's would read the data for examples to show."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches in the order of the plan; the trainer skips those before a resumed step without reading them."""
        return self._in_order(self.train_dataset, self.plan.batch_size // processes.count())

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Held-out batches in the order of their plan; every process looks at all of them, for they are few."""
        if self.held_out_plan is None:
            raise ValueError("there are no held-out pairs to look at")
        return self._in_order(self.eval_dataset, self.held_out_plan.batch_size)

    def _in_order(self, dataset: Dataset, batch_size: int) -> DataLoader[Any]:
        pin, collate = self.args.dataloader_pin_memory, self.data_collator
        return DataLoader(dataset, batch_size, drop_last=True, collate_fn=collate, pin_memory=pin)

    def get_batch_samples(self, *args: Any) -> Any:
        """The batch of the next step; a thread reads and tokenises the one behind it while the model computes.

        Nothing random is drawn for it, so that a checkpoint is the same with one batch in hand.
        """
        coming = self.coming or self.reader.submit(super().get_batch_samples, *args)
        batches = coming.result()
        self.coming = self.reader.submit(super().get_batch_samples, *args) if batches[0] else None
        return batches

    def override_model_in_loss(self, loss: nn.Module, model: nn.Module) -> nn.Module:
        """Leave the bare model in the loss: the wrapper of copies would exchange gradients at every pass of a step."""
        return loss if isinstance(model, DistributedDataParallel) else super().override_model_in_loss(loss, model)

    def training_step(self, model: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Forward and backward; then the processes' gradients become their mean."""
        loss: torch.Tensor = super().training_step(model, *args, **kwargs)
        if isinstance(model, DistributedDataParallel):
            processes.average_gradients(self.model)
        return loss

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss, logged with the kind of its batch; one that is not a number is an error."""
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if model.training:
            step, value = self.state.global_step, float(loss.detach())
            if not math.isfinite(value):
                raise self._diverged(f"the loss is {value}", step + 1)
            self.training_log.step(step, KINDS[self.plan.kind[step]], value)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """What services are told: the loss once more under the name of its kind of batch."""
        if "loss" in logs:
            logs[f"loss_{KINDS[self.plan.kind[self.state.global_step - 1]]}"] = logs["loss"]
        super().log(logs, start_time)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """A checkpoint of finite weights; one that cannot be written to its end is taken away again."""
        step, folder = self.state.global_step, Path(str(self.args.output_dir))
        if not all(bool(torch.isfinite(p).all()) for p in self.model.parameters() if p.requires_grad):
            raise self._diverged("a weight is not a finite number", step)
        try:
            with saving(f"the checkpoint of step {step}", folder):
                super()._save_checkpoint(model, trial)
        except IsoglotError:
            shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)
            raise

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """The whole model, and it alone, as isoglot writes models."""
        with self.words.whole():
            write_model(self.model, Path(str(output_dir)))

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        with self.words.whole():
            super()._load_from_checkpoint(checkpoint_path)

    def _load_best_model(self) -> None:
        """Back to the best checkpoint, wherever the run was moved; the library would go on if that failed."""
        self._load_from_checkpoint(str(Path(self.args.output_dir, Path(str(self.state.best_model_checkpoint)).name)))

    def _diverged(self, what: str, step: int) -> IsoglotError:
        last = last_checkpoint(Path(str(self.args.output_dir)))
        start = f"from its last checkpoint (model: {last})" if last else "again in another output"
        return IsoglotError(
            f"{what} at step {step}; start a run {start} with a lower learning rate or a higher temperature"
        )


@contextmanager
def saving(what: str, folder: Path) -> Iterator[None]:
    """Turn whatever the writers of weights raise when they cannot write into one clear IsoglotError."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        cause = reason_of_the_system(error, folder) or error
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full; make room"
        else:
            reason = f"{(str(error) or type(error).__name__).splitlines()[0]}; mend that"
        raise IsoglotError(f"{folder}: cannot write {what}, {reason}, then continue with --resume") from error


class TrainingLog:
    """`log.jsonl`: one line per step, and per look at held-out pairs.

    A resumed run cuts the lines behind its checkpoint, so that a step is logged once.
    """

    def __init__(self, path: Path, resume_from: int = 0) -> None:
        self.path = path
        if path.is_file():  # the null device, which takes the log of all processes but one, is none
            write_text(path, "".join(_lines_to(path, resume_from)))
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


def _lines_to(path: Path, step: int) -> Iterator[str]:
    """The lines of a log up to a step."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # a line cut short by a kill
            continue
        if entry["step"] <= step:
            yield line + "\n"


class ProgressCallback(TrainerCallback):
    """Tells of each step, with the recent loss, and of each look at the held-out pairs."""

    def __init__(self, log: TrainingLog, advance: Advance) -> None:
        self.log, self.advance = log, advance

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start counting, from the resumed step if there is one."""
        self.advance(state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Show the step and the recent loss by kind of batch."""
        self.advance(1, "loss: " + ", ".join(f"{kind} {loss:.3f}" for kind, loss in self.log.means().items()))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        """Record and show the loss on held-out pairs."""
        self.log.validation(state.global_step, metrics["eval_loss"])
        tell(f"step {state.global_step}: held-out loss {metrics['eval_loss']:.4f}")


class EarlyStopping(EarlyStoppingCallback):
    """Early stopping that goes on counting where a checkpoint had counted to; the library would begin anew."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Take over the count."""
        super().on_train_begin(args, state, control)
        saved = state.stateful_callbacks.get(type(self).__name__) or self.state()
        self.early_stopping_patience_counter = saved["attributes"]["early_stopping_patience_counter"]

    @classmethod
    def had_ended(cls, state: TrainerState) -> bool:
        """Whether a run was over when this state was saved."""
        saved = state.stateful_callbacks.get(cls.__name__)
        if saved is None:
            return False
        return bool(saved["attributes"]["early_stopping_patience_counter"] >= saved["args"]["early_stopping_patience"])


class CompleteCheckpoints(TrainerCallback):
    """Marks each checkpoint once it is whole, so that one cut short by a kill is never resumed from.

    Only then are older ones taken away, but for the best and the one before: the trainer would do so earlier, and a
    kill in between could leave the best alone, which may be many steps back.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Find the best checkpoint again where the run lies now: the library forgets one whose path is another."""
        if state.best_global_step:
            state.best_model_checkpoint = str(Path(str(args.output_dir), f"checkpoint-{state.best_global_step}"))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Called when a process has written its part of the checkpoint."""
        processes.wait()
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir))
            newest = folder / f"checkpoint-{state.global_step}"
            write_json(newest / COMPLETE, _checksums(newest))
            best = folder / Path(state.best_model_checkpoint or newest).name
            others = sorted(set(folder.glob("checkpoint-*")) - {newest, best}, key=_step_of)
            for checkpoint in others if best != newest else others[:-1]:
                (checkpoint / COMPLETE).unlink(missing_ok=True)
                shutil.rmtree(checkpoint, ignore_errors=True)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run whose files are as they were written, None if there is none."""
    found = sorted((path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")), key=_step_of, reverse=True)
    return next(filter(_is_sound, found), None)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _checksums(checkpoint: Path) -> dict[str, str]:
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    return {str(path.relative_to(checkpoint)): checksum([path]) for path in files if not path.name.startswith(".")}


def _is_sound(checkpoint: Path) -> bool:
    try:
        written = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8") or "null")
    except ValueError:
        return False
    return written is None or written == _checksums(checkpoint)  # those of versions without checksums have none
