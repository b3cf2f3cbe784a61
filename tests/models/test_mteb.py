"""MTEB's models: the real package, around a small local encoder."""

from __future__ import annotations

from pathlib import Path

import mteb
import numpy as np
import pytest
from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
from sentence_transformers import SentenceTransformer

from command import run
from isoglot.benchmarks import retrieval_set_of
from isoglot.common.errors import InputError
from isoglot.evaluation.evaluate import evaluate
from isoglot.models.embed import embed
from isoglot.models.encoders import load_encoder
from isoglot.models.limits import with_limit
from isoglot.models.mteb import _trusts, wrap_mteb_encoder
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore


@pytest.fixture
def wrapped(tiny_encoder_folder: Path) -> SentenceTransformer:
    model = SentenceTransformer(str(tiny_encoder_folder), device="cpu")
    prompts = {"query": "query: ", "document": "passage: "}
    return wrap_mteb_encoder(SentenceTransformerEncoderWrapper(model, model_prompts=prompts), "own/tiny", "r1")


def test_vectors_are_those_of_the_model_in_each_role(
    wrapped: SentenceTransformer, tiny_encoder: SentenceTransformer
) -> None:
    texts = ["rot gruen", "a red house", "rot gruen"]
    assert embed(wrapped, texts, "query") == pytest.approx(embed(tiny_encoder, texts, "query"), abs=1e-5)
    assert embed(wrapped, texts, "passage") == pytest.approx(embed(tiny_encoder, texts, "passage"), abs=1e-5)
    assert np.abs(embed(wrapped, texts, "query") - embed(wrapped, texts, "passage")).max() > 1e-3


def test_the_store_keeps_roles_and_revisions_apart(wrapped: SentenceTransformer, tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    query, passage = (embed(wrapped, ["red"], role, store=store) for role in ("query", "passage"))
    assert np.abs(query - passage).max() > 1e-3
    assert embed(wrapped, ["red"], "query", store=store) == pytest.approx(query)
    wrapped[0].revision = "r2"
    embed(wrapped, ["red"], "query", store=store)
    assert len(list(tmp_path.iterdir())) == 3


def test_an_evaluation_agrees_with_the_model_itself(
    wrapped: SentenceTransformer, tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    data = retrieval_set_of(pairs, "toy")
    through, itself = (evaluate(model, data, name="tiny") for model in (wrapped, tiny_encoder))
    assert through.setting("multilingual") == pytest.approx(itself.setting("multilingual"), abs=1e-4)


def test_the_token_limit_is_the_models(wrapped: SentenceTransformer, tiny_encoder: SentenceTransformer) -> None:
    assert wrapped.max_seq_length == tiny_encoder.max_seq_length
    wrapped.max_seq_length = 5
    assert wrapped[0].encoder.model.max_seq_length == 5


def test_a_limit_of_a_copy_is_the_copys_and_weights_are_shared(wrapped: SentenceTransformer) -> None:
    short, texts = with_limit(wrapped, 5), ["red green blue house tree river"]
    assert (short.max_seq_length, wrapped.max_seq_length) == (5, 64)
    assert np.abs(embed(short, texts, "query") - embed(wrapped, texts, "query")).max() > 1e-3
    one, other = (next(each[0].encoder.model.parameters()) for each in (short, wrapped))
    assert one is other


def test_saving_is_refused_before_anything_is_encoded(
    wrapped: SentenceTransformer,
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError, match="not saved"):
        wrapped[0].save(str(tmp_path))
    monkeypatch.setattr("isoglot.load_encoder", lambda *_, **__: wrapped)
    monkeypatch.setattr("isoglot.debias", None)
    assert run(monkeypatch, "debias", "mteb:own/tiny", "--pairs", pairs_file, "--out", tmp_path / "fair") == 2
    assert "mteb:own/tiny can be evaluated but not saved" in capsys.readouterr().err


def test_code_that_comes_with_a_model_needs_a_word() -> None:
    foreign = next(m.name for m in mteb.get_model_metas() if m.loader_kwargs.get("trust_remote_code"))
    loaders = {"nvidia/llama-embed-nemotron-8b", "axiotic/ogma-small", "llm-semantic-router/multi-modal-embed-large"}
    for name in (foreign, *loaders):  # in MTEB's settings, in a class, in a helper of one
        with pytest.raises(InputError, match="--trust-remote-code"):
            load_encoder(f"mteb:{name}")


def test_a_loader_that_leaves_trust_to_others_needs_none() -> None:
    metas = [meta for meta in mteb.get_model_metas() if meta.loader is not None]
    plain = next(meta for meta in metas if meta.loader is SentenceTransformerEncoderWrapper)
    by_partial = next(meta for meta in metas if meta.name == "Qwen/Qwen3-Embedding-0.6B")
    assert not any(_trusts(meta.loader, meta.loader_kwargs) for meta in (plain, by_partial))
    assert _trusts(eval("lambda name, **_: name"), {})  # whose source nobody can read


def test_an_unknown_model_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="MTEB cannot load it"):
        load_encoder("mteb:nobody/has-this-model")
