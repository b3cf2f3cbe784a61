"""Mined negatives: their guarantees on random vectors, and a search of the pool one pair at a time."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.util import mine_hard_negatives

from isoglot.common.errors import InputError
from isoglot.enrich import negatives as negatives_module
from isoglot.enrich.negatives import mine_negatives
from isoglot.models import embed as embed_module
from isoglot.models.embed import embed
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore
from isoglot.training import losses
from isoglot.training.losses import Objective

LANGUAGES = ("de", "en", "fr")
NO_MODEL = cast(SentenceTransformer, SimpleNamespace(similarity_fn_name="cosine"))


def vector(text: str) -> np.ndarray[Any, Any]:
    """A random vector that only the text decides; lengths differ, as not every model normalises."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=6).astype(np.float32)


def fake_embed(model: object, texts: list[str], role: str, **_: object) -> np.ndarray[Any, Any]:
    return np.stack([vector(f"{role} {text}") for text in texts])


@pytest.fixture(autouse=True, scope="module")
def _fake_encoder() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(negatives_module, "embed", fake_embed)
        yield


@st.composite
def tables(draw: st.DrawFn) -> ParallelPairs:
    """Small tables with missing translations, missing queries, shared passages and shared queries."""
    rows = []
    for example in range(draw(st.integers(1, 9))):
        for language in draw(st.lists(st.sampled_from(LANGUAGES), min_size=1, unique=True)):
            says = draw(st.one_of(st.just(example), st.integers(0, 3)))
            asks = draw(st.one_of(st.just(f"ask {example}"), st.none(), st.sampled_from(["Ask  1", "ask 2"])))
            query = None if asks is None else f"{asks} {language}"
            rows.append(
                {"id": f"e{example}", "language": language, "query": query, "passage": f"Say {says} {language}."}
            )
    rows[0]["query"] = "ask 0"
    return ParallelPairs.from_rows(rows)


def key(text: str | None) -> str | None:
    return None if text is None else " ".join(text.lower().rstrip(".").split())


def same_content(rows: list[dict[str, Any]]) -> list[int]:
    """Group of each row, by repeated comparison of all rows with all others."""
    group = list(range(len(rows)))
    shares = ("id", "passage", "query")
    for _ in rows:
        for a, row in enumerate(rows):
            for b, other in enumerate(rows):
                if any(key(row[name]) is not None and key(row[name]) == key(other[name]) for name in shares):
                    group[a] = group[b] = min(group[a], group[b])
    return group


def cosine(query: str, passage: str) -> float:
    a, b = vector(f"query {query}"), vector(f"passage {passage}")
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def reference(rows: list[dict[str, Any]], number: int, policy: str, margin: float, skip: int) -> list[list[str] | None]:
    """Negatives of every row, one candidate at a time, as the documentation words it."""
    group = same_content(rows)
    result: list[list[str] | None] = []
    for place, row in enumerate(rows):
        if row["query"] is None:
            result.append(None)
            continue
        right = {other["language"]: other["passage"] for other in rows if other["id"] == row["id"]}
        own = row["language"]
        others = set(right) - {own}
        allowed = {"query": {own}, "passage": others or {own}, "any": set(LANGUAGES)}[policy]
        scored, seen = [], set()
        for at, other in enumerate(rows):
            candidate = (other["language"], key(other["passage"]))
            if other["language"] not in allowed or group[at] == group[place] or candidate in seen:
                continue
            seen.add(candidate)
            scored.append((cosine(row["query"], other["passage"]), other["language"], other["passage"]))
        scored.sort(reverse=True)
        scores = {language: cosine(row["query"], passage) for language, passage in right.items()}

        def limit(language: str, scores: dict[str, float] = scores) -> float:
            score = scores.get(language, min(scores.values()))
            return score - (1 - margin) * abs(score)

        # Each language has a limit of its own, so the best candidates are those above it, then the others.
        over = [entry for entry in scored if entry[0] > limit(entry[1])]
        under = [entry for entry in scored if entry[0] <= limit(entry[1])]
        found = [passage for _, _, passage in under[max(0, skip - len(over)) :]][:number]
        result.append(found or None)
    return result


@settings(deadline=None, max_examples=80)
@given(
    tables(),
    st.integers(1, 3),
    st.sampled_from(["query", "passage", "any"]),
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    st.integers(0, 3),
)
def test_a_search_one_pair_at_a_time_agrees(
    pairs: ParallelPairs, number: int, policy: Any, margin: float, skip: int
) -> None:
    mined = mine_negatives(pairs, NO_MODEL, number=number, language=policy, margin=margin, skip=skip)
    rows = list(pairs.rows())
    assert [row["negatives"] for row in mined.rows()] == reference(rows, number, policy, margin, skip)
    assert [{**row, "negatives": None} for row in mined.rows()] == rows


@settings(deadline=None, max_examples=40)
@given(tables(), st.integers(0, 2), st.integers(0, 3))
def test_a_draw_is_of_the_best_and_ordered(pairs: ParallelPairs, seed: int, more: int) -> None:
    drawn = mine_negatives(pairs, NO_MODEL, number=2, language="any", draw_from=2 + more, seed=seed)
    best = mine_negatives(pairs, NO_MODEL, number=2 + more, language="any")
    again = mine_negatives(pairs, NO_MODEL, number=2, language="any", draw_from=2 + more, seed=seed)
    assert drawn.fingerprint == again.fingerprint
    columns = [[row["negatives"] for row in table.rows()] for table in (drawn, best)]
    for some, all_of in zip(*columns, strict=True):
        assert (some is None) == (all_of is None)
        if some is not None:
            assert len(some) == min(2, len(all_of))
            assert [text for text in all_of if text in some] == some


def many() -> ParallelPairs:
    return ParallelPairs.from_rows(
        {"id": f"e{n}", "language": tag, "query": f"ask {n} {tag}", "passage": f"say {n} {tag}"}
        for n in range(40)
        for tag in LANGUAGES
    )


@pytest.mark.parametrize("policy", ["query", "passage", "any"])
def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, policy: Any) -> None:
    whole = mine_negatives(many(), NO_MODEL, language=policy)
    monkeypatch.setattr(negatives_module, "_CHUNK_ROWS", 7)
    monkeypatch.setattr(negatives_module, "_PART_PASSAGES", 5)
    assert mine_negatives(many(), NO_MODEL, language=policy).fingerprint == whole.fingerprint


def test_seeds_draw_differently() -> None:
    prints = {mine_negatives(many(), NO_MODEL, draw_from=20, seed=seed).fingerprint for seed in (0, 1, 2)}
    assert len(prints) == 3


def test_what_was_interrupted_goes_on_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negatives_module, "_CHUNK_ROWS", 10)
    whole = mine_negatives(many(), NO_MODEL, draw_from=8)
    mine, done = negatives_module._candidates, 0

    def counted(*arguments: Any) -> Any:
        nonlocal done
        done += 1
        if done == 5:
            raise KeyboardInterrupt
        return mine(*arguments)

    monkeypatch.setattr(negatives_module, "_candidates", counted)
    with pytest.raises(KeyboardInterrupt):
        mine_negatives(many(), NO_MODEL, draw_from=8, work_dir=tmp_path)
    parts = sorted(tmp_path.rglob("rows-*.npy"))
    assert len(parts) == 4
    parts[1].write_bytes(parts[1].read_bytes()[:100])  # half a file, as another program may have left it
    assert mine_negatives(many(), NO_MODEL, draw_from=8, work_dir=tmp_path).fingerprint == whole.fingerprint
    assert done == 5 + 12 - 3
    mine_negatives(many(), NO_MODEL, draw_from=8, work_dir=tmp_path)
    assert done == 5 + 12 - 3
    mine_negatives(many(), NO_MODEL, draw_from=9, work_dir=tmp_path)  # other settings, other parts
    assert done == 5 + 12 - 3 + 12


def test_a_near_duplicate_is_no_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negatives_module, "embed", lambda model, texts, role, **_: fake_embed(model, texts, "any role"))
    family = "This package holds the headers that are needed to build programs against the library, in one place. " * 2
    texts = [f"{family}\n\nFor C.", f"{family.upper()}\n\nFor Ada.", "Something else."]
    rows = [{"id": text[-4:], "language": "en", "query": text, "passage": text} for text in texts]
    mined = mine_negatives(ParallelPairs.from_rows(rows), NO_MODEL, margin=1.0, number=2)  # right passages score 1
    assert mined.negatives()[:2] == [["Something else."], ["Something else."]]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"number": 0}, "number 0 and skip 0"),
        ({"skip": -1}, "must be at least 1 and 0"),
        ({"margin": 1.5}, r"margin 1.5: must be between 0 and 1"),
        ({"draw_from": 2}, "draw_from 2: must be at least number, 4"),
        ({"language": "german"}, 'language "german": must be one of query, passage, any'),
    ],
)
def test_settings_out_of_range_are_named(settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mine_negatives(many(), NO_MODEL, **settings_)


def test_pairs_without_queries_are_refused() -> None:
    rows = [{"id": "1", "language": "de", "query": None, "passage": "nur ein Kandidat"}]
    with pytest.raises(InputError, match="no row has a query"):
        mine_negatives(ParallelPairs.from_rows(rows), NO_MODEL)


def plain(rows: int = 24, **more: list[Any]) -> Dataset:
    texts = {"query": [f"ask {n}" for n in range(rows)], "passage": [f"say {n}" for n in range(rows)]}
    return Dataset.from_dict({**texts, **more})


def test_a_plain_data_set_gets_a_column_for_each_negative() -> None:
    mined = mine_negatives(plain(), NO_MODEL, number=3, margin=1.0)
    assert mined.column_names == ["query", "passage", "negative_1", "negative_2", "negative_3"]
    assert mined[:]["query"] == [row["query"] for row in plain() if row["query"] in mined[:]["query"]]
    rows = [{"id": f"{n}", "language": "en", **row} for n, row in enumerate(plain())]
    ours = mine_negatives(ParallelPairs.from_rows(rows), NO_MODEL, number=3, margin=1.0)
    expected = {row["query"]: row["negatives"] for row in ours.rows()}
    for row in mined:
        assert [row[f"negative_{n}"] for n in (1, 2, 3)] == expected[row["query"]]
    assert len(mined) == sum(len(texts or ()) == 3 for texts in expected.values())
    assert "negative" in mine_negatives(plain(), NO_MODEL, number=1, margin=1.0).column_names


def test_ids_and_languages_of_a_plain_data_set_count() -> None:
    """Rows of one id are translations, and negatives are in the row's own language."""
    many = plain(24, id=[n // 2 for n in range(24)], language=["de", "en"] * 12)
    language = dict(zip(many[:]["passage"], many[:]["language"], strict=True))
    mined = mine_negatives(many, NO_MODEL, number=2, margin=1.0)
    assert len(mined)
    assert all(language[row[name]] == row["language"] for row in mined for name in ("negative_1", "negative_2"))


def test_a_data_set_without_the_columns_is_one_clear_line() -> None:
    with pytest.raises(
        InputError, match=r'no column "query", but anchor, passage; .*rename_column\("anchor", "query"\)'
    ):
        mine_negatives(plain().rename_column("query", "anchor"), NO_MODEL)


def test_negatives_are_those_of_sentence_transformers(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isoglot.models import embed as embed_module

    monkeypatch.setattr(negatives_module, "embed", embed_module.embed)
    english = [row for row in pairs.rows() if row["language"] == "en"]
    data = Dataset.from_dict({name: [row[name] for row in english] for name in ("query", "passage")})
    theirs = mine_hard_negatives(
        data,
        tiny_encoder,
        relative_margin=0.05,
        num_negatives=3,
        range_max=len(data),
        query_prompt_name="query",
        corpus_prompt_name="document",
        output_format="n-tuple",
        verbose=False,
    )
    ours = mine_negatives(data, tiny_encoder, number=3, margin=0.95)
    assert len(ours) > 20
    assert ours.to_dict() == theirs.to_dict()


def test_a_trainer_of_sentence_transformers_takes_what_was_mined(
    tiny_encoder: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every column of negatives reaches the objective, which leaves out the right answers of other queries."""
    mined = mine_negatives(plain(), NO_MODEL, number=3, margin=1.0)
    seen = []
    forward = losses._says_the_same
    monkeypatch.setattr(losses, "_says_the_same", lambda *groups: (seen.append(groups), forward(*groups))[1])
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=8,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    loss = Objective(tiny_encoder, temperature=0.05)
    SentenceTransformerTrainer(tiny_encoder, arguments, train_dataset=mined, loss=loss).train()
    assert [(len(passages), len(negatives)) for passages, negatives in seen] == [(8, 24)] * 2
    assert any(set(passages.tolist()) & set(negatives.tolist()) for passages, negatives in seen)


def test_a_real_encoder_encodes_each_text_once(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(negatives_module, "embed", embed)
    calls: list[int] = []
    encode: Callable[..., Any] = embed_module._encode
    monkeypatch.setattr(embed_module, "_encode", lambda *given: calls.append(len(given[1])) or encode(*given))
    store = EmbeddingStore(tmp_path / "vectors")
    mined = mine_negatives(pairs, tiny_encoder, number=2, margin=1.0, store=store)
    rows = list(pairs.rows())
    assert sum(calls) == len({row["query"] for row in rows}) + len({row["passage"] for row in rows})
    language_of = {row["passage"]: row["language"] for row in rows}
    for row in list(mined.rows()):
        assert all(language_of[text] == row["language"] for text in row["negatives"] or [])
    assert any(mined.negatives())
    calls.clear()
    assert mine_negatives(pairs, tiny_encoder, number=2, margin=1.0, store=store).fingerprint == mined.fingerprint
    assert not calls


@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_scores_are_those_that_the_model_declares(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, similarity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one language and no margin in the way, the negatives are the best by the model's own similarity."""
    monkeypatch.setattr(negatives_module, "embed", embed)
    model = SentenceTransformer(modules=list(tiny_encoder.children())[:2], similarity_fn_name=similarity, device="cpu")
    rows = list(pairs.filter_languages(["de"]).rows())
    mined = mine_negatives(ParallelPairs.from_rows(rows), model, number=2, margin=1.0).negatives()
    passages = [row["passage"] for row in rows]
    scores = model.similarity(model.encode_query([str(row["query"]) for row in rows]), model.encode_document(passages))
    for n, found in enumerate(mined):
        right = scores[n, n]
        order = [m for m in scores[n].argsort(descending=True).tolist() if m != n and scores[n, m] <= right]
        assert found == [passages[m] for m in order[:2]]
