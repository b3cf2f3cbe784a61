"""Ways to look at what a run left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file


def weights(folder: Path) -> dict[str, np.ndarray]:
    """The weights of a model's folder by name."""
    (file,) = folder.glob("*.safetensors")
    return {name: tensor.numpy() for name, tensor in load_file(file).items()}


def log_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
