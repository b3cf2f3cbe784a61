"""A training run from configuration to model.

A run's folder holds `config.yaml`, `plan.parquet` (which batch saw what), `run.json` (what everything depends on),
`log.jsonl`, `checkpoints/`, `model/` and `results/`. Of several processes the first one alone writes them, but for the
state of the random numbers, which each keeps in the checkpoints.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import get_device_name

from isoglot.benchmarks import retrieval_set_of
from isoglot.common.atomic import lock, sweep, write_json, write_text, write_whole
from isoglot.common.errors import InputError
from isoglot.common.progress import tell
from isoglot.common.versions import versions
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.results import Results
from isoglot.models.arithmetic import in_bf16
from isoglot.models.fingerprint import fingerprint
from isoglot.models.limits import with_limit
from isoglot.models.saving import save_model
from isoglot.runtime.store import embedding_store
from isoglot.training import processes
from isoglot.training.card import model_card
from isoglot.training.config import TrainConfig
from isoglot.training.model_setup import (
    initial_model,
    limit_lines,
    loaded,
    make_trainable,
    merge_adapters,
    remedy_pairs,
    teacher,
    with_remedy,
)
from isoglot.training.preparation import OverlapFound, Prepared, describe_data, describe_plan, plan_lines, prepare
from isoglot.training.trainer import last_checkpoint, saving
from isoglot.training.trainer_setup import Fit, check_report_to


def train(config: TrainConfig, *, resume: bool = False, checked: Sequence[OverlapFound] = ()) -> Path:
    """Train a model.

    In processes that torchrun started, all train together: call it in each.

    Args:
        config: everything about the run; see `load_config`.
        resume: continue a run that was interrupted, from its last checkpoint, to the same weights that it would have
            reached (on a CPU, with as many threads and processes).
        checked: evaluation sets whose texts the caller has looked for in the data already; for the record.

    Returns:
        The folder of the finished model, an ordinary sentence-transformers model.

    Raises:
        InputError: if the configuration, the data or the output folder cannot be used.
        IsoglotError: if the loss stops being a number, or the disk is full.
    """
    processes.join()
    output = Path(config.output)
    given, config = config, processes.agreed(lambda: _with_arithmetic(config, output, resume=resume))
    if resume and processes.in_turn(lambda: _is_finished(output, given)):
        return output / "model"
    fit, record = processes.in_turn(lambda: _begin(given, config, output, resume=resume, checked=checked))
    with processes.first(lambda: _alone_in(output)) or nullcontext():
        checkpoint = last_checkpoint(output / "checkpoints") if resume else None
        with processes.one_voice():
            trained = fit.run(output, checkpoint)
        processes.first(lambda: _finish(fit, trained, record, output))
    return output / "model"


def begin(config: TrainConfig, checked: Sequence[OverlapFound] = ()) -> tuple[Fit, dict[str, Any]]:
    """Everything that a run needs, made without writing, and the record of what its outcome depends on.

    Raises:
        InputError: if the configuration or the data cannot be used.
    """
    check_report_to(config.report_to)
    prepared = prepare(config, checked)
    model = initial_model(config)
    record = {
        "model": {"name": config.model, "fingerprint": fingerprint(model)},
        "data": describe_data(prepared),
        "plan": describe_plan(prepared.plan),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "processes": processes.count(),
        "bf16": in_bf16(config.bf16, model.device),
    }
    if (fitted_on := remedy_pairs(config, prepared.pairs)) is not None:
        record["remedy"] = {"data": fitted_on.fingerprint}
        model = with_remedy(model, config, fitted_on)
    if (other := teacher(config, model)) is not None:
        record["teacher"] = {"fingerprint": fingerprint(other)}
    if config.bf16 and not record["bf16"]:
        tell("bf16 is set, but this processor has no arithmetic for it: training is in float32")
    return Fit(config, model, make_trainable(model, config), prepared), record


def _with_arithmetic(config: TrainConfig, output: Path, *, resume: bool) -> TrainConfig:
    """The configuration with its arithmetic decided, for as long as the run lasts: measured anew it may be another."""
    known = output / "run.json"
    decided = json.loads(known.read_text(encoding="utf-8")).get("bf16") if resume and known.exists() else None
    if config.bf16 is None and decided is None:
        decided = in_bf16(None, torch.device(get_device_name()))
    return config if config.bf16 is not None else config.model_copy(update={"bf16": decided})


def _begin(
    given: TrainConfig, config: TrainConfig, output: Path, *, resume: bool, checked: Sequence[OverlapFound]
) -> tuple[Fit, dict[str, Any]]:
    """`begin`, and the first files of the run, which hold the configuration as it was given."""
    if processes.rank() > 0:
        return begin(config, checked)
    if (output / "model").exists():
        raise InputError(f"{output}: holds a finished model; choose another output")
    if not resume and output.exists() and _holds_anything(output):
        raise InputError(f"{output}: exists already; continue it with --resume or choose another output")
    if resume and not (output / "run.json").exists():
        raise InputError(f"{output}: no run to resume here; start it without --resume")
    fit, record = begin(config, checked)
    if resume:
        _check_config(output, given)
        _check_contents(output, record)
    else:
        _write_start(output, given, fit.prepared, record)
    for line in [*limit_lines(config, fit.model), *plan_lines(fit.prepared)]:
        tell(line)
    return fit, record


def _is_finished(output: Path, config: TrainConfig) -> bool:
    """Whether a run is finished; if it was killed just before its end, what it no longer needs goes."""
    if not (output / "model").exists() or not (output / "run.json").exists():
        return False
    if _check_config(output, config):
        _check_contents(output, begin(config)[1])
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    return True


def _holds_anything(output: Path) -> bool:
    """Whether there is more in a folder than a start that was killed, of which nothing depends."""
    sweep(output)
    names = {path.name for path in output.iterdir()}
    return bool(names) and not ("plan.parquet" in names and names <= {"plan.parquet", "config.yaml"})


def _alone_in(output: Path) -> IO[bytes]:
    """Hold the run's folder as long as the result is open; an error if another process does."""
    file = (output / "run.json").open("rb")
    if lock(file.fileno()) is False:
        file.close()
        raise InputError(f"{output}: another process is training here; wait for its end, or end it")
    return file


def _finish(fit: Fit, trained: SentenceTransformer, record: dict[str, Any], output: Path) -> None:
    config = fit.config
    if config.lora is not None and config.lora.merge:
        merge_adapters(trained)
    results = _evaluate_held_out(config, trained, fit.prepared, output)
    with saving("the model", output):
        save_model(trained, output / "model", card=model_card(config, record, fit.prepared.plan, results))
    shutil.rmtree(output / "checkpoints", ignore_errors=True)


def _write_start(output: Path, config: TrainConfig, prepared: Prepared, record: dict[str, Any]) -> None:
    with write_whole(output / "plan.parquet") as temporary:
        writer = None
        for step, part in prepared.plan.parts():
            ids = prepared.pairs.example_ids.gather(part.example)
            table = pa.table({**part.columns(step), "example": ids})
            writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()
    settings = config.model_dump(mode="json")
    write_text(output / "config.yaml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    write_json(output / "run.json", record)  # last: with it, there is a run to resume


def _check_config(output: Path, config: TrainConfig) -> bool:
    """Raises InputError, naming the key, if a run began with other settings; where it lies does not count.

    Nor do the paths of models and data, which are to be compared by what they hold.

    Returns:
        Whether such a path differs.
    """
    moved = False
    began = yaml.safe_load((output / "config.yaml").read_text(encoding="utf-8"))
    for key, then, now in _differences(began, config.model_dump(mode="json")):
        if re.fullmatch(r"model|.+\.(source|data|teacher)", key):
            moved = True
        elif key != "output":
            raise InputError(
                f"{output}: cannot resume, the configuration is not what the run began with: {key} was {then} and is "
                f"{now}; set it back, or choose another output"
            )
    return moved


def _differences(then: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys, dotted, of values that differ, with both values.

    >>> list(_differences({"a": [1, {"b": 2}], "c": 3}, {"a": [1, {"b": 4}], "c": 3}))
    [('a.1.b', 2, 4)]
    """
    if isinstance(then, dict) and isinstance(now, dict):
        for name in {**then, **now}:
            yield from _differences(then.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, pair in enumerate(zip(then, now, strict=True)):
            yield from _differences(*pair, f"{key}.{number}")
    elif then != now:
        yield key, then, now


def _check_contents(output: Path, record: dict[str, Any]) -> None:
    """Raises InputError if a run began with other weights or data.

    A remedy is compared by what it is fitted on: fitted anew it may differ in its last digits, and a checkpoint brings
    its own.
    """
    earlier = json.loads((output / "run.json").read_text(encoding="utf-8"))
    parts = {
        "model": "the initial model",
        "teacher": "the teacher",
        "remedy": "what the remedy is fitted on",
        "data": "the training data",
        "plan": "the plan of batches",
    }
    for part, what in parts.items():
        # Data is what is left to train on, whatever evaluation sets were looked for in it.
        if {**earlier.get(part, {}), "evaluation_sets": None} != {**record.get(part, {}), "evaluation_sets": None}:
            raise InputError(f"{output}: cannot resume, {what} is not what the run began with; start a new one")


def _evaluate_held_out(
    config: TrainConfig, trained: SentenceTransformer, prepared: Prepared, output: Path
) -> dict[str, Results]:
    """Scores of the initial and the trained model on the held-out pairs, told and kept in the run's `results/`."""
    if prepared.held_out is None:
        return {}
    data = retrieval_set_of(prepared.held_out, "held-out pairs")
    results = {}
    for name, model in (("initial", loaded(config)), ("trained", trained)):
        reader = with_limit(model, config.max_tokens)
        bf16 = in_bf16(config.bf16, model.device)
        results[name] = evaluate(reader, data, name=name, store=embedding_store(), bf16=bf16)
        results[name].save(output / "results" / name)
        scores = {each: results[name].setting(each) for each in ("monolingual", "cross_lingual", "multilingual")}
        shown = ", ".join(f"{setting} {score:.3f}" for setting, score in scores.items() if not math.isnan(score))
        tell(f"held-out pairs, {name} model, mean average precision: {shown}")
    return results
