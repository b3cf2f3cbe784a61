"""The batch strategies for a sentence-transformers script of your own, over a plain `datasets.Dataset` of pairs.

The trainer is given the text columns only, as it would tokenise any other; docs/sampler.md shows a whole script.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from torch.utils.data import BatchSampler

from isoglot.batching.plan import CROSS_LINGUAL, MONOLINGUAL, Planner, Strategy, check_drawing, draw_kinds
from isoglot.batching.sampling import LanguageSampling
from isoglot.batching.translations import IntArray, Translations
from isoglot.common.errors import InputError

_WITHIN, _ACROSS = "within a language", "across languages"
_COMPARED_ROWS = 64  # spread over two data sets of one length, to tell whether they are one


def language_batch_sampler(
    dataset: Dataset | Mapping[str, Dataset] | Iterable[Dataset],
    strategy: Strategy = "hybrid",
    *,
    alpha: float = 0.5,
    language_sampling: LanguageSampling = "uniform",
    query_language: str = "query_language",
    passage_language: str = "passage_language",
    example: str = "id",
) -> Callable[..., BatchSampler]:
    """Make the `batch_sampler` argument of sentence-transformers from data sets' language columns.

    Args:
        dataset: finished pairs; rows in one language make monolingual batches, rows whose sides differ in language
            cross-lingual ones. Where the trainer is given several, such as one to evaluate on or the members of a
            `DatasetDict`, all of them, in a list or a dict.
        strategy: as in `isoglot.plan_batches`.
        alpha: probability of a monolingual batch under `hybrid`.
        language_sampling: as in `isoglot.plan_batches`; in cross-lingual batches it weighs query languages.
        query_language: name of the column with the query's language.
        passage_language: name of the column with the passage's language.
        example: name of the column whose value translations share; a batch holds each value once.

    Returns:
        A callable that the trainer calls with a data set, its batch size and seed. A data set that lacks the columns
        is known by its length and its other columns as one of those above; another is refused, or, if training has
        begun and it is evaluated on, read in batches without a text twice, with a warning. Every epoch has other
        batches; one seed gives the same ones again. On several processes give it the global batch and divide each
        batch yourself, because accelerate hands consecutive whole batches to different processes.

    Raises:
        InputError: if a column is missing, or an argument is out of range.
    """
    check_drawing(strategy, alpha, language_sampling)
    names = (query_language, passage_language, example)
    given = [dataset] if isinstance(dataset, Dataset) else list(getattr(dataset, "values", lambda: dataset)())
    for one in given:
        if missing := [name for name in names if name not in one.column_names]:
            raise InputError(f"the data set has no column {missing[0]!r}; it has {', '.join(one.column_names)}")
    known = [(one, _shape(one, names)) for one in given]
    sampler_of = partial(LanguageBatchSampler, strategy=strategy, alpha=alpha, language_sampling=language_sampling)
    made: list[LanguageBatchSampler] = []

    def make(dataset: Dataset, batch_size: int, drop_last: bool = True, seed: int = 0, **options: Any) -> BatchSampler:
        if set(names) <= set(dataset.column_names):
            rows: Translations | None = _shape(dataset, names)
        else:
            rows = next((shape for one, shape in known if _are_one(one, dataset)), None)
        try:
            if rows is None:
                lengths = " or ".join(f"{len(one):,}" for one in given)
                raise InputError(
                    f"the batch sampler is given {len(dataset):,} rows without {names[0]!r}; it knows those of "
                    f"{lengths}; give language_batch_sampler all data sets that the trainer gets, in a list, with the "
                    "text columns called as there"
                )
            made.append(sampler_of(rows, batch_size=batch_size, seed=seed))
            return made[-1]
        except InputError as error:
            if not any(sampler.begun for sampler in made):
                raise
            wrong = error
        from sentence_transformers.base.sampler import NoDuplicatesBatchSampler

        warnings.warn(f"{wrong}: they are evaluated in batches of any languages", stacklevel=2)
        plain: BatchSampler = NoDuplicatesBatchSampler(dataset, batch_size, drop_last, seed=seed, **options)
        return plain

    return make


def _shape(dataset: Dataset, names: tuple[str, str, str]) -> Translations:
    """Every row as an example in its query's language, of one data set where both sides are in it, else of another.

    Read through Arrow and as numbers: as Python objects a column of 200,000 strings takes seconds.
    """
    order = slice(None) if dataset._indices is None else dataset._indices.column(0).to_numpy()
    query, passage, example = columns = [dataset.data.column(name) for name in names]
    for name, column in zip(names, columns, strict=True):
        if len(empty := np.flatnonzero(column.is_null().to_numpy()[order])):
            raise InputError(f"row {empty[0] + 1:,} of the data set has null as {name!r}; fill it in, or drop the row")
    tags = pc.unique(pa.chunked_array([*query.chunks, *passage.chunks]))
    queries, passages, examples = (
        pc.index_in(column, values).to_numpy().astype(np.int64)[order]
        for column, values in ((query, tags), (passage, tags), (example, pc.unique(example)))
    )
    each = np.eye(len(tags), dtype=np.bool_)
    is_across = (queries != passages).astype(np.uint8)
    return Translations(
        tuple(tags.to_pylist()), (_WITHIN, _ACROSS), is_across, examples, queries, each, np.zeros_like(each)
    )


def _are_one(known: Dataset, dataset: Dataset) -> bool:
    """Whether two data sets have the same rows, by their length and what they have in common."""
    if len(known) != len(dataset):
        return False
    shared = [name for name in dataset.column_names if name in known.column_names]
    rows = np.unique(np.linspace(0, len(known) - 1, _COMPARED_ROWS, dtype=np.int64)).tolist() if len(known) else []
    return bool(shared) and all(known.select(rows)[name][:] == dataset.select(rows)[name][:] for name in shared)


class LanguageBatchSampler(BatchSampler):
    """Row numbers of batches of one kind each, over rows whose languages are given.

    Args:
        rows: each an example in its query's language.
        batch_size: rows per batch.
        strategy: as in `isoglot.plan_batches`.
        alpha: probability of a monolingual batch under `hybrid`, 0 to 1.
        language_sampling: as in `isoglot.plan_batches`.
        seed: with the epoch, decides everything.

    Raises:
        InputError: if no batch of a needed kind can be filled.
    """

    def __init__(
        self,
        rows: Translations,
        *,
        batch_size: int,
        strategy: Strategy = "hybrid",
        alpha: float = 0.5,
        language_sampling: LanguageSampling = "uniform",
        seed: int = 0,
    ) -> None:
        self.batch_size, self.drop_last = batch_size, True
        self.strategy, self.alpha, self.language_sampling, self.seed = strategy, alpha, language_sampling, seed
        self.rows, self.epoch, self.begun = rows, 0, False
        self._batches()  # says now, not in the middle of a run, what cannot be filled

    def __len__(self) -> int:
        """Batches in an epoch: as many as the rows fill."""
        return max(1, len(self.rows.group) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of the current epoch; the next call gives those of the next unless `set_epoch` is called."""
        batches = self._batches()
        self.epoch, self.begun = self.epoch + 1, True
        yield from batches.tolist()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def _batches(self) -> IntArray:
        rng = np.random.default_rng([self.seed, self.epoch])
        kind = draw_kinds(self.strategy, len(self), self.alpha, rng)
        batches = np.zeros((len(self), self.batch_size), np.int64)
        for number in np.unique(kind):
            where = np.flatnonzero(kind == number)
            weights = {_ACROSS if number == CROSS_LINGUAL else _WITHIN: 1.0}
            planner = Planner(self.rows, self.batch_size, rng, self.language_sampling, weights)
            if number == MONOLINGUAL:
                drawn = planner.one_language(len(where), english=self.strategy == "english")
            else:  # the languages of a row are given, so none has to cross to another
                drawn = planner.many_languages(len(where), crossing=False)
            try:
                for some, rows, *_ in drawn:
                    batches[where[some]] = rows
            except InputError:
                raise InputError(
                    f"strategy {self.strategy!r} needs a batch of {self.batch_size} different examples of one kind, "
                    "and the rows do not fill one; use a smaller batch, more rows or another strategy"
                ) from None
        return batches
