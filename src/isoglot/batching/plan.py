"""Which examples, in which languages, make up each batch: a training run as a table.

The method (arXiv 2408.10536) is a rule for composing batches, so it is kept apart from everything that trains:
`plan_batches` is a pure function of the data's shape and a seed. Within a pool each example is used floor or ceil of
its fair share, evenly over the run, so a language short of examples repeats them as rarely as its share allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from isoglot.batching.sampling import LanguageSampling, draw_languages, language_weights, sample, sample_blocks
from isoglot.batching.translations import BoolArray, FloatArray, IntArray, Translations, smallest
from isoglot.common.errors import InputError

Strategy = Literal["monolingual", "cross-lingual", "hybrid", "mixed", "english"]

Alpha = float | tuple[float, float]

KINDS = ("monolingual", "cross-lingual", "mixed")
MONOLINGUAL, CROSS_LINGUAL, MIXED = range(3)

_MEMBERS_AT_A_TIME = 1 << 18
_STEPS_AT_A_TIME = 1 << 10


@dataclass(frozen=True)
class BatchPlan:
    """The order of training: one row per pair, `batch_size` rows per step.

    Attributes:
        languages: language tags that the two language columns index.
        batch_size: rows per global batch.
        kind: `(steps,)`; number of the batch's kind in `KINDS`.
        example: `(steps * batch_size,)`; example of each pair, numbered as in `Translations`.
        query_language, passage_language: `(steps * batch_size,)`; language numbers of both sides.
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

    def columns(self, first_step: int = 0) -> dict[str, npt.NDArray[Any]]:
        """The plan as columns of equal length, languages and kinds spelled out; what `plan.parquet` holds.

        Of a part of a longer plan, `first_step` is the number of its first step.
        """
        tags = np.array(self.languages)
        return {
            "step": np.repeat(np.arange(first_step, first_step + self.steps), self.batch_size),
            "kind": np.repeat(np.array(KINDS)[self.kind], self.batch_size),
            "example": self.example,
            "query_language": tags[self.query_language],
            "passage_language": tags[self.passage_language],
        }

    def parts(self) -> Iterator[tuple[int, BatchPlan]]:
        """The plan in parts of some steps each, with the number of the part's first step; nothing is copied."""
        for step in range(0, self.steps, _STEPS_AT_A_TIME):
            yield step, self.select(slice(step, step + _STEPS_AT_A_TIME), slice(None))

    def table_rows(self, translations: Translations) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The data table's rows of every pair: those of the queries and those of the passages."""
        queries, passages = (np.empty(len(self.example), np.int32) for _ in range(2))
        for step, part in self.parts():
            at = slice(step * self.batch_size, step * self.batch_size + len(part.example))
            queries[at] = translations.row_of(part.example, part.query_language)
            passages[at] = translations.row_of(part.example, part.passage_language)
        return queries, passages

    def from_step(self, step: int) -> BatchPlan:
        """The plan that remains after `step` steps; what a resumed run follows."""
        return self.select(slice(step, None), slice(None))

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
        return self.select(slice(None), slice(rank * size, (rank + 1) * size))

    def select(self, steps: slice | IntArray, part: slice) -> BatchPlan:
        """The plan of some steps, and of a part of each of their batches."""
        columns = (self.example, self.query_language, self.passage_language)
        cut = [column.reshape(self.steps, self.batch_size)[steps, part] for column in columns]
        return BatchPlan(self.languages, cut[0].shape[1], self.kind[steps], *(column.ravel() for column in cut))

    def describe(self) -> dict[str, Any]:
        """What the plan does, in numbers: batches by kind, rows by language, and how often examples repeat.

        `repeats` gives for each query language the distinct examples used, and the mean and the largest number of
        times one of them is used in that language.
        """
        repeats: dict[str, dict[str, float]] = {}
        for number, language in enumerate(self.languages):
            used = np.bincount(self.example[self.query_language == number])
            used = used[used > 0]
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
    alpha: Alpha = 0.5,
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
        alpha: probability of a monolingual batch under `hybrid`, 0 to 1; of two, the first holds at the first step, the
            second at the last, and it changes evenly in between.
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

        >>> data = Translations.from_matrix(("de", "en"), np.arange(6).reshape(3, 2))
        >>> plan = plan_batches(data, "cross-lingual", batch_size=3, steps=2)
        >>> plan.steps, bool((plan.query_language != plan.passage_language).all())
        (2, True)
        >>> sorted(plan.example[:3].tolist())
        [0, 1, 2]
    """
    if batch_size < 2:
        raise InputError(f"batch_size {batch_size}: a batch needs at least 2 pairs to hold a negative")
    if steps < 1:
        raise InputError(f"steps {steps}: at least 1 is needed")
    check_drawing(strategy, alpha, language_sampling)
    if neighbours < 1 or batch_size % neighbours:
        raise InputError(f"neighbours {neighbours}: must divide the batch size, {batch_size}")
    rng = np.random.default_rng([seed, 0x150617])
    planner = Planner(translations, batch_size, rng, language_sampling, dataset_weights, neighbours)
    shape = (steps, batch_size)
    example = np.empty(shape, np.int32)
    spoken = smallest(len(translations.languages))
    query_language, passage_language = np.empty(shape, spoken), np.empty(shape, spoken)
    kind = draw_kinds(strategy, steps, alpha, rng)
    for number in np.unique(kind):
        where = np.flatnonzero(kind == number)
        if number == MONOLINGUAL:
            drawn = planner.one_language(len(where), english=strategy == "english")
        else:
            drawn = planner.many_languages(len(where), crossing=number == CROSS_LINGUAL)
        for part, examples, queries, passages in drawn:
            at = where[part]
            example[at], query_language[at], passage_language[at] = examples, queries, passages
    return BatchPlan(
        translations.languages, batch_size, kind, example.ravel(), query_language.ravel(), passage_language.ravel()
    )


Drawn = Iterator[tuple[IntArray, IntArray, IntArray | int, IntArray | int]]
"""Some of the batches, `(some,)`, their examples, `(some, batch_size)`, and the languages of both sides."""


class Planner:
    """The pools of one plan: which examples can fill which kind of batch; arguments as of `plan_batches`."""

    def __init__(
        self,
        translations: Translations,
        batch_size: int,
        rng: np.random.Generator,
        language_sampling: LanguageSampling,
        dataset_weights: Mapping[str, float] | LanguageSampling,
        neighbours: int = 1,
    ) -> None:
        self.data, self.batch_size, self.neighbours, self.rng = translations, batch_size, neighbours, rng
        self.language_sampling = language_sampling
        self.dataset_sampling: LanguageSampling = "size" if isinstance(dataset_weights, Mapping) else dataset_weights
        self.dataset_weights = _weights_of(translations.datasets, dataset_weights)
        dataset = translations.dataset.astype(smallest(len(translations.datasets)), copy=False)
        ends = np.cumsum(np.bincount(dataset, minlength=len(translations.datasets)))[:-1]
        self.members = np.split(np.argsort(dataset, kind="stable").astype(np.int32), ends)

    def one_language(self, batches: int, *, english: bool) -> Drawn:
        """Draw batches of one language each: a language, then one of its data sets, then examples."""
        usable = self.data.available & ~self.data.identical
        if english:
            usable &= np.array([tag.split("-")[0] == "en" for tag in self.data.languages])
        sizes = self._sizes(usable, f"in {'English' if english else 'any one language'}, which a monolingual")
        language_of = self._draw(language_weights(sizes.sum(0), self.language_sampling), batches)
        for language in np.unique(language_of).tolist():
            mine = np.flatnonzero(language_of == language)
            for some, pool in self._pools(sizes[:, language], usable[:, language], mine):
                group = self.data.group[pool]
                sampled = sample_blocks(group, len(some), self.batch_size, self.neighbours, self.rng)
                yield some, pool[sampled], language, language

    def many_languages(self, batches: int, *, crossing: bool) -> Drawn:
        """Draw batches whose rows differ in language: a data set, then examples, then languages of each."""
        usable = self.data.available if crossing else self.data.available & ~self.data.identical
        enough = usable.sum(1) >= (2 if crossing else 1)
        what = "in two languages or more, which a cross-lingual" if crossing else "which a mixed"
        sizes = self._sizes(enough[:, None], what)[:, 0]
        for some, pool in self._pools(sizes, enough, np.arange(batches)):
            pattern = self.data.pattern[pool]
            present = np.bincount(pattern, minlength=len(usable)) @ usable
            rates = usable * (language_weights(present, self.language_sampling) / np.maximum(present, 1))
            sampled = sample(self.data.group[pool], rates.sum(1)[pattern], len(some), self.batch_size, self.rng)
            queries, passages = draw_languages(rates, pattern, sampled.ravel(), crossing, self.rng)
            yield some, pool[sampled], queries.reshape(sampled.shape), passages.reshape(sampled.shape)

    def _sizes(self, usable: BoolArray, what: str) -> IntArray:
        """`(datasets, columns)`; how many examples are usable, 0 for too few, by columns of `(patterns, columns)`."""
        counts = (np.bincount(self.data.pattern[members], minlength=len(usable)) for members in self.members)
        sizes = np.array([count @ usable for count in counts])
        sizes[self.dataset_weights == 0] = 0
        for dataset, column in zip(*np.nonzero(sizes), strict=True):
            if not self._fills(self.members[dataset], usable[:, column]):
                sizes[dataset, column] = 0
        if not sizes.any():
            raise InputError(
                f"no data set has {self.batch_size} different examples {what} batch of {self.batch_size} needs; "
                "use a smaller batch or another strategy, or add translations or examples"
            )
        return sizes

    def _pools(self, sizes: IntArray, wanted: BoolArray, batches: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """The batches that fall to each data set, and those of its examples whose pattern is wanted."""
        by_size = language_weights(sizes, self.dataset_sampling)
        weights = np.where(np.isnan(self.dataset_weights), by_size, self.dataset_weights * (sizes > 0))
        dataset_of = self._draw(weights, len(batches))
        for dataset in np.unique(dataset_of).tolist():
            members = self.members[dataset]
            yield batches[dataset_of == dataset], members[wanted[self.data.pattern[members]]]

    def _fills(self, members: IntArray, wanted: BoolArray) -> bool:
        """Whether a pool has as many different groups as a batch needs; most often its beginning tells."""
        start, size, groups = 0, 4 * self.batch_size, np.zeros(0, np.int64)
        while start < len(members) and len(groups) < self.batch_size:
            some = members[start : start + size]
            groups = np.union1d(groups, self.data.group[some[wanted[self.data.pattern[some]]]])
            start, size = start + size, min(2 * size, _MEMBERS_AT_A_TIME)
        return len(groups) >= self.batch_size

    def _draw(self, weights: FloatArray, count: int) -> IntArray:
        return self.rng.choice(len(weights), size=count, p=weights / weights.sum())


def draw_kinds(strategy: Strategy, steps: int, alpha: Alpha, rng: np.random.Generator) -> IntArray:
    """The kind of each batch, as numbers of `KINDS`, `(steps,)`; a coin per batch under `hybrid`."""
    if strategy == "hybrid":
        first, last = np.broadcast_to(alpha, 2)
        return np.where(rng.random(steps) < np.linspace(first, last, steps), MONOLINGUAL, CROSS_LINGUAL).astype(
            np.uint8
        )
    return np.full(steps, {"cross-lingual": CROSS_LINGUAL, "mixed": MIXED}.get(strategy, MONOLINGUAL), np.uint8)


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


def check_drawing(strategy: str, alpha: Alpha, language_sampling: LanguageSampling) -> None:
    """Refuse what batches cannot be drawn by.

    Raises:
        InputError: naming the argument that is out of range.
    """
    if strategy not in get_args(Strategy):
        raise InputError(f"strategy {strategy!r} is unknown; use one of {', '.join(get_args(Strategy))}")
    if np.shape(alpha) not in ((), (2,)) or not all(0 <= value <= 1 for value in np.ravel(alpha)):
        raise InputError(
            f"alpha {alpha} is not a probability; use a value from 0 to 1, or two, for first and last step"
        )
    if language_sampling not in ("uniform", "size") and (
        isinstance(language_sampling, str) or not language_sampling >= 1
    ):
        raise InputError(
            f"language_sampling {language_sampling!r}: use 'uniform', 'size' or a temperature of at least 1"
        )
