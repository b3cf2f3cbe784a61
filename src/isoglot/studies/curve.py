"""A measure along an axis, such as the share of monolingual batches: where its optimum lies and how flat it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.evaluation.results import Results
from isoglot.statistics.comparison import LOWER_IS_BETTER
from isoglot.statistics.significance import contributions

Values = npt.NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True)
class Optimum:
    """The best place on an axis for one measure.

    Attributes:
        benchmark: the recipe's name for it.
        setting: `monolingual`, `cross_lingual` or `multilingual`.
        measure: the column of the per-query tables.
        languages: what queries were looked at: `all`, a view or a language.
        x: the place with the best mean.
        low: lower end of the place's 95 % interval, examples and runs both drawn again.
        high: upper end.
        value: the mean there.
        flat: places whose mean is within the noise: the 95 % interval of the difference to the best holds 0.
        spread: difference of the best and the worst mean over all places.
    """

    benchmark: str
    setting: str
    measure: str
    languages: str
    x: float
    low: float
    high: float
    value: float
    flat: tuple[float, ...]
    spread: float


def find_optimum(
    runs: Mapping[float, Sequence[Results]],
    where: tuple[str, str, str],
    *,
    name: str = "all",
    languages: Sequence[str] | None = None,
    seed: int = 0,
) -> Optimum | None:
    """The optimum along an axis, with an interval by a bootstrap over examples and runs.

    Each resample draws examples once for all places, and runs for each place apart.

    Args:
        runs: results with each seed, by place on the axis.
        where: benchmark, setting and measure.
        name: of the languages.
        languages: only queries in these.
        seed: of the draws.

    Returns:
        None where nothing was measured.
    """
    benchmark, setting, measure = where
    places = sorted(runs)
    scores = [[_by_example(run, setting, measure, languages) for run in runs[x]] for x in places]
    if any(one is None for place in scores for one in place):
        return None
    each = [np.stack([one for one in place if one is not None]) for place in scores]  # (runs, examples)
    sign = -1.0 if measure in LOWER_IS_BETTER else 1.0
    means = np.array([values.sum(1).mean() for values in each])
    best = int(np.argmax(sign * means))
    drawn = sign * _resampled(each, seed)  # (resamples, places)
    low, high = np.quantile(np.array(places)[drawn.argmax(1)], [0.025, 0.975], method="nearest")
    behind = np.quantile(drawn[:, [best]] - drawn, 0.025, axis=0)
    flat = tuple(x for n, x in enumerate(places) if n == best or behind[n] <= 0)
    spread = float(np.ptp(means))
    return Optimum(
        benchmark, setting, measure, name, places[best], float(low), float(high), float(means[best]), flat, spread
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other point beats in both coordinates, the first better higher and the second better lower.

    >>> pareto_front([(0.8, 500.0), (0.7, 300.0), (0.7, 400.0)])
    [0, 1]
    """
    kept = []
    for n, (score, bias) in enumerate(points):
        beaten = (s >= score and b <= bias and (s, b) != (score, bias) for s, b in points)
        if not any(beaten):
            kept.append(n)
    return kept


def _by_example(run: Results, setting: str, measure: str, languages: Sequence[str] | None) -> Values | None:
    """`(examples,)`; what each example adds to the score, in the order of their ids; None where nothing has a value."""
    table = run.per_query
    if measure not in table.column_names:
        return None
    table = table.filter(pc.and_(pc.equal(table["setting"], setting), pc.is_valid(table[measure])))
    if languages is not None:
        table = table.filter(pc.is_in(table["query_language"], pa.array(list(languages), pa.string())))
    if not len(table):
        return None
    corpus = pc.fill_null(table["corpus_language"].cast(pa.string()), "")
    cell = pc.binary_join_element_wise(table["query_language"], corpus, "\t").combine_chunks()
    examples, row = np.unique(table["example"].to_numpy(), return_inverse=True)
    cells, column = np.unique(cell.to_numpy(zero_copy_only=False), return_inverse=True)
    values = np.full((len(examples), len(cells)), np.nan)
    values[row, column] = table[measure].cast(pa.float64()).to_numpy()
    return contributions(values)


def _resampled(each: Sequence[Values], seed: int) -> Values:
    """`(resamples, places)`; mean scores over drawn examples and runs."""
    generator = np.random.default_rng(seed)
    examples = each[0].shape[1]
    weights = generator.multinomial(examples, np.full(examples, 1 / examples), size=RESAMPLES).astype(np.float64)
    means = []
    for values in each:
        scores = weights @ values.T  # (resamples, runs)
        drawn = generator.integers(len(values), size=scores.shape)
        means.append(np.take_along_axis(scores, drawn, 1).mean(1))
    return np.stack(means, 1)
