"""The strategies as a batch sampler in plain sentence-transformers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)

from isoglot.batching.sampler import language_batch_sampler
from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs


@pytest.fixture(scope="module")
def dataset(pairs: ParallelPairs) -> Dataset:
    rows = list(pairs.rows())
    by_id: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_id.setdefault(row["id"], []).append(row)
    return Dataset.from_list(
        [
            {
                "query": a["query"],
                "passage": b["passage"],
                "query_language": a["language"],
                "passage_language": b["language"],
                "id": a["id"],
            }
            for translations in by_id.values()
            for a in translations
            for b in translations
        ]
    )


@pytest.mark.parametrize("strategy", ["monolingual", "cross-lingual", "hybrid", "mixed", "english"])
def test_batches_keep_the_promises_of_their_kind(dataset: Dataset, strategy: str) -> None:
    sampler = language_batch_sampler(dataset, strategy)(dataset, batch_size=8, seed=1)  # type: ignore[arg-type]
    query, passage, example = (np.array(dataset[name]) for name in ("query_language", "passage_language", "id"))
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == len(dataset) // 8
    for batch in drawn:
        assert len(set(example[batch])) == 8
        crossing = (query[batch] != passage[batch]).all()
        within = (query[batch] == passage[batch]).all()
        assert crossing or within
        if strategy == "cross-lingual":
            assert crossing
        if strategy in ("monolingual", "english"):
            assert len(set(query[batch]) | set(passage[batch])) == 1
        if strategy == "english":
            assert set(query[batch]) == {"en"}
        if strategy == "hybrid" and within:
            assert len(set(query[batch])) == 1


def test_epochs_differ_and_seeds_repeat(dataset: Dataset) -> None:
    make = language_batch_sampler(dataset)
    one, same = make(dataset, batch_size=8, seed=5), make(dataset, batch_size=8, seed=5)
    first, second = list(one), list(one)
    assert first == list(same)
    assert first != second
    same.set_epoch(1)
    assert second == list(same)


def test_a_missing_column_and_a_batch_too_large_are_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="no column 'query_language'"):
        language_batch_sampler(dataset.remove_columns("query_language"))
    with pytest.raises(InputError, match="smaller batch"):
        language_batch_sampler(dataset)(dataset, batch_size=100)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "cross_lingual"}, "strategy 'cross_lingual' is unknown"),
        ({"alpha": 5}, "alpha 5 is not a probability"),
        ({"language_sampling": "Uniform"}, "language_sampling 'Uniform': use 'uniform'"),
        ({"language_sampling": 0.2}, "a temperature of at least 1"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused_at_once(dataset: Dataset, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        language_batch_sampler(dataset, **wrong)


@pytest.mark.parametrize("name", ["query_language", "passage_language", "id"])
def test_a_null_is_no_language_and_no_example(dataset: Dataset, name: str) -> None:
    cells: list[str | None] = dataset[name][:]
    cells[4] = None
    broken = dataset.remove_columns(name).add_column(name, cells)
    with pytest.raises(InputError, match=f"row 5 of the data set has null as '{name}'; fill it in, or drop the row"):
        language_batch_sampler(broken, "english")
    language_batch_sampler(broken.select([0, 1, 2, 3, 5]), "english")


def test_the_plain_trainer_trains_with_it(dataset: Dataset, tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=3,
        per_device_train_batch_size=8,
        batch_sampler=language_batch_sampler(dataset, "hybrid"),
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        tiny_encoder,
        arguments,
        train_dataset=dataset.select_columns(["query", "passage"]),
        loss=losses.MultipleNegativesRankingLoss(tiny_encoder),
    )
    assert trainer.train().training_loss > 0


def trainer_of(dataset: Any, sampler: Any, model: SentenceTransformer, folder: Path, **options: Any) -> Any:
    """A plain trainer of two steps that is given the text columns only."""
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=2,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=4,
        batch_sampler=sampler,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        **({"eval_strategy": "steps", "eval_steps": 1} if "eval_dataset" in options else {}),
    )
    loss = losses.MultipleNegativesRankingLoss(model)
    return SentenceTransformerTrainer(model, arguments, train_dataset=dataset, loss=loss, **options)


@pytest.fixture(scope="module")
def halves(dataset: Dataset) -> tuple[Dataset, Dataset]:
    ids = sorted(set(dataset["id"]))
    chosen = set(ids[: len(ids) * 2 // 3])
    return dataset.filter(lambda row: row["id"] in chosen), dataset.filter(lambda row: row["id"] not in chosen)


TEXTS = ["query", "passage"]


def test_a_set_is_sampled_by_its_own_columns_whatever_the_sampler_was_made_with(
    halves: tuple[Dataset, Dataset],
) -> None:
    train, held_out = halves
    make = language_batch_sampler(train, "monolingual")
    for batch in make(held_out, batch_size=4):
        languages = {(held_out["query_language"][n], held_out["passage_language"][n]) for n in batch}
        assert len(languages) == 1
        assert len(languages.pop()) == 2


def test_sets_that_it_knows_are_told_apart_by_their_texts(dataset: Dataset) -> None:
    one, other = dataset, dataset.shuffle(seed=1)
    make = language_batch_sampler([one, other], "monolingual")
    for given in (one, other):
        for batch in make(given.select_columns(TEXTS), batch_size=8):
            assert len({given["query_language"][n] for n in batch}) == 1


def test_several_sets_are_trained_and_evaluated_on(
    halves: tuple[Dataset, Dataset], tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    train, held_out = halves
    members = DatasetDict({"a": train.select_columns(TEXTS), "b": held_out.select_columns(TEXTS)})
    sampler = language_batch_sampler({"a": train, "b": held_out}, "monolingual")
    trainer = trainer_of(members, sampler, tiny_encoder, tmp_path, eval_dataset=members["b"])
    trainer.train()
    assert any("eval_loss" in entry for entry in trainer.state.log_history)


def test_a_member_that_it_does_not_know_is_refused_before_training(
    halves: tuple[Dataset, Dataset], tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    train, held_out = halves
    members = DatasetDict({"a": train.select_columns(TEXTS), "b": held_out.select_columns(TEXTS)})
    trainer = trainer_of(members, language_batch_sampler(train), tiny_encoder, tmp_path)
    with pytest.raises(InputError, match=f"is given {len(held_out):,} rows without 'query_language'; it knows those"):
        trainer.train()
    assert not trainer.state.global_step


@pytest.mark.parametrize("larger", [False, True])
def test_an_evaluation_set_that_it_does_not_know_does_not_end_a_run(
    halves: tuple[Dataset, Dataset], dataset: Dataset, larger: bool, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    train, held_out = halves
    held_out = (dataset if larger else held_out).select_columns(TEXTS)
    sampler = language_batch_sampler(train)
    trainer = trainer_of(train.select_columns(TEXTS), sampler, tiny_encoder, tmp_path, eval_dataset=held_out)
    with pytest.warns(UserWarning, match="they are evaluated in batches of any languages"):
        trainer.train()
    assert trainer.state.global_step == 2


def test_an_evaluation_set_that_fills_no_batch_does_not_end_a_run(
    halves: tuple[Dataset, Dataset], tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    train, held_out = halves
    small = held_out.select(range(4))
    sampler = language_batch_sampler([train, small])
    trainer = trainer_of(train, sampler, tiny_encoder, tmp_path, eval_dataset=small.select_columns(TEXTS))
    with pytest.warns(UserWarning, match=r"needs a batch of .*evaluated in batches of any languages"):
        trainer.train()
    assert trainer.state.global_step == 2


def test_a_set_of_which_nothing_is_known_but_the_length_is_refused(dataset: Dataset) -> None:
    make = language_batch_sampler(dataset, "monolingual")
    renamed = dataset.select_columns(TEXTS).rename_columns({name: f"other_{name}" for name in TEXTS})
    with pytest.raises(InputError, match="with the text columns called as there"):
        make(renamed, batch_size=8)


def test_languages_of_many_rows_are_read_quickly() -> None:
    count = 200_000
    rows = Dataset.from_dict(
        {
            "id": [f"example-{n // 4}" for n in range(count)],
            "query_language": [("de", "en", "fi", "zh-CN")[n % 4] for n in range(count)],
            "passage_language": [("de", "en")[n % 2] for n in range(count)],
        }
    )
    for dataset in (rows, rows.shuffle(seed=1)):
        start = time.perf_counter()
        language_batch_sampler(dataset)
        assert time.perf_counter() - start < 2  # seconds; .1 on an idle machine
