"""isoglot's evaluation as an evaluator of sentence-transformers, to hang on a trainer or to call on a model."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from isoglot.benchmarks import RetrievalSet
from isoglot.common.errors import InputError
from isoglot.evaluation.averages import BY_DISTANCE, LOWER_IS_BETTER, MATTERS_OF_TASTE, SECTIONS
from isoglot.evaluation.evaluate import evaluate

_SHARES = ("same_language_share@", "same_language_bias@", "fair_share@")
"""In names of measures that say what there is, or what would be fair, also of mixed corpora."""


class MultilingualRetrievalEvaluator(SentenceEvaluator):
    """Retrieval in all settings, and language bias, while a model is trained.

    Args:
        data: any retrieval set, such as `load_benchmark` or `retrieval_set_of(pairs, name)` gives.
        name: put before the metrics; the set's own name where None.
        primary_metric: the one that chooses the best checkpoint: `SETTING_MEASURE` such as `multilingual_map`, or a
            figure of the pooled setting such as `rank_distance` or `fair_share_distance@1`.
        batch_size: texts encoded at a time.
        bf16: encode in bfloat16.

    Raises:
        InputError: if neither high nor low values of the primary metric are good; when called, if it is not measured.
    """

    def __init__(
        self,
        data: RetrievalSet,
        *,
        name: str | None = None,
        primary_metric: str = "multilingual_map",
        batch_size: int = 32,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.data, self.name = data, data.name if name is None else name
        self.batch_size, self.bf16 = batch_size, bf16
        self._primary = self.primary_metric = primary_metric
        if primary_metric in BY_DISTANCE:
            better = f"its distance from the fair share, 'fair_share_distance@{primary_metric.partition('@')[2]}'"
            raise InputError(f"primary_metric {primary_metric!r}: neither high nor low is good; use {better}")
        if primary_metric in MATTERS_OF_TASTE or any(share in primary_metric for share in _SHARES):
            raise InputError(f"primary_metric {primary_metric!r}: neither high nor low is good; use another")
        self.greater_is_better = primary_metric not in LOWER_IS_BETTER

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate the model as it stands; metrics by name, the primary one among them.

        With an output path all is kept in a folder there, named by epoch and steps, that `isoglot report` reads.
        """
        results = evaluate(model, self.data, name=f"step {steps}", batch_size=self.batch_size, bf16=self.bf16)
        metrics = {
            f"{setting}_{measure}": value
            for setting, measures in {**results.summary["settings"], **results.summary["mixed"]}.items()
            for measure, value in measures.items()
        }
        for section in SECTIONS:
            metrics |= results.summary[section]
        measured = {key: value for key, value in metrics.items() if value is not None}
        if self._primary not in measured:
            raise InputError(f"primary_metric {self._primary!r} is not measured here; use one of {', '.join(measured)}")
        if output_path is not None:
            results.save(Path(output_path) / f"{self.name}-{epoch}-{steps}")
        prefixed: dict[str, float] = self.prefix_name_to_metrics(measured, self.name)
        self.store_metrics_in_model_card_data(model, prefixed, epoch, steps)
        return prefixed
