"""Which examples, in which languages, make up each batch: a training run as a table.

The method (arXiv 2408.10536) is nothing but a rule for composing batches, so the rule is kept apart from
everything that trains: `plan_batches` is a pure function of the data's shape and a seed, needs numpy only, and
returns the order of the whole run. Whoever trains follows the table; whoever doubts reads it.

Rows are spread, not drawn one by one: within a pool each example is used floor or ceil of its fair share, evenly
over the run, so a language short of examples repeats them as rarely as its share allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from isoglot.batching.sampling import LanguageSampling, language_weights, sample, sample_blocks
from isoglot.common.errors import InputError

Strategy = Literal["monolingual", "cross-lingual", "hybrid", "mixed", "english"]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

KINDS = ("monolingual", "cross-lingual", "mixed")
MONOLINGUAL, CROSS_LINGUAL, MIXED = range(3)

_ROWS_AT_A_TIME = 1 << 17  # bounds the (rows, languages) arrays while languages are drawn


@dataclass(frozen=True)
class Translations:
    """The shape of a parallel data set, without its texts.

    Attributes:
        languages: language tags; all language numbers below index this tuple.
        rows: `(examples, languages)`; the table row of each translation, -1 where there is none.
        datasets: names of the data sets; `dataset` indexes this tuple.
        dataset: `(examples,)`; the data set of each example.
        group: `(examples,)`; examples that share a passage share a group, and a batch holds a group once.
        identical: `(examples, languages)`; true where query and passage are the same text (aligned sentences).
            Such a row teaches nothing within its language and is left out of same-language pairs.
    """

    languages: tuple[str, ...]
    rows: IntArray
    datasets: tuple[str, ...]
    dataset: IntArray
    group: IntArray
    identical: npt.NDArray[np.bool_]

    @property
    def available(self) -> npt.NDArray[np.bool_]:
        """`(examples, languages)`; true where a translation exists."""
        present: npt.NDArray[np.bool_] = self.rows >= 0
        return present


@dataclass(frozen=True)
class BatchPlan:
    """The order of training: one row per pair, `batch_size` rows per step.

    Attributes:
        languages: language tags that the two language columns index.
        batch_size: rows per global batch.
        kind: `(steps,)`; number of the batch's kind in `KINDS`.
        example: `(steps * batch_size,)`; example of each pair, numbered as in `Translations`.
        query_language: `(steps * batch_size,)`; language number of the query.
        passage_language: `(steps * batch_size,)`; language number of the passage.
    """

    languages: tuple[str, ...]
    batch_size: int
    kind: IntArray
    example: IntArray
    query_language: IntArray
    passage_language: IntArray

    @property
    def steps(self) -> int:
        """Number of global batches."""
        return len(self.kind)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The plan as columns of equal length, languages and kinds spelled out; what `plan.parquet` holds."""
        tags = np.array(self.languages)
        return {
            "step": np.repeat(np.arange(self.steps), self.batch_size),
            "kind": np.repeat(np.array(KINDS)[self.kind], self.batch_size),
            "example": self.example,
            "query_language": tags[self.query_language],
            "passage_language": tags[self.passage_language],
        }

    def table_rows(self, translations: Translations) -> tuple[IntArray, IntArray]:
        """The data table's rows of every pair: those of the queries and those of the passages."""
        rows = translations.rows
        return rows[self.example, self.query_language], rows[self.example, self.passage_language]

    def from_step(self, step: int) -> BatchPlan:
        """The plan that remains after `step` steps; what a resumed run follows."""
        return self._select(np.arange(step, self.steps), slice(None), self.batch_size)

    def share(self, rank: int, world_size: int) -> BatchPlan:
        """The part of every global batch that process `rank` of `world_size` works on.

        Shares are consecutive slices, so the processes' batches concatenated in order of rank are the global
        batch, and every process is in a batch of the same kind at the same step.

        Raises:
            InputError: if the batch cannot be divided evenly or the rank does not exist.
        """
        if self.batch_size % world_size:
            raise InputError(f"a batch of {self.batch_size} cannot be divided evenly over {world_size} processes")
        if not 0 <= rank < world_size:
            raise InputError(f"process {rank} does not exist among {world_size}; ranks start at 0")
        size = self.batch_size // world_size
        return self._select(np.arange(self.steps), slice(rank * size, (rank + 1) * size), size)

    def _select(self, steps: IntArray, part: slice, batch_size: int) -> BatchPlan:
        def cut(column: IntArray) -> IntArray:
            return column.reshape(self.steps, self.batch_size)[steps, part].ravel()

        return BatchPlan(
            self.languages,
            batch_size,
            self.kind[steps],
            cut(self.example),
            cut(self.query_language),
            cut(self.passage_language),
        )

    def describe(self) -> dict[str, Any]:
        """What the plan does, in numbers: batches by kind, rows by language, and how often examples repeat.

        `repeats` gives for each query language the distinct examples used, and the mean and the largest number of
        times one of them is used in that language.
        """
        repeats: dict[str, dict[str, float]] = {}
        for number, language in enumerate(self.languages):
            used = np.unique(self.example[self.query_language == number], return_counts=True)[1]
            if len(used):
                repeats[language] = {
                    "examples": len(used),
                    "mean_uses": round(float(used.mean()), 2),
                    "most_uses": int(used.max()),
                }
        kinds = np.bincount(self.kind, minlength=len(KINDS))
        return {
            "steps": self.steps,
            "batch_size": self.batch_size,
            "batches": {kind: int(n) for kind, n in zip(KINDS, kinds, strict=True) if n},
            "query_languages": self._count(self.query_language),
            "passage_languages": self._count(self.passage_language),
            "repeats": repeats,
        }

    def _count(self, column: IntArray) -> dict[str, int]:
        counts = np.bincount(column, minlength=len(self.languages))
        return {tag: int(n) for tag, n in zip(self.languages, counts, strict=True) if n}


def plan_batches(
    translations: Translations,
    strategy: Strategy = "hybrid",
    *,
    batch_size: int,
    steps: int,
    alpha: float = 0.5,
    language_sampling: LanguageSampling = "uniform",
    dataset_weights: Mapping[str, float] | LanguageSampling = "size",
    neighbours: int = 1,
    seed: int = 0,
) -> BatchPlan:
    """Plan every batch of a training run.

    A batch comes from one data set. Its kind depends on the strategy (names after LAReQA, arXiv 2004.05484):

    - `monolingual`: all queries and passages of a batch are in one language, drawn anew for each batch.
    - `cross-lingual`: in every pair query and passage differ in language; languages vary from row to row.
    - `hybrid`: monolingual with probability `alpha`, else cross-lingual (arXiv 2408.10536, section 3).
    - `mixed`: every pair is within a language, languages vary from row to row.
    - `english`: monolingual batches of English alone.

    Args:
        translations: which example exists in which language.
        strategy: one of the above.
        batch_size: pairs in a global batch, at least 2.
        steps: number of global batches, at least 1.
        alpha: probability of a monolingual batch under `hybrid`, 0 to 1.
        language_sampling: `uniform` over languages, by `size`, or a temperature T >= 1 that draws a language of n
            examples in proportion to `n ** (1 / T)` (1 is by size, large is uniform).
        dataset_weights: relative weight of each data set by name, 0 for one that is not named; or how weights follow
            from sizes, as for languages.
        neighbours: how many consecutive examples of a data set a monolingual batch keeps together; where examples
            follow the order of a document, they are hard negatives in the query's language. Divides `batch_size`.
        seed: equal seeds give equal plans.

    Returns:
        A plan in which no batch holds an example, or passages of one group, twice. Examples that a strategy cannot
        use (a single language under `cross-lingual`, a language with fewer examples than a batch under
        `monolingual`) are left out of that kind of batch.

    Raises:
        InputError: if an argument is out of range or no batch of a needed kind can be filled.

    Example:
        Three examples in two languages; every cross-lingual pair crosses.

        >>> rows = np.arange(6).reshape(3, 2)
        >>> data = Translations(("de", "en"), rows, ("toy",), np.zeros(3, int), np.arange(3), np.zeros((3, 2), bool))
        >>> plan = plan_batches(data, "cross-lingual", batch_size=3, steps=2)
        >>> plan.steps, bool((plan.query_language != plan.passage_language).all())
        (2, True)
        >>> sorted(plan.example[:3].tolist())
        [0, 1, 2]
    """
    _check_arguments(strategy, batch_size, steps, alpha, language_sampling)
    rng = np.random.default_rng([seed, 0x150617])
    if neighbours < 1 or batch_size % neighbours:
        raise InputError(f"neighbours {neighbours}: must divide the batch size, {batch_size}")
    planner = _Planner(translations, batch_size, language_sampling, dataset_weights, neighbours, rng)
    shape = (steps, batch_size)
    example, query_language, passage_language = (np.zeros(shape, np.int64) for _ in range(3))
    kind = draw_kinds(strategy, steps, alpha, rng)
    for number in np.unique(kind):
        where = np.flatnonzero(kind == number)
        if number == MONOLINGUAL:
            drawn = planner.one_language(len(where), english=strategy == "english")
        else:
            drawn = planner.many_languages(len(where), crossing=number == CROSS_LINGUAL)
        example[where], query_language[where], passage_language[where] = drawn
    return BatchPlan(
        translations.languages, batch_size, kind, example.ravel(), query_language.ravel(), passage_language.ravel()
    )


class _Planner:
    """The pools of one plan: which examples can fill which kind of batch, and with what weights."""

    def __init__(
        self,
        translations: Translations,
        batch_size: int,
        language_sampling: LanguageSampling,
        dataset_weights: Mapping[str, float] | LanguageSampling,
        neighbours: int,
        rng: np.random.Generator,
    ) -> None:
        self.data, self.batch_size, self.neighbours, self.rng = translations, batch_size, neighbours, rng
        self.language_sampling = language_sampling
        self.dataset_sampling: LanguageSampling = "size" if isinstance(dataset_weights, Mapping) else dataset_weights
        self.dataset_weights = _weights_of(translations.datasets, dataset_weights)

    def one_language(self, batches: int, *, english: bool) -> tuple[IntArray, IntArray, IntArray]:
        """Draw batches of one language each: a language, then one of its data sets, then examples."""
        sizes = np.zeros((len(self.data.languages), len(self.data.datasets)), np.int64)
        usable = self.data.available & ~self.data.identical
        for language, dataset in np.ndindex(*sizes.shape):
            pool = usable[:, language] & (self.data.dataset == dataset)
            if len(np.unique(self.data.group[pool])) >= self.batch_size:
                sizes[language, dataset] = pool.sum()
        sizes[:, self.dataset_weights == 0] = 0
        if english:
            keep = np.array([tag.split("-")[0] == "en" for tag in self.data.languages])
            sizes[~keep] = 0
        if not sizes.any():
            where = "in English" if english else "in any one language"
            raise InputError(
                f"no data set has {self.batch_size} different examples {where}, which a monolingual batch of "
                f"{self.batch_size} needs; use a smaller batch or more data"
            )
        language_of = self._draw(language_weights(sizes.sum(1), self.language_sampling), batches)
        example = np.zeros((batches, self.batch_size), np.int64)
        for language in np.unique(language_of):
            mine = np.flatnonzero(language_of == language)
            dataset_of = self._draw_datasets(sizes[language], len(mine))
            for dataset in np.unique(dataset_of):
                where = mine[dataset_of == dataset]
                pool = np.flatnonzero(usable[:, language] & (self.data.dataset == dataset))
                groups = self.data.group[pool]
                example[where] = pool[sample_blocks(groups, len(where), self.batch_size, self.neighbours, self.rng)]
        languages = np.repeat(language_of[:, None], self.batch_size, axis=1)
        return example, languages, languages

    def many_languages(self, batches: int, *, crossing: bool) -> tuple[IntArray, IntArray, IntArray]:
        """Draw batches whose rows differ in language: a data set, then examples, then languages of each."""
        usable = self.data.available if crossing else self.data.available & ~self.data.identical
        enough = usable.sum(1) >= (2 if crossing else 1)
        sizes = np.zeros(len(self.data.datasets), np.int64)
        for dataset in range(len(sizes)):
            pool = enough & (self.data.dataset == dataset)
            if len(np.unique(self.data.group[pool])) >= self.batch_size:
                sizes[dataset] = pool.sum()
        sizes[self.dataset_weights == 0] = 0
        if not sizes.any():
            what = "in two languages or more, which a cross-lingual" if crossing else "which a mixed"
            raise InputError(
                f"no data set has {self.batch_size} different examples {what} batch of {self.batch_size} needs; "
                "add translations, use a smaller batch or another strategy"
            )
        dataset_of = self._draw_datasets(sizes, batches)
        shape = (batches, self.batch_size)
        example, query_language, passage_language = (np.zeros(shape, np.int64) for _ in range(3))
        for dataset in np.unique(dataset_of):
            mine = np.flatnonzero(dataset_of == dataset)
            pool = np.flatnonzero(enough & (self.data.dataset == dataset))
            present = usable[pool].sum(0)
            per_example = language_weights(present, self.language_sampling) / np.maximum(present, 1)
            rates = usable[pool] * per_example
            example[mine] = self._sample(pool, rates.sum(1), len(mine))
            # Rates of the sampled examples: `pool` is sorted, so its positions are found by bisection.
            drawn = self._draw_languages(rates, np.searchsorted(pool, example[mine].ravel()), crossing=crossing)
            query_language[mine], passage_language[mine] = (side.reshape(len(mine), -1) for side in drawn)
        return example, query_language, passage_language

    def _sample(self, pool: IntArray, rates: FloatArray, batches: int) -> IntArray:
        sampled: IntArray = pool[sample(self.data.group[pool], rates, int(batches), self.batch_size, self.rng)]
        return sampled

    def _draw(self, weights: FloatArray, count: int) -> IntArray:
        return self.rng.choice(len(weights), size=count, p=weights / weights.sum())

    def _draw_datasets(self, sizes: IntArray, count: int) -> IntArray:
        by_size = language_weights(sizes, self.dataset_sampling)
        return self._draw(np.where(np.isnan(self.dataset_weights), by_size, self.dataset_weights * (sizes > 0)), count)

    def _draw_languages(self, rates: FloatArray, items: IntArray, *, crossing: bool) -> tuple[IntArray, IntArray]:
        """Draw each row's languages in proportion to their rates: one of them, or two different ones.

        The smallest of exponential variables over their rates is a draw in proportion to the rates, the second
        smallest a second draw without replacement. A coin decides which of the two is the query's, so that both
        roles see every language equally.
        """
        first, second = (np.empty(len(items), np.int64) for _ in range(2))
        with np.errstate(divide="ignore"):
            scale = (1.0 / rates).astype(np.float32)
        for start in range(0, len(items), _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            waits = scale[items[part]]
            waits *= self.rng.standard_exponential(waits.shape, np.float32) + np.float32(1e-30)
            first[part] = waits.argmin(1)
            if crossing:
                waits[np.arange(len(waits)), first[part]] = np.inf
                second[part] = waits.argmin(1)
        if not crossing:
            return first, first
        coin = self.rng.random(len(items)) < 0.5
        return np.where(coin, first, second), np.where(coin, second, first)


def draw_kinds(strategy: Strategy, steps: int, alpha: float, rng: np.random.Generator) -> IntArray:
    """The kind of each batch, as numbers of `KINDS`, `(steps,)`; a coin per batch under `hybrid`."""
    if strategy == "hybrid":
        return np.where(rng.random(steps) < alpha, MONOLINGUAL, CROSS_LINGUAL).astype(np.int64)
    number = {"cross-lingual": CROSS_LINGUAL, "mixed": MIXED}.get(strategy, MONOLINGUAL)
    return np.full(steps, number, np.int64)


def _weights_of(datasets: tuple[str, ...], weights: Mapping[str, float] | LanguageSampling) -> FloatArray:
    """Weights in the order of `datasets`; all nan where they follow from sizes."""
    if not isinstance(weights, Mapping):
        if weights not in ("uniform", "size") and (isinstance(weights, str) or not weights >= 1):
            raise InputError(
                f"dataset_weights {weights!r}: use 'size', 'uniform', a temperature of at least 1, or weights by name"
            )
        return np.full(len(datasets), np.nan)
    unknown = sorted(set(weights) - set(datasets))
    if unknown:
        raise InputError(f"dataset_weights names {unknown[0]!r}, which is not among {', '.join(datasets)}")
    if not all(np.isfinite(w) and w >= 0 for w in weights.values()) or not any(weights.values()):
        raise InputError("dataset_weights must be finite, not negative, and not all zero")
    return np.array([weights.get(name, 0.0) for name in datasets])


def _check_arguments(
    strategy: str, batch_size: int, steps: int, alpha: float, language_sampling: LanguageSampling
) -> None:
    if strategy not in get_args(Strategy):
        raise InputError(f"strategy {strategy!r} is unknown; use one of {', '.join(get_args(Strategy))}")
    if batch_size < 2:
        raise InputError(f"batch_size {batch_size}: a batch needs at least 2 pairs to hold a negative")
    if steps < 1:
        raise InputError(f"steps {steps}: at least 1 is needed")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha {alpha} is not a probability; use a value from 0 to 1")
    if not isinstance(language_sampling, str) and not language_sampling >= 1:
        raise InputError(f"language_sampling {language_sampling}: a temperature is at least 1")
