"""Monolingual measures are those of sentence-transformers' own evaluator, whatever the kind of model."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "parity.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_parity", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parity = _load()


@pytest.mark.parametrize("kind", parity.KINDS)
def test_measures_agree(kind: str, tmp_path: Path) -> None:
    assert parity.difference(kind, parity.texts(), tmp_path / "model") < 1e-6
