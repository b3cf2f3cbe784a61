"""A training run from configuration to model.

A run's folder holds `config.yaml`, `plan.parquet` (which batch saw what), `run.json` (what everything depends on),
`log.jsonl`, `checkpoints/`, `model/` and `results/`.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from torch import nn
from transformers import EarlyStoppingCallback

from isoglot.atomic import write_json, write_text, write_whole, write_whole_folder
from isoglot.batches import BatchPlan, plan_batches
from isoglot.benchmarks import retrieval_set_of
from isoglot.builtin_encoder import quiet_transformers
from isoglot.cache import cache_folder
from isoglot.debiasing import debias
from isoglot.embed import EmbeddingStore
from isoglot.encoders import Role, fingerprint, load_encoder, split_head
from isoglot.errors import InputError
from isoglot.evaluation import evaluate
from isoglot.losses import AnchoredContrastiveLoss, contrastive_loss
from isoglot.pairs import ParallelPairs
from isoglot.progress import console
from isoglot.results import Results, versions
from isoglot.sources import load_pairs
from isoglot.training.card import model_card
from isoglot.training.config import TrainConfig
from isoglot.training.data import Collator, Targets, make_targets, planned_dataset, read_sources
from isoglot.training.trainer import (
    CompleteCheckpoints,
    PlannedTrainer,
    ProgressCallback,
    TrainingLog,
    has_bf16,
    last_checkpoint,
)

_HELD_OUT_BATCHES = 16


@dataclass(frozen=True)
class _Prepared:
    """What a run needs before it starts; made without writing anything, so bad input leaves nothing behind."""

    pairs: ParallelPairs
    held_out: ParallelPairs | None
    plan: BatchPlan
    held_out_plan: BatchPlan | None


def train(config: TrainConfig, *, resume: bool = False) -> Path:
    """Train a model.

    Args:
        config: everything about the run; see `load_config`.
        resume: continue a run that was interrupted, from its last checkpoint, to the same weights that it would have
            reached (on a CPU, with as many threads).

    Returns:
        The folder of the finished model, an ordinary sentence-transformers model.

    Raises:
        InputError: if the configuration, the data or the output folder cannot be used.
        IsoglotError: if the loss stops being a number.
    """
    output = Path(config.output)
    if (output / "model").exists():
        raise InputError(f"{output}: holds a finished model; choose another output")
    if not resume and output.exists() and any(output.iterdir()):
        raise InputError(f"{output}: exists already; continue it with --resume or choose another output")
    if resume and not (output / "run.json").exists():
        raise InputError(f"{output}: no run to resume here")
    prepared = _prepare(config)
    model = _initial_model(config, prepared)
    _freeze(model, config)
    record = _record(config, model, prepared)
    if resume:
        _check_same(output, config, record)
    else:
        _write_start(output, config, prepared, record)
    for line in _plan_lines(prepared):
        console.print(line)
    trained = _fit(config, model, prepared, output, last_checkpoint(output / "checkpoints") if resume else None)
    results = _evaluate_held_out(config, trained, prepared, output)
    with write_whole_folder(output / "model") as target, quiet_transformers():
        trained.save_pretrained(str(target), create_model_card=False)
        write_text(target / "README.md", model_card(config, record, prepared.plan, results))
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    return output / "model"


def _prepare(config: TrainConfig) -> _Prepared:
    pairs = read_sources(config.data, config.seed)
    held_out = None
    if config.validation.examples:
        if config.validation.examples >= pairs.example_count:
            raise InputError(
                f"validation.examples {config.validation.examples}: there are {pairs.example_count} examples in all; "
                "hold out fewer, or none with 0"
            )
        pairs, held_out = pairs.split(config.validation.examples, config.seed)
    steps = config.steps or math.ceil((config.epochs or 0) * pairs.example_count / config.batches.size)
    plan = _plan(config, pairs, config.batches.size, steps)
    held_out_plan = None
    if held_out is not None:
        size = min(config.batches.size, 16)  # held-out pairs are few, so their batches are small
        try:
            held_out_plan = _plan(config, held_out, size, _HELD_OUT_BATCHES)
        except InputError as error:
            raise InputError(
                f"held-out pairs are too few: {error}; raise validation.examples or set it to 0"
            ) from error
    return _Prepared(pairs, held_out, plan, held_out_plan)


def _initial_model(config: TrainConfig, prepared: _Prepared) -> SentenceTransformer:
    model = load_encoder(config.model, max_tokens=config.max_tokens)
    if config.debias is None:
        return model
    settings = config.debias
    text = load_pairs(settings.source) if settings.source else prepared.pairs
    return debias(
        model,
        text,
        remedy=settings.remedy,
        directions=settings.directions,
        examples=settings.examples,
        seed=config.seed,
        store=_store(),
        bf16=_in_bf16(config, model),
    )


def _plan(config: TrainConfig, pairs: ParallelPairs, size: int, steps: int) -> BatchPlan:
    batches = config.batches
    return plan_batches(
        pairs.translations(),
        batches.strategy,
        batch_size=size,
        steps=steps,
        alpha=batches.alpha,
        language_sampling=batches.language_sampling,
        dataset_weights=batches.dataset_weights,
        neighbours=math.gcd(batches.neighbours, size),  # held-out batches are smaller
        seed=config.seed,
    )


def _record(config: TrainConfig, model: SentenceTransformer, prepared: _Prepared) -> dict[str, Any]:
    """What the outcome depends on."""
    return {
        "model": {"name": config.model, "fingerprint": fingerprint(model)},
        "data": {
            "fingerprint": prepared.pairs.fingerprint,
            "examples": prepared.pairs.example_count,
            "rows": len(prepared.pairs),
            "languages": list(prepared.pairs.languages),
            "datasets": list(prepared.pairs.translations().datasets),
            "held_out_examples": prepared.held_out.example_count if prepared.held_out else 0,
        },
        "plan": prepared.plan.describe(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
    }


def _write_start(output: Path, config: TrainConfig, prepared: _Prepared, record: dict[str, Any]) -> None:
    settings = config.model_dump(mode="json")
    write_text(output / "config.yaml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    with write_whole(output / "plan.parquet") as temporary:
        ids = pa.array(prepared.pairs.example_ids).take(pa.array(prepared.plan.example))
        columns = {**prepared.plan.columns(), "example": ids}
        pq.write_table(pa.table(columns), temporary, compression="zstd")
    write_json(output / "run.json", record)


def _check_same(output: Path, config: TrainConfig, record: dict[str, Any]) -> None:
    if yaml.safe_load((output / "config.yaml").read_text(encoding="utf-8")) != config.model_dump(mode="json"):
        raise InputError(f"{output}: cannot resume, the configuration is not what the run began with; start a new one")
    earlier = json.loads((output / "run.json").read_text(encoding="utf-8"))
    for part, what in (("model", "the initial model"), ("data", "the training data"), ("plan", "the plan of batches")):
        if earlier[part] != record[part]:
            raise InputError(f"{output}: cannot resume, {what} is not what the run began with; start a new one")


def _plan_lines(prepared: _Prepared) -> list[str]:
    plan, pairs = prepared.plan.describe(), prepared.pairs
    batches = ", ".join(f"{n:,} {kind}" for kind, n in plan["batches"].items())
    lines = [
        f"Training pairs: {pairs.example_count:,} examples, {len(pairs):,} translations, {' '.join(pairs.languages)}",
        f"Batches of {plan['batch_size']}: {batches}",
    ]
    often = {tag: use for tag, use in plan["repeats"].items() if use["mean_uses"] >= 3}
    if often:
        shown = ", ".join(f"{tag} {use['examples']:,} x {use['mean_uses']}" for tag, use in often.items())
        lines.append(f"Languages short of examples, and how often each is repeated: {shown}")
    return lines


def _fit(
    config: TrainConfig, model: SentenceTransformer, prepared: _Prepared, output: Path, checkpoint: Path | None
) -> SentenceTransformer:
    if config.dropout is not None:
        _set_dropout(model, config.dropout)
    initial = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    own_limit = int(model.max_seq_length or 512)
    limits: dict[Role, int] = {
        "query": min(own_limit, config.query_tokens or own_limit),
        "passage": min(own_limit, config.passage_tokens or own_limit),
    }
    bf16 = _in_bf16(config, model)
    targets = _targets(config, model, prepared, max(limits.values()), bf16)
    log = TrainingLog(output / "log.jsonl", int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    callbacks: list[Any] = [ProgressCallback(log, prepared.plan.steps), CompleteCheckpoints()]
    if prepared.held_out is not None:
        callbacks.append(EarlyStoppingCallback(config.validation.patience))
    with quiet_transformers():
        trainer = PlannedTrainer(
            model,
            _arguments(config, prepared.plan, output / "checkpoints", bf16, on_cpu=model.device.type == "cpu"),
            plan=prepared.plan,
            held_out_plan=prepared.held_out_plan,
            collator=Collator(model, limits),
            log=log,
            train_dataset=planned_dataset(prepared.pairs, prepared.plan, targets),
            eval_dataset=(
                planned_dataset(prepared.held_out, prepared.held_out_plan)
                if prepared.held_out is not None and prepared.held_out_plan is not None
                else None
            ),
            loss=_loss(config, model),
            callbacks=callbacks,
        )
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model.max_seq_length = own_limit
    _average(model, initial, config.average)
    return model.eval()


def _store() -> EmbeddingStore:
    return EmbeddingStore(cache_folder() / "embeddings")


def _in_bf16(config: TrainConfig, model: SentenceTransformer) -> bool:
    return has_bf16(str(model.device)) if config.bf16 is None else config.bf16


def _freeze(model: SentenceTransformer, config: TrainConfig) -> None:
    if config.freeze.head:
        for module in split_head(model)[1]:
            module.requires_grad_(False)
    transformer = model[0].auto_model if hasattr(model[0], "auto_model") else None
    if transformer is None:
        return
    if config.freeze.word_embeddings or config.freeze.layers:
        transformer.get_input_embeddings().requires_grad_(False)
    if config.freeze.layers:
        stack = getattr(getattr(transformer, "encoder", transformer), "layer", None)
        if stack is None or config.freeze.layers >= len(stack):
            raise InputError(
                f"freeze.layers {config.freeze.layers}: the model has {len(stack or [])} layers that can be"
            )
        transformer.embeddings.requires_grad_(False)
        for layer in stack[: config.freeze.layers]:
            layer.requires_grad_(False)


def _set_dropout(model: SentenceTransformer, probability: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def _targets(
    config: TrainConfig, model: SentenceTransformer, prepared: _Prepared, tokens: int, bf16: bool
) -> Targets | None:
    if config.loss.distillation is None:
        return None
    own_limit, model.max_seq_length = model.max_seq_length, tokens
    targets = make_targets(model, prepared.pairs, prepared.plan, config.loss.distillation, store=_store(), bf16=bf16)
    model.max_seq_length = own_limit
    return targets


def _loss(config: TrainConfig, model: SentenceTransformer) -> nn.Module:
    loss = config.loss
    if loss.distillation is not None:
        return AnchoredContrastiveLoss(
            model,
            temperature=loss.temperature,
            symmetric=loss.symmetric,
            contrastive_weight=loss.weight,
            distillation_weight=loss.distillation.weight,
        )
    plain: Any = contrastive_loss(model, temperature=loss.temperature, symmetric=loss.symmetric)
    if loss.mini_batch is None:
        return cast(nn.Module, plain)
    cached: nn.Module = CachedMultipleNegativesRankingLoss(
        model,
        scale=plain.scale,
        mini_batch_size=loss.mini_batch,
        directions=plain.directions,
        partition_mode=plain.partition_mode,
    )
    return cached


def _arguments(
    config: TrainConfig, plan: BatchPlan, folder: Path, bf16: bool, *, on_cpu: bool
) -> SentenceTransformerTrainingArguments:
    looks = config.validation.examples > 0
    every = config.validation.every if looks else config.checkpoint_every
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        learning_rate=config.optimizer.learning_rate,
        weight_decay=config.optimizer.weight_decay,
        max_grad_norm=config.optimizer.max_gradient_norm,
        lr_scheduler_type="linear",
        warmup_steps=round(config.optimizer.warmup * plan.steps),
        bf16=bf16,
        use_cpu=on_cpu,
        seed=config.seed,
        eval_strategy="steps" if looks else "no",
        eval_steps=every if looks else None,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=looks,
        metric_for_best_model="eval_loss" if looks else None,
        greater_is_better=False if looks else None,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


@torch.no_grad()
def _average(model: SentenceTransformer, initial: dict[str, torch.Tensor], share: float) -> None:
    """Move the trained weights towards the initial ones, in place."""
    if share < 1:
        for name, parameter in model.named_parameters():
            if name in initial:
                parameter.lerp_(initial[name].to(parameter.device), 1 - share)


def _evaluate_held_out(
    config: TrainConfig, trained: SentenceTransformer, prepared: _Prepared, output: Path
) -> dict[str, Results]:
    """Scores of the initial and the trained model on the held-out pairs, kept in the run's `results/`."""
    if prepared.held_out is None:
        return {}
    data = retrieval_set_of(prepared.held_out, "held-out pairs")
    results = {}
    for name, model in (("initial", load_encoder(config.model, max_tokens=config.max_tokens)), ("trained", trained)):
        results[name] = evaluate(model, data, name=name, store=_store(), bf16=_in_bf16(config, model))
        results[name].save(output / "results" / name)
    return results
