"""A configuration to train by, and text to translate and rank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from killing import Job


@pytest.fixture(scope="session", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Start the server of processes, which imports everything once, before anything is timed."""
    assert Job(tmp_path_factory.mktemp("warm") / "folder", ["--version"]).run() == 0


@pytest.fixture
def training(tiny_encoder_folder: Path, short_training: dict[str, Any]) -> dict[str, Any]:
    return short_training | {
        "model": str(tiny_encoder_folder),
        "output": "run",
        "loss": {"distillation": {"weight": 1.0, "target": "english"}},
        "steps": 24,
        "validation": {"examples": 20, "every": 4},
    }


@pytest.fixture(scope="session")
def english_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["river", "stone", "bread", "water", "cloud", "house", "under", "seven"]
    path = tmp_path_factory.mktemp("english") / "pairs.jsonl"
    rows = (
        {
            "id": f"e{number}",
            "language": "en",
            "query": f"Where is the {words[number % 8]} {number}?",
            "passage": f"The {words[number % 8]} is under the stone {number}. Everyone knows it, too.",
        }
        for number in range(60)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
