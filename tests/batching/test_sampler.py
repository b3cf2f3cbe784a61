"""The strategies as a batch sampler in plain sentence-transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
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
