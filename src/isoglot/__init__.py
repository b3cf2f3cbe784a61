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
    from isoglot.auditing import audit as audit
    from isoglot.batches import BatchPlan as BatchPlan
    from isoglot.batches import plan_batches as plan_batches
    from isoglot.benchmarks import RetrievalSet as RetrievalSet
    from isoglot.benchmarks import load_benchmark as load_benchmark
    from isoglot.comparison import compare as compare
    from isoglot.debiasing import debias as debias
    from isoglot.encoders import load_encoder as load_encoder
    from isoglot.evaluation import evaluate as evaluate
    from isoglot.evaluator import MultilingualRetrievalEvaluator as MultilingualRetrievalEvaluator
    from isoglot.pairs import ParallelPairs as ParallelPairs
    from isoglot.pairs import read_pairs as read_pairs
    from isoglot.pairs import write_pairs as write_pairs
    from isoglot.results import Results as Results
    from isoglot.results import load_results as load_results
    from isoglot.sampler import language_batch_sampler as language_batch_sampler
    from isoglot.sources import load_pairs as load_pairs
    from isoglot.training import TrainConfig as TrainConfig
    from isoglot.training import load_config as load_config
    from isoglot.training import train as train

_HOMES = {
    "BatchPlan": "batches",
    "MultilingualRetrievalEvaluator": "evaluator",
    "ParallelPairs": "pairs",
    "Results": "results",
    "RetrievalSet": "benchmarks",
    "TrainConfig": "training",
    "audit": "auditing",
    "compare": "comparison",
    "debias": "debiasing",
    "evaluate": "evaluation",
    "language_batch_sampler": "sampler",
    "load_benchmark": "benchmarks",
    "load_config": "training",
    "load_encoder": "encoders",
    "load_pairs": "sources",
    "load_results": "results",
    "plan_batches": "batches",
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
