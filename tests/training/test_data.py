from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from isoglot.batching.plan import Strategy, plan_batches
from isoglot.common.errors import InputError
from isoglot.common.languages import is_language
from isoglot.models.embed import embed
from isoglot.models.limits import with_limit
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore
from isoglot.training.config import DataSource, Distillation
from isoglot.training.data import (
    Collator,
    check_targets,
    make_targets,
    names_apart,
    planned_dataset,
    read_sources,
)
from isoglot.training.preparation import describe_plan

LIMITS = {"query": 16, "passage": 16}


def columns(pairs: ParallelPairs) -> dict[str, list[Any]]:
    rows = list(pairs.rows())
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("strategy", ["monolingual", "cross-lingual"])
def test_negatives_are_those_of_the_query(tiny_encoder: SentenceTransformer, strategy: Strategy) -> None:
    rows = [
        {
            "id": f"{n}",
            "language": tag,
            "query": f"{n} {tag}",
            "passage": f"p{n} {tag}",
            "negatives": [f"x {n} {tag}", f"y {n} {tag}"][: n % 3],
        }
        for n in range(6)
        for tag in ("de", "en")
    ]
    pairs = ParallelPairs.from_rows(rows)
    plan = plan_batches(pairs.translations(), strategy, batch_size=4, steps=3)
    data = planned_dataset(pairs, plan)
    for row in (data[n] for n in range(len(data))):
        number = int(row["query"].split()[0])
        assert row["negatives"] == [f"{which} {row['query']}" for which in "xy"][: number % 3]
    batch = data[:4]
    collated = Collator(tiny_encoder, LIMITS)(
        [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]
    )
    assert len(collated["negative_input_ids"]) == sum(map(len, batch["negatives"]))


def test_targets_of_aligned_sentences_are_the_mean_of_their_translations(
    tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    sentences = {"de": ["rot gruen", "haus baum", "winter"], "en": ["red green", "house tree", "winter cold"]}
    rows = [
        {"id": f"{n}", "language": tag, "query": text, "passage": text}
        for tag, texts in sentences.items()
        for n, text in enumerate(texts)
    ]
    pairs = ParallelPairs.from_rows(rows)
    plan = plan_batches(pairs.translations(), "cross-lingual", batch_size=3, steps=2)
    settings = Distillation(weight=1.0, target="translations")
    targets = make_targets(tiny_encoder, pairs, plan, settings, store=EmbeddingStore(tmp_path), bf16=False)
    vectors = embed(tiny_encoder, pairs.texts("passage"), "passage")  # type: ignore[arg-type]
    table = columns(pairs)
    for row in range(len(pairs)):
        mean = np.mean([vectors[n] for n in range(len(pairs)) if table["id"][n] == table["id"][row]], axis=0)
        for place in (targets.query[row], targets.passage[row]):
            assert np.allclose(targets.vectors[place], mean / np.linalg.norm(mean), atol=1e-5)


def test_targets_of_other_texts_are_their_own_vectors(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    plan = plan_batches(pairs.translations(), "hybrid", batch_size=8, steps=3)
    targets = make_targets(
        tiny_encoder, pairs, plan, Distillation(weight=1.0), store=EmbeddingStore(tmp_path), bf16=False
    )
    query_rows, passage_rows = plan.table_rows(pairs.translations())
    queries = embed(tiny_encoder, [pairs.texts("query")[n] for n in query_rows], "query")  # type: ignore[misc]
    assert np.allclose(targets.vectors[targets.query[query_rows]], queries, atol=1e-5)
    assert (targets.passage[passage_rows] >= 0).all()


def test_english_targets_are_the_vectors_of_the_english_translations(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    table = columns(pairs)
    without = pairs.select_rows(np.array([n > 9 or tag != "en" for n, tag in enumerate(table["language"])]))
    plan = plan_batches(without.translations(), "hybrid", batch_size=8, steps=10)
    settings = Distillation(weight=1.0, target="english")
    targets = make_targets(tiny_encoder, without, plan, settings, store=EmbeddingStore(tmp_path), bf16=False)
    table = columns(without)
    row_of = {key: n for n, key in enumerate(zip(table["id"], table["language"], strict=True))}
    query_rows, passage_rows = plan.table_rows(without.translations())
    seen = set()
    for role, rows, places in (("query", query_rows, targets.query), ("passage", passage_rows, targets.passage)):
        for row in np.unique(rows):
            source = row_of.get((table["id"][row], "en"), row)
            seen.add(source == row)
            vector = embed(tiny_encoder, [table[role][source]], role)[0]  # type: ignore[arg-type]
            assert np.allclose(targets.vectors[places[row]], vector, atol=1e-5)
    assert seen == {True, False}


def test_english_targets_need_english(tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path) -> None:
    others = pairs.filter_languages(["de", "es"])
    plan = plan_batches(others.translations(), "hybrid", batch_size=4, steps=1)
    settings = Distillation(weight=1.0, target="english")
    with pytest.raises(InputError, match="no training pair is in English"):
        check_targets(others, settings)
    with pytest.raises(InputError, match="no training pair is in English"):
        make_targets(tiny_encoder, others, plan, settings, store=EmbeddingStore(tmp_path), bf16=False)


def test_cross_lingual_batches_carry_the_passage_in_the_query_language(pairs: ParallelPairs) -> None:
    plan = plan_batches(pairs.translations(), "hybrid", batch_size=4, steps=12)
    rows = planned_dataset(pairs, plan, translated=True)
    planned, table = plan.columns(), columns(pairs)
    passage = {
        (example, tag): text
        for example, tag, text in zip(table["id"], table["language"], table["passage"], strict=True)
    }
    for step in range(plan.steps):
        at = slice(4 * step, 4 * step + 4)
        batch = rows[at]
        if planned["kind"][at][0] == "monolingual":
            assert "translated_passage" not in batch
            continue
        examples = [pairs.example_ids[n] for n in planned["example"][at]]
        expected = [passage[key] for key in zip(examples, planned["query_language"][at], strict=True)]
        assert batch["translated_passage"] == expected
        assert not set(batch["translated_passage"]) & set(batch["passage"])


def test_processes_share_the_translations_of_a_batch(pairs: ParallelPairs) -> None:
    plan = plan_batches(pairs.translations(), "cross-lingual", batch_size=4, steps=3)
    whole = planned_dataset(pairs, plan, translated=True)
    shares = [planned_dataset(pairs, plan.share(rank, 2), translated=True) for rank in range(2)]
    for step in range(3):
        halves = [share[2 * step : 2 * step + 2]["translated_passage"] for share in shares]
        assert whole[4 * step : 4 * step + 4]["translated_passage"] == halves[0] + halves[1]


@pytest.mark.parametrize(("most", "expected"), [(None, ["x", "y"]), (2, ["x", "y"]), (1, ["x"]), (0, None)])
def test_negatives_may_be_fewer_than_there_are(most: int | None, expected: list[str] | None) -> None:
    rows = [
        {"id": f"{n}", "language": "de", "query": f"q{n}", "passage": f"p{n}", "negatives": ["x", "y"]}
        for n in range(4)
    ]
    pairs = ParallelPairs.from_rows(rows)
    plan = plan_batches(pairs.translations(), "monolingual", batch_size=4, steps=1)
    assert planned_dataset(pairs, plan, negatives=most)[0].get("negatives") == expected


def test_the_collator_puts_translations_behind_the_passages(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    plan = plan_batches(pairs.translations(), "cross-lingual", batch_size=4, steps=1)
    rows = planned_dataset(pairs, plan, translated=True)
    batch = Collator(tiny_encoder, LIMITS)([rows[n] for n in range(4)])
    passages = [*rows[:4]["passage"], *rows[:4]["translated_passage"]]
    alone = tiny_encoder.preprocess(passages, prompt="passage: ")
    assert torch.equal(batch["passage_input_ids"], alone["input_ids"])
    assert len(batch["query_input_ids"]) == 4
    assert not any(key.startswith("translated") for key in batch)


def test_the_collator_puts_prompts_and_limits_by_role(tiny_encoder: SentenceTransformer) -> None:
    batch = Collator(tiny_encoder, {"query": 5, "passage": 9})([{"query": "rot " * 30, "passage": "blau " * 30}])
    assert batch["query_input_ids"].shape[1] == 5
    assert batch["passage_input_ids"].shape[1] == 9


def test_negatives_carry_the_group_of_the_passage_that_they_say() -> None:
    """Known through other rows too: `e9` shares a passage with `e0`, and its German one is a negative."""
    rows = [{"id": f"e{n}", "language": "en", "query": f"q{n}", "passage": f"Say {n}."} for n in range(6)]
    rows += [
        {"id": "e9", "language": "en", "query": "q9", "passage": "say 0"},
        {"id": "e9", "language": "de", "query": "f9", "passage": "Sag null!"},
    ]
    rows[3]["negatives"] = ["sag  null", "SAY 4", "nobody says this"]
    pairs = ParallelPairs.from_rows(rows)
    data = planned_dataset(pairs, plan_batches(pairs.translations(), "monolingual", batch_size=4, steps=6))
    seen = [data[n] for n in range(len(data))]
    group = {row["query"]: row["group"] for row in seen}
    (wrong,) = {tuple(row["negative_groups"]) for row in seen if row["query"] == "q3"}
    assert wrong == (group.get("q0", group.get("q9")), group["q4"], -1)
    assert all(row["negative_groups"] == [] for row in seen if row["query"] != "q3")


def test_a_negative_that_answers_another_query_of_the_batch_is_left_out_of_its_sum(
    tiny_encoder: SentenceTransformer,
) -> None:
    from isoglot.training.losses import Objective, info_nce

    rows = [{"id": f"e{n}", "language": "en", "query": f"rot {n}", "passage": f"blau {n}"} for n in range(4)]
    rows[0]["negatives"] = ["Blau 2!", "gruen"]  # the first is the right answer of e2, in another spelling
    pairs = ParallelPairs.from_rows(rows)
    data = planned_dataset(pairs, plan_batches(pairs.translations(), "monolingual", batch_size=4, steps=1))
    batch = Collator(tiny_encoder, LIMITS)([data[n] for n in range(4)])
    features = [
        {key.removeprefix(f"{name}_"): value for key, value in batch.items() if key.startswith(name)}
        for name in ("query", "passage", "negative")
    ]
    with torch.no_grad():
        q, p, n = (tiny_encoder(dict(column))["sentence_embedding"] for column in features)
        left_out = torch.zeros(4, 6, dtype=torch.bool)
        left_out[[row["query"] for row in (data[n] for n in range(4))].index("rot 2"), 4] = True
        expected = info_nce(q, p, n, temperature=0.05, left_out=left_out)
        assert expected < info_nce(q, p, n, temperature=0.05)
        found = Objective(tiny_encoder, temperature=0.05)(features, None)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_files_of_one_name_in_two_folders_are_two_data_sets(tmp_path: Path) -> None:
    """They number their own texts, which are no translations of each other; files named apart are joined likewise."""

    def write(name: str, language: str) -> DataSource:
        rows = [
            {"id": f"{n}", "language": language, "query": f"{name} q{n}", "passage": f"{name} {n}"} for n in range(3)
        ]
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        return DataSource(source=str(path))

    packed = [write("el/train.jsonl.gz", "el"), write("hi/train.jsonl.gz", "hi")]
    assert read_sources(packed, seed=0).translations().datasets == ("el/train", "hi/train")
    for name in ("m1/corpus.de-en", "m2/corpus.de-en"):
        (tmp_path / name).parent.mkdir()
        for language in ("de", "en"):
            (tmp_path / f"{name}.{language}").write_text("".join(f"{name} {language} {n}\n" for n in range(3)))
    moses = [DataSource(source=str(tmp_path / name)) for name in ("m1/corpus.de-en", "m2/corpus.de-en")]
    assert read_sources(moses, seed=0).example_count == 6
    sources = [write("de/train.jsonl", "de"), write("fr/train.jsonl", "fr"), write("other.jsonl", "en")]
    pairs = read_sources(sources, seed=0)
    assert pairs.example_count == 9
    assert pairs.translations().datasets == ("de/train", "fr/train", "other")
    assert read_sources(sources[:1], seed=0).translations().datasets == ("train",)


def test_files_that_differ_in_nothing_but_the_format_are_two_data_sets() -> None:
    for one, other in (("train.jsonl", "train.csv"), ("train.jsonl", "train.jsonl.gz")):
        assert names_apart([f"a/{one}", f"a/{other}"]) == {f"a/{one}": one, f"a/{other}": other}
    assert names_apart(["a/x/train.jsonl", "b/x/train.jsonl", "b/x/../x/train.jsonl"])["b/x/train.jsonl"] == "b/x/train"
    assert names_apart(["a/train.jsonl", "./a/train.jsonl", "debian"]) == {}


def test_a_limit_leaves_the_model_and_its_tokenizer_as_they_were(tiny_encoder: SentenceTransformer) -> None:
    before = tiny_encoder.tokenizer.backend_tokenizer.to_str()
    short = with_limit(tiny_encoder, 5)
    assert short.preprocess(["rot gruen blau " * 9])["input_ids"].shape[1] == 5
    assert with_limit(tiny_encoder, 500).max_seq_length == tiny_encoder.max_seq_length == 64
    assert tiny_encoder.tokenizer.backend_tokenizer.to_str() == before
    assert next(short.parameters()) is next(tiny_encoder.parameters())


def test_a_worker_is_handed_the_data_set(pairs: ParallelPairs) -> None:
    plan = plan_batches(pairs.translations(), "cross-lingual", batch_size=4, steps=2)
    rows = planned_dataset(pairs, plan, translated=True)
    assert pickle.loads(pickle.dumps(rows))[:4] == rows[:4]


def test_language_pairs_are_named_however_many_languages_there_are() -> None:
    """The plan holds languages as single bytes, in which a pair of 20 by 20 does not fit."""
    tags = [f"{one}{other}" for one in "aeh" for other in "abcdefghijklmnopqrstuvwxyz" if is_language(f"{one}{other}")]
    assert len(tags) > 16
    rows = [
        {"id": str(n), "language": tag, "query": f"{tag} q{n}", "passage": f"{tag} p{n}"}
        for n in range(4)
        for tag in tags
    ]
    plan = plan_batches(ParallelPairs.from_rows(rows).translations(), "monolingual", batch_size=4, steps=80)
    named = [pair.split(">") for pair in describe_plan(plan)["language_pairs"]]
    assert len(named) > 16
    assert all(query == passage for query, passage in named)
