from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results
from isoglot.report import LossLog, load_run
from isoglot.report.plots import loss_curve
from isoglot.report.runs import HELD_OUT

Make = Callable[..., Results]


def write_log(folder: Path, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "log.jsonl").write_text("".join(line + "\n" for line in lines))


STEP = json.dumps({"step": 1, "kind": "monolingual", "loss": 0.5, "seconds": 1.0})
LOOK = json.dumps({"step": 1, "held_out_loss": 0.4, "seconds": 2.0})


def test_a_folder_of_results_has_no_losses(make_results: Make, tmp_path: Path) -> None:
    make_results().save(tmp_path / "a")
    [(results, log)] = load_run(tmp_path / "a")
    assert results.summary["model"]["name"] == "base"
    assert log is None


def test_a_training_run_brings_all_its_results_and_its_losses(make_results: Make, tmp_path: Path) -> None:
    run = tmp_path / "my-run"
    write_log(run, STEP, LOOK)
    make_results("initial", benchmark="held-out pairs").save(run / "results" / "initial")
    make_results("trained", benchmark="held-out pairs").save(run / "results" / "trained")
    make_results("tuned").save(run / "results" / "toy" / "tuned")
    loaded = {results.summary["model"]["name"]: log for results, log in load_run(run)}
    assert list(loaded) == ["my-run: initial", "tuned", "my-run: trained"]
    assert loaded["my-run: initial"] is None
    assert loaded["tuned"] is not None
    assert loaded["tuned"] == loaded["my-run: trained"]
    assert [loaded["tuned"].kinds, len(loaded["tuned"].entries)] == [[HELD_OUT, "monolingual"], 2]


def test_what_is_missing_is_one_line(make_results: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results here") as missing:
        load_run(tmp_path)
    write_log(tmp_path / "run", STEP)
    with pytest.raises(InputError, match="a training run without results") as without:
        load_run(tmp_path / "run")
    assert "\n" not in f"{missing.value}{without.value}"


@pytest.mark.parametrize(("line", "said"), [("{", "line 1: not JSON"), ('{"step": 1}', 'needs "step" and "loss"')])
def test_a_log_that_cannot_be_read_names_the_line(make_results: Make, tmp_path: Path, line: str, said: str) -> None:
    make_results().save(tmp_path / "results" / "a")
    write_log(tmp_path, line, STEP)
    with pytest.raises(InputError, match=said):
        load_run(tmp_path)


def test_a_last_line_that_a_kill_cut_short_is_left_out(make_results: Make, tmp_path: Path) -> None:
    make_results().save(tmp_path / "results" / "a")
    write_log(tmp_path, STEP, STEP[:20])
    [(_, log)] = load_run(tmp_path)
    assert log is not None
    assert len(log.entries) == 1


@pytest.mark.parametrize("steps", [1, 299, 300, 301, 10_000])
def test_a_long_run_is_drawn_with_few_points_that_keep_its_mean_and_end(steps: int) -> None:
    entries = tuple({"step": n + 1, "kind": "mixed", "loss": float(n)} for n in range(steps))
    curve = loss_curve(LossLog("run", entries), "mixed")
    assert len(curve) <= 300
    assert curve[-1]["step"] == steps
    size = -(-steps // 300)
    assert curve[0]["loss"] == pytest.approx(sum(range(size)) / size)
    assert all(earlier["mean"] <= later["mean"] for earlier, later in pairwise(curve))


def test_looks_at_held_out_pairs_are_not_smoothed(log: LossLog) -> None:
    looks = LossLog("run", tuple({"step": n, "held_out_loss": 1 / n} for n in range(1, 9)))
    assert [point["mean"] for point in loss_curve(looks, HELD_OUT)] == [1 / n for n in range(1, 9)]
    assert log.kinds == ["cross-lingual", HELD_OUT, "monolingual"]
