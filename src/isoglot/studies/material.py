"""What a study is made of: its benchmarks, thinned training text, and fingerprints of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from isoglot.benchmarks import RetrievalSet, load_benchmark, load_xquad_r
from isoglot.benchmarks.contamination import find_overlap, without_overlap
from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.common.files import file_digest
from isoglot.evaluation.evaluate import STREAM_ABOVE
from isoglot.pairs import ParallelPairs, write_pairs
from isoglot.sources import SOURCES, load_pairs
from isoglot.studies.recipe import BenchmarkSpec, Content

Cleaned = tuple[Content, dict[str, int]]
"""What is read in place of a source, and how many examples it lacks for each benchmark."""
PARAGRAPHS = ("xquad-r", "mlqa-r")
"""Benchmarks of which every n-th paragraph can be taken."""


def load_set(name: str, spec: BenchmarkSpec) -> RetrievalSet:
    """A benchmark as the recipe wants it, called by the recipe's name for it."""
    read: dict[str, Any] = {"candidate": spec.candidate, "languages": spec.languages}
    if spec.benchmark in PARAGRAPHS and spec.data is not None:
        data = load_xquad_r(spec.data, every_nth_paragraph=spec.every, **read)
    else:
        data = every_nth_example(load_benchmark(spec.benchmark, spec.data, **read), spec.every)
    return replace(data, name=name)


def every_nth_example(data: RetrievalSet, step: int) -> RetrievalSet:
    """A smaller benchmark: every n-th example, what is relevant to it, and every n-th of the other passages."""
    if step == 1:
        return data
    if data.answers is not None:
        raise InputError(f"{data.name}: relevance is by answer string, so no part of it can be taken; set every to 1")
    number = {example: n for n, example in enumerate(dict.fromkeys(data.query_example))}
    keep_query = np.array([number[example] % step == 0 for example in data.query_example])
    judged = np.zeros(len(data.passage_texts), bool)
    judged[data.judgement_passage] = True
    keep_passage = np.zeros(len(judged), bool)
    keep_passage[np.flatnonzero(~judged)[::step]] = True
    keep_passage[data.judgement_passage[keep_query[data.judgement_query]]] = True
    return data.select(np.flatnonzero(keep_query), np.flatnonzero(keep_passage))


def thin(pairs: ParallelPairs, keep: Mapping[str, float], seed: int) -> ParallelPairs:
    """Pairs of which some languages keep a share of their rows only, drawn with the seed; rows keep their order.

    A smaller share is part of a larger one with the same seed. A language that the pairs lack is passed over.

    >>> pair = {"query": "q", "passage": "p"}
    >>> rows = [{"id": str(n), "language": tag, **pair} for n in range(10) for tag in ("de", "en")]
    >>> thinned = thin(ParallelPairs.from_rows(rows), {"de": 0.2}, seed=0)
    >>> thinned.describe().languages
    {'de': 2, 'en': 10}
    """
    kept = np.ones(len(pairs), bool)
    for tag, share in sorted(keep.items()):
        rows = np.flatnonzero(np.isin(pairs.languages, tag)[pairs.language])
        order = np.random.default_rng([seed, *tag.encode()]).permutation(len(rows))
        kept[rows[order[round(share * len(rows)) :]]] = False
    return pairs.select_rows(kept)


def cleaned(entry: Content, sets: Mapping[str, RetrievalSet], folder: Path) -> Cleaned:
    """A source of a training configuration without the examples that hold text of the benchmarks.

    What is left and what was found go into the folder, so that it is looked for once. Where nothing was found the
    source stays as it is; else comes with it how many examples each benchmark cost.
    """
    looked_through = searched(sets)
    key = _key(entry, sets={name: data.fingerprint for name, data in looked_through.items()})
    file, found = folder / f"{key}.parquet", folder / f"{key}.json"
    if not found.exists():
        pairs, dropped = _read(entry), {}
        for name, data in looked_through.items():
            overlap = find_overlap(pairs, data)
            if len(overlap):
                dropped[name] = len(overlap.example_ids)
                pairs = without_overlap(pairs, overlap)
        if dropped:
            write_pairs(pairs, file)
        write_json(found, dropped)
    dropped = json.loads(found.read_text(encoding="utf-8"))
    return (_instead(entry, file) if dropped else entry), dropped


def searched(sets: Mapping[str, RetrievalSet]) -> dict[str, RetrievalSet]:
    """Benchmarks whose texts are looked for in training text: all but those with too many passages for memory."""
    return {name: data for name, data in sets.items() if len(data.passage_texts) <= STREAM_ABOVE}


def for_every_kind(pairs: ParallelPairs) -> ParallelPairs:
    """Pairs that every kind of batch can read: query and passage differ, and so in two languages at least.

    Rows in one language would be for monolingual batches only, aligned sentences for cross-lingual ones.

    >>> row = {"id": "1", "language": "de", "query": "q", "passage": "p"}
    >>> alone, aligned = {**row, "id": "2"}, {**row, "id": "3", "query": "p"}
    >>> rows = [row, {**row, "language": "en"}, alone, aligned, {**aligned, "language": "en"}]
    >>> list(for_every_kind(ParallelPairs.from_rows(rows)).example_ids)
    ['1']
    """
    asked = pairs.has_query & (pairs.text_numbers("query") != pairs.text_numbers("passage"))
    languages = np.bincount(pairs.example[asked], minlength=pairs.example_count)
    return pairs.select_rows(asked & (languages >= 2)[pairs.example])


def thinned(entry: Content, keep: Mapping[str, float], seed: int, folder: Path, *, every_kind: bool = False) -> Content:
    """A source of a training configuration, thinned as `thin` does; what is left goes into the folder, once.

    With `every_kind`, what is left is then for every kind of batch (`for_every_kind`).

    Raises:
        InputError: if nothing is left.
    """
    if not keep and not every_kind:
        return entry
    file = folder / f"{_key(entry, keep=dict(keep), seed=seed if keep else 0, every_kind=every_kind)}.parquet"
    if not file.exists():
        pairs = thin(_read(entry), keep, seed)
        pairs = for_every_kind(pairs) if every_kind else pairs
        if not len(pairs):
            raise InputError(f"{entry['source']}: nothing is left of it that every kind of batch can read")
        write_pairs(pairs, file)
    return _instead(entry, file)


def _reading(entry: Content) -> Content:
    return {key: entry[key] for key in ("languages", "parallel") if key in entry}


def _read(entry: Content) -> ParallelPairs:
    pairs = load_pairs(entry["source"], languages=entry.get("languages"))
    return pairs if entry.get("parallel", True) else pairs.without_translations()


def _instead(entry: Content, file: Path) -> Content:
    """The entry with a file of what was read of its source, which is read whole."""
    return {key: value for key, value in entry.items() if key not in _reading(entry)} | {"source": str(file)}


def _key(entry: Content, **made: Any) -> str:
    return digest({"source": fingerprint_of(entry["source"]), **_reading(entry), **made})[:16]


@cache
def fingerprint_of(source: str) -> str:
    """SHA-256 of a file's or a folder's content, or of what a named source such as `debian` holds now."""
    path = Path(source)
    if source in SOURCES:
        return load_pairs(source).fingerprint
    if not path.exists():
        return f"name:{source}"
    if path.is_file():
        return file_digest(path)
    found = (file for file in path.rglob("*") if file.is_file())
    return digest({str(file.relative_to(path)): file_digest(file) for file in found})


def digest(description: Any) -> str:
    """SHA-256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
