from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from isoglot.models.debiasing import debias
from isoglot.models.embed import EmbeddingStore, embed
from isoglot.pairs import ParallelPairs

TEXTS = ["rot gruen", "red green blue", "rot gruen", "casa", "haus am fluss 7"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that any model encodes from now on."""
    seen: list[str] = []
    original = SentenceTransformer.encode

    def spy(self: SentenceTransformer, texts: list[str], *args: Any, **kwargs: Any) -> Any:
        seen.extend(texts)
        return original(self, texts, *args, **kwargs)

    monkeypatch.setattr(SentenceTransformer, "encode", spy)
    return seen


def test_vectors_are_those_of_the_model(tiny_encoder: SentenceTransformer) -> None:
    ours = embed(tiny_encoder, TEXTS, "query")
    assert ours.dtype == np.float32
    assert ours == pytest.approx(tiny_encoder.encode(TEXTS, prompt_name="query"), abs=1e-6)
    theirs = tiny_encoder.encode_document(TEXTS)
    assert embed(tiny_encoder, TEXTS, "passage") == pytest.approx(theirs, abs=1e-6)


def test_no_texts_have_no_vectors(tiny_encoder: SentenceTransformer) -> None:
    assert embed(tiny_encoder, [], "query").shape == (0, 32)


def test_the_store_is_asked_before_the_model(
    tiny_encoder: SentenceTransformer, tmp_path: Path, calls: list[str]
) -> None:
    store = EmbeddingStore(tmp_path)
    done: list[int] = []
    first = embed(tiny_encoder, TEXTS, "query", store=store, on_progress=done.append)
    assert sorted(calls) == sorted(set(TEXTS))
    assert sum(done) == len(TEXTS)
    calls.clear()
    again = embed(tiny_encoder, [*TEXTS, "neu"], "query", store=EmbeddingStore(tmp_path))
    assert calls == ["neu"]
    assert np.array_equal(again[:-1], first)


def test_the_store_knows_weights_prompt_limit_and_arithmetic(
    tiny_encoder: SentenceTransformer, tmp_path: Path, calls: list[str]
) -> None:
    store = EmbeddingStore(tmp_path)

    def encoded(**changes: Any) -> int:
        calls.clear()
        embed(tiny_encoder, TEXTS, changes.pop("role", "query"), store=store, **changes)
        return len(calls)

    assert encoded() == 4
    assert encoded() == 0
    assert encoded(role="passage") == 4
    assert encoded(bf16=True) == 4
    tiny_encoder.max_seq_length = 5
    assert encoded() == 4
    with torch.no_grad():
        next(tiny_encoder.parameters()).add_(0.1)
    assert encoded() == 4
    tiny_encoder.prompts["query"] = "frage: "
    assert encoded() == 4


@pytest.mark.parametrize("damage", ["cut", "gone", "noise"])
def test_a_damaged_shard_is_encoded_again(
    tiny_encoder: SentenceTransformer, tmp_path: Path, calls: list[str], damage: str
) -> None:
    first = embed(tiny_encoder, TEXTS, "query", store=EmbeddingStore(tmp_path))
    (vectors,) = tmp_path.rglob("vectors.npy")
    if damage == "gone":
        vectors.unlink()
    else:
        vectors.write_bytes(vectors.read_bytes()[:200] if damage == "cut" else b"noise")
    calls.clear()
    assert embed(tiny_encoder, TEXTS, "query", store=EmbeddingStore(tmp_path)) == pytest.approx(first)
    assert len(calls) == 4
    calls.clear()
    embed(tiny_encoder, TEXTS, "query", store=EmbeddingStore(tmp_path))
    assert not calls


def test_a_model_before_and_after_debias_shares_its_vectors(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path, calls: list[str]
) -> None:
    store = EmbeddingStore(tmp_path)
    debiased = debias(tiny_encoder, pairs, directions=2)
    embed(tiny_encoder, TEXTS, "query", store=store)
    calls.clear()
    shared = embed(debiased, TEXTS, "query", store=store)
    assert not calls
    assert shared == pytest.approx(debiased.encode(TEXTS, prompt_name="query"), abs=1e-5)


def test_a_language_without_a_route_takes_that_of_its_plain_tag(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    model = debias(tiny_encoder, pairs, remedy="means")
    plain, regional, unknown = (embed(model, ["rot 1"], "passage", tasks=[tag]) for tag in ("de", "de-AT", "fr"))
    assert np.array_equal(plain, regional)
    assert np.abs(plain - unknown).max() > 1e-4
