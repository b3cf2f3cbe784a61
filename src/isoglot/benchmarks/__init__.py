"""Evaluation data, each as a `RetrievalSet`, behind one registry.

Evaluation sets are for evaluation only: nothing here is ever trained on.
"""

from isoglot.benchmarks.beir import load_beir, load_beir_from_hub
from isoglot.benchmarks.belebele import load_belebele
from isoglot.benchmarks.miracl import load_miracl
from isoglot.benchmarks.mkqa import load_mkqa, load_mkqa_passages
from isoglot.benchmarks.mmarco import load_mmarco
from isoglot.benchmarks.parallel import load_bitext, retrieval_set_of
from isoglot.benchmarks.registry import BENCHMARKS, Benchmark, find_benchmark, load_benchmark
from isoglot.benchmarks.retrieval_set import Corpus, Passage, Query, RetrievalSet
from isoglot.benchmarks.xquad_r import load_xquad_r

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Corpus",
    "Passage",
    "Query",
    "RetrievalSet",
    "find_benchmark",
    "load_beir",
    "load_beir_from_hub",
    "load_belebele",
    "load_benchmark",
    "load_bitext",
    "load_miracl",
    "load_mkqa",
    "load_mkqa_passages",
    "load_mmarco",
    "load_xquad_r",
    "retrieval_set_of",
]
