"""The evaluator on a plain sentence-transformers trainer, and called by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from isoglot.benchmarks import retrieval_set_of
from isoglot.common.errors import InputError
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.evaluator import MultilingualRetrievalEvaluator
from isoglot.evaluation.results import load_results
from isoglot.pairs import ParallelPairs


def test_it_gives_the_figures_of_an_evaluation(
    pairs: ParallelPairs, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    data = retrieval_set_of(pairs, "held-out")
    evaluator = MultilingualRetrievalEvaluator(data)
    metrics = evaluator(tiny_encoder, str(tmp_path))
    results = evaluate(tiny_encoder, data, name="tiny")
    assert metrics["held-out_multilingual_map"] == results.setting("multilingual")
    assert metrics["held-out_rank_distance"] == results.bias("rank_distance")
    assert evaluator.primary_metric == "held-out_multilingual_map"
    kept = load_results(tmp_path / "held-out--1--1")
    assert kept.summary["settings"] == results.summary["settings"]


@pytest.mark.parametrize(("metric", "greater"), [("multilingual_map", True), ("rank_distance", False)])
def test_a_trainer_keeps_the_best_checkpoint_by_it(
    pairs: ParallelPairs, tiny_encoder_folder: Path, tmp_path: Path, metric: str, greater: bool
) -> None:
    evaluator = MultilingualRetrievalEvaluator(retrieval_set_of(pairs, "held-out"), primary_metric=metric)
    assert evaluator.greater_is_better is greater
    model = SentenceTransformer(str(tiny_encoder_folder), device="cpu")
    rows = Dataset.from_list([{role: row[role] for role in ("query", "passage")} for row in pairs.rows()])
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=4,
        per_device_train_batch_size=8,
        eval_strategy="steps",
        eval_steps=2,
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_held-out_{metric}",
        greater_is_better=greater,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        loss=MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
    )
    trainer.train()
    looks = [
        entry[f"eval_held-out_{metric}"] for entry in trainer.state.log_history if f"eval_held-out_{metric}" in entry
    ]
    assert len(looks) >= 2
    assert trainer.state.best_metric == (max if greater else min)(looks)


@pytest.mark.parametrize(
    "metric",
    ["same_language_share@1", "preference_rate", "right_other_language@1", "fair_share@1", "mixed_own_fair_share@10"],
)
def test_what_is_best_neither_high_nor_low_chooses_no_checkpoint(pairs: ParallelPairs, metric: str) -> None:
    with pytest.raises(InputError, match="neither high nor low is good"):
        MultilingualRetrievalEvaluator(retrieval_set_of(pairs, "x"), primary_metric=metric)


def test_an_unknown_primary_metric_is_refused_with_those_there_are(
    pairs: ParallelPairs, tiny_encoder: SentenceTransformer
) -> None:
    evaluator = MultilingualRetrievalEvaluator(retrieval_set_of(pairs, "x"), primary_metric="pooled_map")
    with pytest.raises(InputError, match="multilingual_map"):
        evaluator(tiny_encoder)
