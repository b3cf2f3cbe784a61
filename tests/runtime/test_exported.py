"""Exported models run without torch, and say what their vectors depend on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.models.debiasing import debias
from isoglot.models.embed import EmbeddingStore, embed
from isoglot.models.encoders import load_encoder
from isoglot.models.foreign import wrap_text_encoder
from isoglot.models.loading import load_text_encoder
from isoglot.models.text_encoder import ModelEncoder
from isoglot.pairs import ParallelPairs
from isoglot.runtime.exported import EXPORT_MANIFEST, ExportedEncoder, is_exported
from isoglot.vectors.provenance import refuse_mixing

Folders = Callable[[Any], Path]
FORMATS = ("onnx", "openvino", "ctranslate2")
TEXTS = ["", "rot", "ein roter Baum " * 4, "a red tree", "casa roja " * 100, "red " * 10_000]


@pytest.fixture
def original(exported_folders: Folders) -> ModelEncoder:
    return ModelEncoder(load_encoder(exported_folders("onnx").parent / "model", device="cpu"), name="tiny")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("role", ["query", "passage"])
def test_vectors_are_those_of_the_model_for_short_and_for_long_texts(
    form: str, role: Any, exported_folders: Folders, original: ModelEncoder
) -> None:
    encoder = load_text_encoder(exported_folders(form))
    assert isinstance(encoder, ExportedEncoder)
    found, expected = encoder.encode(TEXTS, role), original.encode(TEXTS, role)
    assert found.dtype == np.float32
    assert (found * expected).sum(1).min() > (0.99 if form == "ctranslate2" else 1 - 1e-5)
    assert encoder.count_tokens(TEXTS, role) == original.count_tokens(TEXTS, role)
    assert (encoder.dimensions, encoder.max_tokens) == (original.dimensions, original.max_tokens)
    assert encoder.encode([], role).shape == (0, encoder.dimensions)


@settings(max_examples=20)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=9), st.integers(1, 4), st.randoms())
def test_a_text_gets_its_vector_whatever_is_encoded_with_it(
    exported_folders: Folders, texts: list[str], batch_size: int, random: Any
) -> None:
    encoder = ExportedEncoder(exported_folders("onnx"), batch_size=batch_size)
    order = [*range(len(texts))]
    random.shuffle(order)
    together = encoder.encode([texts[n] for n in order], "query")
    for place, n in enumerate(order):
        assert together[place] == pytest.approx(encoder.encode([texts[n]], "query")[0], abs=1e-5)


def test_an_index_made_by_torch_is_accepted_where_vectors_are_equal_and_refused_where_not(
    exported_folders: Folders, original: ModelEncoder
) -> None:
    passages = original.provenance("passage")
    for form in ("onnx", "openvino"):
        mine = ExportedEncoder(exported_folders(form)).provenance("query")
        refuse_mixing(passages, mine, ("index", "query"))
        assert mine.prompt == original.provenance("query").prompt
        assert mine.normalised is passages.normalised is True
    with pytest.raises(InputError, match="made with different weights"):
        refuse_mixing(passages, ExportedEncoder(exported_folders("ctranslate2")).provenance("query"), ("a", "b"))


@pytest.mark.parametrize("form", FORMATS)
def test_neither_torch_nor_transformers_is_imported(form: str, exported_folders: Folders) -> None:
    script = (
        "import sys; from isoglot.runtime.exported import ExportedEncoder\n"
        f"encoder = ExportedEncoder({str(exported_folders(form))!r}, threads=1)\n"
        "assert encoder.encode(['rot', 'a tree'], 'query').shape == (2, 32)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_everything_that_takes_a_model_takes_an_exported_folder(
    exported_folders: Folders, original: ModelEncoder, tmp_path: Path
) -> None:
    model, store = load_encoder(exported_folders("onnx")), EmbeddingStore(tmp_path)
    own = embed(original.model, TEXTS, "query", store=store)
    assert embed(model, TEXTS, "query", store=store, bf16=True) == pytest.approx(own, abs=1e-5)
    assert len([*tmp_path.iterdir()]) == 2  # what another arithmetic computed is not taken for this one's
    embed(load_encoder(exported_folders("ctranslate2")), TEXTS, "query", store=store)
    assert len([*tmp_path.iterdir()]) == 3
    assert model.encode_query(["rot"]) == pytest.approx(original.model.encode_query(["rot"]), abs=1e-5)
    model.save_pretrained(str(tmp_path / "model"))  # names the folder
    saved = load_encoder(tmp_path / "model", trust_remote_code=True)
    assert np.array_equal(saved.encode(TEXTS), model.encode(TEXTS))


def test_what_was_made_of_an_exported_folder_is_saved_with_its_path_and_limit(
    exported_folders: Folders, pairs: ParallelPairs, tmp_path: Path
) -> None:
    named = ExportedEncoder(exported_folders("onnx"), name="a nice name")
    model = wrap_text_encoder(named)
    early = load_encoder(exported_folders("onnx"), max_tokens=9)
    fitted = [debias(each, pairs, directions=2, max_tokens=9)[1].linear.weight for each in (model, early)]
    assert torch.equal(*fitted)  # cut for the fit alone
    assert model.max_seq_length == 64
    model.max_seq_length = 9
    assert (model.max_seq_length, named.max_tokens) == (9, 64)
    model.save_pretrained(str(tmp_path / "model"))
    saved = load_encoder(tmp_path / "model", trust_remote_code=True)
    assert np.array_equal(saved.encode(TEXTS), early.encode(TEXTS))


def test_texts_are_cut_earlier_where_that_is_asked_for_and_never_later(
    exported_folders: Folders, original: ModelEncoder
) -> None:
    folder = exported_folders("onnx")
    expected = embed(load_encoder(folder.parent / "model", device="cpu", max_tokens=9), TEXTS, "passage")
    assert load_text_encoder(folder, max_tokens=9).encode(TEXTS, "passage") == pytest.approx(expected, abs=1e-5)
    assert embed(load_encoder(folder, max_tokens=9), TEXTS, "passage") == pytest.approx(expected, abs=1e-5)
    for tokens in (2, 65):
        with pytest.raises(InputError, match=f"max_tokens {tokens}: .* takes 3 to 64 tokens"):
            load_text_encoder(folder, max_tokens=tokens)
    asked = load_text_encoder(folder, query_prompt="")
    assert asked.provenance("query").prompt == ""
    assert asked.encode(["query: rot"], "query") == pytest.approx(original.encode(["rot"], "query"), abs=1e-5)


def test_damaged_folders_are_refused_in_one_line(exported_folders: Folders, tmp_path: Path) -> None:
    def damaged(name: str, content: bytes) -> Path:
        folder = tmp_path / name.replace("/", "-") / "tiny"
        shutil.copytree(exported_folders("onnx"), folder, dirs_exist_ok=True)
        (folder / name).write_bytes(content)
        return folder

    with pytest.raises(InputError, match="cannot be loaded"):
        ExportedEncoder(damaged("onnx/model.onnx", (exported_folders("onnx") / "onnx/model.onnx").read_bytes()[:5000]))
    with pytest.raises(InputError, match="cannot be loaded"):
        ExportedEncoder(damaged("tokenizer.json", b"{}"))
    with pytest.raises(InputError, match="export the model again"):
        load_encoder(damaged(EXPORT_MANIFEST, b"{"))
    newer = json.dumps({**json.loads((exported_folders("onnx") / EXPORT_MANIFEST).read_text()), "schema": 9})
    with pytest.raises(InputError, match="of schema 9"):
        load_encoder(damaged(EXPORT_MANIFEST, newer.encode()))
    with pytest.raises(InputError, match="not a model that isoglot exported"):
        ExportedEncoder(tmp_path)


def test_what_is_not_installed_is_named(exported_folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exported_folders("onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isoglot\[serve\]'"):
        ExportedEncoder(folder)


def test_an_ordinary_folder_is_no_exported_one(tiny_encoder_folder: Path, tiny_encoder: SentenceTransformer) -> None:
    assert not is_exported(tiny_encoder_folder)
    assert not is_exported("builtin:multilingual-e5-small")
    assert isinstance(load_text_encoder(tiny_encoder_folder), ModelEncoder)
