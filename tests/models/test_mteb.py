"""MTEB's models: the real package, around a small local encoder."""

from __future__ import annotations

from pathlib import Path

import mteb
import numpy as np
import pytest
from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import retrieval_set_of
from isoglot.common.errors import InputError
from isoglot.evaluation.evaluate import evaluate
from isoglot.models.embed import embed
from isoglot.models.encoders import load_encoder
from isoglot.models.mteb import wrap_mteb_encoder
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


def test_saving_is_refused(wrapped: SentenceTransformer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not saved"):
        wrapped[0].save(str(tmp_path))


def test_code_that_comes_with_a_model_needs_a_word() -> None:
    foreign = next(m.name for m in mteb.get_model_metas() if m.loader_kwargs.get("trust_remote_code"))
    with pytest.raises(InputError, match="--trust-remote-code"):
        load_encoder(f"mteb:{foreign}")


def test_an_unknown_model_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="MTEB cannot load it"):
        load_encoder("mteb:nobody/has-this-model")
