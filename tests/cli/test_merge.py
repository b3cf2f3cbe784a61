"""The command that merges models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from command import run


@pytest.fixture
def two(tiny_encoder_folder: Path, tmp_path: Path) -> list[Path]:
    """A model some way off, and the one that it came from."""
    model = SentenceTransformer(str(tiny_encoder_folder), device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(str(tmp_path / "tuned"), create_model_card=False)
    shutil.copytree(tiny_encoder_folder, tmp_path / "initial")
    return [tmp_path / "tuned", tmp_path / "initial"]


def test_models_are_merged_by_weights(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "merge", *two, "--weights", ".75,.25", "--out", tmp_path / "m") == 0
    said = capsys.readouterr().out
    assert f"0.75 {two[0]}, 0.25 {two[1]}" in said
    assert "The models have no remedy." in said
    assert SentenceTransformer(str(tmp_path / "m"), device="cpu").encode(["rot"]).shape == (1, 32)
    assert str(two[0]) in (tmp_path / "m" / "README.md").read_text()


def test_weights_are_searched_for(
    two: list[Path],
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = ["merge", *two, "--development", pairs_file, "--step", "0.5", "--max-tokens", "20", "--method", "slerp"]
    assert run(monkeypatch, *call, "--out", tmp_path / "m") == 0
    said = capsys.readouterr().out
    assert "0.5 / 0.5" in said
    assert " *" in said
    assert "Chosen: " in said
    assert "Chosen: " in (tmp_path / "m" / "README.md").read_text()
    assert SentenceTransformer(str(tmp_path / "m"), device="cpu").max_seq_length == 64
    assert run(monkeypatch, *call, "--out", tmp_path / "n", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["search"]["points"]) == 3
    assert found["weights"] == found["search"]["chosen"]["weights"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weights", "1,x"], "--weights 1,x: use numbers"),
        (["--weights", "1"], "1 weights for 2 models"),
        (["--weights", "1,1", "--development", "PAIRS"], "--development chooses the weights"),
        (["--step", ".1"], "go with --development FILE"),
        (["--development", "PAIRS", "--step", ".3"], "has to divide 1"),
        (["--development", "none.jsonl"], "none.jsonl: no such file or folder"),
        (["--remedy-of", "INITIAL"], "no remedy to take over"),
        (["--remedy-of", "INITIAL", "--directions", "3"], "--directions is for a new remedy"),
        (["--method", "ties"], "use one of linear, slerp"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(
    two: list[Path],
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    given = [{"PAIRS": str(pairs_file), "INITIAL": str(two[1])}.get(word, word) for word in words]
    assert run(monkeypatch, "merge", *two, *given, "--out", tmp_path / "m") == 2
    said = capsys.readouterr().err
    assert message in said
    assert not (tmp_path / "m").exists()
