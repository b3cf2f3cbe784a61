"""Benchmarks by name, with what a reader must know before quoting a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from isoglot.benchmarks.parallel import retrieval_set_of
from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.benchmarks.xquad_r import Candidate, load_xquad_r
from isoglot.errors import InputError
from isoglot.pairs import read_pairs


@dataclass(frozen=True)
class Benchmark:
    """A registry entry.

    Attributes:
        name: what `--benchmark` takes.
        summary: one line on what is asked.
        languages: language tags, or a remark where the data decides.
        licence: of the data.
        citation: where it comes from.
        data: what `--data` must name.
        load: makes the retrieval set from that path.
    """

    name: str
    summary: str
    languages: str
    licence: str
    citation: str
    data: str
    load: Callable[..., RetrievalSet]


def _load_parallel(path: str | Path, *, candidate: Candidate = "sentence") -> RetrievalSet:
    if candidate != "sentence":
        raise InputError("candidate 'sentence+context' is for xquad-r and mlqa-r; parallel pairs have no context")
    return retrieval_set_of(read_pairs(path), Path(path).stem)


_LAREQA = "Roy et al., LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool, arXiv 2004.05484"

BENCHMARKS = {
    entry.name: entry
    for entry in (
        Benchmark(
            "xquad-r",
            "1,190 parallel questions a language; find the answering sentence among 13,014 of Wikipedia",
            "ar de el en es hi ru th tr vi zh",
            "CC BY-SA 4.0",
            _LAREQA,
            "a folder of SQuAD JSON files with sentence breaks, one per language",
            load_xquad_r,
        ),
        Benchmark(
            "mlqa-r",
            "questions parallel in 2 to 4 languages; find the answering sentence of Wikipedia",
            "ar de en es hi vi zh",
            "CC BY-SA 3.0",
            _LAREQA,
            "a folder of SQuAD JSON files with sentence breaks, one per language",
            partial(load_xquad_r, name="mlqa-r"),
        ),
        Benchmark(
            "parallel",
            "your own parallel pairs: every translation of a passage answers every translation of its query",
            "those of the file",
            "that of the file",
            "",
            "a parallel JSONL, CSV or Parquet file",
            _load_parallel,
        ),
    )
}


def load_benchmark(name: str, data: str | Path, *, candidate: Candidate = "sentence") -> RetrievalSet:
    """Load a benchmark by name.

    Args:
        name: a key of `BENCHMARKS`.
        data: the path that the entry's `data` describes.
        candidate: what is encoded for a passage, where the benchmark leaves the choice.

    Raises:
        InputError: if the name is unknown or the data cannot be read.
    """
    if name not in BENCHMARKS:
        raise InputError(f"benchmark {name!r} is unknown; use one of {', '.join(sorted(BENCHMARKS))}")
    if not Path(data).exists():
        raise InputError(f"{data}: not there; benchmark {name} needs {BENCHMARKS[name].data}")
    return BENCHMARKS[name].load(data, candidate=candidate)
