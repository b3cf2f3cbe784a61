"""Prompts by option: measured with, and recorded."""

from __future__ import annotations

import json
from pathlib import Path

from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

from isoglot.cli import app

GIVEN = ["--query-prompt", "frage: ", "--passage-prompt", "query"]
WANTED = {"query": "frage: ", "passage": "query: "}


def test_prompts_are_recorded(tiny_encoder_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    model, run = str(tiny_encoder_folder), CliRunner().invoke
    audited = run(app, ["audit", model, "--pairs", str(pairs_file), "--out", str(tmp_path / "a"), *GIVEN])
    assert audited.exit_code == 0, audited.output
    evaluated = ["evaluate", model, "--benchmark", "parallel", "--data", str(pairs_file), "--out", str(tmp_path / "e")]
    assert run(app, [*evaluated, *GIVEN]).exit_code == 0
    for folder in ("a", "e"):
        assert json.loads((tmp_path / folder / "results.json").read_text())["model"]["prompts"] == WANTED
    words = ["debias", model, "--pairs", str(pairs_file), "--directions", "2", "--out", str(tmp_path / "m"), *GIVEN]
    assert run(app, words).exit_code == 0
    prompts = SentenceTransformer(str(tmp_path / "m"), device="cpu").prompts
    assert (prompts["query"], prompts["document"]) == ("frage: ", "query: ")


def test_negatives_take_prompts(tiny_encoder_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "mined.jsonl"
    words = [
        "data",
        "negatives",
        str(pairs_file),
        "--out",
        str(target),
        "--model",
        str(tiny_encoder_folder),
        "--number",
        "1",
    ]
    result = CliRunner().invoke(app, [*words, *GIVEN])
    assert result.exit_code == 0, result.output
