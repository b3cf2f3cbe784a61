from __future__ import annotations

import copy
import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Router, StaticEmbedding

from isoglot.common.errors import InputError
from isoglot.models.debiasing import debias
from isoglot.models.embed import embed
from isoglot.pairs import ParallelPairs
from isoglot.runtime import store as store_module
from isoglot.runtime.store import EmbeddingStore

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


def test_a_text_with_half_a_character_is_refused(tiny_encoder: SentenceTransformer) -> None:
    with pytest.raises(InputError, match=r"the text 'a.ud83d' holds half a character; write it anew"):
        embed(tiny_encoder, ["red", "a\ud83d"], "query")


def test_the_longest_come_first_and_the_others_in_no_order_of_length(
    tiny_encoder: SentenceTransformer, calls: list[str]
) -> None:
    texts = [" ".join(["rot"] * n) for n in range(1, 41)]
    vectors = embed(tiny_encoder, texts, "query", batch_size=4)
    lengths = [len(text.split()) for text in calls]
    assert lengths[:4] == [40, 39, 38, 37], "if memory is too small for them, that shows at once"
    batches = [lengths[n : n + 4] for n in range(0, 40, 4)]
    assert all(max(batch) - min(batch) == 3 for batch in batches), "texts of a batch are alike in length"
    assert np.mean([sum(batch) for batch in batches[:5]]) < 1.3 * np.mean([sum(batch) for batch in batches])
    assert vectors == pytest.approx(embed(tiny_encoder, texts, "query", batch_size=40), abs=1e-5)


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
    tiny_encoder: SentenceTransformer, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isoglot.models.arithmetic.has_bf16", lambda: True)  # else float32 stays
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


@pytest.mark.parametrize("where", ["reader", "head"])
def test_vectors_that_are_no_numbers_are_refused_and_never_stored(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path, where: str
) -> None:
    model = tiny_encoder if where == "reader" else debias(tiny_encoder, pairs, directions=2)
    weight = model[0].auto_model.embeddings.LayerNorm.weight if where == "reader" else model[-2].linear.weight
    with torch.no_grad():
        weight[0] = torch.nan
    with pytest.raises(InputError, match=r"NaN or infinite numbers for the text 'rot gruen'; .*--bf16") as caught:
        embed(model, ["rot \n gruen"], "query", store=EmbeddingStore(tmp_path))
    assert "\n" not in str(caught.value)
    assert where == "head" or not list(tmp_path.rglob("*.npy"))


def test_vectors_are_cut_to_what_the_model_declares(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    whole = embed(tiny_encoder, TEXTS, "query", store=store)
    tiny_encoder.truncate_dim = 8
    assert np.array_equal(embed(tiny_encoder, TEXTS, "query", store=store), whole[:, :8])
    assert embed(tiny_encoder, TEXTS, "query") == pytest.approx(tiny_encoder.encode_query(TEXTS), abs=1e-6)
    assert tiny_encoder.truncate_dim == 8


def test_encoders_and_heads_by_role(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    static = StaticEmbedding(copy.deepcopy(tiny_encoder.tokenizer), embedding_dim=32)
    reader = list(tiny_encoder.children())
    in_front = SentenceTransformer(modules=[Router.for_query_document([static], reader), Normalize()], device="cpu")
    heads = Router.for_query_document([Dense(32, 16)], [Dense(32, 16)])
    behind = SentenceTransformer(modules=[*reader, heads, Normalize()], device="cpu")
    for model in (in_front, behind):
        for _ in range(2):  # encoded, then looked up
            asked, found = (
                embed(model, TEXTS, role, tasks=["de"] * 5, store=EmbeddingStore(tmp_path))
                for role in ("query", "passage")
            )
            assert asked == pytest.approx(model.encode_query(TEXTS), abs=1e-5)
            assert found == pytest.approx(model.encode_document(TEXTS), abs=1e-5)


def test_half_precision_with_a_head_is_encoded_as_the_library_does(tiny_encoder: SentenceTransformer) -> None:
    reader = [module.to(torch.bfloat16) for module in list(tiny_encoder.children())[:2]]
    model = SentenceTransformer(modules=[*reader, Dense(32, 16)], device="cpu")
    theirs = model.encode_query(TEXTS, convert_to_tensor=True).float().numpy()
    assert embed(model, TEXTS, "query") == pytest.approx(theirs, abs=1e-6)


KEYS = [bytes([number]) * 32 for number in range(40)]


def filled(folder: Path, shards: int) -> EmbeddingStore:
    store = EmbeddingStore(folder)
    for number in range(shards):
        store.write("space", KEYS[number : number + 1], np.full((1, 3), number, np.float32))
    return store


def test_the_store_gives_what_was_asked_for_and_holds_no_files_open(tmp_path: Path) -> None:
    store = filled(tmp_path, 30)
    before = len(list(Path("/proc/self/fd").iterdir()))
    found = store.read("space", [KEYS[7], KEYS[3], KEYS[35]])
    assert {key: vector.tolist() for key, vector in found.items()} == {KEYS[7]: [7, 7, 7], KEYS[3]: [3, 3, 3]}
    assert all(not isinstance(vector.base, np.memmap) for vector in found.values())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert store.read("space", []) == store.read("other", KEYS) == {}


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "too many"), OSError(errno.ENOMEM, "full"), MemoryError()])
@pytest.mark.parametrize("where", ["numpy.load", "isoglot.runtime.store.checksum"])
def test_a_sound_shard_outlives_trouble_in_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, where: str
) -> None:
    store = filled(tmp_path, 2)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        assert store.read("space", KEYS) == {}
    assert len(store.read("space", KEYS)) == 2


def test_a_shard_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, 3)
    checked, original = [], store_module.checksum
    monkeypatch.setattr(store_module, "checksum", lambda files: checked.append(1) or original(files))
    for _ in range(3):
        assert len(store.read("space", KEYS[1:])) == 2
    assert len(checked) == 2  # the first shard holds nothing that was asked for
