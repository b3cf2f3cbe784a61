"""Training runs with the tiny encoder: what they write, that they follow the plan, and that resuming is exact."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from outcome import weights
from sentence_transformers import SentenceTransformer

from isoglot.common.errors import InputError, IsoglotError
from isoglot.models.debiasing import debias
from isoglot.training import TrainConfig, run, train, trainer_setup
from isoglot.training.preparation import OverlapFound, prepare


def test_a_run_leaves_a_plain_model_and_its_provenance(
    settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    settings["validation"] = {"examples": 20, "every": 6}
    model_folder = train(TrainConfig.model_validate(settings))
    run = model_folder.parent
    model = SentenceTransformer(str(model_folder), device="cpu")
    assert model.encode(["rot gruen"]).shape == (1, 32)
    assert model.prompts["query"] == "query: "
    plan = pq.read_table(run / "plan.parquet").to_pydict()
    assert len(plan["step"]) == 12 * 8
    assert set(plan["kind"]) == {"monolingual", "cross-lingual"}
    assert all(
        (a == b) == (kind == "monolingual")
        for a, b, kind in zip(plan["query_language"], plan["passage_language"], plan["kind"], strict=True)
    )
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "loss" in entry] == list(range(1, 13))
    assert [entry["step"] for entry in log if "held_out_loss" in entry] == [6, 12]
    told = [line.rpartition(" ")[0] for line in capsys.readouterr().err.splitlines()]
    assert [line for line in told if "held-out loss" in line] == ["step 6: held-out loss", "step 12: held-out loss"]
    scored = [line.split(",")[1] for line in told if line.startswith("held-out pairs, ")]
    assert scored == [" initial model", " trained model"], "scores are told as they come"
    record = json.loads((run / "run.json").read_text())
    assert record["data"]["examples"] == 40
    assert yaml.safe_load((run / "config.yaml").read_text())["batches"]["size"] == 8
    card = (model_folder / "README.md").read_text()
    assert "hybrid" in card
    assert "| trained |" in card
    assert (run / "results" / "trained" / "results.json").exists()
    assert not (run / "checkpoints").exists()


def test_training_lowers_the_loss_and_moves_only_what_is_not_frozen(settings: dict[str, Any]) -> None:
    settings |= {"steps": 60, "dropout": 0.0, "batches": {"size": 16}, "freeze": {"layers": 1}}
    folder = train(TrainConfig.model_validate(settings))
    losses = [json.loads(line)["loss"] for line in (folder.parent / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    before, after = weights(Path(settings["model"])), weights(folder)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved
    assert all("layer.1." in name for name in moved)


def test_batches_reach_the_model_in_the_order_of_the_plan(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    original = trainer_setup.Collator.__call__

    def spy(self: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
        seen.append([row["query"] for row in rows])
        return original(self, rows)

    monkeypatch.setattr(trainer_setup.Collator, "__call__", spy)
    folder = train(TrainConfig.model_validate(settings))
    plan = pq.read_table(folder.parent / "plan.parquet").to_pydict()
    rows = [json.loads(line) for line in Path(settings["data"][0]["source"]).read_text().splitlines()]
    query = {(row["id"], row["language"]): row["query"] for row in rows}
    planned = [query[key] for key in zip(plan["example"], plan["query_language"], strict=True)]
    assert [text for batch in seen for text in batch] == planned


def test_one_seed_gives_one_model(settings: dict[str, Any], tmp_path: Path) -> None:
    first = train(TrainConfig.model_validate(settings))
    second = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "again")}))
    third = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "other"), "seed": 1}))
    a, b, c = weights(first), weights(second), weights(third)
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert any(not np.array_equal(a[name], c[name]) for name in a)


def test_a_killed_run_resumes_to_the_same_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    """`kill -9` in the middle, then `--resume`: the weights of an uninterrupted run, bit by bit."""
    settings["steps"] = 200
    whole = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "whole")}))
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "isoglot", "train", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoints = Path(settings["output"]) / "checkpoints"
    deadline = time.time() + 120
    while not list(checkpoints.glob("checkpoint-*/complete")) and process.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (Path(settings["output"]) / "model").exists(), "the run ended before it could be killed"
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    a, b = weights(whole), weights(Path(settings["output"]) / "model")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    steps = [json.loads(line)["step"] for line in (Path(settings["output"]) / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 201))


def test_a_checkpoint_cut_short_is_never_resumed_from(tmp_path: Path) -> None:
    from isoglot.training.trainer import COMPLETE, last_checkpoint

    for step in (4, 8, 12):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-4" / COMPLETE).touch()
    (tmp_path / "checkpoint-8" / COMPLETE).touch()
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-8"


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(settings: dict[str, Any]) -> None:
    settings["optimizer"] = {"learning_rate": 1e30, "max_gradient_norm": 1e30, "warmup": 0}
    with pytest.raises(IsoglotError, match=r"the loss is nan at step \d+"):
        train(TrainConfig.model_validate(settings))
    assert not (Path(settings["output"]) / "model").exists()


def test_bad_starts_write_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    output = Path(settings["output"])
    with pytest.raises(InputError, match="different examples"):
        train(TrainConfig.model_validate(settings | {"batches": {"size": 64}}))
    with pytest.raises(InputError, match="the model has 2 layers"):
        train(TrainConfig.model_validate(settings | {"freeze": {"layers": 2}}))
    with pytest.raises(InputError, match="the model has 32 dimensions"):
        train(TrainConfig.model_validate(settings | {"loss": {"matryoshka": [32]}}))
    english = {"loss": {"distillation": {"weight": 1, "target": "english"}}}
    source = [{"source": settings["data"][0]["source"], "languages": ["de", "es"]}]
    with pytest.raises(InputError, match="no training pair is in English"):
        train(TrainConfig.model_validate(settings | english | {"data": source}))
    with pytest.raises(InputError, match="no run to resume"):
        train(TrainConfig.model_validate(settings), resume=True)
    assert not output.exists()
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        train(TrainConfig.model_validate(settings))
    assert [path.name for path in output.iterdir()] == ["notes.txt"]


def test_resuming_other_data_is_refused(settings: dict[str, Any], pairs_file: Path, tmp_path: Path) -> None:
    settings["optimizer"] = {"learning_rate": 1e30, "max_gradient_norm": 1e30, "warmup": 0}
    file = tmp_path / "mine.jsonl"
    file.write_text(pairs_file.read_text())
    settings["data"] = [{"source": str(file)}]
    with pytest.raises(IsoglotError):
        train(TrainConfig.model_validate(settings))
    with pytest.raises(InputError, match="cannot resume, the configuration"):
        train(TrainConfig.model_validate(settings | {"seed": 1}), resume=True)
    looked_for: OverlapFound = {
        "benchmark": "new",
        "fingerprint": "0",
        "examples_with_overlap": 0,
        "on_overlap": "drop",
    }
    with pytest.raises(IsoglotError, match="the loss is nan"):  # it goes on: the data is what it was
        train(TrainConfig.model_validate(settings), resume=True, checked=[looked_for])
    file.write_text("\n".join(pairs_file.read_text().splitlines()[:-3]))
    with pytest.raises(InputError, match="cannot resume, the training data"):
        train(TrainConfig.model_validate(settings), resume=True)


def test_training_through_a_remedy_keeps_it_fixed(settings: dict[str, Any]) -> None:
    settings |= {"debias": {"directions": 2}, "loss": {"distillation": {"weight": 2.0, "target": "translations"}}}
    folder = train(TrainConfig.model_validate(settings))
    model = SentenceTransformer(str(folder), device="cpu")
    dense = list(model.children())[-2]
    weight = dense.linear.weight.detach().double().numpy()
    assert np.allclose(weight @ weight, weight, atol=1e-5)  # still a projection
    assert np.isclose(np.trace(weight), 30, atol=1e-3)


def test_gradient_caching_gives_the_same_first_loss(settings: dict[str, Any], tmp_path: Path) -> None:
    settings |= {"steps": 1, "dropout": 0.0}
    plain = train(TrainConfig.model_validate(settings))
    cached = train(
        TrainConfig.model_validate(settings | {"output": str(tmp_path / "cached"), "loss": {"mini_batch": 2}})
    )
    first, second = (json.loads((f.parent / "log.jsonl").read_text())["loss"] for f in (plain, cached))
    assert first == pytest.approx(second, rel=1e-4)


OBJECTIVES = {
    "symmetric": {"symmetric": True, "negatives": 0},
    "hu": {"semantic_contrastive": 1.0, "language_contrastive": 0.1},
    "jensen_shannon": {"jensen_shannon": 1.0, "temperature": 0.05},
    "mimo": {"weight": 0.2, "distillation": {"weight": 0.8, "target": "english"}},
    "matryoshka": {"matryoshka": [8, 16], "jensen_shannon": 1.0},
    "cached": {"mini_batch": 3, "jensen_shannon": 1.0, "distillation": {"weight": 1.0}},
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_and_resumes_to_the_same_weights(
    name: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted at step 6 of 8, after the checkpoint at 4: the weights of an uninterrupted run, bit by bit."""
    settings |= {"steps": 8, "loss": OBJECTIVES[name]}
    whole = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "whole")}))
    plain = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "plain"), "loss": {}}))

    def interrupt(log: Any, step: int, kind: str, loss: float) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trainer_setup.TrainingLog, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(TrainConfig.model_validate(settings))
    resumed = train(TrainConfig.model_validate(settings), resume=True)
    a, b, c = weights(whole), weights(resumed), weights(plain)
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert any(not np.array_equal(a[key], c[key]) for key in a)
    assert SentenceTransformer(str(resumed), device="cpu").get_embedding_dimension() == 32


def test_held_out_losses_of_different_objectives_compare(settings: dict[str, Any], tmp_path: Path) -> None:
    """Where nothing is learnt, the loss on held-out pairs is one and the same."""
    settings |= {"steps": 2, "optimizer": {"learning_rate": 1e-30}, "validation": {"examples": 20, "every": 2}}
    losses = set()
    objectives = {**{name: OBJECTIVES[name] for name in ("hu", "mimo", "matryoshka")}, "both": {"symmetric": True}}
    for name, objective in objectives.items():
        loss = {**objective, "temperature": 0.02}
        folder = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / name), "loss": loss}))
        log = [json.loads(line) for line in (folder.parent / "log.jsonl").read_text().splitlines()]
        losses.add(next(entry["held_out_loss"] for entry in log if "held_out_loss" in entry))
    assert len(losses) == 1


def test_averaging_moves_towards_the_initial_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    whole = weights(train(TrainConfig.model_validate(settings)))
    half = weights(train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "half"), "average": 0.5})))
    initial = weights(Path(settings["model"]))
    for name in whole:
        assert np.allclose(half[name], (whole[name] + initial[name]) / 2, atol=1e-6)


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    """Train until a step, and be interrupted there."""

    def interrupt(log: Any, at: int, kind: str, loss: float) -> None:
        if at == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trainer_setup.TrainingLog, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(TrainConfig.model_validate(settings))


@pytest.mark.parametrize("looks", [0, 20])
def test_a_run_goes_on_wherever_it_and_its_data_were_moved(
    looks: int, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(settings["data"][0]["source"], tmp_path / "toy.jsonl")
    settings |= {"validation": {"examples": looks, "every": 4}, "data": [{"source": str(tmp_path / "toy.jsonl")}]}
    whole = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "whole")}))
    interrupt_at(6, monkeypatch, settings)
    monkeypatch.chdir(tmp_path)
    Path("run").rename("moved")
    Path("here").mkdir()
    Path("toy.jsonl").rename("here/toy.jsonl")
    moved = settings | {"output": "./moved", "data": [{"source": "here/toy.jsonl"}]}
    resumed = train(TrainConfig.model_validate(moved), resume=True)
    a, b = weights(whole), weights(resumed)
    assert all(np.array_equal(a[name], b[name]) for name in a)
    for finished in (settings | {"output": str(tmp_path / "moved")}, moved):
        assert train(TrainConfig.model_validate(finished), resume=True).resolve() == tmp_path / "moved" / "model"
    lines = Path("here/toy.jsonl").read_text().splitlines(keepends=True)
    Path("here/other.jsonl").write_text("".join(lines[:-20]))
    with pytest.raises(InputError, match="the training data is not what the run began with"):
        train(TrainConfig.model_validate(moved | {"data": [{"source": "here/other.jsonl"}]}), resume=True)


def test_a_run_that_was_moved_ends_at_its_best_checkpoint_though_that_is_not_the_last(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings |= {"validation": {"examples": 20, "every": 4}, "optimizer": {"learning_rate": 0.3, "warmup": 0}}
    whole = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "whole")}))
    looks = [json.loads(line) for line in (whole.parent / "log.jsonl").read_text().splitlines()]
    losses = {entry["step"]: entry["held_out_loss"] for entry in looks if "held_out_loss" in entry}
    assert min(losses, key=losses.__getitem__) < max(losses), "the best is the last, so nothing is shown"

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "_evaluate_held_out", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(TrainConfig.model_validate(settings))
    Path(settings["output"]).rename(tmp_path / "moved")
    resumed = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "moved")}), resume=True)
    a, b = weights(whole), weights(resumed)
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_resuming_with_other_held_out_pairs_is_refused(
    settings: dict[str, Any], pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings |= {"data": [{"source": str(file)}], "validation": {"examples": 20, "every": 4}}
    interrupt_at(6, monkeypatch, settings)
    held_out = prepare(TrainConfig.model_validate(settings)).held_out
    assert held_out is not None
    ids = {identifier.partition("/")[2] or identifier for identifier in held_out.example_ids}
    changed = [{**row, "passage": f"other {row['passage']}"} if row["id"] in ids else row for row in rows]
    assert changed != rows
    file.write_text("".join(json.dumps(row) + "\n" for row in changed))
    with pytest.raises(InputError, match="the training data is not what the run began with"):
        train(TrainConfig.model_validate(settings), resume=True)


def test_a_remedy_that_is_fitted_anew_is_no_other(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Vectors encoded in other batches differ in their last digits, and with them the remedy."""
    settings |= {"debias": {"directions": 2}}
    whole = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "whole")}))
    interrupt_at(6, monkeypatch, settings)

    def slightly_other(*args: Any, **options: Any) -> SentenceTransformer:
        model = debias(*args, **options)
        with torch.no_grad():
            list(model.children())[-2].linear.weight.mul_(1 + 1e-6)
        return model

    monkeypatch.setattr("isoglot.training.model_setup.debias", slightly_other)
    resumed = train(TrainConfig.model_validate(settings), resume=True)
    a, b = weights(whole), weights(resumed)
    assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("seed", range(4))
def test_weights_may_name_a_data_set_of_which_nothing_is_held_out(settings: dict[str, Any], seed: int) -> None:
    lines = Path(settings["data"][0]["source"]).read_text().splitlines(keepends=True)
    few = sorted({json.loads(line)["id"] for line in lines})[:4]
    small = Path(settings["output"]).with_name("small.jsonl")
    small.write_text("".join(line.replace('"id": "', '"id": "s') for line in lines if json.loads(line)["id"] in few))
    settings["data"] = [*settings["data"], {"source": str(small)}]
    settings |= {
        "validation": {"examples": 3},
        "seed": seed,
        "batches": {"size": 2, "dataset_weights": {"toy": 1, "small": 2}},
    }
    prepared = prepare(TrainConfig.model_validate(settings), ())
    assert prepared.held_out_plan is not None
    data = prepared.pairs.translations()
    assert data.datasets.index("small") in data.dataset[prepared.plan.example.ravel()]


def test_arithmetic_is_decided_once(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether bfloat16 is faster is measured, so that it may turn out otherwise when a run goes on."""
    del settings["bf16"]
    monkeypatch.setattr("isoglot.models.arithmetic.bf16_is_faster", lambda: False)
    interrupt_at(6, monkeypatch, settings)
    assert json.loads((Path(settings["output"]) / "run.json").read_text())["bf16"] is False

    def never() -> bool:
        raise AssertionError

    monkeypatch.setattr("isoglot.models.arithmetic.bf16_is_faster", never)
    train(TrainConfig.model_validate(settings), resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"batches": {"size": 8, "alpha": 0.3}}, "batches.alpha was 0.5 and is 0.3"),
        ({"loss": {"distillation": {"weight": 1}}}, "loss.distillation was None and is"),
    ],
)
def test_the_key_that_differs_is_named(
    changes: dict[str, Any], message: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(6, monkeypatch, settings)
    with pytest.raises(InputError, match=f"cannot resume, the configuration .*: {message}") as caught:
        train(TrainConfig.model_validate(settings | changes), resume=True)
    assert "\n" not in str(caught.value)
    train(TrainConfig.model_validate(settings), resume=True)
    with pytest.raises(InputError, match=message):
        train(TrainConfig.model_validate(settings | changes), resume=True)


def test_a_checkpoint_is_the_model_alone(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    settings |= {"passage_tokens": 6, "loss": {"distillation": {"weight": 1.0}}}
    interrupt_at(6, monkeypatch, settings)
    (checkpoint,) = Path(settings["output"], "checkpoints").glob("checkpoint-4")
    before = Path(settings["model"])
    for name in ("tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"):
        if (before / name).exists():
            assert json.loads((checkpoint / name).read_text()) == json.loads((before / name).read_text())
    assert not list(checkpoint.glob("*.bin"))


def test_batches_are_read_ahead_by_one_alone(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """While step n is taken, batch n + 1 may be read, and none behind it; so little is in memory."""
    read, taken = [0], []
    original, step = trainer_setup.Collator.__call__, trainer_setup.TrainingLog.step

    def count(self: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
        read[0] += 1
        return original(self, rows)

    def look(log: Any, number: int, kind: str, loss: float) -> None:
        taken.append(read[0] - number)
        step(log, number, kind, loss)

    monkeypatch.setattr(trainer_setup.Collator, "__call__", count)
    monkeypatch.setattr(trainer_setup.TrainingLog, "step", look)
    train(TrainConfig.model_validate(settings))
    assert len(taken) == 12
    assert set(taken) <= {1, 2}
    assert read == [12]
