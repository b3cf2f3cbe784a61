"""Pairs in the order of a plan, as the trainer reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import InMemoryTable
from sentence_transformers import SentenceTransformer

from isoglot.batching.plan import BatchPlan
from isoglot.common.errors import InputError
from isoglot.common.progress import progress
from isoglot.common.roles import Role
from isoglot.models.embed import embed
from isoglot.models.encoders import TASKS, role_prompt
from isoglot.models.limits import with_limit
from isoglot.pairs import ParallelPairs
from isoglot.pairs.duplicates import key_numbers, passage_key
from isoglot.pairs.files import stem_of
from isoglot.runtime.store import EmbeddingStore
from isoglot.sources import load_pairs
from isoglot.training.config import DataSource, Distillation

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float32]


def read_sources(sources: Sequence[DataSource], seed: int) -> ParallelPairs:
    """All sources of a run as one table."""
    names, parts = names_apart([source.source for source in sources]), []
    for source in sources:
        pairs = load_pairs(source.source, languages=source.languages)
        if source.source in names:
            for own in _own_names(Path(source.source)):
                pairs = pairs.with_dataset_renamed(own, names[source.source])
        if not source.parallel:
            pairs = pairs.without_translations()
        if source.examples is not None and source.examples < pairs.example_count:
            pairs = pairs.sample(source.examples, seed)
        parts.append(pairs)
    return ParallelPairs.concatenate(parts)


def names_apart(sources: Sequence[str]) -> dict[str, str]:
    """For files of one name, packed or not, a name with as much of the folder as tells them apart.

    Pairs are called like their file, so that ids of two files of one name would seem to be of one data set.

    >>> names_apart(["de/train.jsonl", "fr/train.jsonl", "dev.jsonl"])
    {'de/train.jsonl': 'de/train', 'fr/train.jsonl': 'fr/train'}
    """
    paths = {source: Path(os.path.abspath(source)) for source in sources}  # noqa: PTH100 (a link keeps its name)
    found = {}
    for source, path in paths.items():
        own = _own_names(path)
        others = [other for other in paths.values() if other != path and own & _own_names(other)]
        folders = (path.parts[-n:-1] for n in range(2, 1 + len(path.parts)))
        apart = next((end for end in folders if all(other.parts[-len(end) - 1 : -1] != end for other in others)), None)
        if others:
            found[source] = path.name if apart is None else "/".join((*apart, min(own, key=len)))
    return found


def _own_names(path: Path) -> set[str]:
    """What the data set of a source may be called: a file's, that of a folder, or of Moses' files of one name."""
    return {path.name} if path.is_dir() else {path.name, stem_of(path)}


@dataclass(frozen=True)
class Targets:
    """Vectors that a student is held to."""

    vectors: torch.Tensor  # `(vectors, dimensions)`, unit length
    query: IntArray  # `(table rows,)`; the vector of each row's query, -1 where none was made
    passage: IntArray  # `(table rows,)`; the vector of each row's passage


def planned_dataset(
    pairs: ParallelPairs,
    plan: BatchPlan,
    targets: Targets | None = None,
    *,
    translated: bool = False,
    negatives: int | None = None,
    process: tuple[int, int] = (0, 1),
) -> Dataset:
    """A data set whose row n is row n of the plan, or of a process's share of it.

    Only numbers are stored, eight bytes a pair; texts are taken from the pairs' store batch by batch. The column
    `negatives` holds lists: those of the row that gives the query, because a mined row's negatives are those that its
    own query confuses (see `isoglot.enrich.negatives`), at most so many of each pair. Targets become the column
    `target`. With `translated`, cross-lingual batches have `translated_passage`, the passage in the query's language,
    which the example has, because its query is in it. A process is its rank and how many there are.
    """
    query_rows, passage_rows = plan.share(*process).table_rows(pairs.translations())
    with_negatives = negatives != 0 and bool((pairs.numbers.negatives_count > 0).any())
    fetch = _Fetch(pairs, targets, translated, negatives, text_groups(pairs) if with_negatives else None)
    table = pa.table({"query_row": query_rows, "passage_row": passage_rows})
    return Dataset(InMemoryTable(table), fingerprint=generate_random_fingerprint()).with_transform(fetch)


@dataclass(frozen=True)
class _Fetch:
    """Row numbers of a batch to its columns; see `planned_dataset`."""

    pairs: ParallelPairs
    targets: Targets | None
    translated: bool
    negatives: int | None
    groups: IntArray | None

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, Any]:
        queries, passages = np.array(batch["query_row"]), np.array(batch["passage_row"])
        columns: dict[str, Any] = {
            "query": self.pairs.texts("query", queries),
            "passage": self.pairs.texts("passage", passages),
            "group": self.pairs.translations().group[self.pairs.example[queries]].tolist(),
        }
        if self.translated and (queries != passages).all():
            columns["translated_passage"] = self.pairs.texts("passage", queries)
        if self.groups is not None:
            columns["negatives"] = [texts[: self.negatives] for texts in self.pairs.negatives(queries)]
            found = self.pairs.negative_numbers(queries)
            columns["negative_groups"] = [self.groups[some[: self.negatives]].tolist() for some in found]
        if self.targets is not None:
            numbers = np.stack([self.targets.query[queries], self.targets.passage[passages]], axis=1)
            columns["target"] = list(self.targets.vectors[numbers])
        return columns

    def __deepcopy__(self, _: object) -> _Fetch:
        return self  # of which a data set makes a copy whenever it is handed on


def text_groups(pairs: ParallelPairs) -> IntArray:
    """`(texts,)`; the group of examples whose passage says what a text says, -1 where none does.

    By it a batch knows a negative that answers another of its queries.
    """
    rows = pairs.numbers
    key = key_numbers(pairs.store, np.concatenate([rows.passage, pairs.negative]), passage_key)
    group = np.full(int(key.max(initial=-1)) + 1, -1, np.int64)
    group[key[rows.passage]] = pairs.translations().group[rows.example]
    return np.where(key >= 0, group[key], -1)


class Collator:
    """Texts of a batch to tensors for the trainer, each role with its prompt and token limit, None for the model's."""

    valid_label_columns = ("label",)  # read by the trainer

    def __init__(self, model: SentenceTransformer, limits: Mapping[Role, int | None]) -> None:
        readers = {tokens: with_limit(model, tokens) for tokens in {*limits.values()}}
        self.readers = {role: readers[tokens] for role, tokens in limits.items()}
        self.one_at_a_time = Lock()  # training's batches come from a thread, those of a look at held-out pairs do not

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Tokenise columns of text, translations of the passages behind the passages; stack targets as the label."""
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns["passage"] += columns.pop("translated_passage", [])
        columns["negative"] = list(chain.from_iterable(columns.pop("negatives", [])))
        batch: dict[str, Any] = {}
        if "target" in columns:
            batch["label"] = torch.stack(columns.pop("target"))
        if "group" in columns:
            batch["passage_group"] = torch.tensor(columns.pop("group"))
        groups = list(chain.from_iterable(columns.pop("negative_groups", [])))
        if groups:
            batch["negative_group"] = torch.tensor(groups)
        for name, texts in columns.items():
            if texts:
                features = self.tokens(texts, "query" if name == "query" else "passage")
                batch.update({f"{name}_{key}": value for key, value in features.items()})
        return batch

    def tokens(self, texts: list[str], role: Role) -> dict[str, Any]:
        """What the model reads of texts in a role."""
        reader = self.readers[role]
        with self.one_at_a_time:
            return dict(reader.preprocess(texts, prompt=role_prompt(reader, role) or None, task=TASKS[role]))


def tokens_met(
    collator: Collator, pairs: ParallelPairs, plan: BatchPlan, *, translated: bool = False, negatives: int | None = None
) -> IntArray:
    """Numbers of the distinct tokens that batches of a plan have; arguments as for `planned_dataset`."""
    queries, passages = map(np.unique, plan.table_rows(pairs.translations()))
    passages = np.union1d(passages, queries) if translated else passages
    met: list[IntArray] = []

    def read(texts: list[str], role: Role) -> None:
        if texts:
            met.append(np.unique(collator.tokens(texts, role)["input_ids"].numpy()))

    with progress("Reading tokens", len(queries) + len(passages)) as advance:
        for rows in _in_chunks(queries):
            read(cast(list[str], pairs.texts("query", rows)), "query")
            if negatives != 0:
                read([text for some in pairs.negatives(rows) for text in some[:negatives]], "passage")
            advance(len(rows))
        for rows in _in_chunks(passages):
            read(cast(list[str], pairs.texts("passage", rows)), "passage")
            advance(len(rows))
    return np.unique(np.concatenate(met))


def _in_chunks(rows: IntArray) -> list[IntArray]:
    return np.array_split(rows, max(1, len(rows) // 1000))


def make_targets(
    model: SentenceTransformer,
    pairs: ParallelPairs,
    plan: BatchPlan,
    settings: Distillation,
    *,
    store: EmbeddingStore | None,
    bf16: bool,
) -> Targets:
    """Encode with the teacher, each text once, what every text that the plan uses is held to.

    See `isoglot.training.config.Distillation`. With `target: translations` a text that is query and passage at once, as
    aligned sentences are, is encoded as a passage only. A text that has no such translations keeps its own vector.

    Raises:
        InputError: if the target is English and no pair is in English.
    """
    translations = pairs.translations()
    query_rows, passage_rows = map(np.unique, plan.table_rows(translations))
    source = _english_rows(pairs) if settings.target == "english" else np.arange(len(pairs))
    if settings.target == "translations":
        several = translations.identical.any(1) & (translations.available.sum(1) > 1)
        planned = np.zeros(pairs.example_count, np.bool_)
        planned[plan.example] = True
        shared_rows = np.flatnonzero((planned & several[translations.pattern])[pairs.example] & pairs.has_query)
        query_rows = np.setdiff1d(query_rows, shared_rows)
        passage_rows = np.union1d(passage_rows, shared_rows)
    asked, found = np.unique(source[query_rows]), np.unique(source[passage_rows])
    with progress("Encoding targets", len(asked) + len(found)) as advance:
        encode = partial(embed, model, store=store, bf16=bf16, on_progress=advance)
        roles: dict[Role, IntArray] = {"query": asked, "passage": found}
        vectors = np.concatenate(
            [encode(cast(list[str], pairs.texts(role, rows)), role) for role, rows in roles.items()]
        )
    query, passage = (np.full(len(pairs), -1, np.int64) for _ in range(2))
    query[query_rows] = np.searchsorted(asked, source[query_rows])
    passage[passage_rows] = len(asked) + np.searchsorted(found, source[passage_rows])
    if settings.target == "translations":
        at = passage[shared_rows]
        vectors[at] = _means_by(vectors[at], pairs.example[shared_rows])
        query[shared_rows] = at
    return Targets(torch.from_numpy(vectors), query, passage)


def check_targets(pairs: ParallelPairs, settings: Distillation | None) -> None:
    """Whether the targets can be made, before anything is written or encoded.

    Raises:
        InputError: if the target is English and no pair is in English.
    """
    if settings is not None and settings.target == "english":
        _english_rows(pairs)


def _english_rows(pairs: ParallelPairs) -> IntArray:
    """`(rows,)`; the row of each row's English translation, its own where there is none."""
    translations = pairs.translations()
    columns = [number for number, tag in enumerate(pairs.languages) if tag.split("-")[0] == "en"]
    if not columns:
        raise InputError(
            "loss.distillation.target english: no training pair is in English; add English pairs or use another target"
        )
    source = np.arange(len(pairs))
    for english in reversed(columns):  # the first of several Englishes has the last word
        row = translations.row_of(pairs.example, english)
        source = np.where((row >= 0) & pairs.has_query, row, source)
    return source


def _means_by(vectors: FloatArray, keys: IntArray) -> FloatArray:
    """Each vector replaced by the unit mean of those with its key."""
    distinct, number = np.unique(keys, return_inverse=True)
    sums = np.zeros((len(distinct), vectors.shape[1]), np.float32)
    np.add.at(sums, number, vectors)
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return sums[number]
