"""From what is prepared to a trainer that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments
from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    TensorBoardCallback,
    get_available_reporting_integrations,
)

from isoglot.common.errors import InputError
from isoglot.common.progress import progress
from isoglot.common.roles import Role
from isoglot.models.arithmetic import in_bf16
from isoglot.models.builtin import quiet_transformers
from isoglot.models.limits import with_limit
from isoglot.runtime.store import EmbeddingStore, embedding_store
from isoglot.training import processes
from isoglot.training.config import TrainConfig
from isoglot.training.data import Collator, Targets, make_targets, planned_dataset, tokens_met
from isoglot.training.losses import Objective
from isoglot.training.model_setup import average, teacher, trained_weights
from isoglot.training.preparation import Prepared
from isoglot.training.trainer import CompleteCheckpoints, EarlyStopping, PlannedTrainer, ProgressCallback, TrainingLog
from isoglot.training.word_rows import IntArray, WordRows, trained_tables

_MOST_PAIRS = 2_000_000  # of a run whose tables of word embeddings are cut


def check_report_to(names: Sequence[str]) -> None:
    """Raises InputError if a service that a run reports to is not known or not installed."""
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise InputError(f"report_to {name}: not known; use some of {', '.join(sorted(INTEGRATION_TO_CALLBACK))}")
        if name not in get_available_reporting_integrations():
            raise InputError(f"report_to {name}: its package is not installed here; install it or leave {name} out")


@dataclass(frozen=True)
class Fit:
    """A model, frozen in part, what it is to minimise, and the data that it learns from."""

    config: TrainConfig
    model: SentenceTransformer
    objective: Objective
    prepared: Prepared

    @property
    def limits(self) -> dict[Role, int | None]:
        """Token limits of training by role; None for the model's own."""
        config = self.config
        roles: dict[Role, int | None] = {"query": config.query_tokens, "passage": config.passage_tokens}
        return {role: min(filter(None, (tokens, config.max_tokens)), default=None) for role, tokens in roles.items()}

    def run(self, output: Path, checkpoint: Path | None) -> SentenceTransformer:
        """Train, from a checkpoint if there is one, and give the model averaged as the configuration wants it."""
        initial = trained_weights(self.model, self.config.average)
        targets = processes.in_turn(lambda: self.targets(embedding_store()))
        log_file = output / "log.jsonl" if processes.rank() == 0 else Path(os.devnull)
        log = TrainingLog(log_file, int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
        with quiet_transformers(), progress("Training", self.prepared.plan.steps) as advance:
            callbacks: list[TrainerCallback] = [ProgressCallback(log, advance), CompleteCheckpoints()]
            if self.prepared.held_out is not None:
                callbacks.append(EarlyStopping(self.config.validation.patience))
            with self.trained_words() as words:
                self.trainer(output / "checkpoints", targets, log, callbacks, words).train_from(checkpoint)
        average(self.model, initial, self.config.average)
        return self.model.eval()

    def targets(self, store: EmbeddingStore | None) -> Targets | None:
        """Vectors that the model is held to; None without distillation."""
        settings, limits = self.config.loss.distillation, self.limits.values()
        if settings is None:
            return None
        own = teacher(self.config, self.model) or self.model
        model = with_limit(own, None if None in limits else max(tokens for tokens in limits if tokens))
        pairs, plan = self.prepared.pairs, self.prepared.plan
        return make_targets(model, pairs, plan, settings, store=store, bf16=in_bf16(self.config.bf16, model.device))

    @contextmanager
    def trained_words(self) -> Iterator[WordRows]:
        """Within, word embeddings that are trained have only rows that the run meets."""
        plan = self.prepared.plan
        # Of more pairs, nearly all rows are met, and to read all text beforehand takes long.
        tables = trained_tables(self.model) if plan.steps * plan.batch_size <= _MOST_PAIRS else []
        words = WordRows(tables, self._tokens_met() if tables else np.empty(0, np.int64))
        try:
            yield words
        finally:
            words.restore()

    def _tokens_met(self) -> IntArray:
        prepared, loss = self.prepared, self.config.loss
        read = partial(tokens_met, Collator(self.model, self.limits), negatives=loss.negatives)
        tokens = read(prepared.pairs, prepared.plan, translated=loss.over_translations)
        if prepared.held_out is not None and prepared.held_out_plan is not None:
            return np.union1d(tokens, read(prepared.held_out, prepared.held_out_plan))
        return tokens

    def trainer(
        self,
        folder: Path,
        targets: Targets | None,
        log: TrainingLog,
        callbacks: Sequence[TrainerCallback],
        words: WordRows,
    ) -> PlannedTrainer:
        """The trainer of this process, with checkpoints in a folder."""
        config, prepared, negatives = self.config, self.prepared, self.config.loss.negatives
        held_out = None
        if prepared.held_out is not None and prepared.held_out_plan is not None:
            held_out = planned_dataset(prepared.held_out, prepared.held_out_plan, negatives=negatives)
        process, translated = (processes.rank(), processes.count()), config.loss.over_translations
        trainer = PlannedTrainer(
            model=self.model,
            args=self._arguments(folder),
            plan=prepared.plan,
            held_out_plan=prepared.held_out_plan,
            data_collator=Collator(self.model, self.limits),
            training_log=log,
            words=words,
            train_dataset=planned_dataset(
                prepared.pairs, prepared.plan, targets, translated=translated, negatives=negatives, process=process
            ),
            eval_dataset=held_out,
            loss=self.objective,
            callbacks=list(callbacks),
        )
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
                callback.logging_dir = str(folder.parent / "tensorboard")  # checkpoints/ does not outlive the run
        return trainer

    def _arguments(self, folder: Path) -> SentenceTransformerTrainingArguments:
        config, plan = self.config, self.prepared.plan
        looks = self.prepared.held_out is not None
        every = config.validation.every if looks else config.checkpoint_every
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(folder),
            run_name=folder.parent.name,
            max_steps=plan.steps,
            per_device_train_batch_size=plan.batch_size // processes.count(),
            learning_rate=config.optimizer.learning_rate,
            weight_decay=config.optimizer.weight_decay,
            max_grad_norm=config.optimizer.max_gradient_norm,
            lr_scheduler_type="linear",
            warmup_steps=round(config.optimizer.warmup * plan.steps),
            bf16=in_bf16(config.bf16, self.model.device),
            use_cpu=self.model.device.type == "cpu",
            seed=config.seed,
            eval_strategy="steps" if looks else "no",
            eval_steps=every if looks else None,
            save_strategy="steps",
            save_steps=every,
            load_best_model_at_end=looks,
            metric_for_best_model="eval_loss" if looks else None,
            greater_is_better=False if looks else None,
            logging_strategy="steps" if config.report_to else "no",
            logging_steps=1,
            report_to=list(config.report_to) or "none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # one device a process; torchrun starts several
        return arguments
