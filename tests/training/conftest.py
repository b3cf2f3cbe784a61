"""The settings of a short run with the tiny encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def settings(tiny_encoder_folder: Path, pairs_file: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "model": str(tiny_encoder_folder),
        "output": str(tmp_path / "run"),
        "data": [{"source": str(pairs_file)}],
        "batches": {"size": 8},
        "optimizer": {"learning_rate": 1e-3},
        "steps": 12,
        "validation": {"examples": 0},
        "checkpoint_every": 4,
        "bf16": False,
    }
