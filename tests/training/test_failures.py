"""Full disks, numbers that are none, and services that are not there."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from outcome import log_of, weights
from safetensors import SafetensorError

from isoglot.common.errors import InputError, IsoglotError
from isoglot.training import TrainConfig, train, trainer_setup

FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_full_disk_is_one_clear_line_and_costs_only_the_steps_since_the_last_checkpoint(
    error: Exception, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "whole")}))
    original = torch.save

    def save(content: Any, path: Any, *rest: Any, **more: Any) -> None:
        if "checkpoint-8" in str(path):
            raise error
        original(content, path, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", save)
        patched.setattr("isoglot.common.atomic._FULL_BELOW", 1 << 60)  # the writer of torch does not say why it failed
        line = r"cannot write the checkpoint of step 8, the disk is full; make room, then continue with --resume"
        with pytest.raises(IsoglotError, match=line) as caught:
            train(TrainConfig.model_validate(settings))
    assert "\n" not in str(caught.value)
    assert [path.name for path in Path(settings["output"], "checkpoints").iterdir()] == ["checkpoint-4"]
    resumed = train(TrainConfig.model_validate(settings), resume=True)
    a, b = weights(whole), weights(resumed)
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_writers_that_meet_a_limit_give_one_line(settings: dict[str, Any], tmp_path: Path) -> None:
    """With real writers, which fail as on a full disk where files may not grow beyond a size."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    done = subprocess.run(
        [sys.executable, "-m", "isoglot", "train", str(config)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("isoglot: ")
    assert "cannot write the checkpoint of step 4" in last


def test_weights_that_are_no_numbers_never_become_a_checkpoint(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trainer_setup.TrainingLog.step

    def step(log: Any, number: int, kind: str, loss: float) -> None:
        original(log, number, kind, loss)
        if number == 7:  # the step whose outcome the checkpoint at 8 would hold
            next(p for p in models[0].parameters() if p.requires_grad).data.fill_(float("nan"))

    models: list[Any] = []
    run = trainer_setup.Fit.run
    monkeypatch.setattr(trainer_setup.Fit, "run", lambda fit, *rest: (models.append(fit.model), run(fit, *rest))[1])
    monkeypatch.setattr(trainer_setup.TrainingLog, "step", step)
    with pytest.raises(IsoglotError, match=r"a weight is not a finite number at step 8; .*checkpoint-4") as caught:
        train(TrainConfig.model_validate(settings))
    checkpoint = Path(settings["output"], "checkpoints", "checkpoint-4")
    assert str(checkpoint) in str(caught.value)
    assert all(np.isfinite(tensor).all() for tensor in weights(checkpoint).values())
    again = settings | {"model": str(checkpoint), "output": settings["output"] + "-again", "steps": 1}
    monkeypatch.undo()
    assert train(TrainConfig.model_validate(again)).exists()


def test_unknown_and_missing_services_are_refused(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"report_to excel: not known; use some of .*wandb"):
        train(TrainConfig.model_validate(settings | {"report_to": "excel"}))
    monkeypatch.setattr(trainer_setup, "get_available_reporting_integrations", list)
    with pytest.raises(InputError, match="report_to wandb: its package is not installed here"):
        train(TrainConfig.model_validate(settings | {"report_to": ["wandb"]}))
    assert not Path(settings["output"]).exists()


def test_a_service_is_told_every_loss(settings: dict[str, Any]) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    settings |= {"report_to": "tensorboard", "validation": {"examples": 20, "every": 6}}
    run = train(TrainConfig.model_validate(settings)).parent
    told = accumulator.EventAccumulator(str(next((run / "tensorboard").rglob("events.*")).parent)).Reload()
    log = [entry for entry in log_of(run) if "loss" in entry]
    by_step = {event.step: event.value for event in told.Scalars("train/loss")}
    assert by_step == pytest.approx({entry["step"]: entry["loss"] for entry in log}, abs=1e-4)
    for kind in ("monolingual", "cross-lingual"):
        steps = [event.step for event in told.Scalars(f"train/loss_{kind}")]
        assert steps == [entry["step"] for entry in log if entry["kind"] == kind]
    assert len(told.Scalars("eval/loss")) == 2


def test_the_record_holds_the_shares_of_the_plan(settings: dict[str, Any]) -> None:
    run = train(TrainConfig.model_validate(settings)).parent
    plan = json.loads((run / "run.json").read_text())["plan"]
    assert sum(plan["batches"].values()) == 12
    pairs = plan["language_pairs"]
    assert sum(pairs.values()) == 12 * 8
    assert list(pairs.values()) == sorted(pairs.values(), reverse=True)
    for tag, count in plan["query_languages"].items():
        assert count == sum(n for name, n in pairs.items() if name.startswith(f"{tag}>"))
