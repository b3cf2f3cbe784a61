"""The demo, with the tiny encoder and toy pairs in place of the real ones; the real one is `make demo`."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer

from isoglot import demo
from isoglot.common.errors import InputError
from isoglot.evaluation.results import load_results
from isoglot.pairs import ParallelPairs
from isoglot.training import TrainConfig


def test_held_out_examples_are_in_several_languages_and_not_in_training(pairs: ParallelPairs) -> None:
    training, held_out = demo.hold_out(pairs, 10)
    assert held_out.example_count == 10
    assert not set(training.example_ids) & set(held_out.example_ids)
    assert len(training) + len(held_out) == len(pairs)


def test_too_few_examples_in_several_languages_are_refused(pairs: ParallelPairs) -> None:
    with pytest.raises(InputError, match="name other parallel pairs with --pairs FILE"):
        demo.hold_out(pairs, 31)


def test_the_demo_leaves_four_systems_a_summary_and_a_report(
    tiny_encoder_folder: Path,
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def tiny_config(folder: Path) -> TrainConfig:
        config = real_config(folder).model_dump()
        config |= {"model": str(tiny_encoder_folder), "max_tokens": 64, "steps": 3, "bf16": False}
        config["batches"]["size"] = 8
        config["debias"]["directions"] = 2
        config["freeze"]["layers"] = 1
        return TrainConfig.model_validate(config)

    real_config = demo.demo_config
    monkeypatch.setattr(demo, "demo_config", tiny_config)
    monkeypatch.setattr(demo, "HELD_OUT", 20)
    monkeypatch.setattr(demo, "MAX_TOKENS", 64)
    folder = tmp_path / "demo"
    report = demo.run_demo(folder, str(pairs_file))
    told = capsys.readouterr().out
    assert "…" not in told, "tables are cut"
    assert "same language first" in told
    assert f"The report is {report}; " in told
    names = ("base", "base + debias", "hybrid", "hybrid + debias")
    results = [load_results(folder / "results" / name.replace(" + ", "-")) for name in names]
    assert [one.summary["model"]["name"] for one in results] == list(names)
    assert [one.summary["queries"] for one in results] == [60] * 4
    assert len({one.setting("multilingual") for one in results}) == 4, "four systems give four figures"
    assert "base + debias" in report.read_text()
    model = SentenceTransformer(str(folder / "run" / "model"), device="cpu")
    assert model.encode(["rot"]).shape == (1, 32)
    assert "mAP within a language: " in told
    trained = (folder / "run" / "model" / "model.safetensors").stat()
    assert demo.run_demo(folder, str(pairs_file)) == report
    assert "Going on with the demo" in capsys.readouterr().err
    assert (folder / "run" / "model" / "model.safetensors").stat() == trained
    with pytest.raises(InputError, match="--force"):
        demo.run_demo(folder)
    (folder / "mine.txt").write_text("kept")
    demo.run_demo(folder, str(pairs_file), force=True)
    assert (folder / "run" / "model" / "model.safetensors").stat() != trained
    assert (folder / "mine.txt").exists()


def test_the_demo_does_not_write_among_other_things(
    tmp_path: Path, pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    monkeypatch.setenv("DEMOS", str(tmp_path))
    for folder in (tmp_path, Path("$DEMOS")):
        with pytest.raises(InputError, match="something else"):
            demo.run_demo(folder, str(pairs_file), force=True)
