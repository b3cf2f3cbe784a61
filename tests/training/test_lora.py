"""Adapters: what they train, that they save as people expect, and that resuming is exact."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import weights
from sentence_transformers import SentenceTransformer
from torch import nn

import isoglot
from isoglot.common.errors import InputError, MissingExtraError
from isoglot.training import TrainConfig, train, trainer_setup
from isoglot.training.config import Lora
from isoglot.training.model_setup import add_adapters, set_dropout

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


def test_adapters_that_a_model_comes_with_are_trained_on(lora: dict[str, Any], tmp_path: Path) -> None:
    apart = run(lora, lora=lora["lora"] | {"merge": False})
    more = run(settings_of(lora, apart), output=str(tmp_path / "more"))
    assert list(more.rglob("adapter_model.safetensors"))
    before, after = (weights(folder) for folder in (apart, more))
    assert before.keys() == after.keys()
    assert all(not np.array_equal(before[name], after[name]) for name in before if "pooler" not in name)
    assert np.abs(vectors(more) - vectors(apart)).max() > 1e-4


def settings_of(lora: dict[str, Any], model: Path) -> dict[str, Any]:
    return {key: value for key, value in lora.items() if key != "lora"} | {"model": str(model)}


def test_other_adapters_come_upon_merged_ones_alone(lora: dict[str, Any], tmp_path: Path) -> None:
    apart = run(lora, lora=lora["lora"] | {"merge": False})
    with pytest.raises(InputError, match=r"lora: .* comes with adapters; leave lora out .* or merge them"):
        run(lora, output=str(tmp_path / "no"), model=str(apart))
    with pytest.raises(InputError, match=r"average 0.5: the adapters of .* cannot be averaged"):
        run(settings_of(lora, apart), output=str(tmp_path / "no"), average=0.5)
    assert not (tmp_path / "no").exists()
    model = isoglot.load_encoder(apart)
    isoglot.merge_adapters(model)
    model.save_pretrained(str(tmp_path / "merged"))
    assert np.allclose(vectors(tmp_path / "merged"), vectors(apart), atol=1e-5)
    assert not list(run(lora, output=str(tmp_path / "on"), model=str(tmp_path / "merged")).rglob("adapter*"))


def test_the_dropout_of_a_run_does_not_touch_that_of_adapters(tiny_encoder: SentenceTransformer) -> None:
    add_adapters(tiny_encoder, Lora(rank=2, dropout=0.3), seed=0)
    set_dropout(tiny_encoder, 0.0)
    dropouts = {name: module.p for name, module in tiny_encoder.named_modules() if isinstance(module, nn.Dropout)}
    assert {p for name, p in dropouts.items() if "lora_dropout" in name} == {0.3}
    assert {p for name, p in dropouts.items() if "lora_dropout" not in name} == {0.0}
