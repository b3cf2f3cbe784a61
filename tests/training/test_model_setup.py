"""What of a model is trained, whatever the model is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, build_encoder
from outcome import weights
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Router,
    StaticEmbedding,
    Transformer,
)

from isoglot.common.errors import InputError
from isoglot.models.encoders import load_encoder
from isoglot.models.limits import set_token_limit, token_limit, token_limits
from isoglot.training import TrainConfig, train
from isoglot.training.config import Freeze
from isoglot.training.model_setup import freeze


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_first_layers_of_any_transformer_are_frozen(kind: str, tiny_encoder_folder: Path, tmp_path: Path) -> None:
    model = build_encoder(kind, tiny_encoder_folder, tmp_path / "bare")
    freeze(model, Freeze(layers=2))
    model.train()
    model(model.preprocess(["rot gruen", "haus"]))["sentence_embedding"].square()[:, 0].sum().backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert moved
    assert not moved & frozen
    numbers = {next((part for part in name.split(".")[1:] if part.isdigit()), "none") for name in moved}
    assert numbers - {"none"} == {"2"}, "only the last of three blocks, and what stands in none"
    assert not any("word_emb" in name or "embed_tokens" in name or "shared" in name for name in moved)
    with pytest.raises(InputError, match=r"freeze.layers 3: the model has 3 layers; freeze fewer"):
        freeze(model, Freeze(layers=3))


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_any_transformer_reads_as_far_as_its_positions_go(kind: str, tiny_encoder_folder: Path, tmp_path: Path) -> None:
    model = build_encoder(kind, tiny_encoder_folder, tmp_path / "bare")
    most = {"xlm-roberta": 69, "mpnet": 68, "t5": 500}.get(kind, 64)
    model.max_seq_length = 5
    set_token_limit(model, most)
    assert model.preprocess(["rot gruen " * 400])["input_ids"].shape[1] == most
    assert np.isfinite(model.encode(["rot gruen " * 400])).all()
    if kind != "t5":
        with pytest.raises(InputError, match=f"the model takes 3 to {most} tokens"):
            set_token_limit(model, most + 1)


def run(settings: dict[str, Any], model: SentenceTransformer, folder: Path, **changes: Any) -> Path:
    model.save_pretrained(str(folder), create_model_card=False)
    return train(TrainConfig.model_validate(settings | {"model": str(folder)} | changes))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_trained_in_whole_precision(
    settings: dict[str, Any], tiny_encoder: SentenceTransformer, tmp_path: Path, dtype: torch.dtype
) -> None:
    modules = [*tiny_encoder.children()][:2]
    model = SentenceTransformer(modules=[*modules, Dense(32, 16), Normalize()], device="cpu").to(dtype)
    trained = run(settings, model, tmp_path / "half", freeze={"head": False}, optimizer={"learning_rate": 3e-5})
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == str(dtype).split(".")[1]
    for part in (".", "2_Dense"):
        before, after = (load_file(folder / part / "model.safetensors") for folder in (tmp_path / "half", trained))
        assert {tensor.dtype for tensor in after.values()} == {torch.float32}
        for name in before:
            if "word_emb" not in name and "pooler" not in name and "position" not in name and "key.bias" not in name:
                assert (before[name] != after[name]).float().mean() > 0.9, name


def router(folder: Path) -> SentenceTransformer:
    """A model with an encoder for queries and another for documents."""
    routes = []
    for seed in (0, 1):
        reader = Transformer(str(folder.parent / "bare"))
        torch.manual_seed(seed)
        for parameter in reader.parameters():
            parameter.data.add_(0.01 * torch.randn_like(parameter))
        routes.append([reader, Pooling(32, "mean")])
    return SentenceTransformer(modules=[Router.for_query_document(*routes), Normalize()], device="cpu")


@pytest.mark.parametrize(
    "changes", [{}, {"lora": {"rank": 2}}, {"freeze": {"layers": 1}}], ids=["all", "lora", "freeze"]
)
def test_queries_and_documents_train_their_own_encoders(
    settings: dict[str, Any], tiny_encoder_folder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    if "lora" in changes:
        pytest.importorskip("peft")
    trained = run(settings, router(tiny_encoder_folder), tmp_path / "router", **changes)
    for route in ("query", "document"):
        before, after = (weights(folder / f"{route}_0_Transformer") for folder in (tmp_path / "router", trained))
        assert before.keys() == after.keys()
        moved = {name for name in before if not np.array_equal(before[name], after[name])}
        assert moved
        assert "freeze" not in changes or not any("layer.0." in name for name in moved)
    model = SentenceTransformer(str(trained), device="cpu")
    assert not np.allclose(model.encode_query("rot"), model.encode_document("rot"))


def test_token_limits_are_those_of_each_encoder(tiny_encoder_folder: Path) -> None:
    from isoglot.training.data import Collator

    model = router(tiny_encoder_folder)
    model[0].sub_modules["query"][0].max_seq_length = 8
    batch = Collator(model, {"query": 20, "passage": 20})([{"query": "rot " * 40, "passage": "blau " * 40}])
    assert batch["query_input_ids"].shape[1] == 8
    assert batch["passage_input_ids"].shape[1] == 20


def test_static_embeddings_are_trained_too(
    settings: dict[str, Any], tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    model = SentenceTransformer(modules=[StaticEmbedding(tiny_encoder.tokenizer, embedding_dim=32)], device="cpu")
    loss = {"mini_batch": 3, "distillation": {"weight": 0.1}}
    for changes in ({}, {"loss": loss, "query_tokens": 9}):
        output = str(tmp_path / f"run{len(changes)}")
        trained = run(settings, model, tmp_path / "static", output=output, **changes)
        (before,), (after,) = (list(weights(folder).values()) for folder in (tmp_path / "static", trained))
        assert not np.array_equal(before, after)
    with pytest.raises(InputError, match=r"freeze.layers 1: the model has no transformer, so no layers"):
        run(settings, model, tmp_path / "static", output=str(tmp_path / "no"), freeze={"layers": 1})
    with pytest.raises(InputError, match="lora: the model has no transformer to adapt"):
        run(settings, model, tmp_path / "static", output=str(tmp_path / "no"), lora={})


def test_the_trained_model_keeps_what_the_first_declares(
    settings: dict[str, Any], tiny_encoder_folder: Path, tmp_path: Path
) -> None:
    """And its checkpoints; limits of training stay out of both, tokenizer included."""
    model = SentenceTransformer(str(tiny_encoder_folder), device="cpu", truncate_dim=16, similarity_fn_name="dot")
    model.prompts["clustering"] = "group: "
    model.default_prompt_name = "document"
    model.max_seq_length = 48
    settings |= {"query_tokens": 5, "passage_tokens": 7, "checkpoint_every": 12, "validation": {"examples": 20}}
    kept = {}
    from isoglot.training import run as run_module

    finish = run_module._finish

    def look(fit: Any, trained: Any, record: Any, output: Path) -> None:
        (checkpoint,) = (output / "checkpoints").iterdir()
        kept["checkpoint"] = (
            SentenceTransformer(str(checkpoint), device="cpu"),
            (checkpoint / "tokenizer.json").read_text(),
        )
        finish(fit, trained, record, output)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_module, "_finish", look)
        trained = run(settings, model, tmp_path / "declares", loss={"distillation": {"weight": 1.0}})
    kept["model"] = SentenceTransformer(str(trained), device="cpu"), (trained / "tokenizer.json").read_text()
    for loaded, tokenizer in kept.values():
        assert loaded.truncate_dim == 16
        assert loaded.similarity_fn_name == "dot"
        assert loaded.default_prompt_name == "document"
        assert loaded.prompts == model.prompts
        assert loaded.max_seq_length == 48
        assert json.loads(tokenizer)["truncation"] is None
        assert json.loads(tokenizer)["padding"] is None


@pytest.mark.parametrize("separate", [False, True], ids=["one encoder", "router"])
@pytest.mark.parametrize(
    "changes",
    [{"debias": {"directions": 2}, "validation": {"examples": 20}}, {"lora": {"rank": 2}}, {"average": 0.5}],
    ids=["remedy", "adapters", "average"],
)
def test_what_training_cuts_at_is_not_in_the_finished_model(
    settings: dict[str, Any], tiny_encoder_folder: Path, tmp_path: Path, separate: bool, changes: dict[str, Any]
) -> None:
    if "lora" in changes:
        pytest.importorskip("peft")
    model = router(tiny_encoder_folder) if separate else SentenceTransformer(str(tiny_encoder_folder), device="cpu")
    tight = {"max_tokens": 12, "query_tokens": 20, "loss": {"distillation": {"weight": 1.0}}}
    trained = run(settings, model, tmp_path / "initial", **tight, **changes)
    parts = sorted(file.relative_to(trained) for file in trained.rglob("tokenizer.json"))
    assert len(parts) == 1 + separate
    for part in parts:
        assert (trained / part).read_bytes() == (tmp_path / "initial" / part).read_bytes()
    assert token_limits(load_encoder(trained)) == [64] * (1 + separate)
    if "validation" in changes:
        for system in ("initial", "trained"):
            results = json.loads((trained.parent / "results" / system / "results.json").read_text())
            assert results["model"]["max_tokens"] == 12


def test_a_run_may_ask_for_another_limit_of_its_model(
    settings: dict[str, Any], tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    tiny_encoder.max_seq_length = 16
    wanted = {"max_tokens": 12, "model_max_tokens": 40}
    trained = run(settings, tiny_encoder, tmp_path / "initial", **wanted)
    assert token_limit(load_encoder(trained)) == 40
    with pytest.raises(InputError, match="max_tokens 65: the model takes 3 to 64 tokens"):
        run(settings, tiny_encoder, tmp_path / "initial", output=str(tmp_path / "no"), model_max_tokens=65)
