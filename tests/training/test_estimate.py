"""The dry run: true to the plan, and without a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from isoglot.cli import app
from isoglot.common.errors import InputError
from isoglot.training import TrainConfig, estimate, train

RICH = {
    "loss": {"jensen_shannon": 1.0, "distillation": {"weight": 1.0}},
    "validation": {"examples": 20, "every": 5},
    "freeze": {"layers": 1},
}


def test_it_tells_what_the_run_then_does(settings: dict[str, Any]) -> None:
    settings |= RICH
    found = estimate(TrainConfig.model_validate(settings))
    assert not Path(settings["output"]).exists()
    model = train(TrainConfig.model_validate(settings))
    record = json.loads((model.parent / "run.json").read_text())
    assert found.data == record["data"]
    assert found.plan == record["plan"]
    assert found.pairs == 12 * 8
    assert sum(found.plan["language_pairs"].values()) == 12 * 8
    assert 0 < found.trained_weights < found.weights
    assert found.seconds_per_step > 0
    assert min(found.seconds.values()) > 0
    assert found.peak_memory is None or found.peak_memory > 10 << 20


@pytest.mark.parametrize("target", ["english", "own", "translations"])
def test_targets_may_hold_words_that_training_does_not_meet(settings: dict[str, Any], target: str) -> None:
    settings |= {"loss": {"distillation": {"weight": 1.0, "target": target}}, "steps": 2, "query_tokens": 4}
    assert estimate(TrainConfig.model_validate(settings)).seconds["targets"] > 0


def test_limits_beyond_the_models_own_are_said(settings: dict[str, Any]) -> None:
    found = estimate(TrainConfig.model_validate(settings | {"passage_tokens": 60_000}))
    assert "is trained on no more; for more set model_max_tokens" in found.lines[0]
    assert "trained on no more" not in " ".join(estimate(TrainConfig.model_validate(settings)).lines)


def test_tokens_are_those_that_the_model_reads(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from isoglot.training import trainer_setup

    seen: list[int] = []
    original = trainer_setup.Collator.__call__

    def spy(self: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = original(self, rows)
        seen.append(sum(int(batch[name].sum()) for name in batch if name.endswith("attention_mask")))
        return batch

    found = estimate(TrainConfig.model_validate(settings | {"query_tokens": 6}))
    monkeypatch.setattr(trainer_setup.Collator, "__call__", spy)
    train(TrainConfig.model_validate(settings | {"query_tokens": 6}))
    assert found.tokens == sum(seen)  # a short plan is looked at whole


def test_the_command_prints_lines_or_json_and_leaves_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    before = sorted(tmp_path.rglob("*"))
    lines = CliRunner().invoke(app, ["train", str(config), "--dry-run"])
    assert lines.exit_code == 0, lines.output
    for word in (
        "Training pairs: 60 examples",
        "cross-lingual (",
        "Query languages: ",
        "Steps: 12 of 8 pairs",
        "memory",
    ):
        assert word in lines.stdout
    printed = CliRunner().invoke(app, ["train", str(config), "--dry-run", "--json"])
    assert json.loads(printed.stdout)["plan"]["steps"] == 12
    assert sorted(tmp_path.rglob("*")) == before


def test_json_goes_with_a_dry_run(settings: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    assert isinstance(CliRunner().invoke(app, ["train", str(config), "--json"]).exception, InputError)
