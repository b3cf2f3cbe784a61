"""Evaluation data, each as a `RetrievalSet`, behind one registry.

Evaluation sets are for evaluation only: nothing here is ever trained on.
"""

from isoglot.benchmarks.parallel import retrieval_set_of
from isoglot.benchmarks.registry import BENCHMARKS, Benchmark, load_benchmark
from isoglot.benchmarks.retrieval_set import Passage, Query, RetrievalSet
from isoglot.benchmarks.xquad_r import load_xquad_r

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Passage",
    "Query",
    "RetrievalSet",
    "load_benchmark",
    "load_xquad_r",
    "retrieval_set_of",
]
