"""No run trains on texts of the evaluation sets that it names, unless it is told to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isoglot.common.errors import InputError
from isoglot.pairs import read_pairs
from isoglot.training import TrainConfig, train
from isoglot.training.preparation import prepare


@pytest.fixture
def evaluation_set(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A BEIR folder with the English passage of example e7 and an English text of its own."""
    rows = list(read_pairs(settings["data"][0]["source"]).rows())
    leaked = next(row["passage"] for row in rows if row["id"] == "e7" and row["language"] == "en")
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": "d1", "text": leaked.upper()}, {"_id": "d2", "text": "a text of its own"}]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "which text is it"}) + "\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\n")
    return {"benchmark": "beir", "data": str(folder), "languages": ["en"]}


def test_overlap_is_refused_before_anything_is_written(
    settings: dict[str, Any], evaluation_set: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=r"1 training examples hold texts of .*1 equal passages.*e7.*on_overlap: drop"):
        train(TrainConfig.model_validate(settings | {"evaluation_sets": [evaluation_set]}))
    assert not Path(settings["output"]).exists()


@pytest.mark.parametrize(("action", "left"), [("drop", 59), ("keep", 60)])
def test_overlap_is_dropped_in_all_languages_or_kept(
    settings: dict[str, Any], evaluation_set: dict[str, Any], action: str, left: int
) -> None:
    sets = [evaluation_set | {"on_overlap": action}]
    prepared = prepare(TrainConfig.model_validate(settings | {"evaluation_sets": sets}))
    assert prepared.pairs.example_count == left
    assert ("e7" in prepared.pairs.example_ids) == (action == "keep")
    assert [found["examples_with_overlap"] for found in prepared.checked] == [1]


def test_what_was_checked_is_kept_with_the_model(settings: dict[str, Any], evaluation_set: dict[str, Any]) -> None:
    settings |= {"steps": 1, "evaluation_sets": [evaluation_set | {"on_overlap": "drop"}]}
    model = train(TrainConfig.model_validate(settings))
    (found,) = json.loads((model.parent / "run.json").read_text())["data"]["evaluation_sets"]
    assert found["benchmark"] == "beir"
    assert len(found["fingerprint"]) == 64
    assert "beir: 1 (left out of training)" in (model / "README.md").read_text()


def test_a_run_that_names_no_evaluation_set_says_so(settings: dict[str, Any]) -> None:
    model = train(TrainConfig.model_validate(settings | {"steps": 1}))
    assert "Overlap with evaluation sets was not checked." in (model / "README.md").read_text()
