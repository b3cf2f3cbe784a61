"""Two processes on this machine, started as people start them: the steps of one process, and an exact way back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from outcome import log_of, weights

from isoglot.common.errors import InputError
from isoglot.training import TrainConfig, processes, train
from isoglot.training.preparation import prepare

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
RICH = {
    "matryoshka": [8],
    "jensen_shannon": 1.0,
    "semantic_contrastive": 0.5,
    "symmetric": True,
    "mini_batch": 3,
    "distillation": {"weight": 1.0, "target": "english"},
}


def torchrun(settings: dict[str, Any], tmp_path: Path, *arguments: str) -> list[str]:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*launcher, "-m", "isoglot", "train", str(config), *arguments]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False)


@pytest.fixture
def with_negatives(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Every other example has two negatives, the others one or none, so that processes must agree on their number."""
    rows = [json.loads(line) for line in Path(settings["data"][0]["source"]).read_text().splitlines()]
    for row in rows:
        number = int(row["id"][1:])
        row["negatives"] = [f"stone {number}", f"stein {number}"][: number % 7]
    source = tmp_path / "negatives.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return settings | {"data": [{"source": str(source)}]}


def test_two_processes_take_the_steps_of_one(with_negatives: dict[str, Any], tmp_path: Path) -> None:
    settings = with_negatives | {"dropout": 0.0, "loss": RICH, "validation": {"examples": 20, "every": 6}}
    one = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "one")}))
    done = run(torchrun(settings, tmp_path))
    assert done.returncode == 0, done.stderr
    two = Path(settings["output"])
    assert (two / "plan.parquet").read_bytes() == (one.parent / "plan.parquet").read_bytes()
    assert json.loads((two / "run.json").read_text())["processes"] == 2
    first, second = log_of(one.parent), log_of(two)
    assert [entry["step"] for entry in first] == [entry["step"] for entry in second]
    for key in ("loss", "held_out_loss"):
        curves = [[entry[key] for entry in log if key in entry] for log in (first, second)]
        assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    a, b, initial = weights(one), weights(two / "model"), weights(Path(settings["model"]))
    for name in a:
        assert np.abs(a[name] - b[name]).max() < 0.02 * max(np.abs(a[name] - initial[name]).max(), 1e-3), name
    assert done.stdout.count("The model is in") == 1
    assert done.stderr.count("Training pairs:") == 1


@pytest.mark.slow
def test_two_killed_processes_resume_to_the_same_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    """`kill -9` of all of them in the middle, then `--resume`: the weights of an uninterrupted run, bit by bit."""
    settings["steps"] = 120
    done = run(torchrun(settings | {"output": str(tmp_path / "whole")}, tmp_path))
    assert done.returncode == 0, done.stderr
    command = torchrun(settings, tmp_path)
    process = subprocess.Popen(
        command, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    output = Path(settings["output"])
    deadline = time.time() + 120
    while not list(output.glob("checkpoints/checkpoint-*/complete")) and process.poll() is None:
        assert time.time() < deadline
        time.sleep(0.01)
    for member in [*psutil.Process(process.pid).children(recursive=True), process]:
        os.kill(member.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "model").exists(), "the run ended before it could be killed"
    done = run([*command, "--resume"])
    assert done.returncode == 0, done.stderr
    a, b = weights(tmp_path / "whole" / "model"), weights(output / "model")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert [entry["step"] for entry in log_of(output)] == list(range(1, 121))


def test_a_batch_that_cannot_be_divided_is_refused(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 3)
    with pytest.raises(InputError, match=r"batches.size 8: .* over 3 processes; use a multiple of 3, for example 9"):
        prepare(TrainConfig.model_validate(settings))


@pytest.mark.slow
def test_what_is_wrong_is_said_once_by_two_processes(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["batches"] = {"size": 9}
    done = run(torchrun(settings, tmp_path))
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("isoglot:")]
    line = "batches.size 9: cannot be divided evenly over 2 processes; use a multiple of 2, for example 10"
    assert told == [f"isoglot: {line}"]
    assert not Path(settings["output"]).exists()
