"""isoglot trains and audits multilingual retrievers that rank by meaning, not by language.

The verbs of the command line stand here too: `load_pairs`, `plan_batches`, `train`, `evaluate`, `audit`, `debias`.
Heavy libraries are imported when a verb that needs them is first used; so that this works, no module is called like
a verb.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isoglot._version import __version__

if TYPE_CHECKING:
    from isoglot.batching.plan import BatchPlan as BatchPlan
    from isoglot.batching.plan import plan_batches as plan_batches
    from isoglot.batching.sampler import language_batch_sampler as language_batch_sampler
    from isoglot.batching.translations import Translations as Translations
    from isoglot.benchmarks import RetrievalSet as RetrievalSet
    from isoglot.benchmarks import load_benchmark as load_benchmark
    from isoglot.evaluation.audit import audit as audit
    from isoglot.evaluation.evaluate import evaluate as evaluate
    from isoglot.evaluation.evaluator import MultilingualRetrievalEvaluator as MultilingualRetrievalEvaluator
    from isoglot.evaluation.results import Results as Results
    from isoglot.evaluation.results import load_results as load_results
    from isoglot.models.debiasing import debias as debias
    from isoglot.models.encoders import load_encoder as load_encoder
    from isoglot.pairs import ParallelPairs as ParallelPairs
    from isoglot.pairs import read_pairs as read_pairs
    from isoglot.pairs import write_pairs as write_pairs
    from isoglot.sources import load_pairs as load_pairs
    from isoglot.statistics.comparison import compare as compare
    from isoglot.training import TrainConfig as TrainConfig
    from isoglot.training import load_config as load_config
    from isoglot.training import train as train

_HOMES = {
    "BatchPlan": "batching.plan",
    "MultilingualRetrievalEvaluator": "evaluation.evaluator",
    "ParallelPairs": "pairs",
    "Results": "evaluation.results",
    "RetrievalSet": "benchmarks",
    "TrainConfig": "training",
    "Translations": "batching.translations",
    "audit": "evaluation.audit",
    "compare": "statistics.comparison",
    "debias": "models.debiasing",
    "evaluate": "evaluation.evaluate",
    "language_batch_sampler": "batching.sampler",
    "load_benchmark": "benchmarks",
    "load_config": "training",
    "load_encoder": "models.encoders",
    "load_pairs": "sources",
    "load_results": "evaluation.results",
    "plan_batches": "batching.plan",
    "read_pairs": "pairs",
    "train": "training",
    "write_pairs": "pairs",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"isoglot has no {name!r}")
    return getattr(import_module(f"isoglot.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
