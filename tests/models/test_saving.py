"""What a saved model's files say, whatever the model has encoded before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Router, Transformer
from tokenizers import Tokenizer

import isoglot
from isoglot.common.errors import InputError
from isoglot.models.limits import set_token_limit, token_limit
from isoglot.pairs import ParallelPairs


def settings_of(folder: Path) -> dict[str, Any]:
    """What `tokenizer.json` says of calls."""
    content = json.loads((folder / "tokenizer.json").read_text())
    return {key: content[key] for key in ("truncation", "padding")}


@pytest.fixture(params=["none", "both"])
def folder(request: pytest.FixtureRequest, tiny_encoder_folder: Path, tmp_path: Path) -> Path:
    """A model whose tokenizer's file says nothing of truncation and padding, or something that is not its limit."""
    copy = tmp_path / "initial"
    shutil.copytree(tiny_encoder_folder, copy)
    if request.param == "both":
        tokenizer = Tokenizer.from_file(str(copy / "tokenizer.json"))
        tokenizer.enable_truncation(60, stride=1)
        tokenizer.enable_padding(length=60, pad_id=0, pad_token="[PAD]", pad_to_multiple_of=4)
        tokenizer.save(str(copy / "tokenizer.json"))
    return copy


CHANGES: dict[str, Callable[[SentenceTransformer, ParallelPairs], SentenceTransformer]] = {
    "as it is": lambda model, pairs: model,
    "debiased": lambda model, pairs: isoglot.debias(model, pairs, directions=2, max_tokens=9),
    "without remedy": lambda model, pairs: isoglot.without_debias(isoglot.debias(model, pairs, directions=2)),
    "trimmed": lambda model, pairs: isoglot.trim(model, pairs, spare=0)[0],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_tokenizer_is_saved_as_it_was_loaded(folder: Path, pairs: ParallelPairs, tmp_path: Path, change: str) -> None:
    model = isoglot.load_encoder(folder)
    model.encode(["rot gruen"])
    changed = CHANGES[change](model, pairs)
    changed.encode(["rot gruen"])
    assert changed.tokenizer.backend_tokenizer.truncation["max_length"] == 64
    isoglot.save_model(changed, tmp_path / "saved")
    assert settings_of(tmp_path / "saved") == settings_of(folder)
    again = isoglot.load_encoder(tmp_path / "saved")
    assert token_limit(again) == 64
    assert np.allclose(again.encode(["rot gruen"]), changed.encode(["rot gruen"]), atol=1e-6)


def test_padding_of_a_trimmed_vocabulary_names_the_number_that_the_token_has(
    tiny_encoder_folder: Path, tmp_path: Path
) -> None:
    model = isoglot.load_encoder(tiny_encoder_folder)
    model.tokenizer.add_tokens(["[LAST]"])
    last = model.tokenizer.convert_tokens_to_ids("[LAST]")
    model[0].model.resize_token_embeddings(last + 1)
    model.tokenizer.backend_tokenizer.enable_padding(pad_id=last, pad_token="[LAST]")
    model.save_pretrained(str(tmp_path / "initial"), create_model_card=False)
    trimmed, _ = isoglot.trim(isoglot.load_encoder(tmp_path / "initial"), ["rot"], spare=0)
    isoglot.save_model(trimmed, tmp_path / "saved")
    padding, number = settings_of(tmp_path / "saved")["padding"], trimmed.tokenizer.convert_tokens_to_ids("[LAST]")
    assert (padding["pad_token"], padding["pad_id"]) == ("[LAST]", number)
    assert number != last


def test_a_card_comes_along(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    isoglot.save_model(tiny_encoder, tmp_path / "m", card="# A card")
    assert (tmp_path / "m" / "README.md").read_text() == "# A card"
    isoglot.save_model(tiny_encoder, tmp_path / "m")
    assert not (tmp_path / "m" / "README.md").exists()
    for folder in (".", ".."):
        with pytest.raises(InputError, match="would be replaced by the model; name a new folder in it"):
            isoglot.save_model(tiny_encoder, folder)


def test_a_limit_may_be_raised_to_the_positions_that_a_model_has(
    tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    tiny_encoder.max_seq_length = 9
    isoglot.save_model(tiny_encoder, tmp_path / "short")
    assert token_limit(isoglot.load_encoder(tmp_path / "short")) == 9
    model = isoglot.load_encoder(tmp_path / "short", max_tokens=64)
    long, cut = "rot gruen blau " * 60, isoglot.load_encoder(tmp_path / "short")
    assert model.preprocess([long])["input_ids"].shape[1] == 64
    assert not np.allclose(model.encode([long]), cut.encode([long]), atol=1e-4)
    with pytest.raises(isoglot.InputError, match="the model takes 3 to 64 tokens"):
        isoglot.load_encoder(tmp_path / "short", max_tokens=65)


def test_encoders_by_role_read_as_far_as_each_can(tiny_encoder_folder: Path) -> None:
    routes = [[Transformer(str(tiny_encoder_folder.parent / "bare")), Pooling(32, "mean")] for _ in range(2)]
    routes[0][0].max_seq_length = 8
    model = SentenceTransformer(modules=[Router.for_query_document(*routes), Normalize()], device="cpu")
    set_token_limit(model, 20)
    assert [route[0].max_seq_length for route in routes] == [20, 20]
