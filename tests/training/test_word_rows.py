"""Word embeddings trained without the rows that a run never meets: they come out as if trained whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, build_encoder
from outcome import log_of, weights
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from isoglot.training import TrainConfig, train, trainer_setup
from isoglot.training.estimate import estimate
from isoglot.training.word_rows import WordRows, trained_tables


@pytest.fixture
def unfrozen(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | {
        "steps": 8,
        "optimizer": {"learning_rate": 1e-3, "weight_decay": 0},
        "freeze": {"word_embeddings": False},
        "loss": {"jensen_shannon": 1.0, "temperature": 0.05},
        "validation": {"examples": 20, "every": 4},
        "query_tokens": 9,
    }


@pytest.fixture
def static(tiny_encoder: SentenceTransformer, tmp_path: Path) -> str:
    torch.manual_seed(0)
    model = SentenceTransformer(modules=[StaticEmbedding(tiny_encoder.tokenizer, embedding_dim=32)], device="cpu")
    model.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    return str(tmp_path / "static")


@pytest.fixture
def initial_of(settings: dict[str, Any], static: str) -> Callable[[str], str]:
    return {"transformer": settings["model"], "static": static}.__getitem__


@pytest.mark.parametrize("kind", ["transformer", "static"])
def test_the_weights_are_those_of_training_the_whole_table(
    kind: str, unfrozen: dict[str, Any], initial_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfrozen |= {"model": initial_of(kind)}
    cut = train(TrainConfig.model_validate(unfrozen))
    with monkeypatch.context() as patched:
        patched.setattr(trainer_setup, "trained_tables", lambda _: [])
        whole = train(TrainConfig.model_validate(unfrozen | {"output": str(tmp_path / "whole")}))
    a, b, before = weights(cut), weights(whole), weights(Path(unfrozen["model"]))
    assert all(np.allclose(a[name], b[name], atol=1e-5) for name in b)
    losses = [[line.get("loss", line.get("held_out_loss")) for line in log_of(run.parent)] for run in (cut, whole)]
    assert np.allclose(*losses, atol=1e-4)
    (table,) = (name for name in a if "word_emb" in name or "embedding.weight" in name)
    moved = (a[table] != before[table]).any(axis=1)
    assert 10 < moved.sum() < len(moved) - 10


@pytest.mark.parametrize("kind", ["transformer", "static"])
def test_a_checkpoint_has_the_whole_table_and_averages_of_what_is_met_alone(
    kind: str, unfrozen: dict[str, Any], initial_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfrozen |= {"model": initial_of(kind)}
    run = Path(unfrozen["output"])
    seen: dict[str, Any] = {}

    def keep(log: Any, step: int, *_: Any) -> None:
        if step == 6:
            checkpoint = run / "checkpoints" / "checkpoint-4"
            seen["model"] = weights(checkpoint)
            state = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
            seen["averages"] = sum(each["exp_avg"].numel() for each in state.values())
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trainer_setup.TrainingLog, "step", keep)
        with pytest.raises(KeyboardInterrupt):
            train(TrainConfig.model_validate(unfrozen))
    initial = weights(Path(unfrozen["model"]))
    assert {name: each.shape for name, each in seen["model"].items()} == {n: each.shape for n, each in initial.items()}
    assert seen["averages"] < sum(each.size for each in initial.values())
    resumed = train(TrainConfig.model_validate(unfrozen), resume=True)
    whole = train(TrainConfig.model_validate(unfrozen | {"output": str(run) + "-whole"}))
    assert all(np.array_equal(each, weights(whole)[name]) for name, each in weights(resumed).items())


def test_words_of_mined_negatives_are_met(unfrozen: dict[str, Any], tmp_path: Path, pairs_file: Path) -> None:
    rows = pairs_file.read_text().splitlines()
    mined = [row[:-1] + f', "negatives": ["zzz qqq {number}"]}}' for number, row in enumerate(rows)]
    (tmp_path / "mined.jsonl").write_text("\n".join(mined))
    unfrozen |= {"data": [{"source": str(tmp_path / "mined.jsonl")}], "loss": {"negatives": 1}}
    assert train(TrainConfig.model_validate(unfrozen)).exists()


def test_an_estimate_leaves_the_table_whole(unfrozen: dict[str, Any]) -> None:
    found = estimate(TrainConfig.model_validate(unfrozen))
    assert found.weights == sum(each.size for each in weights(Path(unfrozen["model"])).values())


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_any_transformer_reads_the_same_with_its_table_cut(
    kind: str, tiny_encoder_folder: Path, tmp_path: Path
) -> None:
    model = build_encoder(kind, tiny_encoder_folder, tmp_path / "bare")
    before, read = model.encode(["rot gruen", "haus"]), model.preprocess(["rot gruen", "haus"])["input_ids"]
    size = sum(each.numel() for each in model.parameters())
    words = WordRows(trained_tables(model), read.numpy())
    assert np.array_equal(model.encode(["rot gruen", "haus"]), before)
    if kind != "t5":  # whose table is two modules' at once
        assert sum(each.numel() for each in model.parameters()) < size
    with words.whole():
        model.save_pretrained(str(tmp_path / "saved"))
    words.restore()
    assert sum(each.numel() for each in model.parameters()) == size
    saved = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert np.allclose(saved.encode(["rot gruen", "haus"]), before, atol=1e-6)


def test_frozen_tables_are_left_as_they_are(tiny_encoder: SentenceTransformer) -> None:
    assert len(trained_tables(tiny_encoder)) == 1
    tiny_encoder[0].auto_model.get_input_embeddings().requires_grad_(False)
    assert trained_tables(tiny_encoder) == []
