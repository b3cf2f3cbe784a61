"""Training that is stopped at moments that a kill seldom meets, and losses that are no numbers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import overflowing
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from killing import Job, state

from isoglot.common.errors import InputError
from isoglot.training import TrainConfig, train
from isoglot.training import run as run_module
from isoglot.training.trainer import COMPLETE, CompleteCheckpoints, TrainingLog, last_checkpoint


def config_of(training: dict[str, Any], tmp_path: Path, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({**training, "output": str(tmp_path / "run"), **changes})


def saved(folder: Path, step: int, best: int | None = None) -> Path:
    """A checkpoint of a step, marked as the trainer does when it has written one."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(exist_ok=True)
    (checkpoint / "model.safetensors").write_bytes(bytes(range(50)))
    (checkpoint / "trainer_state.json").write_text(f'{{"global_step": {step}}}')
    told = None if best is None else str(folder / f"checkpoint-{best}")
    state = SimpleNamespace(global_step=step, is_world_process_zero=True, best_model_checkpoint=told)
    CompleteCheckpoints().on_save(SimpleNamespace(output_dir=str(folder)), state, None)  # type: ignore[arg-type]
    return checkpoint


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(["model.safetensors", "trainer_state.json", COMPLETE]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_no_bit_of_a_checkpoint_changes_unseen(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    older, newest = saved(folder, 4), saved(folder, 8)
    assert last_checkpoint(folder) == newest
    content = bytearray((newest / name).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (newest / name).write_bytes(content)
    found = last_checkpoint(folder)
    # White space in the list of checksums means nothing.
    assert found == older or (name == COMPLETE and chr(content[int(place * len(content))]).isspace())
    (newest / "model.safetensors").unlink()
    assert last_checkpoint(folder) == older


@pytest.mark.parametrize(
    ("best", "left"),
    [(None, {"checkpoint-8", "checkpoint-12"}), (4, {"checkpoint-4", "checkpoint-12"})],
    ids=["no-best", "best-is-old"],
)
def test_older_checkpoints_go_only_once_the_new_one_is_whole(
    best: int | None, left: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (4, 8):
        saved(tmp_path, step, best)
    whole_when_removed = []
    remove = shutil.rmtree

    def spy(path: Path, **more: Any) -> None:
        whole_when_removed.append((last_checkpoint(tmp_path) or tmp_path).name)
        assert not (path / COMPLETE).exists()  # so that half of it is never taken for a whole one
        remove(path, **more)

    monkeypatch.setattr(shutil, "rmtree", spy)
    saved(tmp_path, 12, best)
    assert whole_when_removed == ["checkpoint-12"]
    assert {path.name for path in tmp_path.iterdir()} == left


def test_the_log_is_cut_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    lines = "".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(1, 9))
    path.write_text(lines + '{"step": 9, "lo')

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            TrainingLog(path, 4)
    assert path.read_text().startswith(lines)
    TrainingLog(path, 4)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


@pytest.mark.parametrize("written", [["plan.parquet"], ["plan.parquet", "config.yaml"], [".plan.WRITING.parquet"]])
def test_a_start_that_was_killed_may_be_started_again(
    written: list[str], training: dict[str, Any], tmp_path: Path
) -> None:
    config = config_of(training, tmp_path, steps=2)
    output = tmp_path / "run"
    output.mkdir()
    for name in written:
        (output / name.replace("WRITING", "0123456789abcdef.writing")).write_bytes(b"half")
    with pytest.raises(InputError, match="no run to resume here; start it without --resume"):
        train(config, resume=True)
    assert train(config).exists()
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["config.yaml", "notes.txt"])
def test_a_folder_with_a_file_of_the_users_is_no_killed_start(
    name: str, training: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        train(config_of(training, tmp_path))
    assert (tmp_path / "run" / name).read_text() == "mine"


def test_a_run_killed_after_its_end_is_finished_by_resume(
    training: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(training, tmp_path, steps=4)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    run = tmp_path / "run"
    assert (run / "checkpoints").exists()
    before = (run / "model" / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="the configuration is not what the run began with"):
        train(config_of(training, tmp_path, steps=4, seed=1), resume=True)
    assert train(config, resume=True) == run / "model"
    assert not (run / "checkpoints").exists()
    assert (run / "model" / "model.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="holds a finished model"):
        train(config)


def test_two_processes_do_not_train_in_one_folder(
    training: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(training, tmp_path, steps=4)
    original = run_module._finish

    def meanwhile(*arguments: Any) -> None:
        with pytest.raises(InputError, match="run: another process is training here; wait for its end, or end it"):
            train(config, resume=True)
        original(*arguments)

    monkeypatch.setattr(run_module, "_finish", meanwhile)
    assert train(config).exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["_finish", "step 5"])
def test_early_stopping_comes_at_the_same_step_whenever_a_run_was_interrupted(
    moment: str, training: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "steps": 40,
        "validation": {"examples": 20, "every": 2, "patience": 2},
        "optimizer": {"learning_rate": 0.3, "warmup": 0},
    }
    whole = train(config_of(training, tmp_path / "whole", **changes))
    steps = [json.loads(line)["step"] for line in (whole.parent / "log.jsonl").read_text().splitlines()]
    assert 4 < max(steps) < 40, "it was to stop early, and not before it is killed"
    original = TrainingLog.step

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def killed_at_step_5(log: TrainingLog, step: int, kind: str, loss: float) -> None:
        original(log, step, kind, loss)
        if step == 4:
            raise KeyboardInterrupt

    config = config_of(training, tmp_path / "killed", **changes)
    with monkeypatch.context() as patch:
        if moment == "_finish":
            patch.setattr(run_module, "_finish", killed)
        else:
            patch.setattr(TrainingLog, "step", killed_at_step_5)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    resumed = train(config, resume=True)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    again = [json.loads(line)["step"] for line in (resumed.parent / "log.jsonl").read_text().splitlines()]
    assert again == steps


def test_a_loss_that_is_no_number_is_one_line_and_keeps_the_checkpoints(
    training: dict[str, Any], tmp_path: Path
) -> None:
    """A number that overflows amid the run, as a learning rate too high makes it."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**training, "validation": {"examples": 0}, "checkpoint_every": 4}))
    job = Job(
        tmp_path / "nan", ["train", str(config)], {"isoglot.training.losses.Objective.forward": overflowing.forward}
    )
    assert job.run() == 2, job.said
    (line,) = [line for line in job.said if line.startswith("isoglot: ")]
    assert job.said[-1] == line
    assert "the loss is nan at step 7; start a run from its last checkpoint (model: " in line
    run = job.folder / "run"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["checkpoint-4"]
    assert [json.loads(each)["step"] for each in (run / "log.jsonl").read_text().splitlines()] == list(range(1, 7))
    mended = replace(job, words=[*job.words, "--resume"], values={})
    assert mended.run() == 0, mended.said
    undisturbed = replace(job, folder=tmp_path / "undisturbed", values={})
    assert undisturbed.run() == 0, undisturbed.said
    assert state(mended.folder) == state(undisturbed.folder)
