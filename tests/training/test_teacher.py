"""Distillation from another model than the initial one, and stages of alignment alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from outcome import log_of
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense

import isoglot
from isoglot.common.errors import InputError
from isoglot.models.embed import embed
from isoglot.models.fingerprint import fingerprint
from isoglot.pairs import ParallelPairs
from isoglot.training import TrainConfig, train


@pytest.fixture
def other(tiny_encoder_folder: Path, tmp_path: Path) -> SentenceTransformer:
    """A teacher with other weights, other prompts and, in its file, a remedy."""
    model = SentenceTransformer(str(tiny_encoder_folder), device="cpu").eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.prompts = {"query": "ask: ", "document": "text: "}
    model.save_pretrained(str(tmp_path / "teacher"), create_model_card=False)
    return model


def texts_of(pairs: ParallelPairs, language: str, role: str) -> list[str]:
    rows = sorted((row for row in pairs.rows() if row["language"] == language), key=lambda row: str(row["id"]))
    return [str(row[role]) for row in rows]


@pytest.mark.parametrize("alpha", [0.0, [0.0, 1.0], 1.0])
def test_alignment_alone_draws_languages_to_the_teachers_english_in_both_roles(
    settings: dict[str, Any], other: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path, alpha: Any
) -> None:
    loss = {"weight": 0, "distillation": {"weight": 1.0, "target": "english", "teacher": str(tmp_path / "teacher")}}
    settings |= {"steps": 40, "dropout": 0.0, "loss": loss, "batches": {"size": 8, "alpha": alpha}}
    trained = isoglot.load_encoder(train(TrainConfig.model_validate(settings)))
    initial = isoglot.load_encoder(settings["model"])
    record = json.loads((Path(settings["output"]) / "run.json").read_text())
    assert record["teacher"] == {"fingerprint": fingerprint(other)}
    for role in ("query", "passage"):
        english = embed(other, texts_of(pairs, "en", role), role)  # with its own prompts
        before, after = (embed(model, texts_of(pairs, "de", role), role) for model in (initial, trained))
        assert np.sum(after * english, axis=1).mean() > np.sum(before * english, axis=1).mean() + 0.1
    losses = [entry["loss"] for entry in log_of(Path(settings["output"])) if "loss" in entry]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_teacher_of_other_dimensions_or_none_is_one_line(
    settings: dict[str, Any], tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    small = SentenceTransformer(modules=[*[*tiny_encoder][:2], Dense(32, 16)], device="cpu")
    small.save_pretrained(str(tmp_path / "small"), create_model_card=False)
    for name, message in (
        (str(tmp_path / "small"), "has 16 dimensions, and the model that learns 32"),
        (str(tmp_path / "none"), "no such folder"),
    ):
        loss = {"distillation": {"weight": 1.0, "teacher": name}}
        with pytest.raises(InputError, match=message):
            train(TrainConfig.model_validate(settings | {"loss": loss}))
    assert not Path(settings["output"]).exists()


def test_another_teacher_is_not_resumed_with(
    settings: dict[str, Any], other: SentenceTransformer, tmp_path: Path
) -> None:
    loss = {"distillation": {"weight": 1.0, "teacher": str(tmp_path / "teacher")}}
    settings |= {"loss": loss, "optimizer": {"learning_rate": 1e30, "max_gradient_norm": 1e30, "warmup": 0}}
    with pytest.raises(isoglot.IsoglotError, match="the loss is"):
        train(TrainConfig.model_validate(settings))
    (tmp_path / "teacher").rename(tmp_path / "moved")
    settings["loss"]["distillation"]["teacher"] = str(tmp_path / "moved")
    with pytest.raises(isoglot.IsoglotError, match="the loss is"):  # it goes on
        train(TrainConfig.model_validate(settings), resume=True)
    settings["loss"]["distillation"]["teacher"] = settings["model"]
    with pytest.raises(InputError, match="cannot resume, the teacher is not what the run began with"):
        train(TrainConfig.model_validate(settings), resume=True)
