"""Adapters: what they train, that they save as people expect, and that resuming is exact."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import weights
from sentence_transformers import SentenceTransformer

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.training import TrainConfig, train, trainer_setup

pytest.importorskip("peft", reason="needs the extra lora")
TEXTS = ["rot gruen haus", "red tree"]


@pytest.fixture
def lora(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | {"lora": {"rank": 4, "alpha": 8, "dropout": 0.1}, "optimizer": {"learning_rate": 1e-2}}


def run(settings: dict[str, Any], **changes: Any) -> Path:
    return train(TrainConfig.model_validate(settings | changes))


def vectors(folder: Path) -> np.ndarray:
    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS)


def test_merged_adapters_leave_an_ordinary_model(lora: dict[str, Any]) -> None:
    folder = run(lora)
    assert not list(folder.rglob("adapter*"))
    before, after = weights(Path(lora["model"])), weights(folder)
    assert before.keys() == after.keys()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved
    assert all(name.endswith("weight") and "embeddings" not in name and "LayerNorm" not in name for name in moved)
    assert all(np.linalg.matrix_rank(after[name] - before[name], tol=1e-5) <= 4 for name in moved)


def test_adapters_kept_apart_give_the_vectors_of_the_merged_ones(lora: dict[str, Any], tmp_path: Path) -> None:
    merged = run(lora)
    apart = run(lora, output=str(tmp_path / "apart"), lora=lora["lora"] | {"merge": False})
    assert list(apart.rglob("adapter_model.safetensors"))
    assert np.allclose(vectors(merged), vectors(apart), atol=1e-5)
    assert not np.allclose(vectors(merged), vectors(Path(lora["model"])), atol=1e-3)


def test_targets_choose_the_layers(lora: dict[str, Any]) -> None:
    folder = run(lora, lora={"rank": 2, "targets": ["query"]})
    before, after = weights(Path(lora["model"])), weights(folder)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved
    assert all("attention.self.query" in name for name in moved)


@pytest.mark.parametrize("looks", [0, 20])
def test_adapters_resume_to_the_same_weights(
    looks: int, lora: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora |= {"steps": 8, "validation": {"examples": looks, "every": 4}}
    whole = run(lora, output=str(tmp_path / "whole"))

    def interrupt(log: Any, step: int, kind: str, loss: float) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trainer_setup.TrainingLog, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(lora)
    resumed = train(TrainConfig.model_validate(lora), resume=True)
    a, b = weights(whole), weights(resumed)
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_averaging_scales_what_the_adapters_add(lora: dict[str, Any], tmp_path: Path) -> None:
    lora["lora"]["dropout"] = 0.0
    whole = weights(run(lora))
    part = weights(run(lora, output=str(tmp_path / "part"), average=0.25))
    initial = weights(Path(lora["model"]))
    for name in whole:
        assert np.allclose(part[name] - initial[name], 0.25 * (whole[name] - initial[name]), atol=1e-6)


def test_what_cannot_be_adapted_is_one_clear_line(lora: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"lora.targets \['wquery'\]: the model has no layers to adapt"):
        run(lora, lora={"targets": ["wquery"]})
    with pytest.raises(ValueError, match="lora freezes the transformer itself"):
        run(lora, freeze={"layers": 1})
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isoglot\[lora\]'"):
        run(lora)
    assert not Path(lora["output"]).exists()
