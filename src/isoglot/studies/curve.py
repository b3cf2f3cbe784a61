"""A measure along an axis, such as the share of monolingual batches: where its optimum lies and how flat it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import Values
from isoglot.evaluation.results import Results
from isoglot.statistics.comparison import LOWER_IS_BETTER
from isoglot.statistics.grid import Grid
from isoglot.statistics.significance import contributions

RESAMPLES = 1000


@dataclass(frozen=True)
class Optimum:
    """The best place on an axis for one measure."""

    benchmark: str
    setting: str
    measure: str
    languages: str  # what queries were looked at: `all`, a view or a language
    x: float  # the place with the best mean
    low: float  # ends of the place's 95 % interval, examples and runs both drawn again
    high: float
    value: float  # the mean at the best place
    flat: tuple[float, ...]
    """Places whose mean is within the noise: the 95 % interval of the difference to the best holds 0."""
    spread: float  # difference of the best and the worst mean over all places


def find_optimum(
    runs: Mapping[float, Sequence[Results]],
    where: tuple[str, str, str],
    *,
    name: str = "all",
    languages: Sequence[str] | None = None,
    seed: int = 0,
) -> Optimum | None:
    """The optimum along an axis, with an interval by a bootstrap over examples and runs.

    Each resample draws examples once for all places, and runs for each place apart. None where nothing was measured.

    Args:
        runs: results with each seed, by place on the axis.
        where: benchmark, setting and measure.
        name: of the languages.
        languages: only queries in these.
        seed: of the draws.
    """
    _, setting, measure = where
    places = sorted(runs)
    seen = [[_measured(run, setting, measure, languages) for run in runs[x]] for x in places]
    if not all(len(run.per_query) for place in seen for run in place):
        return None
    grid = Grid.of(seen[0][0], languages=False, name=name)
    each = [np.stack([contributions(grid.values(run, [measure], name)[measure]) for run in place]) for place in seen]
    sign = -1.0 if measure in LOWER_IS_BETTER else 1.0
    means = np.array([values.sum(1).mean() for values in each])
    best = int(np.argmax(sign * means))
    drawn = sign * _resampled(each, seed)  # (resamples, places)
    low, high = np.quantile(np.array(places)[drawn.argmax(1)], [0.025, 0.975], method="nearest").tolist()
    behind = np.quantile(drawn[:, [best]] - drawn, 0.025, axis=0)
    flat = tuple(x for n, x in enumerate(places) if n == best or behind[n] <= 0)
    return Optimum(*where, name, places[best], low, high, float(means[best]), flat, float(np.ptp(means)))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other point beats in both coordinates, the first better higher and the second better lower.

    >>> pareto_front([(0.8, 500.0), (0.7, 300.0), (0.7, 400.0)])
    [0, 1]
    """
    return [
        n
        for n, (score, bias) in enumerate(points)
        if not any(s >= score and b <= bias and (s, b) != (score, bias) for s, b in points)
    ]


def _measured(run: Results, setting: str, measure: str, languages: Sequence[str] | None) -> Results:
    """What has a value of the measure in the setting, for queries in the languages."""
    table = run.per_query
    known = pc.is_valid(table[measure]) if measure in table.column_names else pa.scalar(False)
    table = table.filter(pc.and_(pc.equal(table["setting"], setting), known))
    if languages is not None:
        table = table.filter(pc.is_in(table["query_language"], pa.array(list(languages), pa.string())))
    return replace(run, per_query=table)


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
