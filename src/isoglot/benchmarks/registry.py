"""Benchmarks by name, with what a reader must know before quoting a figure.

The entries are in `registry.yaml` beside this module; their keys are the attributes of `Benchmark`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from isoglot.benchmarks.beir import HUB_SETS, load_beir, load_beir_from_hub
from isoglot.benchmarks.belebele import load_belebele
from isoglot.benchmarks.miracl import load_miracl
from isoglot.benchmarks.mkqa import load_mkqa, load_mkqa_passages
from isoglot.benchmarks.mmarco import load_mmarco
from isoglot.benchmarks.parallel import load_bitext, retrieval_set_of
from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.benchmarks.xquad_r import Candidate, load_xquad_r
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.progress import tell
from isoglot.pairs.numbers import numbered
from isoglot.pairs.texts import hashes
from isoglot.sources import load_pairs
from isoglot.sources.beir import the_language

_MOST_COMPARED = 1_000_000  # passages


@dataclass(frozen=True)
class Benchmark:
    """A registry entry.

    Attributes:
        name: what `--benchmark` takes.
        title: what it is, in a few words.
        summary: one line on what is asked.
        languages: language tags, or a remark where the data decides.
        licence: of the data; it says where use is for non-commercial purposes only.
        citation: where it comes from.
        data: what `--data` must name.
        load: makes the retrieval set from that path; takes `languages`, and None for the path where there is a hub id.
        hub_id: where it comes from if no data is named; empty if it must be.
        measure: the measure that it is usually reported by.
    """

    name: str
    title: str
    summary: str
    languages: str
    licence: str
    citation: str
    data: str
    load: Callable[..., RetrievalSet]
    hub_id: str = ""
    measure: str = "map"


def _load_parallel(path: Path, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    whole = retrieval_set_of(load_pairs(path), path.stem)
    return whole if languages is None else whole.in_languages(languages)


def _load_beir(path: Path | None, *, languages: Iterable[str] | None = None, dataset: str = "") -> RetrievalSet:
    """A folder is in the language that is asked for, or in English; the sets of the hub are English."""
    name = f"beir:{dataset}" if dataset else None
    language = the_language(name or "beir", languages)
    if path is not None:
        return load_beir(path, name=name, language=language)
    if language != "en":
        raise InputError(f"{name}: no language {language!r}; there are en")
    return load_beir_from_hub(dataset)


_LOADERS: Mapping[str, Callable[..., RetrievalSet]] = {
    "xquad-r": load_xquad_r,
    "mlqa-r": partial(load_xquad_r, name="mlqa-r"),
    "mkqa": load_mkqa,
    "mkqa-passages": load_mkqa_passages,
    "miracl": load_miracl,
    "beir": _load_beir,
    "mmarco": load_mmarco,
    "belebele": load_belebele,
    "bitext": load_bitext,
    "parallel": _load_parallel,
}


_ENTRIES = yaml.safe_load(Path(__file__).with_name("registry.yaml").read_text(encoding="utf-8"))
BENCHMARKS: Mapping[str, Benchmark] = {
    name: Benchmark(name=name, load=_LOADERS[name], **entry) for name, entry in _ENTRIES.items()
}


def find_benchmark(name: str) -> Benchmark:
    """The entry of a name; `beir:NAME` has that of `beir`.

    Raises:
        InputError: if there is none.
    """
    base, _, dataset = name.partition(":")
    if base not in BENCHMARKS or (":" in name and (base != "beir" or not dataset)):
        raise InputError(f"benchmark {name!r} is unknown; use one of {', '.join(sorted(BENCHMARKS))} or beir:NAME")
    return BENCHMARKS[base]


def load_benchmark(
    name: str,
    data: str | Path | None = None,
    *,
    candidate: Candidate = "sentence",
    languages: Iterable[str] | None = None,
) -> RetrievalSet:
    """Load a benchmark by name.

    Args:
        name: a key of `BENCHMARKS`, or `beir:NAME` for one of BEIR's sets.
        data: the path that the entry's `data` describes; None takes the benchmark from the hub, where it is there.
        candidate: what is encoded for a passage, where the benchmark leaves the choice.
        languages: read these only; None takes all. A BEIR folder is taken to be in the one language given here.

    Raises:
        InputError: if the name is unknown, the benchmark lacks a language, or the data cannot be read.
    """
    entry = find_benchmark(name)
    dataset = name.partition(":")[2]
    if candidate != "sentence" and entry.name not in ("xquad-r", "mlqa-r"):
        raise InputError(f"candidate {candidate!r} is for xquad-r and mlqa-r; {name} has no context")
    if data is None and not (entry.hub_id or dataset):
        on_hub = ", ".join(sorted(other.name for other in BENCHMARKS.values() if other.hub_id))
        raise InputError(f"{name} needs data: {entry.data}; the hub has {on_hub} and beir:{{{','.join(HUB_SETS)}}}")
    data = None if data is None else expanded_path(data)
    if data is not None and not data.exists() and entry.name != "parallel":  # which takes names of sources, too
        raise InputError(f"{data}: not there; benchmark {name} needs {entry.data}")
    options: dict[str, str] = {"candidate": candidate} if candidate != "sentence" else {}
    if dataset:
        options["dataset"] = dataset
    loaded = entry.load(data, languages=languages, **options)
    if count := judgements_with_twins(loaded):
        tell(
            f"{loaded.name}: {count:,} right answers have the very text of another passage that is not judged right; "
            "the two tie, and of passages that tie the one that stands first in the corpus comes first"
        )
    return loaded


def judgements_with_twins(retrieval_set: RetrievalSet) -> int:
    """How many judged passages have the text of another in their language that is not judged right for the query.

    Sets of more than a million passages are not looked at: their texts would all be read.
    """
    count = len(retrieval_set.passage_ids)
    if count > _MOST_COMPARED or not len(retrieval_set.judgement_query):
        return 0
    texts = hashes(pa.array(list(retrieval_set.passage_texts), pa.large_string()))
    group = numbered(texts ^ (retrieval_set.passage_language.astype(np.uint64) << np.uint64(1)))[0].astype(np.int64)
    judged = retrieval_set.judgement_query * count + group[retrieval_set.judgement_passage]
    left_out = retrieval_set.ignored_query * count + group[retrieval_set.ignored_passage]
    pairs, seen = np.unique(np.concatenate([judged, left_out]), return_counts=True)
    twins = seen < np.bincount(group)[pairs % count]
    return int((twins & np.isin(pairs, judged)).sum())
