"""The batch strategies for a sentence-transformers script of your own.

Your data set is a plain `datasets.Dataset` of finished pairs, with columns that say in which language each side is
and which rows are translations of one example. `language_batch_sampler` reads those columns and gives what
`SentenceTransformerTrainingArguments(batch_sampler=...)` takes; the trainer then sees the text columns only, because
it would tokenise any other:

    sampler = language_batch_sampler(dataset, strategy="hybrid", alpha=0.5)
    args = SentenceTransformerTrainingArguments(output_dir="out", batch_sampler=sampler)
    trainer = SentenceTransformerTrainer(
        model, args, train_dataset=dataset.select_columns(["query", "passage"]), loss=loss
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from torch.utils.data import BatchSampler

from isoglot.batching.plan import CROSS_LINGUAL, MIXED, MONOLINGUAL, Strategy, draw_kinds
from isoglot.batching.sampling import LanguageSampling, language_weights, sample
from isoglot.common.errors import InputError

IntArray = npt.NDArray[np.int64]


def language_batch_sampler(
    dataset: Dataset,
    strategy: Strategy = "hybrid",
    *,
    alpha: float = 0.5,
    language_sampling: LanguageSampling = "uniform",
    query_language: str = "query_language",
    passage_language: str = "passage_language",
    example: str = "id",
) -> Callable[..., LanguageBatchSampler]:
    """Make the `batch_sampler` argument of sentence-transformers from a data set's language columns.

    Args:
        dataset: finished pairs; rows in one language make monolingual batches, rows whose sides differ in language
            cross-lingual ones.
        strategy: as in `isoglot.plan_batches`.
        alpha: probability of a monolingual batch under `hybrid`.
        language_sampling: as in `isoglot.plan_batches`; in cross-lingual batches it weighs query languages.
        query_language: name of the column with the query's language.
        passage_language: name of the column with the passage's language.
        example: name of the column whose value translations share; a batch holds each value once.

    Returns:
        A callable that the trainer calls with its batch size and seed. Every epoch has other batches; one seed gives
        the same ones again. On several processes give it the global batch and divide each batch yourself, because
        accelerate hands consecutive whole batches to different processes.

    Raises:
        InputError: if a column is missing.
    """
    missing = [name for name in (query_language, passage_language, example) if name not in dataset.column_names]
    if missing:
        raise InputError(f"the data set has no column {missing[0]!r}; it has {', '.join(dataset.column_names)}")
    columns = [np.asarray(dataset[name]) for name in (query_language, passage_language, example)]

    def make(
        _dataset: Any, batch_size: int, drop_last: bool = True, seed: int = 0, **_unused: Any
    ) -> LanguageBatchSampler:
        return LanguageBatchSampler(
            *columns,
            batch_size=batch_size,
            strategy=strategy,
            alpha=alpha,
            language_sampling=language_sampling,
            seed=seed,
        )

    return make


class LanguageBatchSampler(BatchSampler):
    """Row numbers of batches of one kind each, over rows whose languages are given.

    Args:
        query_language: `(rows,)`; language tags.
        passage_language: `(rows,)`; language tags.
        example: `(rows,)`; what translations share.
        batch_size: rows per batch.
        strategy: as in `isoglot.plan_batches`.
        alpha: probability of a monolingual batch under `hybrid`.
        language_sampling: as in `isoglot.plan_batches`.
        seed: with the epoch, decides everything.

    Raises:
        InputError: if no batch of a needed kind can be filled.
    """

    def __init__(
        self,
        query_language: npt.NDArray[Any],
        passage_language: npt.NDArray[Any],
        example: npt.NDArray[Any],
        *,
        batch_size: int,
        strategy: Strategy = "hybrid",
        alpha: float = 0.5,
        language_sampling: LanguageSampling = "uniform",
        seed: int = 0,
    ) -> None:
        self.batch_size, self.drop_last = batch_size, True
        self.strategy, self.alpha, self.language_sampling, self.seed = strategy, alpha, language_sampling, seed
        self.epoch = 0
        self.group = np.unique(example, return_inverse=True)[1]
        tags, self.language = np.unique(query_language, return_inverse=True)
        within = query_language == passage_language
        english = np.char.partition(query_language.astype(str), "-")[:, 0] == "en"
        usable = within & english if strategy == "english" else within
        self.pools: dict[int, list[IntArray]] = {
            MONOLINGUAL: self._full([np.flatnonzero(usable & (self.language == n)) for n in range(len(tags))]),
            CROSS_LINGUAL: self._full([np.flatnonzero(~within)]),
            MIXED: self._full([np.flatnonzero(within)]),
        }
        self._batches()  # says now, not in the middle of a run, what cannot be filled

    def __len__(self) -> int:
        """Batches in an epoch: as many as the rows fill."""
        return max(1, len(self.group) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of the current epoch; the next call gives those of the next unless `set_epoch` is called."""
        batches = self._batches()
        self.epoch += 1
        yield from batches.tolist()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def _full(self, pools: list[IntArray]) -> list[IntArray]:
        return [pool for pool in pools if len(np.unique(self.group[pool])) >= self.batch_size]

    def _batches(self) -> IntArray:
        rng = np.random.default_rng([self.seed, self.epoch])
        kind = draw_kinds(self.strategy, len(self), self.alpha, rng)
        batches = np.zeros((len(self), self.batch_size), np.int64)
        for number in np.unique(kind):
            pools = self.pools[int(number)]
            if not pools:
                raise InputError(
                    f"strategy {self.strategy!r} needs a batch of {self.batch_size} different examples of one kind, "
                    "and the rows do not fill one; use a smaller batch, more rows or another strategy"
                )
            where = np.flatnonzero(kind == number)
            weights = language_weights([len(pool) for pool in pools], self.language_sampling)
            chosen = rng.choice(len(pools), size=len(where), p=weights)
            for pool_number in np.unique(chosen):
                pool = pools[pool_number]
                mine = where[chosen == pool_number]
                counts = np.bincount(self.language[pool])
                rates = (language_weights(counts, self.language_sampling) / np.maximum(counts, 1))[self.language[pool]]
                batches[mine] = pool[sample(self.group[pool], rates, len(mine), self.batch_size, rng)]
        return batches
