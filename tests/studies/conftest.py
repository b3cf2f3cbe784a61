"""A study that takes seconds: a tiny encoder on toy pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from isoglot.studies import Study, load_study


@pytest.fixture
def recipe(
    tiny_encoder_folder: Path, pairs_file: Path, short_training: dict[str, Any], tmp_path: Path
) -> dict[str, Any]:
    """Two arms and a remedy; every second training pair is in the benchmark, so half are left out of training."""
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    test = tmp_path / "test.jsonl"
    test.write_text("".join(json.dumps(row) + "\n" for row in rows if int(row["id"][1:]) % 2 == 0))
    return {
        "name": "toy",
        "title": "A toy study",
        "question": "Does it run?",
        "answer": "strategies",
        "data": {"toy": {"path": str(pairs_file), "get": "the toy pairs"}},
        "benchmarks": {"toy": {"benchmark": "parallel", "data": str(test), "measures": ["map", "recall@1"]}},
        "models": {"tiny": str(tiny_encoder_folder)},
        "seeds": [0, 1],
        "bf16": False,
        "training": short_training | {"steps": 6, "validation": {"examples": 0}, "checkpoint_every": 2},
        "remedies": {"lir": {"source": str(pairs_file), "directions": 2}},
        "arms": {
            "monolingual": {"training": {"batches": {"strategy": "monolingual"}}, "x": 1, "series": "alpha"},
            "hybrid": {"x": 0.5, "series": "alpha"},
        },
        "comparisons": [{"baseline": "hybrid", "systems": ["monolingual", "lir"]}],
    }


@pytest.fixture
def load(recipe: dict[str, Any], tmp_path: Path) -> Callable[..., Study]:
    """The study of the recipe with some keys changed."""

    def make(**changes: Any) -> Study:
        file = tmp_path / "toy.yaml"
        file.write_text(yaml.safe_dump(recipe | changes))
        return load_study(file)

    return make
