"""The settings of a short run with the tiny encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def settings(tiny_encoder_folder: Path, short_training: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return short_training | {
        "model": str(tiny_encoder_folder),
        "output": str(tmp_path / "run"),
        "steps": 12,
        "validation": {"examples": 0},
        "checkpoint_every": 4,
    }
